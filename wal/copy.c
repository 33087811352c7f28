/*
 * Copying a log, live or not: its blocks as they are, in a ring that may have another size, with a
 * superblock that says that it was closed in order at the end of the stretch.
 *
 *   readahead   blocks in LSN order; each is checked (W3) before it is written
 *   write       runs that touch in the copy, up to 256 KiB
 *   super       last, after a sync: until then the file is no log
 *
 * What no epoch owns stays zero. A stretch that would end in the gap between two epochs ends with
 * the gap, since the list of epochs cannot say otherwise.
 *
 * Failure: the file is removed again. A crash leaves one without a superblock, which nothing opens.
 *
 * Invariants: W3, W5 (a holder keeps the stretch).
 */
#include "wal/copy.h"

#include <errno.h>
#include <string.h>

#include "wal/holder.h"
#include "wal/readahead.h"

#define COPY_BYTES (256u * 1024u)

struct copy {
    struct keel_ctx *ctx;
    struct keel_wal *wal;
    struct keel_device *device; /* of the copy */
    struct wal_super source;    /* the epochs of the log */
    uint64_t ring_bytes;
    uint8_t *run; /* COPY_BYTES, not written yet */
    uint32_t run_bytes;
    keel_lsn run_lsn;
};

/* ------------------------------------------------------------- the superblock of the copy */

keel_lsn wal_stretch_end(const struct wal_super *super, keel_lsn to)
{
    for (uint32_t i = 0; i < super->epoch_count; i++) {
        if (super->epochs[i].prev_end < to && to < super->epochs[i].first)
            return super->epochs[i].first;
    }
    return to;
}

static void copy_super(const struct copy *copy, const struct wal_stretch *stretch,
                       struct wal_super *ret)
{
    uint64_t share = stretch->ring_bytes / WAL_RING_SHARE / WAL_BLOCK * WAL_BLOCK;

    *ret = copy->source;
    /* Epochs that begin behind the end; one that begins there ends the gap before it. */
    while (ret->epoch_count > 1) {
        const struct wal_epoch *last = &ret->epochs[ret->epoch_count - 1];
        if (last->first < stretch->to ||
            (last->first == stretch->to && last->prev_end < stretch->to))
            break;
        ret->epoch_count--;
    }
    ret->redo_lsn = stretch->from;
    wal_super_trim(ret, stretch->from);
    ret->ring_bytes = stretch->ring_bytes;
    if (ret->inflight_bytes > share)
        ret->inflight_bytes = share;
    ret->promise_lsn = stretch->to;
    ret->end_lsn = stretch->to;
    ret->clean = true;
    ret->choice = (struct wal_choice){0}; /* it lies somewhere else */
}

/* ------------------------------------------------------------- blocks */

static int request(struct copy *copy, enum keel_op op, uint64_t offset, void *buf, uint32_t len)
{
    struct keel_io io = {
        .device = copy->device,
        .buf = buf,
        .offset_bytes = offset,
        .len_bytes = len,
        .op = (uint8_t)op,
        .cls = KEEL_CLASS_HOST,
    };
    int rc = keel_io_submit(copy->ctx, &io);

    return rc != 0 ? rc : keel_io_wait(copy->ctx, &io);
}

static int write_run(struct copy *copy)
{
    int rc = 0;

    if (copy->run_bytes > 0)
        rc = request(copy, KEEL_OP_WRITE, lsn_offset(copy->ring_bytes, copy->run_lsn), copy->run,
                     copy->run_bytes);
    copy->run_bytes = 0;
    return rc;
}

/* Add a block to the run, which is written when it is full or does not touch it. */
static int add_block(struct copy *copy, const uint8_t *block, keel_lsn lsn)
{
    bool touches = lsn == copy->run_lsn + copy->run_bytes && lsn % copy->ring_bytes != 0;
    int rc = 0;

    if (copy->run_bytes == COPY_BYTES || !touches)
        rc = write_run(copy);
    if (rc != 0)
        return rc;
    if (copy->run_bytes == 0)
        copy->run_lsn = lsn;
    memcpy(copy->run + copy->run_bytes, block, WAL_BLOCK);
    copy->run_bytes += WAL_BLOCK;
    return 0;
}

static int copy_block(struct copy *copy, const uint8_t *block, keel_lsn lsn)
{
    struct wal_block_head head;

    if (wal_super_owner(&copy->source, lsn) < 0)
        return 0;
    if (wal_block_check(&copy->wal->seed, &copy->source, block, lsn, &head) != WAL_BLOCK_VALID)
        return lsn < wal_kept_from(copy->wal) ? KEEL_EGONE : KEEL_ECORRUPT;
    return add_block(copy, block, lsn);
}

static void say(struct keel_err_info *info, int rc, const char *op, keel_lsn lsn)
{
    if (!info)
        return;
    memset(info, 0, sizeof(*info));
    info->code = rc;
    info->op = op;
    info->offset = lsn;
}

static int copy_blocks(struct copy *copy, const struct wal_stretch *stretch, uint8_t *buffer,
                       struct keel_err_info *info)
{
    struct wal_readahead ahead;
    const uint8_t *block;
    keel_lsn lsn = stretch->from;
    int rc;

    wal_readahead_begin_in(&ahead, copy->ctx, copy->wal, lsn_block_down(stretch->from), buffer,
                           WAL_READAHEAD_BYTES_MAX);
    while ((rc = wal_readahead_next(&ahead, stretch->to, &block, &lsn)) > 0) {
        rc = copy_block(copy, block, lsn);
        if (rc != 0)
            break;
    }
    wal_readahead_end(&ahead);
    if (rc == 0)
        rc = write_run(copy);
    if (rc != 0)
        say(info, rc, "copy the log", rc == KEEL_EREAD ? ahead.failed_lsn : lsn);
    return rc;
}

static int copy_all(struct copy *copy, const struct wal_stretch *stretch,
                    struct keel_err_info *info)
{
    uint8_t payload[WAL_SUPER_MAX];
    struct wal_super super;
    struct keel_quad quad;

    uint8_t *memory = mem_reserve(WAL_READAHEAD_BYTES_MAX + COPY_BYTES);
    if (!memory)
        return -ENOMEM;
    copy->run = memory + WAL_READAHEAD_BYTES_MAX;
    int rc = copy_blocks(copy, stretch, memory, info);
    if (rc == 0)
        rc = request(copy, KEEL_OP_SYNC, 0, NULL, 0);
    if (rc == 0) {
        copy_super(copy, stretch, &super);
        wal_super_cell(&quad, copy->device, NULL, copy->run);
        rc = keel_quad_create(copy->ctx, &quad, payload, wal_super_encode(&super, payload));
    }
    mem_unmap(memory, WAL_READAHEAD_BYTES_MAX + COPY_BYTES);
    return rc;
}

int wal_copy_stretch(struct keel_ctx *ctx, struct keel_wal *wal, const struct wal_stretch *stretch,
                     const char *path, struct keel_err_info *info)
{
    struct keel_device_options options = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct copy copy = {.ctx = ctx, .wal = wal, .ring_bytes = stretch->ring_bytes};

    KEEL_ASSERT(stretch->to % WAL_BLOCK == 0 && stretch->ring_bytes % WAL_BLOCK == 0);
    KEEL_ASSERT(stretch->to - lsn_block_down(stretch->from) <= stretch->ring_bytes);
    lock_acquire(&wal->super_lock);
    copy.source = wal->super;
    lock_release(&wal->super_lock);

    options.create_bytes = stretch->ring_bytes + WAL_SUPER_BYTES;
    int rc = keel_device_open(ctx, path, &options, info, &copy.device);
    if (rc != 0)
        return rc;
    rc = copy_all(&copy, stretch, info);
    keel_device_close(copy.device);
    if (rc != 0)
        keel_ignore(keel_path_unlink(ctx, path), "a file without a superblock is no log");
    return rc;
}

/* ------------------------------------------------------------- a copy of all of it */

/* Does the stretch fit into a ring of that size, with K to begin a new epoch behind it? */
static int check_room(const struct keel_wal *wal, const struct wal_stretch *stretch,
                      struct keel_err_info *info)
{
    uint64_t share = stretch->ring_bytes / WAL_RING_SHARE;
    uint64_t needed = stretch->to - lsn_block_down(stretch->from) + share;

    if (stretch->ring_bytes % WAL_BLOCK != 0 || stretch->ring_bytes < WAL_RING_MIN)
        return KEEL_EOPTION;
    if (stretch->ring_bytes == wal->ring_bytes || needed <= stretch->ring_bytes)
        return 0;
    say(info, KEEL_ERANGE, "what the log holds does not fit", stretch->from);
    if (info) {
        info->want = needed;
        info->got = stretch->ring_bytes;
    }
    return KEEL_ERANGE;
}

int keel_wal_copy(struct keel_ctx *ctx, struct keel_wal *wal, const char *path, uint64_t bytes,
                  struct keel_err_info *info, keel_lsn *ret_end)
{
    struct keel_wal_hold_options options = KEEL_WAL_HOLD_OPTIONS_DEFAULT;
    struct wal_stretch stretch = {.ring_bytes = wal->ring_bytes};
    struct keel_wal_holder *holder;

    if (bytes != 0)
        stretch.ring_bytes = bytes < KEEL_WAL_BYTES_MIN ? 0 : bytes - WAL_SUPER_BYTES;
    options.name = "copy";
    options.beyond = KEEL_WAL_WAIT;
    int rc = keel_wal_hold(wal, &options, &holder);
    if (rc != 0)
        return rc;
    stretch.from = holder->lsn; /* moved by nobody else */
    stretch.to = wal_durable(wal);
    rc = check_room(wal, &stretch, info);
    if (rc == 0)
        rc = wal_copy_stretch(ctx, wal, &stretch, path, info);
    keel_wal_hold_end(holder);
    if (rc == 0 && ret_end)
        *ret_end = stretch.to;
    return rc;
}
