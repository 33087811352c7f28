/*
 * Rings of frames for streams.
 *
 * Whose is a frame? The field `ring` of a frame says so:
 *   NONE      the cache's: free list, clock, whoever holds its latch
 *   RING      a ring's. The clock passes it by. There may be a page in it, which anybody may fix.
 *   RETURNED  a ring's, and empty: the page in it was dropped by somebody else (an error that was
 *             taken, a run that failed), who would have put it on the free list (pc_frame_release)
 * A ring takes frames off the free list or evicts what is in them (NONE to RING), and gives them up
 * by RING to NONE when it cannot empty them: then whoever empties them puts them on the free list.
 * Both ends of that race are exchanges on the one field.
 *
 * Filling a group anew: a page that is not fixed and that nobody but the stream has used goes; one
 * that was used again stays in the cache, frame and all, and the ring looks for another group.
 *
 * - Failure: no group to be had (all fixed, changed or in other rings): pages are read one by one,
 *   by whoever fixes them.
 * - Keeps P2 (a word is published from zero), P3 (only free latches are taken).
 */
#include "pagecache/ring.h"

#include "pagecache/evict.h"
#include "pagecache/fix.h"
#include "pagecache/slab.h"

/* Does the group reach into frames that are on their way out of the cache? */
static bool leaves(const struct pc_ring *ring, uint32_t first)
{
    return first + (ring->group_frames << ring->order) > ring->cache->frame_count;
}

static uint32_t group_size(uint32_t frames, uint32_t page_bytes)
{
    uint32_t size = 1;

    while (size * 2 * page_bytes <= PC_GROUP_BYTES_MAX && size * 2 * 8 <= frames)
        size *= 2;
    return size;
}

uint32_t pc_ring_frames(const struct keel_pagecache *cache, uint32_t units, uint32_t order)
{
    uint32_t page_bytes = 1u << (cache->unit_shift + order);
    uint32_t most = PC_RING_BYTES_MAX / page_bytes;
    uint32_t frames = units / 16 >> order;

    frames = frames < 2 ? 2 : frames;
    frames = frames < most ? frames : most;
    uint32_t size = group_size(frames, page_bytes);
    uint32_t groups = frames / size;
    return size * (groups < PC_RING_GROUPS_MAX ? groups : PC_RING_GROUPS_MAX);
}

void pc_ring_init(struct pc_ring *ring, const struct keel_space *space)
{
    uint32_t frames = pc_ring_frames(space->cache, space->cache->frame_count, space->order);

    *ring = (struct pc_ring){.cache = space->cache, .order = space->order};
    ring->group_frames = group_size(frames, pc_page_bytes(space));
    ring->group_count = frames / ring->group_frames;
    for (uint32_t i = 0; i < PC_RING_GROUPS_MAX; i++)
        ring->first[i] = PC_NO_GROUP;
    ring->used = ring->group_frames; /* the first read begins a group */
}

/* ---------------------------------------------------------------- taking and giving back */

/* The frame becomes the ring's, and empty. False: it is in use. */
static bool take(struct keel_pagecache *cache, struct keel_frame *frame)
{
    if (pc_frame_take_free(cache, frame) || pc_frame_evict(cache, frame)) {
        atomic_store_explicit(&frame->ring, PC_RING_OWNED, memory_order_relaxed);
        return true;
    }
    return false;
}

/* The frame, the ring's and empty, goes to the free list. */
static void put(struct keel_pagecache *cache, struct keel_frame *frame)
{
    atomic_store_explicit(&frame->ring, PC_RING_NONE, memory_order_relaxed);
    pc_frame_put(cache, frame);
}

/* A frame of a group that begins at unit first. */
static struct keel_frame *frame_at(const struct pc_ring *ring, uint32_t first, uint32_t i)
{
    return &ring->cache->frames[first + (i << ring->order)];
}

/* Could it be had? A guess, before anything is evicted for it. */
static bool looks_free(const struct pc_ring *ring, const struct keel_frame *frame)
{
    uint64_t value;

    if (pc_frame_order(frame) != ring->order ||
        atomic_load_explicit(&frame->ring, memory_order_relaxed) != PC_RING_NONE)
        return false;
    enum pc_frame_state state = pc_frame_state(frame);
    if (state == PC_FRAME_FREE)
        return true;
    return state == PC_FRAME_CLEAN && pc_frame_word(frame, &value) && pc_word_latch(value) == 0;
}

/* Where the group lies in slabs of other orders, they are cut anew if they can be. */
static void cut_slabs(struct pc_ring *ring, uint32_t first)
{
    struct keel_pagecache *cache = ring->cache;
    uint32_t end = first + (ring->group_frames << ring->order);

    for (uint32_t at = first - first % cache->slab_units; at < end; at += cache->slab_units)
        pc_slab_change(cache, at, ring->order, PC_SLAB_HOT);
}

static bool take_group(struct pc_ring *ring, uint32_t first)
{
    struct keel_pagecache *cache = ring->cache;

    cut_slabs(ring, first);
    for (uint32_t i = 0; i < ring->group_frames; i++) {
        if (!looks_free(ring, frame_at(ring, first, i)))
            return false;
    }
    for (uint32_t i = 0; i < ring->group_frames; i++) {
        if (take(cache, frame_at(ring, first, i)))
            continue;
        while (i-- > 0)
            put(cache, frame_at(ring, first, i));
        return false;
    }
    return true;
}

/* Some group of the cache, or PC_NO_GROUP. One round at most. */
static uint32_t find_group(struct pc_ring *ring)
{
    struct keel_pagecache *cache = ring->cache;
    uint32_t units = ring->group_frames << ring->order;
    uint32_t groups = cache->frame_count / units;

    for (uint32_t i = 0; i < groups; i++) {
        uint32_t at = atomic_fetch_add_explicit(&cache->ring_hand, 1, memory_order_relaxed);
        uint32_t first = at % groups * units;
        if (take_group(ring, first))
            return first;
    }
    return PC_NO_GROUP;
}

/* Empty a frame of the ring; false: its page stays, and the frame is the cache's now. */
static bool reclaim(struct pc_ring *ring, struct keel_frame *frame, bool published)
{
    struct keel_pagecache *cache = ring->cache;

    if (!published)
        return true;
    uint32_t owned = PC_RING_OWNED;
    /* acquire: pairs with pc_frame_release, which has emptied it. */
    if (atomic_load_explicit(&frame->ring, memory_order_acquire) == PC_RING_OWNED) {
        if (pc_frame_evict_own(cache, frame))
            return true;
        if (atomic_compare_exchange_strong_explicit(&frame->ring, &owned, PC_RING_NONE,
                                                    memory_order_acq_rel, memory_order_acquire))
            return false;
    }
    KEEL_ASSERT(pc_frame_state(frame) == PC_FRAME_FREE);
    atomic_store_explicit(&frame->ring, PC_RING_OWNED, memory_order_relaxed);
    return true;
}

/* Empty the group, of which the first `published` frames were read into; false: some of it stays
 * in the cache, the rest went to the free list. */
static bool reclaim_group(struct pc_ring *ring, uint32_t first, uint32_t published)
{
    uint64_t lost = 0;

    for (uint32_t i = 0; i < ring->group_frames; i++) {
        if (!reclaim(ring, frame_at(ring, first, i), i < published))
            lost |= UINT64_C(1) << i;
    }
    if (lost == 0)
        return true;
    for (uint32_t i = 0; i < ring->group_frames; i++) {
        if (!(lost >> i & 1))
            put(ring->cache, frame_at(ring, first, i));
    }
    return false;
}

/* All frames of the group, the ring's and empty, go to the free list. */
static void put_group(struct pc_ring *ring, uint32_t first)
{
    for (uint32_t i = 0; i < ring->group_frames; i++)
        put(ring->cache, frame_at(ring, first, i));
}

void pc_ring_give_back(struct pc_ring *ring)
{
    for (uint32_t g = 0; g < ring->group_count; g++) {
        uint32_t published = g == ring->group ? ring->used : ring->group_frames;
        uint32_t first = ring->first[g];

        ring->first[g] = PC_NO_GROUP;
        if (first != PC_NO_GROUP && reclaim_group(ring, first, published))
            put_group(ring, first);
    }
    ring->used = ring->group_frames;
}

/* ---------------------------------------------------------------- reading */

/* The next group, empty; false: none to be had. */
static bool next_group(struct pc_ring *ring)
{
    uint32_t at = (ring->group + 1) % ring->group_count;
    uint32_t first = ring->first[at];

    if (first != PC_NO_GROUP && !reclaim_group(ring, first, ring->group_frames))
        ring->first[at] = first = PC_NO_GROUP;
    if (first != PC_NO_GROUP && leaves(ring, first)) {
        put_group(ring, first);
        ring->first[at] = first = PC_NO_GROUP;
    }
    if (first == PC_NO_GROUP)
        ring->first[at] = find_group(ring);
    ring->group = at;
    ring->used = ring->first[at] == PC_NO_GROUP ? ring->group_frames : 0;
    return ring->first[at] != PC_NO_GROUP;
}

uint32_t pc_ring_read(struct keel_ctx *ctx, struct pc_ring *ring, struct keel_space *space,
                      keel_pageno first, uint32_t count)
{
    uint32_t at = 0;

    while (at < count) {
        if (pc_resident(space, first + at)) {
            at++;
            continue;
        }
        if (ring->used == ring->group_frames && !next_group(ring))
            break;
        uint32_t room = ring->group_frames - ring->used;
        uint32_t want = count - at < room ? count - at : room;
        struct keel_frame *frame = frame_at(ring, ring->first[ring->group], ring->used);
        uint32_t run = pc_read_run(ctx, space, first + at, want, frame);
        if (run == 0)
            break; /* no room in the queue; or it just became resident, which the next call sees */
        ring->used += run;
        at += run;
    }
    return at;
}
