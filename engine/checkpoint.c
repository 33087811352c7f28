/*
 * The checkpoint machine.
 *
 * Why it is right (E3): the cut splits all groups into those that end at or below it and those that
 * begin at or above it, in one atomic step of the log. A page changed by an older group has its
 * recLSN when DRAIN has seen the old parity at zero: a commit raises its parity's count before it
 * appends and lowers it after it has stamped its pages. So once no page has a recLSN below the cut,
 * each such change has been written; the sync that follows makes it durable, and only then the redo
 * LSN moves.
 *
 * A page that no longer is dirty below the cut was written by a request that had completed, and the
 * sync is submitted after that, so it covers it.
 */
#include "engine/checkpoint.h"

#include <sched.h>

#include <keel/pagecache.h>
#include <keel/wal.h>

#include "base/assert.h"
#include "base/bug.h"
#include "base/trace.h"
#include "engine/store.h"

static const char *const step_names[] = {
#define CHECKPOINT_STEP_NAME(name) #name,
    CHECKPOINT_STEPS(CHECKPOINT_STEP_NAME)
#undef CHECKPOINT_STEP_NAME
};

void checkpoint_init(struct keel_store *store)
{
    struct checkpoint *cp = &store->checkpoint;

    lock_init(&cp->lock, LOCK_CHECKPOINT);
    cp->step = CHECKPOINT_IDLE;
}

void checkpoint_fini(struct keel_store *store)
{
    struct checkpoint *cp = &store->checkpoint;

    /* A store that failed closes in the middle of a step; the request lies in the store's memory.
     */
    if (cp->step == CHECKPOINT_SYNCING && !BUG(CHECKPOINT_WITHOUT_PAGE_FLUSH))
        keel_ioref_wait(cp->sync_ref);
    lock_fini(&cp->lock);
}

/* Steps go one way round, so the table is the order of the enum. */
static void move(struct checkpoint *cp, enum checkpoint_step to)
{
    KEEL_ASSERT((unsigned)to < CHECKPOINT_STEP_COUNT);
    KEEL_ASSERT(to == (cp->step + 1) % CHECKPOINT_STEP_COUNT);

    TRACE(ENG_CHECKPOINT, cp->started, step_names[to], cp->cut, 0, 0);
    cp->step = to;
}

bool checkpoint_due(struct keel_store *store)
{
    struct checkpoint *cp = &store->checkpoint;

    if (atomic_load_explicit(&cp->wanted, memory_order_relaxed))
        return true;
    uint64_t redo = atomic_load_explicit(&cp->redo_lsn, memory_order_relaxed);
    uint64_t tail = keel_wal_tail(store->wal);
    return tail > redo && tail - redo >= store->config.checkpoint_bytes;
}

void checkpoint_want(struct keel_store *store)
{
    /* Relaxed: a hint; whoever misses it finds it at its next look. */
    if (!atomic_exchange_explicit(&store->checkpoint.wanted, true, memory_order_relaxed))
        background_wake(store);
}

void checkpoint_kick(struct keel_store *store)
{
    if (!atomic_exchange_explicit(&store->checkpoint.kicked, true, memory_order_relaxed))
        background_wake(store);
}

void checkpoint_publish_cut(struct keel_store *store, keel_lsn cut)
{
    /* Release: pairs with the acquire of cut_mark in commit.c, which then reads this LSN or a later
     * one. */
    atomic_store_explicit(&store->cut_lsn, cut, memory_order_relaxed);
    atomic_store_explicit(&store->cut_mark, keel_wal_mark(store->wal), memory_order_release);
}

/* A write or sync on the way failed: nothing of it is tried again (W4). */
static int give_up(struct keel_store *store, int rc)
{
    store_poison(store, rc);
    return KEEL_EPOISON;
}

static int step_cut(struct keel_store *store)
{
    struct checkpoint *cp = &store->checkpoint;

    atomic_store_explicit(&cp->wanted, false, memory_order_relaxed);
    atomic_store_explicit(&cp->kicked, false, memory_order_relaxed);
    cp->old_mark = keel_wal_mark(store->wal);
    cp->cut = keel_wal_cut(store->wal);
    KEEL_ASSERT(keel_wal_mark(store->wal) != cp->old_mark);
    KEEL_ASSERT(cp->cut >= atomic_load_explicit(&cp->redo_lsn, memory_order_relaxed));
    checkpoint_publish_cut(store, cp->cut);
    cp->started++;
    move(cp, CHECKPOINT_DRAIN);
    return 1;
}

/*
 * Progress: a commit that is counted runs between two points inside keel where it waits for nothing
 * but room in the log's buffer, which it drives itself (W8).
 */
static int step_drain(struct keel_store *store, enum checkpoint_wait wait)
{
    struct checkpoint *cp = &store->checkpoint;
    _Atomic uint32_t *inflight = &store->inflight[cp->old_mark & 1];

    /* Acquire: pairs with the release in commit.c; the stamps made before it are seen by WRITE. */
    while (atomic_load_explicit(inflight, memory_order_acquire) != 0) {
        if (wait == CHECKPOINT_NOWAIT)
            return KEEL_PENDING;
        sched_yield();
    }
    move(cp, CHECKPOINT_WRITE);
    return 1;
}

/*
 * Progress: every round starts the write of some page below the cut or waits for one in flight, on
 * whosever context it is; new changes get a recLSN above the cut. What is left then is held
 * exclusively by a transaction.
 */
static int step_write(struct keel_store *store, struct keel_ctx *ctx, enum checkpoint_wait wait)
{
    struct checkpoint *cp = &store->checkpoint;

    int started = keel_pagecache_writeback(ctx, store->cache, cp->cut, 0, wait == CHECKPOINT_WAIT);
    if (started < 0 && started != KEEL_PENDING && started != KEEL_EFULL)
        return give_up(store, started);

    /* The smallest recLSN is a look at every frame: not while there is something to wait for. */
    if (wait == CHECKPOINT_WAIT && started > 0 && keel_pagecache_wait_any(store->cache))
        return 1;
    if (keel_pagecache_rec_lsn_min(store->cache) >= cp->cut) {
        move(cp, CHECKPOINT_SYNC);
        return 1;
    }
    if (wait == CHECKPOINT_WAIT && keel_pagecache_wait_any(store->cache))
        return 1;

    /* The writes go out now; the log is moved along for those that wait for it (P1). */
    keel_ctx_kick(ctx);
    keel_ctx_kick(keel_wal_ctx(store->wal));
    keel_pagecache_kick(ctx, store->cache);
    if (keel_pagecache_rec_lsn_min(store->cache) >= cp->cut)
        return 1;
    return KEEL_PENDING;
}

static void sync_done(struct keel_io *io)
{
    (void)io; /* whoever moves the machine looks at the request */
}

static int step_sync(struct keel_store *store, struct keel_ctx *ctx)
{
    struct checkpoint *cp = &store->checkpoint;

    KEEL_INV(E3, keel_pagecache_rec_lsn_min(store->cache) >= cp->cut);

    cp->sync.device = store->pages_device;
    cp->sync.op = KEEL_OP_SYNC;
    cp->sync.cls = KEEL_CLASS_WRITEBACK;
    cp->sync.flags = KEEL_IO_ANY_THREAD;
    cp->sync.done = sync_done;
    if (!BUG(CHECKPOINT_WITHOUT_PAGE_FLUSH)) {
        int rc = keel_io_submit(ctx, &cp->sync);
        if (rc == KEEL_EFULL)
            return KEEL_PENDING;
        if (rc)
            return give_up(store, rc);
    }
    cp->sync_ref = keel_io_ref(&cp->sync);
    move(cp, CHECKPOINT_SYNCING);
    keel_ctx_kick(ctx);
    return 1;
}

/* Progress: the request is driven on the context it is on, whosever that is (I6). */
static int step_syncing(struct keel_store *store, struct keel_ctx *ctx, enum checkpoint_wait wait)
{
    struct checkpoint *cp = &store->checkpoint;

    if (!BUG(CHECKPOINT_WITHOUT_PAGE_FLUSH)) {
        if (wait == CHECKPOINT_WAIT)
            keel_ioref_wait(cp->sync_ref);
        else
            keel_ioref_kick(ctx, cp->sync_ref);
        if (!keel_ioref_done(cp->sync_ref))
            return KEEL_PENDING;
        if (cp->sync.res < 0)
            return give_up(store, cp->sync.res);
    }
    move(cp, CHECKPOINT_TRUNCATE);
    return 1;
}

static int step_truncate(struct keel_store *store, struct keel_ctx *ctx, enum checkpoint_wait wait)
{
    struct checkpoint *cp = &store->checkpoint;

    if (keel_wal_durable(store->wal) < cp->cut) {
        if (wait == CHECKPOINT_NOWAIT) {
            keel_wal_kick(store->wal);
            keel_ctx_kick(keel_wal_ctx(store->wal));
            if (keel_wal_poisoned(store->wal))
                return give_up(store, KEEL_EPOISON);
            return KEEL_PENDING;
        }
        int rc = keel_wal_commit(store->wal, cp->cut);
        if (rc)
            return give_up(store, rc);
    }

    KEEL_INV(E3, keel_pagecache_rec_lsn_min(store->cache) >= cp->cut);
    int rc = keel_wal_truncate(ctx, store->wal, cp->cut);
    if (rc)
        return give_up(store, rc);

    atomic_store_explicit(&cp->redo_lsn, cp->cut, memory_order_relaxed);
    atomic_store_explicit(&cp->kicked, false, memory_order_relaxed);
    move(cp, CHECKPOINT_IDLE);
    /* Release: whoever sees the count sees what was done for it. */
    atomic_fetch_add_explicit(&cp->completed, 1, memory_order_release);
    store_event(store);
    return 1;
}

int checkpoint_step(struct keel_store *store, struct keel_ctx *ctx, bool begin,
                    enum checkpoint_wait wait)
{
    struct checkpoint *cp = &store->checkpoint;

    KEEL_DCHECK(lock_held(&cp->lock));
    int rc = store_writable(store);
    if (rc)
        return rc;

    switch (cp->step) {
    case CHECKPOINT_IDLE:
        if (!begin)
            return 0;
        move(cp, CHECKPOINT_CUT);
        return 1;
    case CHECKPOINT_CUT:
        return step_cut(store);
    case CHECKPOINT_DRAIN:
        return step_drain(store, wait);
    case CHECKPOINT_WRITE:
        return step_write(store, ctx, wait);
    case CHECKPOINT_SYNC:
        return step_sync(store, ctx);
    case CHECKPOINT_SYNCING:
        return step_syncing(store, ctx, wait);
    case CHECKPOINT_TRUNCATE:
        return step_truncate(store, ctx, wait);
    case CHECKPOINT_STEP_COUNT:
    default:
        KEEL_UNREACHABLE();
    }
}

/*
 * A step could not go on although it was allowed to wait. A transaction of this very context, or
 * any in a simulation's only thread, will not end while we wait for it.
 */
static int wait_blocked(struct keel_store *store, struct keel_ctx *ctx, uint32_t seq)
{
    if (store->config.sim || tx_pool_held_by(store, ctx))
        return KEEL_EBUSY;
    store_wait_event(store, seq);
    return 0;
}

int checkpoint_run(struct keel_store *store, struct keel_ctx *ctx)
{
    struct checkpoint *cp = &store->checkpoint;
    uint64_t need = 0;

    int writable = store_writable(store);
    if (writable)
        return writable;
    for (;;) {
        uint32_t seq = atomic_load(&store->event_seq);

        lock_acquire(&cp->lock);
        if (need == 0) /* a cut made from now on; an earlier one may lack the last commits */
            need = cp->started + 1;
        bool done = atomic_load_explicit(&cp->completed, memory_order_relaxed) >= need;
        int rc = done ? 0 : checkpoint_step(store, ctx, true, CHECKPOINT_WAIT);
        lock_release(&cp->lock);

        if (done)
            return 0;
        if (rc == KEEL_PENDING)
            rc = wait_blocked(store, ctx, seq);
        if (rc < 0) /* it was writable when this began, so what failed, failed under it */
            return rc == KEEL_EREADONLY ? KEEL_EPOISON : rc;
    }
}

/*
 * Progress: a checkpoint frees all log up to its cut; when there is nothing left to free, the space
 * is credit of open transactions, whose end moves event_seq.
 */
int checkpoint_help(struct keel_store *store, struct keel_ctx *ctx, uint32_t seq)
{
    struct checkpoint *cp = &store->checkpoint;

    if (!lock_try(&cp->lock)) {
        store_wait_event(store, seq);
        return store_writable(store);
    }
    uint64_t redo = atomic_load_explicit(&cp->redo_lsn, memory_order_relaxed);
    bool useful = keel_wal_tail(store->wal) > redo + KEEL_BLOCK_BYTES;
    int rc = checkpoint_step(store, ctx, useful, CHECKPOINT_WAIT);
    lock_release(&cp->lock);

    if (rc == 0 || rc == KEEL_PENDING)
        return wait_blocked(store, ctx, seq);
    return rc < 0 ? rc : 0;
}
