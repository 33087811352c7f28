/*
 * Ranked mutexes and futex calls. Sanitizers understand the pthread mutex inside.
 */
#include "base/lock.h"

#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"

static const struct {
    const char *name;
    const char *meaning;
} ranks[] = {
#define LOCK_RANK_ROW(name, meaning) {#name, meaning},
    LOCK_RANKS(LOCK_RANK_ROW)
#undef LOCK_RANK_ROW
};

const char *lock_rank_name(enum lock_rank rank)
{
    return (unsigned)rank < LOCK_RANK_COUNT ? ranks[rank].name : "?";
}

const char *lock_rank_meaning(enum lock_rank rank)
{
    return (unsigned)rank < LOCK_RANK_COUNT ? ranks[rank].meaning : "?";
}

#ifndef NDEBUG

#include "base/text.h"

#define HELD_MAX 16 /* more locks at once than any path takes */

static _Thread_local const struct lock *held[HELD_MAX];
static _Thread_local unsigned held_count;

static void print_held(struct text *text, const void *wanted)
{
    text_printf(text, "wants lock %s, holds", lock_rank_name(((const struct lock *)wanted)->rank));
    for (unsigned i = 0; i < held_count; i++)
        text_printf(text, " %s", lock_rank_name(held[i]->rank));
}

static void check_order(const struct lock *lock)
{
    assert_object_push(print_held, lock);
    for (unsigned i = 0; i < held_count; i++)
        KEEL_ASSERT(held[i]->rank < lock->rank);
    assert_object_pop();
}

static void note_taken(const struct lock *lock)
{
    KEEL_ASSERT(held_count < HELD_MAX);
    held[held_count++] = lock;
}

static void note_released(const struct lock *lock)
{
    KEEL_ASSERT(lock_held(lock));

    unsigned i = held_count - 1;
    while (held[i] != lock)
        i--;
    held_count--;
    for (; i < held_count; i++)
        held[i] = held[i + 1];
}

bool lock_held(const struct lock *lock)
{
    for (unsigned i = 0; i < held_count; i++) {
        if (held[i] == lock)
            return true;
    }
    return false;
}

bool lock_none_held(void)
{
    return held_count == 0;
}

#else

static void check_order(const struct lock *lock)
{
    (void)lock;
}

static void note_taken(const struct lock *lock)
{
    (void)lock;
}

static void note_released(const struct lock *lock)
{
    (void)lock;
}

bool lock_held(const struct lock *lock)
{
    (void)lock;
    return true;
}

bool lock_none_held(void)
{
    return true;
}

#endif

void lock_init(struct lock *lock, enum lock_rank rank)
{
    KEEL_ASSERT((unsigned)rank < LOCK_RANK_COUNT);

    int rc = pthread_mutex_init(&lock->mutex, NULL);
    KEEL_ASSERT(rc == 0);
    lock->rank = rank;
}

void lock_fini(struct lock *lock)
{
    int rc = pthread_mutex_destroy(&lock->mutex);
    KEEL_ASSERT(rc == 0);
}

__attribute__((hot)) void lock_acquire(struct lock *lock)
{
    check_order(lock);
    int rc = pthread_mutex_lock(&lock->mutex);
    KEEL_ASSERT(rc == 0);
    note_taken(lock);
}

bool lock_try(struct lock *lock)
{
    int rc = pthread_mutex_trylock(&lock->mutex);
    KEEL_ASSERT(rc == 0 || rc == EBUSY);
    if (rc == 0)
        note_taken(lock);
    return rc == 0;
}

__attribute__((hot)) void lock_release(struct lock *lock)
{
    note_released(lock);
    int rc = pthread_mutex_unlock(&lock->mutex);
    KEEL_ASSERT(rc == 0);
}

static int futex_call(_Atomic uint32_t *word, int op, uint32_t value,
                      const struct timespec *timeout)
{
    long rc = syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, timeout, NULL, 0);

    return rc < 0 ? -errno : (int)rc;
}

int futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout_ns)
{
    struct timespec timeout = {
        .tv_sec = timeout_ns / 1000000000,
        .tv_nsec = timeout_ns % 1000000000,
    };

    return futex_call(word, FUTEX_WAIT, expected, timeout_ns < 0 ? NULL : &timeout);
}

int futex_wake(_Atomic uint32_t *word, int n)
{
    KEEL_ASSERT(n > 0);

    int rc = futex_call(word, FUTEX_WAKE, (uint32_t)n, NULL);
    KEEL_ASSERT(rc >= 0);
    return rc;
}
