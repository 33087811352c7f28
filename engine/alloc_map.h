/*
 * Which pages of the space are allocated.
 *
 * The map is in pages of the space itself: with B = 8 * (user bytes of a page), page i*B describes
 * pages i*B to (i+1)*B-1, one bit each, and is one of its own (its own bit is never used). A page
 * of the map that was never written reads as zeroes: nothing is allocated there.
 *
 * A page is *reserved* in memory from tx_alloc until its bit is set by commit, and from tx_free
 * until its freeing is durable (limbo): a page that was freed but would come back after a crash
 * must not be made anew before, or its last committed contents could be lost with a dropped frame.
 *
 * Order of latches: pages of the map are fixed exclusively by commits alone, which then ask for
 * nothing but further pages of the map, ascending. So whoever holds other pages may wait for them.
 */
#ifndef KEEL_ENGINE_ALLOC_MAP_H
#define KEEL_ENGINE_ALLOC_MAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <keel/pagecache.h>

#include "base/lock.h"

struct keel_store;

#define LIMBO_MAX 8192u /* freed pages whose freeing is not known to be durable */

struct limbo_entry {
    keel_pageno pageno;
    keel_lsn lsn;
};

struct alloc_map {
    struct lock lock; /* rank SPACE */
    /* set at open, then constant */
    uint64_t bits; /* pages that one map page describes */
    keel_pageno pages_max;
    size_t reserved_bytes;
    /* under lock */
    uint64_t *reserved; /* one bit per page of pages_max */
    keel_pageno hint;   /* no page below it is free */
    struct limbo_entry *limbo;
    uint32_t limbo_head, limbo_count;
    uint32_t limbo_claimed; /* of tx_free calls whose commit is yet to come */
    bool growing;
    int grow_error; /* of a growth in the background, for the next who asks */
    /* atomic */
    _Atomic bool grow_wanted; /* a nowait transaction found the space full */
    _Atomic uint64_t allocated;
};

int alloc_map_init(struct keel_store *store, keel_pageno pages_max);
void alloc_map_fini(struct keel_store *store);
/* Count the allocated pages, at open. Blocks. */
int alloc_map_count(struct keel_store *store, struct keel_ctx *ctx, struct keel_err_info *info);

/* The map page that describes pageno, and whether pageno is one. */
keel_pageno alloc_map_page_of(const struct alloc_map *map, keel_pageno pageno);
bool alloc_map_is_map(const struct alloc_map *map, keel_pageno pageno);

enum alloc_wait { ALLOC_WAIT, ALLOC_NOWAIT };

/* Find a free page and reserve it; grows the space. KEEL_PENDING, KEEL_ESPACEFULL, KEEL_ENOSPACE
 * and those of keel_page_fix. */
int alloc_map_reserve(struct keel_store *store, struct keel_ctx *ctx, enum alloc_wait wait,
                      keel_pageno *ret);
/* Give a reservation up, or end it because the bit is set now. */
void alloc_map_unreserve(struct keel_store *store, keel_pageno pageno);

/* Is it allocated? Its holder keeps that from changing. */
int alloc_map_test(struct keel_store *store, struct keel_ctx *ctx, enum alloc_wait wait,
                   keel_pageno pageno, bool *ret);
/* tx_free of an allocated page: reserve it and room in limbo. KEEL_PENDING: no room yet. */
int alloc_map_claim_limbo(struct keel_store *store, enum alloc_wait wait, keel_pageno pageno);
/* The transaction was aborted. */
void alloc_map_unclaim_limbo(struct keel_store *store, keel_pageno pageno);
/* The transaction was committed with its end at lsn: reserved until that is durable. */
void alloc_map_enter_limbo(struct keel_store *store, keel_pageno pageno, keel_lsn lsn);

/* Change the bit of pageno in its map page, held exclusively; returns the byte's offset. */
uint32_t alloc_map_flip(const struct alloc_map *map, struct keel_page *page, keel_pageno pageno,
                        bool allocated);

/* Grow the space if a nowait transaction asked for it: 1 when done, 0 when not wanted. Blocks for
 * the growth. */
int alloc_map_grow_wanted(struct keel_store *store, struct keel_ctx *ctx);

/* Up to ALLOC_CHUNK_BYTES bytes of map page `base` from byte `at` on, one bit per page; *ret_bytes:
 * how many. The map page itself counts as not allocated. Blocks. */
#define ALLOC_CHUNK_BYTES 512u
int alloc_map_read(struct keel_store *store, struct keel_ctx *ctx, keel_pageno base, uint32_t at,
                   uint8_t bits[ALLOC_CHUNK_BYTES], struct keel_err_info *info,
                   uint32_t *ret_bytes);

#endif
