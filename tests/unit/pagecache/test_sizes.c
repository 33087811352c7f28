/*
 * Spaces of different page sizes in one cache: each works as the smallest does, memory goes from
 * one size to another as it is used, and a size that gets none says why.
 *
 * Every page of these tests says in each of its words which page of which space it is, so that
 * frames that overlap show.
 */
#include "fixture.h"

#include <stdio.h>

#include "base/prng.h"
#include "pagecache/ring.h"
#include "pagecache/slab.h"
#include "tests/support/table.h"

#define FRAMES 512u /* 2 MiB: 32 slabs */
#define SIZES  5u

static struct fixture f;
static struct keel_device *devices[8];
static uint32_t device_count;

/* A space of pages of this size on a device of its own, id from 2 on. */
static struct keel_space *add_space(uint32_t page_bytes, keel_pageno pages)
{
    struct keel_device_options options = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct keel_device **device = &devices[device_count];
    struct keel_space *space;
    char name[16];

    snprintf(name, sizeof(name), "space%u", ++device_count);
    options.create_bytes = pages * page_bytes;
    cr_assert_eq(keel_device_open(f.ctx, name, &options, NULL, device), 0);
    cr_assert_eq(space_open(f.cache, 1 + device_count, *device, page_bytes, pages, pages, &space),
                 0);
    return space;
}

static void close_all(void)
{
    keel_pagecache_close(f.ctx, f.cache);
    for (uint32_t i = 0; i < device_count; i++)
        keel_device_close(devices[i]);
    keel_device_close(f.device);
    keel_ctx_close(f.ctx);
    keel_arena_destroy(f.arena);
    keel_sim_destroy(f.sim);
}

static uint64_t stamp(const struct keel_space *space, keel_pageno pageno, uint32_t version)
{
    return (uint64_t)keel_space_id(space) << 48 | (uint64_t)version << 24 | pageno;
}

static void put(struct keel_space *space, keel_pageno pageno, uint32_t version, keel_lsn lsn)
{
    struct keel_page page;

    cr_assert_eq(keel_page_fix(f.ctx, space, pageno, KEEL_FIX_NEW, 0, NULL, &page), 0);
    cr_assert_eq(page.len, keel_space_page_bytes(space) - KEEL_PAGE_HEADER_BYTES);
    for (uint32_t i = 0; i < page.len / 8; i++)
        ((uint64_t *)page.data)[i] = stamp(space, pageno, version);
    keel_page_dirty(&page, lsn - 1, lsn);
    keel_page_unfix(&page);
}

static void expect(struct keel_space *space, keel_pageno pageno, uint32_t version)
{
    struct keel_page page;

    cr_assert_eq(keel_page_fix(f.ctx, space, pageno, KEEL_FIX_SHARED, 0, NULL, &page), 0);
    for (uint32_t i = 0; i < page.len / 8; i++)
        cr_assert_eq(((uint64_t *)page.data)[i], stamp(space, pageno, version),
                     "space %u page %llu word %u", keel_space_id(space), (unsigned long long)pageno,
                     i);
    keel_page_unfix(&page);
}

static void open_cache(void)
{
    fixture_open_writes(&f, FRAMES, 400, 2 * KEEL_PAGE_BYTES_MAX / PAGE, 4);
}

/* Pages of a space on the device, none in the cache. */
static void fill(struct keel_space *space)
{
    for (keel_pageno p = 0; p < keel_space_pages(space); p++)
        put(space, p, 1, 100);
    cr_assert_eq(keel_space_flush(f.ctx, space), 0);
    fixture_evict(&f);
}

static struct keel_space_stats stats_of(struct keel_space *space)
{
    struct keel_space_stats stats;

    keel_space_stats(space, &stats);
    return stats;
}

/* Each unit belongs to exactly one frame. */
static void check_slabs(void)
{
    uint32_t covered = 0;

    for (uint32_t i = 0; i < FRAMES; i++) {
        uint8_t order = atomic_load(&f.cache->frames[i].order);
        cr_assert(i >= covered ? order < PC_ORDERS : order == PC_ORDER_PART, "unit %u", i);
        if (i >= covered)
            covered = i + (1u << order);
    }
    cr_assert_eq(covered, FRAMES);
}

static const struct {
    const char *label;
    uint32_t page_bytes;
} sizes[] = {
    {"4 KiB", 4096}, {"8 KiB", 8192}, {"16 KiB", 16384}, {"32 KiB", 32768}, {"64 KiB", 65536},
};

TABLE_TEST(sizes, a_page_of_each_size_is_written_checked_and_read, sizes)
{
    open_cache();
    struct keel_space *space = add_space(row->page_bytes, 64);

    fill(space);
    for (keel_pageno p = 0; p < 64; p++)
        expect(space, p, 1);
    check_slabs();
    cr_assert_eq(stats_of(space).pages_written, 64, "%s", row->label);
    fixture_evict(&f);

    struct keel_err_info info;
    struct keel_page page;
    const char *path = keel_device_info(space->device)->path;
    cr_assert_eq(keel_sim_poke(f.sim, path, 4 * (uint64_t)row->page_bytes - 1, "?", 1), 0);
    cr_assert_eq(keel_page_fix(f.ctx, space, 3, KEEL_FIX_SHARED, 0, &info, &page), KEEL_ECHECKSUM);
    cr_assert_eq(info.offset, 3 * (uint64_t)row->page_bytes, "%s", row->label);
    expect(space, 4, 1);
    close_all();
}

/* A model knows the version of every page; all sizes share 2 MiB for 10 MiB of pages. */
Test(sizes, all_share_one_cache_under_random_use)
{
    static const keel_pageno pages[SIZES] = {400, 200, 120, 60, 40};
    static uint32_t version[SIZES][400];
    struct keel_space *spaces[SIZES];
    struct prng prng;
    keel_lsn lsn = 1000;

    open_cache();
    for (unsigned s = 0; s < SIZES; s++)
        spaces[s] = add_space(sizes[s].page_bytes, pages[s]);
    prng_seed(&prng, 1);
    for (unsigned i = 0; i < 20000; i++) {
        unsigned s = (unsigned)prng_below(&prng, SIZES);
        keel_pageno p = prng_below(&prng, pages[s]);
        if (version[s][p] == 0 || prng_chance(&prng, 1, 4))
            put(spaces[s], p, ++version[s][p], ++lsn);
        else
            expect(spaces[s], p, version[s][p]);
        if (i % 1000 == 0)
            check_slabs();
    }
    fixture_flush(&f);
    for (unsigned s = 0; s < SIZES; s++) {
        for (keel_pageno p = 0; p < pages[s]; p++) {
            if (version[s][p] > 0)
                expect(spaces[s], p, version[s][p]);
        }
    }
    check_slabs();
    for (unsigned s = 0; s < SIZES; s++)
        keel_space_drop(spaces[s]);
    keel_space_drop(f.space);
    cr_assert_eq(fixture_stats(&f).free, FRAMES, "no unit was lost");
    close_all();
}

/* Twice, so that the clock takes them for used. */
static void use_all(struct keel_space *space, keel_pageno pages)
{
    for (int round = 0; round < 2; round++) {
        for (keel_pageno p = 0; p < pages; p++)
            expect(space, p, 1);
    }
}

Test(sizes, memory_goes_to_the_size_that_is_used_and_back)
{
    open_cache();
    struct keel_space *small = add_space(4096, 400);
    struct keel_space *large = add_space(65536, 40);
    fill(small);
    fill(large);

    use_all(small, 400);
    cr_assert_eq(stats_of(small).resident, 400);
    for (int round = 0; round < 10; round++)
        use_all(large, 20);
    cr_assert_geq(stats_of(large).resident, 20, "a working set of 20 of 32 slabs stays");
    for (int round = 0; round < 10; round++)
        use_all(small, 400);
    cr_assert_geq(stats_of(small).resident, 390);
    check_slabs();
    close_all();
}

Test(sizes, one_of_which_nothing_can_go_takes_what_others_use)
{
    struct keel_page page;

    open_cache();
    struct keel_space *small = add_space(4096, 400);
    struct keel_space *large = add_space(65536, 40);
    for (keel_pageno p = 0; p < 400; p++)
        put(small, p, 1, 100);
    use_all(small, 400);

    /* Changed pages are written first. */
    put(large, 0, 1, 200);
    expect(large, 0, 1);
    cr_assert_eq(keel_page_fix(f.ctx, large, 0, KEEL_FIX_SHARED, 0, NULL, &page), 0);
    put(large, 1, 1, 200);
    expect(large, 1, 1);
    keel_page_unfix(&page);
    for (keel_pageno p = 0; p < 400; p++)
        expect(small, p, 1);
    close_all();
}

/* Fix a page in every slab. */
static uint32_t pin_all_slabs(struct keel_space *space, struct keel_page *pins)
{
    bool pinned[FRAMES / 16] = {0};
    uint32_t count = 0;

    for (keel_pageno p = 0; p < keel_space_pages(space); p++) {
        struct keel_page page;
        cr_assert_eq(keel_page_fix(f.ctx, space, p, KEEL_FIX_SHARED, 0, NULL, &page), 0);
        uint32_t slab = (uint32_t)((*page.word_private >> 32) - 1) / 16;
        if (pinned[slab]) {
            keel_page_unfix(&page);
            continue;
        }
        pinned[slab] = true;
        pins[count++] = page;
    }
    return count;
}

Test(sizes, one_fixed_page_in_each_slab_leaves_no_room_for_larger_ones_P3)
{
    static struct keel_page pins[FRAMES / 16];
    struct keel_page page;

    open_cache();
    struct keel_space *small = add_space(4096, 2000);
    struct keel_space *large = add_space(65536, 40);
    fill(small);
    fill(large);
    cr_assert_eq(pin_all_slabs(small, pins), FRAMES / 16);

    cr_assert_eq(keel_page_fix(f.ctx, large, 0, KEEL_FIX_SHARED, 0, NULL, &page), KEEL_EFULL);
    cr_assert_eq(keel_page_fix(f.ctx, large, 0, KEEL_FIX_SHARED, KEEL_FIX_NOWAIT, NULL, &page),
                 KEEL_EFULL);
    expect(small, 1999, 1);
    keel_page_unfix(&pins[7]);
    expect(large, 0, 1);
    for (uint32_t i = 0; i < FRAMES / 16; i++) {
        if (i != 7)
            keel_page_unfix(&pins[i]);
    }
    close_all();
}

/* Whoever asks may have seen a larger cache (resize.c). */
Test(sizes, a_slab_that_is_not_in_use_is_not_cut)
{
    open_cache();
    keel_ignore(add_space(65536, 40) != NULL, "so that there are two sizes");
    cr_assert_eq(pc_slab_change(f.cache, FRAMES, 4, PC_SLAB_HOT), 0);
    cr_assert_eq(pc_slab_change(f.cache, FRAMES - 16 + 1, 4, PC_SLAB_HOT), 0);
    cr_assert_gt(pc_slab_change(f.cache, FRAMES - 16, 4, PC_SLAB_HOT), 0);
    check_slabs();
    close_all();
}

Test(sizes, what_the_cache_cannot_hold_is_refused)
{
    struct keel_space *space;

    fixture_open(&f, 64, 64); /* a write holds 32 KiB */
    cr_assert_eq(space_open(f.cache, 2, f.device, 2048, 1, 1, &space), KEEL_EOPTION);
    cr_assert_eq(space_open(f.cache, 2, f.device, 12288, 1, 1, &space), KEEL_EOPTION);
    cr_assert_eq(space_open(f.cache, 2, f.device, 131072, 1, 1, &space), KEEL_EOPTION);
    cr_assert_eq(space_open(f.cache, 2, f.device, 65536, 1, 1, &space), KEEL_EOPTION, "no write");
    cr_assert_eq(space_open(f.cache, 2, f.device, 32768, 1, 1, &space), KEEL_EOPTION, "8 frames");
    cr_assert_eq(space_open(f.cache, 2, f.device, 16384, 1, 1, &space), 0);
    cr_assert_eq(keel_space_page_bytes(space), 16384);
    cr_assert_eq(keel_space_page_bytes(f.space), PAGE);
    close_all();
}

Test(sizes, cache_of_large_pages_has_no_smaller_ones)
{
    struct keel_pagecache_options options = KEEL_PAGECACHE_OPTIONS_DEFAULT;
    struct keel_pagecache *cache;
    struct keel_space *space;

    fixture_open(&f, 64, 64);
    options.page_bytes = 16384;
    options.cache_bytes = 64 * 65536;
    cr_assert_eq(keel_arena_create(keel_pagecache_arena_bytes(&options), &options.arena), 0);
    cr_assert_eq(keel_pagecache_open(&options, &cache), 0);
    cr_assert_eq(space_open(cache, 1, f.device, 8192, 1, 1, &space), KEEL_EOPTION);
    cr_assert_eq(space_open(cache, 1, f.device, 0, 1, 1, &space), 0);
    cr_assert_eq(keel_space_page_bytes(space), 16384);
    cr_assert_eq(space_open(cache, 2, f.device, 65536, 1, 1, &space), 0);
    keel_pagecache_close(f.ctx, cache);
    keel_arena_destroy(options.arena);
    close_all();
}

static keel_pageno next_page(void *arg)
{
    keel_pageno *at = arg;

    return *at < 100 ? (*at)++ : KEEL_PAGENO_NONE;
}

TABLE_TEST(sizes, stream_reads_pages_of_each_size_side_by_side, sizes)
{
    struct keel_ctx_stats before, after;
    struct keel_stream *stream;
    struct keel_page page;
    keel_pageno at = 0, want = 0;

    fixture_open_writes(&f, 8 * FRAMES, 400, 2 * KEEL_PAGE_BYTES_MAX / PAGE, 4);
    struct keel_space *small = add_space(4096, 400);
    struct keel_space *space = add_space(row->page_bytes, 100);
    fill(space);
    fill(small);
    use_all(small, 400);
    keel_ctx_stats(f.ctx, &before);
    cr_assert_eq(keel_stream_open(f.ctx, space, next_page, &at, &stream), 0);
    while (keel_stream_next(stream, 0, NULL, &page) == 0) {
        cr_assert_eq(((uint64_t *)page.data)[page.len / 8 - 1], stamp(space, want++, 1));
        keel_page_unfix(&page);
    }
    keel_stream_close(stream);
    keel_ctx_stats(f.ctx, &after);
    cr_assert_eq(want, 100);
    cr_assert_lt(after.reads - before.reads, 100, "%s", row->label);
    uint32_t ring = pc_ring_frames(f.cache, 8 * FRAMES, space->order) << space->order;
    cr_assert_geq(stats_of(small).resident + ring, 400, "the scan took no more than its ring");
    close_all();
}
