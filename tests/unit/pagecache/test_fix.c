/* Fixing pages: hit, miss, new, failed; what never waits; who drives a read that another began. */
#include "fixture.h"

#include <pthread.h>
#include <signal.h>

#include <keel/sched.h>

#include "base/mem.h"
#include "pagecache/fix.h"
#include "tests/support/tmpdir.h"

static struct fixture f;

static int poll_once(void)
{
    return keel_ctx_poll(f.ctx, 0, -1);
}

/* Pages 0 to count - 1 on the device, page p full of p + 1, and none in the cache. */
static void on_device(keel_pageno count)
{
    for (keel_pageno p = 0; p < count; p++)
        fixture_make(&f, p, (int)p + 1, 100 + p);
    fixture_flush(&f);
    fixture_evict(&f);
}

Test(fix, miss_reads_the_page_and_the_next_fix_hits)
{
    fixture_open(&f, 16, 64);
    on_device(4);
    uint64_t reads = fixture_stats(&f).reads;
    uint64_t hits = fixture_stats(&f).hits;

    cr_assert_eq(fixture_first(&f, 2), 3);
    cr_assert_eq(fixture_stats(&f).reads, reads + 1);
    cr_assert_eq(fixture_first(&f, 2), 3);

    cr_assert_eq(fixture_stats(&f).reads, reads + 1);
    cr_assert_eq(fixture_stats(&f).hits, hits + 1);
    cr_assert_eq(fixture_stats(&f).misses, 1);
    fixture_close(&f);
}

Test(fix, says_what_is_lent_and_the_lsn_of_the_page)
{
    struct keel_page page;

    fixture_open(&f, 16, 64);
    on_device(4);
    cr_assert_eq(fixture_fix(&f, 3, KEEL_FIX_SHARED, &page), 0);

    cr_assert_eq(page.len, USER);
    cr_assert_eq(page.pageno, 3);
    cr_assert_eq(page.mode, KEEL_FIX_SHARED);
    cr_assert_eq(keel_page_lsn(&page), 103);
    cr_assert_eq(fixture_stats(&f).fixed, 1);
    keel_page_unfix(&page);
    cr_assert_eq(fixture_stats(&f).fixed, 0);
    fixture_close(&f);
}

Test(fix, shares_a_page_between_readers_and_keeps_writers_out)
{
    struct keel_page a;
    struct keel_page b;
    struct keel_page c;

    fixture_open(&f, 16, 64);
    on_device(1);
    cr_assert_eq(fixture_fix(&f, 0, KEEL_FIX_SHARED, &a), 0);
    cr_assert_eq(fixture_fix(&f, 0, KEEL_FIX_SHARED, &b), 0);

    cr_assert_eq(keel_page_fix(f.ctx, f.space, 0, KEEL_FIX_EXCLUSIVE, KEEL_FIX_NOWAIT, NULL, &c),
                 KEEL_PENDING);
    cr_assert_eq(keel_page_fix(f.ctx, f.space, 0, KEEL_FIX_EXCLUSIVE, KEEL_FIX_TRYLATCH, NULL, &c),
                 KEEL_EBUSY);
    keel_page_unfix(&a);
    keel_page_unfix(&b);
    cr_assert_eq(keel_page_fix(f.ctx, f.space, 0, KEEL_FIX_EXCLUSIVE, KEEL_FIX_NOWAIT, NULL, &c),
                 0);
    cr_assert_eq(keel_page_fix(f.ctx, f.space, 0, KEEL_FIX_SHARED,
                               KEEL_FIX_NOWAIT | KEEL_FIX_TRYLATCH, NULL, &a),
                 KEEL_EBUSY);
    keel_page_unfix(&c);
    fixture_close(&f);
}

/* Half of what a latch can count, and more: the short way looks at it more closely then. */
Test(fix, tens_of_thousands_read_a_page_at_once)
{
    enum { READERS = 40000 };
    struct keel_page shared = {0}, last;
    struct keel_peek peek;

    fixture_open(&f, 16, 64);
    fixture_make(&f, 0, 1, 100);
    for (unsigned i = 0; i < READERS; i++)
        cr_assert_eq(fixture_fix(&f, 0, KEEL_FIX_SHARED, &shared), 0);
    cr_assert_eq(pc_word_latch(atomic_load(&f.space->table.words[0])), READERS);
    cr_assert(keel_page_peek(f.space, 0, &peek));
    cr_assert(keel_peek_valid(&peek));
    cr_assert_eq(pc_word_latch(atomic_load(&f.space->table.words[0])), READERS);

    for (unsigned i = 0; i < READERS; i++) {
        last = shared;
        keel_page_unfix(&last);
    }
    cr_assert_eq(fixture_fix(&f, 0, KEEL_FIX_EXCLUSIVE, &last), 0);
    keel_page_unfix(&last);
    fixture_close(&f);
}

Test(fix, beyond_the_space_is_refused_until_it_has_grown)
{
    struct keel_err_info info;
    struct keel_page page;

    fixture_open(&f, 16, 64);
    cr_assert_eq(keel_page_fix(f.ctx, f.space, 64, KEEL_FIX_NEW, 0, &info, &page), KEEL_ERANGE);
    cr_assert_str_eq(info.object, "space 1 page 64");

    cr_assert_eq(keel_device_grow(f.ctx, f.device, 65 * PAGE), 0);
    keel_space_grow(f.space, 65);
    cr_assert_eq(keel_page_fix(f.ctx, f.space, 64, KEEL_FIX_NEW, 0, &info, &page), 0);
    keel_page_drop(&page);
    fixture_close(&f);
}

Test(fix, of_a_page_never_written_says_so_each_time)
{
    struct keel_err_info info;
    struct keel_page page;

    fixture_open(&f, 16, 64);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(keel_page_fix(f.ctx, f.space, 7, KEEL_FIX_SHARED, 0, &info, &page),
                     KEEL_ENOPAGE);
        cr_assert_eq(info.code, KEEL_ENOPAGE);
        cr_assert_eq(info.offset, 7 * PAGE);
    }
    cr_assert_eq(fixture_stats(&f).free, 16, "no frame is lost on errors");
    fixture_close(&f);
}

Test(fix, for_redo_of_a_page_never_written_gives_zeroes_and_forgets_them_unless_dirtied)
{
    struct keel_page page;

    fixture_open(&f, 16, 64);
    cr_assert_eq(keel_page_fix(f.ctx, f.space, 7, KEEL_FIX_EXCLUSIVE, KEEL_FIX_REDO, NULL, &page),
                 0);
    cr_assert_eq(keel_page_lsn(&page), 0);
    cr_assert_eq(((char *)page.data)[0], 0);
    keel_page_unfix(&page);
    cr_assert_eq(fixture_first(&f, 7), KEEL_ENOPAGE);

    cr_assert_eq(keel_page_fix(f.ctx, f.space, 7, KEEL_FIX_SHARED, KEEL_FIX_REDO, NULL, &page), 0);
    cr_assert_eq(page.mode, KEEL_FIX_EXCLUSIVE);
    ((char *)page.data)[0] = 9;
    keel_page_dirty(&page, 10, 20);
    keel_page_unfix(&page);
    cr_assert_eq(fixture_first(&f, 7), 9);
    fixture_close(&f);
}

/* ---------------------------------------------------------------- new pages */

Test(fix, new_page_is_zero_is_not_read_and_is_gone_when_dropped)
{
    struct keel_page page;

    fixture_open(&f, 16, 64);
    on_device(2);
    uint64_t reads = fixture_stats(&f).reads;
    cr_assert_eq(fixture_fix(&f, 1, KEEL_FIX_NEW, &page), 0);
    cr_assert_eq(keel_page_lsn(&page), 0);
    for (uint32_t i = 0; i < page.len; i++)
        cr_assert_eq(((char *)page.data)[i], 0);
    cr_assert_eq(fixture_stats(&f).reads, reads);
    memset(page.data, 0xee, page.len);
    keel_page_drop(&page);

    cr_assert_eq(fixture_stats(&f).free, 16);
    cr_assert_eq(fixture_first(&f, 1), 2, "what is on the device");
    fixture_close(&f);
}

Test(fix, new_page_that_is_unfixed_unchanged_is_forgotten)
{
    struct keel_page page;

    fixture_open(&f, 16, 64);
    on_device(2);
    cr_assert_eq(fixture_first(&f, 1), 2, "resident and clean");
    cr_assert_eq(fixture_fix(&f, 1, KEEL_FIX_NEW, &page), 0);
    cr_assert_eq(keel_page_lsn(&page), 101, "the LSN of a resident page stays");
    keel_page_unfix(&page);

    cr_assert_eq(fixture_first(&f, 1), 2);
    fixture_close(&f);
}

Test(fix, new_page_over_a_dirty_one_that_is_dropped_leaves_zeroes_to_be_written)
{
    struct keel_page page;

    fixture_open(&f, 16, 64);
    fixture_make(&f, 1, 5, 100);
    cr_assert_eq(fixture_fix(&f, 1, KEEL_FIX_NEW, &page), 0);
    keel_page_drop(&page);

    cr_assert_eq(fixture_state(&f, 1), PC_FRAME_DIRTY);
    cr_assert_eq(keel_pagecache_rec_lsn_min(f.cache), 99, "E3: the older life still owes");
    fixture_flush(&f);
    fixture_evict(&f);
    cr_assert_eq(fixture_first(&f, 1), 0);
    fixture_close(&f);
}

Test(fix, new_page_over_one_being_written_that_is_dropped_is_written_again)
{
    struct keel_page page;

    fixture_open(&f, 16, 64);
    fixture_make(&f, 1, 5, 100);
    cr_assert_eq(keel_pagecache_writeback(f.ctx, f.cache, KEEL_LSN_MAX, 0, false), 1);
    cr_assert_eq(fixture_state(&f, 1), PC_FRAME_WRITING);
    cr_assert_eq(fixture_fix(&f, 1, KEEL_FIX_NEW, &page), 0);
    keel_page_drop(&page);

    cr_assert_eq(fixture_state(&f, 1), PC_FRAME_REDIRTIED);
    fixture_wait(&f);
    cr_assert_eq(fixture_state(&f, 1), PC_FRAME_DIRTY);
    cr_assert_eq(keel_pagecache_rec_lsn_min(f.cache), 99);
    fixture_flush(&f);
    fixture_evict(&f);
    cr_assert_eq(fixture_first(&f, 1), 0);
    fixture_close(&f);
}

Test(fix, dropping_a_page_that_was_dirtied_is_a_mistake, .signal = SIGILL)
{
    struct keel_page page;

    fixture_open(&f, 16, 64);
    cr_assert_eq(fixture_fix(&f, 1, KEEL_FIX_NEW, &page), 0);
    keel_page_dirty(&page, 1, 2);
    keel_page_drop(&page);
}

Test(fix, dirtying_a_page_that_is_only_shared_is_a_mistake, .signal = SIGILL)
{
    struct keel_page page;

    fixture_open(&f, 16, 64);
    fixture_make(&f, 1, 1, 10);
    cr_assert_eq(fixture_fix(&f, 1, KEEL_FIX_SHARED, &page), 0);
    keel_page_dirty(&page, 11, 12);
}

/* ---------------------------------------------------------------- failed reads */

Test(fix, failed_read_names_space_page_and_offset_and_the_next_fix_reads_again)
{
    struct keel_err_info info;
    struct keel_page page;

    fixture_open(&f, 16, 64);
    on_device(4);
    fixture_fault(&f, KEEL_OP_READ, KEEL_FAULT_ERROR, -EIO, 1);

    cr_assert_eq(keel_page_fix(f.ctx, f.space, 3, KEEL_FIX_SHARED, 0, &info, &page), KEEL_EREAD);
    cr_assert_eq(info.code, KEEL_EREAD);
    cr_assert_str_eq(info.object, "space 1 page 3");
    cr_assert_eq(info.offset, 3 * PAGE);
    cr_assert_eq(fixture_stats(&f).free, 16);

    cr_assert_eq(fixture_first(&f, 3), 4);
    fixture_close(&f);
}

Test(fix, other_errors_of_the_device_are_passed_on_as_they_are)
{
    struct keel_page page;

    fixture_open(&f, 16, 64);
    on_device(4);
    fixture_fault(&f, KEEL_OP_READ, KEEL_FAULT_ERROR, -ENODEV, 1);

    cr_assert_eq(fixture_fix(&f, 3, KEEL_FIX_SHARED, &page), -ENODEV);
    fixture_close(&f);
}

Test(fix, flipped_bit_is_seen_P4)
{
    struct keel_err_info info;
    struct keel_page page;

    fixture_open(&f, 16, 64);
    on_device(4);
    fixture_fault(&f, KEEL_OP_READ, KEEL_FAULT_FLIP, 0, 1);

    cr_assert_eq(keel_page_fix(f.ctx, f.space, 3, KEEL_FIX_SHARED, 0, &info, &page),
                 KEEL_ECHECKSUM);
    cr_assert_str_eq(info.op, "checksum");
    cr_assert_neq(info.want, info.got);
    cr_assert_eq(fixture_stats(&f).checksum_errors, 1);
    fixture_close(&f);
}

Test(fix, misdirected_write_is_seen_by_number_and_by_what_it_overwrote_P4)
{
    struct keel_err_info info;
    struct keel_page page;

    fixture_open(&f, 16, 64);
    on_device(8);
    fixture_change(&f, 3, 99, 200);
    fixture_fault(&f, KEEL_OP_WRITE, KEEL_FAULT_MISDIRECT, 0, 1);
    fixture_flush(&f);
    fixture_evict(&f);

    cr_assert_eq(keel_page_fix(f.ctx, f.space, 4, KEEL_FIX_SHARED, 0, &info, &page),
                 KEEL_ECHECKSUM);
    cr_assert_str_eq(info.op, "page number");
    cr_assert_eq(info.want, 4);
    cr_assert_eq(info.got, 3);
    fixture_close(&f);
}

Test(fix, short_reads_are_continued_below)
{
    fixture_open(&f, 16, 64);
    on_device(4);
    fixture_fault(&f, KEEL_OP_READ, KEEL_FAULT_SHORT, 0, 1);

    cr_assert_eq(fixture_first(&f, 3), 4);
    fixture_close(&f);
}

Test(fix, new_page_takes_the_place_of_a_failed_read)
{
    struct keel_page page;
    keel_pageno pageno = 3;

    fixture_open(&f, 16, 64);
    on_device(4);
    fixture_fault(&f, KEEL_OP_READ, KEEL_FAULT_ERROR, -EIO, 1);
    cr_assert_eq(keel_page_prefetch(f.ctx, f.space, &pageno, 1), 1);
    cr_assert_geq(poll_once(), 0);
    cr_assert_eq(fixture_state(&f, 3), PC_FRAME_FAILED);

    cr_assert_eq(fixture_fix(&f, 3, KEEL_FIX_NEW, &page), 0);
    memset(page.data, 77, page.len);
    keel_page_dirty(&page, 500, 600);
    keel_page_unfix(&page);
    cr_assert_eq(fixture_first(&f, 3), 77);
    fixture_close(&f);
}

/* ---------------------------------------------------------------- not waiting */

Test(fix, nowait_starts_the_read_and_finds_the_page_after_polling)
{
    struct keel_page page;
    int polls = 0;
    int rc;

    fixture_open(&f, 16, 64);
    on_device(4);
    uint64_t now = keel_sim_now_ns(f.sim);

    rc = keel_page_fix(f.ctx, f.space, 3, KEEL_FIX_SHARED, KEEL_FIX_NOWAIT, NULL, &page);
    cr_assert_eq(rc, KEEL_PENDING);
    cr_assert_eq(keel_sim_now_ns(f.sim), now, "no time passed inside");
    rc = keel_page_fix(f.ctx, f.space, 3, KEEL_FIX_SHARED, KEEL_FIX_NOWAIT, NULL, &page);
    cr_assert_eq(rc, KEEL_PENDING);
    cr_assert_eq(keel_sim_now_ns(f.sim), now);
    cr_assert_eq(fixture_stats(&f).reads, 1, "P2: one read for both");
    while (rc == KEEL_PENDING) {
        cr_assert_geq(poll_once(), 0);
        rc = keel_page_fix(f.ctx, f.space, 3, KEEL_FIX_SHARED, KEEL_FIX_NOWAIT, NULL, &page);
        cr_assert_lt(++polls, 10);
    }
    cr_assert_eq(rc, 0);
    cr_assert_eq(*(char *)page.data, 4);
    keel_page_unfix(&page);
    fixture_close(&f);
}

Test(fix, nowait_gets_through_a_cache_full_of_dirty_pages_by_polling)
{
    struct keel_page page;
    int polls = 0;
    int rc;

    fixture_open(&f, 16, 64);
    on_device(40);
    f.durable = 1000;
    for (keel_pageno p = 0; p < 16; p++)
        fixture_change(&f, p, 50, 2000 + p);

    for (keel_pageno p = 20; p < 40; p++) {
        while ((rc = keel_page_fix(f.ctx, f.space, p, KEEL_FIX_SHARED, KEEL_FIX_NOWAIT, NULL,
                                   &page)) == KEEL_PENDING) {
            cr_assert_geq(poll_once(), 0);
            f.durable = f.asked > f.durable ? f.asked : f.durable;
            cr_assert_lt(++polls, 200);
        }
        cr_assert_eq(rc, 0, "page %d: %d", (int)p, rc);
        keel_page_unfix(&page);
    }
    cr_assert_eq(f.waits, 0, "the log was never waited for");
    fixture_close(&f);
}

Test(fix, word_that_is_being_given_back_is_tried_again_and_without_waiting_is_pending)
{
    struct keel_page page;

    fixture_open(&f, 16, 64);
    on_device(4);
    atomic_store(&f.space->table.words[3], PC_WORD_FROZEN);

    cr_assert_eq(keel_page_fix(f.ctx, f.space, 3, KEEL_FIX_SHARED, KEEL_FIX_NOWAIT, NULL, &page),
                 KEEL_PENDING);
    cr_assert_eq(keel_page_fix(f.ctx, f.space, 3, KEEL_FIX_NEW, KEEL_FIX_NOWAIT, NULL, &page),
                 KEEL_PENDING);
    atomic_store(&f.space->table.words[3], 0);
    cr_assert_eq(fixture_first(&f, 3), 4);
    fixture_close(&f);
}

Test(fix, prefetch_starts_what_is_not_resident_once)
{
    static const keel_pageno pages[] = {1, 2, 2, 3, 63, 64, 1000};

    fixture_open(&f, 16, 64);
    on_device(8);
    cr_assert_eq(fixture_first(&f, 1), 2);

    cr_assert_eq(keel_page_prefetch(f.ctx, f.space, pages, 7), 3, "2, 3, 63");
    uint64_t reads = fixture_stats(&f).reads;
    cr_assert_eq(fixture_first(&f, 2), 3);
    cr_assert_eq(fixture_first(&f, 3), 4);
    cr_assert_eq(fixture_first(&f, 63), KEEL_ENOPAGE);
    cr_assert_eq(fixture_stats(&f).reads, reads);
    fixture_close(&f);
}

/* A few are at the disk at once, and the others queue. */
Test(fix, page_that_somebody_waits_for_overtakes_those_that_were_only_read_ahead)
{
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_ctx *ctx;
    struct keel_page page;
    keel_pageno pages[40];

    fixture_open(&f, 64, 128);
    on_device(128);
    options.method = KEEL_METHOD_SIM;
    options.sim = f.sim;
    options.depth = 8;
    cr_assert_eq(keel_ctx_open(&options, &ctx), 0);
    for (keel_pageno i = 0; i < 40; i++)
        pages[i] = 3 * i;
    cr_assert_eq(keel_page_prefetch(ctx, f.space, pages, 40), 40);

    cr_assert_eq(keel_page_fix(ctx, f.space, pages[39], KEEL_FIX_SHARED, 0, NULL, &page), 0);
    keel_page_unfix(&page);
    uint32_t reading = 0;
    for (int i = 0; i < 39; i++)
        reading += pc_word_latch(atomic_load(&f.space->table.words[pages[i]])) == PC_LATCH_IO;
    cr_assert_geq(reading, 20, "%u are read after it", reading);
    for (int i = 0; i < 39; i++) {
        cr_assert_eq(keel_page_fix(ctx, f.space, pages[i], KEEL_FIX_SHARED, 0, NULL, &page), 0);
        keel_page_unfix(&page);
    }
    keel_ctx_close(ctx);
    fixture_close(&f);
}

Test(fix, misses_side_by_side_are_read_ahead_of)
{
    fixture_open(&f, 256, 400);
    on_device(250);
    fixture_evict(&f);
    struct keel_pagecache_stats before = fixture_stats(&f);

    for (keel_pageno p = 0; p < 250; p++)
        cr_assert_eq(fixture_first(&f, p), (unsigned char)(p + 1));
    struct keel_pagecache_stats after = fixture_stats(&f);
    cr_assert_leq(after.misses - before.misses, 19, "%d were waited for",
                  (int)(after.misses - before.misses));
    cr_assert_leq(after.reads - before.reads, 250 + 16, "not much more than was asked for");
    fixture_close(&f);
}

Test(fix, misses_here_and_there_are_not_read_ahead_of)
{
    fixture_open(&f, 256, 400);
    on_device(250);
    fixture_evict(&f);
    struct keel_pagecache_stats before = fixture_stats(&f);

    for (keel_pageno p = 0; p < 250; p++) {
        keel_pageno pageno = p * 77 % 250;
        cr_assert_eq(fixture_first(&f, pageno), (unsigned char)(pageno + 1));
    }
    struct keel_pagecache_stats after = fixture_stats(&f);
    cr_assert_eq(after.reads - before.reads, 250);
    cr_assert_eq(after.misses - before.misses, 250);
    fixture_close(&f);
}

Test(fix, prefetch_of_more_than_the_cache_stops_when_it_is_full)
{
    keel_pageno pages[40];

    fixture_open(&f, 16, 64);
    on_device(40);
    for (int i = 0; i < 40; i++)
        pages[i] = (keel_pageno)i;

    cr_assert_eq(keel_page_prefetch(f.ctx, f.space, pages, 40), 16);
    cr_assert_eq(fixture_first(&f, 39), 40, "a fix waits for one of them");
    fixture_close(&f);
}

Test(fix, close_waits_for_reads_that_nobody_came_back_for)
{
    static const keel_pageno pages[] = {1, 2, 3};

    fixture_open(&f, 16, 64);
    on_device(8);
    cr_assert_eq(keel_page_prefetch(f.ctx, f.space, pages, 3), 3);
    fixture_close(&f);
}

/* ---------------------------------------------------------------- poison */

Test(fix, after_poison_serves_what_is_durable_and_nothing_above)
{
    struct keel_err_info info;
    struct keel_page page;

    fixture_open(&f, 16, 64);
    on_device(4);
    fixture_change(&f, 1, 9, 500);
    keel_pagecache_poison(f.cache, 300);

    cr_assert_eq(fixture_first(&f, 0), 1);
    cr_assert_eq(keel_page_fix(f.ctx, f.space, 1, KEEL_FIX_SHARED, 0, &info, &page), KEEL_EPOISON);
    cr_assert_eq(info.want, 300);
    cr_assert_eq(info.got, 500);
    cr_assert_eq(fixture_stats(&f).fixed, 0);
    cr_assert_eq(keel_page_fix(f.ctx, f.space, 1, KEEL_FIX_SHARED, KEEL_FIX_REDO, NULL, &page), 0);
    keel_page_unfix(&page);
    keel_pagecache_poison(f.cache, 1000);
    cr_assert_eq(fixture_first(&f, 1), KEEL_EPOISON, "the limit never goes up");
    fixture_close(&f);
}

Test(fix, after_poison_a_cache_full_of_lost_pages_says_so_instead_of_hanging)
{
    struct keel_page page;

    fixture_open(&f, 16, 64);
    on_device(20);
    for (keel_pageno p = 0; p < 16; p++)
        fixture_change(&f, p, 9, 500 + p);
    keel_pagecache_poison(f.cache, 300);

    cr_assert_eq(fixture_fix(&f, 18, KEEL_FIX_SHARED, &page), KEEL_EPOISON);
    cr_assert_eq(keel_page_fix(f.ctx, f.space, 18, KEEL_FIX_SHARED, KEEL_FIX_NOWAIT, NULL, &page),
                 KEEL_EPOISON);
    fixture_close(&f);
}

/* ---------------------------------------------------------------- versions */

static uint64_t version(keel_pageno pageno)
{
    return atomic_load(&f.cache->versions[fixture_frame(&f, pageno)->index]);
}

Test(fix, version_of_a_frame_changes_with_each_load_and_each_exclusive_use_alone)
{
    struct keel_page page;

    fixture_open(&f, 16, 64);
    on_device(1);
    cr_assert_eq(fixture_first(&f, 0), 1);
    uint64_t loaded = version(0);
    cr_assert_eq(fixture_first(&f, 0), 1);
    cr_assert_eq(version(0), loaded);

    cr_assert_eq(fixture_fix(&f, 0, KEEL_FIX_EXCLUSIVE, &page), 0);
    keel_page_unfix(&page);
    cr_assert_eq(version(0), loaded + 1);

    struct keel_frame *frame = fixture_frame(&f, 0);
    fixture_evict(&f);
    cr_assert_eq(atomic_load(&f.cache->versions[frame->index]), loaded + 1, "eviction leaves it");
    cr_assert_eq(fixture_first(&f, 0), 1);
    cr_assert(fixture_frame(&f, 0) != frame || version(0) > loaded + 1);
    fixture_close(&f);
}

/* ---------------------------------------------------------------- real threads and files */

struct real {
    struct tmpdir dir;
    char path[600];
    struct keel_ctx *ctx;
    struct keel_device *device;
    struct keel_arena *arena;
    struct keel_pagecache *cache;
    struct keel_space *space;
};

static struct real r;

static void real_open(void)
{
    struct keel_device_options device = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct keel_pagecache_options options = KEEL_PAGECACHE_OPTIONS_DEFAULT;

    tmpdir_create(&r.dir);
    tmpdir_join(&r.dir, "pages", r.path, sizeof(r.path));
    cr_assert_eq(keel_ctx_open(NULL, &r.ctx), 0);
    device.create_bytes = 64 * PAGE;
    cr_assert_eq(keel_device_open(r.ctx, r.path, &device, NULL, &r.device), 0);
    options.cache_bytes = 16 * PAGE;
    cr_assert_eq(keel_arena_create(keel_pagecache_arena_bytes(&options), &r.arena), 0);
    options.arena = r.arena;
    cr_assert_eq(keel_pagecache_open(&options, &r.cache), 0);
    cr_assert_eq(space_open(r.cache, 1, r.device, 0, 64, 64, &r.space), 0);
}

static void real_close(void);

/* Counted at the disk's scheduler, on a real file: one command for twelve pages. */
Test(fix_real, pages_side_by_side_are_prefetched_by_one_command)
{
    struct keel_sched_stats before = {.size = sizeof(before)}, after = {.size = sizeof(after)};
    keel_pageno pages[12];
    struct keel_page page;

    real_open();
    for (keel_pageno p = 0; p < 12; p++) {
        pages[p] = 20 + p;
        cr_assert_eq(keel_page_fix(r.ctx, r.space, 20 + p, KEEL_FIX_NEW, 0, NULL, &page), 0);
        keel_page_dirty(&page, 0, 1);
        keel_page_unfix(&page);
    }
    cr_assert_eq(keel_space_flush(r.ctx, r.space), 0);
    cr_assert_eq(keel_pagecache_evict(r.cache, 16), 16);

    cr_assert_eq(keel_sched_stats(r.device, &before), 0);
    cr_assert_eq(keel_page_prefetch(r.ctx, r.space, pages, 12), 12);
    for (keel_pageno p = 20; p < 32; p++) {
        cr_assert_eq(keel_page_fix(r.ctx, r.space, p, KEEL_FIX_SHARED, 0, NULL, &page), 0);
        keel_page_unfix(&page);
    }
    cr_assert_eq(keel_sched_stats(r.device, &after), 0);
    const struct keel_sched_class_stats *was = &before.classes[KEEL_CLASS_PREFETCH],
                                        *is = &after.classes[KEEL_CLASS_PREFETCH];
    cr_assert_eq(is->requests - was->requests, 12);
    cr_assert_eq(is->commands - was->commands, 1);
    real_close();
}

static void real_close(void)
{
    keel_pagecache_close(r.ctx, r.cache);
    keel_device_close(r.device);
    keel_ctx_close(r.ctx);
    keel_arena_destroy(r.arena);
    tmpdir_destroy(&r.dir);
}

static void real_change(keel_pageno pageno, int fill, enum keel_fix_mode mode, keel_lsn lsn)
{
    struct keel_page page;

    cr_assert_eq(keel_page_fix(r.ctx, r.space, pageno, mode, 0, NULL, &page), 0);
    memset(page.data, fill, page.len);
    keel_page_dirty(&page, lsn - 1, lsn);
    keel_page_unfix(&page);
}

static void real_flush(void)
{
    while (keel_pagecache_writeback(r.ctx, r.cache, KEEL_LSN_MAX, 0, true) > 0 ||
           keel_pagecache_wait_any(r.cache))
        ;
}

static void *read_page_5(void *arg)
{
    struct keel_ctx *ctx;
    struct keel_page page;

    (void)arg;
    if (keel_ctx_open(NULL, &ctx) != 0)
        return NULL;
    int rc = keel_page_fix(ctx, r.space, 5, KEEL_FIX_SHARED, 0, NULL, &page);
    int first = rc == 0 ? *(char *)page.data : 0;
    if (rc == 0)
        keel_page_unfix(&page);
    keel_ctx_close(ctx);
    return first == 55 ? &r : NULL;
}

Test(fix, reader_drives_the_read_that_a_silent_thread_began_I6, .timeout = 30)
{
    struct keel_page page;
    pthread_t thread;
    void *ok;

    real_open();
    real_change(5, 55, KEEL_FIX_NEW, 10);
    real_flush();
    cr_assert_eq(keel_pagecache_evict(r.cache, 16), 16);

    /* This thread begins the read and then never calls keel until the other one is through. */
    cr_assert_eq(keel_page_fix(r.ctx, r.space, 5, KEEL_FIX_SHARED, KEEL_FIX_NOWAIT, NULL, &page),
                 KEEL_PENDING);
    cr_assert_eq(pthread_create(&thread, NULL, read_page_5, NULL), 0);
    cr_assert_eq(pthread_join(thread, &ok), 0);

    cr_assert(ok == &r);
    real_close();
}

/* Fix without waiting on another context than the silent one, coming back until it is there. */
static int come_back_for(keel_pageno pageno)
{
    struct keel_ctx *ctx;
    struct keel_page page;
    int rc;

    cr_assert_eq(keel_ctx_open(NULL, &ctx), 0);
    while ((rc = keel_page_fix(ctx, r.space, pageno, KEEL_FIX_SHARED, KEEL_FIX_NOWAIT, NULL,
                               &page)) == KEEL_PENDING)
        cr_assert_geq(keel_ctx_poll(ctx, 0, 0), 0);
    if (rc == 0) {
        rc = *(unsigned char *)page.data;
        keel_page_unfix(&page);
    }
    keel_ctx_close(ctx);
    return rc;
}

Test(fix, nowait_moves_along_the_read_that_a_silent_context_began_I6, .timeout = 30)
{
    struct keel_page page;

    real_open();
    real_change(5, 55, KEEL_FIX_NEW, 10);
    real_flush();
    cr_assert_eq(keel_pagecache_evict(r.cache, 16), 16);

    cr_assert_eq(keel_page_fix(r.ctx, r.space, 5, KEEL_FIX_SHARED, KEEL_FIX_NOWAIT, NULL, &page),
                 KEEL_PENDING);
    cr_assert_eq(come_back_for(5), 55);
    real_close();
}

Test(fix, nowait_moves_along_the_writes_that_a_silent_context_began_I6, .timeout = 30)
{
    real_open();
    real_change(20, 77, KEEL_FIX_NEW, 10);
    real_flush();
    cr_assert_eq(keel_pagecache_evict(r.cache, 16), 16);
    for (keel_pageno p = 0; p < 16; p++)
        real_change(p, (int)p, KEEL_FIX_NEW, 100 + p);

    cr_assert_gt(keel_pagecache_writeback(r.ctx, r.cache, KEEL_LSN_MAX, 0, true), 0);
    cr_assert_eq(come_back_for(20), 77);
    real_close();
}

Test(fix, nothing_is_allocated_after_open, .timeout = 30)
{
    real_open();
    uint64_t allocations = mem_alloc_count();

    for (keel_pageno p = 0; p < 64; p++)
        real_change(p, (int)p, KEEL_FIX_NEW, 100 + p);
    for (keel_pageno p = 0; p < 64; p++)
        real_change(p, (int)p + 1, KEEL_FIX_EXCLUSIVE, 200 + p);

    cr_assert_eq(mem_alloc_count(), allocations);
    real_close();
}
