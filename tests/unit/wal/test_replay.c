/*
 * Replay: which groups, from where, and what a caller can do with it.
 */
#include "tests/unit/wal/fixture.h"
#include "wal/log.h"

TestSuite(wal_replay, .timeout = 60);

static struct harvest harvest;

Test(wal_replay, begins_at_the_redo_lsn_inside_a_block)
{
    struct world world;

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    for (uint32_t i = 0; i < 7; i++)
        cr_assert_eq(group_append(&world, 2, 300), 0);
    keel_lsn cut = keel_wal_cut(world.wal);
    for (uint32_t i = 0; i < 5; i++)
        cr_assert_eq(group_append(&world, 2, 300), 0);
    cr_assert_eq(keel_wal_commit(world.wal, world.last_end), 0);
    cr_assert_eq(keel_wal_truncate(world.ctx, world.wal, cut), 0);
    cr_assert_neq(cut % WAL_BLOCK, 0);
    cr_assert_eq(world_close(&world), 0);

    cr_assert_eq(world_open(&world), 0);
    cr_assert_eq(keel_wal_report(world.wal)->redo_lsn, cut);
    cr_assert_eq(world_replay(&world, &harvest), 0);
    cr_assert_eq(harvest.first, 8);
    cr_assert_eq(harvest.last, 12);
    world_destroy(&world);
}

Test(wal_replay, from_leaves_out_groups_that_begin_below)
{
    struct world world;

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    for (uint32_t i = 0; i < 9; i++)
        cr_assert_eq(group_commit(&world, 2, 1500), 0);
    cr_assert_eq(world_close(&world), 0);
    cr_assert_eq(world_open(&world), 0);
    cr_assert_eq(world_replay(&world, &harvest), 0);
    keel_lsn from = harvest.ends[4];

    memset(&harvest, 0, sizeof(harvest));
    cr_assert_eq(keel_wal_replay(world.ctx, world.wal, from, harvest_entry, &harvest), 0);
    cr_assert_eq(harvest.first, 5);
    cr_assert_eq(harvest.last, 9);
    world_destroy(&world);
}

static int stop_at_third(void *arg, const struct keel_wal_entry *entry)
{
    uint32_t *count = arg;

    (void)entry;
    return ++*count == 3 ? 77 : 0;
}

Test(wal_replay, stops_where_the_caller_says)
{
    struct world world;
    uint32_t count = 0;

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    for (uint32_t i = 0; i < 9; i++)
        cr_assert_eq(group_append(&world, 1, 100), 0);
    cr_assert_eq(world_close(&world), 0);
    cr_assert_eq(world_open(&world), 0);
    cr_assert_eq(keel_wal_replay(world.ctx, world.wal, 0, stop_at_third, &count), 77);
    cr_assert_eq(count, 3);
    world_destroy(&world);
}

Test(wal_replay, a_group_that_was_cut_off_is_left_out_whole)
{
    uint32_t partial = 0;

    for (uint64_t seed = 1; seed < 40; seed++) {
        struct world world, after;

        world_create(&world, WORLD_RING_MIN, seed);
        world.options.pipeline_bytes = 4096;
        world_start(&world);
        cr_assert_eq(group_commit(&world, 1, 100), 0);
        cr_assert_eq(group_append(&world, 12, 3000), 0); /* nine blocks, in pieces */
        keel_wal_kick(world.wal);
        world_cut(&world, keel_sim_events(world.sim), KEEL_CUT_TORN, seed, &after);
        cr_assert_eq(world_open(&after), 0);
        cr_assert_eq(world_replay(&after, &harvest), 0);
        cr_assert(harvest.groups == 1 || harvest.groups == 2);
        cr_assert_eq(harvest.records, harvest.groups == 1 ? 1 : 13);
        keel_lsn end = keel_wal_report(after.wal)->end_lsn;
        if (harvest.groups == 1 && end > lsn_block_up(harvest.ends[1]))
            partial++;
        world_destroy(&after);
        world_destroy(&world);
    }
    cr_assert_gt(partial, 0, "no group was cut in its middle");
}

/* A record's own checksum goes from append to replay, whatever happened to its block in between. */
Test(wal_replay, a_record_that_was_changed_before_its_block_was_sealed_is_damage)
{
    struct world world;

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    cr_assert_eq(group_append(&world, 1, 100), 0);
    wal_frame_bytes(world.wal, 0)[WAL_HEADER + WAL_RECORD_HEADER + 60] ^= 1;
    cr_assert_eq(world_close(&world), 0);

    cr_assert_eq(world_open(&world), 0);
    cr_assert_eq(world_replay(&world, &harvest), KEEL_ECORRUPT);
    world_destroy(&world);
}

Test(wal_replay, a_chain_that_does_not_fit_together_is_refused_at_open)
{
    struct world world;

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    cr_assert_eq(group_append(&world, 3, 100), 0);
    wal_frame_bytes(world.wal, 0)[WAL_HEADER + WAL_RECORD_GROUP] ^= 8;
    cr_assert_eq(world_close(&world), 0);
    cr_assert_eq(world_open(&world), KEEL_ECORRUPT);
    cr_assert(strstr(world.info.object, "record"));
    world_destroy(&world);
}
