/*
 * Batches, completions in any order, poison, the ring many times around.
 */
#include "tests/unit/wal/fixture.h"
#include "wal/log.h"

TestSuite(wal_seal, .timeout = 120);

/* Bring as much as fits into flight, without waiting for anything. */
static void fill_pipeline(struct world *world, uint32_t groups, uint32_t len)
{
    for (uint32_t i = 0; i < groups; i++) {
        cr_assert_eq(group_append(world, 1, len), 0);
        keel_wal_kick(world->wal);
    }
}

/* W2, W1: with four writes in flight that complete in drawn order, the durable LSN only moves
 * forward, by whole prefixes: what is below it is on the device. */
Test(wal_seal, W2_durable_is_a_prefix_whatever_the_order_of_completions)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct world world;
        keel_lsn before;

        world_create(&world, 2 * WORLD_RING_MIN, seed);
        world.options.pipeline_bytes = 4096;
        world_start(&world);
        before = keel_wal_durable(world.wal);
        for (uint32_t round = 0; round < 8; round++) {
            fill_pipeline(&world, 12, 2000);
            while (keel_wal_durable(world.wal) < world.last_end) {
                keel_wal_kick(world.wal);
                keel_lsn durable = keel_wal_durable(world.wal);
                cr_assert_geq(durable, before);
                for (keel_lsn lsn = before; lsn < durable; lsn += WAL_BLOCK) {
                    uint8_t block[WAL_BLOCK];
                    struct wal_block_head head;

                    cr_assert_eq(keel_sim_peek(world.sim, WORLD_PATH, world_offset(&world, lsn),
                                               block, WAL_BLOCK),
                                 0);
                    cr_assert_eq(
                        wal_block_check(&world.wal->seed, &world.wal->super, block, lsn, &head),
                        WAL_BLOCK_VALID);
                    cr_assert_leq(head.promise, lsn);
                }
                before = durable;
            }
        }
        cr_assert_eq(world_close(&world), 0);
        world_destroy(&world);
    }
}

/* W4, for each way of syncing and for an error of the write or of the sync. */
static void poison_case(enum keel_sync_method sync, uint8_t op)
{
    struct world world;
    struct keel_wal_credit credit = {0};

    world_create(&world, WORLD_RING_MIN, 7);
    world.options.sync = sync;
    world_start(&world);
    cr_assert_eq(group_commit(&world, 1, 100), 0);
    keel_lsn acknowledged = world.last_end;
    keel_lsn durable = keel_wal_durable(world.wal);
    world_fault(&world, op, KEEL_FAULT_ERROR, -EIO, 0, 1);

    cr_assert_eq(group_commit(&world, 1, 100), KEEL_EPOISON);
    cr_assert_eq(keel_wal_poisoned(world.wal), -EIO);
    keel_sim_fault_clear(world.sim); /* the device is fine again: that changes nothing */
    for (uint32_t i = 0; i < 5; i++) {
        cr_assert_eq(group_append(&world, 1, 100), KEEL_EPOISON);
        cr_assert_eq(keel_wal_commit(world.wal, world.last_end), KEEL_EPOISON);
        cr_assert_eq(keel_wal_commit(world.wal, acknowledged), KEEL_EPOISON);
        keel_wal_kick(world.wal);
    }
    cr_assert_eq(keel_wal_durable(world.wal), durable);
    cr_assert_eq(keel_wal_credit_take(world.wal, &credit, 4096), KEEL_EPOISON);
    cr_assert_eq(keel_wal_truncate(world.ctx, world.wal, acknowledged), KEEL_EPOISON);
    cr_assert_eq(world_close(&world), KEEL_EPOISON);

    /* Opening again decides; what was acknowledged is there. */
    cr_assert_eq(world_open(&world), 0);
    cr_assert_geq(keel_wal_report(world.wal)->last_group_lsn, acknowledged);
    cr_assert(!keel_wal_report(world.wal)->clean);
    world_destroy(&world);
}

Test(wal_seal, W4_nothing_is_acknowledged_after_a_failed_write)
{
    poison_case(KEEL_SYNC_DSYNC, KEEL_OP_WRITE);
    poison_case(KEEL_SYNC_LINK, KEEL_OP_WRITE);
    poison_case(KEEL_SYNC_FLUSH, KEEL_OP_WRITE);
}

Test(wal_seal, W4_nothing_is_acknowledged_after_a_failed_sync)
{
    poison_case(KEEL_SYNC_LINK, KEEL_OP_SYNC);
    poison_case(KEEL_SYNC_FLUSH, KEEL_OP_SYNC);
}

Test(wal_seal, W4_the_first_of_many_in_flight_that_fails_freezes_the_rest)
{
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct world world;

        world_create(&world, 2 * WORLD_RING_MIN, seed);
        world.options.pipeline_bytes = 4096;
        world_start(&world);
        cr_assert_eq(group_commit(&world, 1, 100), 0);
        world_fault(&world, KEEL_OP_WRITE, KEEL_FAULT_ERROR, -ENODATA, (uint32_t)(seed % 4), 1);
        for (uint32_t i = 0; i < 14 && group_append(&world, 1, 2000) == 0; i++)
            keel_wal_kick(world.wal);
        cr_assert_eq(keel_wal_commit(world.wal, world.last_end), KEEL_EPOISON);
        cr_assert_eq(keel_wal_poisoned(world.wal), -ENODATA);
        keel_lsn frozen = keel_wal_durable(world.wal);
        cr_assert_lt(frozen, world.last_end);
        for (uint32_t i = 0; i < 50; i++)
            keel_wal_kick(world.wal);
        cr_assert_eq(keel_wal_durable(world.wal), frozen);
        cr_assert_eq(world_close(&world), KEEL_EPOISON);
        world_destroy(&world);
    }
}

Test(wal_seal, W4_poison_from_above_is_poison)
{
    struct world world;

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    cr_assert_eq(group_append(&world, 1, 100), 0);
    keel_wal_poison(world.wal, -ENOSPC);
    keel_wal_poison(world.wal, -EIO);
    cr_assert_eq(keel_wal_poisoned(world.wal), -ENOSPC);
    cr_assert_eq(keel_wal_commit(world.wal, world.last_end), KEEL_EPOISON);
    world_destroy(&world);
}

/* W5, W6: the ring 20 times around with truncation behind; each reopening replays what it should.
 */
Test(wal_seal, W6_laps_the_ring_many_times)
{
    static const enum keel_sync_method methods[] = {KEEL_SYNC_DSYNC, KEEL_SYNC_LINK,
                                                    KEEL_SYNC_FLUSH};
    static struct harvest harvest;

    for (size_t m = 0; m < 3; m++) {
        struct world world;
        uint32_t cuts = 0;

        world_create(&world, WORLD_RING_MIN + 3 * WAL_BLOCK, 3 + m); /* no power of two */
        world.options.sync = methods[m];
        world.options.pipeline_bytes = 8192;
        world_start(&world);
        while (keel_wal_tail(world.wal) < 20 * WORLD_RING_MIN) {
            int rc = group_append(&world, (uint32_t)(1 + world.next_group % 5),
                                  (uint32_t)(16 + world.next_group * 37 % 2500));
            keel_wal_kick(world.wal);
            if (rc == 0)
                continue;
            cr_assert_eq(rc, KEEL_ELOGFULL);
            keel_lsn cut = keel_wal_cut(world.wal);
            cr_assert_eq(keel_wal_commit(world.wal, cut), 0);
            cr_assert_eq(keel_wal_truncate(world.ctx, world.wal, cut), 0);
            uint64_t first = world.next_group;
            for (uint32_t i = 0; i < 20; i++)
                cr_assert_eq(group_append(&world, 2, 700), 0);
            if (++cuts % 5 != 0)
                continue;
            cr_assert_eq(world_close(&world), 0);
            cr_assert_eq(world_open(&world), 0, "%s", world.info.op);
            cr_assert(keel_wal_report(world.wal)->clean);
            cr_assert_eq(world_replay(&world, &harvest), 0);
            cr_assert_eq(harvest.first, first);
            cr_assert_eq(harvest.last, world.next_group - 1);
            cr_assert_eq(keel_wal_start(world.ctx, world.wal), 0);
        }
        cr_assert_gt(cuts, 15);
        world_destroy(&world);
    }
}

Test(wal_seal, one_writer_needs_one_write_per_commit)
{
    struct world world;
    struct keel_wal_stats stats;
    uint64_t writes_before, writes, syncs_before, syncs;

    world_create(&world, 2 * WORLD_RING_MIN, 1);
    world_start(&world);
    keel_sim_counts(world.sim, WORLD_PATH, &writes_before, &syncs_before);
    for (uint32_t i = 0; i < 50; i++)
        cr_assert_eq(group_commit(&world, 2, 128), 0);
    keel_sim_counts(world.sim, WORLD_PATH, &writes, &syncs);
    keel_wal_stats(world.wal, &stats);

    cr_assert_eq(writes - writes_before, 50);
    cr_assert_eq(syncs - syncs_before, 0);
    cr_assert_eq(stats.writes, 50);
    cr_assert_eq(stats.groups, 50);
    cr_assert_eq(stats.records, 100);
    cr_assert_eq(stats.commits, 50);
    cr_assert_eq(stats.payload_bytes, 50 * 2 * (128 + WAL_RECORD_HEADER));
    cr_assert_eq(stats.payload_bytes + stats.padding_bytes, 50 * WAL_PAYLOAD);
    world_destroy(&world);
}

Test(wal_seal, one_flush_covers_many_writes)
{
    struct world world;
    struct keel_wal_stats stats;

    world_create(&world, 2 * WORLD_RING_MIN, 1);
    world.options.sync = KEEL_SYNC_FLUSH;
    world_start(&world);
    for (uint32_t i = 0; i < 14; i++) /* 56 KiB: four batches of 16 */
        cr_assert_eq(group_append(&world, 1, 4000), 0);
    cr_assert_eq(keel_wal_commit(world.wal, world.last_end), 0);
    keel_wal_stats(world.wal, &stats);

    cr_assert_geq(stats.writes, 4);
    cr_assert_lt(stats.syncs, stats.writes);
    world_destroy(&world);
}

/* The bound K is what recovery relies on: no more than that is ever between durable and sealed. */
Test(wal_seal, never_has_more_than_K_in_flight)
{
    struct world world;
    uint64_t most = 0;

    world_create(&world, WORLD_RING_MIN, 5);
    world.options.inflight_max = 32;
    world.options.pipeline_bytes = 4096;
    world_start(&world);
    cr_assert_eq(world.wal->inflight_bytes, WORLD_RING_MIN / WAL_RING_SHARE);
    for (uint32_t i = 0; i < 60 && group_append(&world, 1, 2500) == 0; i++) {
        keel_wal_kick(world.wal);
        keel_lsn sealed = position_end(world.wal->base_lsn, atomic_load(&world.wal->sealed));
        uint64_t flying = sealed - keel_wal_durable(world.wal);
        most = flying > most ? flying : most;
    }
    cr_assert_leq(most, world.wal->inflight_bytes);
    cr_assert_gt(most, world.wal->inflight_bytes / 2);
    world_destroy(&world);
}

Test(wal_seal, a_promise_block_covers_the_last_batch_once)
{
    struct world world;
    struct keel_wal_stats stats;

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    keel_wal_promise(world.wal); /* nothing to promise yet */
    cr_assert_eq(keel_wal_tail(world.wal), keel_wal_durable(world.wal));
    cr_assert_eq(group_commit(&world, 1, 100), 0);
    keel_lsn block = keel_wal_durable(world.wal) - WAL_BLOCK;
    for (uint32_t i = 0; i < 3; i++) {
        keel_wal_promise(world.wal);
        cr_assert_eq(keel_wal_commit(world.wal, keel_wal_tail(world.wal)), 0);
    }
    keel_wal_stats(world.wal, &stats);
    cr_assert_eq(stats.writes, 2);
    cr_assert_eq(group_commit(&world, 1, 100), 0);

    /* Power fails, and the block that the promise covers is damaged: reported. */
    struct world after;
    world_cut(&world, keel_sim_events(world.sim), KEEL_CUT_LOSE_ALL, 1, &after);
    world_flip(&after, world_offset(&after, block) + 50, 1);
    cr_assert_eq(world_open(&after), KEEL_ECORRUPT);
    cr_assert_eq(after.info.offset, block);
    world_destroy(&after);
    world_destroy(&world);
}
