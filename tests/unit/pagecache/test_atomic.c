/* Pages that are written untorn: one by one, whole after every power cut, and only where the device
 * can. */
#include "fixture.h"

#include "pagecache/page.h"

#define LARGE 16384u
#define PAGES 16u

static struct fixture f;
static struct keel_space *space;

static int open_space(uint32_t id, uint32_t page_bytes, struct keel_space **ret)
{
    const struct keel_space_options options = {
        .size = sizeof(options),
        .id = id,
        .device = f.device,
        .pages = PAGES,
        .pages_max = PAGES,
        .page_bytes = page_bytes,
        .atomic_writes = true,
    };

    return keel_space_open(f.cache, &options, ret);
}

static void change(keel_pageno pageno, int fill, keel_lsn lsn)
{
    struct keel_page page;

    cr_assert_eq(keel_page_fix(f.ctx, space, pageno, KEEL_FIX_NEW, 0, NULL, &page), 0);
    memset(page.data, fill, page.len);
    keel_page_dirty(&page, lsn - 1, lsn);
    keel_page_unfix(&page);
}

static void open_cache(uint32_t atomic_write_bytes)
{
    fixture_open_device(&f, 128, 4 * PAGES,
                        (struct fixture_writes){2 * LARGE / PAGE, 4, atomic_write_bytes});
}

Test(atomic, pages_that_the_device_would_tear_are_refused)
{
    open_cache(0);
    cr_assert_eq(open_space(2, LARGE, &space), KEEL_ENOTSUP);
    fixture_close(&f);

    open_cache(8192);
    cr_assert_eq(open_space(2, LARGE, &space), KEEL_ENOTSUP);
    cr_assert_eq(open_space(2, 8192, &space), 0);
    struct keel_space_stats stats;
    keel_space_stats(space, &stats);
    cr_assert(stats.atomic_writes);
    keel_space_stats(f.space, &stats);
    cr_assert_not(stats.atomic_writes);
    fixture_close(&f);
}

Test(atomic, request_that_cannot_be_untorn_is_refused)
{
    struct keel_io io = {.op = KEEL_OP_WRITE, .flags = KEEL_IO_ATOMIC, .cls = KEEL_CLASS_WRITEBACK};

    open_cache(8192);
    io.device = f.device;
    io.arena = f.arena;
    io.buf = f.cache->data;
    io.len_bytes = LARGE;
    cr_assert_eq(keel_io_submit(f.ctx, &io), KEEL_ENOTSUP, "too long");
    io.len_bytes = 8192;
    io.offset_bytes = 4096;
    cr_assert_eq(keel_io_submit(f.ctx, &io), KEEL_ENOTSUP, "not at a multiple of its length");
    io.offset_bytes = 8192;
    cr_assert_eq(keel_io_submit(f.ctx, &io), 0);
    cr_assert_eq(keel_io_wait(f.ctx, &io), 0);
    fixture_close(&f);
}

Test(atomic, adjacent_pages_go_one_by_one)
{
    struct keel_ctx_stats before, after;

    open_cache(LARGE);
    cr_assert_eq(open_space(2, LARGE, &space), 0);
    for (keel_pageno p = 0; p < PAGES; p++)
        change(p, 1, 100);
    keel_ctx_stats(f.ctx, &before);
    cr_assert_eq(keel_space_flush(f.ctx, space), 0);
    keel_ctx_stats(f.ctx, &after);
    cr_assert_eq(after.writes - before.writes, PAGES);
    fixture_close(&f);
}

/* Is each page one that was written, after the power failed at this event? */
static void check_cut(uint64_t event, uint64_t seed)
{
    static char page[LARGE];
    struct pc_page_fault fault;
    struct keel_sim *cut;

    cr_assert_eq(keel_sim_cut(f.sim, event, KEEL_CUT_TORN, seed, NULL, NULL, &cut), 0);
    for (keel_pageno p = 0; p < PAGES; p++) {
        cr_assert_eq(keel_sim_peek(cut, "pages", p * LARGE, page, LARGE), 0);
        int rc = pc_page_check(page, LARGE, 2, p, &fault);
        cr_assert(rc == 0 || rc == KEEL_ENOPAGE, "event %llu page %llu: %s",
                  (unsigned long long)event, (unsigned long long)p, fault.what);
    }
    keel_sim_destroy(cut);
}

Test(atomic, no_power_cut_leaves_a_page_torn, .timeout = 60)
{
    open_cache(LARGE);
    cr_assert_eq(open_space(2, LARGE, &space), 0);
    uint64_t created = keel_sim_events(f.sim);
    for (int round = 1; round <= 4; round++) {
        for (keel_pageno p = 0; p < PAGES; p++)
            change(p, round, 100u * (unsigned)round);
        cr_assert_eq(keel_space_flush(f.ctx, space), 0);
    }
    for (uint64_t event = created; event <= keel_sim_events(f.sim); event++) {
        for (uint64_t seed = 0; seed < 4; seed++)
            check_cut(event, seed);
    }
    keel_pagecache_close(f.ctx, f.cache);
    keel_device_close(f.device);
    keel_ctx_close(f.ctx);
    keel_sim_destroy(f.sim);
}
