/*
 * Appending: credit, marks, what a group may be, and that nothing waits once space was given (W8).
 */
#include "tests/unit/wal/fixture.h"
#include "wal/position.h"

TestSuite(wal_append, .timeout = 60);

Test(wal_append, gives_lsns_in_order_and_ends_that_can_be_committed)
{
    struct world world;
    keel_lsn before = 0;

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    for (uint32_t i = 0; i < 300; i++) {
        struct keel_wal_credit credit = {0};
        keel_lsn lsn, end;

        cr_assert_eq(keel_wal_credit_take(world.wal, &credit, keel_wal_credit_bytes(128, 1)), 0);
        cr_assert_eq(group_append_mark(&world, &credit, 0, 1, 128, &lsn, &end), 0);
        keel_wal_credit_put(world.wal, &credit);
        cr_assert_gt(lsn, before);
        cr_assert_gt(end, lsn);
        cr_assert_eq(keel_wal_tail(world.wal), end);
        before = lsn;
    }
    cr_assert_eq(keel_wal_commit(world.wal, world.last_end), 0);
    cr_assert_geq(keel_wal_durable(world.wal), world.last_end);
    world_destroy(&world);
}

Test(wal_append, refuses_groups_that_cannot_be)
{
    static uint8_t big[KEEL_WAL_RECORD_MAX + 8];
    struct world world;
    struct keel_wal_credit credit = {0};
    struct iovec part = {big, sizeof(big)};
    struct keel_wal_record record = {&part, 1, 1};
    keel_lsn lsn, end;

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    cr_assert_eq(keel_wal_credit_take(world.wal, &credit, 100000), 0);
    cr_assert_eq(keel_wal_append(world.wal, &credit, 0, &record, 1, &lsn, &end), KEEL_ERANGE);
    cr_assert_eq(keel_wal_append(world.wal, &credit, 0, &record, 0, &lsn, &end), KEEL_ERANGE);
    part.iov_len = 8;
    record.type = 0;
    cr_assert_eq(keel_wal_append(world.wal, &credit, 0, &record, 1, &lsn, &end), KEEL_ERANGE);
    record.type = 1;
    cr_assert_eq(keel_wal_append(world.wal, &credit, 1, &record, 1, &lsn, &end), KEEL_ESTALE);
    cr_assert_eq(credit.bytes_private, 100000);
    cr_assert_eq(keel_wal_tail(world.wal), keel_wal_durable(world.wal));

    keel_wal_credit_put(world.wal, &credit);
    cr_assert_eq(keel_wal_append(world.wal, &credit, 0, &record, 1, &lsn, &end), KEEL_ELOGFULL);
    world_destroy(&world);
}

Test(wal_append, W8_what_credit_was_taken_for_always_fits_and_never_waits)
{
    struct world world;
    struct keel_wal_credit credits[200] = {{0}};
    uint32_t taken = 0;
    keel_lsn lsn, end;

    world_create(&world, WORLD_RING_MIN, 1);
    world.options.buffer_bytes = 512 * 1024; /* so that it holds the whole ring */
    world_start(&world);
    while (keel_wal_credit_take(world.wal, &credits[taken], keel_wal_credit_bytes(5000, 3)) == 0)
        taken++;
    cr_assert_gt(taken, 10);

    /* Every group, in any order, with the worst padding in between: all fit. */
    uint64_t events = keel_sim_events(world.sim);
    for (uint32_t i = 0; i < taken; i++)
        cr_assert_eq(group_append_mark(&world, &credits[i], 0, 3, 5000 / 3, &lsn, &end), 0);
    cr_assert_eq(keel_sim_events(world.sim), events, "an append waited for the device");
    cr_assert_eq(keel_wal_commit(world.wal, end), 0);
    for (uint32_t i = 0; i < taken; i++)
        keel_wal_credit_put(world.wal, &credits[i]);
    world_destroy(&world);
}

Test(wal_append, W5_a_full_log_refuses_credit_until_it_is_truncated)
{
    struct world world;
    struct keel_wal_stats stats;
    int rc = 0;

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    for (uint32_t i = 0; rc == 0; i++) {
        rc = group_commit(&world, 1 + i % 3, 100 + i % 3000);
        cr_assert_lt(i, 1000);
    }
    cr_assert_eq(rc, KEEL_ELOGFULL);
    keel_wal_stats(world.wal, &stats);
    cr_assert_lt(stats.free_bytes, 4 * WAL_BLOCK);

    keel_lsn cut = keel_wal_cut(world.wal);
    cr_assert_eq(keel_wal_commit(world.wal, cut), 0);
    cr_assert_eq(keel_wal_truncate(world.ctx, world.wal, cut), 0);
    cr_assert_eq(group_commit(&world, 2, 3000), 0);
    world_destroy(&world);
}

Test(wal_append, a_cut_divides_groups_and_makes_the_old_mark_stale)
{
    struct world world;
    struct keel_wal_credit credit = {0};
    keel_lsn lsn, end;

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    cr_assert_eq(keel_wal_credit_take(world.wal, &credit, 8 * WAL_BLOCK), 0);
    for (uint32_t i = 0; i < 300; i++) { /* more often than the mark has values */
        uint32_t mark = keel_wal_mark(world.wal);

        if (i % 10 == 0)
            cr_assert_eq(group_append_mark(&world, &credit, mark, 1, 100, &lsn, &end), 0);
        keel_lsn before = keel_wal_tail(world.wal);
        keel_lsn cut = keel_wal_cut(world.wal);

        cr_assert_eq(cut, before);
        cr_assert_neq(keel_wal_mark(world.wal), mark);
        cr_assert_eq(group_append_mark(&world, &credit, mark, 1, 100, &lsn, &end), KEEL_ESTALE);
        if (i % 10 == 5) {
            mark = keel_wal_mark(world.wal);
            cr_assert_eq(group_append_mark(&world, &credit, mark, 1, 100, &lsn, &end), 0);
            cr_assert_geq(lsn, cut);
        }
        if (credit.bytes_private < 4 * WAL_BLOCK)
            cr_assert_eq(keel_wal_credit_take(world.wal, &credit, 4 * WAL_BLOCK), 0);
        if (i % 30 == 29) {
            cr_assert_eq(keel_wal_commit(world.wal, cut), 0);
            cr_assert_eq(keel_wal_truncate(world.ctx, world.wal, cut), 0);
        }
    }
    keel_wal_credit_put(world.wal, &credit);
    world_destroy(&world);
}

Test(wal_append, groups_longer_than_a_block_a_batch_and_the_buffer_go_through)
{
    static struct harvest harvest;
    struct world world;

    world_create(&world, 4 * WORLD_RING_MIN, 1);
    world_start(&world);
    cr_assert_eq(group_commit(&world, 1, 4000), 0);       /* into a second block */
    cr_assert_eq(group_commit(&world, 3, 9000), 0);       /* more than a batch */
    cr_assert_eq(group_commit(&world, 40, 5000), 0);      /* three times the buffer */
    cr_assert_eq(group_commit(&world, 1, 300 * 1024), 0); /* one record of that kind */
    cr_assert_eq(world_close(&world), 0);

    cr_assert_eq(world_open(&world), 0);
    cr_assert_eq(world_replay(&world, &harvest), 0);
    cr_assert_eq(harvest.groups, 4);
    cr_assert_eq(harvest.records, 45);
    world_destroy(&world);
}

Test(wal_append, records_begin_and_end_at_every_offset_of_a_block)
{
    static struct harvest harvest;
    struct world world;
    uint64_t groups = 0;

    world_create(&world, 8 * WORLD_RING_MIN, 1);
    world.options.buffer_bytes = 1u << 20;
    world_start(&world);
    /* 4064 = 8 * 508: records of 8 * k bytes, k prime to 508, walk over all places. */
    for (uint32_t len = 16; len < 1200; len += 56) {
        for (uint32_t i = 0; i < 30; i++, groups++)
            cr_assert_eq(group_append(&world, 1 + i % 4, len + i % 8), 0);
    }
    cr_assert_eq(keel_wal_commit(world.wal, world.last_end), 0);
    cr_assert_eq(world_close(&world), 0);

    cr_assert_eq(world_open(&world), 0);
    cr_assert_eq(world_replay(&world, &harvest), 0);
    cr_assert_eq(harvest.groups, groups);
    world_destroy(&world);
}
