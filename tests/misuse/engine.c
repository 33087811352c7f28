/*
 * Misuse of transactions and stores traps at once, where it happens.
 */
#include <signal.h>
#include <string.h>

#include <criterion/criterion.h>
#include <keel/keel.h>

struct fixture {
    struct keel_sim *sim;
    struct keel_ctx *ctx;
    struct keel_store *store;
};

static struct fixture open_store(void)
{
    struct keel_ctx_options ctx_options = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_options options = KEEL_OPTIONS_DEFAULT;
    struct fixture out;

    cr_assert_eq(keel_sim_create(NULL, &out.sim), 0);
    ctx_options.method = KEEL_METHOD_SIM;
    ctx_options.sim = out.sim;
    cr_assert_eq(keel_ctx_open(&ctx_options, &out.ctx), 0);
    options.method = KEEL_METHOD_SIM;
    options.sim = out.sim;
    options.background = KEEL_MANUAL;
    options.log_bytes = 1u << 20;
    options.space_bytes = 1u << 20;
    options.log_buffer_bytes = 64u << 10;
    options.cache_bytes = 1u << 20;
    cr_assert_eq(keel_open(out.ctx, "db", &options, NULL, &out.store), 0);
    return out;
}

static struct keel_tx *begin(struct fixture *fixture)
{
    struct keel_tx *tx;

    cr_assert_eq(keel_tx_begin(fixture->ctx, fixture->store, NULL, &tx), 0);
    return tx;
}

Test(misuse_engine, closing_with_an_open_transaction, .signal = SIGILL)
{
    struct fixture fixture = open_store();

    begin(&fixture);
    (void)keel_close(fixture.ctx, fixture.store);
}

Test(misuse_engine, using_a_transaction_after_its_commit, .signal = SIGILL)
{
    struct fixture fixture = open_store();
    struct keel_tx *tx = begin(&fixture);
    keel_pageno page;

    cr_assert_eq(keel_tx_alloc(tx, &page), 0);
    cr_assert_eq(keel_tx_commit(tx, NULL), 0);
    (void)!keel_tx_write(tx, page, 0, "late", 4);
}

Test(misuse_engine, ending_a_transaction_twice, .signal = SIGILL)
{
    struct fixture fixture = open_store();
    struct keel_tx *tx = begin(&fixture);

    keel_tx_abort(tx);
    keel_tx_abort(tx);
}

Test(misuse_engine, an_asynchronous_commit_without_a_callback, .signal = SIGILL)
{
    struct fixture fixture = open_store();
    struct keel_commit commit = {.done = NULL};

    (void)!keel_tx_commit_async(begin(&fixture), &commit);
}

Test(misuse_engine, redo_reads_from_outside, .signal = SIGILL)
{
    struct fixture fixture = open_store();
    struct keel_page page;

    (void)!keel_read(fixture.ctx, fixture.store, 1, KEEL_FIX_REDO, &page);
}
