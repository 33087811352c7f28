/*
 * Blocking commits by one thread (many threads: tests/race).
 */
#include "tests/unit/wal/fixture.h"

TestSuite(wal_commit, .timeout = 60);

Test(wal_commit, W1_what_is_acknowledged_survives_the_loss_of_everything_unsynced)
{
    static const enum keel_sync_method methods[] = {KEEL_SYNC_DSYNC, KEEL_SYNC_LINK,
                                                    KEEL_SYNC_FLUSH};
    static struct harvest harvest;

    for (size_t m = 0; m < 3; m++) {
        struct world world, after;

        world_create(&world, WORLD_RING_MIN, 11);
        world.options.sync = methods[m];
        world_start(&world);
        for (uint32_t i = 0; i < 12; i++) {
            cr_assert_eq(group_append(&world, 2, 900), 0);
            cr_assert_eq(group_commit(&world, 1, 3000), 0);
            cr_assert_eq(group_append(&world, 1, 100), 0); /* not waited for */

            uint64_t acknowledged = world.next_group - 2;
            world_cut(&world, keel_sim_events(world.sim), KEEL_CUT_LOSE_ALL, 1, &after);
            cr_assert_eq(world_open(&after), 0);
            cr_assert_eq(world_replay(&after, &harvest), 0);
            cr_assert_eq(harvest.first, 1);
            cr_assert_geq(harvest.last, acknowledged);
            world_destroy(&after);
        }
        world_destroy(&world);
    }
}

Test(wal_commit, of_what_is_durable_already_does_nothing)
{
    struct world world;

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    cr_assert_eq(group_commit(&world, 1, 100), 0);
    uint64_t events = keel_sim_events(world.sim);

    cr_assert_eq(keel_wal_commit(world.wal, world.last_end), 0);
    cr_assert_eq(keel_wal_commit(world.wal, 0), 0);
    cr_assert_eq(keel_sim_events(world.sim), events);
    world_destroy(&world);
}

Test(wal_commit, above_the_tail_is_refused)
{
    struct world world;

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    cr_assert_eq(group_append(&world, 1, 100), 0);
    cr_assert_eq(keel_wal_commit(world.wal, world.last_end + 1), KEEL_ERANGE);
    cr_assert_eq(keel_wal_commit(world.wal, world.last_end), 0);
    world_destroy(&world);
}

Test(wal_commit, none_is_refused_on_a_device_with_a_volatile_cache)
{
    struct world world;

    world_create(&world, WORLD_RING_MIN, 1);
    world.options.sync = KEEL_SYNC_NONE;
    cr_assert_eq(world_open(&world), KEEL_EOPTION);
    world_destroy(&world);
}

Test(wal_commit, short_writes_are_continued)
{
    static struct harvest harvest;
    struct world world;

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    world_fault(&world, KEEL_OP_WRITE, KEEL_FAULT_SHORT, 0, 0, 5);
    for (uint32_t i = 0; i < 8; i++)
        cr_assert_eq(group_commit(&world, 3, 4000), 0);
    cr_assert_eq(world_close(&world), 0);
    cr_assert_eq(world_open(&world), 0);
    cr_assert_eq(world_replay(&world, &harvest), 0);
    cr_assert_eq(harvest.groups, 8);
    world_destroy(&world);
}
