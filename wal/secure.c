/*
 * What recovery relies on is written once more.
 *
 * Blocks below a promise are durable: their sync succeeded before the promise was made. The blocks
 * behind the last promise were read from a device whose cache may hold the only copy. A flush is
 * not enough to settle them: when their own sync failed and the process opens the log again, the
 * next flush reports success and covers nothing of them (measured on a real kernel: fdatasync after
 * a failed flush returned 0). Recovery then would build on bytes that the next power cut takes:
 * pages newer than the log, and an epoch list that names an end which is not there any more. A new
 * write of the same bytes, synced by itself, is a new fact.
 *
 * At most K bytes are behind the last promise, so this is a write or two.
 *
 * Not a repair: a block that does not check is not written back, it is reported.
 *
 * Invariants: W6 (the bytes are the same), E2.
 */
#include "wal/secure.h"

#include "base/bug.h"
#include "base/trace.h"
#include "wal/super.h"

static int transfer(struct keel_ctx *ctx, struct keel_wal *wal, enum keel_op op, keel_lsn at,
                    uint64_t len)
{
    struct keel_io io = {
        .device = wal->device,
        .arena = wal->arena,
        .buf = wal->buffer,
        .offset_bytes = lsn_offset(wal->ring_bytes, at),
        .len_bytes = (uint32_t)len,
        .op = (uint8_t)op,
        .cls = KEEL_CLASS_WAL,
        .flags = op == KEEL_OP_WRITE ? KEEL_IO_DSYNC : 0,
    };
    int rc = keel_io_submit(ctx, &io);

    return rc != 0 ? rc : keel_io_wait(ctx, &io);
}

/* Are the blocks in the buffer those that the scan accepted? What no epoch owns is a gap. */
static bool still_valid(const struct keel_wal *wal, keel_lsn at, uint64_t len)
{
    struct wal_block_head head;

    for (uint64_t i = 0; i < len; i += WAL_BLOCK) {
        if (wal_super_owner(&wal->super, at + i) < 0)
            continue;
        if (wal_block_check(&wal->seed, &wal->super, wal->buffer + i, at + i, &head) !=
            WAL_BLOCK_VALID)
            return false;
    }
    return true;
}

/* Bytes from at on that one request can take. */
static uint64_t chunk(const struct keel_wal *wal, keel_lsn at, keel_lsn end)
{
    uint64_t len = wal->frame_count * WAL_BLOCK;
    uint64_t to_wrap = wal->ring_bytes - at % wal->ring_bytes;

    len = len < KEEL_IO_BYTES_MAX ? len : KEEL_IO_BYTES_MAX;
    len = len < to_wrap ? len : to_wrap;
    return len < end - at ? len : end - at;
}

int wal_secure(struct keel_ctx *ctx, struct keel_wal *wal)
{
    keel_lsn end = wal->report.end_lsn;
    keel_lsn at = lsn_block_down(wal->super.redo_lsn);
    keel_lsn promise = wal->report.promise_lsn;

    KEEL_ASSERT(!wal->started && !wal->read_only);
    KEEL_ASSERT(end % WAL_BLOCK == 0);
    if (promise < wal->super.promise_lsn)
        promise = wal->super.promise_lsn;
    if (at < lsn_block_down(promise))
        at = lsn_block_down(promise);
    if (wal->report.clean || BUG(RECOVERY_WITHOUT_FLUSH))
        return 0;

    while (at < end) {
        uint64_t len = chunk(wal, at, end);
        int rc = transfer(ctx, wal, KEEL_OP_READ, at, len);
        if (rc != 0)
            return rc;
        if (!still_valid(wal, at, len))
            return KEEL_EREAD;
        rc = transfer(ctx, wal, KEEL_OP_WRITE, at, len);
        TRACE(WAL_RECOVER, trace_id(wal), "secure", at, len, rc);
        if (rc != 0)
            return rc;
        at += len;
    }
    return 0;
}
