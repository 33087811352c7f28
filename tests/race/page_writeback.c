/*
 * Write-back beside changes: P1 and E3 as a checkpoint relies on them.
 *
 * Writers change pages, each change with an LSN of its own; the log is a number that flushers move.
 * A checkpointer takes a cut, writes back until no recLSN lies below it, and then reads every page
 * from the device: it must hold at least the last change before the cut (E3), and nothing that the
 * log did not hold when it was read (P1). The checksum of what is read shows that nobody changed a
 * copy while the device had it (I2).
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <keel/pagecache.h>

#include "base/assert.h"
#include "base/prng.h"
#include "pagecache/page.h"
#include "tests/support/space.h"
#include "tests/support/tmpdir.h"

#define PAGE        4096u
#define FRAMES      64u
#define PAGES       80u
#define WRITERS     2u
#define CHECKPOINTS 100u

static struct keel_arena *arena;
static struct keel_device *device;
static struct keel_pagecache *cache;
static struct keel_space *space;
static _Atomic uint64_t lsn = 1000;
static _Atomic uint64_t durable = 1000;
static _Atomic unsigned stop;
static _Atomic uint64_t changes;

/* A change is made under it shared; the cut is taken under it alone (W8 is what bounds this in the
 * store). */
static pthread_rwlock_t cut_lock = PTHREAD_RWLOCK_INITIALIZER;
static _Atomic uint64_t last_change[PAGES];

static int log_durable(void *arg, keel_lsn upto, bool wait)
{
    uint64_t was = atomic_load(&durable);

    (void)arg;
    if (upto <= was)
        return 0;
    if (!wait)
        return KEEL_PENDING;
    while (was < upto && !atomic_compare_exchange_weak(&durable, &was, upto))
        ;
    return 0;
}

static struct keel_ctx *open_ctx(void)
{
    struct keel_ctx *ctx;
    int rc = keel_ctx_open(NULL, &ctx);

    KEEL_ASSERT(rc == 0);
    return ctx;
}

static void change(struct keel_ctx *ctx, keel_pageno pageno, enum keel_fix_mode mode)
{
    struct keel_page page;
    int rc = keel_page_fix(ctx, space, pageno, mode, 0, NULL, &page);

    KEEL_ASSERT(rc == 0);
    pthread_rwlock_rdlock(&cut_lock);
    keel_lsn begin = atomic_fetch_add(&lsn, 8);
    memcpy(page.data, &begin, sizeof(begin));
    keel_page_dirty(&page, begin, begin + 8);
    atomic_store(&last_change[pageno], begin + 8);
    pthread_rwlock_unlock(&cut_lock);
    keel_page_unfix(&page);
    atomic_fetch_add(&changes, 1);
}

static void *write_pages(void *arg)
{
    struct keel_ctx *ctx = open_ctx();
    struct prng prng;

    prng_seed(&prng, *(const unsigned *)arg);
    while (!atomic_load(&stop)) {
        keel_pageno pageno =
            prng_chance(&prng, 1, 2) ? prng_below(&prng, 4) : prng_below(&prng, PAGES);
        change(ctx, pageno, KEEL_FIX_EXCLUSIVE);
        sched_yield();
    }
    keel_ctx_close(ctx);
    return NULL;
}

/* The background writer: takes what the log allows, and now and then moves the log. */
static void *write_back(void *arg)
{
    struct keel_ctx *ctx = open_ctx();

    (void)arg;
    for (unsigned i = 0; !atomic_load(&stop); i++) {
        int rc = keel_pagecache_writeback(ctx, cache, KEEL_LSN_MAX, 8, i % 4 == 0);
        KEEL_ASSERT(rc >= 0);
        keel_pagecache_wait_any(cache);
        sched_yield();
    }
    keel_ctx_close(ctx);
    return NULL;
}

static void check_page(struct keel_ctx *ctx, keel_pageno pageno, void *buf, keel_lsn least)
{
    struct pc_page_fault fault;
    struct keel_io io = {
        .device = device,
        .buf = buf,
        .offset_bytes = pageno * PAGE,
        .len_bytes = PAGE,
        .op = KEEL_OP_READ,
        .cls = KEEL_CLASS_HOST,
    };
    int rc = keel_io_submit(ctx, &io);

    KEEL_ASSERT(rc == 0);
    rc = keel_io_wait(ctx, &io);
    KEEL_ASSERT(rc == 0);
    rc = pc_page_check(buf, PAGE, 1, pageno, &fault);
    if (rc == KEEL_ECHECKSUM)
        return; /* it is being written this moment */
    KEEL_ASSERT(rc == 0);
    KEEL_INV(E3, pc_page_lsn(buf) >= least);
    KEEL_INV(P1, pc_page_lsn(buf) <= atomic_load(&durable));
}

static void checkpoint(struct keel_ctx *ctx, void *buf)
{
    keel_lsn least[PAGES];

    pthread_rwlock_wrlock(&cut_lock);
    keel_lsn cut = atomic_load(&lsn);
    for (keel_pageno pageno = 0; pageno < PAGES; pageno++)
        least[pageno] = atomic_load(&last_change[pageno]);
    pthread_rwlock_unlock(&cut_lock);

    while (keel_pagecache_rec_lsn_min(cache) < cut) {
        int rc = keel_pagecache_writeback(ctx, cache, cut, 0, true);
        KEEL_ASSERT(rc >= 0);
        if (!keel_pagecache_wait_any(cache))
            sched_yield();
    }
    for (keel_pageno pageno = 0; pageno < PAGES; pageno++)
        check_page(ctx, pageno, buf, least[pageno]);
}

static void open_all(struct keel_ctx *ctx, const char *path)
{
    struct keel_device_options on_device = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct keel_pagecache_options options = KEEL_PAGECACHE_OPTIONS_DEFAULT;

    on_device.create_bytes = PAGES * PAGE;
    int rc = keel_device_open(ctx, path, &on_device, NULL, &device);
    KEEL_ASSERT(rc == 0);
    options.cache_bytes = FRAMES * PAGE;
    options.write_bytes_max = 8 * PAGE;
    options.writes_max = 4;
    options.log_durable = log_durable;
    rc = keel_arena_create(keel_pagecache_arena_bytes(&options), &arena);
    KEEL_ASSERT(rc == 0);
    options.arena = arena;
    rc = keel_pagecache_open(&options, &cache);
    KEEL_ASSERT(rc == 0);
    rc = space_open(cache, 1, device, 0, PAGES, PAGES, &space);
    KEEL_ASSERT(rc == 0);
}

int main(void)
{
    static unsigned index[WRITERS];
    pthread_t thread[WRITERS + 1];
    struct tmpdir dir;
    char path[600];
    void *buf = NULL;

    int rc = posix_memalign(&buf, PAGE, PAGE);
    KEEL_ASSERT(rc == 0);
    tmpdir_create(&dir);
    struct keel_ctx *ctx = open_ctx();
    open_all(ctx, tmpdir_join(&dir, "pages", path, sizeof(path)));
    for (keel_pageno pageno = 0; pageno < PAGES; pageno++)
        change(ctx, pageno, KEEL_FIX_NEW);
    for (unsigned i = 0; i <= WRITERS; i++) {
        if (i < WRITERS)
            index[i] = i;
        rc = i < WRITERS ? pthread_create(&thread[i], NULL, write_pages, &index[i])
                         : pthread_create(&thread[i], NULL, write_back, NULL);
        KEEL_ASSERT(rc == 0);
    }
    for (unsigned i = 0; i < CHECKPOINTS; i++)
        checkpoint(ctx, buf);
    atomic_store(&stop, 1);
    for (unsigned i = 0; i <= WRITERS; i++) {
        rc = pthread_join(thread[i], NULL);
        KEEL_ASSERT(rc == 0);
    }
    checkpoint(ctx, buf);

    struct keel_pagecache_stats stats;
    keel_pagecache_stats(cache, &stats);
    KEEL_ASSERT(stats.fixed == 0 && stats.checksum_errors == 0);
    printf("%llu changes, %u checkpoints, %llu pages in %llu writes, %llu waits for the log (%s)\n",
           (unsigned long long)atomic_load(&changes), CHECKPOINTS + 1,
           (unsigned long long)stats.pages_written, (unsigned long long)stats.writes,
           (unsigned long long)stats.log_waits, keel_ctx_path(ctx)->method);

    keel_pagecache_close(ctx, cache);
    keel_device_close(device);
    keel_ctx_close(ctx);
    keel_arena_destroy(arena);
    tmpdir_destroy(&dir);
    free(buf);
    return 0;
}
