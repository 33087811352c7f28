/*
 * Locks with ranks, and futex waits.
 *
 * Every lock has a rank from the one table below, and a thread that holds a lock may only wait for
 * locks of a later row: that is the whole deadlock argument. A debug build traps when the order is
 * broken. lock_try() may be called against the order, since it never waits.
 */
#ifndef KEEL_BASE_LOCK_H
#define KEEL_BASE_LOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* clang-format off */
/* name, what it protects; in the order in which they may be taken */
#define LOCK_RANKS(X) \
X(ENGINE,       "the store's state and its transactions") \
X(CHECKPOINT,   "one checkpoint at a time") \
X(SPACE,        "a space: size, allocation, freeing") \
X(WAL_SEAL,     "who seals and submits the next batch") \
X(WAL,          "the log's segments, epochs and holders") \
X(CTX_REGISTRY, "which contexts exist") \
X(REAP,         "one reaper per ring") \
X(SUBMIT,       "one submitter per ring") \
X(SCHED,        "the scheduler of a disk") \
X(DONE,         "a context's finished requests") \
X(SIM,          "the simulated device") \
X(LEAF,         "short sections that take nothing else")
/* clang-format on */

enum lock_rank {
#define LOCK_RANK_MEMBER(name, meaning) LOCK_##name,
    LOCK_RANKS(LOCK_RANK_MEMBER)
#undef LOCK_RANK_MEMBER
        LOCK_RANK_COUNT
};

struct lock {
    pthread_mutex_t mutex;
    enum lock_rank rank; /* constant after lock_init() */
};

void lock_init(struct lock *lock, enum lock_rank rank);
void lock_fini(struct lock *lock);

void lock_acquire(struct lock *lock);
bool lock_try(struct lock *lock); /* true: taken */
void lock_release(struct lock *lock);

/* For KEEL_DCHECK: does this thread hold it? Always true where NDEBUG is set. */
bool lock_held(const struct lock *lock);

/* For KEEL_DCHECK: does this thread hold no lock at all? Always true where NDEBUG is set. */
bool lock_none_held(void);

const char *lock_rank_name(enum lock_rank rank);
const char *lock_rank_meaning(enum lock_rank rank);

/*
 * Sleep while *word equals expected, at most timeout_ns (-1: for ever).
 * Returns 0 when woken, -EAGAIN when the word differed, -ETIMEDOUT, or -EINTR; the caller looks at
 * the word again in any case.
 */
int futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout_ns);

/* Wake up to n sleepers; returns how many there were. */
int futex_wake(_Atomic uint32_t *word, int n);

#endif
