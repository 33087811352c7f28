/* Streams: every page once and in order, read together, without driving others out. */
#include "fixture.h"

#include <errno.h>

#include "pagecache/ring.h"

#define FRAMES 256u
#define PAGES  1024u

static struct fixture f;

/* Names pages from at on, step apart, below end. */
struct walk {
    keel_pageno at, end, step;
    uint32_t named;
};

static keel_pageno walk_next(void *arg)
{
    struct walk *walk = arg;
    keel_pageno pageno = walk->at;

    if (pageno >= walk->end)
        return KEEL_PAGENO_NONE;
    walk->at += walk->step;
    walk->named++;
    return pageno;
}

static void on_device(void)
{
    fixture_open(&f, FRAMES, PAGES);
    for (keel_pageno p = 0; p < PAGES; p++) {
        fixture_make(&f, p, (int)(p % 250) + 1, 100 + p);
        if (p % 128 == 127) {
            fixture_flush(&f);
            fixture_evict(&f);
        }
    }
}

static struct keel_stream *open_stream(struct walk *walk)
{
    struct keel_stream *stream;

    cr_assert_eq(keel_stream_open(f.ctx, f.space, walk_next, walk, &stream), 0);
    return stream;
}

static int next_first(struct keel_stream *stream, keel_pageno *ret_pageno)
{
    struct keel_page page;
    int rc = keel_stream_next(stream, 0, NULL, &page);

    if (rc != 0)
        return rc == KEEL_STREAM_END ? 0 : rc;
    rc = *(unsigned char *)page.data;
    *ret_pageno = page.pageno;
    keel_page_unfix(&page);
    return rc;
}

static void walk_all(struct walk walk)
{
    keel_pageno want = walk.at, got;
    struct keel_stream *stream = open_stream(&walk);
    int rc;

    while ((rc = next_first(stream, &got)) > 0) {
        cr_assert_eq(got, want);
        cr_assert_eq(rc, (int)(want % 250) + 1);
        want += walk.step;
    }
    cr_assert_eq(rc, 0);
    cr_assert_geq(want, walk.end);
    keel_stream_close(stream);
}

Test(stream, gives_every_page_once_in_the_order_in_which_they_were_named)
{
    on_device();
    walk_all((struct walk){.end = PAGES, .step = 1});
    walk_all((struct walk){.end = PAGES, .step = 7});
    walk_all((struct walk){.at = 5, .end = 6, .step = 1});
    walk_all((struct walk){.end = 0, .step = 1});

    cr_assert_eq(fixture_stats(&f).fixed, 0);
    fixture_evict(&f);
    cr_assert_eq(fixture_stats(&f).free, FRAMES, "no frame was lost");
    fixture_close(&f);
}

Test(stream, reads_pages_side_by_side_in_one_request)
{
    struct keel_ctx_stats before, after;
    struct pc_ring ring;

    on_device();
    pc_ring_init(&ring, f.space);
    keel_ctx_stats(f.ctx, &before);
    walk_all((struct walk){.end = PAGES, .step = 1});
    keel_ctx_stats(f.ctx, &after);

    cr_assert_gt(ring.group_frames, 1);
    cr_assert_leq(after.reads - before.reads, PAGES / ring.group_frames);
    fixture_close(&f);
}

Test(stream, reads_ahead_but_not_beyond_its_ring)
{
    struct walk walk = {.end = PAGES, .step = 1};
    keel_pageno got;

    on_device();
    struct keel_stream *stream = open_stream(&walk);
    for (int i = 0; i < 100; i++)
        cr_assert_gt(next_first(stream, &got), 0);
    cr_assert_gt(walk.named, 101);
    cr_assert_leq(walk.named, 100 + pc_ring_frames(f.cache, FRAMES, 0) + 1);
    keel_stream_close(stream);
    fixture_close(&f);
}

Test(stream, leaves_in_the_cache_what_was_used_twice)
{
    uint32_t hot = FRAMES / 2;

    on_device();
    for (int round = 0; round < 2; round++) {
        for (keel_pageno p = 0; p < hot; p++)
            cr_assert_gt(fixture_first(&f, p), 0);
    }
    walk_all((struct walk){.at = hot, .end = PAGES, .step = 1});

    uint64_t reads = fixture_stats(&f).reads;
    for (keel_pageno p = 0; p < hot; p++)
        cr_assert_gt(fixture_first(&f, p), 0);
    cr_assert_leq(fixture_stats(&f).reads - reads, pc_ring_frames(f.cache, FRAMES, 0));
    fixture_close(&f);
}

Test(stream, tells_of_a_damaged_page_alone_and_goes_on)
{
    struct walk walk = {.end = 32, .step = 1};
    struct keel_err_info info;
    struct keel_page page;
    uint32_t good = 0, bad = 0;

    on_device();
    /* The first requests, of several pages, fail; and so do the first pages by themselves. */
    fixture_fault(&f, KEEL_OP_READ, KEEL_FAULT_ERROR, -EIO, 10);
    struct keel_stream *stream = open_stream(&walk);
    int rc;
    while ((rc = keel_stream_next(stream, 0, &info, &page)) != KEEL_STREAM_END) {
        if (rc != 0) {
            cr_assert_eq(rc, KEEL_EREAD);
            bad++;
            continue;
        }
        good++;
        keel_page_unfix(&page);
    }
    cr_assert_geq(bad, 1);
    cr_assert_leq(bad, 9, "a request of several pages is no page's error");
    cr_assert_eq(good + bad, 32);
    keel_stream_close(stream);
    fixture_evict(&f);
    cr_assert_eq(fixture_stats(&f).free, FRAMES);
    fixture_close(&f);
}

Test(stream, says_that_a_page_lies_beyond_the_space)
{
    struct walk walk = {.at = PAGES - 1, .end = PAGES + 2, .step = 1};
    keel_pageno got;

    on_device();
    struct keel_stream *stream = open_stream(&walk);
    cr_assert_gt(next_first(stream, &got), 0);
    cr_assert_eq(next_first(stream, &got), KEEL_ERANGE);
    cr_assert_eq(next_first(stream, &got), KEEL_ERANGE);
    cr_assert_eq(next_first(stream, &got), 0);
    keel_stream_close(stream);
    fixture_close(&f);
}

Test(stream, never_waits_when_told_so)
{
    struct walk walk = {.end = PAGES, .step = 1};
    struct keel_page page;
    uint32_t count = 0, pending = 0;

    on_device();
    struct keel_stream *stream = open_stream(&walk);
    for (;;) {
        int rc = keel_stream_next(stream, KEEL_FIX_NOWAIT, NULL, &page);
        if (rc == KEEL_STREAM_END)
            break;
        if (rc == KEEL_PENDING) {
            pending++;
            cr_assert_geq(keel_ctx_poll(f.ctx, 0, -1), 0);
            continue;
        }
        cr_assert_eq(rc, 0);
        cr_assert_eq(page.pageno, count++);
        keel_page_unfix(&page);
    }
    cr_assert_eq(count, PAGES);
    cr_assert_gt(pending, 0);
    keel_stream_close(stream);
    fixture_close(&f);
}

Test(stream, goes_on_around_pages_that_stay_fixed_or_change)
{
    struct walk walk = {.end = PAGES, .step = 1};
    struct keel_page kept[8];
    uint32_t held = 0;
    keel_pageno count = 0;

    on_device();
    struct keel_stream *stream = open_stream(&walk);
    for (;; count++) {
        struct keel_page page;
        int rc = keel_stream_next(stream, 0, NULL, &page);
        if (rc == KEEL_STREAM_END)
            break;
        cr_assert_eq(rc, 0);
        cr_assert_eq(page.pageno, count);
        if (count % 100 == 3 && held < 8) {
            kept[held++] = page;
            continue;
        }
        if (count % 50 == 9) {
            cr_assert_eq(keel_page_upgrade(&page), 0);
            keel_page_dirty(&page, 5000, 5001);
        }
        keel_page_unfix(&page);
    }
    cr_assert_eq(count, PAGES);
    keel_stream_close(stream);
    for (uint32_t i = 0; i < held; i++) {
        cr_assert_eq(*(unsigned char *)kept[i].data, kept[i].pageno % 250 + 1);
        keel_page_unfix(&kept[i]);
    }
    fixture_flush(&f);
    fixture_evict(&f);
    cr_assert_eq(fixture_stats(&f).free, FRAMES);
    fixture_close(&f);
}

Test(stream, there_are_four_at_a_time)
{
    struct walk walk = {.end = PAGES, .step = 1};
    struct keel_stream *streams[4], *fifth;
    keel_pageno got;

    on_device();
    for (int i = 0; i < 4; i++) {
        streams[i] = open_stream(&walk);
        cr_assert_gt(next_first(streams[i], &got), 0);
    }
    cr_assert_eq(keel_stream_open(f.ctx, f.space, walk_next, &walk, &fifth), KEEL_EFULL);
    keel_stream_close(streams[2]);
    streams[2] = open_stream(&walk);
    for (int i = 0; i < 4; i++)
        keel_stream_close(streams[i]);
    /* What they had read ahead comes in meanwhile. */
    for (keel_pageno p = 0; p < PAGES; p++)
        cr_assert_gt(fixture_first(&f, p), 0);
    fixture_evict(&f);
    cr_assert_eq(fixture_stats(&f).free, FRAMES);
    fixture_close(&f);
}
