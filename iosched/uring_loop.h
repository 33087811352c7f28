/*
 * What the methods over io_uring share; see uring_loop.c. A method is a *carrier*, which says what
 * its rings are like, a push() that fills entries, and the functions below.
 */
#ifndef KEEL_IOSCHED_URING_LOOP_H
#define KEEL_IOSCHED_URING_LOOP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/trace.h"
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

/* Of a request in flight: struct ios_slot. Written before its entry is published. */
#define URING_NEVER INT32_MIN
enum {
    URING_ON_DATA = 1u << 0,    /* it went to the data ring */
    URING_FIXED = 1u << 1,      /* from a registered buffer, and could go without */
    URING_SYNC_APART = 1u << 2, /* its sync is not linked behind it; the core is told to send one */
};

/* User data: bits 0-2 what it is; the rest for requests the key of the slot, with bit 3 for the
 * part, for raw operations the address of the keel_raw. */
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
    int both_fd; /* sqpoll: an epoll of both rings, since nobody can wait in two; else -1 */

    /* under submit */
    bool data_tried;
    bool fd_needed;                /* keel_ctx_fd: nothing may be polled */
    uint32_t pushed;               /* entries to the sync ring so far */
    struct ios_queue inline_queue; /* KEEL_IO_INLINE: for whoever waits in turn() */

    /* role */
    uint32_t reported; /* entries from the sync ring so far */
    uint32_t wait_for; /* completions that the next waiting enter waits for */

    /* atomic */
    _Atomic uint32_t data_open; /* release in open_data(), acquire in turn(): the ring is there */
    /* relaxed: entries to the data ring so far, counted under submit, and of them those that came
     * back, counted in the role; only a hint whether to spin */
    _Atomic uint32_t data_pushed, data_reported;
    _Atomic uint32_t wake_armed;    /* relaxed: set under submit, cleared in the role */
    _Atomic uint32_t inline_waits;  /* relaxed: set under submit when something is put on
                                     * inline_queue, cleared in the role before it is taken */
    _Atomic uint32_t fixed_refused; /* relaxed: commands from registered buffers do not work here */

    struct uring_ring sync;
    struct uring_ring data; /* while data_open; polled, or with SQPOLL, or both */
};

/* Add to a counter that only the holder of one lock or role adds to. */
static inline void uring_count(_Atomic uint32_t *counter, uint32_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

/* Is something in flight on the data ring? */
static inline bool uring_data_in_flight(const struct uring_method *method)
{
    return atomic_load_explicit(&method->data_pushed, memory_order_relaxed) !=
           atomic_load_explicit(&method->data_reported, memory_order_relaxed);
}

/* ------------------------------------------------------------- for push(), submit lock held */

/* The data ring, opened at the first call, if the device is to use it on this context: to be
 * polled, or for its thread that submits (device NULL: a request that needs none); else NULL. */
struct uring_ring *uring_data_ring(struct keel_ctx *ctx, const struct keel_device *device);
/* Could the device be polled? */
bool uring_can_poll(const struct keel_device *device);

/* User data of a part. */
#define URING_PART ((uint64_t)1 << 3)
static inline uint64_t uring_request_data(const struct ios_slot *slot, unsigned part)
{
    return slot->key | part * URING_PART | TAG_REQUEST;
}

/* The device, as fixed file where it can be one. */
static inline void uring_set_file(struct uring_ring *ring, struct io_uring_sqe *sqe,
                                  const struct keel_device *device)
{
    if (uring_ring_file(ring, device)) {
        sqe->fd = device->id;
        sqe->flags |= IOSQE_FIXED_FILE;
    } else {
        sqe->fd = device->fd;
    }
}

/* Index of the registered buffer that the transfer lies in, or -1. */
int32_t uring_fixed_buffer(struct keel_ctx *ctx, struct uring_ring *ring, const struct keel_io *io,
                           const struct ios_step *step);
/* Is a step with this many bytes all that is left to do of a request, and plain? Then its result
 * needs no more than to be compared. */
static inline bool uring_is_whole(const struct keel_io *io, const struct ios_step *step)
{
    return step->len_bytes == io->len_bytes - io->private_.done_bytes && !step->link_sync &&
           !io->private_.chain && io->private_.phase == IOS_PHASE_TRANSFER;
}
/* Instead of entries: whoever waits in turn() carries it out by system calls. */
void uring_push_inline(struct keel_ctx *ctx, struct keel_io *io, struct ios_slot *slot);
/* What the slot keeps of a request. */
static inline void uring_note(struct ios_slot *slot, uint32_t notes, uint32_t bytes, int32_t whole)
{
    slot->notes = notes;
    slot->bytes = bytes;
    slot->whole = whole;
    atomic_store_explicit(&slot->cut, 0, memory_order_relaxed);
}
/* The entries of a request are filled, and its slot is. */
static inline void uring_pushed(struct keel_ctx *ctx, const struct ios_slot *slot, uint32_t entries)
{
    struct uring_method *method = ctx->method_data;

    if (slot->notes & URING_ON_DATA)
        uring_count(&method->data_pushed, 1);
    else
        method->pushed += entries;
}

/* ------------------------------------------------------------- members of struct ios_method */

int uring_loop_attach(struct keel_ctx *ctx, const struct keel_ctx_options *options,
                      const struct uring_carrier *carrier);
void uring_loop_detach(struct keel_ctx *ctx);
void uring_loop_owner_leaves(struct keel_ctx *ctx);
void uring_loop_flush(struct keel_ctx *ctx, enum ios_flush how);
void uring_loop_turn(struct keel_ctx *ctx, enum ios_wait wait);
void uring_loop_reap(struct keel_ctx *ctx);
bool uring_loop_ready(const struct keel_ctx *ctx);
bool uring_loop_must_spin(struct keel_ctx *ctx);
int uring_loop_wait_fd(struct keel_ctx *ctx);
int uring_loop_need_fd(struct keel_ctx *ctx);
int uring_loop_raw(struct keel_ctx *ctx, struct keel_raw *raw);
void uring_loop_raw_cancel(struct keel_ctx *ctx, struct keel_raw *raw);
int uring_loop_admit(struct keel_ctx *ctx, const struct keel_device *device);
void uring_loop_forget_device(struct keel_ctx *ctx, const struct keel_device *device);
void uring_loop_forget_chunks(struct keel_ctx *ctx, const struct ios_chunks *chunks);

#endif
