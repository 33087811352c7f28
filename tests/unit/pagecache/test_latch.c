/* Translation words: who comes in beside whom, and that a sleeper is always woken. */
#include <criterion/criterion.h>
#include <criterion/theories.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include "pagecache/latch.h"

static pc_word word;

static void set(uint64_t low)
{
    atomic_store(&word, pc_word_make(7, low));
}

static uint64_t now(void)
{
    return atomic_load(&word);
}

Test(latch, word_of_a_resident_page_names_its_frame)
{
    set(0);

    cr_assert(pc_word_resident(now()));
    cr_assert_eq(pc_word_index(now()), 7);
    cr_assert_not(pc_word_resident(0));
    cr_assert_not(pc_word_resident(PC_WORD_FROZEN));
}

Test(latch, readers_come_in_beside_readers_and_each_leaves)
{
    set(0);

    cr_assert(pc_latch_shared(&word, now(), now()));
    cr_assert(pc_latch_shared(&word, now(), now()));
    cr_assert_eq(pc_word_latch(now()), 2);
    pc_unlatch_shared(&word);
    pc_unlatch_shared(&word);
    cr_assert_eq(now(), pc_word_make(7, 0));
}

Test(latch, is_not_taken_when_the_word_changed_meanwhile)
{
    set(0);
    uint64_t seen = now();
    cr_assert(pc_latch_shared(&word, seen, seen));

    cr_assert_not(pc_latch_exclusive(&word, seen, seen));
    cr_assert_eq(pc_word_latch(now()), 1);
}

Test(latch, has_room_for_as_many_readers_as_it_says)
{
    set(PC_LATCH_SHARED - 1);
    cr_assert(pc_word_sharable(now()));
    cr_assert(pc_latch_shared(&word, now(), now()));

    cr_assert_not(pc_word_sharable(now()));
    cr_assert(pc_word_fixed(now()));
}

Test(latch, of_a_frame_in_a_read_or_after_a_failed_one_is_no_pin)
{
    cr_assert_not(pc_word_fixed(pc_word_make(7, PC_LATCH_IO)));
    cr_assert_not(pc_word_fixed(pc_word_make(7, PC_LATCH_BAD)));
    cr_assert_not(pc_word_sharable(pc_word_make(7, PC_LATCH_IO)));
    cr_assert_not(pc_word_sharable(pc_word_make(7, PC_LATCH_BAD)));
    cr_assert(pc_word_fixed(pc_word_make(7, PC_LATCH_EXCLUSIVE)));
    cr_assert(pc_word_fixed(pc_word_make(7, 1)));
}

Test(latch, first_use_of_a_fresh_page_leaves_the_mark_and_the_second_takes_it)
{
    uint64_t value = pc_word_make(7, PC_WORD_MARK | PC_WORD_FRESH);

    value = pc_policy_used(value);
    cr_assert_eq(value, pc_word_make(7, PC_WORD_MARK));
    value = pc_policy_used(value);
    cr_assert_eq(value, pc_word_make(7, 0));
}

/* Each release that makes the latch free with WAITERS set clears the bit. */
TheoryDataPoints(latch, release_by_the_last_holder_clears_waiters) = {
    DataPoints(int, 1, 2, 3),
    DataPoints(int, 0, 1),
};
Theory((int readers, int waiters), latch, release_by_the_last_holder_clears_waiters)
{
    set((uint64_t)readers | (waiters ? PC_WORD_WAITERS : 0));

    for (int left = readers; left > 0; left--) {
        cr_assert_eq((now() & PC_WORD_WAITERS) != 0, waiters != 0);
        pc_unlatch_shared(&word);
    }
    cr_assert_eq(now(), pc_word_make(7, 0));
}

Test(latch, release_of_an_exclusive_one_keeps_the_mark_and_clears_waiters)
{
    set(PC_LATCH_EXCLUSIVE | PC_WORD_WAITERS | PC_WORD_MARK);

    pc_unlatch_exclusive(&word);

    cr_assert_eq(now(), pc_word_make(7, PC_WORD_MARK));
}

Test(latch, wait_comes_back_when_the_word_is_no_longer_what_was_seen)
{
    set(0);

    pc_latch_wait(&word, pc_word_make(7, PC_LATCH_EXCLUSIVE));

    cr_assert_eq(now(), pc_word_make(7, 0));
}

Test(latch, wait_for_a_read_in_flight_is_a_mistake, .signal = SIGILL)
{
    set(PC_LATCH_IO);

    pc_latch_wait(&word, now());
}

Test(latch, page_that_readers_hold_does_not_leave_P3, .signal = SIGILL)
{
    set(1);

    pc_word_clear(&word, 0);
}

static void *take_exclusively(void *arg)
{
    (void)arg;
    for (;;) {
        uint64_t value = now();
        if (!pc_word_resident(value))
            return NULL;
        if (pc_word_latch(value) != 0) {
            pc_latch_wait(&word, value);
            continue;
        }
        if (pc_latch_exclusive(&word, value, value))
            break;
    }
    pc_unlatch_exclusive(&word);
    return NULL;
}

/* Run the sleeper against each way in which a latch ends. */
static void check_woken(uint64_t low, void (*end)(void))
{
    pthread_t thread;

    set(low);
    cr_assert_eq(pthread_create(&thread, NULL, take_exclusively, NULL), 0);
    while (!(now() & PC_WORD_WAITERS))
        sched_yield();
    end();
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(now() & (PC_LATCH_MASK | PC_WORD_WAITERS), 0);
}

static void end_shared(void)
{
    pc_unlatch_shared(&word);
}

static void end_exclusive(void)
{
    pc_unlatch_exclusive(&word);
}

static void end_clear(void)
{
    pc_word_clear(&word, 0);
}

Test(latch, sleeper_is_woken_by_the_last_reader, .timeout = 20)
{
    check_woken(1, end_shared);
}

Test(latch, sleeper_is_woken_by_the_writer, .timeout = 20)
{
    check_woken(PC_LATCH_EXCLUSIVE, end_exclusive);
}

Test(latch, sleeper_is_woken_when_the_page_leaves, .timeout = 20)
{
    check_woken(PC_LATCH_EXCLUSIVE, end_clear);
}
