/*
 * The storage model of a simulation: files with a volatile cache, names, and what a power cut would
 * leave of both.
 *
 * A file has two images: *live*, what reads see (every completed write), and *durable*, what is
 * covered by a sync. A write holds its data in blocks that all images share by reference. It is
 *
 *     in flight  -> complete (in live; on its file's pending list) -> durable (in durable)
 *
 * and carries the numbers of the events that moved it. With history on, writes and operations on
 * names are kept for ever, and those numbers are the whole history: the state after any event can
 * be read off them (sim_cut.c).
 *
 * Happy path of a command: sim_submit -> (event queue) -> sim_step, which returns it to whoever
 * submitted it. Operations on names take effect at once; they are events too.
 *
 * Not thread-safe.
 */
#ifndef KEEL_IOSCHED_SIM_MODEL_H
#define KEEL_IOSCHED_SIM_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include <keel/sim.h>

#include "base/list.h"
#include "base/prng.h"
#include "iosched/sim_fault.h"
#include "iosched/sim_image.h"
#include "iosched/sim_names.h"

struct sim_file {
    struct keel_sim *sim; /* constant */

    /* live state */
    uint32_t index;        /* in the simulation's files[] */
    struct sim_name *name; /* newest name */
    uint64_t bytes;
    struct sim_image live, durable;
    struct list pending; /* sim_write.link: complete, not durable, in the order of completion */
    uint32_t opens;      /* handles */
    bool open_exclusive; /* the one handle may write */
    bool named;          /* some path leads here */
    bool resized;        /* a change of size waits for a sync */
    uint64_t writes, syncs;

    /* history */
    struct sim_image start; /* at event 0 */
    uint64_t start_bytes;
    struct sim_image at; /* durable contents at the cursor */
    uint64_t at_bytes;
    struct sim_file *cut; /* during a cut: the new simulation's file */
};

struct sim_write {
    struct list link;
    struct sim_file *file;
    uint64_t first; /* number of the first block */
    uint32_t blocks;
    uint8_t mask_first, mask_last; /* sectors written of the outer blocks */
    bool atomic;
    uint64_t event_submitted;  /* last event before it was submitted */
    uint64_t event_completed;  /* 0: in flight */
    uint64_t event_durable;    /* 0: not */
    struct sim_block *block[]; /* NULL: zeroes */
};

/* Where in history a cut was made last; state is moved forward from there. */
struct sim_cursor {
    uint64_t event;
    struct sim_dir dir;         /* durable names */
    uint32_t ops_durable;       /* operations that are in dir and in the files' sizes */
    uint32_t writes_seen;       /* writes that were submitted */
    struct sim_write **pending; /* of them not durable, in the order of submission */
    uint32_t pending_count, pending_room;
};

/* One command. The caller owns the memory, and leaves it alone until sim_step returns it. */
struct sim_cmd {
    /* by the caller */
    struct sim_file *file; /* NULL for NOP */
    void *buf;             /* borrowed until complete */
    uint64_t offset;
    uint32_t len;
    uint8_t op;  /* enum keel_op */
    bool dsync;  /* WRITE: durable when complete */
    bool atomic; /* WRITE: a cut leaves all of it or nothing */

    /* valid when it is returned */
    int32_t res; /* bytes, or a negative errno; SYNC: 0 */

    /* the model's */
    uint8_t fault; /* enum keel_fault_kind */
    uint32_t transfer;
    uint64_t event_submitted;
    struct sim_write *write; /* what a WRITE leaves behind; NULL: nothing */
};

struct sim_due {
    uint64_t when_ns;
    uint64_t seq; /* decides between equal times */
    struct sim_cmd *cmd;
};

struct keel_sim {
    /* constant */
    struct sim_pool *pool;
    bool history;
    uint32_t latency_ns_min, latency_ns_max;
    uint64_t bytes_max;
    bool serves;       /* commands wait for each other */
    uint64_t seq_base; /* sequences of what was there at event 0 are not above this */

    /* live state */
    struct prng prng;
    uint64_t now_ns;
    uint64_t bytes_per_s; /* where it serves */
    uint32_t atomic_write_bytes;
    uint64_t free_ns; /* when the disk has served what it has been given */
    uint64_t events;
    uint64_t bytes_used;
    struct sim_dir dir;
    struct sim_file **file;
    uint32_t files, files_room;
    uint32_t users; /* contexts */
    struct sim_faults faults;
    struct sim_due *due; /* binary heap, earliest first */
    uint32_t dues, dues_room;
    uint64_t due_seq;

    /* history */
    struct sim_write **write; /* in the order of submission */
    uint32_t writes, writes_room;
    struct sim_op *op;
    uint32_t ops, ops_room;
    uint32_t ops_durable; /* this many from the front are durable now */
    struct sim_dir start; /* names at event 0 */
    struct sim_cursor cursor;
};

/* ---- sim.c: life */

/* A simulation without files in this pool, of which it takes a reference. options: checked. */
struct keel_sim *sim_new(struct sim_pool *pool, const struct keel_sim_options *options);
/* 0 or KEEL_EOPTION; ret: the options with defaults filled in. */
int sim_options_check(const struct keel_sim_options *options, struct keel_sim_options *ret);
/* A duration drawn from the seed. */
uint64_t sim_draw_latency(struct keel_sim *sim);

/* ---- sim_model.c: files and names. Paths as given by the host. */

struct sim_file *sim_file_new(struct keel_sim *sim, struct sim_name *name);
/* Open an existing file. -ENOENT, -EISDIR, KEEL_EINUSE (it is open, and one of both may write),
 * errors of sim_path_clean(). */
int sim_file_open(struct keel_sim *sim, const char *path, bool read_only, struct sim_file **ret);
/* Make an empty file and open it for writing. -EEXIST, -ENOENT (no such folder). */
int sim_file_create(struct keel_sim *sim, const char *path, struct sim_file **ret);
/* No command of it is in flight. */
void sim_file_close(struct keel_sim *sim, struct sim_file *file);
/* KEEL_ENOSPACE. New bytes are zero. */
int sim_file_resize(struct keel_sim *sim, struct sim_file *file, uint64_t bytes);
/* A sync that takes effect at once: everything complete is durable, and the size. */
void sim_file_sync(struct keel_sim *sim, struct sim_file *file);

int sim_path_exists(struct keel_sim *sim, const char *path); /* enum keel_path_kind, <0 */
int sim_path_mkdir(struct keel_sim *sim, const char *path);
int sim_path_rename(struct keel_sim *sim, const char *from, const char *to);
int sim_path_unlink(struct keel_sim *sim, const char *path);
int sim_path_sync(struct keel_sim *sim, const char *folder);
int sim_path_list(struct keel_sim *sim, const char *folder,
                  void (*each)(void *arg, const char *name), void *arg);
/* The file a path leads to. -ENOENT, -EISDIR. */
int sim_path_file(struct keel_sim *sim, const char *path, struct sim_file **ret);

/* Free a file and everything that only it holds. */
void sim_file_free(struct keel_sim *sim, struct sim_file *file);

/* ---- sim_device.c: commands */

/* Hand a command to the device; never fails (errors are its result). */
void sim_submit(struct keel_sim *sim, struct sim_cmd *cmd);
/* Move the clock to the next completion, if that is due until then, and return its command; else
 * move it to until_ns (UINT64_MAX: leave it) and return NULL. */
struct sim_cmd *sim_step(struct keel_sim *sim, uint64_t until_ns);

/* The same without queue and clock, for sim_play.c: the command is in flight from sim_start to
 * sim_finish. */
void sim_start(struct keel_sim *sim, struct sim_cmd *cmd);
void sim_finish(struct keel_sim *sim, struct sim_cmd *cmd);

/* Everything of the file that was complete when number event had happened becomes durable as event
 * `now`. */
void sim_make_durable(struct keel_sim *sim, struct sim_file *file, uint64_t event, uint64_t now);
/* Change len durable bytes, as if they had been written and synced: one event. */
void sim_overwrite(struct keel_sim *sim, struct sim_file *file, uint64_t offset, const void *buf,
                   uint32_t len);
/* Free a write; it is on no list. */
void sim_write_free(struct sim_pool *pool, struct sim_write *write);
/* The sectors of block number i (of the write) that it writes. */
static inline uint8_t sim_write_mask(const struct sim_write *write, uint32_t i)
{
    uint8_t mask = SIM_MASK_ALL;

    if (i == 0)
        mask &= write->mask_first;
    if (i == write->blocks - 1)
        mask &= write->mask_last;
    return mask;
}

/* ---- sim_cut.c */

/* Give back what the cursor holds. */
void sim_cursor_clear(struct keel_sim *sim);

#endif
