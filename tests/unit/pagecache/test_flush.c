/* Write-back: P1, merging, changes during a write, failed writes, recLSN (E3). */
#include "fixture.h"

#include <signal.h>

static struct fixture f;

static int writeback(keel_lsn below, uint32_t pages_max, bool wait_log)
{
    return keel_pagecache_writeback(f.ctx, f.cache, below, pages_max, wait_log);
}

static uint64_t device_writes(void)
{
    uint64_t writes;
    uint64_t syncs;

    keel_sim_counts(f.sim, "pages", &writes, &syncs);
    return writes;
}

/* ---------------------------------------------------------------- how writes go out */

/* The second lot of pages asks for the log when the first lot has been copied. */
Test(flush, device_has_the_first_pages_while_the_next_ones_are_copied)
{
    fixture_open_writes(&f, 320, 320, 32, 12);
    for (keel_pageno p = 0; p < 300; p++)
        fixture_make(&f, p, 1, 100 + p);
    uint64_t before = device_writes();
    f.durable = 100 + 255;

    cr_assert_eq(writeback(KEEL_LSN_MAX, 0, false), 256, "the log is durable for so many");
    cr_assert_eq(f.asked, 100 + 299);
    cr_assert_geq(f.asked_at, before + 4, "those before were on their way when it was asked");
    fixture_wait(&f);
    fixture_close(&f);
}

/* ---------------------------------------------------------------- the log comes first */

Test(flush, page_is_not_written_before_the_log_is_durable_P1)
{
    fixture_open(&f, 16, 64);
    uint64_t before = device_writes();
    f.durable = 50;
    fixture_make(&f, 1, 1, 100);

    cr_assert_eq(writeback(KEEL_LSN_MAX, 0, false), 0);
    cr_assert_eq(f.asked, 100, "but the log was started");
    cr_assert_not(keel_pagecache_wait_any(f.cache));
    cr_assert_eq(device_writes(), before);
    cr_assert_gt(fixture_stats(&f).log_waits, 0);

    f.durable = 99;
    cr_assert_eq(writeback(KEEL_LSN_MAX, 0, false), 0, "one byte is missing");
    f.durable = 100;
    cr_assert_eq(writeback(KEEL_LSN_MAX, 0, false), 1);
    fixture_wait(&f);
    cr_assert_eq(device_writes(), before + 1);
    fixture_close(&f);
}

Test(flush, pages_below_the_durable_lsn_are_written_beside_one_above_P1)
{
    fixture_open(&f, 16, 64);
    f.durable = 100;
    fixture_make(&f, 1, 1, 90);
    fixture_make(&f, 2, 1, 200);
    fixture_make(&f, 3, 1, 95);

    cr_assert_eq(writeback(KEEL_LSN_MAX, 0, false), 2);
    cr_assert_eq(fixture_state(&f, 2), PC_FRAME_DIRTY);
    fixture_wait(&f);
    cr_assert_eq(keel_pagecache_rec_lsn_min(f.cache), 199);
    fixture_close(&f);
}

Test(flush, log_is_forced_once_for_all_pages_of_a_call)
{
    fixture_open(&f, 16, 64);
    f.durable = 50;
    for (keel_pageno p = 0; p < 10; p++)
        fixture_make(&f, p, 1, 100 + p);

    cr_assert_eq(writeback(KEEL_LSN_MAX, 0, true), 10);
    cr_assert_eq(f.waits, 1);
    cr_assert_eq(f.durable, 109);
    fixture_wait(&f);
    fixture_close(&f);
}

Test(flush, error_of_the_log_is_returned_and_nothing_above_is_written_P1)
{
    fixture_open(&f, 16, 64);
    f.durable = 50;
    f.log_error = KEEL_EPOISON;
    fixture_make(&f, 1, 1, 100);

    cr_assert_eq(writeback(KEEL_LSN_MAX, 0, true), KEEL_EPOISON);
    cr_assert_eq(fixture_state(&f, 1), PC_FRAME_DIRTY);
    fixture_close(&f);
}

Test(flush, pages_above_the_poison_limit_are_never_written)
{
    fixture_open(&f, 16, 64);
    fixture_make(&f, 1, 1, 100);
    fixture_make(&f, 2, 1, 200);
    keel_pagecache_poison(f.cache, 150);

    cr_assert_eq(writeback(KEEL_LSN_MAX, 0, true), 1);
    fixture_wait(&f);
    cr_assert_eq(fixture_state(&f, 1), PC_FRAME_CLEAN);
    cr_assert_eq(fixture_state(&f, 2), PC_FRAME_DIRTY);
    fixture_close(&f);
}

/* ---------------------------------------------------------------- merging and choosing */

Test(flush, adjacent_pages_go_in_one_write_whatever_order_they_came_in)
{
    static const keel_pageno order[] = {5, 2, 7, 4, 3, 6};

    fixture_open(&f, 16, 64);
    uint64_t before = device_writes();
    for (int i = 0; i < 6; i++)
        fixture_make(&f, order[i], (int)order[i], 100 + (keel_lsn)i);

    cr_assert_eq(writeback(KEEL_LSN_MAX, 0, true), 6);
    fixture_flush(&f);
    cr_assert_eq(device_writes(), before + 1);
    fixture_evict(&f);
    for (keel_pageno p = 2; p < 8; p++)
        cr_assert_eq(fixture_first(&f, p), (int)p);
    fixture_close(&f);
}

Test(flush, write_is_no_longer_than_write_bytes_max)
{
    fixture_open(&f, 32, 64);
    for (keel_pageno p = 0; p < 20; p++)
        fixture_make(&f, p, (int)p, 100 + p);

    cr_assert_eq(writeback(KEEL_LSN_MAX, 0, true), 20);
    fixture_flush(&f);
    /* Those that touch may be one command of the device: that is the scheduler's. */
    cr_assert_eq(fixture_stats(&f).writes, 3, "8, 8 and 4 pages");
    fixture_close(&f);
}

Test(flush, no_more_writes_are_in_flight_than_writes_max)
{
    fixture_open(&f, 32, 64);
    for (keel_pageno p = 0; p < 20; p += 2)
        fixture_make(&f, p, (int)p, 100 + p);

    cr_assert_eq(writeback(KEEL_LSN_MAX, 0, true), 4);
    cr_assert_eq(fixture_stats(&f).writing, 4);
    cr_assert_eq(writeback(KEEL_LSN_MAX, 0, true), 0);
    cr_assert(keel_pagecache_wait_any(f.cache));
    cr_assert_gt(writeback(KEEL_LSN_MAX, 0, true), 0);
    fixture_flush(&f);
    fixture_close(&f);
}

Test(flush, takes_no_more_pages_than_it_is_told)
{
    fixture_open(&f, 32, 64);
    for (keel_pageno p = 0; p < 20; p++)
        fixture_make(&f, p, (int)p, 100 + p);

    cr_assert_eq(writeback(KEEL_LSN_MAX, 5, true), 5);
    fixture_wait(&f);
    cr_assert_eq(fixture_stats(&f).dirty, 15);
    fixture_close(&f);
}

Test(flush, only_pages_with_a_rec_lsn_below_the_limit_are_taken)
{
    fixture_open(&f, 32, 64);
    for (keel_pageno p = 0; p < 10; p++)
        fixture_make(&f, p, (int)p, 101 + p);

    cr_assert_eq(writeback(104, 0, true), 4, "recLSN 100 to 103");
    fixture_wait(&f);
    cr_assert_eq(keel_pagecache_rec_lsn_min(f.cache), 104);
    fixture_close(&f);
}

Test(flush, page_held_exclusively_is_skipped_without_waiting)
{
    struct keel_page page;

    fixture_open(&f, 16, 64);
    for (keel_pageno p = 0; p < 3; p++)
        fixture_make(&f, p, (int)p, 100 + p);
    cr_assert_eq(fixture_fix(&f, 1, KEEL_FIX_EXCLUSIVE, &page), 0);

    cr_assert_eq(writeback(KEEL_LSN_MAX, 0, true), 2);
    cr_assert_eq(fixture_state(&f, 1), PC_FRAME_DIRTY);
    keel_page_unfix(&page);
    fixture_flush(&f);
    fixture_close(&f);
}

Test(flush, page_held_by_readers_is_written)
{
    struct keel_page page;

    fixture_open(&f, 16, 64);
    fixture_make(&f, 1, 1, 100);
    cr_assert_eq(fixture_fix(&f, 1, KEEL_FIX_SHARED, &page), 0);

    cr_assert_eq(writeback(KEEL_LSN_MAX, 0, true), 1);
    fixture_wait(&f);
    cr_assert_eq(fixture_state(&f, 1), PC_FRAME_CLEAN);
    keel_page_unfix(&page);
    fixture_close(&f);
}

Test(flush, of_a_clean_cache_does_nothing)
{
    fixture_open(&f, 16, 64);

    cr_assert_eq(writeback(KEEL_LSN_MAX, 0, true), 0);
    cr_assert_not(keel_pagecache_wait_any(f.cache));
    cr_assert_eq(keel_pagecache_rec_lsn_min(f.cache), KEEL_LSN_MAX);
    fixture_close(&f);
}

/* ---------------------------------------------------------------- changes during a write */

Test(flush, page_changed_while_it_is_written_stays_dirty_and_both_versions_reach_the_device_E3)
{
    fixture_open(&f, 16, 64);
    fixture_make(&f, 1, 1, 100);
    cr_assert_eq(writeback(KEEL_LSN_MAX, 0, true), 1);
    cr_assert_eq(fixture_state(&f, 1), PC_FRAME_WRITING);

    fixture_change(&f, 1, 2, 200);
    cr_assert_eq(fixture_state(&f, 1), PC_FRAME_REDIRTIED);
    cr_assert_eq(keel_pagecache_rec_lsn_min(f.cache), 99, "E3: the first write may still fail");
    cr_assert_eq(writeback(KEEL_LSN_MAX, 0, true), 0, "P2: one write in flight per frame");
    fixture_wait(&f);
    cr_assert_eq(fixture_state(&f, 1), PC_FRAME_DIRTY);
    cr_assert_eq(keel_pagecache_rec_lsn_min(f.cache), 199, "E3: the first change is written");

    fixture_flush(&f);
    fixture_evict(&f);
    cr_assert_eq(fixture_first(&f, 1), 2);
    fixture_close(&f);
}

Test(flush, what_is_written_is_what_the_page_was_when_it_was_taken_P4)
{
    struct keel_page page;
    char copy[PAGE];

    fixture_open(&f, 16, 64);
    fixture_make(&f, 1, 1, 100);
    cr_assert_eq(writeback(KEEL_LSN_MAX, 0, true), 1);
    cr_assert_eq(fixture_fix(&f, 1, KEEL_FIX_EXCLUSIVE, &page), 0, "a writer does not wait");
    memset(page.data, 2, page.len);
    fixture_wait(&f);
    keel_page_dirty(&page, 199, 200);
    keel_page_unfix(&page);

    struct keel_io sync = {.device = f.device, .op = KEEL_OP_SYNC, .cls = KEEL_CLASS_WRITEBACK};
    cr_assert_eq(keel_io_submit(f.ctx, &sync), 0);
    cr_assert_eq(keel_io_wait(f.ctx, &sync), 0);
    cr_assert_eq(keel_sim_peek(f.sim, "pages", PAGE, copy, PAGE), 0);
    struct pc_page_fault fault;
    cr_assert_eq(pc_page_check(copy, PAGE, 1, 1, &fault), 0);
    cr_assert_eq(copy[KEEL_PAGE_HEADER_BYTES], 1);
    cr_assert_eq(pc_page_lsn(copy), 100);
    fixture_close(&f);
}

Test(flush, rec_lsn_is_that_of_the_first_change_since_the_last_write_E3)
{
    fixture_open(&f, 16, 64);
    fixture_make(&f, 1, 1, 100);
    fixture_change(&f, 1, 2, 200);
    fixture_make(&f, 2, 1, 150);

    cr_assert_eq(keel_pagecache_rec_lsn_min(f.cache), 99);
    cr_assert_eq(writeback(100, 0, true), 1, "page 1");
    fixture_wait(&f);
    cr_assert_eq(keel_pagecache_rec_lsn_min(f.cache), 149);
    fixture_change(&f, 1, 3, 300);
    cr_assert_eq(keel_pagecache_rec_lsn_min(f.cache), 149);
    fixture_flush(&f);
    fixture_close(&f);
}

/* ---------------------------------------------------------------- failures */

Test(flush, failed_write_is_reported_keeps_the_page_dirty_and_its_rec_lsn_E3)
{
    fixture_open(&f, 16, 64);
    fixture_make(&f, 1, 1, 100);
    fixture_make(&f, 2, 1, 110);
    fixture_fault(&f, KEEL_OP_WRITE, KEEL_FAULT_ERROR, -EIO, 1);

    cr_assert_eq(writeback(KEEL_LSN_MAX, 0, true), 2);
    fixture_wait(&f);
    cr_assert_eq(f.failures, 2, "once for each page");
    cr_assert_eq(f.failure, -EIO);
    cr_assert_eq(f.failed_page, 2);
    cr_assert_eq(fixture_state(&f, 1), PC_FRAME_DIRTY);
    cr_assert_eq(keel_pagecache_rec_lsn_min(f.cache), 99);

    fixture_flush(&f);
    cr_assert_eq(keel_pagecache_rec_lsn_min(f.cache), KEEL_LSN_MAX);
    fixture_evict(&f);
    cr_assert_eq(fixture_first(&f, 1), 1);
    fixture_close(&f);
}

Test(flush, failed_write_of_a_page_changed_meanwhile_keeps_the_older_rec_lsn_E3)
{
    fixture_open(&f, 16, 64);
    fixture_make(&f, 1, 1, 100);
    fixture_fault(&f, KEEL_OP_WRITE, KEEL_FAULT_ERROR, -EIO, 1);
    cr_assert_eq(writeback(KEEL_LSN_MAX, 0, true), 1);
    fixture_change(&f, 1, 2, 200);
    fixture_wait(&f);

    cr_assert_eq(f.failures, 1);
    cr_assert_eq(keel_pagecache_rec_lsn_min(f.cache), 99);
    cr_assert_eq(writeback(100, 0, true), 1, "it is still found below 100");
    fixture_wait(&f);
    cr_assert_eq(keel_pagecache_rec_lsn_min(f.cache), KEEL_LSN_MAX);
    fixture_close(&f);
}

Test(flush, write_that_cannot_be_queued_leaves_the_pages_dirty_and_says_so)
{
    struct keel_io reads[64];
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_ctx *ctx;
    void *buf = NULL;

    fixture_open(&f, 16, 64);
    fixture_make(&f, 1, 1, 100);
    options.method = KEEL_METHOD_SIM;
    options.sim = f.sim;
    options.depth = 8;
    options.queue_max = 4;
    cr_assert_eq(keel_ctx_open(&options, &ctx), 0);
    cr_assert_eq(posix_memalign(&buf, PAGE, PAGE), 0);
    memset(reads, 0, sizeof(reads));
    int queued = 0;
    while (queued < 64) {
        struct keel_io *io = &reads[queued];
        *io = (struct keel_io){.device = f.device,
                               .buf = buf,
                               .len_bytes = PAGE,
                               .op = KEEL_OP_READ,
                               .cls = KEEL_CLASS_HOST};
        if (keel_io_submit(ctx, io) == KEEL_EFULL)
            break;
        queued++;
    }

    cr_assert_eq(keel_pagecache_writeback(ctx, f.cache, KEEL_LSN_MAX, 0, true), KEEL_EFULL);
    cr_assert_eq(fixture_state(&f, 1), PC_FRAME_DIRTY);
    cr_assert_eq(f.failures, 0);
    cr_assert_eq(keel_pagecache_rec_lsn_min(f.cache), 99);
    for (int i = 0; i < queued; i++)
        cr_assert_eq(keel_io_wait(ctx, &reads[i]), 0);
    fixture_flush(&f);
    keel_ctx_close(ctx);
    free(buf);
    fixture_close(&f);
}

Test(flush, page_lsn_that_goes_back_is_a_mistake, .signal = SIGILL)
{
    fixture_open(&f, 16, 64);
    fixture_make(&f, 1, 1, 100);
    fixture_change(&f, 1, 1, 50);
}

Test(flush, close_waits_for_writes_in_flight)
{
    fixture_open(&f, 16, 64);
    fixture_make(&f, 1, 1, 100);
    cr_assert_eq(writeback(KEEL_LSN_MAX, 0, true), 1);
    fixture_close(&f);
}

Test(flush, throttle_at_the_hard_limit_tells_why_nothing_can_be_written)
{
    fixture_open(&f, 16, 64);
    f.durable = 0;
    for (keel_pageno p = 0; p < 15; p++)
        fixture_make(&f, p, 1, 100 + p);
    f.log_error = KEEL_EPOISON;
    cr_assert_eq(keel_pagecache_throttle(f.ctx, f.cache, true), KEEL_EPOISON);
    cr_assert_eq(keel_pagecache_throttle(f.ctx, f.cache, false), KEEL_EPOISON);
    fixture_close(&f);
}
