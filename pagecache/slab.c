/*
 * Cutting a slab anew.
 *
 * There is one clock for pages of all sizes. Its hand, on the way for a frame of one size, visits
 * the slabs of the others too, and takes one of which half of the pages have had their second
 * chance: so memory goes where it is used. A size of which nothing can go (it has no slab yet, or
 * all of its pages are fixed or changed) gets one in the second round at the latest.
 *
 * Who changes a slab first takes every frame in it, off the free list or by evicting its page, as
 * everybody takes frames; from then on nobody else can reach them, since no word and no list has
 * them. What was taken before one could not be had goes to the free list.
 *
 * An optimistic reader may still be reading the memory (peek.c). The word of its page is gone by
 * now, and whoever reads that page into the same frame again bumps the frame's version.
 */
#include "pagecache/slab.h"

#include "pagecache/evict.h"

/* What stands in the way of cutting a slab anew, without latches: a guess. */
struct look {
    uint32_t frames;
    uint32_t warm; /* pages that the clock would leave in */
    bool busy;     /* one is fixed, changed, on its way or a stream's */
};

static void look_at(struct keel_frame *frame, enum pc_slab_want want, struct look *look)
{
    uint64_t value;

    look->frames++;
    if (atomic_load_explicit(&frame->ring, memory_order_relaxed) != PC_RING_NONE) {
        look->busy = true;
        return;
    }
    if (pc_frame_state(frame) == PC_FRAME_FREE)
        return;
    pc_word *word = pc_frame_evictable(frame, &value);
    if (!word || want == PC_SLAB_FREE) {
        look->busy = true;
        return;
    }
    if (value & PC_WORD_YOUNG) { /* the clock leaves it to its queue */
        look->warm += !pc_policy_used_once(value);
        return;
    }
    uint64_t next = value;
    if (want == PC_SLAB_COLD && !pc_policy_visit(&next)) {
        look->warm++;
        /* A failed exchange leaves the mark to the next visit. */
        atomic_compare_exchange_strong_explicit(word, &value, next, memory_order_relaxed,
                                                memory_order_relaxed);
    }
}

/* Is this the first unit of a slab, all of which is in use? */
static bool starts(const struct keel_pagecache *cache, uint32_t index)
{
    return index % cache->slab_units == 0 && index + cache->slab_units <= cache->frame_count;
}

/* Frames of the order from unit first up to end go to the free list. They may be taken and cut anew
 * at once, so nothing is asked of a frame behind the one that is put. */
static void put_taken(struct keel_pagecache *cache, uint32_t first, uint32_t end, uint32_t order)
{
    for (uint32_t i = first; i < end; i += 1u << order)
        pc_frame_put(cache, &cache->frames[i]);
}

static bool take(struct keel_pagecache *cache, uint32_t index)
{
    struct keel_frame *frame = &cache->frames[index];

    return pc_frame_take_free(cache, frame) || pc_frame_evict(cache, frame);
}

/* Every frame of the slab, each FREE then; false: one could not be had. Who has the first knows how
 * the slab is cut. */
static bool take_all(struct keel_pagecache *cache, uint32_t first)
{
    if (!take(cache, first))
        return false;

    uint32_t order = pc_frame_order(&cache->frames[first]);
    for (uint32_t i = first + (1u << order); i < first + cache->slab_units; i += 1u << order) {
        if (take(cache, i))
            continue;
        put_taken(cache, first, i, order);
        return false;
    }
    return true;
}

/* The cache may become smaller at any moment: a frame behind its end is GONE when it is put
 * (pc_frame_put), and resize.c waits for each. */
uint32_t pc_slab_change(struct keel_pagecache *cache, uint32_t first, uint32_t order,
                        enum pc_slab_want want)
{
    uint32_t units = cache->slab_units;
    struct look look = {0};

    KEEL_ASSERT(1u << order <= units);
    if (!starts(cache, first) || pc_frame_order(&cache->frames[first]) == order)
        return 0;
    for (uint32_t i = first; i < first + units; i++) {
        if (pc_frame_order(&cache->frames[i]) != PC_ORDER_PART)
            look_at(&cache->frames[i], want, &look);
    }
    if (look.busy || 2 * look.warm > look.frames || !take_all(cache, first))
        return 0;

    for (uint32_t i = 0; i < units; i++)
        atomic_store_explicit(&cache->frames[first + i].order,
                              i % (1u << order) == 0 ? (uint8_t)order : PC_ORDER_PART,
                              memory_order_relaxed);
    put_taken(cache, first, first + units, order);
    return units >> order;
}

/* First unit of the slab in which the next free frame of the order lies, or UINT32_MAX. */
static uint32_t slab_of_free(struct keel_pagecache *cache, uint32_t order)
{
    if (atomic_load_explicit(&cache->free_count[order], memory_order_relaxed) == 0)
        return UINT32_MAX;

    lock_acquire(&cache->free_lock);
    struct list *link = list_head(&cache->free[order]);
    uint32_t index = link ? container_of(link, struct keel_frame, free_link)->index : UINT32_MAX;
    lock_release(&cache->free_lock);
    return link ? index - index % cache->slab_units : UINT32_MAX;
}

uint32_t pc_slab_spare(struct keel_pagecache *cache, uint32_t order)
{
    for (uint32_t other = 0; other < PC_ORDERS; other++) {
        uint32_t first = other != order ? slab_of_free(cache, other) : UINT32_MAX;
        if (first == UINT32_MAX)
            continue;
        uint32_t got = pc_slab_change(cache, first, order, PC_SLAB_FREE);
        if (got > 0)
            return got;
    }
    return 0;
}
