/*
 * Waiting for more of the log: in a thread that blocks, or in an event loop.
 *
 *   keel_wal_reader_wait   more is durable already? else sleep, or arm the wake-up of the context
 *   wal_tail_wake          a write was submitted or became durable
 *
 * Progress: a reader that blocks drives the log's context while anything is in flight there (I6),
 * and sleeps only while nothing is. Submitting counts the request in pending_ios and then looks for
 * sleepers; the sleeper is counted and then looks at pending_ios (all sequentially consistent): one
 * of the two sees the other. Completion stores the durable LSN and then looks for sleepers, in the
 * same way. An event loop is woken by the same calls, and its context drives the log's while the
 * reader is armed, through a poller.
 */
#include "wal/tail.h"

#include <sched.h>

#include "base/clock.h"
#include "base/list.h"
#include "wal/reader.h"

static bool more(const struct keel_wal_reader *reader)
{
    return wal_durable(reader->wal) > reader->end || wal_poisoned(reader->wal) != 0;
}

/* ------------------------------------------------------------- waking */

static void wake_armed(struct keel_wal *wal)
{
    lock_acquire(&wal->tail_lock);
    for (struct keel_wal_reader *reader = wal->tails; reader; reader = reader->next_armed) {
        if (more(reader))
            keel_ctx_wake(reader->ctx);
    }
    lock_release(&wal->tail_lock);
}

void wal_tail_wake(struct keel_wal *wal)
{
    if (atomic_load(&wal->tail_sleepers) > 0) {
        atomic_fetch_add(&wal->tail_seq, 1);
        futex_wake(&wal->tail_seq, INT32_MAX);
    }
    if (atomic_load(&wal->tail_armed) > 0)
        wake_armed(wal);
}

/* ------------------------------------------------------------- an event loop */

static int tail_poll(struct keel_poller *poller, unsigned max)
{
    (void)poller;
    (void)max;
    return 0; /* there is nothing to answer: the host asks when its poll returns */
}

static bool tail_waiting(struct keel_poller *poller)
{
    return !more(container_of(poller, struct keel_wal_reader, poller));
}

static void arm(struct keel_wal_reader *reader)
{
    struct keel_wal *wal = reader->wal;

    if (reader->armed)
        return;
    reader->armed = true;
    reader->poller.poll = tail_poll;
    reader->poller.waiting = tail_waiting;
    reader->poller.drive = wal->ctx;
    keel_ctx_poller_add(reader->ctx, &reader->poller);
    lock_acquire(&wal->tail_lock);
    reader->next_armed = wal->tails;
    wal->tails = reader;
    lock_release(&wal->tail_lock);
    atomic_fetch_add(&wal->tail_armed, 1);
}

static void disarm(struct keel_wal_reader *reader)
{
    struct keel_wal *wal = reader->wal;

    if (!reader->armed)
        return;
    reader->armed = false;
    atomic_fetch_sub(&wal->tail_armed, 1);
    lock_acquire(&wal->tail_lock);
    struct keel_wal_reader **at = &wal->tails;
    while (*at != reader)
        at = &(*at)->next_armed;
    *at = reader->next_armed;
    lock_release(&wal->tail_lock);
    keel_ctx_poller_remove(reader->ctx, &reader->poller);
}

void wal_tail_leave(struct keel_wal_reader *reader)
{
    disarm(reader);
}

/* ------------------------------------------------------------- a thread */

static bool drive_done(void *arg)
{
    const struct keel_wal_reader *reader = arg;

    return more(reader) || atomic_load(&reader->wal->pending_ios) == 0;
}

/* Sleep until something is submitted, at most so long. */
static void sleep_on(struct keel_wal_reader *reader, int64_t timeout_ns)
{
    struct keel_wal *wal = reader->wal;

    atomic_fetch_add(&wal->tail_sleepers, 1);
    uint32_t seq = atomic_load(&wal->tail_seq);
    if (atomic_load(&wal->pending_ios) == 0 && !more(reader))
        keel_ignore(futex_wait(&wal->tail_seq, seq, timeout_ns), "looks again in any case");
    atomic_fetch_sub(&wal->tail_sleepers, 1);
}

/* 1: there is more. */
static int wait_blocking(struct keel_wal_reader *reader, int64_t timeout_ns)
{
    struct keel_wal *wal = reader->wal;
    uint64_t begun = clock_now_ns();

    while (!more(reader)) {
        int64_t left = -1;

        if (atomic_load(&wal->pending_ios) > 0) {
            /* KEEL_EBUSY: another thread is just running the callback of what is complete. */
            if (keel_ctx_drive(wal->ctx, drive_done, reader) != 0)
                sched_yield();
            continue;
        }
        if (wal->method == KEEL_METHOD_SIM) /* its one thread is this one */
            return KEEL_EBUSY;
        if (timeout_ns > 0) {
            int64_t gone = (int64_t)(clock_now_ns() - begun);
            if (gone >= timeout_ns)
                return KEEL_PENDING;
            left = timeout_ns - gone;
        }
        sleep_on(reader, left);
    }
    return 1;
}

int keel_wal_reader_wait(struct keel_wal_reader *reader, int64_t timeout_ns)
{
    int rc = 1;

    if (reader->error != 0)
        return reader->error;
    if (!reader->wal->started)
        return KEEL_EBUSY;
    if (timeout_ns == 0) {
        arm(reader);
        rc = more(reader) ? 1 : KEEL_PENDING; /* after arming: the wake-up cannot be missed */
    } else {
        KEEL_ASSERT(!keel_in_callback());
        rc = wait_blocking(reader, timeout_ns);
    }
    if (rc != 1)
        return rc;
    disarm(reader);
    keel_lsn durable = wal_durable(reader->wal);
    if (durable == reader->end) /* poisoned, and what was durable is read */
        return KEEL_EPOISON;
    reader->end = durable;
    return 1;
}
