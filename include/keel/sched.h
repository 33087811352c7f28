/*
 * keel/sched.h: how the requests for one disk share it, and what became of them.
 *
 * There is one scheduler for each disk, shared by all devices (files, partitions) that lie on it
 * and by all contexts of the process. Each context keeps its requests in queues, one for each
 * class; the scheduler says whose turn it is:
 *   - the log's class goes first, as long as it takes no more than its share of the disk's time
 *   - a request that has waited longer than its class's deadline goes next
 *   - then classes below their reservation, then whoever has had least of the disk's time for its
 *     weight; who was idle gets no credit for it
 *   - what is in flight below the READ class is capped (in nanoseconds of the disk's time), because
 *     whatever comes next waits for it; ADAPTIVE moves the cap so that commits and foreground reads
 *     take at most about twice as long as on an idle disk
 * Each context and class is a flow of its own: two contexts that write back share alike.
 *
 * Costs are in nanoseconds of the disk's time: what one request takes away from the others when the
 * disk is saturated. They come from a profile (`keel calibrate`), or from a built-in guess.
 *
 * All functions may be called from any thread; they do not block but where it says so.
 */
#ifndef KEEL_SCHED_H
#define KEEL_SCHED_H

#include <stdint.h>

#include <keel/iosched.h>

#ifdef __cplusplus
extern "C" {
#endif

enum keel_sched_mode {
    KEEL_SCHED_ADAPTIVE = 0, /* the cap follows what commits and reads see */
    KEEL_SCHED_STATIC,       /* the cap stays where it is put */
    KEEL_SCHED_OFF,          /* first come, first served; nothing is counted by class */
};

/* Shares are in permille of the disk's time; 0: none. */
struct keel_sched_class {
    uint32_t weight;           /* 1 to 10000 */
    uint32_t reserve_permille; /* served first while below it */
    uint32_t limit_permille;   /* never more */
    uint64_t deadline_ns;      /* after so long it goes next; 0: never for that reason */
};

struct keel_sched_options {
    uint32_t size; /* sizeof(struct keel_sched_options) */
    enum keel_sched_mode mode;
    struct keel_sched_class classes[KEEL_CLASS_COUNT];
    uint32_t log_permille;  /* the log's class is first up to this share, over ten milliseconds */
    uint64_t cap_ns;        /* STATIC: the cap. ADAPTIVE: its upper end */
    uint64_t budget_ns;     /* in flight, all classes but the log's */
    uint32_t tail_permille; /* ADAPTIVE: aim, of what an idle disk takes: 2000 is twice. What it
                             * allows above 1000 is scaled by the weight of WRITEBACK over 200. */
};

/* The options in force on the disk below device. */
KEEL_PUBLIC void keel_sched_get(const struct keel_device *device, struct keel_sched_options *ret);
/* Put them in force, at once and for everybody: take what keel_sched_get gave and change it.
 * KEEL_EOPTION: something is out of range, nothing was changed. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_sched_set(struct keel_device *device,
                                               const struct keel_sched_options *options);

/* What a disk charges; as a profile says it, or as was guessed. Sizes in between lie on the lines
 * between the points, what is longer on the last line. */
#define KEEL_SCHED_POINTS_MAX 16u
struct keel_sched_costs {
    uint32_t size;        /* sizeof(struct keel_sched_costs) */
    uint32_t point_count; /* 1 to KEEL_SCHED_POINTS_MAX */
    struct {
        uint32_t bytes; /* ascending */
        uint32_t read_ns, write_ns;
    } points[KEEL_SCHED_POINTS_MAX];
    uint32_t sync_ns; /* a flush; a durable write costs its write and this */
};
KEEL_PUBLIC void keel_sched_costs_get(const struct keel_device *device,
                                      struct keel_sched_costs *ret);
/* Read them out of a profile that `keel calibrate` wrote. KEEL_ENOTFOUND, KEEL_EFORMAT, -errno,
 * -ENOMEM; *ret is written on success alone. Reads a file: blocks. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_sched_costs_load(const char *path,
                                                      struct keel_sched_costs *ret);
/* KEEL_EOPTION: out of range or order, nothing was changed. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_sched_costs_set(struct keel_device *device,
                                                     const struct keel_sched_costs *costs);

/* ---------------------------------------------------------------- counters */

/* Histograms: bucket k counts what took less than 1024 << k nanoseconds (and not less than half of
 * that); the last one also all that took longer. */
#define KEEL_SCHED_BUCKETS 24u
struct keel_sched_hist {
    uint64_t bucket[KEEL_SCHED_BUCKETS];
    uint64_t sum_ns;
};

struct keel_sched_class_stats {
    uint64_t requests, bytes;       /* completed by the disk; of a merged command each counts */
    uint64_t commands;              /* handed to the method */
    uint64_t errors;                /* commands that failed */
    uint64_t merged, split;         /* requests that rode on another's command; commands for a part
                                     * of a request */
    uint64_t joined;                /* reads that were answered with another's bytes */
    uint64_t resent;                /* merged commands that failed or came short, upon which each of
                                     * their requests went again alone: page data only; a durable
                                     * write is never merged, and no sync is sent again */
    uint64_t promoted;              /* requests that were lifted into this class */
    uint64_t cost_ns;               /* the disk's time that was charged */
    uint64_t depth_ns;              /* integral of the number in flight over time: its growth over
                                     * the time passed is the average depth */
    uint64_t starved_ns;            /* something waited and nothing was in flight, of any context */
    uint64_t held_cap, held_budget; /* times that a context's class was held back by the cap, by
                                     * the budget, */
    uint64_t held_turn, held_limit; /* because it was another context's turn, by its limit */
    uint32_t queued, in_flight;     /* now */
    struct keel_sched_hist queue;   /* from when the scheduler saw it to when it went */
    struct keel_sched_hist exec;    /* of a command, from then to its completion */
};

struct keel_sched_stats {
    uint32_t size; /* sizeof(struct keel_sched_stats) */
    enum keel_sched_mode mode;
    uint32_t dev_major, dev_minor; /* of the disk; 0, 0: not a disk of the kernel's */
    uint32_t contexts;
    uint32_t profiled; /* 1: what it charges was set, from a profile; 0: it is a guess */
    uint64_t now_ns;   /* when this was taken, on the clock of depth_ns */
    uint64_t cap_ns, in_flight_ns; /* now; of the classes below READ */
    uint64_t cap_ups, cap_downs;
    uint64_t target_ns, idle_ns; /* median that commits, else reads, are to keep; what it is idle */
    uint64_t busy_ns;            /* something was in flight */
    struct keel_sched_class_stats classes[KEEL_CLASS_COUNT];
};

/* Counters of the disk below device since it was first opened; each is read whole, not all at one
 * instant. ret->size set by the caller. KEEL_EOPTION: another size. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_sched_stats(struct keel_device *device,
                                                 struct keel_sched_stats *ret);

/* "WAL", "READ", ...; "?" beyond KEEL_CLASS_COUNT. "adaptive", "static", "off". */
KEEL_PUBLIC const char *keel_class_name(unsigned cls);
KEEL_PUBLIC const char *keel_sched_mode_name(enum keel_sched_mode mode);

/* ---------------------------------------------------------------- promotion */

/* Somebody more urgent waits for ref: if it is still queued, it goes on as if it had been submitted
 * with class cls, behind those that wait there. Only upwards; does nothing when it is at the disk
 * or done, or of a class as urgent already. Whose context it is on does not matter. */
KEEL_PUBLIC void keel_ioref_promote(struct keel_ioref ref, enum keel_class cls);

#ifdef __cplusplus
}
#endif
#endif
