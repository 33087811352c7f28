/* Spaces that are truncated, dropped, flushed and counted; the limits of what may be changed. */
#include "fixture.h"

#include <pthread.h>
#include <sched.h>

#include <errno.h>
#include <stdio.h>

static struct fixture f;

static struct keel_space_stats stats_of(struct keel_space *space)
{
    struct keel_space_stats stats;

    keel_space_stats(space, &stats);
    return stats;
}

/* A second space of 64 pages on a device of its own. */
static struct keel_space *second_space(struct keel_device **ret_device)
{
    struct keel_device_options options = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct keel_space *space;

    options.create_bytes = 64 * PAGE;
    cr_assert_eq(keel_device_open(f.ctx, "second", &options, NULL, ret_device), 0);
    cr_assert_eq(space_open(f.cache, 2, *ret_device, 0, 64, 64, &space), 0);
    return space;
}

static void make_in(struct keel_space *space, keel_pageno pageno, int fill, keel_lsn lsn)
{
    struct keel_page page;

    cr_assert_eq(keel_page_fix(f.ctx, space, pageno, KEEL_FIX_NEW, 0, NULL, &page), 0);
    memset(page.data, fill, page.len);
    keel_page_dirty(&page, lsn - 1, lsn);
    keel_page_unfix(&page);
}

Test(space, two_on_two_devices_keep_their_pages_apart)
{
    struct keel_device *device;
    struct keel_page page;

    fixture_open(&f, 16, 64);
    struct keel_space *second = second_space(&device);
    fixture_make(&f, 3, 1, 100);
    make_in(second, 3, 2, 101);
    fixture_flush(&f);
    fixture_evict(&f);

    cr_assert_eq(fixture_first(&f, 3), 1);
    cr_assert_eq(keel_page_fix(f.ctx, second, 3, KEEL_FIX_SHARED, 0, NULL, &page), 0);
    cr_assert_eq(*(char *)page.data, 2);
    keel_page_unfix(&page);
    cr_assert_eq(stats_of(second).reads, 1);
    cr_assert_eq(stats_of(second).pages_written, 1);
    cr_assert_eq(stats_of(f.space).reads, 1);
    keel_space_drop(second);
    keel_device_close(device);
    fixture_close(&f);
}

Test(space, truncated_forgets_what_lies_behind_changed_or_not)
{
    struct keel_page page;

    fixture_open(&f, 16, 64);
    for (keel_pageno p = 0; p < 8; p++)
        fixture_make(&f, p, (int)p + 1, 100 + p);
    cr_assert_eq(stats_of(f.space).dirty, 8);
    keel_space_truncate(f.space, 5);

    cr_assert_eq(keel_space_pages(f.space), 5);
    cr_assert_eq(stats_of(f.space).resident, 5);
    cr_assert_eq(stats_of(f.space).dirty, 5);
    cr_assert_eq(keel_pagecache_rec_lsn_min(f.cache), 99);
    cr_assert_eq(fixture_fix(&f, 5, KEEL_FIX_SHARED, &page), KEEL_ERANGE);
    cr_assert_eq(fixture_first(&f, 4), 5);
    keel_space_grow(f.space, 8);
    cr_assert_eq(fixture_first(&f, 5), KEEL_ENOPAGE, "it was never written");
    cr_assert_eq(fixture_stats(&f).free, 11);
    fixture_close(&f);
}

Test(space, truncated_while_pages_are_read_and_written_waits_for_both)
{
    keel_pageno ahead[4] = {0, 1, 2, 3};

    fixture_open(&f, 16, 64);
    for (keel_pageno p = 0; p < 4; p++)
        fixture_make(&f, p, 1, 100 + p);
    fixture_flush(&f);
    fixture_evict(&f);
    for (keel_pageno p = 4; p < 8; p++)
        fixture_make(&f, p, 1, 200 + p);
    cr_assert_eq(keel_page_prefetch(f.ctx, f.space, ahead, 4), 4);
    cr_assert_gt(keel_pagecache_writeback(f.ctx, f.cache, KEEL_LSN_MAX, 0, true), 0);
    keel_space_truncate(f.space, 0);

    cr_assert_eq(stats_of(f.space).resident, 0);
    cr_assert_eq(fixture_stats(&f).free, 16);
    cr_assert_eq(keel_pagecache_rec_lsn_min(f.cache), KEEL_LSN_MAX);
    fixture_close(&f);
}

Test(space, dropped_leaves_its_id_and_its_memory_to_the_next)
{
    struct keel_device *device;
    struct keel_space *again;

    fixture_open(&f, 16, 64);
    struct keel_space *second = second_space(&device);
    make_in(second, 1, 7, 100);
    keel_space_drop(second);
    cr_assert_eq(fixture_stats(&f).free, 16);

    cr_assert_eq(space_open(f.cache, 2, device, 0, 64, 64, &again), 0);
    cr_assert_eq(again, second);
    cr_assert_eq(stats_of(again).pages_written, 0);
    keel_space_drop(again);
    keel_device_close(device);
    fixture_close(&f);
}

Test(space, flushed_is_on_the_device_and_others_are_not_touched)
{
    struct keel_device *device;

    fixture_open(&f, 16, 64);
    struct keel_space *second = second_space(&device);
    f.durable = 50;
    fixture_make(&f, 0, 1, 100);
    make_in(second, 0, 2, 101);
    make_in(second, 1, 3, 102);
    cr_assert_eq(keel_space_flush(f.ctx, second), 0);

    cr_assert_eq(stats_of(second).dirty, 0);
    cr_assert_eq(stats_of(second).pages_written, 2);
    cr_assert_eq(stats_of(f.space).dirty, 1);
    cr_assert_geq(f.durable, 102, "P1: the log came first");
    keel_space_drop(second);
    keel_device_close(device);
    fixture_close(&f);
}

Test(space, that_cannot_be_flushed_says_why)
{
    fixture_open(&f, 16, 64);
    fixture_make(&f, 0, 1, 100);
    fixture_fault(&f, KEEL_OP_WRITE, KEEL_FAULT_ERROR, -EIO, 1);
    cr_assert_eq(keel_space_flush(f.ctx, f.space), -EIO);
    cr_assert_eq(stats_of(f.space).dirty, 1);
    f.durable = 50;
    f.log_error = KEEL_EPOISON;
    fixture_change(&f, 0, 2, 200);
    cr_assert_eq(keel_space_flush(f.ctx, f.space), KEEL_EPOISON);
    fixture_close(&f);
}

/* ---------------------------------------------------------------- limits */

Test(throttle, does_nothing_below_the_soft_limit_and_a_share_of_the_work_above)
{
    fixture_open(&f, 40, 64);
    for (keel_pageno p = 0; p < 20; p++)
        fixture_make(&f, p, 1, 100 + p);
    cr_assert_eq(keel_pagecache_throttle(f.ctx, f.cache, true), 0);
    cr_assert_eq(fixture_stats(&f).writes, 0);

    fixture_make(&f, 20, 1, 200);
    cr_assert_eq(keel_pagecache_throttle(f.ctx, f.cache, true), 0);
    fixture_wait(&f);
    uint64_t few = fixture_stats(&f).pages_written;
    cr_assert_gt(few, 0);
    for (keel_pageno p = 20; p < 31; p++)
        fixture_make(&f, p, 1, 300 + p);
    cr_assert_eq(keel_pagecache_throttle(f.ctx, f.cache, true), 0);
    fixture_wait(&f);
    cr_assert_gt(fixture_stats(&f).pages_written - few, few);
    fixture_close(&f);
}

Test(throttle, waits_at_the_hard_limit_or_says_so)
{
    fixture_open(&f, 40, 64);
    for (keel_pageno p = 0; p < 36; p++)
        fixture_make(&f, p, 1, 100 + p);
    cr_assert_eq(keel_pagecache_throttle(f.ctx, f.cache, false), KEEL_PENDING);
    cr_assert_eq(keel_pagecache_throttle(f.ctx, f.cache, true), 0);
    cr_assert_lt(fixture_stats(&f).dirty + fixture_stats(&f).writing, 32);
    fixture_close(&f);
}

Test(throttle, tells_of_a_device_that_refuses_writes)
{
    fixture_open(&f, 40, 64);
    for (keel_pageno p = 0; p < 36; p++)
        fixture_make(&f, p, 1, 100 + p);
    fixture_fault(&f, KEEL_OP_WRITE, KEEL_FAULT_ERROR, -EIO, 100);
    cr_assert_eq(keel_pagecache_throttle(f.ctx, f.cache, true), -EIO);
    fixture_close(&f);
}

Test(throttle, does_not_wait_for_pages_that_are_all_held)
{
    struct keel_page held[36];

    fixture_open(&f, 40, 64);
    for (keel_pageno p = 0; p < 36; p++) {
        fixture_make(&f, p, 1, 100 + p);
        cr_assert_eq(fixture_fix(&f, p, KEEL_FIX_EXCLUSIVE, &held[p]), 0);
    }
    cr_assert_eq(keel_pagecache_throttle(f.ctx, f.cache, true), 0);
    for (keel_pageno p = 0; p < 36; p++)
        keel_page_unfix(&held[p]);
    fixture_close(&f);
}

/* ---------------------------------------------------------------- the dump */

static char dumped[2048];

static void take_line(void *arg, const char *text)
{
    size_t used = strlen(dumped);

    (void)arg;
    snprintf(dumped + used, sizeof(dumped) - used, "%s\n", text);
}

Test(dump, names_a_page_that_is_not_let_go_of_and_what_is_in_flight)
{
    keel_pageno ahead = 2;
    struct keel_page a, b, c;

    fixture_open(&f, 16, 64);
    for (keel_pageno p = 0; p < 3; p++)
        fixture_make(&f, p, 1, 100 + p);
    fixture_flush(&f);
    fixture_evict(&f);
    cr_assert_eq(keel_pagecache_dump(f.cache, take_line, NULL), 0);

    cr_assert_eq(fixture_fix(&f, 0, KEEL_FIX_SHARED, &a), 0);
    cr_assert_eq(fixture_fix(&f, 0, KEEL_FIX_SHARED, &b), 0);
    cr_assert_eq(fixture_fix(&f, 1, KEEL_FIX_EXCLUSIVE, &c), 0);
    fixture_make(&f, 9, 1, 300);
    cr_assert_eq(keel_pagecache_writeback(f.ctx, f.cache, KEEL_LSN_MAX, 0, true), 1);
    cr_assert_eq(keel_page_prefetch(f.ctx, f.space, &ahead, 1), 1);
    cr_assert_geq(keel_pagecache_dump(f.cache, take_line, NULL), 3);

    cr_assert(strstr(dumped, "space 1 page 0: fixed shared 2 times"), "%s", dumped);
    cr_assert(strstr(dumped, "space 1 page 1: fixed exclusively"), "%s", dumped);
    cr_assert(strstr(dumped, "space 1 page 2: read in flight"), "%s", dumped);
    cr_assert(strstr(dumped, "space 1 pages 9 to 9: write in flight, 4096 bytes at offset 36864"),
              "%s", dumped);
    keel_page_unfix(&a);
    keel_page_unfix(&b);
    keel_page_unfix(&c);
    fixture_close(&f);
}

static void *let_go(void *arg)
{
    while (keel_space_pages(f.space) != 0)
        sched_yield();
    keel_page_unfix(arg);
    return NULL;
}

Test(space, truncating_waits_for_reads_in_flight_and_for_who_has_a_page_fixed, .timeout = 20)
{
    static const keel_pageno ahead[] = {5, 6};
    struct keel_page page;
    pthread_t thread;

    fixture_open(&f, 16, 64);
    for (keel_pageno p = 0; p < 16; p++)
        fixture_make(&f, p, 1, 100);
    fixture_flush(&f);
    fixture_evict(&f);
    cr_assert_eq(fixture_fix(&f, 3, KEEL_FIX_SHARED, &page), 0);
    cr_assert_eq(keel_page_prefetch(f.ctx, f.space, ahead, 2), 2);
    cr_assert_eq(pthread_create(&thread, NULL, let_go, &page), 0);
    keel_space_truncate(f.space, 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(fixture_stats(&f).free, 16);
    fixture_close(&f);
}
