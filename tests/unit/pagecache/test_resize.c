/*
 * Resizing: what is in the cache stays or goes as it must, memory comes and goes by chunks, and
 * what stands in the way is named.
 */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

#define CHUNK  (2u << 20)
#define FRAMES 512u /* 2 MiB; up to 8 MiB */
#define MOST   2048u
#define PAGES  2000u

static struct fixture f;

static void open_cache(void)
{
    struct keel_pagecache_options options = KEEL_PAGECACHE_OPTIONS_DEFAULT;

    fixture_open(&f, 16, PAGES);
    keel_pagecache_close(f.ctx, f.cache);
    keel_arena_destroy(f.arena);
    options.cache_bytes = FRAMES * PAGE;
    options.cache_bytes_max = MOST * PAGE;
    options.log_durable = fixture_log;
    options.write_failed = fixture_write_failed;
    options.arg = &f;
    cr_assert_eq(keel_arena_create(keel_pagecache_arena_bytes(&options), &f.arena), 0);
    options.arena = f.arena;
    cr_assert_eq(keel_pagecache_open(&options, &f.cache), 0);
    cr_assert_eq(space_open(f.cache, 1, f.device, 0, PAGES, PAGES, &f.space), 0);
}

static int resize(uint32_t frames)
{
    return keel_pagecache_resize(f.ctx, f.cache, (uint64_t)frames * PAGE);
}

static void make_all(void)
{
    for (keel_pageno p = 0; p < PAGES; p++)
        fixture_make(&f, p, 1 + (int)(p % 200), 100 + p);
}

static void expect_all(void)
{
    for (keel_pageno p = 0; p < PAGES; p++)
        cr_assert_eq(fixture_first(&f, p), 1 + (int)(p % 200), "page %llu", (unsigned long long)p);
}

/* Memory of the arena that is there. */
static size_t resident_bytes(void)
{
    static unsigned char map[16384];
    size_t bytes = keel_arena_used(f.arena), pages = (bytes + PAGE - 1) / PAGE, count = 0;
    char *base = f.cache->data - f.cache->data_at;

    cr_assert_leq(pages, sizeof(map));
    cr_assert_eq(mincore(base, bytes, map), 0);
    for (size_t i = 0; i < pages; i++)
        count += map[i] & 1;
    return count * PAGE;
}

Test(resize, grown_cache_holds_more_and_shrunk_one_less)
{
    open_cache();
    make_all();
    cr_assert_eq(resize(MOST), 0);
    cr_assert_eq(fixture_stats(&f).frames, MOST);
    fixture_flush(&f);
    expect_all();
    uint64_t reads = fixture_stats(&f).reads;
    expect_all();
    cr_assert_eq(fixture_stats(&f).reads, reads, "all of it stays now");

    cr_assert_eq(resize(FRAMES), 0);
    struct keel_pagecache_stats stats = fixture_stats(&f);
    cr_assert_geq(stats.frames, FRAMES);
    cr_assert_leq(stats.frames, FRAMES + CHUNK / PAGE);
    cr_assert_eq(stats.leaving, 0);
    expect_all();
    fixture_close(&f);
}

Test(resize, goes_by_whole_chunks_of_the_arena)
{
    open_cache();
    cr_assert_eq(keel_arena_chunk_bytes(f.arena), CHUNK);
    for (uint32_t frames = 16; frames <= MOST; frames += 333) {
        cr_assert_eq(resize(frames), 0);
        uint64_t now = fixture_stats(&f).frames;
        cr_assert(now == MOST || (f.cache->data_at + now * PAGE) % CHUNK == 0);
        cr_assert(now >= frames && now - frames < CHUNK / PAGE);
    }
    fixture_close(&f);
}

Test(resize, gives_memory_back_and_none_is_lost)
{
    open_cache();
    make_all();
    cr_assert_eq(resize(MOST), 0);
    fixture_flush(&f);
    expect_all();
    size_t full = resident_bytes();

    for (int round = 0; round < 3; round++) {
        cr_assert_eq(resize(16), 0);
        cr_assert_leq(resident_bytes() + 2 * CHUNK, full, "%zu of %zu", resident_bytes(), full);
        cr_assert_eq(resize(MOST), 0);
        expect_all();
        cr_assert_eq(resident_bytes(), full);
    }
    keel_space_drop(f.space);
    cr_assert_eq(fixture_stats(&f).free, MOST);
    fixture_close(&f);
}

Test(resize, changed_pages_are_written_first_and_never_before_the_log_P1)
{
    open_cache();
    cr_assert_eq(resize(MOST), 0);
    f.durable = 0;
    make_all();
    cr_assert_eq(resize(16), 0);
    cr_assert_geq(f.durable, 100 + 1000, "the log was asked");
    expect_all();
    fixture_close(&f);
}

Test(resize, failed_write_is_told_and_calling_again_goes_on)
{
    open_cache();
    cr_assert_eq(resize(MOST), 0);
    make_all();
    fixture_fault(&f, KEEL_OP_WRITE, KEEL_FAULT_ERROR, -EIO, UINT32_MAX);
    cr_assert_eq(resize(16), -EIO);
    fixture_wait(&f);
    keel_sim_fault_clear(f.sim);
    cr_assert_gt(f.failures, 0);
    cr_assert_gt(fixture_stats(&f).leaving, 0);
    expect_all();
    cr_assert_eq(resize(16), 0);
    cr_assert_eq(fixture_stats(&f).leaving, 0);
    expect_all();
    fixture_close(&f);
}

Test(resize, log_that_cannot_go_on_is_told_and_growing_takes_the_frames_back)
{
    open_cache();
    cr_assert_eq(resize(MOST), 0);
    f.durable = 0;
    f.log_error = KEEL_EPOISON;
    make_all();
    cr_assert_eq(resize(16), KEEL_EPOISON);
    f.log_error = 0;
    f.durable = KEEL_LSN_MAX - 1;
    cr_assert_eq(resize(MOST), 0);
    cr_assert_eq(fixture_stats(&f).leaving, 0);
    expect_all();
    keel_space_drop(f.space);
    cr_assert_eq(fixture_stats(&f).free, MOST, "no frame is missing");
    fixture_close(&f);
}

static keel_pageno next_page(void *arg)
{
    keel_pageno *at = arg;

    return *at < PAGES ? (*at)++ : KEEL_PAGENO_NONE;
}

Test(resize, stream_is_named_as_busy_and_gives_its_frames_up_as_it_goes_on)
{
    struct keel_stream *stream;
    struct keel_page page;
    keel_pageno at = 0;

    open_cache();
    make_all();
    fixture_flush(&f);
    cr_assert_eq(resize(MOST), 0);
    f.cache->ring_hand = UINT32_MAX - 3; /* its first groups are the last of the cache */
    cr_assert_eq(keel_stream_open(f.ctx, f.space, next_page, &at, &stream), 0);
    for (int i = 0; i < 300; i++) {
        cr_assert_eq(keel_stream_next(stream, 0, NULL, &page), 0);
        keel_page_unfix(&page);
    }
    int rc = resize(16);
    cr_assert_eq(rc, KEEL_EBUSY);
    while (keel_stream_next(stream, 0, NULL, &page) == 0)
        keel_page_unfix(&page);
    keel_stream_close(stream);
    cr_assert_eq(resize(16), 0);
    expect_all();
    fixture_close(&f);
}

Test(resize, of_a_cache_that_was_not_opened_for_it_or_too_small_is_refused)
{
    struct keel_space *large;

    open_cache();
    cr_assert_eq(resize(15), KEEL_EOPTION);
    cr_assert_eq(space_open(f.cache, 2, f.device, 65536, 10, 10, &large), 0);
    cr_assert_eq(resize(255), KEEL_EOPTION, "16 of the largest pages");
    cr_assert_eq(resize(256), 0);
    f.cache->resizing = true;
    cr_assert_eq(resize(256), KEEL_EBUSY, "another thread");
    f.cache->resizing = false;
    fixture_close(&f);

    fixture_open(&f, 64, 64);
    cr_assert_eq(resize(32), KEEL_EOPTION);
    fixture_close(&f);
}

/* Lets go of a page once the cache has begun to shrink. */
static void *let_go(void *arg)
{
    while (atomic_load(&f.cache->frame_count) == MOST)
        sched_yield();
    keel_page_unfix(arg);
    return NULL;
}

Test(resize, waits_for_who_has_a_page_fixed_P3, .timeout = 20)
{
    struct keel_page page;
    pthread_t thread;

    open_cache();
    cr_assert_eq(resize(MOST), 0);
    make_all();
    fixture_flush(&f);
    keel_pageno last = 0;
    for (keel_pageno p = 0; p < PAGES; p++)
        last = fixture_frame(&f, p)->index > fixture_frame(&f, last)->index ? p : last;
    cr_assert_eq(fixture_fix(&f, last, KEEL_FIX_SHARED, &page), 0);
    cr_assert_eq(pthread_create(&thread, NULL, let_go, &page), 0);
    cr_assert_eq(resize(16), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    expect_all();
    fixture_close(&f);
}

Test(resize, pages_beyond_the_poison_limit_are_in_the_way_for_good)
{
    open_cache();
    cr_assert_eq(resize(MOST), 0);
    make_all();
    keel_pagecache_poison(f.cache, 50);
    cr_assert_eq(resize(16), KEEL_EPOISON);
    cr_assert_eq(resize(MOST), 0);
    fixture_close(&f);
}

Test(resize, leaves_alone_what_else_lies_in_the_arena)
{
    struct keel_pagecache_options options = KEEL_PAGECACHE_OPTIONS_DEFAULT;
    struct keel_pagecache *cache;
    struct keel_arena *arena;

    fixture_open(&f, 16, PAGES);
    options.cache_bytes = options.cache_bytes_max = MOST * PAGE;
    cr_assert_eq(keel_arena_create(keel_pagecache_arena_bytes(&options) + PAGE, &arena), 0);
    options.arena = arena;
    cr_assert_eq(keel_pagecache_open(&options, &cache), 0);
    char *behind = keel_arena_alloc(arena, PAGE);
    memset(behind, 7, PAGE);
    cr_assert_eq(keel_pagecache_resize(f.ctx, cache, 16 * PAGE), 0);
    cr_assert_eq(behind[0], 7);
    cr_assert_eq(behind[PAGE - 1], 7);
    keel_pagecache_close(f.ctx, cache);
    keel_arena_destroy(arena);
    fixture_close(&f);
}
