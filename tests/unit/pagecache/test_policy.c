/* The policy by itself: what becomes of a word at a use, at its turn, and at its return. */
#include <criterion/criterion.h>

#include "pagecache/latch.h"

#define FRAMES 1600u /* so that words keep the time in hundreds of evictions, about */

static uint64_t used(uint64_t word, int times)
{
    while (times-- > 0)
        word = pc_policy_used(word);
    return word;
}

Test(policy, page_used_once_goes_at_the_end_of_the_queue)
{
    uint64_t word = used(pc_policy_loaded() | PC_WORD_YOUNG, 1);

    cr_assert(pc_policy_visit_young(&word));
}

Test(policy, page_used_again_is_the_clocks_and_must_be_used_again_there)
{
    uint64_t word = used(pc_policy_loaded() | PC_WORD_YOUNG, 2);

    cr_assert_not(pc_policy_visit_young(&word));
    cr_assert_not(word & PC_WORD_YOUNG);
    uint64_t again = pc_policy_used(word);
    cr_assert(pc_policy_visit(&word));
    cr_assert_not(pc_policy_visit(&again));
    cr_assert(pc_policy_visit(&again));
}

Test(policy, page_that_was_read_ahead_queues_twice)
{
    uint64_t word = pc_policy_loaded() | PC_WORD_YOUNG;

    cr_assert_not(pc_policy_visit_young(&word));
    cr_assert(word & PC_WORD_YOUNG);
    cr_assert(pc_policy_visit_young(&word));
}

Test(policy, page_that_went_is_known_until_the_cache_was_filled_anew)
{
    for (uint64_t at = 0; at < UINT64_C(100) * FRAMES; at += 777) {
        uint64_t past = pc_policy_past(at, FRAMES);

        cr_assert(pc_word_vacant(past) && past != 0);
        cr_assert_eq(pc_policy_come(past, at, FRAMES), 0);
        cr_assert_eq(pc_policy_come(past, at + FRAMES, FRAMES), 0);
        cr_assert_eq(pc_policy_come(past, at + 5 * FRAMES / 4, FRAMES), PC_WORD_YOUNG);
        cr_assert_eq(pc_policy_come(past, at + 200 * FRAMES, FRAMES), PC_WORD_YOUNG);
    }
    cr_assert_eq(pc_policy_come(0, 0, FRAMES), PC_WORD_YOUNG, "never seen");
}

Test(policy, the_young_have_a_tenth)
{
    cr_assert_not(pc_policy_young_first(160, FRAMES));
    cr_assert(pc_policy_young_first(161, FRAMES));
    cr_assert(pc_policy_young_first(2, 16), "of a small cache one");
    cr_assert_not(pc_policy_young_first(1, 16));
}
