/*
 * The free list, and what fills it: the queue of the young, and the clock.
 *
 * In batches; policy.h says which of the two gives the next frame and what becomes of a page that
 * its turn has come to. The hit path stores nothing beyond the latch that it takes anyway.
 *
 * Who is in the queue? Each frame with a page whose word has YOUNG, but for one that a thread has
 * taken out to look at. It is put in by who made the page resident, while it holds the latch, and
 * taken out with the page (empty), both under free_lock; who puts one back looks at the word under
 * that lock, and so either finds the page gone, or is before the one who takes the page away and
 * will take the frame out.
 *
 * Who needs a frame and finds the list empty evicts a batch itself; with nothing but changed pages
 * left it writes some back and waits for any write or read in flight, on whatever context (I6).
 *
 * - Failure: all frames fixed (KEEL_EFULL), the log or the device refuses (their error).
 * - Keeps P3: only a word with a free latch is taken, by compare-and-swap, and checked again.
 */
#include "pagecache/evict.h"

#include <sched.h>

#include "base/trace.h"
#include "pagecache/fix.h"
#include "pagecache/flush.h"
#include "pagecache/slab.h"

#define YOUNG_TURNS 4u /* of young pages that queue again, for each frame that is wanted */

/* Under free_lock. */
static void unlist(struct keel_pagecache *cache, struct keel_frame *frame)
{
    KEEL_ASSERT(pc_frame_order(frame) < PC_ORDERS);

    list_remove(&frame->free_link);
    atomic_fetch_sub_explicit(&cache->free_count[pc_frame_order(frame)], 1, memory_order_relaxed);
}

bool pc_frame_take_free(struct keel_pagecache *cache, struct keel_frame *frame)
{
    lock_acquire(&cache->free_lock);
    bool listed = list_linked(&frame->free_link);
    if (listed)
        unlist(cache, frame);
    lock_release(&cache->free_lock);
    return listed;
}

static struct keel_frame *pop(struct keel_pagecache *cache, uint32_t order)
{
    struct keel_frame *frame = NULL;

    if (atomic_load_explicit(&cache->free_count[order], memory_order_relaxed) == 0)
        return NULL;

    lock_acquire(&cache->free_lock);
    struct list *link = list_head(&cache->free[order]);
    if (link) {
        frame = container_of(link, struct keel_frame, free_link);
        KEEL_ASSERT(pc_frame_order(frame) == order);
        unlist(cache, frame);
    }
    lock_release(&cache->free_lock);
    if (frame) {
        KEEL_ASSERT(pc_frame_state(frame) == PC_FRAME_FREE);
        KEEL_DCHECK(pc_frame_rec_lsn(frame) == KEEL_LSN_MAX);
    }
    return frame;
}

void pc_frame_put(struct keel_pagecache *cache, struct keel_frame *frame)
{
    uint32_t order = pc_frame_order(frame);

    KEEL_ASSERT(pc_frame_state(frame) == PC_FRAME_FREE && order < PC_ORDERS);
    KEEL_DCHECK(!frame->void_private);

    atomic_store_explicit(&frame->space, NULL, memory_order_relaxed);
    lock_acquire(&cache->free_lock);
    KEEL_ASSERT(!list_linked(&frame->free_link) && !list_linked(&frame->young_link));
    if (frame->index < cache->frame_count) {
        list_push_head(&cache->free[order], &frame->free_link);
        atomic_fetch_add_explicit(&cache->free_count[order], 1, memory_order_relaxed);
    } else {
        /* release: pairs with resize.c */
        atomic_store_explicit(&frame->ring, PC_RING_GONE, memory_order_release);
    }
    lock_release(&cache->free_lock);
}

uint32_t pc_free_units(const struct keel_pagecache *cache)
{
    uint32_t units = 0;

    for (uint32_t order = 0; order < PC_ORDERS; order++)
        units += atomic_load_explicit(&cache->free_count[order], memory_order_relaxed) << order;
    return units;
}

/* ---------------------------------------------------------------- the young */

/* Under free_lock. */
static void young_link(struct keel_pagecache *cache, struct keel_frame *frame)
{
    if (list_linked(&frame->young_link))
        return; /* put back by who had it out; the page is another one by now */
    list_push_tail(&cache->young[pc_frame_order(frame)], &frame->young_link);
    atomic_fetch_add_explicit(&cache->young_units, pc_frame_units(frame), memory_order_relaxed);
}

/* Under free_lock. */
static void young_unlink(struct keel_pagecache *cache, struct keel_frame *frame)
{
    list_remove(&frame->young_link);
    atomic_fetch_sub_explicit(&cache->young_units, pc_frame_units(frame), memory_order_relaxed);
}

uint64_t pc_come(const struct keel_pagecache *cache, const struct keel_frame *frame, uint64_t past)
{
    /* What comes into a stream's ring does not queue: the ring is its queue. */
    if (atomic_load_explicit(&frame->ring, memory_order_relaxed) != PC_RING_NONE)
        return 0;
    return pc_policy_come(past, atomic_load_explicit(&cache->evictions, memory_order_relaxed),
                          cache->frame_count);
}

void pc_young_put(struct keel_pagecache *cache, struct keel_frame *frame)
{
    lock_acquire(&cache->free_lock);
    young_link(cache, frame);
    lock_release(&cache->free_lock);
}

/* The turn of the frame at link comes next, and then that of the one behind it, if it is not the
 * head of the list: what they need is fetched meanwhile. */
static void young_ahead(struct list *link)
{
    const struct keel_frame *next = container_of(link, struct keel_frame, young_link);
    const struct keel_frame *then = container_of(link->next, struct keel_frame, young_link);

    __builtin_prefetch(pc_frame_place(next));
    __builtin_prefetch(then);
    __builtin_prefetch(link->next);
}

/* The first of the queue, out of it, or NULL. */
static struct keel_frame *young_take(struct keel_pagecache *cache, uint32_t order)
{
    struct keel_frame *frame = NULL;

    lock_acquire(&cache->free_lock);
    struct list *link = list_head(&cache->young[order]);
    if (link) {
        frame = container_of(link, struct keel_frame, young_link);
        young_unlink(cache, frame);
        link = list_head(&cache->young[order]);
        if (link)
            young_ahead(link);
    }
    lock_release(&cache->free_lock);
    return frame;
}

/* Back to the end; false: its page is no longer young or has left. */
static bool young_put_back(struct keel_pagecache *cache, struct keel_frame *frame)
{
    uint64_t value;

    lock_acquire(&cache->free_lock);
    bool young = pc_frame_word(frame, &value) && (value & PC_WORD_YOUNG);
    if (young)
        young_link(cache, frame);
    lock_release(&cache->free_lock);
    return young;
}

static void young_drop(struct keel_pagecache *cache, struct keel_frame *frame)
{
    lock_acquire(&cache->free_lock);
    if (list_linked(&frame->young_link))
        young_unlink(cache, frame);
    lock_release(&cache->free_lock);
}

/* ---------------------------------------------------------------- evicting */

/* The page leaves the cache; the frame is the caller's. As pc_frame_release. */
static void empty(struct keel_pagecache *cache, struct keel_frame *frame, pc_word *word,
                  enum pc_frame_state from, uint64_t past)
{
    uint64_t value = atomic_load_explicit(word, memory_order_relaxed);

    KEEL_INV(P3, pc_word_resident(value) && pc_word_index(value) == frame->index);
    KEEL_INV(P3,
             pc_word_latch(value) == (from == PC_FRAME_READING ? PC_LATCH_IO : PC_LATCH_EXCLUSIVE));
    KEEL_DCHECK(pc_frame_rec_lsn(frame) == KEEL_LSN_MAX);

    frame->void_private = false;
    pc_frame_moved(frame, from, PC_FRAME_FREE);
    pc_word_clear(word, past);
    if (value & PC_WORD_YOUNG)
        young_drop(cache, frame);
}

void pc_frame_release(struct keel_pagecache *cache, struct keel_frame *frame, pc_word *word,
                      enum pc_frame_state from, uint64_t past)
{
    empty(cache, frame, word, from, past);

    /* A ring's frame goes back to its ring, which looks for it. release: pairs with reclaim. */
    uint32_t owned = PC_RING_OWNED;
    if (!atomic_compare_exchange_strong_explicit(&frame->ring, &owned, PC_RING_RETURNED,
                                                 memory_order_acq_rel, memory_order_acquire))
        pc_frame_put(cache, frame);
}

/* What the word of this page is after it was evicted. */
static uint64_t past_of(const struct keel_pagecache *cache, uint64_t value)
{
    if (!(value & PC_WORD_YOUNG))
        return 0;
    return pc_policy_past(atomic_load_explicit(&cache->evictions, memory_order_relaxed),
                          cache->frame_count);
}

/* Evict the page of a word that was seen as value, with a free latch, from a frame that is whose
 * `ring` says. */
static bool evict_seen(struct keel_pagecache *cache, struct keel_frame *frame, pc_word *word,
                       uint64_t value, enum pc_ring_state ring)
{
    if (!pc_latch_exclusive(word, value, value & ~PC_LATCH_MASK))
        return false;
    /* While the word is ours no ring can take the frame. */
    if (atomic_load_explicit(&frame->ring, memory_order_relaxed) != ring) {
        pc_unlatch_exclusive(word);
        return false;
    }

    /* The word names the frame and is ours: from here on the state cannot leave CLEAN or FAILED. */
    enum pc_frame_state state = pc_frame_state(frame);
    if (state != PC_FRAME_CLEAN && state != PC_FRAME_FAILED) {
        pc_unlatch_exclusive(word);
        return false;
    }
    KEEL_DCHECK((state == PC_FRAME_FAILED) == (pc_word_latch(value) == PC_LATCH_BAD));
    TRACE(PAGE_EVICT, frame->index, NULL,
          atomic_load_explicit(&frame->pageno, memory_order_relaxed), 0, 0);
    empty(cache, frame, word, state, past_of(cache, value));
    pc_count(&cache->evictions, 1);
    return true;
}

pc_word *pc_frame_evictable(const struct keel_frame *frame, uint64_t *ret_value)
{
    enum pc_frame_state state = pc_frame_state(frame);
    if (state != PC_FRAME_CLEAN && state != PC_FRAME_FAILED)
        return NULL;

    pc_word *word = pc_frame_word(frame, ret_value);
    if (!word)
        return NULL;
    uint64_t latch = pc_word_latch(*ret_value);
    return latch == 0 || latch == PC_LATCH_BAD ? word : NULL;
}

bool pc_frame_evict(struct keel_pagecache *cache, struct keel_frame *frame)
{
    uint64_t value;
    pc_word *word = pc_frame_evictable(frame, &value);

    return word && evict_seen(cache, frame, word, value, PC_RING_NONE);
}

bool pc_frame_evict_own(struct keel_pagecache *cache, struct keel_frame *frame)
{
    uint64_t value;
    pc_word *word = pc_frame_evictable(frame, &value);

    return word && pc_policy_used_once(value) &&
           evict_seen(cache, frame, word, value, PC_RING_OWNED);
}

/* The turn of the first of the young. How many of the order became free; *turns: less one for a
 * page that queues again, 0 when there is none. */
static uint32_t visit_young(struct keel_pagecache *cache, uint32_t order, uint32_t *turns)
{
    struct keel_frame *frame = young_take(cache, order);
    uint64_t value;

    if (!frame) {
        *turns = 0;
        return 0;
    }
    pc_word *word = pc_frame_evictable(frame, &value);
    if (word && (value & PC_WORD_YOUNG)) {
        uint64_t next = value;
        bool goes = pc_policy_visit_young(&next);
        if (goes && evict_seen(cache, frame, word, value, PC_RING_NONE)) {
            pc_frame_put(cache, frame);
            return 1;
        }
        /* A failed or lost race leaves it to its next turn. */
        if (!goes)
            atomic_compare_exchange_strong_explicit(word, &value, next, memory_order_relaxed,
                                                    memory_order_relaxed);
    }
    if (young_put_back(cache, frame))
        --*turns;
    return 0;
}

/* The clock visits one frame; how many of the order became free. */
static uint32_t visit(struct keel_pagecache *cache, struct keel_frame *frame, uint32_t order)
{
    uint64_t value;

    if (pc_frame_order(frame) != order)
        return pc_slab_change(cache, frame->index, order, PC_SLAB_COLD);
    if (atomic_load_explicit(&frame->ring, memory_order_relaxed) != PC_RING_NONE)
        return 0;
    pc_word *word = pc_frame_evictable(frame, &value);
    if (!word || (value & PC_WORD_YOUNG))
        return 0;
    uint64_t next = value;
    if (!pc_policy_visit(&next)) {
        /* A failed or lost race leaves the mark to the next visit. */
        atomic_compare_exchange_strong_explicit(word, &value, next, memory_order_relaxed,
                                                memory_order_relaxed);
        return 0;
    }
    if (!evict_seen(cache, frame, word, value, PC_RING_NONE))
        return 0;
    pc_frame_put(cache, frame);
    return 1;
}

/* One round of the clock at most, and so many turns of young pages that stay so; how many became
 * free, n if possible. */
static uint32_t evict_round(struct keel_pagecache *cache, uint32_t order, uint32_t n,
                            uint32_t turns)
{
    uint32_t frames = cache->frame_count, visits = frames, evicted = 0;

    while (evicted < n) {
        uint32_t young = atomic_load_explicit(&cache->young_units, memory_order_relaxed);
        if (turns > 0 && (visits == 0 || pc_policy_young_first(young, frames))) {
            evicted += visit_young(cache, order, &turns);
        } else if (visits > 0) {
            visits--;
            uint32_t at = atomic_fetch_add_explicit(&cache->evict_hand, 1, memory_order_relaxed);
            evicted += visit(cache, &cache->frames[at % frames], order);
        } else {
            break;
        }
    }
    return evicted;
}

uint32_t pc_evict(struct keel_pagecache *cache, uint32_t order, uint32_t n)
{
    atomic_fetch_add(&cache->sweepers, 1);
    /* Changed pages queue until they are written, so not all of the young are looked at at first.
     * A page may stay at its turn, then at the clock's, and goes at the next one. */
    uint32_t evicted = evict_round(cache, order, n, YOUNG_TURNS * n);
    for (uint32_t round = 1; round < 3 && evicted == 0; round++)
        evicted = evict_round(cache, order, n, atomic_load(&cache->young_units));
    atomic_fetch_sub(&cache->sweepers, 1);
    return evicted;
}

struct keel_frame *pc_frame_try_get(struct keel_pagecache *cache, uint32_t order)
{
    struct keel_frame *frame = pop(cache, order);
    if (!frame && pc_slab_spare(cache, order) > 0)
        frame = pop(cache, order);
    if (frame)
        return frame;

    /* Of a small cache a small part, or the batch would drive out what is in use. */
    uint32_t part = cache->frame_count / PC_FRAMES_MIN;
    uint32_t batch = (part < PC_EVICT_BATCH ? part : PC_EVICT_BATCH) >> order;
    return pc_evict(cache, order, batch > 0 ? batch : 1) > 0 ? pop(cache, order) : NULL;
}

/* What the frames are busy with when none can be had. */
struct survey {
    bool hope; /* one of the order comes free when I/O is done, or a latch let go */
    struct keel_frame *reading; /* one that is being read, or NULL */
};

/* Pinned by threads, or kept by a stream. */
static bool held_fast(struct keel_frame *frame, struct survey *survey)
{
    bool ringed = atomic_load_explicit(&frame->ring, memory_order_relaxed) != PC_RING_NONE;
    uint64_t value;

    if (!pc_frame_word(frame, &value))
        return ringed;
    if (pc_word_latch(value) == PC_LATCH_IO && !survey->reading)
        survey->reading = frame;
    return pc_word_fixed(value) || (ringed && pc_word_latch(value) == 0);
}

static struct survey look_around(struct keel_pagecache *cache, uint32_t order)
{
    struct survey survey = {0};

    for (uint32_t first = 0; first < cache->frame_count; first += cache->slab_units) {
        uint32_t end = first + cache->slab_units, frames = 0, fast = 0;
        bool own = pc_frame_order(&cache->frames[first]) == order;
        bool whole = end <= cache->frame_count;

        for (uint32_t i = first; i < end && i < cache->frame_count; i++) {
            if (pc_frame_order(&cache->frames[i]) == PC_ORDER_PART)
                continue;
            frames++;
            fast += held_fast(&cache->frames[i], &survey);
        }
        if (own ? fast < frames : whole && fast == 0)
            survey.hope = true;
    }
    return survey;
}

/* Nothing is to be waited for: is there any hope? 0: yes, in a moment. */
static int stuck(struct keel_pagecache *cache, const struct survey *survey, int written)
{
    if (written < 0)
        return written;
    if (atomic_load_explicit(&cache->poison_lsn, memory_order_relaxed) != KEEL_LSN_MAX)
        return KEEL_EPOISON;
    /* A flusher or evictor in another thread holds latches too, but not for long. */
    if (!survey->hope && atomic_load(&cache->sweepers) == 0)
        return KEEL_EFULL;
    return 0;
}

/*
 * Make something happen that frees a frame, and wait for it. 0: try again.
 * Progress: each round waits for a request in flight, driving it, or finds the reason why there is
 * none; frames that are neither are in the hands of a thread inside one of these functions.
 */
static int wait_for_frame(struct keel_ctx *ctx, struct keel_pagecache *cache, uint32_t order)
{
    uint64_t errors = atomic_load(&cache->write_errors);
    int written = keel_pagecache_writeback(ctx, cache, KEEL_LSN_MAX, 0, true);

    pc_flush_promote(cache);
    bool waited = keel_pagecache_wait_any(cache);
    /* Nobody may go round for ever on a device that refuses writes. */
    if (atomic_load(&cache->write_errors) != errors)
        return atomic_load(&cache->write_error);
    if (waited)
        return 0;
    struct survey survey = look_around(cache, order);
    if (survey.reading) {
        pc_read_wait(cache, survey.reading);
        return 0;
    }
    int rc = stuck(cache, &survey, written);
    if (rc == 0)
        sched_yield();
    return rc;
}

/* The same for who must not wait: start it, and say whether coming back makes sense. */
static int start_for_frame(struct keel_ctx *ctx, struct keel_pagecache *cache, uint32_t order)
{
    int written = keel_pagecache_writeback(ctx, cache, KEEL_LSN_MAX, 0, false);
    pc_flush_promote(cache);
    if (written > 0 || pc_flush_kick(ctx, cache))
        return KEEL_PENDING;

    struct survey survey = look_around(cache, order);
    if (survey.reading) {
        struct keel_ioref ref = keel_io_ref(pc_frame_io(cache, survey.reading));
        keel_ioref_promote(ref, KEEL_CLASS_READ);
        keel_ioref_kick(ctx, ref);
        return KEEL_PENDING;
    }
    int rc = stuck(cache, &survey, written);
    return rc == 0 ? KEEL_PENDING : rc;
}

int pc_frame_get(struct keel_ctx *ctx, struct keel_pagecache *cache, uint32_t order, bool nowait,
                 struct keel_frame **ret)
{
    int rc = 0;

    for (;;) {
        *ret = pc_frame_try_get(cache, order);
        if (*ret)
            return 0;
        if (rc != 0)
            return rc;
        rc = nowait ? start_for_frame(ctx, cache, order) : wait_for_frame(ctx, cache, order);
    }
}

/* Until `target` units are free in frames of this order, or a round found nothing. */
static void evict_order(struct keel_pagecache *cache, uint32_t order, uint32_t target)
{
    uint32_t want = target >> order > 0 ? target >> order : 1;

    for (;;) {
        uint32_t count = atomic_load_explicit(&cache->free_count[order], memory_order_relaxed);
        if (count >= want)
            return;
        uint32_t left = want - count;
        if (pc_evict(cache, order, left < PC_EVICT_BATCH ? left : PC_EVICT_BATCH) == 0)
            return;
    }
}

uint32_t keel_pagecache_evict(struct keel_pagecache *cache, uint32_t target)
{
    uint32_t orders = atomic_load_explicit(&cache->orders, memory_order_relaxed);

    if (target > cache->frame_count)
        target = cache->frame_count;
    for (uint32_t order = 0; target > 0 && order < PC_ORDERS; order++) {
        if (orders >> order & 1)
            evict_order(cache, order, target);
    }
    return pc_free_units(cache);
}
