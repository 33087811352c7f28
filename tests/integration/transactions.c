/*
 * Goal: transactions do what keel/engine.h says, on every method.
 * Method: small stores; where two clients meet, both are in one thread, with the nowait form.
 */
#include <string.h>

#include "base/mem.h"
#include "tests/integration/fixture.h"

static void survives(struct world *world)
{
    world_open(world);
    keel_pageno first = put_page(world, "first");
    keel_pageno second = put_page(world, "second");
    set_page(world, first, "changed");
    world_close(world);

    world_open(world);
    expect_page(world, first, "changed");
    expect_page(world, second, "second");
    cr_assert_eq(info_of(world).pages_allocated, 2);
    cr_assert_eq(info_of(world).recovered_groups, 0);
}

Test(transactions, committed_changes_are_there_after_closing_and_opening, .timeout = 60)
{
    for_each_variant(survives);
}

static void abort_restores(struct world *world)
{
    world_open(world);
    keel_pageno page = put_page(world, "kept");
    struct keel_tx *tx = begin(world);
    keel_pageno given_up;

    expect_ok(keel_tx_write(tx, page, 0, "dropped", 8));
    expect_ok(keel_tx_write(tx, page, 4000, "x", 1));
    expect_ok(keel_tx_alloc(tx, &given_up));
    keel_tx_abort(tx);

    expect_page(world, page, "kept");
    cr_assert_eq(info_of(world).pages_allocated, 1);
    cr_assert_eq(info_of(world).tx_aborted, 1);
    cr_assert_eq(put_page(world, "again"), given_up);
}

Test(transactions, abort_puts_back_what_was_there, .timeout = 60)
{
    for_each_variant(abort_restores);
}

static void frees(struct world *world)
{
    world_open(world);
    keel_pageno page = put_page(world, "a");
    keel_pageno other = put_page(world, "b");
    struct keel_tx *tx = begin(world);
    expect_ok(keel_tx_write(tx, page, 0, "z", 2));
    expect_ok(keel_tx_free(tx, page));
    expect_rc(keel_tx_free(tx, page), KEEL_ENOPAGE);
    expect_rc(keel_tx_write(tx, page, 0, "z", 2), KEEL_ENOPAGE);
    expect_ok(keel_tx_commit(tx, NULL));

    cr_assert_eq(info_of(world).pages_allocated, 1);
    tx = begin(world);
    expect_rc(keel_tx_free(tx, page), KEEL_ENOPAGE);
    keel_tx_abort(tx);
    cr_assert_eq(put_page(world, "c"), page, "a durably freed page is used again");
    world_close(world);

    world_open(world);
    expect_page(world, page, "c");
    expect_page(world, other, "b");
    cr_assert_eq(info_of(world).pages_allocated, 2);
}

Test(transactions, a_freed_page_is_free_once_and_used_again, .timeout = 60)
{
    for_each_variant(frees);
}

static void alloc_then_free(struct world *world)
{
    world_open(world);
    struct keel_tx *tx = begin(world);
    keel_pageno page, kept;
    expect_ok(keel_tx_alloc(tx, &page));
    expect_ok(keel_tx_alloc(tx, &kept));
    expect_ok(keel_tx_free(tx, page));
    expect_rc(keel_tx_page(tx, page, NULL), KEEL_ENOPAGE);
    expect_ok(keel_tx_commit(tx, NULL));

    cr_assert_eq(info_of(world).pages_allocated, 1);
    cr_assert_eq(put_page(world, "x"), page);
    uint64_t pages;
    expect_rc(keel_check(world->ctx, world->store, NULL, NULL, &pages), 0);
    cr_assert_eq(pages, 2);
}

Test(transactions, a_page_allocated_and_freed_in_one_is_as_if_never_allocated, .timeout = 60)
{
    for_each_variant(alloc_then_free);
}

static void reads_own(struct world *world)
{
    world_open(world);
    struct keel_tx *tx = begin(world);
    const void *bytes;
    keel_pageno page;

    expect_ok(keel_tx_alloc(tx, &page));
    expect_ok(keel_tx_page(tx, page, &bytes));
    cr_assert_eq(((const char *)bytes)[17], 0);
    expect_ok(keel_tx_write(tx, page, 17, "k", 1));
    cr_assert_eq(((const char *)bytes)[17], 'k');
    expect_rc(keel_tx_write(tx, page, 4096 - 32, "k", 1), KEEL_ERANGE);
    expect_rc(keel_tx_write(tx, page, 4000, "k", 65), KEEL_ERANGE);
    expect_rc(keel_tx_page(tx, 0, NULL), KEEL_ERANGE);
    expect_rc(keel_tx_page(tx, 1u << 30, NULL), KEEL_ERANGE);
    expect_rc(keel_tx_page(tx, page + 5, NULL), KEEL_ENOPAGE);
    expect_ok(keel_tx_commit(tx, NULL));
}

Test(transactions, a_transaction_sees_its_own_changes_and_refuses_what_is_out_of_range,
     .timeout = 60)
{
    for_each_variant(reads_own);
}

static void order(struct world *world)
{
    world_open(world);
    keel_pageno low = put_page(world, "low"), high = put_page(world, "high");
    cr_assert_lt(low, high);

    struct keel_tx *first = begin(world), *second = begin(world);
    expect_ok(keel_tx_page(first, low, NULL));
    expect_ok(keel_tx_page(second, high, NULL));
    expect_rc(keel_tx_page(second, low, NULL), KEEL_EDEADLK);
    keel_tx_abort(second);
    expect_ok(keel_tx_page(first, high, NULL));
    keel_tx_abort(first);

    /* Out of order is fine as long as nobody else holds the page. */
    first = begin(world);
    expect_ok(keel_tx_page(first, high, NULL));
    expect_ok(keel_tx_page(first, low, NULL));
    keel_tx_abort(first);
}

Test(transactions, out_of_order_a_page_held_elsewhere_is_a_deadlock_error, .timeout = 60)
{
    for_each_variant(order);
}

static void nowait_conflict(struct world *world)
{
    world_open(world);
    keel_pageno low = put_page(world, "low"), high = put_page(world, "high");
    struct keel_tx *first = begin_nowait(world), *second = begin_nowait(world);

    expect_ok(keel_tx_page(second, low, NULL));
    expect_ok(keel_tx_write(first, high, 0, "1", 2));
    expect_rc(keel_tx_write(second, high, 0, "2", 2), KEEL_PENDING);
    expect_rc(keel_tx_write(second, high, 0, "2", 2), KEEL_PENDING);
    expect_ok(keel_tx_commit(first, NULL));
    expect_ok(keel_tx_write(second, high, 0, "2", 2));
    expect_ok(keel_tx_commit(second, NULL));
    expect_page(world, high, "2");
}

Test(transactions, a_nowait_call_is_pending_until_the_other_transaction_ends, .timeout = 60)
{
    for_each_variant(nowait_conflict);
}

struct acks {
    struct keel_commit commit[64];
    unsigned count;
    keel_lsn last;
    int res;
};

static void note_ack(struct keel_commit *commit)
{
    struct acks *acks = commit->user;

    cr_assert_gt(commit->lsn, acks->last, "W2: in LSN order within a context");
    acks->last = commit->lsn;
    acks->res |= commit->res;
    acks->count++;
}

static void asynchronous(struct world *world)
{
    struct acks acks = {.count = 0};

    world_open(world);
    keel_pageno page = put_page(world, "start");
    for (unsigned i = 0; i < 64; i++) {
        struct keel_tx *tx = begin(world);
        acks.commit[i] = (struct keel_commit){.done = note_ack, .user = &acks};
        expect_ok(keel_tx_write(tx, page, i * 8, &i, sizeof(i)));
        expect_ok(keel_tx_commit_async(tx, &acks.commit[i]));
    }
    while (acks.count < 64)
        cr_assert_geq(keel_ctx_poll(world->ctx, 0, 100000000), 0);

    cr_assert_eq(acks.res, 0);
    cr_assert_geq(keel_wal_durable(keel_store_wal(world->store)), acks.last); /* W1 */
}

Test(transactions, asynchronous_commits_are_answered_in_order, .timeout = 60)
{
    for_each_variant(asynchronous);
}

static void commit_at(struct world *world, keel_pageno page, const char *text,
                      enum keel_level level)
{
    struct keel_tx_options options = KEEL_TX_OPTIONS_DEFAULT;
    struct keel_wal *wal = keel_store_wal(world->store);
    struct keel_tx *tx;
    keel_lsn end;

    options.level = level;
    expect_ok(keel_tx_begin(world->ctx, world->store, &options, &tx));
    expect_ok(keel_tx_write(tx, page, 0, text, (uint32_t)strlen(text) + 1));
    expect_ok(keel_tx_commit(tx, &end));
    if (level == KEEL_LEVEL_DURABLE)
        cr_assert_geq(keel_wal_durable(wal), end);
    if (level == KEEL_LEVEL_WRITTEN)
        cr_assert_geq(keel_wal_written(wal), end);
    cr_assert_geq(keel_wal_tail(wal), end);
}

static void levels(struct world *world)
{
    struct keel_tx_options options = KEEL_TX_OPTIONS_DEFAULT;
    struct keel_wal_stats before, after;
    struct acks acks = {.count = 0};
    struct keel_tx *tx;

    world_open(world);
    keel_pageno page = put_page(world, "start");
    options.level = (enum keel_level)3;
    cr_assert_eq(keel_tx_begin(world->ctx, world->store, &options, &tx), KEEL_EOPTION);

    keel_wal_stats(keel_store_wal(world->store), &before);
    for (unsigned i = 0; i < 10; i++)
        commit_at(world, page, "none", KEEL_LEVEL_NONE);
    keel_wal_stats(keel_store_wal(world->store), &after);
    cr_assert_eq(after.writes, before.writes);
    expect_page(world, page, "none");
    commit_at(world, page, "written", KEEL_LEVEL_WRITTEN);
    commit_at(world, page, "durable", KEEL_LEVEL_DURABLE);

    /* The level of an asynchronous commit is its transaction's. */
    options.level = KEEL_LEVEL_WRITTEN;
    expect_ok(keel_tx_begin(world->ctx, world->store, &options, &tx));
    expect_ok(keel_tx_write(tx, page, 0, "async", 6));
    acks.commit[0] = (struct keel_commit){.done = note_ack, .user = &acks};
    expect_ok(keel_tx_commit_async(tx, &acks.commit[0]));
    cr_assert_eq(acks.commit[0].level, KEEL_LEVEL_WRITTEN);
    while (acks.count < 1)
        cr_assert_geq(keel_ctx_poll(world->ctx, 0, 100000000), 0);
    cr_assert_eq(acks.res, 0);
    world_close(world); /* makes all of it durable */
    world_open(world);
    expect_page(world, page, "async");
}

Test(transactions, commit_waits_for_what_its_level_says, .timeout = 60)
{
    for_each_variant(levels);
}

static void empty(struct world *world)
{
    struct acks acks = {.count = 0};

    world_open(world);
    keel_pageno page = put_page(world, "x");
    keel_lsn tail = keel_wal_tail(keel_store_wal(world->store)), lsn = 0;
    struct keel_tx *tx = begin(world);
    expect_ok(keel_tx_page(tx, page, NULL));
    expect_ok(keel_tx_write(tx, page, 0, "", 0));
    expect_ok(keel_tx_commit(tx, &lsn));
    cr_assert_gt(lsn, 0, "the end of the newest change it has seen");
    cr_assert_leq(lsn, keel_wal_durable(keel_store_wal(world->store)));

    tx = begin(world);
    acks.commit[0] = (struct keel_commit){.done = note_ack, .user = &acks};
    expect_ok(keel_tx_commit_async(tx, &acks.commit[0]));
    while (acks.count < 1)
        cr_assert_geq(keel_ctx_poll(world->ctx, 0, 100000000), 0);
    cr_assert_eq(keel_wal_tail(keel_store_wal(world->store)), tail, "nothing was logged");
}

Test(transactions, one_that_wrote_nothing_commits_without_logging, .timeout = 60)
{
    for_each_variant(empty);
}

static void too_large(struct world *world)
{
    world->options.cache_bytes = 256u * 4096u;
    world_open(world);
    keel_pageno pages[40];
    for (unsigned i = 0; i < 40; i++)
        pages[i] = put_page(world, "small");

    struct keel_tx_options options = KEEL_TX_OPTIONS_DEFAULT;
    struct keel_tx *tx;
    options.log_bytes = 256u << 10;
    expect_rc(keel_tx_begin(world->ctx, world->store, &options, &tx), KEEL_ETXSIZE);

    char bytes[4000];
    memset(bytes, 'B', sizeof(bytes));
    bytes[sizeof(bytes) - 1] = '\0';
    options.log_bytes = 8192;
    expect_ok(keel_tx_begin(world->ctx, world->store, &options, &tx));
    int rc = 0;
    unsigned done = 0;
    for (; done < 40 && rc == 0; done++)
        rc = keel_tx_write(tx, pages[done], 0, bytes, sizeof(bytes));
    cr_assert_eq(rc, KEEL_ETXSIZE, "%s after %u pages", keel_err_name(rc), done);
    cr_assert_gt(done, 2, "it grew without waiting as long as there was room");
    keel_tx_abort(tx);
    for (unsigned i = 0; i < 40; i++)
        expect_page(world, pages[i], "small");
    set_page(world, pages[3], "goes on");
}

Test(transactions, one_that_outgrows_the_log_is_told_so_and_can_be_aborted, .timeout = 60)
{
    for_each_variant(too_large);
}

static void pool(struct world *world)
{
    struct keel_tx *tx[16], *more;

    world->options.tx_bytes = 8192;
    world_open(world);
    for (unsigned i = 0; i < 16; i++)
        tx[i] = begin(world);
    expect_rc(keel_tx_begin(world->ctx, world->store, NULL, &more), KEEL_EFULL);
    for (unsigned i = 0; i < 16; i++)
        keel_tx_abort(tx[i]);
    keel_tx_abort(begin(world));
}

Test(transactions, no_more_are_open_at_once_than_the_option_says, .timeout = 60)
{
    for_each_variant(pool);
}

/* Many ranges in one page, more than are kept apart. */
static void scattered(struct world *world)
{
    world_open(world);
    keel_pageno page = put_page(world, "");
    for (unsigned round = 0; round < 20; round++) {
        struct keel_tx *tx = begin(world);
        for (unsigned i = 0; i < 40; i++) {
            unsigned char byte = (unsigned char)(round + i);
            expect_ok(keel_tx_write(tx, page, (i * 997 + round * 13) % 4064, &byte, 1));
        }
        expect_ok(keel_tx_commit(tx, NULL));
    }
    struct keel_page before;
    unsigned char bytes[4064];
    expect_ok(keel_read(world->ctx, world->store, page, 0, &before));
    memcpy(bytes, before.data, sizeof(bytes));
    keel_page_unfix(&before);
    world_close(world);

    world_open(world);
    expect_ok(keel_read(world->ctx, world->store, page, 0, &before));
    cr_assert_arr_eq(bytes, before.data, sizeof(bytes));
    keel_page_unfix(&before);
}

Test(transactions, many_small_changes_of_a_page_are_all_kept, .timeout = 60)
{
    for_each_variant(scattered);
}

static void no_allocations(struct world *world)
{
    world_open(world);
    keel_pageno pages[50];
    for (unsigned i = 0; i < 50; i++)
        pages[i] = put_page(world, "x");
    uint64_t before = mem_alloc_count();

    mem_seal();
    for (unsigned i = 0; i < 500; i++)
        set_page(world, pages[i * 7 % 50], "y");
    keel_pageno page = put_page(world, "z");
    expect_page(world, page, "z");
    expect_ok(keel_checkpoint(world->ctx, world->store));
    mem_unseal();

    if (world->method != KEEL_METHOD_SIM) /* the simulated devices themselves do allocate */
        cr_assert_eq(mem_alloc_count(), before);
}

Test(transactions, nothing_is_allocated_after_open, .timeout = 60)
{
    for_each_variant(no_allocations);
}
