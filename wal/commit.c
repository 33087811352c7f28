/*
 * Blocking commits: one leader seals and drives, the others sleep until it is through.
 *
 *   keel_wal_commit   durable already? else become the leader, or follow
 *   gather            the leader waits a moment for as many commits as came last time
 *   lead              seal, submit and reap in one turn: one system call per commit when alone
 *   follow            start a further write if enough waits, then sleep
 *
 * The leader leaves once its own LSN is durable, gives up the lead and wakes all followers with one
 * call; those that are answered return, one of the others leads on.
 *
 * Progress: a follower sleeps only while there is a leader, and whoever gives up the lead looks for
 * followers afterwards (both sequentially consistent, so one of them sees the other). The leader
 * drives the log's context, where each request completes, and whatever else it waits for is another
 * thread between reserve and publish, or between trying the seal lock and releasing it, neither of
 * which waits.
 *
 * Invariants: W1, W2, W4.
 */
#include <sched.h>

#include "base/clock.h"
#include "wal/log.h"
#include "wal/seal.h"

/* Longest that a leader waits for company. With 32 writers batches are of 28 to 32 at 20 to 300 us
 * and of 16 without; more than 50 us costs those who wait when some of last time do not come again.
 */
#define GATHER_NS 50000u

static bool answered(const struct keel_wal *wal, keel_lsn lsn)
{
    return wal_poisoned(wal) != 0 || wal_durable(wal) >= lsn;
}

/*
 * Without this, batches of one and of all-but-one alternate: the leader is back first and takes
 * only itself along. Alone, or with a write in flight, there is nothing to wait for.
 */
static void gather(struct keel_wal *wal)
{
    uint64_t expected = atomic_load_explicit(&wal->expected, memory_order_relaxed);

    if (expected <= 1)
        return;

    uint64_t deadline = clock_now_ns() + GATHER_NS;
    uint64_t sealed = atomic_load_explicit(&wal->arrived_sealed, memory_order_relaxed);
    while (wal_idle(wal) && wal_poisoned(wal) == 0) {
        if (atomic_load_explicit(&wal->arrived, memory_order_relaxed) - sealed >= expected)
            break;
        if (clock_now_ns() >= deadline)
            break;
        sched_yield();
    }
}

struct lead {
    struct keel_wal *wal;
    keel_lsn lsn;
    struct wal_linker linker;
};

static bool lead_done(void *arg)
{
    struct lead *lead = arg;

    if (answered(lead->wal, lead->lsn))
        return atomic_load(&lead->linker.pending) == 0; /* pairs with batch_done() */
    wal_seal(lead->wal, &lead->linker);
    return false;
}

static void lead_commit(struct keel_wal *wal, keel_lsn lsn)
{
    struct lead lead = {.wal = wal, .lsn = lsn};

    gather(wal);
    while (!lead_done(&lead)) {
        /* KEEL_EBUSY: nothing is in flight, so another thread is just publishing or sealing. */
        if (keel_ctx_drive(wal->ctx, lead_done, &lead) != 0)
            sched_yield();
    }
    /* A completion that we reaped may have queued the next flush, and nobody else may be here. */
    if (wal->sync == KEEL_SYNC_FLUSH && atomic_load(&wal->pending_ios) > 0)
        keel_ignore(keel_ctx_kick(wal->ctx), "a count");
}

static void follow(struct keel_wal *wal, keel_lsn lsn)
{
    /* With nothing in flight the leader is gathering, or leaving: not to be forestalled. */
    if (!wal_idle(wal) && wal_seal(wal, NULL) == WAL_SEAL_SUBMITTED)
        keel_ignore(keel_ctx_kick(wal->ctx), "a count");

    atomic_fetch_add(&wal->followers, 1);
    uint32_t seq = atomic_load(&wal->commit_seq);
    if (!answered(wal, lsn) && atomic_load(&wal->leader) != 0)
        keel_ignore(futex_wait(&wal->commit_seq, seq, -1), "looks again in any case");
    atomic_fetch_sub(&wal->followers, 1);
}

int keel_wal_commit(struct keel_wal *wal, keel_lsn lsn)
{
    bool waited = false;

    if (lsn > keel_wal_tail(wal))
        return KEEL_ERANGE;
    if (!answered(wal, lsn)) {
        atomic_fetch_add_explicit(&wal->arrived, 1, memory_order_relaxed);
        waited = true;
    }
    while (!answered(wal, lsn)) {
        uint32_t none = 0;

        if (!atomic_compare_exchange_strong(&wal->leader, &none, 1)) {
            follow(wal, lsn);
            continue;
        }
        lead_commit(wal, lsn);
        atomic_store(&wal->leader, 0);
        if (atomic_load(&wal->followers) > 0) {
            atomic_fetch_add(&wal->commit_seq, 1);
            futex_wake(&wal->commit_seq, INT32_MAX);
        }
    }

    if (wal_poisoned(wal) != 0)
        return KEEL_EPOISON;
    KEEL_INV(W1, wal_durable(wal) >= lsn);
    if (waited)
        atomic_fetch_add_explicit(&wal->stat_commits, 1, memory_order_relaxed);
    return 0;
}

void keel_wal_kick(struct keel_wal *wal)
{
    /* Reaps as well: nobody else may be looking, and a completion may be what the next write needs.
     */
    if (wal_seal(wal, NULL) == WAL_SEAL_SUBMITTED || atomic_load(&wal->pending_ios) > 0)
        keel_ignore(keel_ctx_kick(wal->ctx), "a count");
}

keel_lsn keel_wal_durable(const struct keel_wal *wal)
{
    return wal_durable(wal);
}

int keel_wal_poisoned(const struct keel_wal *wal)
{
    return wal_poisoned(wal);
}
