/*
 * keel/sim.h: deterministic devices with a volatile cache, a clock, faults and power cuts.
 *
 * A keel_sim is a tree of simulated files. Contexts opened with KEEL_METHOD_SIM on it run the same
 * scheduler, log, page cache and engine as on a real kernel; only the last step differs: a request
 * completes when the simulation's clock reaches the time its seed drew. The same calls with the
 * same seed give the same run, everywhere.
 *
 * Happy path of a crash test:
 *   - keel_sim_create with history, keel_ctx_open on it, work, note keel_sim_events() at each
 *     acknowledgement
 *   - for each event and mode: keel_sim_cut, open what is there in a context on the new simulation,
 *     compare, close, keel_sim_destroy
 *
 * What a power cut keeps: every write that was durable, which is one that was complete when a SYNC
 * of its file was submitted that has completed, or that was written with DSYNC and is complete;
 * plus whatever the chosen mode says of the others, in 512-byte sectors. Names, and sizes of files,
 * that were not synced are lost from the newest backwards. docs/design/sim.md says what is modelled
 * and what is not.
 *
 * A simulation and everything that was cut from it share memory and belong to one thread; different
 * families may run in different threads. When the machine has no more memory, it traps.
 *
 * Paths: "/" separates, the top folder is there, every other one is made by keel_path_mkdir; a
 * leading "/" means nothing, ".." is refused.
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
    bool history;                            /* keep every write, for keel_sim_cut */
    uint64_t bytes_max; /* all files together (full disk: KEEL_ENOSPACE); 0 = 1 GiB */
    /* > 0: all files lie on one disk that serves commands one after the other, in the order in
     * which they came, at this rate and 2 us for each; latency comes on top of that. 0: commands do
     * not wait for each other. */
    uint64_t bytes_per_s;
    /* Longest write that a power cut leaves whole or not at all when it is asked for
     * (KEEL_IO_ATOMIC), and in playing back whenever it could be; 0: none. */
    uint32_t atomic_write_bytes;
};
#define KEEL_SIM_OPTIONS_DEFAULT                \
    {                                           \
        .size = sizeof(struct keel_sim_options) \
    }

/* A simulation without files. options: borrowed for the call; NULL = defaults. *ret: the caller
 * owns it. KEEL_EOPTION, -ENOMEM. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_sim_create(const struct keel_sim_options *options,
                                                struct keel_sim **ret);

/* All contexts and devices on it are closed. What was cut from it stays. NULL: nothing. */
KEEL_PUBLIC void keel_sim_destroy(struct keel_sim *sim);

/*
 * Number of events so far: completions of writes and syncs, and operations on names and sizes.
 * (Reads are none: they change nothing that a cut could keep.) With history, each number from 0 to
 * this one is a point at which the power can be cut.
 */
KEEL_PUBLIC uint64_t keel_sim_events(const struct keel_sim *sim);

/* From now on the disk serves at this rate; only where options.bytes_per_s was not 0, and not 0. */
KEEL_PUBLIC void keel_sim_set_rate(struct keel_sim *sim, uint64_t bytes_per_s);

/* The simulation's clock. It moves when a context waits, to the next completion; by a microsecond
 * for each turn that does not wait; and by a latency for each operation on names. */
KEEL_PUBLIC uint64_t keel_sim_now_ns(const struct keel_sim *sim);

enum keel_cut_mode {
    KEEL_CUT_LOSE_ALL = 0, /* no unsynced write, name or size survives */
    KEEL_CUT_KEEP_ALL,     /* all do: writes in the order of completion, then those in flight */
    KEEL_CUT_SUBSET,       /* a random subset of whole unsynced writes, in random order */
    KEEL_CUT_TORN,         /* random sectors of each unsynced write (of some none, all, or the
                            * beginning), in random order */
    KEEL_CUT_MODES,
};

/* What the state at a cut looked like, for coverage counts. */
struct keel_cut_info {
    uint32_t writes_pending;   /* submitted, not durable */
    uint32_t writes_in_flight; /* of them not complete */
    bool out_of_order;         /* a pending write was complete before one submitted earlier */
    bool hole_torn;            /* kept something of a write, and not all of one submitted earlier */
};

/*
 * Make a new simulation that holds what is on the devices if power fails while `event` is the
 * newest event (0 to keel_sim_events()); what was submitted before the next one counts as
 * submitted. Needs history. seed draws what is kept. options: those of the new simulation, NULL =
 * defaults. The old one is unchanged and may go on. ret_info may be NULL. *ret: the caller owns it.
 * Cuts of the same simulation at ascending events are cheap (about a microsecond: contents are
 * shared); at an earlier event than the last time, history is gone through from its beginning.
 * KEEL_EOPTION (no history, bad options), KEEL_ERANGE (no such event).
 */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_sim_cut(struct keel_sim *sim, uint64_t event,
                                             enum keel_cut_mode mode, uint64_t seed,
                                             const struct keel_sim_options *options,
                                             struct keel_cut_info *ret_info, struct keel_sim **ret);

enum keel_fault_kind {
    KEEL_FAULT_NONE = 0,
    KEEL_FAULT_ERROR,     /* the command fails with `error`. WRITE: nothing, all of it or its
                           * beginning is stored; SYNC: what it should have covered is not covered
                           * by any later sync either, a power cut decides about it */
    KEEL_FAULT_SHORT,     /* READ, WRITE: half of it is transferred first (continued by keel) */
    KEEL_FAULT_FLIP,      /* READ: one bit is flipped in the buffer; WRITE: stored so */
    KEEL_FAULT_LOST,      /* WRITE, SYNC: reports success and does nothing */
    KEEL_FAULT_MISDIRECT, /* WRITE: lands one block further */
    KEEL_FAULT_SLOW,      /* completes 1000 times later */
};

struct keel_fault {
    const char *path;   /* substring of the file's path, NULL = any */
    uint8_t op;         /* enum keel_op, 0 = any that can suffer it */
    uint8_t kind;       /* enum keel_fault_kind */
    uint16_t reserved;  /* 0 */
    int32_t error;      /* negative errno, for ERROR; 0 = -EIO */
    uint32_t countdown; /* strikes the command after this many matching ones */
    uint32_t repeat;    /* how often; 0 = once, UINT32_MAX = for ever */
};

/*
 * Arm a fault (copied; up to 8 at once: KEEL_EFULL; one that has struck as often as it was to makes
 * room). path is borrowed until disarmed or the simulation is destroyed. Commands are counted as
 * they are submitted to the device; a linked write and sync are two, the rest of a short transfer
 * is one more. A command suffers one fault at most. KEEL_EOPTION: not a fault, or not of this op.
 */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_sim_fault(struct keel_sim *sim,
                                               const struct keel_fault *fault);
KEEL_PUBLIC void keel_sim_fault_clear(struct keel_sim *sim);

/*
 * Look at what is durable, and change it (as a write and sync that replace what is pending there;
 * one event). For tests. Path as given at open; any alignment. -ENOENT, -EISDIR, KEEL_ERANGE.
 */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_sim_peek(struct keel_sim *sim, const char *path,
                                              uint64_t offset, void *buf, uint32_t len);
KEEL_PUBLIC KEEL_MUST_CHECK int keel_sim_poke(struct keel_sim *sim, const char *path,
                                              uint64_t offset, const void *buf, uint32_t len);

/* Number of write and sync commands that the file was sent so far; 0 when there is no such file. */
KEEL_PUBLIC void keel_sim_counts(struct keel_sim *sim, const char *path, uint64_t *ret_writes,
                                 uint64_t *ret_syncs);

/* ---------------------------------------------------------------- playing back */

/*
 * Commands that were recorded elsewhere (the log of a disk's writes, a trace) as the history of a
 * simulation, so that keel_sim_cut gives the states that a power cut could have left of them.
 *
 *   keel_sim_play_open, keel_sim_play_file for each device, then for each command, in the order of
 *   the recording, keel_sim_play_submit and keel_sim_play_complete; cut at any time;
 *   keel_sim_play_close
 *
 * Clock and seed of the simulation play no part: a command completes when it is told to.
 */
struct keel_sim_play;

struct keel_sim_command {
    uint32_t file;      /* of keel_sim_play_file */
    uint8_t op;         /* KEEL_OP_WRITE, KEEL_OP_SYNC */
    bool dsync;         /* WRITE: durable when complete, as one with FUA */
    uint64_t offset;    /* WRITE: bytes, a multiple of 512 */
    uint32_t len_bytes; /* WRITE: the same */
    const void *buf;    /* WRITE: copied */
};

/* sim: borrowed until keel_sim_play_close; needs history. KEEL_EOPTION. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_sim_play_open(struct keel_sim *sim,
                                                   struct keel_sim_play **ret);
/* A durable file of zeroes at path, with the folders above it. *ret: its number. -EEXIST,
 * KEEL_ENOSPACE, -EINVAL, -ENAMETOOLONG. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_sim_play_file(struct keel_sim_play *play, const char *path,
                                                   uint64_t bytes, uint32_t *ret);
/* The device has the command from here on. *ret: its number, which is free again when it is
 * complete. KEEL_EOPTION, KEEL_ERANGE (no such file, or outside of it). */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_sim_play_submit(struct keel_sim_play *play,
                                                     const struct keel_sim_command *command,
                                                     uint32_t *ret);
/* It is complete: one event. Traps when there is no such command. */
KEEL_PUBLIC void keel_sim_play_complete(struct keel_sim_play *play, uint32_t number);
/* What is not complete never will be. The simulation stays. NULL: nothing. */
KEEL_PUBLIC void keel_sim_play_close(struct keel_sim_play *play);

#ifdef __cplusplus
}
#endif
#endif
