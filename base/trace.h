/*
 * Trace: a ring of the last events of each thread, always compiled in.
 *
 * An event costs one time-stamp counter read and one cache line. The ring belongs to its thread;
 * there are no locks and nothing is allocated. A failed assertion prints its end, dumps print it,
 * and a simulated run with a clock of its own prints the same text every time.
 */
#ifndef KEEL_BASE_TRACE_H
#define KEEL_BASE_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/trace_events.h"

struct text;

#define TRACE_RING_MAX 256 /* events kept per thread; a power of two */

enum trace_event {
#define TRACE_EVENT_MEMBER(name, object, meaning) TRACE_##name,
    TRACE_EVENTS(TRACE_EVENT_MEMBER)
#undef TRACE_EVENT_MEMBER
        TRACE_EVENT_COUNT
};

/* The columns. One cache line. */
struct trace_entry {
    uint64_t ticks; /* clock_ticks(), or nanoseconds of the clock in use */
    uint64_t id;    /* which object */
    const char *op; /* constant string: operation or state; may be NULL */
    uint64_t offset;
    uint64_t len;
    int64_t res;
    uint32_t event; /* enum trace_event */
    uint32_t unused[3];
};

/* this thread only */
struct trace_ring {
    uint64_t count; /* events ever recorded */
    uint64_t (*clock_ns)(void);
    uint64_t base_ticks; /* one instant on both clocks, */
    uint64_t base_ns;    /* taken at the first event */
    struct trace_entry entry[TRACE_RING_MAX];
};

extern _Thread_local struct trace_ring trace_ring_self __attribute__((visibility("hidden")));

void trace_begin(struct trace_ring *ring, uint64_t ticks);

/* Record an event of this thread that happened at ticks of clock_ticks(): for who records several
 * at one time, since reading the counter costs more than the rest. op: a constant string or NULL.
 */
static inline void trace_record_at(uint64_t ticks, enum trace_event event, uint64_t id,
                                   const char *op, uint64_t offset, uint64_t len, int64_t res)
{
    struct trace_ring *ring = &trace_ring_self;

    /*
     * Form the address once. Besides being shorter, this keeps gcc's null check of it right: the
     * check would use the flags of an add that the linker relaxes into a lea, which sets none.
     */
    __asm__("" : "+r"(ring));

    if (__builtin_expect(ring->count == 0, 0))
        trace_begin(ring, ticks);

    struct trace_entry *entry = &ring->entry[ring->count++ % TRACE_RING_MAX];
    entry->ticks = ring->clock_ns ? ring->clock_ns() : ticks;
    entry->id = id;
    entry->op = op;
    entry->offset = offset;
    entry->len = len;
    entry->res = res;
    entry->event = (uint32_t)event;
}

/* Record an event that happens now. */
static inline void trace_record(enum trace_event event, uint64_t id, const char *op,
                                uint64_t offset, uint64_t len, int64_t res)
{
    trace_record_at(clock_ticks(), event, id, op, offset, len, res);
}

/* TRACE(IO_SUBMIT, id, "read", offset, len, 0): EVENT is a name of the table, without prefix. */
#define TRACE(EVENT, id, op, offset, len, res) \
    trace_record(TRACE_##EVENT, (id), (op), (offset), (len), (res))
#define TRACE_AT(ticks, EVENT, id, op, offset, len, res) \
    trace_record_at((ticks), TRACE_##EVENT, (id), (op), (offset), (len), (res))

/*
 * Events of each single request are kept only while somebody asks for them: together they cost as
 * much as everything else that is done for one. Debug builds ask from the start; in another one,
 * `set var trace_each = 1` in a debugger. Set before the threads that look at it, or in passing.
 */
extern uint32_t trace_each __attribute__((visibility("hidden")));

static inline bool trace_each_wanted(void)
{
    return __builtin_expect(__atomic_load_n(&trace_each, __ATOMIC_RELAXED) != 0, 0);
}

/* An object's id from its address, for objects that have no number. */
static inline uint64_t trace_id(const void *object)
{
    return (uint64_t)(uintptr_t)object;
}

/* Print the last n events of this thread, oldest first, in fixed columns under a heading. */
void trace_print_last(struct text *text, size_t n);

/* Forget this thread's events. */
void trace_clear(void);

/* Let this thread's events carry another clock (NULL: the real one again). Forgets its events. */
void trace_use_clock(uint64_t (*clock_ns)(void));

const char *trace_event_name(enum trace_event event);
const char *trace_event_object(enum trace_event event);
const char *trace_event_meaning(enum trace_event event);

#endif
