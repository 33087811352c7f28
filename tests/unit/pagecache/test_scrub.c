/* Scrubbing: what is damaged is told, what is only in motion is not, and nobody else notices. */
#include "fixture.h"

#define PAGES 100u
#define RATE  (PAGE * 1000u) /* a page a millisecond */

static struct fixture f;
static struct keel_scrub *scrub;
static struct keel_err_info told[8];
static uint32_t told_count;
static uint64_t now_ns;

static void note(void *arg, struct keel_ctx *ctx, const struct keel_err_info *info)
{
    cr_assert_eq(arg, &f);
    cr_assert_eq(ctx, f.ctx);
    cr_assert_eq(keel_scrub_step(ctx, scrub, now_ns), 0, "somebody is inside: nothing happens");
    if (told_count < 8)
        told[told_count] = *info;
    told_count++;
}

static void open_scrub(void)
{
    struct keel_scrub_options options = KEEL_SCRUB_OPTIONS_DEFAULT;

    fixture_open(&f, 32, PAGES);
    for (keel_pageno p = 0; p < PAGES; p++)
        fixture_make(&f, p, 1 + (int)p, 1000 + p);
    fixture_flush(&f);
    fixture_evict(&f);
    options.space = f.space;
    options.bytes_per_s = RATE;
    options.damaged = note;
    options.arg = &f;
    cr_assert_eq(keel_scrub_open(f.cache, &options, &scrub), 0);
}

static void close_scrub(void)
{
    keel_scrub_close(scrub);
    fixture_close(&f);
}

static void step(void)
{
    now_ns += 1000000;
    cr_assert_eq(keel_scrub_step(f.ctx, scrub, now_ns), 0);
    cr_assert_geq(keel_ctx_poll(f.ctx, 0, 1000000), 0);
}

static struct keel_scrub_stats scrubbed(void)
{
    struct keel_scrub_stats stats;

    keel_scrub_stats(scrub, &stats);
    return stats;
}

/* Until the end of the space was met so often. */
static void rounds(uint64_t n)
{
    uint64_t want = scrubbed().rounds + n;

    for (unsigned i = 0; scrubbed().rounds < want; i++) {
        cr_assert_lt(i, 100000);
        step();
    }
}

static void poke(keel_pageno pageno, uint32_t at, const char *bytes)
{
    cr_assert_eq(keel_sim_poke(f.sim, "pages", pageno * PAGE + at, bytes, (uint32_t)strlen(bytes)),
                 0);
}

Test(scrub, tells_space_page_lsn_and_offset_of_each_damaged_page_P4)
{
    open_scrub();
    rounds(1);
    cr_assert_eq(told_count, 0);
    poke(7, 4000, "rot");
    poke(70, 100, "rot");
    rounds(2); /* the one that was under way, and a whole one */

    cr_assert_geq(told_count, 2);
    struct keel_err_info *first = told[0].offset == 7 * PAGE ? &told[0] : &told[1];
    cr_assert_eq(first->code, KEEL_ECHECKSUM);
    cr_assert_str_eq(first->object, "space 1 page 7 lsn 1007");
    cr_assert_eq(first->offset, 7 * PAGE);
    cr_assert_str_eq(first->op, "checksum");
    cr_assert_neq(first->want, first->got);
    cr_assert_eq(scrubbed().damaged, told_count);
    close_scrub();
}

Test(scrub, takes_no_frame_and_goes_on_behind_damage)
{
    open_scrub();
    poke(7, 4000, "rot");
    uint64_t reads = fixture_stats(&f).reads;
    rounds(3);
    cr_assert_eq(fixture_stats(&f).free, 32);
    cr_assert_eq(fixture_stats(&f).reads, reads);
    cr_assert_geq(scrubbed().pages, 3 * (PAGES - 1));
    for (keel_pageno p = 8; p < 20; p++)
        cr_assert_eq(fixture_first(&f, p), 1 + (int)p, "others are not disturbed");
    close_scrub();
}

Test(scrub, reads_no_faster_than_it_is_told)
{
    open_scrub();
    for (int i = 0; i < 1000; i++)
        step();
    uint64_t pages = scrubbed().pages;
    cr_assert_leq(pages, 1000 + 64, "a second at a page a millisecond, and one read ahead");
    cr_assert_geq(pages, 1000 - 3 * 64, "%llu", (unsigned long long)pages);
    close_scrub();
}

Test(scrub, page_that_is_to_be_written_or_read_only_once_wrongly_is_not_damaged)
{
    open_scrub();
    fixture_change(&f, 7, 99, 5000);
    poke(7, 4000, "rot");
    rounds(2);
    cr_assert_eq(told_count, 0, "its write is still to come");
    fixture_flush(&f);
    rounds(2);
    cr_assert_eq(told_count, 0);

    fixture_fault(&f, KEEL_OP_READ, KEEL_FAULT_FLIP, 0, 1);
    rounds(2);
    cr_assert_eq(told_count, 0, "the second read found nothing");
    close_scrub();
}

Test(scrub, page_that_cannot_be_read_is_told_and_its_neighbours_are_not)
{
    open_scrub();
    fixture_fault(&f, KEEL_OP_READ, KEEL_FAULT_ERROR, -EIO, 1);
    rounds(1);
    cr_assert_eq(told_count, 0, "one request failed, each page by itself is there");

    fixture_fault(&f, KEEL_OP_READ, KEEL_FAULT_ERROR, -EIO, 3);
    rounds(2);
    cr_assert_eq(told_count, 1, "the run, then a page and the same again: %u", told_count);
    cr_assert_eq(told[0].code, KEEL_EREAD);
    cr_assert_str_eq(told[0].op, "device");
    close_scrub();
}

Test(scrub, follows_a_space_that_shrinks_and_grows)
{
    open_scrub();
    rounds(1);
    keel_space_truncate(f.space, 3);
    rounds(3);
    keel_space_truncate(f.space, 0);
    for (int i = 0; i < 100; i++)
        step();
    keel_space_grow(f.space, PAGES);
    rounds(2);
    cr_assert_eq(told_count, 0);
    close_scrub();
}

Test(scrub, passes_over_pages_never_written)
{
    open_scrub();
    static const char zeroes[PAGE];
    cr_assert_eq(keel_sim_poke(f.sim, "pages", 5 * PAGE, zeroes, PAGE), 0);
    rounds(2);
    cr_assert_eq(told_count, 0);
    close_scrub();
}

Test(scrub, closes_with_a_read_in_flight_and_refuses_no_rate)
{
    struct keel_scrub_options options = KEEL_SCRUB_OPTIONS_DEFAULT;
    struct keel_scrub *other;

    open_scrub();
    now_ns += 1000000000;
    cr_assert_eq(keel_scrub_step(f.ctx, scrub, now_ns), 0);
    options.space = f.space;
    cr_assert_eq(keel_scrub_open(f.cache, &options, &other), KEEL_EOPTION);
    cr_assert_eq(keel_scrub_open(f.cache, NULL, &other), KEEL_EOPTION);
    keel_scrub_close(NULL);
    close_scrub();
}
