/* What the cache does when a context takes no more requests, when every frame is on its way, and
 * when the device refuses. */
#include "fixture.h"

#define PAGES 64u
#define DEPTH 8u

static struct fixture f;
static struct keel_ctx *narrow; /* DEPTH requests in flight, one behind them */
static struct keel_io busy[DEPTH + 1];
static char *memory;

static void open_cache(uint32_t frames)
{
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;

    fixture_open(&f, frames, PAGES);
    for (keel_pageno p = 0; p < PAGES; p++)
        fixture_make(&f, p, 1 + (int)p, 100 + p);
    fixture_flush(&f);
    fixture_evict(&f);
    options.method = KEEL_METHOD_SIM;
    options.sim = f.sim;
    options.depth = DEPTH;
    options.queue_max = 1;
    cr_assert_eq(keel_ctx_open(&options, &narrow), 0);
    memory = aligned_alloc(PAGE, (DEPTH + 1) * PAGE);
}

/* Until nothing more goes; how many. */
static uint32_t fill_queue(void)
{
    uint32_t count = 0;

    for (; count < DEPTH + 1; count++) {
        busy[count] = (struct keel_io){.device = f.device,
                                       .buf = memory + count * PAGE,
                                       .offset_bytes = (uint64_t)count * 2 * PAGE,
                                       .len_bytes = PAGE,
                                       .op = KEEL_OP_READ,
                                       .cls = KEEL_CLASS_READ};
        if (keel_io_submit(narrow, &busy[count]) != 0)
            break;
    }
    return count;
}

static void close_cache(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        cr_assert_eq(keel_io_wait(narrow, &busy[i]), 0);
    keel_ctx_close(narrow);
    free(memory);
    fixture_close(&f);
}

Test(full, who_may_wait_waits_for_room_and_who_may_not_comes_again)
{
    struct keel_page page;

    open_cache(32);
    uint32_t count = fill_queue();
    cr_assert_eq(keel_page_fix(narrow, f.space, 9, KEEL_FIX_SHARED, KEEL_FIX_NOWAIT, NULL, &page),
                 KEEL_PENDING);
    cr_assert_eq(fixture_stats(&f).free, 32, "nothing was begun");
    cr_assert_eq(keel_page_fix(narrow, f.space, 9, KEEL_FIX_SHARED, 0, NULL, &page), 0);
    cr_assert_eq(*(unsigned char *)page.data, 10);
    keel_page_unfix(&page);
    close_cache(count);
}

Test(full, reading_ahead_starts_what_goes)
{
    static const keel_pageno pages[] = {1, 2, 3};

    open_cache(32);
    uint32_t count = fill_queue();
    cr_assert_eq(keel_page_prefetch(narrow, f.space, pages, 3), 0);
    cr_assert_eq(fixture_stats(&f).free, 32);
    close_cache(count);
}

static keel_pageno next_page(void *arg)
{
    keel_pageno *at = arg;

    return *at < PAGES ? (*at)++ : KEEL_PAGENO_NONE;
}

Test(full, stream_goes_on_without_room_ahead)
{
    struct keel_stream *stream;
    struct keel_page page;
    keel_pageno at = 0, want = 0;

    open_cache(32);
    uint32_t count = fill_queue();
    cr_assert_eq(keel_stream_open(narrow, f.space, next_page, &at, &stream), 0);
    while (keel_stream_next(stream, 0, NULL, &page) == 0) {
        cr_assert_eq(*(unsigned char *)page.data, 1 + want++);
        keel_page_unfix(&page);
    }
    cr_assert_eq(want, PAGES);
    keel_stream_close(stream);
    close_cache(count);
}

Test(full, write_back_leaves_pages_changed_that_have_no_room)
{
    open_cache(32);
    fixture_change(&f, 5, 77, 900);
    uint32_t count = fill_queue();
    cr_assert_eq(keel_pagecache_writeback(narrow, f.cache, KEEL_LSN_MAX, 0, true), KEEL_EFULL);
    cr_assert_eq(fixture_stats(&f).dirty, 1);
    cr_assert_eq(keel_pagecache_rec_lsn_min(f.cache), 899);
    fixture_flush(&f);
    close_cache(count);
}

Test(full, scrubbing_tries_again_at_its_next_step)
{
    struct keel_scrub_options options = KEEL_SCRUB_OPTIONS_DEFAULT;
    struct keel_scrub_stats stats;
    struct keel_scrub *scrub;

    open_cache(32);
    options.space = f.space;
    options.bytes_per_s = 1u << 30;
    cr_assert_eq(keel_scrub_open(f.cache, &options, &scrub), 0);
    uint32_t count = fill_queue();
    cr_assert_eq(keel_scrub_step(narrow, scrub, 1000000000), 0);
    for (uint64_t now = 2; now < 100; now++) {
        cr_assert_eq(keel_scrub_step(f.ctx, scrub, now * 1000000000), 0);
        cr_assert_geq(keel_ctx_poll(f.ctx, 0, 1000000), 0);
    }
    keel_scrub_stats(scrub, &stats);
    cr_assert_geq(stats.pages, PAGES);
    keel_scrub_close(scrub);
    close_cache(count);
}

Test(full, every_frame_on_its_way_is_no_reason_to_give_up)
{
    keel_pageno pages[16];
    struct keel_page page;

    open_cache(16);
    for (keel_pageno p = 0; p < 16; p++)
        pages[p] = p;
    cr_assert_eq(keel_page_prefetch(f.ctx, f.space, pages, 16), 16);
    cr_assert_eq(keel_page_fix(f.ctx, f.space, 40, KEEL_FIX_SHARED, KEEL_FIX_NOWAIT, NULL, &page),
                 KEEL_PENDING);
    cr_assert_eq(keel_page_fix(f.ctx, f.space, 40, KEEL_FIX_SHARED, 0, NULL, &page), 0);
    keel_page_unfix(&page);
    close_cache(0);
}

Test(full, page_beyond_the_end_of_its_device_is_told)
{
    struct keel_err_info info;
    struct keel_space *space;
    struct keel_page page;

    open_cache(32);
    cr_assert_eq(space_open(f.cache, 2, f.device, 0, PAGES + 9, PAGES + 9, &space), 0);
    cr_assert_eq(keel_page_fix(f.ctx, space, PAGES, KEEL_FIX_SHARED, 0, &info, &page), KEEL_ERANGE);
    cr_assert_eq(info.offset, PAGES * PAGE);
    cr_assert_eq(fixture_stats(&f).free, 32, "the frame went back");
    close_cache(0);
}
