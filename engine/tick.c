/*
 * Choosing the next piece of upkeep.
 *
 * Counters are published when it is time. Growth first (a transaction cannot go on without it),
 * then a checkpoint that is due or under way, then free frames, then the log's promise: once
 * nothing was appended for a moment, an empty block vouches for the last batch. That is one block
 * per pause, since the log writes none that would promise nothing new. Scrubbing comes last. One
 * thread at a time does a
 * checkpoint's step; who finds it busy leaves it.
 */
#include "engine/tick.h"

#include <keel/pagecache.h>
#include <keel/sim.h>

#include "base/assert.h"
#include "base/clock.h"
#include "engine/store.h"

#define FREE_SHARE 16u                /* of all frames are kept free: one in so many */
#define IDLE_NS    UINT64_C(20000000) /* without an append, and the log counts as idle */

static int tick_checkpoint(struct keel_store *store, struct keel_ctx *ctx,
                           enum checkpoint_wait wait)
{
    struct checkpoint *cp = &store->checkpoint;

    if (!lock_try(&cp->lock))
        return 0;
    int rc = checkpoint_step(store, ctx, checkpoint_due(store), wait);
    lock_release(&cp->lock);

    if (rc == KEEL_PENDING && wait == CHECKPOINT_NOWAIT)
        return 0; /* something is in flight; the caller polls and comes again */
    return rc;
}

/* Evict ahead of need, and when that does not give enough, write dirty pages back. */
static int tick_frames(struct keel_store *store, struct keel_ctx *ctx)
{
    struct keel_pagecache_stats stats;

    keel_pagecache_counters(store->cache, &stats);
    uint32_t target = (uint32_t)stats.frames / FREE_SHARE;
    if (target == 0)
        target = 1;
    if (keel_pagecache_evict(store->cache, target) >= target)
        return 0;

    int rc = keel_pagecache_writeback(ctx, store->cache, KEEL_LSN_MAX, 0, false);
    if (rc < 0 && rc != KEEL_PENDING && rc != KEEL_EFULL)
        return store_failed(store, rc);
    keel_ctx_kick(ctx);
    keel_pagecache_kick(ctx, store->cache);
    return 0;
}

static uint64_t now_ns(const struct keel_store *store)
{
    return store->config.sim ? keel_sim_now_ns(store->config.sim) : clock_now_ns();
}

/* Relaxed and without a lock: two ticks at once may each take the log for idle a little early,
 * which is harmless. */
static void tick_promise(struct keel_store *store)
{
    struct store_idle *idle = &store->idle;
    keel_lsn tail = keel_wal_tail(store->wal);
    uint64_t now = now_ns(store);

    if (atomic_exchange_explicit(&idle->tail_lsn, tail, memory_order_relaxed) != tail) {
        atomic_store_explicit(&idle->since_ns, now, memory_order_relaxed);
        return;
    }
    if (now - atomic_load_explicit(&idle->since_ns, memory_order_relaxed) < IDLE_NS)
        return;
    if (keel_wal_durable(store->wal) < tail)
        keel_wal_kick(store->wal); /* an earlier promise may be complete */
    keel_wal_promise(store->wal);
}

int tick_run(struct keel_store *store, struct keel_ctx *ctx, enum checkpoint_wait wait)
{
    stats_publish_due(store);
    int rc = store_writable(store);
    if (rc)
        return rc;

    rc = alloc_map_grow_wanted(store, ctx);
    if (rc)
        return rc;
    rc = tick_checkpoint(store, ctx, wait);
    if (rc)
        return rc;
    rc = tick_frames(store, ctx);
    if (rc == 0)
        tick_promise(store);
    if (rc == 0)
        rc = scrub_tick(store, ctx, now_ns(store));
    return rc;
}

int keel_tick(struct keel_ctx *ctx, struct keel_store *store)
{
    KEEL_ASSERT(ctx && store);

    return tick_run(store, ctx, CHECKPOINT_NOWAIT);
}
