/*
 * Truncation: durable before the space is used again (W5), only where it may.
 */
#include "tests/unit/wal/fixture.h"
#include "wal/log.h"

TestSuite(wal_checkpoint, .timeout = 60);

static struct harvest harvest;

Test(wal_checkpoint, refuses_to_go_back_or_beyond_what_is_durable)
{
    struct world world;

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    cr_assert_eq(group_commit(&world, 1, 100), 0);
    keel_lsn first = keel_wal_cut(world.wal);
    cr_assert_eq(group_append(&world, 1, 100), 0);
    keel_lsn second = keel_wal_cut(world.wal);
    cr_assert_eq(keel_wal_truncate(world.ctx, world.wal, second), KEEL_ERANGE);
    cr_assert_eq(keel_wal_commit(world.wal, second), 0);
    cr_assert_eq(keel_wal_truncate(world.ctx, world.wal, second), 0);
    cr_assert_eq(keel_wal_truncate(world.ctx, world.wal, first), KEEL_ERANGE);
    cr_assert_eq(keel_wal_truncate(world.ctx, world.wal, second), 0);
    world_destroy(&world);
}

/* W5: whenever power fails while the ring goes around, everything from the redo LSN that is then on
 * the device up to what was acknowledged is there. */
Test(wal_checkpoint, W5_a_place_is_reused_only_behind_a_durable_redo_lsn)
{
    struct world world;
    uint64_t tested = 0;

    world_create(&world, WORLD_RING_MIN, 9);
    world.options.pipeline_bytes = 8192;
    world_start(&world);
    while (keel_wal_tail(world.wal) < 4 * WORLD_RING_MIN) {
        int rc = group_commit(&world, 2, 2500);

        if (rc == KEEL_ELOGFULL) {
            keel_lsn cut = keel_wal_cut(world.wal);
            cr_assert_eq(keel_wal_truncate(world.ctx, world.wal, cut), 0);
        }
        uint64_t event = keel_sim_events(world.sim);
        for (uint64_t at = event - 3; at <= event; at++) {
            struct world after;

            world_cut(&world, at, KEEL_CUT_TORN, at, &after);
            cr_assert_eq(world_open(&after), 0, "%s", after.info.op);
            cr_assert_eq(world_replay(&after, &harvest), 0);
            if (at == event && harvest.groups > 0)
                cr_assert_geq(harvest.last, world.next_group - 1);
            world_destroy(&after);
            tested++;
        }
    }
    cr_assert_gt(tested, 100);
    world_destroy(&world);
}

Test(wal_checkpoint, W4_a_failed_superblock_step_poisons)
{
    struct world world;

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    cr_assert_eq(group_commit(&world, 1, 100), 0);
    keel_lsn cut = keel_wal_cut(world.wal);
    world_fault(&world, KEEL_OP_WRITE, KEEL_FAULT_ERROR, -EIO, 0, UINT32_MAX);
    cr_assert_eq(keel_wal_truncate(world.ctx, world.wal, cut), KEEL_EPOISON);
    keel_sim_fault_clear(world.sim);
    cr_assert_eq(group_append(&world, 1, 100), KEEL_EPOISON);
    cr_assert_eq(world_close(&world), KEEL_EPOISON);
    cr_assert_eq(world_open(&world), 0);
    world_destroy(&world);
}

Test(wal_checkpoint, may_happen_before_start_and_then_frees_epochs)
{
    struct world world, after;

    world_create(&world, 4 * WORLD_RING_MIN, 1);
    for (uint32_t i = 0; i < 5; i++) {
        world_start(&world);
        cr_assert_eq(group_commit(&world, 1, 100), 0);
        world_cut(&world, keel_sim_events(world.sim), KEEL_CUT_LOSE_ALL, 1, &after);
        world_destroy(&world);
        world = after;
    }
    cr_assert_eq(world_open(&world), 0);
    cr_assert_eq(world.wal->super.epoch_count, 5);
    keel_lsn end = keel_wal_report(world.wal)->end_lsn;
    cr_assert_eq(keel_wal_truncate(world.ctx, world.wal, end + 1), KEEL_ERANGE);
    cr_assert_eq(keel_wal_truncate(world.ctx, world.wal, end), 0);
    cr_assert_eq(world.wal->super.epoch_count, 1);
    cr_assert_eq(keel_wal_start(world.ctx, world.wal), 0);
    cr_assert_eq(group_commit(&world, 1, 100), 0);
    cr_assert_eq(world_close(&world), 0);
    cr_assert_eq(world_open(&world), 0);
    cr_assert_eq(world_replay(&world, &harvest), 0);
    cr_assert_eq(harvest.groups, 1);
    world_destroy(&world);
}
