/*
 * The contract between the scheduler's core and the methods by which requests reach devices.
 *
 * A method is a table of functions. The core (dispatch.c, drive.c) owns queues, slots, the life of
 * requests, waiting and callbacks; a method only carries requests that were pushed to a device and
 * says, part by part, what became of them. To add a method, read this page and copy
 * method_sync.c.
 *
 * The sequence, always in this order, with the lock or role that the core holds:
 *   push()   submit lock   one request, state QUEUED, which is to have slot; remember it
 *   flush()  submit lock   the pushed ones may go now
 *   turn()   role          hand over what was flushed, wait if told to, report what completed
 *
 * The *role* of the driver is held by at most one thread per context. Reporting is done by calling
 * ios_ctx_part_done() (complete.h) once for each part of each pushed request (see request.h for
 * parts), with the role held, never from push() or flush(). It may run callbacks (sim) and must
 * therefore be called with no lock of the method held; callbacks may submit, and thereby lead to
 * push() and flush() being called again before ios_ctx_part_done() returns.
 *
 * Failure modes: push() may refuse for the moment (KEEL_EFULL) or for good (any other code, with
 * which the request then completes). turn() cannot fail; a device's errors are results of parts.
 */
#ifndef KEEL_IOSCHED_METHOD_H
#define KEEL_IOSCHED_METHOD_H

#include <linux/falloc.h>
#include <stdbool.h>
#include <stdint.h>

#include "keel/iosched.h"

enum ios_wait {
    IOS_NOWAIT, /* return with what there is */
    IOS_WAIT,   /* return with at least one part, or when woken, or at once when that cannot be */
};

enum ios_flush {
    IOS_FLUSH_HOLDER, /* the caller holds the role and calls turn() next */
    IOS_FLUSH_KICK,   /* the caller does not: hand over here if that is possible without waiting */
};

/*
 * Names and sizes: blocking calls, any thread, no lock held. Paths are as the host gave them.
 * Return 0 (or what is said) or a negative code as the public function of the same name does.
 */
struct ios_files {
    /* Open or create (options->create_bytes > 0) and fill device->info, and device->fd or
     * device->method_data. On failure nothing is left behind. info is never NULL. */
    int (*open)(struct keel_ctx *ctx, struct keel_device *device, const char *path,
                const struct keel_device_options *options, struct keel_err_info *info);
    void (*close)(struct keel_device *device);
    /* Zeroes up to size_bytes are durable when it returns 0; the core then publishes the size. */
    int (*grow)(struct keel_ctx *ctx, struct keel_device *device, uint64_t size_bytes);

    int (*exists)(struct keel_ctx *ctx, const char *path); /* enum keel_path_kind */
    int (*mkdir)(struct keel_ctx *ctx, const char *path);
    int (*rename)(struct keel_ctx *ctx, const char *from, const char *to);
    int (*unlink)(struct keel_ctx *ctx, const char *path);
    int (*sync)(struct keel_ctx *ctx, const char *folder);
    int (*list)(struct keel_ctx *ctx, const char *folder, void (*each)(void *arg, const char *name),
                void *arg);
};

struct ios_chunks; /* arena.h */
struct ios_slot;   /* ctx.h */

struct ios_method {
    const char *name; /* "uring", "nvme", "sync", "sim" */

    /* One thread runs all contexts of this method, and waiting on any of them moves them all: parts
     * of other contexts may be reported from turn(), and callbacks run as soon as a part is. */
    bool steps_clock;
    /* Pieces of memory that a command may move (struct ios_step); 0 and 1: one. */
    uint32_t iov_max;
    /* The clock that the scheduler goes by. NULL: clock_now_ns(). */
    uint64_t (*now_ns)(const struct keel_ctx *ctx);

    const struct ios_files *files;

    /* Make ctx->method_data and complete ctx->path. A refusal leaves nothing behind; the core adds
     * nothing to ctx->path.why then, the method has said why. */
    int (*attach)(struct keel_ctx *ctx, const struct keel_ctx_options *options);
    /* Nothing is in flight. */
    void (*detach)(struct keel_ctx *ctx);

    int (*push)(struct keel_ctx *ctx, struct keel_io *io, struct ios_slot *slot);
    /* return ios_inbox_dispatch(ctx, PUSH), where PUSH is the function above (push.h). */
    uint32_t (*dispatch)(struct keel_ctx *ctx);
    void (*flush)(struct keel_ctx *ctx, enum ios_flush how); /* NULL: nothing to do */

    /* With IOS_WAIT something is in flight, or (steps_clock) the context waits for another one. */
    void (*turn)(struct keel_ctx *ctx, enum ios_wait wait);
    /* Report what is there without a system call; role held. NULL: nothing ever is. And is there
     * something? Any thread; a hint. Both or none. */
    void (*reap)(struct keel_ctx *ctx);
    bool (*ready)(const struct keel_ctx *ctx);

    /* The rest may be NULL. */

    /* The owner's thread ends, and nothing is in flight: give back what only it can. */
    void (*owner_leaves)(struct keel_ctx *ctx);
    /* Must turn() be called again and again because nothing but it makes requests complete? */
    bool (*must_spin)(struct keel_ctx *ctx);
    /* A descriptor that is readable while reap() would find something. NULL: there is none. */
    int (*wait_fd)(struct keel_ctx *ctx);
    /* From now on wait_fd() must be readable for each completion. 0 or a refusal. Submit lock. */
    int (*need_fd)(struct keel_ctx *ctx);
    int (*raw)(struct keel_ctx *ctx, struct keel_raw *raw);         /* submit lock held */
    void (*raw_cancel)(struct keel_ctx *ctx, struct keel_raw *raw); /* submit lock held */
    /* Is device usable here? Called by keel_device_open; 0 or a refusal. No lock held. */
    int (*admit)(struct keel_ctx *ctx, const struct keel_device *device);
    /* Drop what was registered; nothing of it is in flight. Submit lock held. */
    void (*forget_device)(struct keel_ctx *ctx, const struct keel_device *device);
    void (*forget_chunks)(struct keel_ctx *ctx, const struct ios_chunks *chunks);
};

extern const struct ios_method ios_method_uring;
extern const struct ios_method ios_method_nvme;
extern const struct ios_method ios_method_sync;
extern const struct ios_method ios_method_sim;

/* Files and block devices of the kernel; for uring and sync (device.c, path.c). */
extern const struct ios_files ios_files_posix;

/* NVMe namespaces by their character devices, and the kernel's names; for nvme. */
extern const struct ios_files ios_files_nvme;

/* Mode of fallocate(2) that stands for a range operation on files and block devices. */
static inline int ios_range_mode(enum keel_op op)
{
    return FALLOC_FL_KEEP_SIZE |
           (op == KEEL_OP_WRITE_ZEROES ? FALLOC_FL_ZERO_RANGE : FALLOC_FL_PUNCH_HOLE);
}

/* A completion of a raw operation; role held. */
void ios_ctx_raw_done(struct keel_ctx *ctx, struct keel_raw *raw, int32_t res, bool more,
                      uint32_t flags);

/* How many completions may be taken now, so that those of raw operations find room. For contexts
 * that may have some (raw_events). */
uint32_t ios_raw_room(struct keel_ctx *ctx);

/* Add a sentence to ctx->path.why: what was refused, why, and the remedy. Submit lock held, or
 * during attach(). */
void ios_ctx_why(struct keel_ctx *ctx, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
