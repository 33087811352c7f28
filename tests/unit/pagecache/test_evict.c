/* Free frames: eviction beyond the cache, second chance, pins, and what happens when none is left.
 */
#include "fixture.h"

static struct fixture f;

static void on_device(keel_pageno count)
{
    for (keel_pageno p = 0; p < count; p++)
        fixture_make(&f, p, (int)p + 1, 100 + p);
    fixture_flush(&f);
    fixture_evict(&f);
}

Test(evict, many_more_pages_than_frames_come_and_go)
{
    fixture_open(&f, 16, 200);
    on_device(200);

    for (int round = 0; round < 3; round++) {
        for (keel_pageno p = 0; p < 200; p++)
            cr_assert_eq(fixture_first(&f, p), (int)p + 1);
    }
    cr_assert_geq(fixture_stats(&f).evictions, 3 * 200 - 16);
    fixture_close(&f);
}

Test(evict, pinned_pages_stay_where_they_are_P3)
{
    struct keel_page pinned[8];

    fixture_open(&f, 16, 200);
    on_device(200);
    for (keel_pageno p = 0; p < 8; p++)
        cr_assert_eq(fixture_fix(&f, p, KEEL_FIX_SHARED, &pinned[p]), 0);

    for (keel_pageno p = 8; p < 200; p++)
        cr_assert_eq(fixture_first(&f, p), (int)p + 1);

    for (keel_pageno p = 0; p < 8; p++) {
        cr_assert_eq(((unsigned char *)pinned[p].data)[USER - 1], p + 1);
        cr_assert_eq(fixture_frame(&f, p)->index + 1, *pinned[p].word_private >> 32);
        keel_page_unfix(&pinned[p]);
    }
    fixture_close(&f);
}

Test(evict, is_refused_when_every_frame_is_fixed_and_works_again_after)
{
    struct keel_page pinned[16];
    struct keel_page page;
    struct keel_err_info info;

    fixture_open(&f, 16, 64);
    on_device(20);
    for (keel_pageno p = 0; p < 16; p++)
        cr_assert_eq(fixture_fix(&f, p, KEEL_FIX_SHARED, &pinned[p]), 0);

    cr_assert_eq(keel_page_fix(f.ctx, f.space, 17, KEEL_FIX_SHARED, 0, &info, &page), KEEL_EFULL);
    cr_assert_eq(info.code, KEEL_EFULL);
    cr_assert_eq(keel_page_fix(f.ctx, f.space, 17, KEEL_FIX_SHARED, KEEL_FIX_NOWAIT, NULL, &page),
                 KEEL_EFULL);
    cr_assert_eq(fixture_fix(&f, 17, KEEL_FIX_NEW, &page), KEEL_EFULL);
    cr_assert_eq(fixture_first(&f, 3), 4, "a hit needs no frame");
    keel_page_unfix(&pinned[0]);
    cr_assert_eq(fixture_first(&f, 17), 18);
    for (keel_pageno p = 1; p < 16; p++)
        keel_page_unfix(&pinned[p]);
    fixture_close(&f);
}

Test(evict, page_used_again_outlives_a_scan)
{
    fixture_open(&f, 16, 200);
    on_device(200);
    cr_assert_eq(fixture_first(&f, 0), 1);
    uint64_t reads = fixture_stats(&f).reads;

    for (keel_pageno p = 1; p < 200; p++) {
        cr_assert_eq(fixture_first(&f, p), (int)p + 1);
        cr_assert_eq(fixture_first(&f, 0), 1);
        cr_assert_eq(fixture_first(&f, 0), 1);
    }
    cr_assert_leq(fixture_stats(&f).reads, reads + 199 + 2, "page 0 was hardly ever read again");
    fixture_close(&f);
}

/* No page is in the cache, and no word knows of one. */
static void forget(struct fixture *fixture)
{
    fixture_evict(fixture);
    cr_assert_gt(keel_space_trim(fixture->space), 0);
}

static uint64_t word_of(keel_pageno pageno)
{
    return atomic_load(&f.space->table.words[pageno]);
}

/* No stream, and the pages of the scan are ten times the cache. */
Test(evict, scan_takes_a_tenth_of_the_cache_from_pages_that_are_in_use)
{
    fixture_open(&f, 160, 2000);
    on_device(200);
    for (keel_pageno p = 200; p < 2000; p++)
        fixture_make(&f, p, 1, 1000 + p);
    fixture_flush(&f);
    forget(&f);
    for (int use = 0; use < 2; use++) {
        for (keel_pageno p = 0; p < 100; p++)
            cr_assert_eq(fixture_first(&f, p), (int)p + 1);
    }

    for (keel_pageno p = 200; p < 1800; p++)
        cr_assert_eq(fixture_first(&f, p), 1);

    uint32_t there = 0;
    for (keel_pageno p = 0; p < 100; p++)
        there += pc_word_resident(word_of(p));
    cr_assert_eq(there, 100, "%u of 100 are there", there);
    fixture_close(&f);
}

Test(evict, page_that_is_read_again_soon_is_not_young)
{
    fixture_open(&f, 160, 2000);
    on_device(200);
    forget(&f);
    cr_assert_eq(fixture_first(&f, 3), 4);
    cr_assert(word_of(3) & PC_WORD_YOUNG);
    for (keel_pageno p = 10; pc_word_resident(word_of(3)); p++)
        cr_assert_eq(fixture_first(&f, p), (int)p + 1);
    cr_assert_neq(word_of(3), 0, "its word knows");

    cr_assert_eq(fixture_first(&f, 3), 4);
    cr_assert_not(word_of(3) & PC_WORD_YOUNG);
    fixture_close(&f);
}

Test(evict, page_that_is_truncated_leaves_nothing_behind)
{
    fixture_open(&f, 16, 64);
    on_device(20);
    forget(&f);
    cr_assert_eq(fixture_first(&f, 3), 4);
    cr_assert_eq(f.cache->young_units, 1);

    keel_space_truncate(f.space, 0);
    cr_assert_eq(word_of(3), 0);
    cr_assert_eq(f.cache->young_units, 0);
    fixture_close(&f);
}

Test(evict, memory_of_words_that_know_of_the_past_is_given_back)
{
    fixture_open(&f, 16, 64);
    on_device(20);
    forget(&f);
    cr_assert_eq(fixture_first(&f, 3), 4);
    cr_assert_eq(keel_pagecache_evict(f.cache, 16), 16);
    cr_assert_neq(word_of(3), 0);

    cr_assert_gt(keel_space_trim(f.space), 0);
    cr_assert_eq(word_of(3), 0);
    cr_assert_eq(fixture_first(&f, 3), 4);
    fixture_close(&f);
}

Test(evict, clock_leaves_the_young_to_their_queue)
{
    fixture_open(&f, 64, 200);
    on_device(100);
    forget(&f);
    for (int use = 0; use < 2; use++) {
        for (keel_pageno p = 64; p-- > 0;) /* backwards, so that nothing is read ahead */
            cr_assert_eq(fixture_first(&f, p), (int)p + 1);
    }
    for (keel_pageno p = 70; p-- > 64;)
        cr_assert_eq(fixture_first(&f, p), (int)p + 1);
    cr_assert_leq(f.cache->young_units, 12);

    atomic_store(&f.cache->evict_hand, fixture_frame(&f, 64)->index);
    cr_assert_geq(keel_pagecache_evict(f.cache, 20), 20);
    for (keel_pageno p = 64; p < 70; p++)
        cr_assert(pc_word_resident(word_of(p)), "page %d", (int)p);
    fixture_close(&f);
}

/* Pages that are changed all the time are in the queue of the young, and cannot go. */
Test(evict, changed_pages_do_not_keep_the_young_from_going)
{
    fixture_open(&f, 64, 200);
    on_device(100);
    fixture_evict(&f);
    for (keel_pageno p = 100; p < 140; p++)
        fixture_make(&f, p, 1, 1000 + p);

    for (keel_pageno p = 0; p < 100; p++)
        cr_assert_eq(fixture_first(&f, p), (int)p + 1);
    cr_assert_eq(fixture_stats(&f).dirty, 40);
    fixture_close(&f);
}

Test(evict, page_that_was_only_prefetched_gets_a_second_chance)
{
    keel_pageno pageno = 5;

    fixture_open(&f, 16, 64);
    on_device(20);
    cr_assert_eq(keel_page_prefetch(f.ctx, f.space, &pageno, 1), 1);
    cr_assert_geq(keel_ctx_poll(f.ctx, 0, -1), 0);
    uint64_t value = atomic_load(&f.space->table.words[5]);

    cr_assert(value & PC_WORD_FRESH);
    cr_assert_eq(fixture_first(&f, 5), 6);
    cr_assert_not(atomic_load(&f.space->table.words[5]) & PC_WORD_FRESH);
    cr_assert(atomic_load(&f.space->table.words[5]) & PC_WORD_MARK, "used once so far");
    fixture_close(&f);
}

Test(evict, fills_the_free_list_up_to_the_target)
{
    fixture_open(&f, 64, 200);
    on_device(100);
    for (keel_pageno p = 0; p < 64; p++)
        cr_assert_eq(fixture_first(&f, p), (int)p + 1);
    cr_assert_eq(fixture_stats(&f).free, 0);

    cr_assert_eq(keel_pagecache_evict(f.cache, 10), 10);
    cr_assert_eq(fixture_stats(&f).free, 10);
    cr_assert_eq(keel_pagecache_evict(f.cache, 5), 10, "enough already");
    fixture_close(&f);
}

Test(evict, leaves_dirty_pages_alone)
{
    fixture_open(&f, 16, 64);
    for (keel_pageno p = 0; p < 10; p++)
        fixture_make(&f, p, 1, 100 + p);

    cr_assert_eq(keel_pagecache_evict(f.cache, 16), 6);
    cr_assert_eq(fixture_stats(&f).dirty, 10);
    fixture_close(&f);
}

Test(evict, writes_back_when_only_dirty_pages_are_left)
{
    fixture_open(&f, 16, 200);
    f.durable = 50;

    for (keel_pageno p = 0; p < 200; p++)
        fixture_make(&f, p, (int)p, 100 + p);

    cr_assert_gt(f.waits, 0, "the log was forced");
    cr_assert_gt(fixture_stats(&f).pages_written, 100);
    for (keel_pageno p = 0; p < 200; p++)
        cr_assert_eq(fixture_first(&f, p), (int)p);
    fixture_close(&f);
}

Test(evict, error_of_the_log_reaches_who_needs_a_frame)
{
    struct keel_page page;

    fixture_open(&f, 16, 64);
    f.durable = 50;
    f.log_error = KEEL_EPOISON;
    for (keel_pageno p = 0; p < 16; p++)
        fixture_make(&f, p, 1, 100 + p);

    cr_assert_eq(fixture_fix(&f, 20, KEEL_FIX_NEW, &page), KEEL_EPOISON);
    cr_assert_eq(keel_page_fix(f.ctx, f.space, 20, KEEL_FIX_NEW, KEEL_FIX_NOWAIT, NULL, &page),
                 KEEL_EPOISON);
    fixture_close(&f);
}

Test(evict, error_of_every_write_reaches_who_needs_a_frame)
{
    struct keel_page page;

    fixture_open(&f, 16, 64);
    for (keel_pageno p = 0; p < 16; p++)
        fixture_make(&f, p, 1, 100 + p);
    fixture_fault(&f, KEEL_OP_WRITE, KEEL_FAULT_ERROR, -EIO, UINT32_MAX);

    cr_assert_eq(fixture_fix(&f, 20, KEEL_FIX_NEW, &page), -EIO);
    cr_assert_gt(f.failures, 0);
    fixture_close(&f);
}

Test(evict, failed_read_that_nobody_asks_about_gives_its_frame_back)
{
    keel_pageno pages[16];

    fixture_open(&f, 16, 64);
    on_device(40);
    for (int i = 0; i < 16; i++)
        pages[i] = (keel_pageno)i;
    fixture_fault(&f, KEEL_OP_READ, KEEL_FAULT_ERROR, -EIO, 16);
    cr_assert_eq(keel_page_prefetch(f.ctx, f.space, pages, 16), 16);

    cr_assert_eq(fixture_first(&f, 30), 31);
    fixture_close(&f);
}
