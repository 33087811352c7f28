/*
 * Blocking commits: one leader seals and drives, the others sleep until it is through.
 *
 *   commit_at         there already? else claim: lead, gather or follow
 *   gather            the first to come sleeps a moment, in case the others do not come
 *   lead              the last to come, or that first one: seal, submit and wait in one system call
 *   follow            start a further write if enough waits, then sleep
 *   give_up           the leader's LSN is where it should be: wake all with one call, and say how
 * many are expected back
 *
 * Without company, batches of one and of all-but-one alternate: the leader is back first and takes
 * only itself along. So it is the last to come that leads. Nobody spins meanwhile: with more
 * writers than processors, a leader that yields keeps its processor from taking over the queue of
 * another. How long the first one waits at most is a share of what a log write has taken lately;
 * that some do not come back is found out by gathers that fail, and then there are none for a
 * while.
 *
 * Progress: a thread sleeps without a limit only while `leader` is not NONE. Whoever gathers sleeps
 * with one, and leads then unless another does; whoever gives up the lead looks for followers
 * afterwards (both sequentially consistent, so one of them sees the other). The leader drives the
 * log's context, where each request completes, and whatever else it waits for is another thread
 * between reserve and publish, or between trying the seal lock and releasing it, neither of which
 * waits.
 *
 * Invariants: W1, W2, W4.
 */
#include <sched.h>

#include "wal/log.h"
#include "wal/seal.h"

#define GATHER_SHARE  6u     /* longest gather: this part of a log write's time */
#define GATHER_NS_MIN 10000u /* timers of sleeping threads are no finer */
#define GATHER_NS_MAX 1000000u
#define GATHER_FAILED 4u  /* so many in a row that brought less than half of the last batch: */
#define GATHER_REST   16u /* then none for so many batches */

/* Values of wal->leader; above: a thread gathers, each time another number. */
#define LEADER_NONE   0u
#define LEADER_LEADS  1u
#define LEADER_GATHER 2u

/* What a thread waits for. */
struct wish {
    keel_lsn lsn;
    enum keel_level level;
};

static bool answered(const struct keel_wal *wal, const struct wish *wish)
{
    return wal_poisoned(wal) != 0 || wal_reached(wal, wish->lsn, wish->level);
}

/* ------------------------------------------------------------- company */

/* Nothing is gained by waiting for more: all who are expected are here, or a write is in flight. */
static bool company_complete(struct keel_wal *wal)
{
    /* Both sequentially consistent: of the arrivals, the last one sees all. */
    return atomic_load(&wal->arrived) >= atomic_load(&wal->goal) || !wal_idle(wal);
}

static int64_t gather_ns(const struct keel_wal *wal)
{
    uint64_t ns = atomic_load_explicit(&wal->write_ns, memory_order_relaxed) / GATHER_SHARE;

    ns = ns > GATHER_NS_MIN ? ns : GATHER_NS_MIN;
    return (int64_t)(ns < GATHER_NS_MAX ? ns : GATHER_NS_MAX);
}

/* Those who were answered are expected back, unless that has failed lately. Leader only. */
static void expect_company(struct keel_wal *wal)
{
    struct wal_company *company = &wal->company;
    uint64_t back = atomic_load_explicit(&wal->last_batch, memory_order_relaxed);

    if (wal->method == KEEL_METHOD_SIM) /* one thread: it is alone */
        back = 0;
    if (company->failed >= GATHER_FAILED) {
        back = 0;
        if (++company->failed == GATHER_FAILED + GATHER_REST)
            company->failed = GATHER_FAILED - 1;
    }
    company->base = atomic_load(&wal->arrived);
    company->back = back;
    atomic_store(&wal->goal, company->base + back);
}

/* How did the gather before this write turn out? Leader only. */
static void judge_company(struct keel_wal *wal)
{
    struct wal_company *company = &wal->company;

    if (company->back == 0)
        return;
    if ((atomic_load(&wal->arrived) - company->base) * 2 < company->back)
        company->failed++;
    else
        company->failed = 0;
    company->back = 0;
}

/* ------------------------------------------------------------- leading and following */

struct lead {
    struct keel_wal *wal;
    const struct wish *wish;
    struct wal_linker linker;
};

static bool lead_done(void *arg)
{
    struct lead *lead = arg;

    if (answered(lead->wal, lead->wish))
        return atomic_load(&lead->linker.pending) == 0; /* pairs with batch_done() */
    wal_seal(lead->wal, &lead->linker, lead->wish->level);
    return false;
}

static void lead_commit(struct keel_wal *wal, const struct wish *wish)
{
    struct lead lead = {.wal = wal, .wish = wish};

    judge_company(wal);
    while (!lead_done(&lead)) {
        /* KEEL_EBUSY: nothing is in flight, so another thread is just publishing or sealing. */
        if (keel_ctx_drive(wal->ctx, lead_done, &lead) != 0)
            sched_yield();
    }
    /* A completion that we reaped may have queued the next flush, and nobody else may be here. */
    if (atomic_load(&wal->sync_busy))
        keel_ignore(keel_ctx_kick(wal->ctx), "a count");
}

static void give_up(struct keel_wal *wal)
{
    expect_company(wal);
    atomic_store(&wal->leader, LEADER_NONE);
    if (atomic_load(&wal->followers) > 0) {
        atomic_fetch_add(&wal->commit_seq, 1);
        futex_wake(&wal->commit_seq, INT32_MAX);
    }
}

/* Sleep until somebody gives up the lead, or for so long; negative: without a limit. */
static void sleep_on(struct keel_wal *wal, const struct wish *wish, int64_t timeout_ns)
{
    atomic_fetch_add(&wal->followers, 1);
    uint32_t seq = atomic_load(&wal->commit_seq);
    if (!answered(wal, wish) && atomic_load(&wal->leader) != LEADER_NONE)
        keel_ignore(futex_wait(&wal->commit_seq, seq, timeout_ns), "looks again in any case");
    atomic_fetch_sub(&wal->followers, 1);
}

static void follow(struct keel_wal *wal, const struct wish *wish)
{
    /* With nothing in flight the leader is just sealing, or leaving: not to be forestalled. */
    if (!wal_idle(wal) && wal_seal(wal, NULL, wish->level) == WAL_SEAL_SUBMITTED)
        keel_ignore(keel_ctx_kick(wal->ctx), "a count");
    sleep_on(wal, wish, -1);
}

/* Become the leader if that may be now. False: looked around, and slept. */
static bool claim(struct keel_wal *wal, const struct wish *wish)
{
    bool complete = company_complete(wal);
    uint32_t number = atomic_fetch_add_explicit(&wal->gathers, !complete, memory_order_relaxed);
    uint32_t gather = number % (UINT32_MAX - LEADER_GATHER) + LEADER_GATHER;
    uint32_t now = LEADER_NONE;

    if (atomic_compare_exchange_strong(&wal->leader, &now, complete ? LEADER_LEADS : gather)) {
        if (complete)
            return true;
        sleep_on(wal, wish, gather_ns(wal));
        /* Unless another took the lead, it is ours, and be it only to give it up. */
        return atomic_compare_exchange_strong(&wal->leader, &gather, LEADER_LEADS);
    }
    if (complete && now >= LEADER_GATHER &&
        atomic_compare_exchange_strong(&wal->leader, &now, LEADER_LEADS))
        return true;
    follow(wal, wish);
    return false;
}

int keel_wal_commit_level(struct keel_wal *wal, keel_lsn lsn, enum keel_level level)
{
    const struct wish wish = {lsn, level};
    bool waited = false;

    if ((unsigned)level > KEEL_LEVEL_NONE)
        return KEEL_EOPTION;
    if (lsn > keel_wal_tail(wal))
        return KEEL_ERANGE;
    if (!answered(wal, &wish)) {
        atomic_fetch_add(&wal->arrived, 1); /* pairs with company_complete() */
        waited = true;
    }
    while (!answered(wal, &wish)) {
        if (!claim(wal, &wish))
            continue;
        lead_commit(wal, &wish);
        give_up(wal);
    }

    if (wal_poisoned(wal) != 0)
        return KEEL_EPOISON;
    KEEL_INV(W1, wal_reached(wal, lsn, level));
    if (waited)
        atomic_fetch_add_explicit(&wal->stat_commits, 1, memory_order_relaxed);
    return 0;
}

int keel_wal_commit(struct keel_wal *wal, keel_lsn lsn)
{
    return keel_wal_commit_level(wal, lsn, KEEL_LEVEL_DURABLE);
}

const char *keel_level_name(enum keel_level level)
{
    static const char *const names[] = {
        [KEEL_LEVEL_DURABLE] = "durable",
        [KEEL_LEVEL_WRITTEN] = "written",
        [KEEL_LEVEL_NONE] = "none",
    };

    return (unsigned)level < sizeof(names) / sizeof(names[0]) ? names[level] : "?";
}

void keel_wal_kick(struct keel_wal *wal)
{
    /* Reaps as well: nobody else may be looking, and a completion may be what the next write needs.
     */
    if (wal_seal(wal, NULL, KEEL_LEVEL_DURABLE) == WAL_SEAL_SUBMITTED ||
        atomic_load(&wal->pending_ios) > 0)
        keel_ignore(keel_ctx_kick(wal->ctx), "a count");
}

keel_lsn keel_wal_durable(const struct keel_wal *wal)
{
    return wal_durable(wal);
}

keel_lsn keel_wal_written(const struct keel_wal *wal)
{
    return wal_written(wal);
}

int keel_wal_poisoned(const struct keel_wal *wal)
{
    return wal_poisoned(wal);
}
