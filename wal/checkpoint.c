/*
 * Steps of the superblock of a log in use: truncation, and what start and close need of it.
 *
 * A step is durable before anything relies on it: space is given to appenders only after the new
 * redo LSN is on the device (W5). Whether a failed step took place is unknown, so it poisons the
 * log.
 *
 * Invariants: W5.
 */
#include "base/trace.h"
#include "wal/holder.h"
#include "wal/seal.h"

int wal_super_step(struct keel_ctx *ctx, struct keel_wal *wal)
{
    uint32_t len = wal_super_encode(&wal->super, wal->super_bytes);
    int rc = keel_quad_step(ctx, &wal->quad, wal->super_bytes, len);

    TRACE(WAL_SEGMENT, trace_id(wal), "super", wal->super.redo_lsn, wal->super.promise_lsn, rc);
    if (rc != 0)
        wal_poison(wal, rc);
    return rc;
}

/* super_lock held. */
static int truncate_locked(struct keel_ctx *ctx, struct keel_wal *wal, keel_lsn lsn)
{
    keel_lsn durable = wal->started ? wal_durable(wal) : wal->report.end_lsn;

    if (lsn < wal->super.redo_lsn || lsn > durable)
        return KEEL_ERANGE;
    if (wal_poisoned(wal) != 0)
        return KEEL_EPOISON;

    wal->super.redo_lsn = lsn;
    wal->super.promise_lsn = lsn_block_down(durable);
    if (wal->super.promise_lsn < lsn)
        wal->super.promise_lsn = lsn;
    wal_super_trim(&wal->super, wal_hold_lowest(wal, lsn));
    if (wal_super_step(ctx, wal) != 0)
        return KEEL_EPOISON;

    wal_hold_redo(wal, lsn);
    return 0;
}

int keel_wal_truncate(struct keel_ctx *ctx, struct keel_wal *wal, keel_lsn lsn)
{
    lock_acquire(&wal->super_lock);
    int rc = truncate_locked(ctx, wal, lsn);
    lock_release(&wal->super_lock);
    return rc;
}
