/*
 * keel/sim.h: deterministic devices with a volatile cache, a clock, faults and power cuts.
 *
 * A keel_sim is a folder of simulated files. Contexts opened with KEEL_METHOD_SIM on it run the same scheduler,
 * log, page cache and engine as on a real kernel; only the last step differs: a request completes when the
 * simulation's clock reaches the time its seed drew. One thread only.
 *
 * What a power cut keeps: everything that was durable (covered by a completed SYNC that was submitted after
 * the write completed, or written with DSYNC and complete), plus whatever the chosen mode says of the rest, in 512-byte
 * sectors. Names and sizes that were not synced may be lost from the newest backwards.
 */
#ifndef KEEL_SIM_H
#define KEEL_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include <keel/error.h>
#include <keel/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct keel_sim;

struct keel_sim_options {
	uint32_t size;
	uint64_t seed;
	uint32_t latency_ns_min, latency_ns_max; /* of a command; 0,0 = 10,000 to 200,000 */
	bool history;       /* record every event, for keel_sim_cut */
	uint64_t bytes_max; /* all files together (full disk: KEEL_ENOSPACE); 0 = 1 GiB */
};
#define KEEL_SIM_OPTIONS_DEFAULT {.size = sizeof(struct keel_sim_options)}

KEEL_PUBLIC KEEL_MUST_CHECK int keel_sim_create(const struct keel_sim_options *options,
						struct keel_sim **ret);
KEEL_PUBLIC void keel_sim_destroy(struct keel_sim *sim);

/* Number of events (completions of device commands and name operations) so far. With history on, each number up to
 * this is a point at which the power can be cut. */
KEEL_PUBLIC uint64_t keel_sim_events(const struct keel_sim *sim);
KEEL_PUBLIC uint64_t keel_sim_now_ns(const struct keel_sim *sim);

enum keel_cut_mode {
	KEEL_CUT_LOSE_ALL = 0, /* no unsynced write survives */
	KEEL_CUT_KEEP_ALL,     /* every submitted write survives */
	KEEL_CUT_SUBSET,       /* a random subset of whole unsynced writes, in random order */
	KEEL_CUT_TORN,         /* random 512-byte sectors of each unsynced write */
	KEEL_CUT_MODES,
};

/* What the state at a cut looked like, for coverage counts. */
struct keel_cut_info {
	uint32_t writes_pending;          /* submitted, not durable */
	uint32_t writes_in_flight;        /* of them not complete */
	bool out_of_order;                /* a later-submitted write was complete before an earlier one */
	bool hole_torn;                   /* kept part of a later write and not all of an earlier one */
};

/*
 * Make a new simulation that holds what is on the devices if power fails right after event number `event` (0 to
 * keel_sim_events()); needs history. seed draws the subsets. options: those of the new simulation. The old one is unchanged. ret_info may be
 * NULL. Cuts of the same sim at ascending events are cheap (state is advanced, not rebuilt).
 */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_sim_cut(struct keel_sim *sim, uint64_t event,
					     enum keel_cut_mode mode, uint64_t seed,
					     const struct keel_sim_options *options,
					     struct keel_cut_info *ret_info, struct keel_sim **ret);

enum keel_fault_kind {
	KEEL_FAULT_NONE = 0,
	KEEL_FAULT_ERROR,    /* the command fails with `error` and (write) has or has not happened */
	KEEL_FAULT_SHORT,    /* READ, WRITE: half of it is transferred first (continued by keel) */
	KEEL_FAULT_FLIP,     /* READ: one bit is flipped; WRITE: stored with one bit flipped */
	KEEL_FAULT_LOST,     /* WRITE, SYNC: reports success and does nothing */
	KEEL_FAULT_MISDIRECT,/* WRITE: lands one block further */
	KEEL_FAULT_SLOW,     /* completes 1000 times later */
};
struct keel_fault {
	const char *path;   /* substring of the file's path, NULL = any */
	uint8_t op;         /* enum keel_op, 0 = any */
	uint8_t kind;       /* enum keel_fault_kind */
	uint16_t reserved;
	int32_t error;      /* negative errno, for ERROR */
	uint32_t countdown; /* strikes the command after this many matching ones */
	uint32_t repeat;    /* how often; UINT32_MAX = for ever */
};
/* Arm a fault (copied; up to 8 at once: KEEL_EFULL). path is borrowed until disarmed or the sim is destroyed. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_sim_fault(struct keel_sim *sim, const struct keel_fault *fault);
KEEL_PUBLIC void keel_sim_fault_clear(struct keel_sim *sim);

/* Look at and change what is durable, for tests. Path as given at open. -ENOENT, KEEL_ERANGE. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_sim_peek(struct keel_sim *sim, const char *path, uint64_t offset,
					      void *buf, uint32_t len);
KEEL_PUBLIC KEEL_MUST_CHECK int keel_sim_poke(struct keel_sim *sim, const char *path, uint64_t offset,
					      const void *buf, uint32_t len);

/* Number of writes and syncs of the file so far (bench and proofs). */
KEEL_PUBLIC void keel_sim_counts(struct keel_sim *sim, const char *path, uint64_t *ret_writes,
				 uint64_t *ret_syncs);

#ifdef __cplusplus
}
#endif
#endif
