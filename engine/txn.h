/*
 * Transactions: pages held exclusively until commit or abort, what was changed in them, and how
 * they were before.
 *
 * All memory of a transaction is cut from one reservation of address space made at open; pages of
 * it become memory when they are first used and stay. Nothing is allocated later.
 *
 * Which calls a transaction passes: tx_begin (pool, log credit), tx_page / tx_write / tx_alloc /
 * tx_free (pages, undo images, ranges), then commit.c or tx_abort, and tx_end (back to the pool).
 */
#ifndef KEEL_ENGINE_TXN_H
#define KEEL_ENGINE_TXN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include <keel/pagecache.h>
#include <keel/wal.h>

#include "base/lock.h"
#include "engine/record_format.h"

struct keel_store;

#define TX_RANGES_MAX     8u                   /* changed ranges kept apart in one page */
#define TX_RECORDS_PAGE   (TX_RANGES_MAX + 1u) /* most records of one page: ZERO and deltas */
#define TX_PAGES_MAX      16384u               /* of one transaction, whatever the cache */
#define TX_UNDO_BYTES_MAX (UINT64_C(64) << 20) /* likewise */

struct tx_range {
    uint16_t offset;
    uint16_t len;
};

/* A page of a transaction. */
struct tx_page {
    struct keel_page page; /* fixed exclusively; data NULL: a map page that commit will fix */
    keel_pageno pageno;
    uint32_t slot; /* in the transaction's hash table */
    uint8_t range_count;
    bool changed; /* there is something to log, and (unless created or map) to undo */
    bool created; /* by tx_alloc */
    bool freed;   /* by tx_free */
    bool map;     /* of the allocation map: fixed by commit alone */
    struct tx_range ranges[TX_RANGES_MAX + 1];
};

struct keel_tx {
    /* set at open, then constant: parts of the pool's reservation */
    struct keel_store *store;
    uint32_t index;
    struct tx_page *pages;
    uint32_t *slots; /* hash table: index into pages + 1, 0 = free */
    struct keel_wal_record *records;
    struct iovec *parts;
    uint8_t (*heads)[RECORD_DELTA_BYTES];
    uint8_t *undo;

    /* under the pool's lock */
    bool open;
    struct keel_ctx *ctx; /* constant while open */

    /* the caller's thread only, while open */
    bool nowait;
    enum keel_level level;
    struct keel_wal_credit credit;
    uint64_t credit_bytes;
    uint64_t need_payload; /* the most that its records can come to */
    uint32_t need_records;
    uint32_t page_count;
    uint32_t changed_count; /* pages changed, created or freed */
    uint32_t map_count;
    keel_pageno highest; /* of the pages held, without those of the map */
    keel_pageno
        alloc_pending; /* reserved by a tx_alloc that is to be called again, or PAGENO_MAX */
};

struct tx_pool {
    struct lock lock; /* rank ENGINE */
    /* set at open, then constant */
    struct keel_tx *all;
    uint32_t count;
    uint32_t pages_max; /* of one transaction */
    uint32_t slots_mask;
    uint64_t log_max; /* log credit of one transaction */
    void *reserved;
    size_t reserved_bytes;
    /* under lock */
    uint32_t *free;
    uint32_t free_count;
};

int tx_pool_init(struct keel_store *store);
/* No transaction is open. */
void tx_pool_fini(struct keel_store *store);
uint32_t tx_pool_open_count(struct keel_store *store);
/* Does an open transaction of ctx hold pages or log space (so that waiting for them would not end)?
 */
bool tx_pool_held_by(struct keel_store *store, const struct keel_ctx *ctx);

/* A transaction out of the pool, open, the rest of it as its last life left it; NULL: none is left.
 */
struct keel_tx *tx_pool_get(struct keel_store *store, struct keel_ctx *ctx);
void tx_pool_put(struct keel_tx *tx);

/* The page in this transaction, or NULL. */
struct tx_page *tx_find(struct keel_tx *tx, keel_pageno pageno);
/* Note, before it is done, that bytes of a page are about to change. undo (may be NULL: not
 * needed): as long as the user part; gets the old bytes, at their offsets, of whatever the ranges
 * cover. Merges when there are too many ranges. */
void tx_note_range(struct tx_page *entry, uint8_t *undo, uint32_t offset, uint32_t len);
/* Put the old bytes back, give all pages and reservations up, and end. */
void tx_rollback(struct keel_tx *tx);
/* Give credit and transaction back. All pages are unfixed. */
void tx_end(struct keel_tx *tx);

#endif
