/*
 * Opening, reading and ending the store of a world. What the clients do is in clients.c.
 *
 * A process that dies is played with the public interface alone: the log is poisoned, so that
 * nothing is written or synced any more, what is in flight reaches the device (as it would behind a
 * dead process), and closing a poisoned store drops its dirty pages.
 */
#include "tools/sim/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "tools/sim/clients.h"

void world_violation(struct world *world, const char *format, ...)
{
    va_list args;

    if (world->violation[0])
        return;
    va_start(args, format);
    vsnprintf(world->violation, sizeof(world->violation), format, args);
    va_end(args);
}

void settings_draw(struct settings *settings, uint64_t seed)
{
    static const enum keel_sync_method sync[] = {KEEL_SYNC_DSYNC, KEEL_SYNC_LINK, KEEL_SYNC_FLUSH};
    static const uint32_t inflight[] = {2, 4, 8};
    struct prng prng;

    prng_seed(&prng, seed * 2654435761u + 1);
    *settings = (struct settings){
        .seed = seed,
        .sync = sync[seed % 3],
        .inflight_max = inflight[prng_below(&prng, 3)],
        .batch_bytes_max = 4096u << prng_below(&prng, 3),
        .pipeline_bytes = 4096u,
        .frames = 20u + (uint32_t)prng_below(&prng, 4) * 4u,
        .space_pages = 64u,
        .latency_ns_min = 10000,
        .atomic_write_bytes = seed % 4 == 3 ? 4096u : 0u,
        .latency_ns_max = prng_chance(&prng, 1, 4) ? 2000000 : 200000,
    };
    /* Some seeds allocate more than the first size of the page file, so that it grows. */
    settings->target_pages = prng_chance(&prng, 1, 4) ? settings->space_pages + 4u
                                                      : 26u + (uint32_t)prng_below(&prng, 10);
}

void world_init(struct world *world, const struct settings *settings, struct keel_sim *sim,
                struct model *model, uint64_t seed)
{
    memset(world, 0, offsetof(struct world, tip));
    world->settings = settings;
    world->sim = sim;
    world->model = model;
    world->growths = 0;
    world->checkpoints = world->laps = world->aborted = world->conflicts = world->blocking = 0;
    world->violation[0] = '\0';
    prng_seed(&world->prng, seed);
}

int world_open(struct world *world)
{
    const struct settings *set = world->settings;
    struct keel_ctx_options ctx_options = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_options options = KEEL_OPTIONS_DEFAULT;
    struct keel_err_info info = {0};

    KEEL_ASSERT(!world->store);
    ctx_options.method = KEEL_METHOD_SIM;
    ctx_options.sim = world->sim;
    ctx_options.depth = 64;
    ctx_options.queue_max = 256;
    int rc = keel_ctx_open(&ctx_options, &world->ctx);
    if (rc) {
        world_violation(world, "context cannot be opened: %s", keel_err_name(rc));
        return rc;
    }

    options.background = KEEL_MANUAL;
    options.method = KEEL_METHOD_SIM;
    options.sim = world->sim;
    options.sync = set->sync;
    options.log_bytes = KEEL_WAL_BYTES_MIN;
    options.space_bytes = (uint64_t)set->space_pages * 4096u;
    options.space_bytes_max = (uint64_t)MODEL_PAGE_MAX * 4096u;
    options.cache_bytes = (uint64_t)set->frames * 4096u;
    options.torn = KEEL_TORN_AUTO;
    options.tx_bytes = 32768;
    options.tx_max = 8;
    options.inflight_max = set->inflight_max;
    options.batch_bytes_max = set->batch_bytes_max;
    options.pipeline_bytes = set->pipeline_bytes;
    options.log_buffer_bytes = 65536;
    rc = keel_open(world->ctx, WORLD_FOLDER, &options, &info, &world->store);
    if (rc) {
        world_violation(world, "open: %s (%s %s, offset %llu, want %llu, got %llu)",
                        keel_err_name(rc), info.op ? info.op : "", info.object,
                        (unsigned long long)info.offset, (unsigned long long)info.want,
                        (unsigned long long)info.got);
        keel_ctx_close(world->ctx);
        world->ctx = NULL;
        world->store = NULL;
        return rc;
    }
    world->report = *keel_wal_report(keel_store_wal(world->store));
    world->poisoned = false;
    world->committed = 0;
    world->acked_lsn = 0;
    memset(world->client, 0, sizeof(world->client));
    return 0;
}

void world_read(struct world *world, uint64_t event, bool keep, struct model_state *ret)
{
    struct keel_store_info info;
    bool used[MODEL_PAGE_MAX];

    keel_store_info(world->store, &info);
    ret->allocated = (uint32_t)info.pages_allocated;
    model_pages(world->model, event, used);
    for (uint32_t p = 0; p < MODEL_PAGE_MAX; p++) {
        struct keel_page page;
        ret->hash[p] = MODEL_UNREADABLE;
        if (used[p] && keel_read(world->ctx, world->store, p, 0, &page) == 0) {
            KEEL_ASSERT(page.len == WORLD_PAGE_USER);
            ret->hash[p] = model_hash(page.data, page.len);
            if (keep)
                memcpy(world->tip[p], page.data, page.len);
            keel_page_unfix(&page);
        }
    }
}

void world_adopt(struct world *world, struct model *model)
{
    world->model = model;
    model_tip(model, world->tip_hash, &world->allocated);
    for (uint32_t p = 0; p < model->page_count; p++)
        if (world->tip_hash[p] != MODEL_FREE)
            KEEL_ASSERT(world->tip_hash[p] == model_hash(world->tip[p], WORLD_PAGE_USER));
}

uint64_t world_laps(const struct world *world)
{
    struct keel_wal_stats stats;

    keel_wal_stats(keel_store_wal(world->store), &stats);
    return stats.tail_lsn / stats.ring_bytes;
}

static void note_coverage(struct world *world)
{
    struct keel_store_info info;

    keel_store_info(world->store, &info);
    world->checkpoints += info.checkpoints;
    world->laps = world_laps(world);
}

void world_kill(struct world *world)
{
    if (!world->store)
        return;
    note_coverage(world);
    clients_stop(world);
    keel_wal_poison(keel_store_wal(world->store), -EOWNERDEAD);
    clients_drain(world);
    keel_ignore(keel_close(world->ctx, world->store), "a killed store closes as poisoned");
    keel_ctx_close(world->ctx);
    world->store = NULL;
    world->ctx = NULL;
}

bool world_close(struct world *world)
{
    clients_stop(world);
    if (!world_settle(world))
        return false;
    note_coverage(world);

    int rc = keel_close(world->ctx, world->store);
    keel_ctx_close(world->ctx);
    world->store = NULL;
    world->ctx = NULL;
    if (rc && !world->fault_expected)
        world_violation(world, "close: %s", keel_err_name(rc));
    return !world->violation[0];
}
