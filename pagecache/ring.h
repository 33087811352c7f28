/*
 * Rings: frames that a stream keeps for itself, in groups of adjacent ones, so that pages side by
 * side are read by one request and a scan drives nothing out of the cache but its own pages.
 */
#ifndef KEEL_PAGECACHE_RING_H
#define KEEL_PAGECACHE_RING_H

#include "pagecache/cache.h"

#define PC_RING_GROUPS_MAX 16u
#define PC_GROUP_BYTES_MAX (256u << 10) /* of one read */
#define PC_RING_BYTES_MAX  (4u << 20)

/* Owned by one stream. Groups are filled in turn, the next one anew when all have been. */
struct pc_ring {
    struct keel_pagecache *cache; /* constant, as the next two */
    uint32_t order;               /* of its frames */
    uint32_t group_frames;
    uint32_t group_count;
    uint32_t first[PC_RING_GROUPS_MAX]; /* index of the group's first frame, or PC_NO_GROUP */
    uint32_t group;                     /* being filled */
    uint32_t used;                      /* frames of it that pages were read into */
};
#define PC_NO_GROUP UINT32_MAX

/* Frames of this order that a ring has in a cache of so many units; at least 2, at most a 16th of
 * it or 4 MiB. Not more of a larger order than of a smaller one, nor in a smaller cache. */
uint32_t pc_ring_frames(const struct keel_pagecache *cache, uint32_t units, uint32_t order);

/* For pages of space; without frames, which are taken as they are needed. */
void pc_ring_init(struct pc_ring *ring, const struct keel_space *space);

/* Give all frames back to the cache. Reads in flight go on; pages that are fixed stay. */
void pc_ring_give_back(struct pc_ring *ring);

/*
 * Start reading the pages of the ring's space from first on, at most count, that are not resident,
 * by requests as long as they lie side by side. The pages that were read into the group that is
 * next in turn must have been consumed. Returns how many pages, from first on, are resident or
 * under way now; fewer than count when no frames are to be had or the queue of ctx is full.
 */
uint32_t pc_ring_read(struct keel_ctx *ctx, struct pc_ring *ring, struct keel_space *space,
                      keel_pageno first, uint32_t count);

#endif
