/*
 * Redo.
 *
 * Steps: the log has flushed its device and found its end X (wal/); here the page file is flushed
 * too, since what is read may sit in a volatile cache that the next cut would take; then each group
 * is applied; then the log gets its new epoch; then a checkpoint moves the redo LSN behind all
 * that.
 *
 * Why twice is as good as once (E2): the first record of a page behind the redo LSN holds it whole
 * (IMAGE or ZERO), so what the page file holds of it, torn or newer, does not matter; the records
 * that follow take it to its last state. Where the device writes pages untorn there are no images,
 * and a page from the file may be newer than a record: no record, whole or delta, is applied to a
 * page that is in the cache and not older than its group. The redo LSN itself moves in the last
 * step alone.
 *
 * A page that is newer than all its records is written again like one that was redone. It may have
 * been read out of a cache that will not keep it: if a sync failed before the process died, what it
 * was to make durable can still be read, and the sync of this recovery does not cover it (W4). What
 * an earlier sync covered has no record behind the redo LSN.
 *
 * All records of one page in a group stand together, so the page stays fixed until the next page or
 * group begins, and gets the group's LSN only then.
 */
#include "engine/recovery.h"

#include <keel/wal.h>

#include "base/assert.h"
#include "base/bug.h"
#include "base/trace.h"
#include "engine/record.h"
#include "engine/store.h"

struct redo {
    struct keel_store *store;
    struct keel_ctx *ctx;
    struct keel_err_info *info;
    uint64_t groups, pages;
    /* the page that records are being applied to */
    struct keel_page page;
    bool held;
    bool apply;
    keel_lsn group_lsn, end_lsn;
};

static void release(struct redo *redo)
{
    if (!redo->held)
        return;
    keel_lsn lsn = keel_page_lsn(&redo->page);
    /* Above the end of the log it is a disk's lie, and would wait for a log that is not there. */
    bool again =
        lsn <= keel_wal_report(redo->store->wal)->end_lsn && !BUG(RECOVERY_WITHOUT_REWRITE);
    if (redo->apply || again)
        keel_page_dirty(&redo->page, redo->group_lsn, redo->apply ? redo->end_lsn : lsn);
    redo->pages += redo->apply;
    keel_page_unfix(&redo->page);
    redo->held = false;
}

static int damaged(struct redo *redo, const struct keel_wal_entry *entry)
{
    if (redo->info) {
        store_error(redo->info, KEEL_ECORRUPT, "redo: record is not of this store", "wal.keel");
        redo->info->offset = entry->lsn;
        redo->info->got = entry->type;
    }
    return KEEL_ECORRUPT;
}

static int fix(struct redo *redo, keel_pageno pageno, enum keel_fix_mode mode)
{
    return keel_page_fix(redo->ctx, redo->store->space, pageno, mode, KEEL_FIX_REDO, redo->info,
                         &redo->page);
}

/* A record that makes the page whole needs nothing of the file; but what is in the cache may be
 * newer, and to fix that as new would be to lose it. */
static int hold(struct redo *redo, const struct keel_wal_entry *entry, keel_pageno pageno)
{
    struct keel_peek peek;
    bool anew = entry->type != RECORD_DELTA && !keel_page_peek(redo->store->space, pageno, &peek);

    int rc = fix(redo, pageno, anew ? KEEL_FIX_NEW : KEEL_FIX_EXCLUSIVE);
    if (rc == 0 && anew && keel_page_lsn(&redo->page) >= entry->end_lsn) {
        /* It was being read ahead, and is newer. */
        keel_page_unfix(&redo->page);
        rc = fix(redo, pageno, KEEL_FIX_EXCLUSIVE);
    }
    if (rc)
        return rc;
    redo->held = true;
    redo->group_lsn = entry->group_lsn;
    redo->end_lsn = entry->end_lsn;
    redo->apply = keel_page_lsn(&redo->page) < entry->end_lsn;
    return 0;
}

static int redo_record(void *arg, const struct keel_wal_entry *entry)
{
    struct redo *redo = arg;

    KEEL_INV(E1, entry->end_lsn <= keel_wal_report(redo->store->wal)->end_lsn);
    KEEL_ASSERT(entry->group_lsn <= entry->lsn && entry->lsn < entry->end_lsn);
    struct record record;
    if (!record_parse(entry, redo->store->page_len, keel_space_pages(redo->store->space), &record))
        return damaged(redo, entry);

    bool same = redo->held && redo->page.pageno == record.pageno && redo->end_lsn == entry->end_lsn;
    if (!same) {
        release(redo);
        int rc = hold(redo, entry, record.pageno);
        if (rc)
            return rc;
    }
    if (redo->apply) {
        TRACE(ENG_REDO, record.pageno, NULL, entry->lsn, entry->len, entry->type);
        record_apply(&record, redo->page.data);
    }
    if (entry->last)
        redo->groups++;
    return 0;
}

static int replay(struct keel_store *store, struct keel_ctx *ctx, struct keel_err_info *info)
{
    struct redo redo = {.store = store, .ctx = ctx, .info = info};

    int rc = keel_wal_replay(ctx, store->wal, 0, redo_record, &redo);
    release(&redo);
    store->recovered_groups = redo.groups;
    store->recovered_pages = redo.pages;
    return rc;
}

int recovery_run(struct keel_store *store, struct keel_ctx *ctx, struct keel_err_info *info)
{
    const struct keel_wal_report *report = keel_wal_report(store->wal);
    bool clean = report->clean;
    int rc = 0;

    KEEL_ASSERT(atomic_load(&store->state) == KEEL_OPENING);
    if (!clean && !BUG(RECOVERY_WITHOUT_FLUSH))
        rc = store_sync_device(ctx, store->pages_device);
    if (rc)
        return store_error(info, rc, "flush", "pages.keel");
    /* What was read may lie in a cache alone, after a sync that failed (which never ends in a clean
     * log). Pages are about to be written where it says that there are some. */
    if (!clean && !BUG(RECOVERY_WITHOUT_FLUSH))
        rc = superblock_step(ctx, &store->quad, &store->super);
    if (rc)
        return store_error(info, rc, "superblock", "store.keel");
    rc = replay(store, ctx, info);
    if (rc) {
        if (info && info->code == 0)
            store_error(info, rc, "redo", "wal.keel");
        return rc;
    }

    atomic_store(&store->checkpoint.redo_lsn, report->redo_lsn);
    rc = keel_wal_start(ctx, store->wal);
    if (rc)
        return store_error(info, rc, "new epoch", "wal.keel");
    /* Every page in the file was written by an earlier run and lies below this. */
    checkpoint_publish_cut(store, keel_wal_tail(store->wal));
    if (clean && store->recovered_groups == 0)
        return 0;
    rc = checkpoint_run(store, ctx);
    if (rc)
        return store_error(info, rc, "checkpoint", "pages.keel");
    /* All that was redone is in the page file: the next recovery finds this one's end. */
    KEEL_INV(E2, keel_pagecache_rec_lsn_min(store->cache) == KEEL_LSN_MAX);
    return 0;
}
