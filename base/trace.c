/*
 * The trace ring's slow side: printing, and turning counter ticks into nanoseconds.
 *
 * The rate of the counter is not known beforehand. Two instants, one at the first event and one at
 * the time of printing, are read on both clocks; events lie on the line between them.
 */
#include "base/trace.h"

#include <inttypes.h>

#include "base/text.h"

_Thread_local struct trace_ring trace_ring_self;

#ifdef NDEBUG
uint32_t trace_each = 0;
#else
uint32_t trace_each = 1;
#endif

_Static_assert((TRACE_RING_MAX & (TRACE_RING_MAX - 1)) == 0, "the ring is indexed by a mask");
_Static_assert(sizeof(struct trace_entry) == 64, "one cache line");

static const struct {
    const char *name;
    const char *object;
    const char *meaning;
} events[] = {
#define TRACE_EVENT_ROW(name, object, meaning) {#name, object, meaning},
    TRACE_EVENTS(TRACE_EVENT_ROW)
#undef TRACE_EVENT_ROW
};

const char *trace_event_name(enum trace_event event)
{
    return (unsigned)event < TRACE_EVENT_COUNT ? events[event].name : "?";
}

const char *trace_event_object(enum trace_event event)
{
    return (unsigned)event < TRACE_EVENT_COUNT ? events[event].object : "?";
}

const char *trace_event_meaning(enum trace_event event)
{
    return (unsigned)event < TRACE_EVENT_COUNT ? events[event].meaning : "?";
}

void trace_begin(struct trace_ring *ring, uint64_t ticks)
{
    ring->base_ns = clock_now_ns();
    ring->base_ticks = ticks;
}

void trace_clear(void)
{
    trace_ring_self.count = 0;
}

void trace_use_clock(uint64_t (*clock_ns)(void))
{
    trace_ring_self.clock_ns = clock_ns;
    trace_clear();
}

/* Nanoseconds per tick of the counter, as seen since the ring began. */
static double tick_ns(const struct trace_ring *ring)
{
    uint64_t ticks = clock_ticks() - ring->base_ticks;
    uint64_t ns = clock_now_ns() - ring->base_ns;

    return ticks > 0 ? (double)ns / (double)ticks : 1.0;
}

static uint64_t entry_ns(const struct trace_ring *ring, const struct trace_entry *entry,
                         double rate)
{
    if (ring->clock_ns)
        return entry->ticks;
    return ring->base_ns + (uint64_t)((double)(entry->ticks - ring->base_ticks) * rate);
}

static void print_entry(struct text *text, uint64_t ns, const struct trace_entry *entry)
{
    enum trace_event event = (enum trace_event)entry->event;

    text_printf(text,
                "%9" PRIu64 ".%09" PRIu64 "  %-8s %16" PRIx64 "  %-14s %-12s %14" PRIu64
                " %10" PRIu64 " %10" PRId64 "\n",
                ns / 1000000000, ns % 1000000000, trace_event_object(event), entry->id,
                trace_event_name(event), entry->op ? entry->op : "-", entry->offset, entry->len,
                entry->res);
}

void trace_print_last(struct text *text, size_t n)
{
    const struct trace_ring *ring = &trace_ring_self;
    uint64_t kept = ring->count < TRACE_RING_MAX ? ring->count : TRACE_RING_MAX;
    uint64_t shown = n < kept ? n : kept;

    text_printf(text, "last %" PRIu64 " trace events of this thread\n", shown);
    if (shown == 0)
        return;

    text_printf(text, "%19s  %-8s %16s  %-14s %-12s %14s %10s %10s\n", "time", "object", "id",
                "state", "op", "offset", "len", "res");
    double rate = tick_ns(ring);
    for (uint64_t i = ring->count - shown; i < ring->count; i++) {
        const struct trace_entry *entry = &ring->entry[i % TRACE_RING_MAX];
        print_entry(text, entry_ns(ring, entry, rate), entry);
    }
}
