/*
 * A page cache on a simulated device, with a log that is one number.
 *
 * Everything is small: 4 KiB pages, one space of id 1 on the file "pages". Each test has a process
 * of its own, so one static fixture serves, and nothing has to be torn down after a failure.
 */
#ifndef KEEL_TESTS_PAGECACHE_FIXTURE_H
#define KEEL_TESTS_PAGECACHE_FIXTURE_H

#include <criterion/criterion.h>
#include <string.h>

#include <keel/pagecache.h>
#include <keel/sim.h>

#include "pagecache/cache.h"
#include "tests/support/space.h"

#define PAGE 4096u
#define USER (PAGE - KEEL_PAGE_HEADER_BYTES)

struct fixture {
    struct keel_sim *sim;
    struct keel_ctx *ctx;
    struct keel_device *device;
    struct keel_arena *arena;
    struct keel_pagecache *cache;
    struct keel_space *space;

    /* the log */
    keel_lsn durable;
    keel_lsn asked;    /* largest LSN that was asked for without waiting */
    uint64_t asked_at; /* writes that the device had taken by then */
    uint32_t waits;    /* blocking calls */
    int log_error;

    /* write_failed */
    uint32_t failures;
    int failure;
    keel_pageno failed_page;
};

static inline int fixture_log(void *arg, keel_lsn lsn, bool wait)
{
    struct fixture *f = arg;

    if (lsn <= f->durable)
        return 0;
    if (f->log_error)
        return f->log_error;
    if (wait) {
        f->waits++;
        f->durable = lsn;
        return 0;
    }
    if (lsn > f->asked) {
        uint64_t syncs;
        f->asked = lsn;
        keel_sim_counts(f->sim, "pages", &f->asked_at, &syncs);
    }
    return KEEL_PENDING;
}

static inline void fixture_write_failed(void *arg, int error, uint32_t space, keel_pageno page)
{
    struct fixture *f = arg;

    cr_assert_eq(space, 1);
    f->failures++;
    f->failure = error;
    f->failed_page = page;
}

/* Of the device and the writes to it. */
struct fixture_writes {
    uint32_t pages, count; /* of a merged write at most; in flight */
    uint32_t atomic_bytes; /* written untorn */
};

/* frames in the cache, pages in the space; the log starts out durable for ever. */
static inline void fixture_open_device(struct fixture *f, uint32_t frames, keel_pageno pages,
                                       struct fixture_writes writes)
{
    struct keel_sim_options sim = KEEL_SIM_OPTIONS_DEFAULT;
    struct keel_ctx_options ctx = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_device_options device = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct keel_pagecache_options options = KEEL_PAGECACHE_OPTIONS_DEFAULT;

    memset(f, 0, sizeof(*f));
    f->durable = KEEL_LSN_MAX - 1;
    sim.seed = 1;
    sim.history = writes.atomic_bytes > 0;
    sim.atomic_write_bytes = writes.atomic_bytes;
    cr_assert_eq(keel_sim_create(&sim, &f->sim), 0);
    ctx.method = KEEL_METHOD_SIM;
    ctx.sim = f->sim;
    cr_assert_eq(keel_ctx_open(&ctx, &f->ctx), 0);
    device.create_bytes = pages * PAGE;
    cr_assert_eq(keel_device_open(f->ctx, "pages", &device, NULL, &f->device), 0);
    options.cache_bytes = (uint64_t)frames * PAGE;
    options.write_bytes_max = writes.pages * PAGE;
    options.writes_max = writes.count;
    options.log_durable = fixture_log;
    options.write_failed = fixture_write_failed;
    options.arg = f;
    cr_assert_eq(keel_arena_create(keel_pagecache_arena_bytes(&options), &f->arena), 0);
    options.arena = f->arena;
    cr_assert_eq(keel_pagecache_open(&options, &f->cache), 0);
    cr_assert_eq(space_open(f->cache, 1, f->device, 0, pages, 2 * pages, &f->space), 0);
}

static inline void fixture_open_writes(struct fixture *f, uint32_t frames, keel_pageno pages,
                                       uint32_t write_pages, uint32_t writes)
{
    fixture_open_device(f, frames, pages, (struct fixture_writes){write_pages, writes, 0});
}

static inline void fixture_open(struct fixture *f, uint32_t frames, keel_pageno pages)
{
    fixture_open_writes(f, frames, pages, 8, 4);
}

static inline void fixture_close(struct fixture *f)
{
    keel_pagecache_close(f->ctx, f->cache);
    keel_device_close(f->device);
    keel_ctx_close(f->ctx);
    keel_arena_destroy(f->arena);
    keel_sim_destroy(f->sim);
}

static inline int fixture_fix(struct fixture *f, keel_pageno pageno, enum keel_fix_mode mode,
                              struct keel_page *ret)
{
    return keel_page_fix(f->ctx, f->space, pageno, mode, 0, NULL, ret);
}

/* Make page pageno full of `fill`, changed by the group that ends at lsn. */
static inline void fixture_make(struct fixture *f, keel_pageno pageno, int fill, keel_lsn lsn)
{
    struct keel_page page;

    cr_assert_eq(fixture_fix(f, pageno, KEEL_FIX_NEW, &page), 0);
    memset(page.data, fill, page.len);
    keel_page_dirty(&page, lsn - 1, lsn);
    keel_page_unfix(&page);
}

/* Change its first byte. */
static inline void fixture_change(struct fixture *f, keel_pageno pageno, int fill, keel_lsn lsn)
{
    struct keel_page page;

    cr_assert_eq(fixture_fix(f, pageno, KEEL_FIX_EXCLUSIVE, &page), 0);
    memset(page.data, fill, 1);
    keel_page_dirty(&page, lsn - 1, lsn);
    keel_page_unfix(&page);
}

/* First byte of the page, or the error. */
static inline int fixture_first(struct fixture *f, keel_pageno pageno)
{
    struct keel_page page;
    int rc = fixture_fix(f, pageno, KEEL_FIX_SHARED, &page);

    if (rc != 0)
        return rc;
    rc = *(unsigned char *)page.data;
    keel_page_unfix(&page);
    return rc;
}

static inline void fixture_wait(struct fixture *f)
{
    while (keel_pagecache_wait_any(f->cache))
        ;
}

/* Write everything back and make it durable. */
static inline void fixture_flush(struct fixture *f)
{
    struct keel_io sync = {.device = f->device, .op = KEEL_OP_SYNC, .cls = KEEL_CLASS_WRITEBACK};

    while (keel_pagecache_rec_lsn_min(f->cache) != KEEL_LSN_MAX) {
        cr_assert_geq(keel_pagecache_writeback(f->ctx, f->cache, KEEL_LSN_MAX, 0, true), 0);
        cr_assert(keel_pagecache_wait_any(f->cache));
    }
    fixture_wait(f);
    cr_assert_eq(keel_io_submit(f->ctx, &sync), 0);
    cr_assert_eq(keel_io_wait(f->ctx, &sync), 0);
}

/* Everything out of the cache that can go. */
static inline void fixture_evict(struct fixture *f)
{
    cr_assert_eq(keel_pagecache_evict(f->cache, f->cache->frame_count), f->cache->frame_count);
}

static inline void fixture_fault(struct fixture *f, enum keel_op op, enum keel_fault_kind kind,
                                 int error, uint32_t repeat)
{
    struct keel_fault fault = {
        .op = (uint8_t)op, .kind = (uint8_t)kind, .error = error, .repeat = repeat};

    cr_assert_eq(keel_sim_fault(f->sim, &fault), 0);
}

static inline struct keel_pagecache_stats fixture_stats(struct fixture *f)
{
    struct keel_pagecache_stats stats;

    keel_pagecache_stats(f->cache, &stats);
    return stats;
}

/* The frame that holds the page, which must be resident. */
static inline struct keel_frame *fixture_frame(struct fixture *f, keel_pageno pageno)
{
    uint64_t value = atomic_load(&f->space->table.words[pageno]);

    cr_assert(pc_word_resident(value));
    return &f->cache->frames[pc_word_index(value)];
}

static inline enum pc_frame_state fixture_state(struct fixture *f, keel_pageno pageno)
{
    return pc_frame_state(fixture_frame(f, pageno));
}

#endif
