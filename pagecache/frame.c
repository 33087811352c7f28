/*
 * The state machine of frames.
 */
#include "pagecache/frame.h"

#include "base/assert.h"
#include "base/trace.h"

static const char *const state_names[] = {
#define STATE_NAME(name, owner, word, rec, meaning) [PC_FRAME_##name] = #name,
    PC_FRAME_STATES(STATE_NAME)
#undef STATE_NAME
};

static const char *const state_meanings[] = {
#define STATE_MEANING(name, owner, word, rec, meaning) [PC_FRAME_##name] = meaning,
    PC_FRAME_STATES(STATE_MEANING)
#undef STATE_MEANING
};

static const bool edges[PC_FRAME_STATE_COUNT][PC_FRAME_STATE_COUNT] = {
#define EDGE(from, to, when) [PC_FRAME_##from][PC_FRAME_##to] = true,
    PC_FRAME_EDGES(EDGE)
#undef EDGE
};

const char *pc_frame_state_name(enum pc_frame_state state)
{
    return (unsigned)state < PC_FRAME_STATE_COUNT ? state_names[state] : "?";
}

const char *pc_frame_state_meaning(enum pc_frame_state state)
{
    return (unsigned)state < PC_FRAME_STATE_COUNT ? state_meanings[state] : "?";
}

bool pc_frame_may_move(enum pc_frame_state from, enum pc_frame_state to)
{
    return (unsigned)from < PC_FRAME_STATE_COUNT && (unsigned)to < PC_FRAME_STATE_COUNT &&
           edges[from][to];
}

bool pc_frame_move(struct keel_frame *frame, enum pc_frame_state from, enum pc_frame_state to)
{
    /* P2: WRITING is reached from DIRTY alone, READING from FREE alone. */
    KEEL_INV(P2, pc_frame_may_move(from, to));

    /* release: pairs with pc_frame_state. acquire: the next mover sees what the last one wrote. */
    uint32_t expected = (uint32_t)from;
    if (!atomic_compare_exchange_strong_explicit(&frame->state, &expected, (uint32_t)to,
                                                 memory_order_acq_rel, memory_order_acquire))
        return false;
    TRACE(PAGE_MOVE, frame->index, pc_frame_state_name(to),
          atomic_load_explicit(&frame->pageno, memory_order_relaxed),
          atomic_load_explicit(&frame->page_lsn, memory_order_relaxed), 0);
    return true;
}

void pc_frame_moved(struct keel_frame *frame, enum pc_frame_state from, enum pc_frame_state to)
{
    bool moved = pc_frame_move(frame, from, to);

    KEEL_ASSERT(moved);
}

void pc_frame_init(struct keel_frame *frame, uint32_t index)
{
    KEEL_ASSERT(pc_frame_state(frame) == PC_FRAME_FREE);

    frame->index = index;
    list_init(&frame->free_link);
    list_init(&frame->young_link);
    atomic_init(&frame->rec_lsn, KEEL_LSN_MAX);
    atomic_init(&frame->write_lsn, KEEL_LSN_MAX);
}

keel_lsn pc_frame_rec_lsn(const struct keel_frame *frame)
{
    /*
     * A value moves from rec_lsn to write_lsn by a store to write_lsn, then one to rec_lsn
     * (release, flush.c); so it must be looked for in that direction too: not in rec_lsn at the
     * first load (acquire) means it was in write_lsn by then, and it leaves that only when it is
     * written.
     */
    keel_lsn rec = atomic_load_explicit(&frame->rec_lsn, memory_order_acquire);
    keel_lsn write = atomic_load_explicit(&frame->write_lsn, memory_order_acquire);

    return rec < write ? rec : write;
}

void pc_frame_check(const struct keel_frame *frame)
{
    enum pc_frame_state state = pc_frame_state(frame);

    KEEL_ASSERT((unsigned)state < PC_FRAME_STATE_COUNT);
    if (state == PC_FRAME_FREE || state == PC_FRAME_READING || state == PC_FRAME_FAILED)
        KEEL_ASSERT(pc_frame_rec_lsn(frame) == KEEL_LSN_MAX);
    if (state == PC_FRAME_FAILED)
        KEEL_ASSERT(frame->fail_code < 0);
    if (state == PC_FRAME_DIRTY)
        KEEL_ASSERT(pc_frame_rec_lsn(frame) != KEEL_LSN_MAX);
    if (state != PC_FRAME_FREE)
        KEEL_ASSERT(atomic_load_explicit(&frame->space, memory_order_relaxed));
}

void pc_frame_text(struct text *text, const void *object)
{
    const struct keel_frame *frame = object;

    text_printf(text, "frame %u %s page %llu lsn %llu rec %llu write %llu", frame->index,
                pc_frame_state_name(pc_frame_state(frame)),
                (unsigned long long)atomic_load(&frame->pageno),
                (unsigned long long)atomic_load(&frame->page_lsn),
                (unsigned long long)atomic_load(&frame->rec_lsn),
                (unsigned long long)atomic_load(&frame->write_lsn));
}
