/*
 * Opening and closing a store, its states, and the one wire between page cache and log.
 *
 * Open, in order: options, files (create.c), log, cache, space, pools, recovery (recovery.c),
 * background thread. Close is the same backwards, with a checkpoint first; a failed open takes
 * apart what there is by the same function.
 *
 * Failure: the first failed write or sync, wherever it is met, ends in store_poison: log and cache
 * refuse what is not durable, the state is READ_ONLY for good, all who wait are woken. Opening the
 * store again decides what is there.
 */
#include <stdio.h>
#include <string.h>

#include <keel/keel.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/trace.h"
#include "engine/create.h"
#include "engine/recovery.h"
#include "engine/store.h"

#define TX_BYTES_DEFAULT  (UINT64_C(64) << 10)
#define TX_LOG_SHARE      8u /* the default credit is at most one in so many bytes of the log */
#define CHECKPOINT_SHARE  3u
#define ATOMIC_WRITES     64u
#define ARENA_SPARE_BYTES (UINT64_C(256) << 10) /* superblock and scan buffers of the log */
#define EVENT_WAIT_NS     INT64_C(10000000)

#define STRING_(x) #x
#define STRING(x)  STRING_(x)

const char *keel_version(void)
{
    return STRING(KEEL_VERSION_MAJOR) "." STRING(KEEL_VERSION_MINOR) "." STRING(KEEL_VERSION_PATCH);
}

/* ------------------------------------------------------------------ states */

static const char *const state_names[] = {
#define STATE_NAME(name, meaning) [KEEL_##name] = #name,
    STORE_STATES(STATE_NAME)
#undef STATE_NAME
};

static const bool edges[KEEL_CLOSED + 1][KEEL_CLOSED + 1] = {
#define STATE_EDGE(from, to, why) [KEEL_##from][KEEL_##to] = true,
    STORE_EDGES(STATE_EDGE)
#undef STATE_EDGE
};

const char *store_state_name(enum keel_state state)
{
    return (unsigned)state <= KEEL_CLOSED ? state_names[state] : "?";
}

bool store_edge_allowed(enum keel_state from, enum keel_state to)
{
    return (unsigned)from <= KEEL_CLOSED && (unsigned)to <= KEEL_CLOSED && edges[from][to];
}

bool store_move(struct keel_store *store, enum keel_state from, enum keel_state to)
{
    uint32_t expected = from;

    KEEL_ASSERT(store_edge_allowed(from, to));
    if (!atomic_compare_exchange_strong(&store->state, &expected, (uint32_t)to))
        return false;
    TRACE(ENG_STATE, trace_id(store), state_names[to], 0, 0, store->poison);
    return true;
}

enum keel_state keel_state(const struct keel_store *store)
{
    KEEL_ASSERT(store);

    enum keel_state state = (enum keel_state)atomic_load(&store->state);
    /* A log that failed by itself counts from that moment on, noticed or not. */
    if (state == KEEL_RUNNING && keel_wal_poisoned(store->wal))
        return KEEL_READ_ONLY;
    return state;
}

/* ------------------------------------------------------------------ failure */

void store_poison(struct keel_store *store, int error)
{
    int32_t none = 0;

    KEEL_ASSERT(error < 0);
    if (store->wal && keel_wal_poisoned(store->wal))
        error = keel_wal_poisoned(store->wal); /* the first one */
    if (!atomic_compare_exchange_strong(&store->poison, &none, error))
        return;

    /* The log first: then its durable LSN stands still, and the cache can be told where. */
    if (store->wal) {
        keel_wal_poison(store->wal, error);
        KEEL_INV(W4, keel_wal_poisoned(store->wal) != 0);
        if (store->cache)
            keel_pagecache_poison(store->cache, keel_wal_durable(store->wal));
    }
    if (!store_move(store, KEEL_RUNNING, KEEL_READ_ONLY))
        keel_ignore(store_move(store, KEEL_OPENING, KEEL_READ_ONLY), "closing has its own way");
    store_event(store);
}

int store_writable(struct keel_store *store)
{
    if (atomic_load(&store->poison) != 0)
        return KEEL_EREADONLY;
    int error = keel_wal_poisoned(store->wal);
    if (error == 0)
        return 0;
    store_poison(store, error);
    return KEEL_EREADONLY;
}

int store_failed(struct keel_store *store, int rc)
{
    if (rc != 0 && keel_err_class(rc) == KEEL_CLASS_FATAL)
        store_poison(store, rc);
    return rc;
}

int store_error(struct keel_err_info *info, int code, const char *op, const char *object)
{
    if (!info)
        return code;
    /* What a layer below has said about the same failure is nearer to the cause. */
    if (info->code == code && info->object[0] != '\0')
        return code;
    *info = (struct keel_err_info){.code = code, .op = op};
    snprintf(info->object, sizeof(info->object), "%s", object);
    return code;
}

int store_map_errno(int rc)
{
    switch (rc) {
    case -EACCES:
    case -EPERM:
        return KEEL_EACCESS;
    case -ENOSPC:
    case -EDQUOT:
    case -EFBIG:
        return KEEL_ENOSPACE;
    case -ENOENT:
    case -ENOTDIR:
        return KEEL_ENOTFOUND;
    default:
        return rc;
    }
}

/* ------------------------------------------------------------------ waiting */

void store_event(struct keel_store *store)
{
    /* Both sequentially consistent: either the sleeper's count is seen here, or it sees the new
     * sequence number before it sleeps. */
    atomic_fetch_add(&store->event_seq, 1);
    if (atomic_load(&store->event_waiters) != 0)
        futex_wake(&store->event_seq, INT32_MAX);
}

/* Progress: the event is another thread's, which is inside keel or ends its transaction; the time
 * limit is for pages that are held by other means. */
void store_wait_event(struct keel_store *store, uint32_t seq)
{
    atomic_fetch_add(&store->event_waiters, 1);
    keel_ignore(futex_wait(&store->event_seq, seq, EVENT_WAIT_NS), "the caller looks again");
    atomic_fetch_sub(&store->event_waiters, 1);
}

int store_sync_device(struct keel_ctx *ctx, struct keel_device *device)
{
    struct keel_io io = {.device = device, .op = KEEL_OP_SYNC, .cls = KEEL_CLASS_WRITEBACK};

    int rc = keel_io_submit(ctx, &io);
    return rc ? rc : keel_io_wait(ctx, &io);
}

/* ------------------------------------------------------------------ the wire */

/*
 * P1: the page cache asks before it writes a page. In recovery every change comes out of the log
 * below X, which was read from the device after a flush, so it is durable.
 */
static int log_durable(void *arg, keel_lsn lsn, bool wait)
{
    struct keel_store *store = arg;

    if (keel_wal_durable(store->wal) >= lsn)
        return 0;
    if (atomic_load(&store->state) == KEEL_OPENING && lsn <= keel_wal_report(store->wal)->end_lsn)
        return 0;
    if (wait)
        return store_failed(store, keel_wal_commit(store->wal, lsn));

    keel_wal_kick(store->wal);
    if (keel_wal_poisoned(store->wal))
        return KEEL_EPOISON;
    return keel_wal_durable(store->wal) >= lsn ? 0 : KEEL_PENDING;
}

static void write_failed(void *arg, int error, uint32_t space, keel_pageno page)
{
    struct keel_store *store = arg;

    KEEL_ASSERT(space == STORE_SPACE_ID);
    TRACE(ENG_STATE, trace_id(store), "page write failed", page, 0, error);
    store_poison(store, error);
}

/* ------------------------------------------------------------------ open */

static void cache_options(struct keel_store *store, struct keel_pagecache_options *ret)
{
    *ret = (struct keel_pagecache_options){
        .size = sizeof(*ret),
        .page_bytes = store->config.page_bytes,
        .cache_bytes = store->config.cache_bytes,
        .cache_bytes_max = store->config.cache_bytes_max,
        /* Pages that are written untorn go one by one. */
        .write_bytes_max = store->atomic_pages ? store->config.page_bytes : 0,
        .writes_max = store->atomic_pages ? ATOMIC_WRITES : 0,
        .arena = store->arena,
        .log_durable = log_durable,
        .write_failed = write_failed,
        .arg = store,
    };
}

/* A holder of the log has moved: transactions that wait for log space look again. */
static void log_space_freed(void *arg)
{
    struct keel_store *store = arg;

    store_event(store);
}

static int open_log(struct keel_store *store, struct keel_ctx *ctx, struct keel_err_info *info)
{
    struct keel_pagecache_options cache;
    struct keel_wal_options wal;

    store->atomic_pages = store->super.torn == KEEL_TORN_ATOMIC &&
                          store_device_untorn(store->pages_device, store->config.page_bytes);
    cache_options(store, &cache);
    uint64_t bytes =
        store->config.log_buffer_bytes + ARENA_SPARE_BYTES + keel_pagecache_arena_bytes(&cache);
    int rc = keel_arena_create(bytes, &store->arena);
    if (rc)
        return rc;

    options_wal(&store->config, store->arena, &wal);
    wal.space = log_space_freed;
    wal.space_arg = store;
    rc = keel_wal_open(ctx, store->wal_device, &wal, info, &store->wal);
    if (rc) {
        store->wal = NULL;
        return rc;
    }
    /* A log of another store, however whole, would be redone into these pages. */
    if (memcmp(keel_wal_report(store->wal)->uuid, store->super.log_uuid, SUPER_UUID_BYTES) != 0)
        return store_error(info, KEEL_EFORMAT, "log of another store", "wal.keel");
    return 0;
}

/*
 * A log without images, on a device that tears pages (the store was moved): if the log was closed,
 * every page lies below the next cut, and the first change of each is an image as everywhere. If
 * not, its redo would write pages that nothing could make whole again.
 */
static int give_up_atomic(struct keel_store *store, struct keel_ctx *ctx,
                          struct keel_err_info *info)
{
    if (store->super.torn == KEEL_TORN_IMAGES || store->atomic_pages)
        return 0;
    if (!keel_wal_report(store->wal)->clean)
        return store_error(info, KEEL_ENOTSUP, "its pages are written untorn, here they cannot be",
                           "pages.keel");
    store->super.torn = KEEL_TORN_IMAGES;
    return superblock_step(ctx, &store->quad, &store->super);
}

/* What the options left to the log that was found. */
static void derive(struct keel_store *store)
{
    struct keel_wal_stats stats;

    keel_wal_stats(store->wal, &stats);
    if (store->config.tx_bytes == 0) {
        uint64_t share = stats.ring_bytes / TX_LOG_SHARE;
        store->config.tx_bytes = share < TX_BYTES_DEFAULT ? share : TX_BYTES_DEFAULT;
    }
    if (store->config.checkpoint_bytes == 0)
        store->config.checkpoint_bytes = stats.ring_bytes / CHECKPOINT_SHARE;
}

static int open_space(struct keel_store *store)
{
    struct keel_pagecache_options options;
    keel_pageno pages = store->super.space_pages;
    keel_pageno pages_max = store->config.space_bytes_max / store->config.page_bytes;

    if (pages_max < pages)
        pages_max = pages; /* it is larger already: usable, but it does not grow */
    cache_options(store, &options);
    int rc = keel_pagecache_open(&options, &store->cache);
    if (rc) {
        store->cache = NULL;
        return rc;
    }
    const struct keel_space_options space = {
        .size = sizeof(space),
        .id = STORE_SPACE_ID,
        .device = store->pages_device,
        .pages = pages,
        .pages_max = pages_max,
        .atomic_writes = store->atomic_pages,
    };
    rc = keel_space_open(store->cache, &space, &store->space);
    if (rc)
        return rc;
    rc = alloc_map_init(store, pages_max);
    if (rc == 0)
        rc = scrub_init(store);
    return rc ? rc : tx_pool_init(store);
}

/*
 * Take apart whatever there is, in any state; also the end of a failed open.
 * Returns what closing the log met.
 */
static int take_apart(struct keel_ctx *ctx, struct keel_store *store)
{
    int rc = 0;

    background_stop(store);
    stats_publish_close(store);
    tx_pool_fini(store);
    scrub_fini(store);
    alloc_map_fini(store);
    if (store->cache)
        keel_pagecache_close(ctx, store->cache);
    if (store->wal)
        rc = keel_wal_close(ctx, store->wal);
    checkpoint_fini(store);
    store_files_close(store);
    if (store->arena)
        keel_arena_destroy(store->arena);
    mem_free(store);
    return rc;
}

/* What the disk charges, from the profile that was named, or from the one in the store's folder. */
static int use_profile(struct keel_store *store, struct keel_ctx *ctx, const char *path,
                       struct keel_err_info *info)
{
    struct keel_sched_costs costs;
    const char *profile = store->config.profile;
    char own[1024];

    if (!profile) {
        if (store->whole_device || store->config.sim)
            return 0;
        int n = snprintf(own, sizeof(own), "%s/%s", path, STORE_PROFILE_NAME);
        if (n < 0 || (size_t)n >= sizeof(own) || keel_path_exists(ctx, own) == KEEL_PATH_NONE)
            return 0;
        profile = own;
    }
    int rc = keel_sched_costs_load(profile, &costs);
    /* Log and pages lie on one disk. */
    if (rc == 0)
        rc = keel_sched_costs_set(store->pages_device, &costs) ? KEEL_EFORMAT : 0;
    const char *named = store->config.profile ? store->config.profile : STORE_PROFILE_NAME;
    store->config.profile = NULL;
    return rc ? store_error(info, rc, "profile", named) : 0;
}

static int open_parts(struct keel_ctx *ctx, const char *path, struct keel_store *store,
                      struct keel_err_info *info)
{
    int rc = store_files_open(store, ctx, path, info);
    if (rc == 0)
        rc = use_profile(store, ctx, path, info);
    if (rc)
        return rc;
    store->config.page_bytes = store->super.page_bytes;
    if (store->config.cache_bytes < 16 * (uint64_t)store->config.page_bytes)
        return store_error(info, KEEL_EOPTION, "keel_open", "cache_bytes");
    store->page_len = store->config.page_bytes - KEEL_PAGE_HEADER_BYTES;

    rc = open_log(store, ctx, info);
    if (rc)
        return store_error(info, rc, "open log", "wal.keel");
    rc = give_up_atomic(store, ctx, info);
    if (rc)
        return store_error(info, rc, "superblock", "store.keel");
    derive(store);
    rc = open_space(store);
    if (rc)
        return store_error(info, rc, "open pages", "pages.keel");
    rc = recovery_run(store, ctx, info);
    if (rc)
        return rc;
    rc = alloc_map_count(store, ctx, info);
    if (rc)
        return store_error(info, rc, "read map", "pages.keel");
    rc = stats_publish_open(store, path);
    if (rc)
        return store_error(info, rc, "publish statistics", store->stats.name);
    store->open_ns = clock_now_ns() - store->begun_ns; /* before another thread can tell it */
    rc = background_start(store);
    return rc ? store_error(info, rc, "background", "thread") : 0;
}

int keel_open(struct keel_ctx *ctx, const char *path, const struct keel_options *options,
              struct keel_err_info *info, struct keel_store **ret)
{
    uint64_t begun_ns = clock_now_ns();
    struct store_config config;

    KEEL_ASSERT(ctx && path && ret);
    if (info)
        *info = (struct keel_err_info){0};
    int rc = options_check(options, info, &config);
    if (rc == 0)
        rc = options_method(&config, keel_ctx_path(ctx)->method, info);
    if (rc)
        return rc;
    struct keel_store *store = mem_alloc(sizeof(*store));
    if (!store)
        return -ENOMEM;
    store->config = config;
    store->begun_ns = begun_ns;
    checkpoint_init(store);

    rc = open_parts(ctx, path, store, info);
    if (rc == 0 && !store_move(store, KEEL_OPENING, KEEL_RUNNING))
        rc = store_error(info, KEEL_EPOISON, "open", path); /* a write failed at the last moment */
    if (rc) {
        keel_ignore(take_apart(ctx, store), "the first failure is what is reported");
        return rc;
    }
    *ret = store;
    return 0;
}

int keel_close(struct keel_ctx *ctx, struct keel_store *store)
{
    KEEL_ASSERT(ctx && store);
    KEEL_ASSERT(tx_pool_open_count(store) == 0);

    background_stop(store);
    int rc = store_writable(store);
    if (rc == 0) {
        rc = checkpoint_run(store, ctx);
        KEEL_ASSERT(rc != KEEL_EBUSY); /* a page is still fixed */
    }
    if (!store_move(store, KEEL_RUNNING, KEEL_CLOSED))
        keel_ignore(store_move(store, KEEL_READ_ONLY, KEEL_CLOSED), "one of the two it was in");

    int closed = take_apart(ctx, store);
    return rc ? rc : closed;
}

/* ------------------------------------------------------------------ reading and asking */

int keel_read(struct keel_ctx *ctx, struct keel_store *store, keel_pageno pageno, unsigned flags,
              struct keel_page *ret)
{
    KEEL_ASSERT(ctx && store && ret);
    KEEL_ASSERT((flags & KEEL_FIX_REDO) == 0);

    keel_ignore(store_writable(store), "tells the cache about a failed log; reading goes on");
    return keel_page_fix(ctx, store->space, pageno, KEEL_FIX_SHARED, flags, NULL, ret);
}

int keel_checkpoint(struct keel_ctx *ctx, struct keel_store *store)
{
    KEEL_ASSERT(ctx && store);

    return checkpoint_run(store, ctx);
}

void keel_store_info(struct keel_store *store, struct keel_store_info *ret)
{
    KEEL_ASSERT(store && ret);

    *ret = (struct keel_store_info){
        .state = keel_state(store),
        .poison = atomic_load(&store->poison),
        .page_bytes = store->config.page_bytes,
        .pages = keel_space_pages(store->space),
        .pages_allocated = atomic_load(&store->map.allocated),
        .checkpoints = atomic_load(&store->checkpoint.completed),
        .tx_committed = atomic_load(&store->tx_committed),
        .tx_aborted = atomic_load(&store->tx_aborted),
        .recovered_groups = store->recovered_groups,
        .recovered_pages = store->recovered_pages,
        .open_ns = store->open_ns,
        .pages_damaged = atomic_load(&store->pages_damaged),
        .torn = store->atomic_pages ? KEEL_TORN_ATOMIC : KEEL_TORN_IMAGES,
        .stats = atomic_load_explicit(&store->stats.rc, memory_order_relaxed),
    };
    memcpy(ret->uuid, store->super.uuid, sizeof(ret->uuid));
    if (store->scrub) {
        struct keel_scrub_stats scrub;
        keel_scrub_stats(store->scrub, &scrub);
        ret->pages_scrubbed = scrub.pages;
    }
    if (ret->poison == 0)
        ret->poison = keel_wal_poisoned(store->wal);
}

struct keel_wal *keel_store_wal(struct keel_store *store)
{
    return store->wal;
}

struct keel_pagecache *keel_store_cache(struct keel_store *store)
{
    return store->cache;
}

struct keel_space *keel_store_space(struct keel_store *store)
{
    return store->space;
}
