/*
 * What the methods over io_uring share; see uring_loop.c. A method is a *carrier*, which says what
 * its rings are like, a push() that fills entries, and the functions below.
 */
#ifndef KEEL_IOSCHED_URING_LOOP_H
#define KEEL_IOSCHED_URING_LOOP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "iosched/ctx.h"
#include "iosched/uring_ring.h"

#define URING_OWN_OPS_MAX 16u

struct uring_carrier {
    bool commands; /* entries and completions are large enough for passthrough */
    /* IORING_OP_* that it submits to each ring; the loop adds its own. */
    const uint8_t *sync_ops, *data_ops;
    uint32_t sync_op_count, data_op_count;
    /* What a positive result means, where that is a device's status: 0 or a negative code. NULL: it
     * is a number of bytes. */
    int32_t (*status)(struct keel_io *io, int32_t res);
};

/* Of one request in flight. */
struct uring_slot {
    uint32_t bytes;  /* what a result of 0 stands for */
    bool on_data;    /* it went to the data ring */
    bool fixed;      /* from a registered buffer, and could go without */
    bool sync_apart; /* its sync is not linked behind it; the core is told to send one */
};

/* User data: bits 0-2 what it is, then for requests bit 3 part, bits 4-31 slot, bits 32-63
 * generation of the slot; for raw operations the address of the keel_raw. */
enum tag {
    TAG_REQUEST = 0,
    TAG_RAW = 1,
    TAG_WAKE = 2,  /* event_fd became readable */
    TAG_NOISE = 3, /* nobody wants to know */
    TAG_MASK = 7,
};

struct uring_method {
    const struct uring_carrier *carrier; /* constant */
    void *own;                           /* the carrier's */
    struct uring_ring sync;
    struct uring_ring data; /* while data_open */

    /* under submit */
    bool data_tried;
    bool fd_needed;                /* keel_ctx_fd: nothing may be polled */
    struct uring_slot *slots;      /* written before the entry is published */
    uint32_t pushed;               /* entries to the sync ring so far */
    struct ios_queue inline_queue; /* KEEL_IO_INLINE: for whoever waits in turn() */

    /* role */
    uint32_t reported; /* entries from the sync ring so far */
    uint32_t wait_for; /* completions that the next waiting enter waits for */

    /* atomic */
    _Atomic uint32_t data_open; /* release in open_data(), acquire in turn(): the ring is there */
    _Atomic uint32_t data_inflight; /* relaxed: only a hint whether to spin */
    _Atomic uint32_t wake_armed;    /* relaxed: set under submit, cleared in the role */
    _Atomic uint32_t fixed_refused; /* relaxed: commands from registered buffers do not work here */
    _Atomic uint8_t *cut; /* per slot, relaxed: its sync was not linked behind its write */
};

/* ------------------------------------------------------------- for push(), submit lock held */

/* The polled ring, opened at the first call, if the device is to be polled on this context; NULL.
 */
struct uring_ring *uring_data_ring(struct keel_ctx *ctx, const struct keel_device *device);
/* Could the device be polled? */
bool uring_can_poll(const struct keel_device *device);

/* User data of a part. */
uint64_t uring_request_data(const struct keel_ctx *ctx, const struct keel_io *io, unsigned part);
/* The device, as fixed file where it can be one. */
void uring_set_file(struct uring_ring *ring, struct io_uring_sqe *sqe,
                    const struct keel_device *device);
/* Index of the registered buffer that the transfer lies in, or -1. */
int32_t uring_fixed_buffer(struct keel_ctx *ctx, struct uring_ring *ring, const struct keel_io *io,
                           const struct ios_step *step);
/* Instead of entries: whoever waits in turn() carries it out by system calls. */
void uring_push_inline(struct keel_ctx *ctx, struct keel_io *io);
/* The entries of a request are filled. */
void uring_pushed(struct keel_ctx *ctx, const struct keel_io *io, const struct uring_slot *slot,
                  uint32_t entries);

/* ------------------------------------------------------------- members of struct ios_method */

int uring_loop_attach(struct keel_ctx *ctx, const struct keel_ctx_options *options,
                      const struct uring_carrier *carrier);
void uring_loop_detach(struct keel_ctx *ctx);
void uring_loop_flush(struct keel_ctx *ctx, enum ios_flush how);
void uring_loop_turn(struct keel_ctx *ctx, enum ios_wait wait);
void uring_loop_reap(struct keel_ctx *ctx);
bool uring_loop_must_spin(struct keel_ctx *ctx);
int uring_loop_wait_fd(struct keel_ctx *ctx);
int uring_loop_need_fd(struct keel_ctx *ctx);
int uring_loop_raw(struct keel_ctx *ctx, struct keel_raw *raw);
void uring_loop_raw_cancel(struct keel_ctx *ctx, struct keel_raw *raw);
int uring_loop_admit(struct keel_ctx *ctx, const struct keel_device *device);
void uring_loop_forget_device(struct keel_ctx *ctx, const struct keel_device *device);
void uring_loop_forget_arena(struct keel_ctx *ctx, const struct keel_arena *arena);

#endif
