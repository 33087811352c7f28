/*
 * Free frames and where they come from.
 */
#ifndef KEEL_PAGECACHE_EVICT_H
#define KEEL_PAGECACHE_EVICT_H

#include "pagecache/cache.h"

#define PC_EVICT_BATCH 64u /* most frames that a fixer evicts at once */

/*
 * A free frame of this order, owned by the caller: off the free list, else evicted, else (not with
 * nowait) written back and waited for, on ctx. KEEL_PENDING (nowait), KEEL_EFULL (all are fixed),
 * KEEL_EPOISON, or the error that keeps pages from being written.
 */
int pc_frame_get(struct keel_ctx *ctx, struct keel_pagecache *cache, uint32_t order, bool nowait,
                 struct keel_frame **ret);

/* Off the free list or evicted, or NULL: never waits, starts nothing. */
struct keel_frame *pc_frame_try_get(struct keel_pagecache *cache, uint32_t order);

/* Back to the free list of its order. Takes the frame, which is FREE and in no table. */
void pc_frame_put(struct keel_pagecache *cache, struct keel_frame *frame);

/*
 * The page leaves the cache: by the holder of EXCLUSIVE of its word, or of IO. from: CLEAN, FAILED
 * or READING, which it is in.
 */
void pc_frame_release(struct keel_pagecache *cache, struct keel_frame *frame, pc_word *word,
                      enum pc_frame_state from, uint64_t past);

/* What a page whose word is `past`, and that comes into this frame, is loaded with. */
uint64_t pc_come(const struct keel_pagecache *cache, const struct keel_frame *frame, uint64_t past);

/* The frame has the page of a word with YOUNG: into their queue. Any thread. */
void pc_young_put(struct keel_pagecache *cache, struct keel_frame *frame);

/* The word of a page that may be evicted, with a free latch, or NULL. */
pc_word *pc_frame_evictable(const struct keel_frame *frame, uint64_t *ret_value);

/* This frame, off the free list; false: it is not on it. */
bool pc_frame_take_free(struct keel_pagecache *cache, struct keel_frame *frame);

/* Evict the page in this frame, which is the caller's then, FREE. False: it is fixed, changed or on
 * its way, or the frame is a stream's. */
bool pc_frame_evict(struct keel_pagecache *cache, struct keel_frame *frame);

/* The same for the ring whose frame it is, unless the clock knows of a second use of the page. */
bool pc_frame_evict_own(struct keel_pagecache *cache, struct keel_frame *frame);

/* Units that are free, in frames of any order. */
uint32_t pc_free_units(const struct keel_pagecache *cache);

/* Free n frames of an order, or some more or fewer; how many: 0 only if no page can go. */
uint32_t pc_evict(struct keel_pagecache *cache, uint32_t order, uint32_t n);

#endif
