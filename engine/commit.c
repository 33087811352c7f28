/*
 * From pages held to a group in the log.
 *
 * Steps: fix the pages of the map and flip their bits; decide under the log's mark which pages are
 * logged whole; append under that mark; stamp every changed page with the group's LSNs; unlatch.
 * Only then is the log waited for, with nothing held.
 *
 * A page needs a whole image exactly when its LSN is not above the last cut: then this is its first
 * change since, and a write of the page that power cuts in half can be repaired from the log alone.
 * If the cut moves before the append, the log refuses the old mark and the decision is made again.
 *
 * Between reserve and publish (inside the log) nobody waits (W8): everything that could was done.
 */
#include "engine/commit.h"

#include <keel/wal.h>

#include "base/assert.h"
#include "base/trace.h"
#include "engine/store.h"

/* ------------------------------------------------------------------ the allocation map's pages */

static void unfix_maps(struct keel_tx *tx)
{
    for (uint32_t i = 0; i < tx->page_count && tx->map_count > 0; i++) {
        struct tx_page *entry = &tx->pages[i];
        if (entry->map && entry->page.data) {
            keel_page_unfix(&entry->page);
            entry->page.data = NULL;
        }
    }
}

/* The lowest map page that is not fixed yet, or NULL. */
static struct tx_page *next_map(struct keel_tx *tx)
{
    struct tx_page *next = NULL;

    for (uint32_t i = 0; i < tx->page_count; i++) {
        struct tx_page *entry = &tx->pages[i];
        if (entry->map && !entry->page.data && (!next || entry->pageno < next->pageno))
            next = entry;
    }
    return next;
}

/* Exclusively and ascending; nothing else is asked for while they are held (alloc_map.h). */
static int fix_maps(struct keel_tx *tx)
{
    unsigned flags = KEEL_FIX_REDO | (tx->nowait ? KEEL_FIX_NOWAIT : 0u);

    for (uint32_t n = 0; n < tx->map_count; n++) {
        struct tx_page *entry = next_map(tx);
        KEEL_ASSERT(entry);
        int rc = keel_page_fix(tx->ctx, tx->store->space, entry->pageno, KEEL_FIX_EXCLUSIVE, flags,
                               NULL, &entry->page);
        if (rc) {
            entry->page.data = NULL;
            unfix_maps(tx);
            return rc;
        }
    }
    return 0;
}

enum flip { FLIP_DO, FLIP_UNDO };

/* Set the bits of created pages and clear those of freed ones, or the other way round. */
static void flip_bits(struct keel_tx *tx, enum flip what)
{
    for (uint32_t i = 0; i < tx->page_count; i++) {
        struct tx_page *entry = &tx->pages[i];
        if (entry->created == entry->freed) /* neither, or both and so nothing happened */
            continue;
        struct alloc_map *alloc = &tx->store->map;
        struct tx_page *map = tx_find(tx, alloc_map_page_of(alloc, entry->pageno));
        KEEL_ASSERT(map && map->map && map->page.data);
        uint32_t at =
            alloc_map_flip(alloc, &map->page, entry->pageno, entry->created == (what == FLIP_DO));
        if (what == FLIP_DO) {
            tx_note_range(map, NULL, at, 1);
            map->changed = true;
        }
    }
}

/* ------------------------------------------------------------------ records */

static struct iovec *add_record(struct keel_tx *tx, uint32_t index, enum record_type type,
                                uint32_t head_len, uint32_t parts)
{
    struct iovec *part = &tx->parts[(size_t)index * 2];

    part[0] = (struct iovec){tx->heads[index], head_len};
    tx->records[index] =
        (struct keel_wal_record){.parts = part, .part_count = parts, .type = (uint8_t)type};
    return part;
}

/* As the image of the page, where it is read from when the log copies it. */
static uint32_t record_image(struct keel_tx *tx, const struct tx_page *entry, uint32_t index)
{
    struct iovec *part = add_record(tx, index, RECORD_IMAGE, RECORD_PAGE_BYTES, 2);

    record_store_page(tx->heads[index], STORE_SPACE_ID, entry->pageno);
    part[1] = (struct iovec){entry->page.data, entry->page.len};
    return index + 1;
}

static uint32_t record_ranges(struct keel_tx *tx, const struct tx_page *entry, uint32_t index)
{
    if (entry->created) {
        add_record(tx, index, RECORD_ZERO, RECORD_PAGE_BYTES, 1);
        record_store_page(tx->heads[index], STORE_SPACE_ID, entry->pageno);
        index++;
    }
    for (uint32_t i = 0; i < entry->range_count; i++, index++) {
        const struct tx_range *range = &entry->ranges[i];
        struct iovec *part = add_record(tx, index, RECORD_DELTA, RECORD_DELTA_BYTES, 2);

        KEEL_ASSERT((uint32_t)range->offset + range->len <= entry->page.len);
        record_store_delta(tx->heads[index], STORE_SPACE_ID, entry->pageno, range->offset,
                           range->len);
        part[1] = (struct iovec){(uint8_t *)entry->page.data + range->offset, range->len};
    }
    return index;
}

/* Log bytes of the page's ranges; never chosen unless at most those of an image, so that the
 * credit, which counts images, covers them. */
static uint32_t ranges_cost(const struct tx_page *entry)
{
    uint32_t each = RECORD_DELTA_BYTES + KEEL_WAL_RECORD_HEADER + 7;
    uint32_t cost = entry->created ? each : 0;

    for (uint32_t i = 0; i < entry->range_count; i++)
        cost += entry->ranges[i].len + each;
    return cost;
}

/* Returns the number of records. */
static uint32_t decide(struct keel_tx *tx, keel_lsn cut)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < tx->page_count; i++) {
        const struct tx_page *entry = &tx->pages[i];
        if (!entry->changed)
            continue;
        bool first =
            !tx->store->atomic_pages && !entry->created && keel_page_lsn(&entry->page) <= cut;
        if (first || ranges_cost(entry) > RECORD_PAGE_BYTES + entry->page.len)
            count = record_image(tx, entry, count);
        else
            count = record_ranges(tx, entry, count);
    }
    return count;
}

/* ------------------------------------------------------------------ append */

/*
 * The cut that goes with mark. While a new one is being published every page counts as unchanged
 * since: more images than needed, never fewer.
 */
static keel_lsn cut_of(struct keel_store *store, uint32_t mark)
{
    /* Acquire: pairs with the release in checkpoint_publish_cut. */
    if (atomic_load_explicit(&store->cut_mark, memory_order_acquire) != mark)
        return KEEL_LSN_MAX;
    return atomic_load_explicit(&store->cut_lsn, memory_order_relaxed);
}

static void stamp(struct keel_tx *tx, keel_lsn lsn, keel_lsn end)
{
    for (uint32_t i = 0; i < tx->page_count; i++) {
        struct tx_page *entry = &tx->pages[i];
        if (!entry->changed)
            continue;
        KEEL_INV(E1, entry->page.data && keel_page_lsn(&entry->page) < end);
        keel_page_dirty(&entry->page, lsn, end);
    }
}

/*
 * One try under one mark; KEEL_ESTALE when the cut moved.
 *
 * The count goes up before the append and down after the stamps. The log's cut and append are steps
 * of one atomic, so a checkpoint that cut after this append sees the count; it waits for zero
 * before it looks at recLSNs. It also cannot cut twice meanwhile, so the mark cannot come round to
 * the same value under us.
 */
static int append_once(struct keel_tx *tx, keel_lsn *ret_lsn, keel_lsn *ret_end)
{
    struct keel_store *store = tx->store;
    uint32_t mark = keel_wal_mark(store->wal);
    _Atomic uint32_t *inflight = &store->inflight[mark & 1];
    int rc = KEEL_ESTALE;

    atomic_fetch_add(inflight, 1);
    if (keel_wal_mark(store->wal) == mark) {
        uint32_t count = decide(tx, cut_of(store, mark));
        KEEL_ASSERT(count > 0);
        rc = keel_wal_append(store->wal, &tx->credit, mark, tx->records, count, ret_lsn, ret_end);
        if (rc == 0)
            stamp(tx, *ret_lsn, *ret_end);
    }
    /* Release: pairs with the acquire in the DRAIN step; the stamps are seen after it. */
    atomic_fetch_sub_explicit(inflight, 1, memory_order_release);
    return rc;
}

/* Progress: only a checkpoint makes a try stale, and the next one waits for this commit. */
static int append(struct keel_tx *tx, keel_lsn *ret_lsn, keel_lsn *ret_end)
{
    int rc;

    do {
        rc = append_once(tx, ret_lsn, ret_end);
    } while (rc == KEEL_ESTALE);
    return rc;
}

/* The group is in the log: unlatch. What was reserved in memory ends while the map's pages still
 * are held, so that no one sees a bit and its reservation apart. */
static void let_go(struct keel_tx *tx, keel_lsn end)
{
    struct keel_store *store = tx->store;
    uint64_t created = 0, freed = 0;

    for (uint32_t i = 0; i < tx->page_count; i++) {
        struct tx_page *entry = &tx->pages[i];
        if (entry->map)
            continue;
        if (entry->created && entry->freed)
            keel_page_drop(&entry->page);
        else
            keel_page_unfix(&entry->page);
        entry->page.data = NULL;
        if (entry->created)
            alloc_map_unreserve(store, entry->pageno);
        else if (entry->freed)
            alloc_map_enter_limbo(store, entry->pageno, end);
        created += entry->created && !entry->freed;
        freed += !entry->created && entry->freed;
    }
    unfix_maps(tx);
    /* Relaxed: counts. */
    atomic_fetch_add_explicit(&store->map.allocated, created - freed, memory_order_relaxed);
    atomic_fetch_add_explicit(&store->tx_committed, 1, memory_order_relaxed);
}

static bool wrote_something(const struct keel_tx *tx)
{
    for (uint32_t i = 0; i < tx->page_count && tx->changed_count > 0; i++) {
        const struct tx_page *entry = &tx->pages[i];
        if (entry->changed || (entry->freed && !entry->created))
            return true;
    }
    return false;
}

/* The newest change that a transaction without changes of its own has seen. */
static keel_lsn newest_seen(const struct keel_tx *tx)
{
    keel_lsn newest = 0;

    for (uint32_t i = 0; i < tx->page_count; i++) {
        const struct tx_page *entry = &tx->pages[i];
        if (entry->page.data && !entry->created && keel_page_lsn(&entry->page) > newest)
            newest = keel_page_lsn(&entry->page);
    }
    return newest;
}

int commit_append(struct keel_tx *tx, keel_lsn *ret_end)
{
    struct keel_store *store = tx->store;
    keel_lsn lsn = 0, end = 0;

    KEEL_ASSERT(tx->open);
    if (!wrote_something(tx)) {
        end = newest_seen(tx);
        goto done;
    }
    int rc = store_writable(store);
    if (rc)
        goto fail;
    rc = fix_maps(tx);
    if (rc)
        goto fail;
    flip_bits(tx, FLIP_DO);
    rc = append(tx, &lsn, &end);
    if (rc) {
        flip_bits(tx, FLIP_UNDO);
        unfix_maps(tx);
        goto fail;
    }
    TRACE(ENG_COMMIT, tx->index, NULL, lsn, end - lsn, 0);

done:
    let_go(tx, end);
    if (tx->alloc_pending != KEEL_PAGENO_MAX)
        alloc_map_unreserve(store, tx->alloc_pending);
    tx_end(tx);
    *ret_end = end;
    return 0;

fail:
    if (rc == KEEL_PENDING && tx->nowait)
        return rc;
    tx_rollback(tx);
    return rc == KEEL_ELOGFULL ? KEEL_ETXSIZE : store_failed(store, rc);
}

/* ------------------------------------------------------------------ the calls */

int keel_tx_commit(struct keel_tx *tx, keel_lsn *ret_lsn)
{
    KEEL_ASSERT(tx && tx->open);

    struct keel_store *store = tx->store;
    bool wait = wrote_something(tx);
    enum keel_level level = tx->level;
    keel_lsn end;

    int rc = commit_append(tx, &end);
    if (rc)
        return rc;
    if (checkpoint_due(store))
        checkpoint_kick(store);
    if (wait) {
        rc = keel_wal_commit_level(store->wal, end, level);
        if (rc)
            return store_failed(store, rc);
        KEEL_INV(W1, level != KEEL_LEVEL_DURABLE || keel_wal_durable(store->wal) >= end);
    }
    if (ret_lsn)
        *ret_lsn = end;
    return 0;
}

int keel_tx_commit_async(struct keel_tx *tx, struct keel_commit *commit)
{
    KEEL_ASSERT(tx && tx->open && commit && commit->done);

    struct keel_store *store = tx->store;
    struct keel_ctx *ctx = tx->ctx;
    bool wrote = wrote_something(tx);

    commit->level = tx->level;
    int rc = commit_append(tx, &commit->lsn);
    if (rc)
        return rc;
    if (checkpoint_due(store))
        checkpoint_kick(store);
    /* Nothing written: answered behind the earlier commits of this context, whatever they are. */
    if (!wrote)
        commit->lsn = keel_wal_tail(store->wal);
    return store_failed(store, keel_wal_commit_async(ctx, store->wal, commit));
}
