/*
 * Frames: page-sized pieces of the arena, each with a state, a version and the request that reads
 * it. docs/design/page-frame.md is printed from the two tables here.
 *
 * There is a struct for each unit of the cache's memory (its smallest page). A frame of a larger
 * page has that of its first unit; those of its other units lie idle, FREE and PC_ORDER_PART
 * (slab.h).
 */
#ifndef KEEL_PAGECACHE_FRAME_H
#define KEEL_PAGECACHE_FRAME_H

#include <stdatomic.h>

#include <keel/pagecache.h>

#include "base/list.h"
#include "base/text.h"
#include "pagecache/page.h"

/* clang-format off */
/* name, who may move it on, its word in the table, recLSN, meaning */
#define PC_FRAME_STATES(X) \
X(FREE,      "free list, or who popped it", "none",         "none",  "holds no page") \
X(READING,   "completion of its read",      "IO",           "none",  "its page is being read; waiters drive the read (I6)") \
X(CLEAN,     "holder of EXCLUSIVE",         "any",          "none",  "as on the device, or new and not yet changed") \
X(DIRTY,     "flusher holding SHARED",      "any",          "valid", "changed; to be written once the log is durable up to its LSN (P1)") \
X(WRITING,   "completion of its write",     "any",          "valid", "a sealed copy is being written; the page may be read and changed") \
X(REDIRTIED, "completion of its write",     "any",          "valid", "as WRITING, and changed since the copy was made") \
X(FAILED,    "who makes BAD EXCLUSIVE",     "BAD",          "none",  "its read failed; the next fixer takes the error")

/* from, to, when */
#define PC_FRAME_EDGES(E) \
E(FREE,      READING,   "miss or prefetch: a read is about to be queued") \
E(FREE,      CLEAN,     "fixed as new") \
E(READING,   CLEAN,     "read and checked (P4)") \
E(READING,   FAILED,    "not read, or not valid") \
E(READING,   FREE,      "the read could not be queued, another thread was first (P2), or a read of several pages failed and each is read anew") \
E(FAILED,    FREE,      "the error was taken, or the frame was needed") \
E(FAILED,    CLEAN,     "fixed as new, or never written and fixed for redo") \
E(CLEAN,     DIRTY,     "changed") \
E(CLEAN,     FREE,      "evicted or dropped") \
E(DIRTY,     FREE,      "its space was truncated or dropped") \
E(DIRTY,     WRITING,   "copied and sealed for write-back; one write in flight per frame (P2)") \
E(WRITING,   CLEAN,     "written") \
E(WRITING,   DIRTY,     "the write failed or could not be queued") \
E(WRITING,   REDIRTIED, "changed while it is being written") \
E(REDIRTIED, DIRTY,     "the write ended, well or not: there is more to write")
/* clang-format on */

enum pc_frame_state {
#define PC_FRAME_STATE_MEMBER(name, owner, word, rec, meaning) PC_FRAME_##name,
    PC_FRAME_STATES(PC_FRAME_STATE_MEMBER)
#undef PC_FRAME_STATE_MEMBER
        PC_FRAME_STATE_COUNT
};

/* Whose a frame is; ring.c. GONE: nobody's, taken out of the cache (resize.c). */
enum pc_ring_state { PC_RING_NONE = 0, PC_RING_OWNED, PC_RING_RETURNED, PC_RING_GONE };

#define PC_ORDERS     5u   /* page sizes of a cache: its unit, times 2, 4, 8, 16 */
#define PC_ORDER_PART 255u /* not the first unit of a frame */

struct keel_frame {
    /*
     * Atomic. state: moved by pc_frame_move alone.
     * space, pageno: which page it holds; set by who popped it from the free list, before its word
     * is published. A reader without a latch trusts them only when the word of that page names this
     * frame (pc_frame_word).
     */
    _Atomic uint32_t state;
    uint32_t index; /* constant */
    _Atomic(struct keel_space *) space;
    _Atomic keel_pageno pageno;

    /*
     * Atomic. page_lsn: that of the page's header, for who holds no latch.
     * recLSN is the smaller of the other two, each KEEL_LSN_MAX when it says nothing: rec_lsn of
     * changes that no copy holds, write_lsn of those in a copy that is not known to be written.
     * A value goes from rec_lsn to write_lsn to nothing, never back (flush.c).
     */
    _Atomic keel_lsn page_lsn;
    _Atomic keel_lsn rec_lsn;
    _Atomic keel_lsn write_lsn;

    /* Atomic. lead: the frame whose request reads this one (its own, or the first of a run).
     * ring: enum pc_ring_state; ring.c has the rules. */
    _Atomic uint32_t lead;
    _Atomic uint32_t ring;

    /* Atomic. The frame has 1 << order units; or PC_ORDER_PART. Changed by who has taken all frames
     * of the slab (slab.c), each FREE and on no list. */
    _Atomic uint8_t order;

    /* holder of EXCLUSIVE: the contents are not those of the device and nobody has changed them
     * yet; unfixing such a page forgets it */
    bool void_private;

    /* who moved it FREE to READING, then iosched, then its completion */
    struct keel_io io;

    /* under free_lock: on the free list of its order, and on the queue of the young, or none */
    struct list free_link;
    struct list young_link;

    /* written before FAILED, read by who takes the error */
    int32_t fail_code;
    struct pc_page_fault fail;
} __attribute__((aligned(64)));

const char *pc_frame_state_name(enum pc_frame_state state);
const char *pc_frame_state_meaning(enum pc_frame_state state);

/* Is this edge in the table? */
bool pc_frame_may_move(enum pc_frame_state from, enum pc_frame_state to);

/*
 * The one function that changes a frame's state. False, and nothing happened: it is no longer in
 * `from`, which is possible only where two may move it. An edge that is not in the table traps.
 */
bool pc_frame_move(struct keel_frame *frame, enum pc_frame_state from, enum pc_frame_state to);

/* As pc_frame_move, by the only one who may: traps when it is not in `from`. */
void pc_frame_moved(struct keel_frame *frame, enum pc_frame_state from, enum pc_frame_state to);

static inline enum pc_frame_state pc_frame_state(const struct keel_frame *frame)
{
    /* acquire: pairs with the release in pc_frame_move, so what the state says is valid is. */
    return (enum pc_frame_state)atomic_load_explicit(&frame->state, memory_order_acquire);
}

static inline bool pc_frame_being_written(enum pc_frame_state state)
{
    return state == PC_FRAME_WRITING || state == PC_FRAME_REDIRTIED;
}

/* Of any frame but a part. relaxed: it does not change while a page is in it. */
static inline uint32_t pc_frame_order(const struct keel_frame *frame)
{
    return atomic_load_explicit(&frame->order, memory_order_relaxed);
}

static inline uint32_t pc_frame_units(const struct keel_frame *frame)
{
    return 1u << pc_frame_order(frame);
}

/* Empty: FREE, no LSNs, of one unit. */
void pc_frame_init(struct keel_frame *frame, uint32_t index);

/* Smaller of rec_lsn and write_lsn; never larger than the recLSN of a change made before the call.
 */
keel_lsn pc_frame_rec_lsn(const struct keel_frame *frame);

/* Trap unless the fields are as the state says. Caller: holder of EXCLUSIVE or IO, or of the
 * frame itself (FREE). */
void pc_frame_check(const struct keel_frame *frame);

/* One line: index, state, page, LSNs. */
void pc_frame_text(struct text *text, const void *frame);

#endif
