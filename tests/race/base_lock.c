/*
 * Locks and futexes between threads: what one writes before it releases or wakes, the other sees.
 *
 * Two kinds of work at once: threads that add to a plain counter under a lock, half of them by
 * lock_try(), and a ball that two threads hand to each other through a futex word.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/lock.h"

#define ADDERS   4
#define ADDS     5000
#define HANDOVER 2000

static struct lock lock;
static unsigned counter; /* under lock */

static _Atomic uint32_t turn;
static unsigned ball; /* belongs to the thread whose turn it is */

static void *add_many(void *arg)
{
    const unsigned *index = arg;

    for (unsigned i = 0; i < ADDS; i++) {
        if (*index % 2) {
            lock_acquire(&lock);
        } else {
            while (!lock_try(&lock))
                sched_yield();
        }
        counter++;
        lock_release(&lock);
    }
    return NULL;
}

static void *hand_over(void *arg)
{
    const unsigned *index = arg;
    uint32_t mine = *index % 2;

    for (unsigned i = 0; i < HANDOVER; i++) {
        uint32_t now;
        while ((now = atomic_load_explicit(&turn, memory_order_acquire)) != mine)
            keel_ignore(futex_wait(&turn, now, -1), "the word is looked at again");
        ball++;
        atomic_store_explicit(&turn, 1 - mine, memory_order_release);
        futex_wake(&turn, 1);
    }
    return NULL;
}

int main(void)
{
    static unsigned index[ADDERS + 2];
    pthread_t thread[ADDERS + 2];

    lock_init(&lock, LOCK_LEAF);
    for (unsigned i = 0; i < ADDERS + 2; i++) {
        index[i] = i;
        int rc = pthread_create(&thread[i], NULL, i < ADDERS ? add_many : hand_over, &index[i]);
        KEEL_ASSERT(rc == 0);
    }
    for (unsigned i = 0; i < ADDERS + 2; i++) {
        int rc = pthread_join(thread[i], NULL);
        KEEL_ASSERT(rc == 0);
    }
    lock_fini(&lock);

    KEEL_ASSERT(counter == ADDERS * ADDS);
    KEEL_ASSERT(ball == 2 * HANDOVER);
    printf("%u additions, %u hand-overs\n", counter, ball);
    return 0;
}
