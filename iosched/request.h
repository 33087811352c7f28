/*
 * The life of a request: states, edges, generations, and what follows from a completion.
 *
 * A request is the caller's memory (struct keel_io); nothing here allocates. Its state word holds
 * the generation (how often it was submitted) and the state, and is the one place where it changes
 * hands: every change is a release store and every look by another thread an acquire load, which
 * also orders the hand-over through the kernel for the eyes of ThreadSanitizer.
 *
 * Parts: what one submission sends to the device. A transfer or a sync has one; a write with
 * KEEL_IO_LINK_SYNC has two, the write (part 0) and the fdatasync linked behind it (part 1). A
 * submission is complete when each part is; ios_request_settle() then says whether the request
 * is done or has to go again for the rest.
 *
 * Invariants: I1 (one owner), I2 (submitted buffers are untouched), I4 (completes exactly once).
 */
#ifndef KEEL_IOSCHED_REQUEST_H
#define KEEL_IOSCHED_REQUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/assert.h"
#include "iosched/device.h"
#include "keel/iosched.h"

/* clang-format off */
/* name, owner, list it is on, valid fields, meaning */
#define IOS_REQUEST_STATES(X) \
X(IDLE,      "caller",    "none",            "res, after the first use", "not in use") \
X(QUEUED,    "scheduler", "its class's",     "the caller's",             "waits for its turn; can be cancelled") \
X(SUBMITTED, "device",    "slot table",      "slot, parts",              "the device has it; nobody touches buffer or fields") \
X(DONE,      "scheduler", "the owner's",     "res",                      "the result is known, the owner has not run the callback yet")

/* from, to, why */
#define IOS_REQUEST_EDGES(X) \
X(IDLE,      QUEUED,    "keel_io_submit") \
X(QUEUED,    SUBMITTED, "dispatch: it has a slot") \
X(QUEUED,    DONE,      "cancelled, or refused by the method; the callback is the owner's to run") \
X(QUEUED,    IDLE,      "the same, where whoever reaps gives it back") \
X(SUBMITTED, QUEUED,    "the rest of a short transfer, -EAGAIN, or a sync that was never issued") \
X(SUBMITTED, DONE,      "all parts came and nothing is left to do; the callback is the owner's to run") \
X(SUBMITTED, IDLE,      "the same, where whoever reaps gives it back: no callback, or one for any thread") \
X(DONE,      IDLE,      "the owner gives it back; the callback runs after this")
/* clang-format on */

/* What a submission of the request carries. */
enum ios_phase {
    IOS_PHASE_TRANSFER = 0, /* what it says, or what is left of it */
    IOS_PHASE_SYNC_ONLY,    /* a linked sync that was never issued: everything is written */
};

/* Resubmissions without progress before the kernel's answer is passed on. */
#define IOS_RETRIES_MAX 16

/* Requests that may ride on one command, and pieces of memory that it may have. */
#define IOS_CHAIN_MAX 16u

/* One submission, as a method needs it. */
struct ios_step {
    enum keel_op op;
    bool dsync;     /* write: durable when complete */
    bool link_sync; /* write: followed by a linked fdatasync as part 1 */
    bool atomic;    /* write: untorn */
    void *buf;
    uint64_t offset_bytes; /* in the whole device */
    uint32_t len_bytes;
    /* Where a command moves more than one piece of memory (a method with iov_max > 1): buf is NULL.
     * Valid until the last part is reported. */
    const struct iovec *iov;
    uint32_t iov_count; /* else 0 */
};

enum ios_verdict {
    IOS_FINISHED, /* io->res is set */
    IOS_AGAIN,    /* queue it once more */
};

const char *ios_request_state_name(enum keel_io_state state);

/* The state with acquire; and the whole word, generation << 8 | state. */
static inline enum keel_io_state ios_request_state(const struct keel_io *io)
{
    return (enum keel_io_state)(__atomic_load_n(&io->private_.state, __ATOMIC_ACQUIRE) & 0xff);
}

static inline uint32_t ios_request_word(const struct keel_io *io)
{
    return __atomic_load_n(&io->private_.state, __ATOMIC_ACQUIRE);
}

/* Does the table have this edge? */
bool ios_request_edge(enum keel_io_state from, enum keel_io_state to);

/* Print that there is no such edge, and trap. */
__attribute__((noreturn, cold)) void
ios_request_missing_edge(const struct keel_io *io, enum keel_io_state from, enum keel_io_state to);

/* Bit from * 4 + to of each edge. */
#define IOS_EDGE_BIT(from, to, why) | 1u << (KEEL_IO_##from * 4 + KEEL_IO_##to)
#define IOS_EDGE_BITS               (0u IOS_REQUEST_EDGES(IOS_EDGE_BIT))

/* The only function that changes the state. Traps on an edge that is not in the table. The last
 * access to io when it moves to IDLE. */
static inline void ios_request_move(struct keel_io *io, enum keel_io_state to)
{
    /* Relaxed: the owner of the present state is the last who stored it, or took it over by an
     * acquire load or a lock. */
    uint32_t word = __atomic_load_n(&io->private_.state, __ATOMIC_RELAXED);
    enum keel_io_state from = (enum keel_io_state)(word & 0xff);

    if (__builtin_expect(from > KEEL_IO_DONE || !(IOS_EDGE_BITS >> (from * 4 + to) & 1), 0))
        ios_request_missing_edge(io, from, to);
    uint32_t gen = (word >> 8) + (from == KEEL_IO_IDLE ? 1 : 0);

    /* Release: what its owner so far wrote is seen by who finds the new state by an acquire load in
     * ios_request_state(), keel_ioref_done() or, for a device's answer, ios_request_part(). */
    __atomic_store_n(&io->private_.state, gen << 8 | (uint32_t)to, __ATOMIC_RELEASE);
}

/* The same where the present state is known. */
static inline void ios_request_move_from(struct keel_io *io, enum keel_io_state from,
                                         enum keel_io_state to)
{
    uint32_t word = __atomic_load_n(&io->private_.state, __ATOMIC_RELAXED);

    /* Of constants: nothing is left of it but the comparison. */
    if (__builtin_expect((word & 0xff) != from || !(IOS_EDGE_BITS >> (from * 4 + to) & 1), 0))
        ios_request_missing_edge(io, (enum keel_io_state)(word & 0xff), to);
    word += (uint32_t)to - (uint32_t)from + (from == KEEL_IO_IDLE ? 1u << 8 : 0);
    /* Release: as in ios_request_move(). */
    __atomic_store_n(&io->private_.state, word, __ATOMIC_RELEASE);
}

/* Assert what the state promises about the other fields. Owner of the request only. */
void ios_request_check(const struct keel_io *io);

static inline bool ios_is_range(unsigned op)
{
    return op == KEEL_OP_WRITE_ZEROES || op == KEEL_OP_DEALLOCATE;
}

/* Has it a place and a length, of which parts may be done? */
static inline bool ios_has_extent(unsigned op)
{
    return op != KEEL_OP_SYNC && op != KEEL_OP_NOP;
}

/* 0, KEEL_EALIGN or KEEL_ERANGE; traps on misuse that no device could cause. */
static inline int ios_request_validate(const struct keel_io *io)
{
    uint32_t writes_only = io->flags & (KEEL_IO_DSYNC | KEEL_IO_LINK_SYNC | KEEL_IO_ATOMIC);

    KEEL_ASSERT(io->op >= KEEL_OP_READ && io->op <= KEEL_OP_DEALLOCATE);
    KEEL_ASSERT(io->cls < KEEL_CLASS_COUNT);
    KEEL_ASSERT(io->device != NULL || io->op == KEEL_OP_NOP);
    if (writes_only) {
        KEEL_ASSERT(io->op == KEEL_OP_WRITE);
        KEEL_ASSERT(!(io->flags & KEEL_IO_DSYNC) || !(io->flags & KEEL_IO_LINK_SYNC));
        KEEL_ASSERT(!(io->flags & KEEL_IO_ATOMIC) || !(io->flags & KEEL_IO_INLINE));
    }
    if (!ios_has_extent(io->op))
        return io->len_bytes == 0 ? 0 : KEEL_ERANGE;

    uint64_t bits = (uintptr_t)io->buf | io->offset_bytes | io->len_bytes;
    if ((io->buf == NULL) != ios_is_range(io->op) || bits % KEEL_BLOCK_BYTES != 0)
        return KEEL_EALIGN;
    uint32_t max = ios_is_range(io->op) ? KEEL_RANGE_BYTES_MAX : KEEL_IO_BYTES_MAX;
    if (io->len_bytes == 0 || io->len_bytes > max)
        return KEEL_ERANGE;

    uint64_t size = ios_device_size(io->device);
    if (io->offset_bytes > size || io->len_bytes > size - io->offset_bytes)
        return KEEL_ERANGE;
    if ((io->flags & KEEL_IO_ATOMIC) &&
        (!ios_device_writes_untorn(io->device, io->len_bytes) ||
         (io->device->base_bytes + io->offset_bytes) % io->len_bytes != 0))
        return KEEL_ENOTSUP;
    return 0;
}

/* Begin a use of it (IDLE, or it is a trap before anybody has seen the change): nothing done,
 * nothing tried. ios_request_move_from(io, IDLE, QUEUED) is next. */
static inline void ios_request_begin(struct keel_io *io, struct keel_ctx *ctx)
{
    KEEL_DCHECK(io->private_.next == NULL && io->private_.prev == NULL);

    io->res = 0;
    io->status = 0;
    /* Atomic, because keel_ioref_wait() looks at it from other threads. */
    __atomic_store_n(&io->private_.ctx, ctx, __ATOMIC_RELAXED);
    io->private_.chain = NULL;
    io->private_.done_bytes = 0;
    io->private_.step_bytes = 0;
    io->private_.cost_ns = 0;
    io->private_.phase = IOS_PHASE_TRANSFER;
    io->private_.retries = 0;
    io->private_.alone = 0;
    io->private_.iov_count = 0;
    io->private_.cls = io->cls;
}

/* The pieces of memory of a chain (merge.c). */
const struct iovec *ios_chain_iov(const struct keel_io *head);

/* What to send now, at most step_bytes of it if that is not 0; sets parts_left. */
static inline struct ios_step ios_request_step(struct keel_io *io)
{
    uint32_t done = io->private_.done_bytes;
    struct ios_step step = {.op = (enum keel_op)io->op};

    if (io->private_.phase == IOS_PHASE_SYNC_ONLY)
        step.op = KEEL_OP_SYNC;
    if (ios_has_extent(step.op)) {
        KEEL_ASSERT(done < io->len_bytes);
        step.dsync = (io->flags & KEEL_IO_DSYNC) != 0;
        step.link_sync = (io->flags & KEEL_IO_LINK_SYNC) != 0;
        step.atomic = (io->flags & KEEL_IO_ATOMIC) != 0;
        step.buf = io->buf ? (char *)io->buf + done : NULL;
        step.offset_bytes = io->device->base_bytes + io->offset_bytes + done;
        step.len_bytes = io->private_.step_bytes ? io->private_.step_bytes : io->len_bytes - done;
        if (io->private_.iov_count > 1) {
            step.buf = NULL;
            step.iov = ios_chain_iov(io);
            step.iov_count = io->private_.iov_count;
        }
    }
    io->private_.parts_left = step.link_sync ? 3 : 1;
    return step;
}

/* Debug builds: what writes carry, io and what rides on it, is the same when they go to the device
 * and when they have come from it (I2). */
#ifndef NDEBUG
void ios_request_seal(struct keel_io *io);
void ios_request_unseal(const struct keel_io *io);
#else
static inline void ios_request_seal(struct keel_io *io)
{
    (void)io;
}
static inline void ios_request_unseal(const struct keel_io *io)
{
    (void)io;
}
#endif

/* Note one part; true when it was the last. */
static inline bool ios_request_part(struct keel_io *io, unsigned part, int32_t res)
{
    uint8_t bit = (uint8_t)(1u << part);

    /* The acquire load pairs with the release store of SUBMITTED by whoever submitted it: the
     * kernel's hand-over is invisible to ThreadSanitizer. */
    KEEL_INV(I4, ios_request_state(io) == KEEL_IO_SUBMITTED);
    KEEL_INV(I4, (io->private_.parts_left & bit) != 0);

    io->private_.part_res[part] = res;
    io->private_.parts_left ^= bit;
    return io->private_.parts_left == 0;
}

/* What follows from the parts (SUBMITTED, all of them came). A request that goes again never looks
 * done to keel_ioref_done(), so DONE has no edge back. */
enum ios_verdict ios_request_settle(struct keel_io *io);

/* Does it go as a write and a linked sync? */
static inline bool ios_request_is_pair(const struct keel_io *io)
{
    return (io->flags & KEEL_IO_LINK_SYNC) && io->private_.phase == IOS_PHASE_TRANSFER;
}

/* The plain case: it had one part, which did all that was left. True, or nothing was changed. */
static inline bool ios_request_complete(struct keel_io *io)
{
    uint32_t left = io->len_bytes - io->private_.done_bytes; /* 0 where nothing is moved */
    uint32_t asked = io->private_.step_bytes ? io->private_.step_bytes : left;

    if (ios_request_is_pair(io) || io->private_.phase != IOS_PHASE_TRANSFER || asked != left ||
        (uint32_t)io->private_.part_res[0] != left)
        return false;
    io->private_.done_bytes = io->len_bytes;
    io->res = 0;
    return true;
}

/* ------------------------------------------------------------- queues of requests */

/* Doubly linked through private_.next and .prev; a request is on one queue at most. */
struct ios_queue {
    struct keel_io *head;
    struct keel_io *tail;
    uint32_t count;
};

static inline void ios_queue_push_tail(struct ios_queue *queue, struct keel_io *io)
{
    KEEL_DCHECK(io->private_.next == NULL && io->private_.prev == NULL && queue->head != io);

    io->private_.prev = queue->tail;
    if (queue->tail)
        queue->tail->private_.next = io;
    else
        queue->head = io;
    queue->tail = io;
    queue->count++;
}

static inline void ios_queue_push_head(struct ios_queue *queue, struct keel_io *io)
{
    KEEL_DCHECK(io->private_.next == NULL && io->private_.prev == NULL && queue->head != io);

    io->private_.next = queue->head;
    if (queue->head)
        queue->head->private_.prev = io;
    else
        queue->tail = io;
    queue->head = io;
    queue->count++;
}

void ios_queue_remove(struct ios_queue *queue, struct keel_io *io);

/* NULL when empty */
static inline struct keel_io *ios_queue_pop(struct ios_queue *queue)
{
    struct keel_io *io = queue->head;

    if (!io)
        return NULL;
    queue->head = io->private_.next;
    if (queue->head)
        queue->head->private_.prev = NULL;
    else
        queue->tail = NULL;
    io->private_.next = NULL;
    io->private_.prev = NULL;
    queue->count--;
    return io;
}

/* Append all of from; it is empty afterwards. */
void ios_queue_splice(struct ios_queue *queue, struct ios_queue *from);

#endif
