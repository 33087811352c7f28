/*
 * Many threads on one store, for ThreadSanitizer: transactions that move units between pages,
 * readers that must see each page whole, allocation and freeing, checkpoints, ticks, and the
 * background thread. Afterwards the sum over all pages is what it was, also after opening again.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <keel/keel.h>

#include "base/assert.h"
#include "base/prng.h"
#include "tests/support/tmpdir.h"

#define PAGES   24u
#define WRITERS 4u
#define ROUNDS  150u

static struct keel_store *store;
static keel_pageno pages[PAGES];
static _Atomic unsigned running;

#define MUST(expr)                                                                               \
    do {                                                                                         \
        int must_ = (expr);                                                                      \
        if (must_ != 0) {                                                                        \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #expr, keel_err_name(must_)); \
            exit(1);                                                                             \
        }                                                                                        \
    } while (0)

static struct keel_ctx *open_ctx(void)
{
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_ctx *ctx;

    options.depth = 64;
    MUST(keel_ctx_open(&options, &ctx));
    return ctx;
}

/* A page is its value, twice; a reader that finds two different ones has seen half a change. */
static int64_t value_of(const void *bytes)
{
    int64_t both[2];

    memcpy(&both[0], bytes, 8);
    memcpy(&both[1], (const char *)bytes + 2000, 8);
    if (both[0] != both[1]) {
        fprintf(stderr, "torn: %lld and %lld\n", (long long)both[0], (long long)both[1]);
        exit(1);
    }
    return both[0];
}

static int add(struct keel_tx *tx, keel_pageno page, int64_t by)
{
    const void *bytes;

    int rc = keel_tx_page(tx, page, &bytes);
    if (rc)
        return rc;
    int64_t value = value_of(bytes) + by;
    rc = keel_tx_write(tx, page, 0, &value, 8);
    return rc ? rc : keel_tx_write(tx, page, 2000, &value, 8);
}

static void count_ack(struct keel_commit *commit)
{
    MUST(commit->res);
    ++*(unsigned *)commit->user;
}

/* Out of order half of the time, so that refusals happen. */
static void transfer(struct keel_ctx *ctx, struct prng *prng, struct keel_commit *commit)
{
    for (;;) {
        unsigned from = (unsigned)prng_below(prng, PAGES), to = (unsigned)prng_below(prng, PAGES);
        struct keel_tx *tx;

        if (from == to)
            continue;
        MUST(keel_tx_begin(ctx, store, NULL, &tx));
        int rc = add(tx, pages[from], -1);
        if (rc == 0)
            rc = add(tx, pages[to], 1);
        if (rc == 0) {
            MUST(commit ? keel_tx_commit_async(tx, commit) : keel_tx_commit(tx, NULL));
            return;
        }
        keel_tx_abort(tx);
        if (rc != KEEL_EDEADLK)
            MUST(rc);
    }
}

static void allocate(struct keel_ctx *ctx, struct prng *prng)
{
    keel_pageno page;
    struct keel_tx *tx;

    MUST(keel_tx_begin(ctx, store, NULL, &tx));
    MUST(keel_tx_alloc(tx, &page));
    if (prng_chance(prng, 1, 4)) {
        keel_tx_abort(tx);
        return;
    }
    MUST(keel_tx_commit(tx, NULL));
    MUST(keel_tx_begin(ctx, store, NULL, &tx));
    MUST(keel_tx_free(tx, page));
    MUST(keel_tx_commit(tx, NULL));
}

static void *writer(void *arg)
{
    struct keel_commit commits[8];
    struct keel_ctx *ctx = open_ctx();
    unsigned sent = 0, acked = 0;
    struct prng prng;

    prng_seed(&prng, *(unsigned *)arg);
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (i % 10 == 9)
            allocate(ctx, &prng);
        if (i % 3 == 0 && sent - acked < 8) {
            struct keel_commit *commit = &commits[sent++ % 8];
            *commit = (struct keel_commit){.done = count_ack, .user = &acked};
            transfer(ctx, &prng, commit);
        } else {
            transfer(ctx, &prng, NULL);
        }
        keel_ignore(keel_ctx_poll(ctx, 0, 0), "counted by the callback");
        if (i % 50 == 25)
            MUST(keel_checkpoint(ctx, store));
    }
    while (acked < sent)
        keel_ignore(keel_ctx_poll(ctx, 0, 10000000), "counted by the callback");
    keel_ctx_close(ctx);
    running--;
    return NULL;
}

static void *reader(void *arg)
{
    struct keel_ctx *ctx = open_ctx();
    struct prng prng;

    prng_seed(&prng, *(unsigned *)arg);
    while (running > 0) {
        struct keel_page page;
        MUST(keel_read(ctx, store, pages[prng_below(&prng, PAGES)], 0, &page));
        value_of(page.data);
        keel_page_unfix(&page);
        int rc = keel_tick(ctx, store);
        if (rc < 0)
            MUST(rc);
        keel_ignore(keel_ctx_poll(ctx, 0, 0), "nothing is expected");
    }
    keel_ctx_close(ctx);
    return NULL;
}

static void make_pages(struct keel_ctx *ctx)
{
    for (unsigned i = 0; i < PAGES; i++) {
        struct keel_tx *tx;
        MUST(keel_tx_begin(ctx, store, NULL, &tx));
        MUST(keel_tx_alloc(tx, &pages[i]));
        MUST(keel_tx_commit(tx, NULL));
    }
}

static void check_sum(struct keel_ctx *ctx)
{
    int64_t sum = 0;

    for (unsigned i = 0; i < PAGES; i++) {
        struct keel_page page;
        MUST(keel_read(ctx, store, pages[i], 0, &page));
        sum += value_of(page.data);
        keel_page_unfix(&page);
    }
    if (sum != 0) {
        fprintf(stderr, "the sum is %lld\n", (long long)sum);
        exit(1);
    }
}

int main(void)
{
    struct keel_options options = KEEL_OPTIONS_DEFAULT;
    pthread_t threads[WRITERS + 1];
    unsigned seeds[WRITERS + 1];
    struct keel_store_info info;
    struct tmpdir dir;
    char path[600];

    tmpdir_create(&dir);
    struct keel_ctx *ctx = open_ctx();
    options.log_bytes = 2u << 20;
    options.space_bytes = 1u << 20;
    options.cache_bytes = 32u * 4096u; /* so that pages come and go */
    options.log_buffer_bytes = 256u << 10;
    options.sync = KEEL_SYNC_DSYNC;
    MUST(keel_open(ctx, tmpdir_join(&dir, "db", path, sizeof(path)), &options, NULL, &store));
    make_pages(ctx);

    running = WRITERS;
    for (unsigned i = 0; i <= WRITERS; i++) {
        seeds[i] = i + 1;
        MUST(-pthread_create(&threads[i], NULL, i < WRITERS ? writer : reader, &seeds[i]));
    }
    for (unsigned i = 0; i <= WRITERS; i++)
        MUST(-pthread_join(threads[i], NULL));

    check_sum(ctx);
    keel_store_info(store, &info);
    MUST(keel_close(ctx, store));
    MUST(keel_open(ctx, path, &options, NULL, &store));
    check_sum(ctx);
    MUST(keel_close(ctx, store));
    keel_ctx_close(ctx);
    tmpdir_destroy(&dir);
    printf("store: %llu transactions, %llu aborted, %llu checkpoints, sum 0\n",
           (unsigned long long)info.tx_committed, (unsigned long long)info.tx_aborted,
           (unsigned long long)info.checkpoints);
    return 0;
}
