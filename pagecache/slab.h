/*
 * Slabs: stretches of the cache's memory as long as the largest page, each cut into frames of one
 * size. A slab changes hands between page sizes when all that is in it can go.
 */
#ifndef KEEL_PAGECACHE_SLAB_H
#define KEEL_PAGECACHE_SLAB_H

#include "pagecache/cache.h"

enum pc_slab_want {
    PC_SLAB_FREE, /* only when no page is in it */
    PC_SLAB_COLD, /* only when the clock has found half of its pages unused; counts as its visit */
    PC_SLAB_HOT,  /* whenever no page in it is fixed, changed or on its way */
};

/* Cut the slab that starts at this unit into frames of the order, which go to the free list: how
 * many; 0: it stays as it is, has that order already, or no slab that is in use starts there. Any
 * thread; waits for nothing. */
uint32_t pc_slab_change(struct keel_pagecache *cache, uint32_t first, uint32_t order,
                        enum pc_slab_want want);

/* Cut a slab that has come free in another order; how many frames that gave. */
uint32_t pc_slab_spare(struct keel_pagecache *cache, uint32_t order);

#endif
