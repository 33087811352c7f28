/*
 * Schedulers and lanes: one scheduler for each disk, one lane for each context that sends to it.
 *
 * The lane holds the context's queues for that disk; what of it may go is decided under the
 * scheduler's lock by the policy in sched.h. The lock is taken once for each batch that goes and
 * once for each batch that comes back, never for each request.
 *
 * Who is held back, and how it gets on. A lane with something held back says so under the lock
 * (`held`, and its smallest tags). Whoever gives back what it waits for, in whatever context,
 * finds it under the same lock and then submits for it (ios_lanes_kick). So either the lane finds
 * room under the lock, or it is marked before the lock is let go of, and found by the next one who
 * completes something. There is one, since a request may always go when nothing of what limits it
 * is in flight on the disk.
 *
 * I6: what holds a context back may be in flight on the ring of a thread that never calls keel
 * again. A context that is held back with nothing of its own in flight therefore sleeps for
 * IOS_HELD_NS at most, and then drives the others too (ios_lanes_drive_others). A method that only
 * the holder of the role can push for (sync) is not held back while it has nothing in flight.
 *
 * Locks: SCHED is taken under SUBMIT; a kick takes another context's SUBMIT with none held.
 */
#ifndef KEEL_IOSCHED_LANE_H
#define KEEL_IOSCHED_LANE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/lock.h"
#include "iosched/request.h"
#include "iosched/sched.h"

#define IOS_LANES_MAX   8u  /* disks per context; those beyond share the plain lane */
#define IOS_SAMPLES_MAX 64u /* latencies kept for the controller until the end of a turn */
#define IOS_KICKS_MAX   4u
#define IOS_HELD_NS     1000000

struct ios_sched {
    /* set at open, then constant */
    const void *key; /* the simulation, or NULL */
    uint32_t dev_major, dev_minor;

    /* registry lock */
    struct list registry_link;

    /* atomic: refs is relaxed going up, by who has one; under the registry lock going down */
    _Atomic uint32_t refs;
    _Atomic uint32_t mode;       /* relaxed copy of policy.options.mode */
    _Atomic uint32_t held_count; /* lanes that are held; relaxed, changes under lock */

    struct lock lock; /* rank SCHED */
    /* under lock */
    struct sched policy;
    struct list lanes; /* of ios_lane.link */
    uint32_t lane_count;
    bool profiled;                                           /* its costs were set */
    struct keel_sched_class_stats retired[KEEL_CLASS_COUNT]; /* of lanes that are gone */
};

struct ios_lane {
    /* set when it is first used, then constant */
    struct ios_sched *sched; /* NULL: the plain lane, first come first served */
    struct keel_ctx *ctx;
    uint8_t index; /* among the context's */

    /* under submit */
    struct ios_queue fifo; /* what came while the scheduler was off */
    struct ios_queue queues[KEEL_CLASS_COUNT];
    uint32_t waiting; /* on queues */
    uint32_t classes; /* bit per class that has something on its queue */
    uint32_t fresh;   /* bit per class whose queue was empty before */
    struct sched_flow flows[KEEL_CLASS_COUNT];

    /* under the scheduler's lock */
    struct list link;
    bool held;
    struct sched_others held_tags;       /* smallest of its flows that are held back */
    uint32_t reported[KEEL_CLASS_COUNT]; /* of waiting, as the policy was told */
    uint32_t pins;                       /* who is about to kick its context */

    /* role */
    uint32_t done_any;
    uint32_t done_count[KEEL_CLASS_COUNT];
    uint64_t done_ns[KEEL_CLASS_COUNT];
    uint32_t sample_count[SCHED_SIGNALS];
    uint64_t samples[SCHED_SIGNALS][IOS_SAMPLES_MAX];

    /* stored by the holder of submit (queue, what is held and merged) or of the role (exec, what
     * completed), one side for each field; loaded by anyone; all relaxed */
    struct keel_sched_class_stats stats[KEEL_CLASS_COUNT];
};

/* Add to a counter that only this thread adds to now. */
static inline void ios_count(uint64_t *counter, uint64_t n)
{
    __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

static inline void ios_count_ns(struct keel_sched_hist *hist, uint64_t ns)
{
    uint64_t units = ns >> 10;
    unsigned bucket = units == 0 ? 0 : 64u - (unsigned)__builtin_clzll(units);

    if (bucket >= KEEL_SCHED_BUCKETS)
        bucket = KEEL_SCHED_BUCKETS - 1;
    ios_count(&hist->bucket[bucket], 1);
    ios_count(&hist->sum_ns, ns);
}

/* Add counters that others may be adding to. */
void ios_stats_add(struct keel_sched_class_stats *to, const struct keel_sched_class_stats *from);

/* ------------------------------------------------------------- schedulers */

/* The scheduler of a disk, made at its first device; with a reference. NULL: no memory. */
struct ios_sched *ios_sched_get(const void *key, uint32_t dev_major, uint32_t dev_minor,
                                uint64_t now_ns);
void ios_sched_put(struct ios_sched *sched);

/* ------------------------------------------------------------- lanes */

/* The context closes: nothing is queued or in flight. */
void ios_lanes_close(struct keel_ctx *ctx);

/* The lane for requests to device (NULL: the plain one). Submit lock. */
struct ios_lane *ios_lane_for(struct keel_ctx *ctx, const struct keel_device *device);

/* Has no policy a say in what is on it? */
static inline bool ios_lane_is_off(const struct ios_lane *lane)
{
    return !lane->sched ||
           atomic_load_explicit(&lane->sched->mode, memory_order_relaxed) == KEEL_SCHED_OFF;
}

/* Put a request on the queue of its class (or the plain one): last, or first. ctx->queued is the
 * caller's to count. Submit lock. */
void ios_lane_push(struct keel_ctx *ctx, struct keel_io *io, bool first);
/* Take it off again; it is queued. ctx->queued is the caller's to count. Submit lock. */
void ios_lane_remove(struct keel_ctx *ctx, struct keel_io *io);

/* Push to the method what may go; returns how many commands. Submit lock. */
uint32_t ios_lanes_dispatch(struct keel_ctx *ctx);

/* A request that was charged is finished; role held. */
void ios_lane_count(struct keel_ctx *ctx, const struct keel_io *io);

/* A command came back; role held. */
void ios_lane_done(struct keel_ctx *ctx, const struct keel_io *io, int32_t res);

/* Tell the schedulers what came back since the last time. Role held. */
void ios_lanes_settle(struct keel_ctx *ctx);

/* Submit for other contexts that were held back and may go on now. No lock held. */
void ios_lanes_kick(struct keel_ctx *ctx);

/* Reap and submit for all other contexts that share a disk with this one. Role held, no lock. */
void ios_lanes_drive_others(struct keel_ctx *ctx);

/* ------------------------------------------------------------- merge.c */

/* Take the next command of a class: the head of its queue, cut to what may go at once, or with what
 * touches it. Sets step_bytes and cost_ns. Submit and scheduler's lock. */
struct keel_io *ios_compose(struct keel_ctx *ctx, struct ios_lane *lane, uint32_t cls);

/* Nothing came of it: back to where it was. */
void ios_decompose(struct keel_ctx *ctx, struct keel_io *head);

#endif
