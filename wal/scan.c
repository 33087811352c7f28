/*
 * The recovery scan: one pass over the ring in LSN order, from the block of the redo LSN.
 *
 *   below X     each block that an epoch owns has to be valid; the records must form a chain. What
 *               lies between two epochs belongs to nobody and is passed over
 *   X           the first place where a block should be and is not
 *   above X     look-ahead: any valid block of the last epoch is evidence. It may be part of the
 * torn tail, or prove by its promise or its place that X was durable once A log that was closed in
 * order says where it ends; there the pass stops.
 *
 * A place in the ring has one LSN within [redo, redo + ring), so a block counts only where its LSN
 * says that it lies. Leftovers of a torn tail of an earlier epoch are void: no epoch owns their
 * LSN.
 *
 * Invariants: W3, W7.
 */
#include "wal/scan.h"

#include <stdio.h>
#include <string.h>

#include "base/bug.h"
#include "base/trace.h"
#include "wal/readahead.h"
#include "wal/recovery_cases.h"
#include "wal/walk.h"

struct scan {
    struct keel_wal *wal;
    const struct wal_super *super;
    keel_lsn from;
    keel_lsn end;
    bool found; /* X is known */
    keel_lsn x;
    enum wal_block_kind kind; /* of what is at X */
    int owner;                /* epoch of the block before, -1 none */
    struct wal_walk walk;
    uint32_t facts;
    keel_lsn blame_lsn; /* the block above X that speaks against it */
};

static void scan_fact(struct scan *scan, enum recovery_fact fact, keel_lsn blame)
{
    if (blame != 0 && scan->blame_lsn == 0)
        scan->blame_lsn = blame;
    scan->facts |= 1u << fact;
}

/* A block below X: valid, of the epoch that owns it. */
static int scan_valid(struct scan *scan, const uint8_t *block, const struct wal_block_head *head)
{
    struct keel_wal_report *report = &scan->wal->report;
    int owner = wal_super_owner(scan->super, head->lsn);
    int rc;

    KEEL_ASSERT(owner >= 0);
    KEEL_INV(W3, scan->super->epochs[owner].number == head->epoch);
    if (owner != scan->owner) {
        bool whole = scan->super->epochs[owner].first == head->lsn;
        wal_walk_begin(&scan->walk, head->lsn, NULL, whole);
        scan->owner = owner;
    }
    report->blocks_scanned++;
    report->epoch = head->epoch;
    if (head->promise > report->promise_lsn)
        report->promise_lsn = head->promise;
    wal_walk_block(&scan->walk, block, head);
    while ((rc = wal_walk_next(&scan->walk)) > 0) {
        const struct wal_found *found = &scan->walk.found;

        if (found->last && found->lsn >= scan->super->redo_lsn)
            report->last_group_lsn = found->end_lsn;
    }
    return rc;
}

/* A valid block above X. */
static void scan_later(struct scan *scan, const struct wal_block_head *head)
{
    struct keel_wal_report *report = &scan->wal->report;

    report->blocks_torn++;
    if (head->promise > report->promise_lsn)
        report->promise_lsn = head->promise;
    scan_fact(scan, RECOVERY_FACT_LATER_VALID, 0);
    if (head->promise > scan->x && !BUG(RULE_PROMISE))
        scan_fact(scan, RECOVERY_FACT_PROMISE_ABOVE, head->lsn);
    if (head->lsn >= scan->x + scan->super->inflight_bytes && !BUG(RULE_INFLIGHT))
        scan_fact(scan, RECOVERY_FACT_BEYOND_INFLIGHT, head->lsn);
}

/*
 * Is what lay in this place a lap ago still there? Who held it asks for it after the restart. A lap
 * ago is overwritten up to X, and beyond it as far as something was in flight.
 */
static void scan_lap_before(struct scan *scan, const uint8_t *block, keel_lsn lsn)
{
    struct wal_block_head head;
    keel_lsn before = lsn - scan->super->ring_bytes;

    if (lsn < scan->super->ring_bytes || wal_super_owner(scan->super, before) < 0)
        return;
    if (scan->found && lsn >= scan->x + scan->super->inflight_bytes)
        return;
    if (wal_block_check(&scan->wal->seed, scan->super, block, before, &head) != WAL_BLOCK_VALID)
        scan->wal->kept_lsn = before + WAL_BLOCK;
}

static int scan_block(struct scan *scan, const uint8_t *block, keel_lsn lsn)
{
    struct wal_block_head head;
    enum wal_block_kind kind = wal_block_check(&scan->wal->seed, scan->super, block, lsn, &head);

    scan_lap_before(scan, block, lsn);
    if (scan->found) {
        if (kind == WAL_BLOCK_VALID)
            scan_later(scan, &head);
        else if (kind == WAL_BLOCK_VOID)
            scan->wal->report.blocks_void++;
        return 0;
    }
    if (wal_super_owner(scan->super, lsn) < 0) {
        scan->wal->report.blocks_void++;
        return 0;
    }
    if (kind == WAL_BLOCK_VALID)
        return scan_valid(scan, block, &head);

    scan->found = true;
    scan->x = lsn;
    scan->kind = kind;
    return 0;
}

/* Where the pass can stop: behind the block at the end of a log that was closed in order. */
static keel_lsn scan_end(const struct wal_super *super, keel_lsn from)
{
    keel_lsn end = from + super->ring_bytes;

    if (super->clean && super->end_lsn < end)
        return super->end_lsn + WAL_BLOCK;
    return end;
}

static int scan_pass(struct scan *scan, struct keel_ctx *ctx, struct wal_readahead *ahead)
{
    const uint8_t *block;
    keel_lsn lsn;
    int rc;

    wal_readahead_begin(ahead, ctx, scan->wal, scan->from);
    while ((rc = wal_readahead_next(ahead, scan->end, &block, &lsn)) > 0) {
        rc = scan_block(scan, block, lsn);
        if (rc != 0)
            break;
    }
    wal_readahead_end(ahead);
    return rc;
}

static void scan_conclude(struct scan *scan)
{
    const struct wal_super *super = scan->super;
    keel_lsn last_first = super->epochs[super->epoch_count - 1].first;

    /* No invalid block: the ring is full up to redo, or the last epoch begins beyond what it holds.
     */
    if (!scan->found)
        scan->x = scan->end > last_first ? scan->end : last_first;

    if (scan->x < super->promise_lsn && !BUG(RULE_SUPER))
        scan_fact(scan, RECOVERY_FACT_BELOW_SUPER, 0);
    if (super->clean && !BUG(RULE_CLEAN))
        scan_fact(scan, RECOVERY_FACT_CLEAN, 0);
    if (super->clean && scan->x == super->end_lsn)
        scan_fact(scan, RECOVERY_FACT_ENDS_AS_CLOSED, 0);
}

static void scan_info(const struct scan *scan, const struct wal_readahead *ahead, int rc,
                      const struct recovery_case *row, struct keel_err_info *info)
{
    const struct keel_wal *wal = scan->wal;
    keel_lsn lsn = scan->x;

    if (!info)
        return;
    memset(info, 0, sizeof(*info));
    info->code = rc;
    info->op = row ? row->meaning : "the records do not fit together";
    if (rc == KEEL_EREAD)
        lsn = ahead->failed_lsn;
    else if (!row)
        lsn = scan->walk.found.lsn;
    info->offset = lsn;
    info->want = wal->report.promise_lsn > scan->super->promise_lsn ? wal->report.promise_lsn
                                                                    : scan->super->promise_lsn;
    if (scan->super->clean)
        info->want = scan->super->end_lsn;
    info->got = rc == KEEL_EREAD ? (uint64_t)-ahead->failed_res : scan->blame_lsn;
    snprintf(info->object, sizeof(info->object), "log, LSN %llu, device offset %llu: %s",
             (unsigned long long)lsn,
             (unsigned long long)lsn_offset(wal->ring_bytes, lsn_block_down(lsn)),
             rc == KEEL_EREAD ? "unreadable"
             : !row           ? "record"
                              : wal_block_kind_name(scan->kind));
}

int wal_scan(struct keel_ctx *ctx, struct keel_wal *wal, struct keel_err_info *info)
{
    struct keel_wal_report *report = &wal->report;
    struct wal_readahead ahead;
    struct scan scan = {.wal = wal, .super = &wal->super, .owner = -1};

    scan.from = lsn_block_down(wal->super.redo_lsn);
    scan.end = scan_end(&wal->super, scan.from);
    memset(report, 0, sizeof(*report));
    wal->kept_lsn = wal->super.epochs[0].prev_end;
    report->redo_lsn = wal->super.redo_lsn;
    report->last_group_lsn = wal->super.redo_lsn;
    report->epoch = wal->super.epochs[wal->super.epoch_count - 1].number;

    int rc = scan_pass(&scan, ctx, &ahead);
    if (rc == KEEL_EREAD && BUG(RULE_READ)) {
        scan.found = true;
        scan.x = ahead.failed_lsn;
    } else if (rc == KEEL_EREAD)
        scan_fact(&scan, RECOVERY_FACT_READ_ERROR, 0);
    else if (rc != 0) {
        scan_info(&scan, &ahead, rc, NULL, info);
        return rc;
    }
    scan_conclude(&scan);

    const struct recovery_case *row = recovery_decide(scan.facts);
    static const int codes[] = {
        [RECOVERY_READ_ERROR] = KEEL_EREAD,
        [RECOVERY_CORRUPT] = KEEL_ECORRUPT,
        [RECOVERY_CLEAN] = 0,
        [RECOVERY_TORN] = 0,
        [RECOVERY_END] = 0,
    };
    rc = codes[row->verdict];
    report->end_lsn = scan.x;
    report->clean = row->verdict == RECOVERY_CLEAN;
    report->verdict = row->letter;
    TRACE(WAL_RECOVER, trace_id(wal), row->meaning, scan.x, report->blocks_scanned, rc);
    if (rc != 0) {
        scan_info(&scan, &ahead, rc, row, info);
        return rc;
    }
    KEEL_INV(W7, report->promise_lsn <= scan.x && wal->super.promise_lsn <= scan.x);
    return 0;
}
