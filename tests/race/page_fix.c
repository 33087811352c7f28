/*
 * Pages between threads: fixed, changed, evicted and read again in a cache that is far too small.
 *
 * Writers add one to two counters of a page under EXCLUSIVE, readers demand under SHARED, and after
 * an optimistic read that was valid, that the two are equal; at the end all counters together are
 * the number of additions. Some writers begin as readers (upgrade), some end as one (downgrade).
 * Beside them: one that scans through streams; a
 * thread that begins reads and then never calls keel again until the others are through (I6), and
 * one that trims the translation table under everybody's feet (FROZEN).
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <keel/pagecache.h>

#include "base/assert.h"
#include "base/prng.h"
#include "tests/support/space.h"
#include "tests/support/tmpdir.h"

#define PAGE    4096u
#define FRAMES  24u
#define PAGES   96u
#define WORKERS 4u
#define OTHERS  3u
#define ROUNDS  6000u

struct counters {
    uint64_t first;
    uint64_t pageno;
    char between[2000];
    uint64_t second;
};

static struct keel_arena *arena;
static struct keel_device *device;
static struct keel_pagecache *cache;
static struct keel_space *space;
static _Atomic uint64_t lsn = 1000;
static _Atomic uint64_t additions;
static _Atomic uint64_t peeks;
static _Atomic unsigned working = WORKERS;
static pthread_barrier_t begun;

static struct keel_ctx *open_ctx(void)
{
    struct keel_ctx *ctx;
    int rc = keel_ctx_open(NULL, &ctx);

    KEEL_ASSERT(rc == 0);
    return ctx;
}

/* Fixed exclusively, by way of SHARED if that works out. */
static void fix_to_change(struct keel_ctx *ctx, keel_pageno pageno, bool upgrade,
                          struct keel_page *page)
{
    if (upgrade) {
        int rc = keel_page_fix(ctx, space, pageno, KEEL_FIX_SHARED, 0, NULL, page);
        KEEL_ASSERT(rc == 0);
        rc = keel_page_upgrade(page);
        if (rc == 0)
            return;
        KEEL_ASSERT(rc == KEEL_EBUSY);
        keel_page_unfix(page);
    }
    int rc = keel_page_fix(ctx, space, pageno, KEEL_FIX_EXCLUSIVE, 0, NULL, page);
    KEEL_ASSERT(rc == 0);
}

static void add(struct keel_ctx *ctx, keel_pageno pageno, bool by_way_of_shared)
{
    struct keel_page page;

    fix_to_change(ctx, pageno, by_way_of_shared, &page);
    struct counters *counters = page.data;
    KEEL_ASSERT(counters->first == counters->second);
    counters->first++;
    counters->second++;
    keel_lsn end = atomic_fetch_add(&lsn, 1) + 1;
    keel_page_dirty(&page, end - 1, end);
    if (by_way_of_shared) {
        keel_page_downgrade(&page);
        KEEL_ASSERT(counters->first == counters->second);
    }
    keel_page_unfix(&page);
    atomic_fetch_add(&additions, 1);
}

/* Without a latch: what was valid is whole, and of this page. */
static void peek(keel_pageno pageno)
{
    struct keel_peek at;
    struct counters seen;

    if (!keel_page_peek(space, pageno, &at))
        return;
    keel_page_copy(&seen, at.data, sizeof(seen));
    if (!keel_peek_valid(&at))
        return;
    KEEL_ASSERT(seen.first == seen.second && seen.pageno == pageno);
    atomic_fetch_add_explicit(&peeks, 1, memory_order_relaxed);
}

static uint64_t look(struct keel_ctx *ctx, keel_pageno pageno, unsigned flags)
{
    struct keel_page page;
    int rc = keel_page_fix(ctx, space, pageno, KEEL_FIX_SHARED, flags, NULL, &page);

    if (rc == KEEL_PENDING)
        return 0;
    KEEL_ASSERT(rc == 0);
    const struct counters *counters = page.data;
    KEEL_ASSERT(counters->first == counters->second);
    uint64_t value = counters->first;
    keel_page_unfix(&page);
    return value;
}

static void *work(void *arg)
{
    struct keel_ctx *ctx = open_ctx();
    struct prng prng;

    prng_seed(&prng, *(const unsigned *)arg);
    pthread_barrier_wait(&begun);
    for (unsigned i = 0; i < ROUNDS; i++) {
        /* Half of the time one of a few hot pages, so that latches are fought for. */
        keel_pageno pageno =
            prng_chance(&prng, 1, 2) ? prng_below(&prng, 3) : prng_below(&prng, PAGES);
        if (prng_chance(&prng, 1, 3))
            add(ctx, pageno, prng_chance(&prng, 1, 2));
        else if (prng_chance(&prng, 1, 2))
            peek(pageno);
        else
            look(ctx, pageno, prng_chance(&prng, 1, 4) ? KEEL_FIX_NOWAIT : 0);
        if (prng_chance(&prng, 1, 16)) {
            keel_pageno ahead[4];
            for (unsigned k = 0; k < 4; k++)
                ahead[k] = prng_below(&prng, PAGES);
            keel_page_prefetch(ctx, space, ahead, 4);
        }
    }
    atomic_fetch_sub(&working, 1);
    keel_ctx_close(ctx);
    return NULL;
}

/* Begins reads that others will want, and leaves them alone. */
static void *be_silent(void *arg)
{
    struct keel_ctx *ctx = open_ctx();

    (void)arg;
    for (keel_pageno pageno = 0; pageno < PAGES; pageno += 5)
        look(ctx, pageno, KEEL_FIX_NOWAIT);
    pthread_barrier_wait(&begun);
    while (atomic_load(&working) > 0)
        sched_yield();
    keel_ctx_close(ctx);
    return NULL;
}

/* Where a scan is, and where it goes next. */
static keel_pageno next_page(void *arg)
{
    keel_pageno *at = arg;

    return *at < PAGES ? (*at)++ : KEEL_PAGENO_NONE;
}

static void *scan(void *arg)
{
    struct keel_ctx *ctx = open_ctx();

    (void)arg;
    pthread_barrier_wait(&begun);
    while (atomic_load(&working) > 0) {
        keel_pageno at = 0;
        struct keel_stream *stream;
        struct keel_page page;
        int rc = keel_stream_open(ctx, space, next_page, &at, &stream);
        KEEL_ASSERT(rc == 0);
        keel_pageno want = 0;
        while ((rc = keel_stream_next(stream, 0, NULL, &page)) == 0) {
            const struct counters *counters = page.data;
            KEEL_ASSERT(page.pageno == want++);
            KEEL_ASSERT(counters->first == counters->second && counters->pageno == page.pageno);
            keel_page_unfix(&page);
        }
        KEEL_ASSERT(rc == KEEL_STREAM_END && want == PAGES);
        keel_stream_close(stream);
    }
    keel_ctx_close(ctx);
    return NULL;
}

static void *trim(void *arg)
{
    (void)arg;
    pthread_barrier_wait(&begun);
    while (atomic_load(&working) > 0) {
        keel_space_trim(space);
        keel_pagecache_evict(cache, 4);
        sched_yield();
    }
    return NULL;
}

static void open_all(struct keel_ctx *ctx, const char *path)
{
    struct keel_device_options on_device = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct keel_pagecache_options options = KEEL_PAGECACHE_OPTIONS_DEFAULT;

    on_device.create_bytes = PAGES * PAGE;
    int rc = keel_device_open(ctx, path, &on_device, NULL, &device);
    KEEL_ASSERT(rc == 0);
    options.cache_bytes = FRAMES * PAGE;
    options.write_bytes_max = 4 * PAGE;
    options.writes_max = 3;
    rc = keel_arena_create(keel_pagecache_arena_bytes(&options), &arena);
    KEEL_ASSERT(rc == 0);
    options.arena = arena;
    rc = keel_pagecache_open(&options, &cache);
    KEEL_ASSERT(rc == 0);
    rc = space_open(cache, 1, device, 0, PAGES, PAGES, &space);
    KEEL_ASSERT(rc == 0);
}

static void make_pages(struct keel_ctx *ctx)
{
    for (keel_pageno pageno = 0; pageno < PAGES; pageno++) {
        struct keel_page page;
        int rc = keel_page_fix(ctx, space, pageno, KEEL_FIX_NEW, 0, NULL, &page);
        KEEL_ASSERT(rc == 0);
        ((struct counters *)page.data)->pageno = pageno;
        keel_page_dirty(&page, pageno, pageno + 1);
        keel_page_unfix(&page);
    }
}

int main(void)
{
    static void *(*const others[OTHERS])(void *) = {be_silent, trim, scan};
    static unsigned index[WORKERS];
    pthread_t thread[WORKERS + OTHERS];
    struct tmpdir dir;
    char path[600];

    tmpdir_create(&dir);
    struct keel_ctx *ctx = open_ctx();
    open_all(ctx, tmpdir_join(&dir, "pages", path, sizeof(path)));
    make_pages(ctx);
    pthread_barrier_init(&begun, NULL, WORKERS + OTHERS);
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

    uint64_t sum = 0;
    for (keel_pageno pageno = 0; pageno < PAGES; pageno++)
        sum += look(ctx, pageno, 0);
    KEEL_ASSERT(sum == atomic_load(&additions));
    struct keel_pagecache_stats stats;
    keel_pagecache_stats(cache, &stats);
    KEEL_ASSERT(stats.fixed == 0 && atomic_load(&peeks) > 0);
    printf("%llu additions, %llu optimistic reads, %llu reads, %llu evictions, %llu pages written "
           "(%s)\n",
           (unsigned long long)sum, (unsigned long long)peeks, (unsigned long long)stats.reads,
           (unsigned long long)stats.evictions, (unsigned long long)stats.pages_written,
           keel_ctx_path(ctx)->method);

    keel_pagecache_close(ctx, cache);
    keel_device_close(device);
    keel_ctx_close(ctx);
    keel_arena_destroy(arena);
    pthread_barrier_destroy(&begun);
    tmpdir_destroy(&dir);
    return 0;
}
