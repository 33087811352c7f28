/*
 * Everything at once in one cache that is far too small: pages fixed and changed, read ahead and
 * scanned, evicted, written back and flushed, while spaces are opened, truncated and dropped, and
 * the cache is made larger and smaller.
 *
 * Each worker has a space of its own, of its own page size, that it fills, checks, truncates and
 * drops, over and over, and between that adds to counters in a space that all share. Beside them
 * one thread evicts and dumps, one writes back with a log that is never behind and scrubs, one
 * scans the shared space through streams, one resizes. At the end the counters in the shared space
 * are the number of additions, and no frame is missing.
 *
 * KEEL_SECONDS=N: go on for so long instead of a few rounds.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <keel/pagecache.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/prng.h"
#include "tests/support/space.h"
#include "tests/support/tmpdir.h"

#define PAGE    4096u
#define FRAMES  512u
#define PAGES   192u /* of each space */
#define WORKERS 3u
#define OTHERS  4u
#define MOST    1024u /* frames, when it is largest */
#define ROUNDS  15u

static struct keel_arena *arena;
static struct keel_pagecache *cache;
static struct keel_device *devices[WORKERS + 1];
static struct keel_space *common;
static _Atomic uint64_t lsn = 1000;
static _Atomic uint64_t additions, drops, resizes;
static _Atomic unsigned working = WORKERS;
static uint64_t until_ns; /* 0: ROUNDS */

static struct keel_ctx *open_ctx(void)
{
    struct keel_ctx *ctx;
    int rc = keel_ctx_open(NULL, &ctx);

    KEEL_ASSERT(rc == 0);
    return ctx;
}

static void fix(struct keel_ctx *ctx, struct keel_space *space, keel_pageno pageno,
                enum keel_fix_mode mode, struct keel_page *ret)
{
    int rc = keel_page_fix(ctx, space, pageno, mode, 0, NULL, ret);

    KEEL_ASSERT(rc == 0);
}

static void changed(struct keel_page *page)
{
    keel_lsn end = atomic_fetch_add(&lsn, 1) + 1;

    keel_page_dirty(page, end - 1, end);
    keel_page_unfix(page);
}

/* Two words of a page, the same in both places. */
static void add(struct keel_ctx *ctx, keel_pageno pageno)
{
    struct keel_page page;

    fix(ctx, common, pageno, KEEL_FIX_EXCLUSIVE, &page);
    uint64_t *words = page.data;
    KEEL_ASSERT(words[0] == words[496]);
    words[496] = ++words[0];
    changed(&page);
    atomic_fetch_add(&additions, 1);
}

static void look(keel_pageno pageno)
{
    struct keel_peek peek;
    uint64_t words[497];

    if (!keel_page_peek(common, pageno, &peek))
        return;
    keel_page_copy(words, peek.data, sizeof(words));
    if (keel_peek_valid(&peek))
        KEEL_ASSERT(words[0] == words[496]);
}

/* ---------------------------------------------------------------- a space of one's own */

static void fill(struct keel_ctx *ctx, struct keel_space *space, uint64_t stamp)
{
    for (keel_pageno pageno = 0; pageno < PAGES; pageno++) {
        struct keel_page page;
        fix(ctx, space, pageno, KEEL_FIX_NEW, &page);
        memcpy(page.data, &stamp, sizeof(stamp));
        changed(&page);
    }
}

static void check(struct keel_ctx *ctx, struct keel_space *space, keel_pageno pages, uint64_t stamp)
{
    for (keel_pageno pageno = 0; pageno < pages; pageno++) {
        struct keel_page page;
        fix(ctx, space, pageno, KEEL_FIX_SHARED, &page);
        KEEL_ASSERT(memcmp(page.data, &stamp, sizeof(stamp)) == 0);
        keel_page_unfix(&page);
    }
}

static void one_life(struct keel_ctx *ctx, unsigned worker, struct prng *prng, uint64_t stamp)
{
    struct keel_space *space;
    struct keel_page page;
    keel_pageno kept = prng_below(prng, PAGES);
    int rc = space_open(cache, 10 + worker, devices[worker], PAGE << worker, PAGES, PAGES, &space);

    KEEL_ASSERT(rc == 0);
    fill(ctx, space, stamp);
    if (prng_chance(prng, 1, 2)) {
        rc = keel_space_flush(ctx, space);
        KEEL_ASSERT(rc == 0);
    }
    check(ctx, space, PAGES, stamp);
    keel_space_truncate(space, kept);
    rc = keel_page_fix(ctx, space, kept, KEEL_FIX_SHARED, 0, NULL, &page);
    KEEL_ASSERT(rc == KEEL_ERANGE);
    check(ctx, space, kept, stamp);
    keel_space_drop(space);
    atomic_fetch_add(&drops, 1);
}

static bool go_on(unsigned round)
{
    return until_ns ? clock_now_ns() < until_ns : round < ROUNDS;
}

static void *work(void *arg)
{
    unsigned worker = *(const unsigned *)arg;
    struct keel_ctx *ctx = open_ctx();
    struct prng prng;

    prng_seed(&prng, worker);
    for (unsigned round = 0; go_on(round); round++) {
        one_life(ctx, worker, &prng, (uint64_t)worker << 32 | round);
        for (unsigned i = 0; i < 60; i++) {
            int rc = keel_pagecache_throttle(ctx, cache, prng_chance(&prng, 1, 2));
            KEEL_ASSERT(rc == 0 || rc == KEEL_PENDING);
            add(ctx, prng_below(&prng, PAGES));
            look(prng_below(&prng, PAGES));
        }
    }
    atomic_fetch_sub(&working, 1);
    keel_ctx_close(ctx);
    return NULL;
}

/* ---------------------------------------------------------------- the others */

static void no_line(void *arg, const char *text)
{
    (void)arg;
    KEEL_ASSERT(text[0] != '\0');
}

static void *evict(void *arg)
{
    struct keel_space_stats stats;

    (void)arg;
    while (atomic_load(&working) > 0) {
        keel_pagecache_evict(cache, 8);
        keel_pagecache_dump(cache, no_line, NULL);
        keel_space_stats(common, &stats);
        KEEL_ASSERT(stats.resident <= MOST);
        keel_space_trim(common);
        sched_yield();
    }
    return NULL;
}

static void no_damage(void *arg, struct keel_ctx *ctx, const struct keel_err_info *info)
{
    (void)arg;
    (void)ctx;
    printf("damage where there is none: %s\n", info->object);
    KEEL_ASSERT(info == NULL);
}

/* And scrubs, beside its own writes. */
static void *write_back(void *arg)
{
    struct keel_scrub_options options = KEEL_SCRUB_OPTIONS_DEFAULT;
    struct keel_ctx *ctx = open_ctx();
    struct keel_scrub *scrub;

    (void)arg;
    options.space = common;
    options.bytes_per_s = 1u << 30;
    options.damaged = no_damage;
    int opened = keel_scrub_open(cache, &options, &scrub);
    KEEL_ASSERT(opened == 0);
    while (atomic_load(&working) > 0) {
        int stepped = keel_scrub_step(ctx, scrub, clock_now_ns());
        KEEL_ASSERT(stepped == 0);
        int rc = keel_pagecache_writeback(ctx, cache, KEEL_LSN_MAX, 0, true);
        KEEL_ASSERT(rc >= 0 || rc == KEEL_EFULL);
        keel_pagecache_wait_any(cache);
        sched_yield();
    }
    keel_scrub_close(scrub);
    keel_ctx_close(ctx);
    return NULL;
}

static keel_pageno next_page(void *arg)
{
    keel_pageno *at = arg;

    return *at < PAGES ? (*at)++ : KEEL_PAGENO_NONE;
}

static void *scan(void *arg)
{
    struct keel_ctx *ctx = open_ctx();

    (void)arg;
    while (atomic_load(&working) > 0) {
        keel_pageno at = 0, want = 0;
        struct keel_stream *stream;
        struct keel_page page;
        int rc = keel_stream_open(ctx, common, next_page, &at, &stream);
        KEEL_ASSERT(rc == 0);
        while ((rc = keel_stream_next(stream, 0, NULL, &page)) == 0) {
            const uint64_t *words = page.data;
            KEEL_ASSERT(page.pageno == want++ && words[0] == words[496]);
            keel_page_unfix(&page);
        }
        KEEL_ASSERT(rc == KEEL_STREAM_END && want == PAGES);
        keel_stream_close(stream);
    }
    keel_ctx_close(ctx);
    return NULL;
}

static void *resize(void *arg)
{
    struct keel_ctx *ctx = open_ctx();
    bool large = false;

    (void)arg;
    while (atomic_load(&working) > 0) {
        large = !large;
        int rc = keel_pagecache_resize(ctx, cache, (large ? MOST : FRAMES) * PAGE);
        /* The scan has frames there. */
        KEEL_ASSERT(rc == 0 || rc == KEEL_EBUSY);
        atomic_fetch_add(&resizes, rc == 0);
        sched_yield();
    }
    int rc = keel_pagecache_resize(ctx, cache, MOST * PAGE);
    KEEL_ASSERT(rc == 0);
    keel_ctx_close(ctx);
    return NULL;
}

/* ---------------------------------------------------------------- the run */

static void open_all(struct keel_ctx *ctx, const struct tmpdir *dir)
{
    struct keel_device_options on_device = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct keel_pagecache_options options = KEEL_PAGECACHE_OPTIONS_DEFAULT;
    char name[16], path[600];

    for (unsigned i = 0; i < WORKERS + 1; i++) {
        on_device.create_bytes = PAGES * PAGE << (i < WORKERS ? i : 0);
        snprintf(name, sizeof(name), "pages%u", i);
        int rc = keel_device_open(ctx, tmpdir_join(dir, name, path, sizeof(path)), &on_device, NULL,
                                  &devices[i]);
        KEEL_ASSERT(rc == 0);
    }
    options.cache_bytes = FRAMES * PAGE;
    options.cache_bytes_max = MOST * PAGE;
    options.write_bytes_max = 8 * PAGE;
    options.writes_max = 4;
    int rc = keel_arena_create(keel_pagecache_arena_bytes(&options), &arena);
    KEEL_ASSERT(rc == 0);
    options.arena = arena;
    rc = keel_pagecache_open(&options, &cache);
    KEEL_ASSERT(rc == 0);
    rc = space_open(cache, 1, devices[WORKERS], 0, PAGES, PAGES, &common);
    KEEL_ASSERT(rc == 0);
    fill(ctx, common, 0);
}

static void check_all(struct keel_ctx *ctx)
{
    struct keel_pagecache_stats stats;
    uint64_t sum = 0;

    for (keel_pageno pageno = 0; pageno < PAGES; pageno++) {
        struct keel_page page;
        fix(ctx, common, pageno, KEEL_FIX_SHARED, &page);
        sum += *(const uint64_t *)page.data;
        keel_page_unfix(&page);
    }
    KEEL_ASSERT(sum == atomic_load(&additions));
    keel_space_drop(common);
    keel_pagecache_stats(cache, &stats);
    KEEL_ASSERT(stats.fixed == 0 && stats.dirty == 0 && stats.free == MOST);
    printf(
        "%llu additions, %llu spaces dropped, %llu resizes, %llu reads, %llu pages written (%s)\n",
        (unsigned long long)sum, (unsigned long long)atomic_load(&drops),
        (unsigned long long)atomic_load(&resizes), (unsigned long long)stats.reads,
        (unsigned long long)stats.pages_written, keel_ctx_path(ctx)->method);
}

int main(void)
{
    static void *(*const others[OTHERS])(void *) = {evict, write_back, scan, resize};
    static unsigned index[WORKERS];
    pthread_t thread[WORKERS + OTHERS];
    const char *seconds = getenv("KEEL_SECONDS");
    struct tmpdir dir;

    tmpdir_create(&dir);
    struct keel_ctx *ctx = open_ctx();
    open_all(ctx, &dir);
    if (seconds)
        until_ns = clock_now_ns() + strtoull(seconds, NULL, 10) * 1000000000u;
    for (unsigned i = 0; i < WORKERS + OTHERS; i++) {
        if (i < WORKERS)
            index[i] = i;
        int rc = i < WORKERS ? pthread_create(&thread[i], NULL, work, &index[i])
                             : pthread_create(&thread[i], NULL, others[i - WORKERS], NULL);
        KEEL_ASSERT(rc == 0);
    }
    for (unsigned i = 0; i < WORKERS + OTHERS; i++) {
        int rc = pthread_join(thread[i], NULL);
        KEEL_ASSERT(rc == 0);
    }
    check_all(ctx);

    keel_pagecache_close(ctx, cache);
    for (unsigned i = 0; i < WORKERS + 1; i++)
        keel_device_close(devices[i]);
    keel_ctx_close(ctx);
    keel_arena_destroy(arena);
    tmpdir_destroy(&dir);
    return 0;
}
