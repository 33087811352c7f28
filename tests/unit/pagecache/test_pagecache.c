/* The cache as a whole: options, spaces, trimming, counters. */
#include "fixture.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#include "tests/support/table.h"

static struct fixture f;

static const struct {
    const char *label;
    uint32_t page_bytes;
    uint64_t cache_bytes;
    uint32_t write_bytes_max;
    uint32_t writes_max;
    int want;
} rows[] = {
    {"all defaults", 0, 0, 0, 0, 0},
    {"16 KiB pages", 16384, 16 * 16384, 0, 0, 0},
    {"64 KiB pages", 65536, 16 * 65536, 0, 0, 0},
    {"page too small", 2048, 0, 0, 0, KEEL_EOPTION},
    {"page too large", 131072, 0, 0, 0, KEEL_EOPTION},
    {"page no power of two", 12288, 0, 0, 0, KEEL_EOPTION},
    {"fewer than 16 frames", 4096, 15 * 4096, 0, 0, KEEL_EOPTION},
    {"write shorter than a page", 8192, 0, 4096, 0, KEEL_EOPTION},
    {"write of no whole pages", 8192, 0, 12288, 0, KEEL_EOPTION},
    {"write too long", 4096, 0, 2 * KEEL_IO_BYTES_MAX, 0, KEEL_EOPTION},
    {"one write at a time", 4096, 0, 4096, 1, 0},
    {"too many writes", 4096, 0, 4096, 100000, KEEL_EOPTION},
};

TABLE_TEST(pagecache, options_are_checked, rows)
{
    struct keel_pagecache_options options = KEEL_PAGECACHE_OPTIONS_DEFAULT;
    struct keel_pagecache *cache;

    options.page_bytes = row->page_bytes;
    options.cache_bytes = row->cache_bytes;
    options.write_bytes_max = row->write_bytes_max;
    options.writes_max = row->writes_max;
    uint64_t bytes = keel_pagecache_arena_bytes(&options);
    cr_assert_eq(bytes > 0, row->want == 0, "%s", row->label);
    cr_assert_eq(keel_arena_create(bytes ? bytes : PAGE, &options.arena), 0);

    cr_assert_eq(keel_pagecache_open(&options, &cache), row->want, "%s", row->label);
    if (row->want == 0)
        keel_pagecache_close(NULL, cache);
    keel_arena_destroy(options.arena);
}

Test(pagecache, open_without_enough_arena_leaves_nothing_behind)
{
    struct keel_pagecache_options options = KEEL_PAGECACHE_OPTIONS_DEFAULT;
    struct keel_pagecache *cache;

    cr_assert_eq(keel_pagecache_open(&options, &cache), KEEL_EOPTION, "no arena");
    cr_assert_eq(keel_arena_create(1 << 20, &options.arena), 0);
    cr_assert_eq(keel_pagecache_open(&options, &cache), -ENOMEM);
    keel_arena_destroy(options.arena);
}

Test(pagecache, arena_bytes_are_exactly_what_open_takes)
{
    struct keel_pagecache_options options = KEEL_PAGECACHE_OPTIONS_DEFAULT;

    options.cache_bytes = 16 * PAGE + 100;
    options.write_bytes_max = 2 * PAGE;
    options.writes_max = 3;

    cr_assert_eq(keel_pagecache_arena_bytes(&options), (16 + 6) * PAGE);
}

Test(pagecache, space_ids_are_one_to_65535_and_used_once)
{
    struct keel_space *space;

    fixture_open(&f, 16, 64);
    cr_assert_eq(space_open(f.cache, 0, f.device, 0, 1, 1, &space), KEEL_EOPTION);
    cr_assert_eq(space_open(f.cache, 65536, f.device, 0, 1, 1, &space), KEEL_EOPTION);
    cr_assert_eq(space_open(f.cache, 1, f.device, 0, 1, 1, &space), KEEL_EOPTION);
    cr_assert_eq(space_open(f.cache, 2, f.device, 0, 2, 1, &space), KEEL_EOPTION);
    cr_assert_eq(space_open(f.cache, 65535, f.device, 0, 1, 1, &space), 0);
    cr_assert_eq(keel_space_id(space), 65535);
    fixture_close(&f);
}

Test(pagecache, spaces_keep_their_pages_apart)
{
    struct keel_device_options device = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct keel_device *other;
    struct keel_space *space;
    struct keel_page page;

    fixture_open(&f, 16, 64);
    device.create_bytes = 8 * PAGE;
    cr_assert_eq(keel_device_open(f.ctx, "other", &device, NULL, &other), 0);
    cr_assert_eq(space_open(f.cache, 2, other, 0, 8, 8, &space), 0);
    fixture_make(&f, 3, 11, 100);
    cr_assert_eq(keel_page_fix(f.ctx, space, 3, KEEL_FIX_NEW, 0, NULL, &page), 0);
    memset(page.data, 22, page.len);
    keel_page_dirty(&page, 100, 101);
    keel_page_unfix(&page);
    fixture_flush(&f);
    fixture_evict(&f);

    cr_assert_eq(fixture_first(&f, 3), 11);
    cr_assert_eq(keel_page_fix(f.ctx, space, 3, KEEL_FIX_SHARED, 0, NULL, &page), 0);
    cr_assert_eq(*(char *)page.data, 22);
    keel_page_unfix(&page);
    keel_pagecache_close(f.ctx, f.cache);
    keel_device_close(other);
    keel_device_close(f.device);
    keel_ctx_close(f.ctx);
}

Test(pagecache, space_never_shrinks)
{
    fixture_open(&f, 16, 64);

    keel_space_grow(f.space, 100);
    keel_space_grow(f.space, 80);

    cr_assert_eq(keel_space_pages(f.space), 100);
    fixture_close(&f);
}

Test(pagecache, trim_gives_translation_memory_back_and_pages_come_in_again)
{
    fixture_open(&f, 16, 64);
    fixture_make(&f, 3, 11, 100);
    cr_assert_eq(keel_space_trim(f.space), 0, "page 3 is resident");
    fixture_flush(&f);
    fixture_evict(&f);

    cr_assert_eq(keel_space_trim(f.space), 4096);
    cr_assert_eq(fixture_first(&f, 3), 11);
    fixture_close(&f);
}

Test(pagecache, fixed_page_at_close_is_a_mistake_P3, .signal = SIGILL)
{
    struct keel_page page;

    fixture_open(&f, 16, 64);
    cr_assert_eq(fixture_fix(&f, 1, KEEL_FIX_NEW, &page), 0);
    keel_page_dirty(&page, 1, 2);
    keel_pagecache_close(f.ctx, f.cache);
}

Test(pagecache, counters_say_what_happened)
{
    fixture_open(&f, 16, 64);
    fixture_make(&f, 1, 1, 10);
    fixture_make(&f, 2, 1, 20);

    struct keel_pagecache_stats stats = fixture_stats(&f);
    cr_assert_eq(stats.frames, 16);
    cr_assert_eq(stats.free, 14);
    cr_assert_eq(stats.dirty, 2);
    cr_assert_eq(keel_pagecache_writeback(f.ctx, f.cache, KEEL_LSN_MAX, 0, true), 2);
    stats = fixture_stats(&f);
    cr_assert_eq(stats.writing, 2);
    cr_assert_eq(stats.dirty, 0);
    cr_assert_eq(stats.writes, 1);
    fixture_flush(&f);
    stats = fixture_stats(&f);
    cr_assert_eq(stats.pages_written, 2);
    cr_assert_eq(stats.writing, 0);
    fixture_evict(&f);
    cr_assert_eq(fixture_stats(&f).evictions, 2);
    fixture_close(&f);
}

Test(pagecache, limits_that_contradict_each_other_are_refused)
{
    struct keel_pagecache_options options = KEEL_PAGECACHE_OPTIONS_DEFAULT;

    options.dirty_soft = 60;
    options.dirty_hard = 60;
    cr_assert_eq(keel_pagecache_arena_bytes(&options), 0);
    options.dirty_hard = 101;
    cr_assert_eq(keel_pagecache_arena_bytes(&options), 0);
    options.dirty_soft = options.dirty_hard = 0;
    options.cache_bytes = 1u << 20;
    options.cache_bytes_max = 1u << 19;
    cr_assert_eq(keel_pagecache_arena_bytes(&options), 0);
    options.cache_bytes_max = 1u << 21;
    cr_assert_gt(keel_pagecache_arena_bytes(&options), 1u << 21);
}

Test(pagecache, evicts_no_more_than_there_is)
{
    fixture_open(&f, 16, 64);
    fixture_make(&f, 1, 1, 10);
    fixture_flush(&f);
    cr_assert_eq(keel_pagecache_evict(f.cache, UINT32_MAX), 16);
    fixture_close(&f);
}

Test(pagecache, space_that_no_address_space_has_room_for_is_refused)
{
    struct keel_space *space;

    fixture_open(&f, 16, 64);
    cr_assert_eq(space_open(f.cache, 2, f.device, 0, 1, UINT64_C(1) << 45, &space), -ENOMEM);
    cr_assert_eq(space_open(f.cache, 2, f.device, 0, 1, 64, &space), 0, "nothing was left behind");
    fixture_close(&f);
}

#if !defined(__SANITIZE_ADDRESS__)

/* Of address space, so much more than now. */
static void limit_memory(size_t more)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    cr_assert(file && fscanf(file, "%lu", &pages) == 1);
    fclose(file);
    const struct rlimit limit = {pages * 4096 + more, RLIM_INFINITY};
    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
}

/* With a little more memory each time: what fails leaves nothing behind, until it goes. */
Test(pagecache, open_that_runs_out_of_memory_at_any_point_leaves_nothing_behind)
{
    struct keel_pagecache_options options = KEEL_PAGECACHE_OPTIONS_DEFAULT;
    struct keel_scrub_options scrubbing = KEEL_SCRUB_OPTIONS_DEFAULT;
    struct keel_pagecache *cache = NULL;
    struct keel_scrub *scrub;
    unsigned failed = 0;

    fixture_open(&f, 16, 64);
    options.cache_bytes = 64u << 20;
    options.writes_max = 1024;
    options.write_bytes_max = 128u << 10;
    cr_assert_eq(keel_arena_create(keel_pagecache_arena_bytes(&options), &options.arena), 0);
    size_t used = keel_arena_used(options.arena);
    for (size_t more = 0; !cache; more += 64u << 10) {
        limit_memory(more);
        int rc = keel_pagecache_open(&options, &cache);
        failed += rc == -ENOMEM;
        cr_assert(rc == 0 || (rc == -ENOMEM && keel_arena_used(options.arena) == used));
    }
    cr_assert_gt(failed, 3);
    scrubbing.space = f.space;
    scrubbing.bytes_per_s = 1;
    limit_memory(0);
    cr_assert_eq(keel_scrub_open(f.cache, &scrubbing, &scrub), -ENOMEM);
    limit_memory(1u << 20);
    cr_assert_eq(keel_scrub_open(f.cache, &scrubbing, &scrub), 0);
    keel_scrub_close(scrub);
    keel_pagecache_close(f.ctx, cache);
    keel_arena_destroy(options.arena);
    fixture_close(&f);
}

#endif
