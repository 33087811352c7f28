/*
 * Changed ranges of a page: whatever was noted is covered, in order and without touching, in few
 * ranges, and the old bytes of all that is covered are kept. Method: random changes against a copy.
 */
#include "engine/txn.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/prng.h"
#include "tests/support/seed.h"

#define LEN 4064u

static void check(const struct tx_page *entry, const unsigned char *noted)
{
    uint32_t end = 0;
    unsigned char covered[LEN] = {0};

    cr_assert_geq(entry->range_count, 1);
    cr_assert_leq(entry->range_count, TX_RANGES_MAX);
    for (unsigned i = 0; i < entry->range_count; i++) {
        const struct tx_range *range = &entry->ranges[i];
        cr_assert_gt(range->len, 0);
        cr_assert(i == 0 || range->offset > end, "ranges %u and %u touch", i - 1, i);
        end = (uint32_t)range->offset + range->len;
        cr_assert_leq(end, LEN);
        memset(covered + range->offset, 1, range->len);
    }
    for (unsigned at = 0; at < LEN; at++)
        cr_assert(!noted[at] || covered[at], "byte %u is lost", at);
}

/* Putting back what is kept gives the page as it was. */
static void check_undo(const struct tx_page *entry, const unsigned char *page,
                       const unsigned char *undo, const unsigned char *before)
{
    unsigned char restored[LEN];

    memcpy(restored, page, LEN);
    for (unsigned i = 0; i < entry->range_count; i++) {
        const struct tx_range *range = &entry->ranges[i];
        memcpy(restored + range->offset, undo + range->offset, range->len);
    }
    cr_assert_arr_eq(restored, before, LEN);
}

Test(txn, every_changed_byte_is_in_one_of_the_few_ranges_and_can_be_put_back)
{
    struct prng prng;

    prng_seed(&prng, test_seed("txn ranges"));
    for (unsigned run = 0; run < 300; run++) {
        unsigned char noted[LEN] = {0}, page[LEN], before[LEN], undo[LEN] = {0};
        struct tx_page entry = {.page = {.data = page, .len = LEN}};

        for (unsigned i = 0; i < LEN; i++)
            page[i] = (unsigned char)prng_u64(&prng);
        memcpy(before, page, LEN);
        for (unsigned i = 0; i < 40; i++) {
            uint32_t len = 1 + (uint32_t)prng_below(&prng, run % 3 == 0 ? 8 : 300);
            uint32_t offset = (uint32_t)prng_below(&prng, LEN - len + 1);
            memset(noted + offset, 1, len);
            tx_note_range(&entry, undo, offset, len);
            memset(page + offset, (int)prng_u64(&prng), len);
            check(&entry, noted);
            check_undo(&entry, page, undo, before);
        }
    }
}

Test(txn, ranges_that_touch_become_one)
{
    struct tx_page entry = {0};

    tx_note_range(&entry, NULL, 100, 10);
    tx_note_range(&entry, NULL, 120, 10);
    cr_assert_eq(entry.range_count, 2);
    tx_note_range(&entry, NULL, 110, 10);

    cr_assert_eq(entry.range_count, 1);
    cr_assert_eq(entry.ranges[0].offset, 100);
    cr_assert_eq(entry.ranges[0].len, 30);
}

Test(txn, the_closest_two_of_too_many_ranges_are_joined)
{
    struct tx_page entry = {0};

    for (unsigned i = 0; i < TX_RANGES_MAX; i++)
        tx_note_range(&entry, NULL, i * 400, 4);
    tx_note_range(&entry, NULL, 404 + 50, 4);

    cr_assert_eq(entry.range_count, TX_RANGES_MAX);
    cr_assert_eq(entry.ranges[1].offset, 400);
    cr_assert_eq(entry.ranges[1].len, 58);
}

Test(txn, the_whole_of_the_largest_page_is_one_range)
{
    struct tx_page entry = {0};

    tx_note_range(&entry, NULL, 0, 65504);
    tx_note_range(&entry, NULL, 65503, 1);

    cr_assert_eq(entry.range_count, 1);
    cr_assert_eq(entry.ranges[0].len, 65504);
}
