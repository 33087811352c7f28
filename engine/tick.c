/*
 * Choosing the next piece of upkeep.
 *
 * Growth first (a transaction cannot go on without it), then a checkpoint that is due or under way,
 * then free frames. One thread at a time does a checkpoint's step; who finds it busy leaves it.
 */
#include "engine/tick.h"

#include <keel/pagecache.h>

#include "base/assert.h"
#include "engine/store.h"

#define FREE_SHARE 16u /* of all frames are kept free: one in so many */

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
    uint32_t target = (uint32_t)(store->config.cache_bytes / store->config.page_bytes) / FREE_SHARE;

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

int tick_run(struct keel_store *store, struct keel_ctx *ctx, enum checkpoint_wait wait)
{
    int rc = store_writable(store);
    if (rc)
        return rc;

    rc = alloc_map_grow_wanted(store, ctx);
    if (rc)
        return rc;
    rc = tick_checkpoint(store, ctx, wait);
    if (rc)
        return rc;
    return tick_frames(store, ctx);
}

int keel_tick(struct keel_ctx *ctx, struct keel_store *store)
{
    KEEL_ASSERT(ctx && store);

    return tick_run(store, ctx, CHECKPOINT_NOWAIT);
}
