/*
 * Goal: no thread's silence stops another (I6), and one that exits takes nothing with it.
 * Method: the silent one does its part and then waits for a semaphore, never calling keel.
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <string.h>

#include "tests/integration/fixture.h"

#define COLD 8u

struct silent {
    struct world *world;
    struct keel_ctx *ctx; /* its own */
    keel_pageno page, cold[COLD];
    struct keel_commit commit;
    sem_t ready, leave;
    bool exits;
    _Atomic int acked;
};

static void note_ack(struct keel_commit *commit)
{
    struct silent *silent = commit->user;

    silent->acked = commit->res == 0 ? 1 : 2;
}

/* A read, a write-back and a commit are started, and nothing of it is followed up. */
static void start_and_fall_silent(struct silent *silent)
{
    struct world *world = silent->world;
    struct keel_tx *tx;

    expect_ok(keel_tx_begin(silent->ctx, world->store, NULL, &tx));
    expect_ok(keel_tx_write(tx, silent->page, 0, "silent", 7));
    int started = keel_pagecache_writeback(silent->ctx, keel_store_cache(world->store),
                                           KEEL_LSN_MAX, 0, false);
    cr_assert(started >= 0 || started == KEEL_PENDING, "%s", keel_err_name(started));
    cr_assert_geq(
        keel_page_prefetch(silent->ctx, keel_store_space(world->store), silent->cold, COLD), 0);
    silent->commit = (struct keel_commit){.done = note_ack, .user = silent};
    expect_ok(keel_tx_commit_async(tx, &silent->commit));
}

static void *silent_main(void *arg)
{
    struct silent *silent = arg;

    silent->ctx = world_new_ctx(silent->world);
    cr_assert(silent->ctx);
    start_and_fall_silent(silent);
    sem_post(&silent->ready);
    if (silent->exits)
        return NULL; /* the context is closed by the other thread */
    sem_wait(&silent->leave);
    while (!silent->acked)
        cr_assert_geq(keel_ctx_poll(silent->ctx, 0, 10000000), 0);
    keel_ctx_close(silent->ctx);
    return NULL;
}

/* Pages that are on the device and not in memory, and some that are dirty. */
static void prepare(struct silent *silent)
{
    struct world *world = silent->world;

    world_open(world);
    for (unsigned i = 0; i < COLD; i++)
        silent->cold[i] = put_page(world, "cold");
    silent->page = put_page(world, "loud");
    world_close(world);
    world_open(world);
    expect_page(world, silent->page, "loud");
    for (unsigned i = 0; i < 6; i++)
        put_page(world, "dirty");
}

/* Everything that the silent thread may have left in flight is needed here. */
static void go_on(struct silent *silent)
{
    struct world *world = silent->world;

    for (unsigned i = 0; i < COLD; i++)
        expect_page(world, silent->cold[i], "cold");
    expect_page(world, silent->page, "silent");
    set_page(world, silent->cold[0], "loud");
    expect_ok(keel_checkpoint(world->ctx, world->store));
    cr_assert_geq(keel_wal_durable(keel_store_wal(world->store)), silent->commit.lsn);
    cr_assert_eq(keel_pagecache_rec_lsn_min(keel_store_cache(world->store)), KEEL_LSN_MAX);
    cr_assert_eq(keel_state(world->store), KEEL_RUNNING);
}

static void silent_thread(struct world *world)
{
    struct silent silent = {.world = world};
    pthread_t thread;

    if (world->sim) {
        /* One thread: the other's context is simply never polled. */
        prepare(&silent);
        silent.ctx = world_new_ctx(world);
        start_and_fall_silent(&silent);
        go_on(&silent);
        while (!silent.acked)
            cr_assert_geq(keel_ctx_poll(silent.ctx, 0, -1), 0);
        keel_ctx_close(silent.ctx);
        return;
    }
    prepare(&silent);
    sem_init(&silent.ready, 0, 0);
    sem_init(&silent.leave, 0, 0);
    cr_assert_eq(pthread_create(&thread, NULL, silent_main, &silent), 0);
    sem_wait(&silent.ready);
    go_on(&silent);
    sem_post(&silent.leave);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(silent.acked, 1);
}

Test(threads, I6_a_thread_that_falls_silent_stops_nobody, .timeout = 60)
{
    for_each_variant(silent_thread);
}

/* The read that the silent thread began is what a client that never waits needs. */
static void go_on_nowait(struct silent *silent)
{
    struct world *world = silent->world;
    uint64_t checkpoints = info_of(world).checkpoints;

    for (unsigned i = 0; i < COLD; i++) {
        struct keel_tx *tx = begin_nowait(world);
        int rc = KEEL_PENDING;

        for (unsigned turn = 0; turn < 2000 && rc == KEEL_PENDING; turn++) {
            rc = keel_tx_page(tx, silent->cold[i], NULL);
            cr_assert_geq(keel_tick(world->ctx, world->store), 0);
            cr_assert_geq(keel_ctx_poll(world->ctx, 0, 1000000), 0);
        }
        expect_ok(rc);
        keel_tx_abort(tx);
    }
    /* And its write-back is what a checkpoint made by ticks alone waits for. */
    for (unsigned turn = 0; turn < 2000 && info_of(world).checkpoints == checkpoints; turn++) {
        cr_assert_geq(keel_tick(world->ctx, world->store), 0);
        cr_assert_geq(keel_ctx_poll(world->ctx, 0, 1000000), 0);
    }
    cr_assert_gt(info_of(world).checkpoints, checkpoints);
    go_on(silent);
}

static void silent_for_nowait(struct world *world)
{
    struct silent silent = {.world = world};
    pthread_t thread;

    if (world->sim || world->background == KEEL_THREADS)
        return; /* one clock moves all contexts; one thread may wait */
    world->options.checkpoint_bytes = 4096;
    prepare(&silent);
    sem_init(&silent.ready, 0, 0);
    sem_init(&silent.leave, 0, 0);
    cr_assert_eq(pthread_create(&thread, NULL, silent_main, &silent), 0);
    sem_wait(&silent.ready);
    go_on_nowait(&silent);
    sem_post(&silent.leave);
    cr_assert_eq(pthread_join(thread, NULL), 0);
}

Test(threads, I6_a_client_that_never_waits_is_not_stopped_by_a_silent_thread, .timeout = 60)
{
    for_each_variant(silent_for_nowait);
}

static void exiting_thread(struct world *world)
{
    struct silent silent = {.world = world, .exits = true};
    pthread_t thread;

    if (world->sim)
        return;
    prepare(&silent);
    sem_init(&silent.ready, 0, 0);
    cr_assert_eq(pthread_create(&thread, NULL, silent_main, &silent), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    go_on(&silent);
    keel_ctx_close(silent.ctx);
    world_close(world);
    world_open(world);
    expect_page(world, silent.page, "silent");
}

Test(threads, one_that_exits_right_after_an_asynchronous_commit_leaves_the_store_running,
     .timeout = 60)
{
    for_each_variant(exiting_thread);
}

/* ------------------------------------------------------------------ many at once */

#define WRITERS 6u
#define ROUNDS  60u

struct writer {
    struct world *world;
    keel_pageno *pages;
    unsigned id;
};

/* Moves one unit from a page to another, so the sum over all pages stays what it was. */
static int move_unit(struct keel_ctx *ctx, struct keel_store *store, keel_pageno from,
                     keel_pageno to)
{
    keel_pageno order[2] = {from < to ? from : to, from < to ? to : from};
    const void *bytes[2];
    int64_t value[2];
    struct keel_tx *tx;

    int rc = keel_tx_begin(ctx, store, NULL, &tx);
    if (rc)
        return rc;
    for (unsigned i = 0; i < 2 && rc == 0; i++)
        rc = keel_tx_page(tx, order[i], &bytes[i]);
    for (unsigned i = 0; i < 2 && rc == 0; i++) {
        memcpy(&value[i], bytes[i], sizeof(value[i]));
        value[i] += order[i] == from ? -1 : 1;
        rc = keel_tx_write(tx, order[i], 0, &value[i], sizeof(value[i]));
    }
    if (rc) {
        keel_tx_abort(tx);
        return rc;
    }
    return keel_tx_commit(tx, NULL);
}

static void *writer_main(void *arg)
{
    struct writer *writer = arg;
    struct world *world = writer->world;
    struct keel_ctx *ctx = world_new_ctx(world);

    cr_assert(ctx);
    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned from = (writer->id * 7 + i) % COLD, to = (writer->id + i * 3 + 1) % COLD;
        if (from == to)
            continue;
        expect_ok(move_unit(ctx, world->store, writer->pages[from], writer->pages[to]));
        if (i % 20 == 19)
            expect_ok(keel_checkpoint(ctx, world->store));
    }
    keel_ctx_close(ctx);
    return NULL;
}

static void sum_stays(struct world *world)
{
    struct writer writers[WRITERS];
    pthread_t threads[WRITERS];
    keel_pageno pages[COLD];

    if (world->sim)
        return;
    world_open(world);
    for (unsigned i = 0; i < COLD; i++)
        pages[i] = put_page(world, "");
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.world = world, .pages = pages, .id = i};
        cr_assert_eq(pthread_create(&threads[i], NULL, writer_main, &writers[i]), 0);
    }
    for (unsigned i = 0; i < WRITERS; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    world_close(world);

    world_open(world);
    int64_t sum = 0;
    for (unsigned i = 0; i < COLD; i++) {
        struct keel_page page;
        int64_t value;
        expect_ok(keel_read(world->ctx, world->store, pages[i], 0, &page));
        memcpy(&value, page.data, sizeof(value));
        sum += value;
        keel_page_unfix(&page);
    }
    cr_assert_eq(sum, 0);
}

Test(threads, transactions_of_many_threads_are_each_whole, .timeout = 120)
{
    for_each_variant(sum_stays);
}

/* ------------------------------------------------------------------ log space of others */

struct waiter {
    struct world *world;
    uint64_t log_bytes;
    _Atomic int begun;
    int rc;
};

static void *waiter_main(void *arg)
{
    struct waiter *waiter = arg;
    struct keel_tx_options options = KEEL_TX_OPTIONS_DEFAULT;
    struct keel_ctx *ctx = world_new_ctx(waiter->world);
    struct keel_tx *tx;

    options.log_bytes = waiter->log_bytes;
    waiter->begun = 1;
    waiter->rc = keel_tx_begin(ctx, waiter->world->store, &options, &tx);
    if (waiter->rc == 0)
        keel_tx_abort(tx);
    keel_ctx_close(ctx);
    return NULL;
}

#define HOLDERS 64u

/* Transactions with the largest credit that may be asked for, until no more fit. */
static unsigned fill_log_space(struct world *world, struct keel_tx *txs[HOLDERS],
                               uint64_t *ret_bytes)
{
    struct keel_tx_options options = KEEL_TX_OPTIONS_DEFAULT;
    unsigned count = 0;
    int rc;

    options.nowait = true;
    options.log_bytes = world->options.log_bytes;
    while ((rc = keel_tx_begin(world->ctx, world->store, &options, &txs[count])) != KEEL_PENDING) {
        if (rc == KEEL_ETXSIZE) {
            options.log_bytes -= 4096;
            continue;
        }
        expect_ok(rc);
        count++;
        cr_assert_lt(count, HOLDERS);
    }
    *ret_bytes = options.log_bytes;
    return count;
}

static void begin_waits(struct world *world)
{
    struct waiter waiter = {.world = world};
    struct keel_tx *txs[HOLDERS];
    pthread_t thread;

    if (world->sim)
        return;
    world_open(world);
    expect_ok(keel_checkpoint(world->ctx, world->store)); /* another one would free nothing */
    unsigned count = fill_log_space(world, txs, &waiter.log_bytes);
    cr_assert_gt(count, 0);
    cr_assert_eq(pthread_create(&thread, NULL, waiter_main, &waiter), 0);
    /* Long enough, as a rule, for it to find the log full; it must come through either way. */
    for (unsigned i = 0; i < 5000 || !waiter.begun; i++)
        sched_yield();
    while (count > 0)
        keel_tx_abort(txs[--count]);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    expect_ok(waiter.rc);
    world_close(world);
}

Test(threads, begin_waits_for_log_space_that_another_thread_holds, .timeout = 60)
{
    for_each_variant(begin_waits);
}
