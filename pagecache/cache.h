/*
 * The page cache and its spaces: the structs that the files of this folder share, and the few
 * helpers that connect frames, words and pages.
 */
#ifndef KEEL_PAGECACHE_CACHE_H
#define KEEL_PAGECACHE_CACHE_H

#include <keel/pagecache.h>

#include "base/list.h"
#include "base/lock.h"
#include "pagecache/frame.h"
#include "pagecache/readahead.h"
#include "pagecache/table.h"

#define PC_FRAMES_MIN 16u
#define PC_STRIPES    64u /* counters of the hit path; a power of two */
#define PC_SPACE_MAX  65535u

/* Counters of the threads that share a stripe. Loads and stores, no atomic add: two threads of one
 * stripe may lose a count, no thread ever waits for another's cache line. */
struct pc_stripe {
    _Atomic uint64_t hits; /* comes first, for keel/pagehit.h */
    _Atomic uint64_t misses;
} __attribute__((aligned(128))); /* processors fetch lines in pairs */
_Static_assert(sizeof(struct pc_stripe) == 128, "as in keel/pagehit.h");

/* One merged write: adjacent pages of a space, copied and sealed. */
struct pc_chunk {
    /* set at open, then constant */
    struct keel_pagecache *cache;
    char *copy;
    uint32_t *frames; /* room for chunk_units */

    /* who took it, until its request is queued; then its completion */
    struct keel_io io;
    struct keel_space *space;
    keel_pageno first;
    uint32_t count;
    keel_lsn lsn_max; /* largest page LSN in it */

    struct list link;      /* under pool_lock: chunks_idle, chunks_busy, or none */
    _Atomic uint64_t uses; /* completions so far; bumped when back on chunks_idle */
};

struct keel_pagecache {
    /* set at open, then constant; the first line is what a hit needs */
    struct keel_frame *frames;
    char *data; /* frame_count units */
    /* One per frame, close together since an optimistic read looks at it (pagehit.h). Bumped at
     * each load and each release of EXCLUSIVE; survives eviction, so that equal versions mean equal
     * bytes. */
    _Atomic uint64_t *versions;
    uint32_t unit_shift;         /* of the smallest page; all numbers of frames count units of it */
    _Atomic keel_lsn poison_lsn; /* pages above are not served; KEEL_LSN_MAX; only goes down */
    uint32_t frames_max;
    uint32_t slab_units; /* of the largest page there can be; 1 when the unit is that */
    uint32_t chunk_units;
    struct keel_pagecache_options options;
    size_t frames_bytes;
    size_t data_at; /* of data in the arena */

    /*
     * Atomic; changed by resize.c alone, one thread at a time. Frames below frame_count are in use,
     * those from there up to frames_seen are on their way out: nobody takes them any more, but
     * there may be pages in them. Who looks at every page looks at frames_seen; release: the new
     * frames first.
     */
    _Atomic uint32_t frame_count;
    _Atomic uint32_t frames_seen;
    _Atomic bool resizing;
    uint32_t frames_begun; /* under `resizing`: so many were ever in use */

    /* atomic; relaxed where nothing else is said */
    _Atomic uint32_t evict_hand;
    _Atomic uint32_t write_hand;
    _Atomic uint32_t ring_hand;
    _Atomic uint32_t orders;       /* bit per order of which there ever was a space */
    _Atomic uint32_t dirty_units;  /* of frames DIRTY, WRITING or REDIRTIED */
    _Atomic uint32_t sweepers;     /* threads that hold latches for a moment: evicting, flushing */
    _Atomic keel_lsn log_known;    /* the log is durable up to here; release/acquire in flush.c */
    _Atomic uint64_t write_errors; /* failed writes so far */
    _Atomic int32_t write_error;   /* the first one */
    _Atomic uint64_t reads, writes, pages_written, evictions, checksum_errors, log_waits;

    /* under free_lock (rank LEAF), one per order; free_count may be read without */
    struct lock free_lock;
    struct list free[PC_ORDERS];
    _Atomic uint32_t free_count[PC_ORDERS];
    struct list young[PC_ORDERS]; /* frames of pages that came lately, in that order; policy.h */
    _Atomic uint32_t young_units; /* of all of them; may be read without */

    /* under pool_lock (rank LEAF) */
    struct lock pool_lock;
    struct list chunks_idle;
    _Atomic uint32_t idle_count; /* of chunks; may be read without the lock */
    struct list chunks_busy;     /* in the order in which they were queued */
    struct pc_chunk *chunks;
    uint32_t *chunk_frames;

    /* under space_lock (rank LEAF) */
    struct lock space_lock;
    struct keel_space *spaces;
    struct keel_space *husks; /* dropped; each serves the next that fits into it */
    struct list streams_idle;
    struct keel_stream *streams; /* PC_STREAMS_MAX of them, and their page numbers */
    keel_pageno *stream_pages;

    struct pc_stripe stripes[PC_STRIPES];
};

struct keel_space {
    struct keel_space_private_ hot; /* comes first, for keel/pagehit.h; constant but for limit */

    /* set at open, then constant */
    struct keel_pagecache *cache;
    struct pc_table table;
    _Atomic uint32_t id; /* set at open; who looks at a frame without a latch may still read it */
    struct keel_device *device;
    uint32_t order; /* of its pages' frames */
    uint32_t page_shift;
    bool atomic_writes;
    struct keel_space *next; /* of cache->spaces or cache->husks */

    /* under runs_lock (rank LEAF), which nobody waits for */
    struct lock runs_lock;
    struct pc_runs runs;

    /* atomic: release in keel_space_grow, acquire in fix */
    _Atomic keel_pageno pages;
    _Atomic uint64_t reads, pages_written, checksum_errors;
};

/* Set up frames first to end - 1, which were never in use: FREE, of one unit, on no list. */
void pc_frames_begin(struct keel_pagecache *cache, uint32_t first, uint32_t end);

/* The page that a frame holds: header and user part. */
static inline char *pc_frame_page(const struct keel_pagecache *cache, uint32_t index)
{
    return cache->data + ((size_t)index << cache->unit_shift);
}

static inline uint32_t pc_page_bytes(const struct keel_space *space)
{
    return 1u << space->page_shift;
}

static inline struct keel_frame *pc_page_frame(const struct keel_page *page)
{
    KEEL_ASSERT(page->word_private); /* it is fixed */
    /* Relaxed: it is the same as long as the page is fixed. */
    uint64_t value = __atomic_load_n(page->word_private, __ATOMIC_RELAXED);
    return &page->space->cache->frames[pc_word_index(value)];
}

/* Where the word of its page is, or NULL. What is there may be another frame's by now. */
static inline pc_word *pc_frame_place(const struct keel_frame *frame)
{
    struct keel_space *space = atomic_load_explicit(&frame->space, memory_order_acquire);
    if (!space)
        return NULL;

    keel_pageno pageno = atomic_load_explicit(&frame->pageno, memory_order_relaxed);
    return pageno < space->table.pages_max ? &space->table.words[pageno] : NULL;
}

/*
 * The word of the page that the frame says it holds, and its value; NULL when that word names
 * another frame, that is when the frame is free or just changing hands. When it is not NULL, frame
 * and page belonged together at the moment of the load.
 */
static inline pc_word *pc_frame_word(const struct keel_frame *frame, uint64_t *ret_value)
{
    pc_word *word = pc_frame_place(frame);
    if (!word)
        return NULL;

    uint64_t value = atomic_load_explicit(word, memory_order_acquire);
    if (!pc_word_resident(value) || pc_word_index(value) != frame->index)
        return NULL;
    *ret_value = value;
    return word;
}

/* The request that reads this frame, alone or with its neighbours. */
static inline struct keel_io *pc_frame_io(struct keel_pagecache *cache,
                                          const struct keel_frame *frame)
{
    return &cache->frames[atomic_load_explicit(&frame->lead, memory_order_relaxed)].io;
}

/* In the cache, or on the way. pageno: below pages_max. */
static inline bool pc_resident(const struct keel_space *space, keel_pageno pageno)
{
    return pc_word_resident(
        atomic_load_explicit(&space->table.words[pageno], memory_order_relaxed));
}

/* The counters of this thread. */
static inline struct pc_stripe *pc_stripe_self(struct keel_pagecache *cache)
{
    if (__builtin_expect(keel_stripe_private_ == 0, 0))
        keel_stripe_choose_private_();
    return &cache->stripes[keel_stripe_private_ / sizeof(struct pc_stripe) - 1];
}

static inline void pc_count_own(_Atomic uint64_t *counter)
{
    uint64_t was = atomic_load_explicit(counter, memory_order_relaxed);

    atomic_store_explicit(counter, was + 1, memory_order_relaxed);
}

/* Its one owner is about to publish new contents, or has changed them: equal versions mean equal
 * bytes. release: after the bytes, and before the word that lets others in; pairs with
 * keel_peek_valid. */
static inline void pc_version_bump(const struct keel_pagecache *cache, uint32_t index)
{
    _Atomic uint64_t *version = &cache->versions[index];
    uint64_t was = atomic_load_explicit(version, memory_order_relaxed);

    atomic_store_explicit(version, was + 1, memory_order_release);
}

static inline void pc_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

#endif
