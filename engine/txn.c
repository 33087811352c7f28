/*
 * Transactions: begin, pages, writes, abort. Commit is in commit.c.
 *
 * Credit: a page that is changed may have to be logged whole, if a checkpoint begins before the
 * commit, so the credit covers an image of each. Deltas are used only where they take less than the
 * image, so commit never asks for more.
 *
 * Order: pages are asked for in ascending order and waited for; out of order, a latch held
 * elsewhere is not waited for. A read in flight and a lack of frames are waited for either way:
 * neither waits for a latch.
 */
#include "engine/txn.h"

#include <string.h>

#include "base/assert.h"
#include "base/trace.h"
#include "engine/store.h"

#define RECORD_PAD 7u /* a record is padded to 8 bytes */

/* ------------------------------------------------------------------ begin and end */

/* Log space, before any page is latched. */
static int wait_credit(struct keel_tx *tx, uint64_t bytes)
{
    struct keel_store *store = tx->store;

    for (;;) {
        uint32_t seq = atomic_load(&store->event_seq);
        int rc = keel_wal_credit_take(store->wal, &tx->credit, bytes);
        if (rc != KEEL_ELOGFULL)
            return store_failed(store, rc);
        checkpoint_want(store);
        if (tx->nowait)
            return KEEL_PENDING;
        rc = checkpoint_help(store, tx->ctx, seq);
        if (rc)
            return rc;
    }
}

static int read_options(const struct keel_store *store, const struct keel_tx_options *options,
                        struct keel_tx_options *ret)
{
    *ret = (struct keel_tx_options)KEEL_TX_OPTIONS_DEFAULT;
    if (options) {
        if (options->size < sizeof(uint32_t) || options->size > sizeof(*ret))
            return KEEL_EOPTION;
        memcpy(ret, options, options->size);
    }
    if ((unsigned)ret->level > KEEL_LEVEL_NONE)
        return KEEL_EOPTION;
    if (ret->log_bytes == 0)
        ret->log_bytes = store->config.tx_bytes;
    return ret->log_bytes > store->txs.log_max ? KEEL_ETXSIZE : 0;
}

int keel_tx_begin(struct keel_ctx *ctx, struct keel_store *store,
                  const struct keel_tx_options *options, struct keel_tx **ret)
{
    struct keel_tx_options given;

    KEEL_ASSERT(ctx && store && ret);
    int rc = store_writable(store);
    if (rc)
        return rc;
    rc = read_options(store, options, &given);
    if (rc)
        return rc;
    rc = keel_pagecache_throttle(ctx, store->cache, !given.nowait);
    if (rc)
        return rc;
    struct keel_tx *tx = tx_pool_get(store, ctx);
    if (!tx)
        return KEEL_EFULL;

    tx->nowait = given.nowait;
    tx->level = given.level;
    tx->credit = (struct keel_wal_credit){0};
    tx->credit_bytes = 0;
    tx->need_payload = 0;
    tx->need_records = 0;
    tx->page_count = 0;
    tx->changed_count = 0;
    tx->map_count = 0;
    tx->highest = 0;
    tx->alloc_pending = KEEL_PAGENO_MAX;
    rc = wait_credit(tx, given.log_bytes);
    if (rc) {
        tx_pool_put(tx);
        return rc;
    }
    tx->credit_bytes = given.log_bytes;
    *ret = tx;
    return 0;
}

void tx_end(struct keel_tx *tx)
{
    struct keel_store *store = tx->store;

    KEEL_ASSERT(tx->open);
    for (uint32_t i = 0; i < tx->page_count; i++) {
        KEEL_ASSERT(!tx->pages[i].page.data);
        tx->slots[tx->pages[i].slot] = 0;
    }
    keel_wal_credit_put(store->wal, &tx->credit);
    tx_pool_put(tx);
    store_event(store);
}

/* ------------------------------------------------------------------ pages of a transaction */

static uint32_t slot_of(const struct keel_tx *tx, keel_pageno pageno)
{
    uint64_t hash = pageno * UINT64_C(0x9e3779b97f4a7c15);

    return (uint32_t)(hash >> 32) & tx->store->txs.slots_mask;
}

struct tx_page *tx_find(struct keel_tx *tx, keel_pageno pageno)
{
    uint32_t mask = tx->store->txs.slots_mask;

    for (uint32_t slot = slot_of(tx, pageno); tx->slots[slot] != 0; slot = (slot + 1) & mask) {
        struct tx_page *entry = &tx->pages[tx->slots[slot] - 1];
        if (entry->pageno == pageno)
            return entry;
    }
    return NULL;
}

/* Room was checked by the caller. */
static struct tx_page *add_entry(struct keel_tx *tx, keel_pageno pageno)
{
    uint32_t mask = tx->store->txs.slots_mask;
    uint32_t slot = slot_of(tx, pageno);

    KEEL_ASSERT(tx->page_count < tx->store->txs.pages_max);
    while (tx->slots[slot] != 0)
        slot = (slot + 1) & mask;
    struct tx_page *entry = &tx->pages[tx->page_count++];
    *entry = (struct tx_page){.pageno = pageno, .slot = slot};
    tx->slots[slot] = tx->page_count;
    return entry;
}

static bool has_room(const struct keel_tx *tx, uint32_t entries)
{
    return tx->store->txs.pages_max - tx->page_count >= entries;
}

/* Extend the credit so that one more whole page can be logged; never waits. */
static int need_image(struct keel_tx *tx)
{
    struct keel_store *store = tx->store;
    uint64_t payload = tx->need_payload + RECORD_PAGE_BYTES + store->page_len + RECORD_PAD;
    uint64_t bytes = keel_wal_credit_bytes(payload, tx->need_records + 1);

    if (bytes > store->txs.log_max)
        return KEEL_ETXSIZE;
    if (bytes > tx->credit_bytes) {
        int rc = keel_wal_credit_take(store->wal, &tx->credit, bytes - tx->credit_bytes);
        if (rc == KEEL_ELOGFULL)
            checkpoint_want(store);
        if (rc)
            return rc == KEEL_ELOGFULL ? KEEL_ETXSIZE : store_failed(store, rc);
        tx->credit_bytes = bytes;
    }
    tx->need_payload = payload;
    tx->need_records++;
    return 0;
}

/* The map page of pageno takes part: commit will fix it. Room for one entry was checked. */
static int need_map(struct keel_tx *tx, keel_pageno pageno)
{
    keel_pageno base = alloc_map_page_of(&tx->store->map, pageno);

    if (tx_find(tx, base))
        return 0;
    int rc = need_image(tx);
    if (rc)
        return rc;
    struct tx_page *entry = add_entry(tx, base);
    entry->map = true;
    tx->map_count++;
    return 0;
}

/* Fix a page that is not part yet. */
static int fix(struct keel_tx *tx, keel_pageno pageno, enum keel_fix_mode mode,
               struct tx_page **ret)
{
    struct keel_store *store = tx->store;
    bool holds = tx->page_count > tx->map_count;
    unsigned flags = tx->nowait ? KEEL_FIX_NOWAIT : 0u;
    struct keel_page page;

    if (holds && pageno < tx->highest)
        flags |= KEEL_FIX_TRYLATCH;
    int rc = keel_page_fix(tx->ctx, store->space, pageno, mode, flags, NULL, &page);
    if (rc)
        return rc == KEEL_EBUSY ? KEEL_EDEADLK : rc;

    struct tx_page *entry = add_entry(tx, pageno);
    entry->page = page;
    if (!holds || pageno > tx->highest)
        tx->highest = pageno;
    *ret = entry;
    return 0;
}

static int get_page(struct keel_tx *tx, keel_pageno pageno, struct tx_page **ret)
{
    struct tx_page *entry = tx_find(tx, pageno);

    if (alloc_map_is_map(&tx->store->map, pageno))
        return KEEL_ERANGE;
    if (entry) {
        *ret = entry;
        return entry->freed ? KEEL_ENOPAGE : 0;
    }
    if (!has_room(tx, 1))
        return KEEL_ETXSIZE;
    return fix(tx, pageno, KEEL_FIX_EXCLUSIVE, ret);
}

int keel_tx_page(struct keel_tx *tx, keel_pageno pageno, const void **ret)
{
    struct tx_page *entry;

    KEEL_ASSERT(tx && tx->open);
    int rc = get_page(tx, pageno, &entry);
    if (rc)
        return rc;
    if (ret)
        *ret = entry->page.data;
    return 0;
}

static uint8_t *undo_of(struct keel_tx *tx, const struct tx_page *entry)
{
    return tx->undo + (size_t)(entry - tx->pages) * tx->store->page_len;
}

/* Put the bytes of all ranges back. */
static void undo_changes(struct keel_tx *tx, struct tx_page *entry)
{
    const uint8_t *undo = undo_of(tx, entry);

    for (uint32_t i = 0; i < entry->range_count; i++) {
        const struct tx_range *range = &entry->ranges[i];
        memcpy((uint8_t *)entry->page.data + range->offset, undo + range->offset, range->len);
    }
    entry->range_count = 0;
    entry->changed = false;
}

/* ------------------------------------------------------------------ ranges */

/* Bytes that no range covers are as they were: keep them before a range does. */
static void save(const struct tx_page *entry, uint8_t *undo, uint32_t from, uint32_t to)
{
    if (undo && from < to)
        memcpy(undo + from, (const uint8_t *)entry->page.data + from, to - from);
}

/* Merge the two neighbours with the smallest gap. */
static void merge_closest(struct tx_page *entry, uint8_t *undo)
{
    uint32_t best = 0, best_gap = UINT32_MAX;

    for (uint32_t i = 0; i + 1u < entry->range_count; i++) {
        uint32_t end = (uint32_t)entry->ranges[i].offset + entry->ranges[i].len;
        uint32_t gap = entry->ranges[i + 1].offset - end;
        if (gap < best_gap) {
            best = i;
            best_gap = gap;
        }
    }
    struct tx_range *low = &entry->ranges[best];
    save(entry, undo, (uint32_t)low->offset + low->len, low[1].offset);
    low->len = (uint16_t)(low[1].offset + low[1].len - low->offset);
    memmove(low + 1, low + 2, (entry->range_count - best - 2) * sizeof(*low));
    entry->range_count--;
}

/* Ranges are in ascending order and do not touch each other. */
void tx_note_range(struct tx_page *entry, uint8_t *undo, uint32_t offset, uint32_t len)
{
    uint32_t low = offset, high = offset + len;
    uint32_t first = 0, last, saved = offset;

    KEEL_ASSERT(len > 0 && high <= UINT16_MAX);
    while (first < entry->range_count &&
           (uint32_t)entry->ranges[first].offset + entry->ranges[first].len < low)
        first++;
    for (last = first; last < entry->range_count && entry->ranges[last].offset <= high; last++) {
        const struct tx_range *range = &entry->ranges[last];
        uint32_t end = (uint32_t)range->offset + range->len;
        save(entry, undo, saved, range->offset);
        if (end > saved)
            saved = end;
        if (range->offset < low)
            low = range->offset;
        if (end > high)
            high = end;
    }
    save(entry, undo, saved, offset + len);

    /* [first, last) are swallowed by the one range [low, high). */
    memmove(&entry->ranges[first + 1], &entry->ranges[last],
            (entry->range_count - last) * sizeof(entry->ranges[0]));
    entry->ranges[first] = (struct tx_range){(uint16_t)low, (uint16_t)(high - low)};
    entry->range_count = (uint8_t)(entry->range_count - (last - first) + 1);
    if (entry->range_count > TX_RANGES_MAX)
        merge_closest(entry, undo);
    KEEL_ASSERT(entry->range_count >= 1 && entry->range_count <= TX_RANGES_MAX);
}

int keel_tx_write(struct keel_tx *tx, keel_pageno pageno, uint32_t offset, const void *bytes,
                  uint32_t len)
{
    struct tx_page *entry;

    KEEL_ASSERT(tx && tx->open && (bytes || len == 0));
    int rc = get_page(tx, pageno, &entry);
    if (rc)
        return rc;
    if (offset > entry->page.len || len > entry->page.len - offset)
        return KEEL_ERANGE;
    if (len == 0)
        return 0;

    if (!entry->changed) {
        rc = need_image(tx);
        if (rc)
            return rc;
        entry->changed = true;
        tx->changed_count++;
    }
    tx_note_range(entry, entry->created ? NULL : undo_of(tx, entry), offset, len);
    memcpy((uint8_t *)entry->page.data + offset, bytes, len);
    return 0;
}

/* ------------------------------------------------------------------ allocate and free */

/* Reserve a page and the credit for it and its map page; kept while tx_alloc says KEEL_PENDING. */
static int alloc_prepare(struct keel_tx *tx, enum alloc_wait wait)
{
    int rc = alloc_map_reserve(tx->store, tx->ctx, wait, &tx->alloc_pending);
    if (rc)
        return rc;
    rc = need_map(tx, tx->alloc_pending);
    if (rc == 0)
        rc = need_image(tx);
    if (rc) {
        alloc_map_unreserve(tx->store, tx->alloc_pending);
        tx->alloc_pending = KEEL_PAGENO_MAX;
    }
    return rc;
}

int keel_tx_alloc(struct keel_tx *tx, keel_pageno *ret)
{
    struct tx_page *entry;

    KEEL_ASSERT(tx && tx->open && ret);
    if (!has_room(tx, 2))
        return KEEL_ETXSIZE;
    if (tx->alloc_pending == KEEL_PAGENO_MAX) {
        int rc = alloc_prepare(tx, tx->nowait ? ALLOC_NOWAIT : ALLOC_WAIT);
        if (rc)
            return rc;
    }

    keel_pageno pageno = tx->alloc_pending;
    int rc = fix(tx, pageno, KEEL_FIX_NEW, &entry);
    if (rc == KEEL_PENDING)
        return rc;
    tx->alloc_pending = KEEL_PAGENO_MAX;
    if (rc) {
        alloc_map_unreserve(tx->store, pageno);
        return rc;
    }
    entry->created = true;
    entry->changed = true;
    tx->changed_count++;
    *ret = pageno;
    return 0;
}

/* The page is held, so whether it is allocated cannot change. */
static int free_existing(struct keel_tx *tx, struct tx_page *entry)
{
    struct keel_store *store = tx->store;
    enum alloc_wait wait = tx->nowait ? ALLOC_NOWAIT : ALLOC_WAIT;
    bool allocated;

    int rc = alloc_map_test(store, tx->ctx, wait, entry->pageno, &allocated);
    if (rc)
        return rc;
    if (!allocated)
        return KEEL_ENOPAGE;
    rc = need_map(tx, entry->pageno);
    if (rc)
        return rc;
    rc = alloc_map_claim_limbo(store, wait, entry->pageno);
    if (rc)
        return rc;

    /* Its contents no longer matter; as they are not logged, they go back to what the log knows. */
    if (entry->changed)
        undo_changes(tx, entry);
    else
        tx->changed_count++;
    entry->freed = true;
    return 0;
}

int keel_tx_free(struct keel_tx *tx, keel_pageno pageno)
{
    struct tx_page *entry;

    KEEL_ASSERT(tx && tx->open);
    int rc = get_page(tx, pageno, &entry);
    if (rc)
        return rc;
    if (!has_room(tx, 1))
        return KEEL_ETXSIZE;
    if (!entry->created)
        return free_existing(tx, entry);
    entry->freed = true; /* allocated and freed: nothing of it is logged */
    entry->changed = false;
    return 0;
}

/* ------------------------------------------------------------------ abort */

static void rollback_page(struct keel_tx *tx, struct tx_page *entry)
{
    struct keel_store *store = tx->store;

    if (!entry->page.data)
        return;
    if (entry->created) {
        keel_page_drop(&entry->page);
        alloc_map_unreserve(store, entry->pageno);
    } else {
        if (entry->changed && !entry->map)
            undo_changes(tx, entry);
        keel_page_unfix(&entry->page);
        if (entry->freed)
            alloc_map_unclaim_limbo(store, entry->pageno);
    }
    entry->page.data = NULL;
}

void tx_rollback(struct keel_tx *tx)
{
    struct keel_store *store = tx->store;

    for (uint32_t i = 0; i < tx->page_count; i++)
        rollback_page(tx, &tx->pages[i]);
    if (tx->alloc_pending != KEEL_PAGENO_MAX)
        alloc_map_unreserve(store, tx->alloc_pending);
    /* Relaxed: a count. */
    atomic_fetch_add_explicit(&store->tx_aborted, 1, memory_order_relaxed);
    tx_end(tx);
}

void keel_tx_abort(struct keel_tx *tx)
{
    KEEL_ASSERT(tx && tx->open);

    tx_rollback(tx);
}
