/*
 * The policy of the scheduler: whose turn it is, what is held back, and how large the cap is.
 *
 * Pure functions over plain structs and a clock value: no locks, no I/O, no memory of its own, so
 * that every decision can be tested alone. device_sched.c holds one of these for each disk, under
 * its lock, and tells it what happens.
 *
 * Fairness is start-time fair queueing. A flow is one class of one context. Its head carries a
 * start tag S; when it goes, the flow's next head gets S + cost / weight, and the disk's virtual
 * time becomes S if that is later. A flow that had nothing to do rejoins at the virtual time: no
 * credit for idle time. The waiting flow with the smallest tag goes.
 *
 * In flight at once, in nanoseconds of the disk's time: all classes but the log's stay below a
 * budget (that is what makes the order matter: the disk's own queue is first come, first served),
 * and the classes below READ below a cap. One request may always go when nothing of what is limited
 * is in flight, so a limit never stops anybody for good.
 *
 * The cap (ADAPTIVE): windows of WINDOW_NS or longer. A window in which commits (else foreground
 * reads) took longer than the aim cuts it, at worst to one write-back chunk; one in which they did
 * not and the cap held something back widens it a little; windows without either widen it fast. A
 * window closes when it has seen enough, and of what is far too late little is enough: the longer
 * each takes, the fewer there are.
 *
 * Invariants: I5 (no class starves).
 */
#ifndef KEEL_IOSCHED_SCHED_H
#define KEEL_IOSCHED_SCHED_H

#include <stdbool.h>
#include <stdint.h>

#include "keel/sched.h"

#define SCHED_FLOOR_CHUNKS 2u            /* the cap's floor */
#define SCHED_CHUNK_BYTES  (64u * 1024u) /* what commands are cut to while somebody is protected */
#define SCHED_WINDOW_NS    10000000ull
#define SCHED_WINDOW_MAX   100000000ull  /* one with few samples is closed after so long */
#define SCHED_WINDOW_LONG  1000000000ull /* one with still fewer, none of them late */
#define SCHED_SAMPLES_MIN  32u           /* a window with so many commits may close */
#define SCHED_SAMPLES_FEW  8u /* fewer say nothing. A lone reader that is held up has no more */
#define SCHED_LOG_SPAN_NS  10000000ull /* over which the log's share is looked at */
#define SCHED_LEAD_NS      500000ull /* a flow may be ahead of those held back elsewhere by this */
#define SCHED_COST_SIZES   (KEEL_IO_BYTES_MAX / KEEL_BLOCK_BYTES + 1)
#define SCHED_TAIL_STEPS   16u
#define SCHED_TAIL_BUCKETS (24u * SCHED_TAIL_STEPS)

/* One class of one context. */
struct sched_flow {
    uint64_t start;         /* tag of the head */
    uint64_t head_since_ns; /* the head waits since */
    uint32_t head_cost_ns;
    uint32_t waiting; /* 0: the fields above, but for start, mean nothing */
};

/* Why a class that has something waiting does not go. */
enum sched_hold {
    SCHED_GO = 0,
    SCHED_HOLD_CAP,
    SCHED_HOLD_BUDGET,
    SCHED_HOLD_TURN,
    SCHED_HOLD_LIMIT,
};

/* Smallest tags among what is held back on other contexts; UINT64_MAX: nothing is. */
struct sched_others {
    uint64_t for_all;   /* by the budget or by its turn */
    uint64_t for_lower; /* by the cap */
};

/* Latencies of one window. */
struct sched_tail {
    uint32_t count;
    uint32_t late; /* of them, those that alone would make the cap be cut to a quarter */
    uint32_t bucket[SCHED_TAIL_BUCKETS];
};

enum sched_signal { SCHED_SIGNAL_LOG, SCHED_SIGNAL_READ, SCHED_SIGNALS };

/* What one of these takes, in nanoseconds; 0: not known. */
struct sched_idle {
    uint64_t p50, p90;
    uint64_t late; /* what takes longer is late */
};

struct sched_class_state {
    uint64_t in_flight_ns;
    uint32_t in_flight; /* commands */
    uint32_t queued;    /* of all contexts */
    uint64_t inverse;   /* 1000 * 1024 / weight */
    uint64_t reserve_at, limit_at;
    uint64_t depth_ns, starved_ns;
};

struct sched {
    struct keel_sched_options options;
    struct keel_sched_costs costs;
    uint32_t floor_ns; /* of one write-back chunk */

    /* atomic, relaxed: read without the lock, stored under it. A cost that is a moment old is as
     * good. */
    uint32_t cost_ns[2][SCHED_COST_SIZES]; /* read, write; by blocks */
    uint32_t sync_ns;

    uint64_t now_ns;             /* last time that sched_advance() was told */
    uint64_t virtual;            /* time, in units of cost at weight 1000 */
    uint64_t total_ns, lower_ns; /* in flight: all but the log's; below READ */
    uint64_t log_debt_ns;        /* the log's service above its share */
    uint64_t busy_ns;
    struct sched_class_state classes[KEEL_CLASS_COUNT];

    /* the controller */
    uint64_t cap_ns;
    uint64_t cap_ups, cap_downs;
    uint64_t window_begin_ns;
    uint64_t quiet_ns;     /* since when nobody was to be protected */
    uint64_t read_load_ns; /* sum over the samples of reads: in flight of their own class then */
    bool lower_seen;       /* something below READ was in flight in this window */
    struct sched_tail tails[SCHED_SIGNALS];
    struct sched_idle idle[SCHED_SIGNALS];
    uint64_t target_ns, idle_ns; /* for those who look */
};

/* Defaults, nothing in flight. */
void sched_init(struct sched *sched, uint64_t now_ns);

/* KEEL_EOPTION: out of range, nothing changed. */
int sched_set_options(struct sched *sched, const struct keel_sched_options *options);
int sched_set_costs(struct sched *sched, const struct keel_sched_costs *costs);

/* The disk's time that a command takes. durable: a write that is to be so when it completes. */
uint32_t sched_cost(const struct sched *sched, enum keel_op op, uint32_t bytes, bool durable);

/* Time passes; called before anything else is told at that time. May close a window. */
void sched_advance(struct sched *sched, uint64_t now_ns);

/* A flow that had nothing waiting has something now. */
void sched_join(const struct sched *sched, struct sched_flow *flow);

/* The class to go next of these flows of one context, or KEEL_CLASS_COUNT. waiting: a bit for each
 * class that has something waiting; holds: for each of them, why it does not go (only then valid).
 */
uint32_t sched_pick(const struct sched *sched, const struct sched_flow flows[KEEL_CLASS_COUNT],
                    uint32_t waiting, const struct sched_others *others,
                    enum sched_hold holds[KEEL_CLASS_COUNT]);

/* The head of flow goes; its costs are head_cost_ns. waiting is the caller's to count. */
void sched_start(struct sched *sched, struct sched_flow *flow, uint32_t cls);

/* So many commands of a class, that cost so much together, are back. */
void sched_finish(struct sched *sched, uint32_t cls, uint32_t count, uint64_t cost_ns);

/* What a commit or a foreground read took, from going to coming back. */
void sched_sample(struct sched *sched, enum sched_signal signal, uint64_t exec_ns);

/* Is somebody to be protected from long commands now? Then those of the classes below READ are to
 * be cut to chunks. */
static inline bool sched_cuts(const struct sched *sched)
{
    return sched->cap_ns < sched->options.cap_ns;
}

/* Percentile of a window's latencies. */
uint64_t sched_tail_percentile(const struct sched_tail *tail, uint32_t permille);

static inline bool sched_is_lower(uint32_t cls)
{
    return cls > KEEL_CLASS_READ;
}

#endif
