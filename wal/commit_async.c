/*
 * Asynchronous commits: a FIFO per context, answered in that context's keel_ctx_poll.
 *
 *   keel_wal_commit_async   find or bind the context's FIFO, push, start a write if none is in
 * flight wal_async_wake          a completion moved the durable LSN: wake whose oldest commit is
 * covered fifo_poll               the owner's turn: answer what is durable, seal what waits
 *
 * A FIFO is bound to its context while it holds commits and free otherwise, so nothing here
 * outlives the commits of a context that is closed. Waking: the completion announces itself in
 * `wakers`, looks again whether the context is still bound, wakes it, leaves; unbinding clears the
 * binding and then waits until nobody is announced. Both sides are sequentially consistent.
 *
 * Progress: a commit at the head is either reached (then somebody wakes its context: the
 * completion, or the owner who pushed it and looks again), or below what is in flight (then a
 * completion will come, and the poller makes keel_ctx_poll wait for the log's context), or not yet
 * sealed, or written and not yet flushed: then fifo_poll starts that, or, while something else is
 * in flight, its completion wakes one context that has such a commit.
 *
 * Invariants: W1, W2 (LSN order within a context), W4.
 */
#include "wal/commit_async.h"

#include <sched.h>

#include "base/list.h"
#include "wal/seal.h"

/* ------------------------------------------------------------- which FIFO */

static uint32_t fifo_start(const struct keel_ctx *ctx)
{
    return (uint32_t)((uintptr_t)ctx >> 6) % WAL_FIFOS_MAX;
}

static struct wal_fifo *fifo_find(struct keel_wal *wal, struct keel_ctx *ctx)
{
    uint32_t start = fifo_start(ctx);

    for (uint32_t i = 0; i < WAL_FIFOS_MAX; i++) {
        uint32_t at = (start + i) % WAL_FIFOS_MAX;

        /* Relaxed: only this thread binds and unbinds its own context. */
        if (atomic_load_explicit(&wal->fifo_ctx[at], memory_order_relaxed) == ctx)
            return &wal->fifos[at];
    }
    return NULL;
}

/* Take a free FIFO for ctx, or NULL. */
static struct wal_fifo *fifo_bind(struct keel_wal *wal, struct keel_ctx *ctx)
{
    uint32_t start = fifo_start(ctx);

    for (uint32_t i = 0; i < WAL_FIFOS_MAX; i++) {
        uint32_t at = (start + i) % WAL_FIFOS_MAX;
        struct keel_ctx *none = NULL;

        if (!atomic_compare_exchange_strong(&wal->fifo_ctx[at], &none, ctx))
            continue;
        uint32_t high = atomic_load(&wal->fifo_high);
        while (high <= at && !atomic_compare_exchange_weak(&wal->fifo_high, &high, at + 1))
            ;
        struct wal_fifo *fifo = &wal->fifos[at];
        KEEL_ASSERT(!fifo->head && atomic_load(&fifo->head_lsn) == KEEL_LSN_MAX);
        fifo->poller.drive = wal->ctx;
        keel_ctx_poller_add(ctx, &fifo->poller);
        return fifo;
    }
    return NULL;
}

/* Nobody wakes its context from here on. */
static void fifo_free(struct wal_fifo *fifo)
{
    KEEL_ASSERT(!fifo->head && atomic_load(&fifo->head_lsn) == KEEL_LSN_MAX);

    atomic_store(&fifo->wal->fifo_ctx[fifo - fifo->wal->fifos], NULL);
    while (atomic_load(&fifo->wakers) > 0) /* keel_ctx_wake does not wait for anything */
        sched_yield();
}

/* ------------------------------------------------------------- answering */

static bool fifo_answerable(const struct wal_fifo *fifo)
{
    keel_lsn head = atomic_load(&fifo->head_lsn);
    /* Of another head than the LSN at worst; then the owner, who stored both, looks after us. */
    enum keel_level level = (enum keel_level)atomic_load(&fifo->head_level);

    return head != KEEL_LSN_MAX &&
           (wal_poisoned(fifo->wal) != 0 || wal_reached(fifo->wal, head, level));
}

/* Owner thread: tell completions what the oldest commit waits for. */
static void fifo_show_head(struct wal_fifo *fifo)
{
    if (fifo->head)
        atomic_store(&fifo->head_level, (uint32_t)fifo->head->level);
    atomic_store(&fifo->head_lsn, fifo->head ? fifo->head->lsn : KEEL_LSN_MAX);
}

static void fifo_wake(struct keel_wal *wal, uint32_t at, struct keel_ctx *ctx)
{
    struct wal_fifo *fifo = &wal->fifos[at];

    atomic_fetch_add(&fifo->wakers, 1);
    if (atomic_load(&wal->fifo_ctx[at]) == ctx)
        keel_ctx_wake(ctx);
    atomic_fetch_sub(&fifo->wakers, 1);
}

void wal_async_wake(struct keel_wal *wal)
{
    uint32_t high = atomic_load(&wal->fifo_high);
    bool unwritten = wal_idle(wal); /* then somebody has to write or flush what is not answered */

    for (uint32_t at = 0; at < high; at++) {
        struct keel_ctx *ctx = atomic_load(&wal->fifo_ctx[at]);
        struct wal_fifo *fifo = &wal->fifos[at];

        if (!ctx || atomic_load(&fifo->head_lsn) == KEEL_LSN_MAX)
            continue;
        if (fifo_answerable(fifo)) {
            fifo_wake(wal, at, ctx);
        } else if (unwritten) {
            fifo_wake(wal, at, ctx);
            unwritten = false;
        }
    }
}

/* Run the callbacks of what is decided, at most max of them (0: all). */
static int fifo_answer(struct wal_fifo *fifo, unsigned max)
{
    struct keel_wal *wal = fifo->wal;
    int32_t res = wal_poisoned(wal) != 0 ? KEEL_EPOISON : 0;
    const struct keel_commit *last = fifo->tail; /* what callbacks push comes in the next turn */
    unsigned count = 0;

    for (bool more = last != NULL; more && (max == 0 || count < max);) {
        struct keel_commit *commit = fifo->head;

        if (res == 0 && !wal_reached(wal, commit->lsn, commit->level))
            break;
        KEEL_INV(W1, res != 0 || wal_reached(wal, commit->lsn, commit->level));
        more = commit != last;
        fifo->head = commit->next_private;
        if (!fifo->head)
            fifo->tail = NULL;
        else
            KEEL_INV(W2, fifo->head->lsn >= commit->lsn);
        commit->res = res;
        count++;
        commit->done(commit); /* the commit is the caller's again; it may push another one */
    }
    atomic_fetch_add_explicit(&wal->stat_commits, count, memory_order_relaxed);
    return (int)count;
}

static int fifo_poll(struct keel_poller *poller, unsigned max)
{
    struct wal_fifo *fifo = container_of(poller, struct wal_fifo, poller);
    struct keel_wal *wal = fifo->wal;

    fifo->polling = true;
    int count = fifo_answer(fifo, max);
    fifo->polling = false;

    fifo_show_head(fifo);
    if (!fifo->head) {
        keel_ctx_poller_remove(atomic_load(&wal->fifo_ctx[fifo - wal->fifos]), poller);
        fifo_free(fifo);
        return count;
    }
    if (fifo_answerable(fifo)) /* a completion came in between, or max was reached */
        keel_ctx_wake(atomic_load(&wal->fifo_ctx[fifo - wal->fifos]));

    /* Something is not answered, so something has to be in flight before this thread may sleep.
     * LATER: another thread is publishing or sealing, neither of which waits for us. */
    enum wal_seal_result sealed;
    while ((sealed = wal_seal(wal, NULL, fifo->head->level)) == WAL_SEAL_LATER && wal_idle(wal))
        sched_yield();
    if (sealed == WAL_SEAL_SUBMITTED || atomic_load(&wal->sync_busy))
        keel_ignore(keel_ctx_kick(wal->ctx), "a count");
    /* Without a ring nothing is carried out from inside a poller: have keel_ctx_poll turn again. */
    if (sealed == WAL_SEAL_SUBMITTED && wal->ctx_is_sync)
        keel_ctx_wake(atomic_load(&wal->fifo_ctx[fifo - wal->fifos]));
    return count;
}

/* The context closes with commits outstanding: wait for them and answer. */
static void fifo_closed(struct keel_poller *poller)
{
    struct wal_fifo *fifo = container_of(poller, struct wal_fifo, poller);

    fifo->polling = true;
    while (fifo->head) {
        keel_ignore(keel_wal_commit(fifo->wal, fifo->tail->lsn), "each commit gets the answer");
        fifo_answer(fifo, 0);
    }
    fifo->polling = false;
    atomic_store(&fifo->head_lsn, KEEL_LSN_MAX);
    fifo_free(fifo);
}

static bool fifo_waiting(struct keel_poller *poller)
{
    return container_of(poller, struct wal_fifo, poller)->head != NULL;
}

/* ------------------------------------------------------------- asking */

int keel_wal_commit_async(struct keel_ctx *ctx, struct keel_wal *wal, struct keel_commit *commit)
{
    struct wal_fifo *fifo = fifo_find(wal, ctx);

    KEEL_ASSERT(commit->done);
    if ((unsigned)commit->level > KEEL_LEVEL_NONE)
        return KEEL_EOPTION;
    if (commit->lsn > keel_wal_tail(wal))
        return KEEL_ERANGE;
    if (fifo && fifo->tail && commit->lsn < fifo->tail->lsn)
        return KEEL_ERANGE;
    if (!fifo)
        fifo = fifo_bind(wal, ctx);
    if (!fifo)
        return KEEL_EFULL;

    commit->next_private = NULL;
    if (fifo->tail)
        fifo->tail->next_private = commit;
    else
        fifo->head = commit;
    fifo->tail = commit;

    if (fifo->head == commit && !fifo->polling) {
        fifo_show_head(fifo);
        if (fifo_answerable(fifo)) /* the completion was before us */
            keel_ctx_wake(ctx);
    }
    if (commit->level != KEEL_LEVEL_NONE &&
        wal_seal(wal, NULL, commit->level) == WAL_SEAL_SUBMITTED)
        keel_ignore(keel_ctx_kick(wal->ctx), "a count");
    return 0;
}

void wal_fifos_init(struct keel_wal *wal)
{
    for (uint32_t i = 0; i < WAL_FIFOS_MAX; i++) {
        wal->fifos[i].poller.poll = fifo_poll;
        wal->fifos[i].poller.waiting = fifo_waiting;
        wal->fifos[i].poller.closed = fifo_closed;
        wal->fifos[i].wal = wal;
        atomic_store_explicit(&wal->fifos[i].head_lsn, KEEL_LSN_MAX, memory_order_relaxed);
    }
}
