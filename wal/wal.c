/*
 * The life of a log: create, open, start, close; and its figures.
 *
 *   keel_wal_create  four superblock copies: one epoch that owns everything and has written nothing
 *   keel_wal_open    flush the device, superblock, memory, own context, scan
 *   keel_wal_start   the new epoch is made durable before its first block can be written
 *   keel_wal_close   drain, write the clean mark with the exact end, free
 *
 * Everything that the log will ever allocate is allocated in open.
 *
 * Failure: open gives everything back and leaves the device as it was, but for the repair of
 * superblock copies. A start that fails is poison: whether the epoch took effect is not known.
 */
#include <string.h>
#include <sys/random.h>

#include "base/bug.h"
#include "base/trace.h"
#include "keel/sim.h"
#include "wal/commit_async.h"
#include "wal/holder.h"
#include "wal/scan.h"
#include "wal/seal.h"
#include "wal/secure.h"
#include "wal/sync_choice.h"

#define INFLIGHT_DEFAULT 4u
#define BATCH_DEFAULT    (256u * 1024u)
#define BUFFER_DEFAULT   (4u * 1024u * 1024u)
#define PIPELINE_DEFAULT (64u * 1024u)

/* ------------------------------------------------------------- options */

/* options with defaults filled in; KEEL_EOPTION. */
static int options_settle(const struct keel_wal_options *options, struct keel_wal_options *ret)
{
    if (options && options->size != sizeof(*options))
        return KEEL_EOPTION;

    *ret = options ? *options : (struct keel_wal_options)KEEL_WAL_OPTIONS_DEFAULT;
    if (ret->inflight_max == 0)
        ret->inflight_max = INFLIGHT_DEFAULT;
    if (ret->batch_bytes_max == 0)
        ret->batch_bytes_max = BATCH_DEFAULT;
    if (ret->buffer_bytes == 0)
        ret->buffer_bytes = BUFFER_DEFAULT;
    if (ret->pipeline_bytes == 0)
        ret->pipeline_bytes = PIPELINE_DEFAULT;

    if (ret->inflight_max > WAL_INFLIGHT_MAX)
        return KEEL_EOPTION;
    if (ret->batch_bytes_max % WAL_BLOCK != 0 || ret->batch_bytes_max > KEEL_IO_BYTES_MAX)
        return KEEL_EOPTION;
    if (ret->buffer_bytes & (ret->buffer_bytes - 1))
        return KEEL_EOPTION;
    if (ret->buffer_bytes / 2 < ret->batch_bytes_max)
        return KEEL_EOPTION;
    if (ret->reserve_bytes % WAL_BLOCK != 0)
        return KEEL_EOPTION;
    return 0;
}

/* K for these options on a ring of this size. */
static uint64_t inflight_bytes(const struct keel_wal_options *options, uint64_t ring_bytes)
{
    uint64_t wanted = (uint64_t)options->inflight_max * options->batch_bytes_max;
    uint64_t share = ring_bytes / WAL_RING_SHARE / WAL_BLOCK * WAL_BLOCK;

    return wanted < share ? wanted : share;
}

static uint64_t device_ring_bytes(const struct keel_device *device)
{
    uint64_t size = keel_device_info(device)->size_bytes / WAL_BLOCK * WAL_BLOCK;

    return size < KEEL_WAL_BYTES_MIN ? 0 : size - WAL_SUPER_BYTES;
}

/* ------------------------------------------------------------- create */

/* A uuid that no other log has; in a simulation the same in each run of a seed, yet another one for
 * each log that is made in it. */
static int make_uuid(const struct keel_wal_options *options, uint8_t uuid[WAL_UUID_BYTES])
{
    if (options->uuid) {
        memcpy(uuid, options->uuid, WAL_UUID_BYTES);
        return 0;
    }
    if (options->sim) {
        uint64_t at[2] = {keel_sim_now_ns(options->sim), keel_sim_events(options->sim)};

        _Static_assert(sizeof(at) == WAL_UUID_BYTES, "two numbers are a uuid");
        memcpy(uuid, at, sizeof(at));
        uuid[0] |= 1; /* not all zero */
        return 0;
    }
    return getrandom(uuid, WAL_UUID_BYTES, 0) == WAL_UUID_BYTES ? 0 : -EIO;
}

int keel_wal_create(struct keel_ctx *ctx, struct keel_device *device,
                    const struct keel_wal_options *options, uint8_t ret_uuid[16])
{
    struct keel_wal_options settled;
    struct wal_super super = {.ring_bytes = device_ring_bytes(device)};
    struct keel_quad quad;
    uint8_t payload[WAL_SUPER_LIST + WAL_EPOCH_BYTES];

    int rc = options_settle(options, &settled);
    if (rc == 0 && super.ring_bytes == 0)
        rc = KEEL_EOPTION;
    if (rc == 0)
        rc = make_uuid(&settled, super.uuid);
    if (rc != 0)
        return rc;

    super.inflight_bytes = inflight_bytes(&settled, super.ring_bytes);
    super.redo_lsn = WAL_LSN_FIRST;
    super.promise_lsn = WAL_LSN_FIRST;
    super.end_lsn = WAL_LSN_FIRST;
    super.clean = true;
    super.epoch_count = 1;
    super.epochs[0] = (struct wal_epoch){1, WAL_LSN_FIRST, WAL_LSN_FIRST};

    void *block = mem_alloc_aligned(WAL_BLOCK, WAL_BLOCK);
    if (!block)
        return -ENOMEM;
    wal_super_cell(&quad, device, NULL, block);
    rc = keel_quad_create(ctx, &quad, payload, wal_super_encode(&super, payload));
    mem_free(block);
    if (rc == 0 && ret_uuid)
        memcpy(ret_uuid, super.uuid, WAL_UUID_BYTES);
    return rc;
}

/* ------------------------------------------------------------- open */

static void wal_free(struct keel_wal *wal)
{
    keel_ctx_close(wal->ctx);
    if (wal->arena_own)
        keel_arena_destroy(wal->arena_own);
    mem_free(wal->fifos);
    mem_free(wal->batches);
    mem_free(wal->frames);
    lock_fini(&wal->tail_lock);
    lock_fini(&wal->hold_lock);
    lock_fini(&wal->done_lock);
    lock_fini(&wal->seal_lock);
    lock_fini(&wal->super_lock);
    mem_free(wal);
}

static struct keel_wal *wal_new(struct keel_device *device, const struct keel_wal_options *options)
{
    struct keel_wal *wal = mem_alloc_aligned(MEM_CACHE_LINE, sizeof(*wal));

    if (!wal)
        return NULL;
    lock_init(&wal->super_lock, LOCK_WAL);
    lock_init(&wal->seal_lock, LOCK_WAL_SEAL);
    lock_init(&wal->done_lock, LOCK_LEAF);
    lock_init(&wal->hold_lock, LOCK_LEAF);
    lock_init(&wal->tail_lock, LOCK_LEAF);
    wal->device = device;
    wal->arena = options->arena;
    wal->frame_count = options->buffer_bytes / WAL_BLOCK;
    wal->inflight_max = options->inflight_max;
    wal->pipeline_bytes = options->pipeline_bytes;
    wal->method = options->method;
    wal->read_only = options->read_only;
    wal->reserve_bytes = options->reserve_bytes;
    wal->space = options->space;
    wal->space_arg = options->space_arg;
    wal->frames = mem_alloc(wal->frame_count * sizeof(*wal->frames));
    wal->batches = mem_alloc(wal->inflight_max * sizeof(*wal->batches));
    wal->fifos = mem_alloc_aligned(MEM_CACHE_LINE, WAL_FIFOS_MAX * sizeof(*wal->fifos));
    if (!wal->frames || !wal->batches || !wal->fifos) {
        wal_free(wal);
        return NULL;
    }
    for (uint64_t i = 0; i < wal->frame_count; i++)
        wal->frames[i].used = WAL_PAYLOAD;
    for (uint32_t i = 0; i < wal->inflight_max; i++)
        wal->batches[i].wal = wal;
    wal_fifos_init(wal);
    return wal;
}

/* The log buffer and the superblock's block, out of the caller's arena or one of our own; and the
 * context that everybody drives. */
static int open_memory(struct keel_wal *wal, const struct keel_wal_options *options,
                       void **ret_block)
{
    struct keel_ctx_options ctx_options = KEEL_CTX_OPTIONS_DEFAULT;
    int rc;

    if (!wal->arena) {
        rc = keel_arena_create(options->buffer_bytes + WAL_BLOCK, &wal->arena_own);
        if (rc != 0)
            return rc;
        wal->arena = wal->arena_own;
    }
    wal->buffer = keel_arena_alloc(wal->arena, options->buffer_bytes);
    *ret_block = keel_arena_alloc(wal->arena, WAL_BLOCK);
    if (!wal->buffer || !*ret_block)
        return -ENOMEM;

    ctx_options.method = options->method;
    ctx_options.kind = KEEL_CTX_SHARED;
    ctx_options.fixed = options->fixed;
    ctx_options.iopoll = KEEL_OFF; /* docs/adr/0038: the leader sleeps, and the next batch forms */
    ctx_options.depth = 4 * WAL_INFLIGHT_MAX;
    ctx_options.sim = options->sim;
    rc = keel_ctx_open(&ctx_options, &wal->ctx);
    if (rc == 0)
        wal->ctx_is_sync = strcmp(keel_ctx_path(wal->ctx)->method, "sync") == 0;
    return rc;
}

static int flush_device(struct keel_ctx *ctx, struct keel_device *device)
{
    struct keel_io io = {.device = device, .op = KEEL_OP_SYNC, .cls = KEEL_CLASS_WAL};

    if (BUG(RECOVERY_WITHOUT_FLUSH))
        return 0;
    int rc = keel_io_submit(ctx, &io);
    return rc != 0 ? rc : keel_io_wait(ctx, &io);
}

static int open_super(struct keel_ctx *ctx, struct keel_wal *wal, struct keel_err_info *info)
{
    uint32_t len = sizeof(wal->super_bytes);
    int rc = keel_quad_open(ctx, &wal->quad, !wal->read_only, wal->super_bytes, &len);

    if (rc == 0)
        rc = wal_super_decode(&wal->super, wal->super_bytes, len);
    if (rc == 0 && wal->super.ring_bytes != device_ring_bytes(wal->device))
        rc = KEEL_EFORMAT; /* not the device it was made on, or cut off */
    if (rc != 0 && info) {
        memset(info, 0, sizeof(*info));
        info->code = rc;
        info->op = "the log's superblock";
        info->want = device_ring_bytes(wal->device);
        info->got = wal->super.ring_bytes;
    }
    return rc;
}

int keel_wal_open(struct keel_ctx *ctx, struct keel_device *device,
                  const struct keel_wal_options *options, struct keel_err_info *info,
                  struct keel_wal **ret)
{
    struct keel_wal_options settled;
    struct keel_wal *wal;
    void *block = NULL;

    int rc = options_settle(options, &settled);
    if (rc != 0)
        return rc;
    if (device_ring_bytes(device) == 0)
        return KEEL_EFORMAT;
    wal = wal_new(device, &settled);
    if (!wal)
        return -ENOMEM;
    wal->sync = settled.sync; /* as asked for, until start settles it */

    rc = wal_sync_check(wal, settled.sync);
    if (rc != 0)
        goto fail;
    rc = open_memory(wal, &settled, &block);
    if (rc != 0)
        goto fail;
    wal_super_cell(&wal->quad, device, wal->arena, block);
    rc = flush_device(ctx, device);
    if (rc != 0)
        goto fail;
    rc = open_super(ctx, wal, info);
    if (rc != 0)
        goto fail;

    wal->ring_bytes = wal->super.ring_bytes;
    if (wal->reserve_bytes > wal->ring_bytes / WAL_RING_SHARE) {
        rc = KEEL_EOPTION;
        goto fail;
    }
    wal_seed_init(&wal->seed, wal->super.uuid);
    rc = wal_scan(ctx, wal, info);
    if (rc != 0)
        goto fail;
    rc = wal->read_only ? 0 : wal_secure(ctx, wal);
    if (rc != 0)
        goto fail;
    uint64_t wanted = inflight_bytes(&settled, wal->ring_bytes);
    wal->inflight_bytes = wanted > wal->super.inflight_bytes ? wanted : wal->super.inflight_bytes;
    wal->batch_bytes_max = settled.batch_bytes_max;
    atomic_store(&wal->durable_lsn, wal->report.end_lsn);
    atomic_store(&wal->written_lsn, wal->report.end_lsn);
    wal->base_lsn = wal->report.end_lsn;
    wal->held_redo = wal->super.redo_lsn;
    memcpy(wal->report.uuid, wal->super.uuid, WAL_UUID_BYTES);
    *ret = wal;
    return 0;

fail:
    wal_free(wal);
    return rc;
}

const struct keel_wal_report *keel_wal_report(const struct keel_wal *wal)
{
    return &wal->report;
}

/* ------------------------------------------------------------- start */

/* The superblock that says that a new epoch writes from *ret_first on; super_lock held. */
static int start_super(struct keel_ctx *ctx, struct keel_wal *wal, keel_lsn *ret_first)
{
    struct wal_super *super = &wal->super;
    keel_lsn end = wal->report.end_lsn;
    keel_lsn last_first = super->epochs[super->epoch_count - 1].first;
    keel_lsn first = end + super->inflight_bytes;

    if (BUG(NO_EPOCH_STEP))
        first = end;
    else {
        int rc = wal_super_add_epoch(super, end > last_first, end, first);
        if (rc != 0)
            return rc;
    }
    super->clean = false;
    super->end_lsn = 0;
    super->promise_lsn = first;
    super->inflight_bytes = wal->inflight_bytes;
    *ret_first = first;
    return wal_super_step(ctx, wal);
}

int keel_wal_start(struct keel_ctx *ctx, struct keel_wal *wal)
{
    keel_lsn end = wal->report.end_lsn;
    keel_lsn first = 0;

    KEEL_ASSERT(!wal->started);
    if (wal->read_only)
        return KEEL_EREADONLY;
    if (wal_poisoned(wal) != 0)
        return KEEL_EPOISON;

    lock_acquire(&wal->super_lock);
    int rc = start_super(ctx, wal, &first);
    lock_release(&wal->super_lock);
    if (rc != 0)
        return rc;

    KEEL_INV(W3, BUG(NO_EPOCH_STEP) || first >= end + WAL_BLOCK);
    keel_lsn limit = lsn_block_down(wal_hold_lowest(wal, wal->super.redo_lsn)) + wal->ring_bytes;
    rc = wal_sync_choose(wal, wal->sync, end, first < limit ? first : limit);
    if (rc != 0) {
        wal_poison(wal, rc);
        return rc;
    }
    if (!wal->report.clean)
        TRACE(WAL_RECOVER, trace_id(wal), "new epoch", first, first - end, 0);

    if (wal->batch_bytes_max > wal->inflight_bytes)
        wal->batch_bytes_max = (uint32_t)wal->inflight_bytes;
    if (wal->method != KEEL_METHOD_SIM) /* no page fault while something is reserved (W8) */
        memset(wal->buffer, 0, wal->frame_count * WAL_BLOCK);
    wal->epoch = wal->super.epochs[wal->super.epoch_count - 1].number;
    wal->base_lsn = first;
    wal->promised_lsn = first;
    wal->plain_end_lsn = first;
    wal->flush_goal = first;
    atomic_store(&wal->limit_lsn, limit);
    atomic_store(&wal->durable_lsn, first);
    atomic_store(&wal->written_lsn, first);
    wal_hold_start(wal);
    wal->started = true;
    return 0;
}

/* ------------------------------------------------------------- close */

static bool close_drained(void *arg)
{
    struct keel_wal *wal = arg;

    if (wal_poisoned(wal) == 0) {
        if (wal_durable(wal) < keel_wal_tail(wal)) {
            wal_seal(wal, NULL, KEEL_LEVEL_DURABLE);
            return false;
        }
    }
    return atomic_load(&wal->pending_ios) == 0;
}

/* Everything is durable: say so, with the place, so that nothing can be missing unnoticed. */
static int close_clean(struct keel_ctx *ctx, struct keel_wal *wal)
{
    keel_lsn end = lsn_block_up(wal_durable(wal));

    lock_acquire(&wal->super_lock);
    wal->super.clean = true;
    wal->super.end_lsn = end;
    wal->super.promise_lsn = end;
    int rc = wal_super_step(ctx, wal);
    lock_release(&wal->super_lock);
    return rc;
}

int keel_wal_close(struct keel_ctx *ctx, struct keel_wal *wal)
{
    int rc = wal_poisoned(wal) != 0 ? KEEL_EPOISON : 0;

    if (wal->started) {
        /* KEEL_EBUSY while it is not drained: another thread is just publishing; none should. */
        while (!close_drained(wal))
            keel_ignore(keel_ctx_drive(wal->ctx, close_drained, wal), "asked again");
        for (uint32_t i = 0; i < WAL_FIFOS_MAX; i++)
            KEEL_ASSERT(!atomic_load(&wal->fifo_ctx[i])); /* a commit is outstanding */
        rc = wal_poisoned(wal) != 0 ? KEEL_EPOISON : close_clean(ctx, wal);
    }
    wal_free(wal);
    return rc;
}

/* ------------------------------------------------------------- figures */

void keel_wal_poison(struct keel_wal *wal, int error)
{
    wal_poison(wal, error);
}

struct keel_ctx *keel_wal_ctx(struct keel_wal *wal)
{
    return wal->ctx;
}

void keel_wal_stats(struct keel_wal *wal, struct keel_wal_stats *ret)
{
    memset(ret, 0, sizeof(*ret));
    lock_acquire(&wal->super_lock);
    ret->redo_lsn = wal->super.redo_lsn;
    lock_release(&wal->super_lock);

    lock_acquire(&wal->seal_lock);
    ret->groups = wal->stat_groups;
    ret->records = wal->stat_records;
    ret->payload_bytes = wal->stat_payload;
    ret->padding_bytes = wal->stat_padding;
    ret->block_bytes = wal->stat_blocks * WAL_BLOCK;
    ret->writes = wal->stat_writes;
    ret->batches = wal->stat_writes;
    lock_release(&wal->seal_lock);

    lock_acquire(&wal->done_lock);
    ret->syncs = wal->stat_syncs;
    lock_release(&wal->done_lock);

    ret->commits = atomic_load_explicit(&wal->stat_commits, memory_order_relaxed);
    ret->durable_lsn = wal_durable(wal);
    ret->tail_lsn = keel_wal_tail(wal);
    ret->ring_bytes = wal->ring_bytes;
    wal_hold_stats(wal, ret);
    ret->used_bytes = lsn_block_up(ret->tail_lsn) - ret->kept_lsn;
    if (ret->used_bytes > ret->ring_bytes)
        ret->used_bytes = ret->ring_bytes;
    ret->free_bytes = ret->ring_bytes - ret->used_bytes;
    ret->sync = wal_sync_shown(wal);
    memcpy(ret->sync_why, wal->sync_why, sizeof(ret->sync_why));
    memcpy(ret->sync_ns_p25, wal->sync_ns_p25, sizeof(ret->sync_ns_p25));
}
