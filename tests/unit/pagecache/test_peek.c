/* Optimistic reads, and latches that change hands: what is seen, and when it is refused. */
#include "fixture.h"

static struct fixture f;

/* Pages 0 to count - 1 resident, page p full of p + 1. */
static void resident(keel_pageno count)
{
    fixture_open(&f, 16, 64);
    for (keel_pageno p = 0; p < count; p++)
        fixture_make(&f, p, (int)p + 1, 100 + p);
    fixture_flush(&f);
}

static unsigned char first_of(const struct keel_peek *peek)
{
    unsigned char byte;

    keel_page_copy(&byte, peek->data, 1);
    return byte;
}

Test(peek, sees_a_resident_page_and_writes_nothing_to_its_word)
{
    struct keel_peek peek;

    resident(2);
    cr_assert_eq(fixture_first(&f, 1), 2);
    uint64_t word = atomic_load(&f.space->table.words[1]);
    uint64_t hits = fixture_stats(&f).hits;

    cr_assert(keel_page_peek(f.space, 1, &peek));
    cr_assert_eq(first_of(&peek), 2);
    cr_assert_eq(peek.len, USER);
    cr_assert(keel_peek_valid(&peek));

    cr_assert_eq(atomic_load(&f.space->table.words[1]), word);
    cr_assert_eq(fixture_stats(&f).hits, hits + 1);
    fixture_close(&f);
}

Test(peek, refuses_what_is_not_resident_or_beyond_the_space)
{
    struct keel_peek peek;

    resident(1);
    cr_assert_not(keel_page_peek(f.space, 5, &peek));
    cr_assert_not(keel_page_peek(f.space, 64, &peek));
    fixture_evict(&f);
    cr_assert_not(keel_page_peek(f.space, 0, &peek));
    fixture_close(&f);
}

Test(peek, a_hint_is_no_use_and_no_read_and_may_be_about_any_page)
{
    resident(1);
    uint64_t word = atomic_load(&f.space->table.words[0]);
    struct keel_pagecache_stats before = fixture_stats(&f);

    keel_page_hint(f.space, 0);
    keel_page_hint(f.space, 5);
    keel_page_hint(f.space, 64);
    keel_page_hint(f.space, UINT64_MAX);
    struct keel_pagecache_stats after = fixture_stats(&f);
    cr_assert_eq(atomic_load(&f.space->table.words[0]), word);
    cr_assert(after.hits == before.hits && after.reads == before.reads);
    fixture_close(&f);
}

Test(peek, is_refused_and_no_longer_valid_while_a_writer_has_the_page)
{
    struct keel_peek peek, other;
    struct keel_page page;

    resident(1);
    cr_assert(keel_page_peek(f.space, 0, &peek));
    cr_assert_eq(fixture_fix(&f, 0, KEEL_FIX_EXCLUSIVE, &page), 0);
    cr_assert_not(keel_peek_valid(&peek));
    cr_assert_not(keel_page_peek(f.space, 0, &other));
    keel_page_unfix(&page);
    cr_assert_not(keel_peek_valid(&peek), "the writer is gone, and so are the bytes");
    cr_assert(keel_page_peek(f.space, 0, &peek));
    cr_assert(keel_peek_valid(&peek));
    fixture_close(&f);
}

Test(peek, does_not_mind_readers)
{
    struct keel_peek peek;
    struct keel_page page;

    resident(1);
    cr_assert_eq(fixture_fix(&f, 0, KEEL_FIX_SHARED, &page), 0);
    cr_assert(keel_page_peek(f.space, 0, &peek));
    keel_page_unfix(&page);
    cr_assert(keel_peek_valid(&peek));
    fixture_close(&f);
}

Test(peek, is_not_valid_after_the_page_was_evicted_and_came_back_into_the_same_frame)
{
    struct keel_peek peek;

    resident(1);
    cr_assert(keel_page_peek(f.space, 0, &peek));
    uint64_t word = atomic_load(&f.space->table.words[0]) >> 32;
    /* Until the frame that it had is its own again. */
    do {
        fixture_evict(&f);
        for (keel_pageno p = 1; atomic_load(&f.space->table.words[0]) >> 32 != word && p < 17;
             p++) {
            fixture_evict(&f);
            cr_assert_eq(fixture_first(&f, 0), 1);
        }
    } while (atomic_load(&f.space->table.words[0]) >> 32 != word);

    cr_assert_not(keel_peek_valid(&peek));
    fixture_close(&f);
}

Test(peek, tells_the_clock_of_a_use_twice_and_then_stores_nothing)
{
    struct keel_peek peek;

    resident(1);
    fixture_evict(&f);
    keel_pageno page = 0;
    cr_assert_eq(keel_page_prefetch(f.ctx, f.space, &page, 1), 1);
    while (!keel_page_peek(f.space, 0, &peek))
        cr_assert_geq(keel_ctx_poll(f.ctx, 0, -1), 0);

    uint64_t flags = PC_WORD_MARK | PC_WORD_FRESH;
    cr_assert_eq(atomic_load(&f.space->table.words[0]) & flags, PC_WORD_MARK);
    cr_assert(keel_page_peek(f.space, 0, &peek));
    cr_assert_eq(atomic_load(&f.space->table.words[0]) & flags, 0);
    fixture_close(&f);
}

Test(peek, serves_nothing_after_poison)
{
    struct keel_peek peek;

    resident(2);
    keel_pagecache_poison(f.cache, 100);
    cr_assert_not(keel_page_peek(f.space, 0, &peek));
    cr_assert_eq(fixture_first(&f, 0), 1);
    cr_assert_eq(fixture_first(&f, 1), KEEL_EPOISON);
    keel_space_grow(f.space, 100);
    cr_assert_not(keel_page_peek(f.space, 1, &peek));
    fixture_close(&f);
}

Test(peek, copies_any_stretch_whatever_its_alignment)
{
    struct keel_page page;
    unsigned char copy[64];

    resident(1);
    cr_assert_eq(fixture_fix(&f, 0, KEEL_FIX_EXCLUSIVE, &page), 0);
    for (unsigned i = 0; i < 64; i++)
        ((unsigned char *)page.data)[i] = (unsigned char)(i + 1);
    for (unsigned at = 0; at < 20; at++) {
        for (unsigned n = 0; n < 40; n++) {
            memset(copy, 0, sizeof(copy));
            keel_page_copy(copy, (const char *)page.data + at, n);
            cr_assert_eq(memcmp(copy, (const char *)page.data + at, n), 0, "%u at %u", n, at);
            cr_assert_eq(copy[n], 0);
        }
    }
    keel_page_unfix(&page);
    fixture_close(&f);
}

Test(upgrade, makes_the_only_reader_the_writer)
{
    struct keel_page page, other;

    resident(1);
    cr_assert_eq(fixture_fix(&f, 0, KEEL_FIX_SHARED, &page), 0);
    cr_assert_eq(keel_page_upgrade(&page), 0);
    cr_assert_eq(page.mode, KEEL_FIX_EXCLUSIVE);
    cr_assert_eq(keel_page_fix(f.ctx, f.space, 0, KEEL_FIX_SHARED, KEEL_FIX_TRYLATCH, NULL, &other),
                 KEEL_EBUSY);
    keel_page_dirty(&page, 200, 201);
    keel_page_unfix(&page);
    cr_assert_eq(fixture_stats(&f).fixed, 0);
    fixture_close(&f);
}

Test(upgrade, is_busy_beside_another_reader_and_changes_nothing)
{
    struct keel_page page, other;

    resident(1);
    cr_assert_eq(fixture_fix(&f, 0, KEEL_FIX_SHARED, &page), 0);
    cr_assert_eq(fixture_fix(&f, 0, KEEL_FIX_SHARED, &other), 0);
    cr_assert_eq(keel_page_upgrade(&page), KEEL_EBUSY);
    cr_assert_eq(page.mode, KEEL_FIX_SHARED);
    keel_page_unfix(&other);
    cr_assert_eq(keel_page_upgrade(&page), 0);
    keel_page_unfix(&page);
    fixture_close(&f);
}

Test(downgrade, lets_readers_in_and_ends_what_was_peeked_before)
{
    struct keel_page page, other;
    struct keel_peek peek;

    resident(1);
    cr_assert(keel_page_peek(f.space, 0, &peek));
    cr_assert_eq(fixture_fix(&f, 0, KEEL_FIX_EXCLUSIVE, &page), 0);
    ((char *)page.data)[0] = 9;
    keel_page_dirty(&page, 200, 201);
    keel_page_downgrade(&page);
    cr_assert_eq(page.mode, KEEL_FIX_SHARED);
    cr_assert_not(keel_peek_valid(&peek));
    cr_assert_eq(fixture_fix(&f, 0, KEEL_FIX_SHARED, &other), 0);
    cr_assert_eq(((char *)other.data)[0], 9);
    keel_page_unfix(&page);
    keel_page_unfix(&other);
    cr_assert_eq(fixture_stats(&f).fixed, 0);
    fixture_close(&f);
}
