/*
 * The order of locks is kept by a trap in debug builds; this is the test that it traps.
 */
#include "base/lock.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"

TestSuite(lock, .timeout = 20);

Test(lock, may_be_taken_in_rank_order_and_released_in_any)
{
    struct lock low, mid, high;
    lock_init(&low, LOCK_ENGINE);
    lock_init(&mid, LOCK_WAL);
    lock_init(&high, LOCK_LEAF);

    lock_acquire(&low);
    lock_acquire(&mid);
    lock_release(&low);
    lock_acquire(&high);
    lock_release(&mid);
    lock_release(&high);

    cr_assert(lock_none_held());
    lock_fini(&low);
    lock_fini(&mid);
    lock_fini(&high);
}

static void *try_it(void *lock)
{
    return lock_try(lock) ? lock : NULL;
}

Test(lock, is_refused_to_a_second_thread_that_tries)
{
    struct lock lock;
    pthread_t thread;
    void *got;
    lock_init(&lock, LOCK_LEAF);

    lock_acquire(&lock);
    cr_assert_eq(pthread_create(&thread, NULL, try_it, &lock), 0);
    cr_assert_eq(pthread_join(thread, &got), 0);

    cr_assert_null(got);
    lock_release(&lock);
    cr_assert(lock_try(&lock));
    lock_release(&lock);
    lock_fini(&lock);
}

Test(lock, may_be_tried_against_the_order)
{
    struct lock low, high;
    lock_init(&low, LOCK_ENGINE);
    lock_init(&high, LOCK_LEAF);

    lock_acquire(&high);
    cr_assert(lock_try(&low));
    lock_release(&low);
    lock_release(&high);
}

Test(lock, has_a_name_and_a_meaning_for_every_rank)
{
    for (unsigned i = 0; i < LOCK_RANK_COUNT; i++) {
        cr_assert_gt(strlen(lock_rank_name((enum lock_rank)i)), 0);
        cr_assert_gt(strlen(lock_rank_meaning((enum lock_rank)i)), 0);
    }
    cr_assert_str_eq(lock_rank_name(LOCK_ENGINE), "ENGINE");
    cr_assert_str_eq(lock_rank_name(LOCK_RANK_COUNT), "?");
}

#ifndef NDEBUG
Test(lock, traps_when_a_lower_rank_is_taken_under_a_higher_one, .signal = SIGILL)
{
    struct lock low, high;
    lock_init(&low, LOCK_ENGINE);
    lock_init(&high, LOCK_LEAF);

    lock_acquire(&high);
    lock_acquire(&low);
}

Test(lock, traps_when_two_of_one_rank_are_taken, .signal = SIGILL)
{
    struct lock one, two;
    lock_init(&one, LOCK_WAL);
    lock_init(&two, LOCK_WAL);

    lock_acquire(&one);
    lock_acquire(&two);
}

Test(lock, traps_when_a_lower_rank_is_taken_after_the_higher_of_two_was_released_last,
     .signal = SIGILL)
{
    struct lock low, mid, high;
    lock_init(&low, LOCK_ENGINE);
    lock_init(&mid, LOCK_WAL);
    lock_init(&high, LOCK_LEAF);

    lock_acquire(&mid);
    lock_acquire(&high);
    lock_release(&mid);
    lock_acquire(&low);
}

Test(lock, traps_when_one_that_is_not_held_is_released, .signal = SIGILL)
{
    struct lock lock;
    lock_init(&lock, LOCK_LEAF);

    lock_release(&lock);
}

Test(lock, knows_who_holds_it)
{
    struct lock lock;
    lock_init(&lock, LOCK_LEAF);

    cr_assert_not(lock_held(&lock));
    lock_acquire(&lock);
    cr_assert(lock_held(&lock));
    cr_assert_not(lock_none_held());
    lock_release(&lock);
    cr_assert_not(lock_held(&lock));
}
#endif

Test(futex, does_not_sleep_when_the_word_differs)
{
    _Atomic uint32_t word = 1;

    cr_assert_eq(futex_wait(&word, 2, -1), -EAGAIN);
}

Test(futex, wakes_up_when_the_time_is_over)
{
    _Atomic uint32_t word = 1;
    uint64_t before = clock_now_ns();

    cr_assert_eq(futex_wait(&word, 1, 2000000), -ETIMEDOUT);
    cr_assert_geq(clock_now_ns() - before, 2000000);
}

static void *wait_for_two(void *arg)
{
    _Atomic uint32_t *word = arg;

    while (atomic_load(word) == 1)
        futex_wait(word, 1, -1);
    return NULL;
}

Test(futex, wakes_a_sleeper_when_the_word_changes, .timeout = 20)
{
    _Atomic uint32_t word = 1;
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, wait_for_two, &word), 0);

    atomic_store(&word, 2);
    futex_wake(&word, 1);

    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(futex_wake(&word, 1), 0);
}
