/*
 * Goal: what recovery found in a device's cache is durable before anything is built on it (E2, W6).
 *
 * Method: the sync of a group fails, so that no later sync covers its blocks; the log is opened
 * again on the same device, without a power cut, and finds them. Then power is cut after every
 * event from there on, with the loss of all that is not durable, and the log must still be the one
 * that was found.
 */
#include "tests/unit/wal/fixture.h"

/* Two groups, the second written but never synced; the log is closed as poisoned. */
static void leave_unsynced(struct world *world, uint64_t seed)
{
    world_create(world, WORLD_RING_MIN, seed);
    world->options.sync = KEEL_SYNC_FLUSH;
    world_start(world);
    cr_assert_eq(group_commit(world, 1, 100), 0);
    world_fault(world, KEEL_OP_SYNC, KEEL_FAULT_ERROR, -EIO, 0, 1);
    cr_assert_eq(group_append(world, 3, 4000), 0);
    cr_assert_eq(keel_wal_commit(world->wal, world->last_end), KEEL_EPOISON);
    cr_assert_eq(world_close(world), KEEL_EPOISON);
    keel_sim_fault_clear(world->sim);
}

/* Open after a cut at event that loses everything unsynced; returns the groups found. */
static uint64_t groups_after(struct world *world, uint64_t event)
{
    static struct harvest harvest;
    struct world cut;

    world_cut(world, event, KEEL_CUT_LOSE_ALL, event, &cut);
    cr_assert_eq(world_open(&cut), 0, "event %lu: %s", (unsigned long)event, cut.info.op);
    cr_assert_eq(world_replay(&cut, &harvest), 0);
    world_destroy(&cut);
    return harvest.groups;
}

Test(wal_secure, E2_what_a_failed_sync_left_behind_is_durable_once_the_log_is_open)
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct world world;

        leave_unsynced(&world, seed);
        cr_assert_eq(groups_after(&world, keel_sim_events(world.sim)), 1);
        cr_assert_eq(world_open(&world), 0);
        keel_lsn found = keel_wal_report(world.wal)->end_lsn;
        uint64_t opened = keel_sim_events(world.sim);
        cr_assert_eq(keel_wal_start(world.ctx, world.wal), 0);
        cr_assert_gt(found, keel_wal_report(world.wal)->promise_lsn);

        for (uint64_t event = opened; event <= keel_sim_events(world.sim); event++)
            cr_assert_eq(groups_after(&world, event), 2, "seed %lu, event %lu", (unsigned long)seed,
                         (unsigned long)event);
        cr_assert_eq(world_close(&world), 0);
        world_destroy(&world);
    }
}

Test(wal_secure, W6_a_log_that_was_closed_in_order_is_not_written_to)
{
    struct world world;
    uint64_t before, after, syncs;

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    cr_assert_eq(group_commit(&world, 1, 100), 0);
    cr_assert_eq(world_close(&world), 0);

    keel_sim_counts(world.sim, WORLD_PATH, &before, &syncs);
    cr_assert_eq(world_open(&world), 0);
    keel_sim_counts(world.sim, WORLD_PATH, &after, &syncs);

    cr_assert_eq(after, before, "not even the superblock");
    world_destroy(&world);
}
