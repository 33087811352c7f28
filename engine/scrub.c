/*
 * Which damage that scrubbing meets is told: that of pages which are allocated, and of the map's
 * own. A free page may be torn from a power cut, since nothing of it was needed.
 */
#include "engine/scrub.h"

#include "base/assert.h"
#include "engine/store.h"

static void damaged(void *arg, struct keel_ctx *ctx, const struct keel_err_info *info)
{
    struct keel_store *store = arg;
    keel_pageno pageno = info->offset / store->config.page_bytes;
    bool allocated = alloc_map_is_map(&store->map, pageno);

    /* If the map does not tell, the page counts. */
    if (!allocated && alloc_map_test(store, ctx, ALLOC_WAIT, pageno, &allocated) != 0)
        allocated = true;
    if (!allocated)
        return;
    atomic_fetch_add_explicit(&store->pages_damaged, 1, memory_order_relaxed);
    if (store->config.damaged)
        store->config.damaged(store->config.damaged_arg, info);
}

int scrub_init(struct keel_store *store)
{
    struct keel_scrub_options options = KEEL_SCRUB_OPTIONS_DEFAULT;

    if (store->config.scrub_bytes_per_s == 0)
        return 0;
    options.space = store->space;
    options.bytes_per_s = store->config.scrub_bytes_per_s;
    options.damaged = damaged;
    options.arg = store;
    return keel_scrub_open(store->cache, &options, &store->scrub);
}

void scrub_fini(struct keel_store *store)
{
    keel_scrub_close(store->scrub);
    store->scrub = NULL;
}

int scrub_tick(struct keel_store *store, struct keel_ctx *ctx, uint64_t now_ns)
{
    KEEL_ASSERT(ctx);

    if (!store->scrub)
        return 0;
    return keel_scrub_step(ctx, store->scrub, now_ns);
}
