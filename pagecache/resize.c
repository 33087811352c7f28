/*
 * Resizing while the cache is in use.
 *
 * Frames below frame_count are in use. Shrinking lowers it first: from then on a frame behind it
 * that comes free is GONE instead of going to the free list (pc_frame_put), and neither clock nor
 * slabs nor streams take one. What is left in them is driven out, the last chunk of the arena
 * first, and each chunk's memory is given back when all of its frames are GONE; frames_seen
 * follows. Growing is the same backwards; frames that were not GONE yet simply stay.
 *
 * A registered buffer that loses its memory goes on reading and writing the old pages, so
 * keel_arena_release has every ring forget a chunk before.
 *
 * Failure: who cannot go on leaves frame_count where it is, and the next call goes on.
 * Keeps P1, P3: pages go by eviction and write-back alone.
 */
#include <errno.h>
#include <sched.h>

#include "pagecache/evict.h"
#include "pagecache/fix.h"
#include "pagecache/flush.h"

/* Is nothing in the frame, for good? */
static bool gone(const struct keel_frame *frame)
{
    /* acquire: pairs with pc_frame_put */
    return atomic_load_explicit(&frame->ring, memory_order_acquire) == PC_RING_GONE ||
           atomic_load_explicit(&frame->order, memory_order_relaxed) == PC_ORDER_PART;
}

/* Write changed pages, these among them, and wait for some. 0 or the error. */
static int write_some(struct keel_ctx *ctx, struct keel_pagecache *cache)
{
    uint64_t errors = atomic_load(&cache->write_errors);
    int rc = keel_pagecache_writeback(ctx, cache, KEEL_LSN_MAX, 0, true);

    bool waited = keel_pagecache_wait_any(cache);
    if (atomic_load(&cache->write_errors) != errors)
        return atomic_load(&cache->write_error);
    if (waited || rc < 0)
        return waited ? 0 : rc;
    /* Nothing was to be written: beyond the poison limit for good, or latched for a moment. */
    if (atomic_load_explicit(&cache->poison_lsn, memory_order_relaxed) != KEEL_LSN_MAX)
        return KEEL_EPOISON;
    if (rc == 0)
        sched_yield();
    return 0;
}

/* One step towards GONE of a frame with a page whose word was seen as value. */
static int push_out(struct keel_ctx *ctx, struct keel_pagecache *cache, struct keel_frame *frame,
                    pc_word *word, uint64_t value)
{
    if (pc_word_latch(value) == PC_LATCH_IO) {
        pc_read_wait(cache, frame);
        return 0;
    }
    if (pc_word_fixed(value)) {
        pc_latch_wait(word, value);
        return 0;
    }
    enum pc_frame_state state = pc_frame_state(frame);
    if (state == PC_FRAME_CLEAN || state == PC_FRAME_FAILED) {
        if (pc_frame_evict(cache, frame))
            pc_frame_put(cache, frame);
        return 0;
    }
    return write_some(ctx, cache);
}

/*
 * Progress: each round evicts the page, or waits for a read, a write or a latch whose holder is a
 * thread, or finds the frame in the hands of a thread that is inside one of these functions.
 */
static int drive_out(struct keel_ctx *ctx, struct keel_pagecache *cache, struct keel_frame *frame)
{
    while (!gone(frame)) {
        uint32_t ring = atomic_load_explicit(&frame->ring, memory_order_relaxed);
        uint64_t value;
        int rc = 0;

        if (ring == PC_RING_OWNED || ring == PC_RING_RETURNED)
            return KEEL_EBUSY;
        if (pc_frame_take_free(cache, frame)) {
            pc_frame_put(cache, frame);
            continue;
        }
        pc_word *word = pc_frame_word(frame, &value);
        if (word)
            rc = push_out(ctx, cache, frame, word, value);
        else
            sched_yield();
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Bytes of the arena before unit index of the cache. */
static size_t arena_at(const struct keel_pagecache *cache, uint32_t index)
{
    return cache->data_at + ((size_t)index << cache->unit_shift);
}

/* The first unit of the last chunk that begins below unit end; or 0. */
static uint32_t chunk_before(const struct keel_pagecache *cache, uint32_t end)
{
    size_t chunk = keel_arena_chunk_bytes(cache->options.arena);
    size_t at = (arena_at(cache, end) - 1) / chunk * chunk;

    return at > cache->data_at ? (uint32_t)((at - cache->data_at) >> cache->unit_shift) : 0;
}

/* The least number of units that is no less and ends with a chunk, or is all there can be. */
static uint32_t whole_chunks(const struct keel_pagecache *cache, uint64_t units)
{
    size_t chunk = keel_arena_chunk_bytes(cache->options.arena);

    if (units >= cache->frames_max)
        return cache->frames_max;
    size_t end = (arena_at(cache, (uint32_t)units) + chunk - 1) / chunk * chunk;
    uint64_t rounded = (end - cache->data_at) >> cache->unit_shift;
    return rounded < cache->frames_max ? (uint32_t)rounded : cache->frames_max;
}

/* All frames from unit first on are GONE: their memory goes back. */
static int give_back(struct keel_pagecache *cache, uint32_t first)
{
    size_t at = arena_at(cache, first), end = arena_at(cache, cache->frames_max);
    size_t chunk = keel_arena_chunk_bytes(cache->options.arena);

    /* Unless the cache came last in the arena, what follows shares its last chunk. */
    if (end != keel_arena_used(cache->options.arena))
        end = end / chunk * chunk;
    return end > at ? keel_arena_release(cache->options.arena, at, end - at) : 0;
}

static int shrink(struct keel_ctx *ctx, struct keel_pagecache *cache, uint32_t target)
{
    lock_acquire(&cache->free_lock); /* pc_frame_put asks under it */
    atomic_store(&cache->frame_count, target);
    lock_release(&cache->free_lock);

    while (cache->frames_seen > target) {
        uint32_t end = cache->frames_seen;
        uint32_t first = chunk_before(cache, end);
        first = first > target ? first : target;
        for (uint32_t i = first; i < end; i++) {
            int rc = drive_out(ctx, cache, &cache->frames[i]);
            if (rc != 0)
                return rc;
        }
        atomic_store(&cache->frames_seen, first);
    }
    return give_back(cache, target);
}

/* Frames below end that are GONE are in use again. */
static void take_back(struct keel_pagecache *cache, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++) {
        struct keel_frame *frame = &cache->frames[i];
        if (atomic_load(&frame->ring) != PC_RING_GONE)
            continue;
        atomic_store(&frame->ring, PC_RING_NONE);
        pc_frame_put(cache, frame);
    }
}

static void grow(struct keel_pagecache *cache, uint32_t target)
{
    uint32_t was = cache->frame_count, seen = cache->frames_seen;

    if (target > seen) {
        /* Those that were in use before stay as they are, since somebody may still look at their
         * requests; but each is one unit again. */
        if (target > cache->frames_begun) {
            pc_frames_begin(cache, cache->frames_begun, target);
            cache->frames_begun = target;
        }
        for (uint32_t i = seen; i < target; i++) {
            atomic_store(&cache->frames[i].order, 0);
            atomic_store(&cache->frames[i].ring, PC_RING_GONE);
        }
        atomic_store(&cache->frames_seen, target);
    }
    lock_acquire(&cache->free_lock);
    atomic_store(&cache->frame_count, target);
    lock_release(&cache->free_lock);
    take_back(cache, was, target);
}

int keel_pagecache_resize(struct keel_ctx *ctx, struct keel_pagecache *cache, uint64_t cache_bytes)
{
    uint32_t orders = atomic_load_explicit(&cache->orders, memory_order_relaxed);
    uint32_t largest = orders > 0 ? 31u - (uint32_t)__builtin_clz(orders) : 0;
    uint64_t units = cache_bytes >> cache->unit_shift;
    bool busy = false;

    if (cache->options.cache_bytes_max == 0 || units < (uint64_t)PC_FRAMES_MIN << largest)
        return KEEL_EOPTION;
    if (!atomic_compare_exchange_strong(&cache->resizing, &busy, true))
        return KEEL_EBUSY;

    uint32_t target = whole_chunks(cache, units);
    int rc = 0;
    if (target >= cache->frame_count)
        grow(cache, target);
    if (target < cache->frames_seen)
        rc = shrink(ctx, cache, target);
    atomic_store(&cache->resizing, false);
    return rc;
}
