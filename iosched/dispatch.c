/*
 * Taking requests in, giving them slots, taking them back.
 *
 * The path of a request through this folder:
 *   keel_io_submit()        checked, into the inbox; from another thread straight onto a lane
 *   ios_dispatch_locked()   from the inbox onto the lane of its disk, the queue of its class; or to
 *                           the method at once, where nothing waits and no policy has a say
 *   ios_lanes_dispatch()    chosen by the policy (sched.c), with what touches it (merge.c); given a
 *                           slot, pushed to the method (push.h)
 *   ios_ctx_part_done()     a part of it completed (complete.h): the rest goes again, or it is
 *                           finished
 *   keel_io_cancel()        taken off its queue; the next turn completes it
 *
 * The owner of a context submits without a lock, and the clock is read once for a batch.
 *
 * Failure modes: a full queue is KEEL_EFULL to the caller; a method that cannot take more leaves
 * the request at the head of its queue.
 *
 * Invariants: I3 (bounded), I4 (completes once), I5 (with sched.c and lane.c).
 */
#include "base/assert.h"
#include "base/trace.h"
#include "iosched/complete.h"
#include "keel/sched.h"

__attribute__((hot)) uint32_t ios_dispatch_locked(struct keel_ctx *ctx, enum ios_flush how)
{
    uint32_t pushed;

    KEEL_DCHECK(lock_held(&ctx->submit));
    /* None was taken that was not free, none given back twice. */
    KEEL_INV(I3, ios_slots_free(ctx) <= ctx->depth);
    ctx->now_ns = 0;
    if (trace_each_wanted())
        ctx->ticks = clock_ticks();
    pushed = ctx->method->dispatch(ctx);
    if (ios_queued(ctx) > ctx->aborted.count)
        pushed += ios_lanes_dispatch(ctx);
    if (ctx->method->flush)
        ctx->method->flush(ctx, how);
    return pushed;
}

/* ------------------------------------------------------------- submitting */

/* An owner must not sleep while work is staged. */
__attribute__((noinline)) static int staged(struct keel_ctx *ctx)
{
    if (ctx->kind == KEEL_CTX_THREAD && !ios_owner_looks(ctx))
        ios_wake_owner(ctx);
    return 0;
}

/* By any thread but the owner of a context that has one. */
__attribute__((noinline)) static int submit_locked(struct keel_ctx *ctx, struct keel_io *io)
{
    if (ctx->kind == KEEL_CTX_SHARED)
        KEEL_ASSERT(io->done == NULL || (io->flags & KEEL_IO_ANY_THREAD));
    else
        KEEL_ASSERT(ios_in_callback());

    lock_acquire(&ctx->submit);
    ios_inbox_take_locked(ctx);
    if (ctx->closing || ios_queued(ctx) >= ctx->queue_max) {
        int rc = ctx->closing ? KEEL_ECLOSED : KEEL_EFULL;
        lock_release(&ctx->submit);
        return rc;
    }
    ctx->now_ns = 0;
    ios_request_begin(io, ctx);
    ios_request_move_from(io, KEEL_IO_IDLE, KEEL_IO_QUEUED);
    ios_queued_add(ctx, 1);
    ios_lane_push(ctx, io, false);
    lock_release(&ctx->submit);
    return staged(ctx);
}

static inline void put_in_inbox(struct keel_ctx *ctx, struct keel_io *io, uint32_t tail)
{
    ios_request_begin(io, ctx);
    atomic_store_explicit(&ctx->inbox_claim, tail + 1, memory_order_relaxed);
    ctx->inbox[tail % IOS_INBOX_MAX] = io;
    ios_request_move_from(io, KEEL_IO_IDLE, KEEL_IO_QUEUED);
    atomic_store_explicit(&ctx->inbox_tail, tail + 1, memory_order_release);
}

/* By the owner, that has to look again before it puts more there. */
__attribute__((noinline)) static int submit_looking(struct keel_ctx *ctx, struct keel_io *io)
{
    uint32_t tail = atomic_load_explicit(&ctx->inbox_tail, memory_order_relaxed);

    if (ctx->closing) /* which is the owner's to set */
        return KEEL_ECLOSED;
    uint32_t count = tail - atomic_load_explicit(&ctx->inbox_head, memory_order_acquire);
    if (ios_queued(ctx) + count >= ctx->queue_max || count == IOS_INBOX_MAX) {
        lock_acquire(&ctx->submit);
        ctx->now_ns = 0;
        ios_inbox_take_locked(ctx);
        lock_release(&ctx->submit);
        count = 0;
        /* Before they were read at different times; now it is still. */
        if (ios_queued(ctx) >= ctx->queue_max)
            return KEEL_EFULL;
    }
    put_in_inbox(ctx, io, tail);
    /* Only an event loop sleeps elsewhere than in keel: each one wakes it. */
    if (atomic_load_explicit(&ctx->fd_used, memory_order_relaxed)) {
        ios_inbox_look(ctx);
        return staged(ctx);
    }
    uint32_t room = ctx->queue_max - ios_queued(ctx) - count;
    ctx->inbox_known = tail + (room < IOS_INBOX_MAX - count ? room : IOS_INBOX_MAX - count);
    return 0;
}

__attribute__((hot)) int keel_io_submit(struct keel_ctx *ctx, struct keel_io *io)
{
    int rc = ios_request_validate(io);

    if (rc)
        return rc;
    if (!ios_is_owner(ctx))
        return submit_locked(ctx, io);

    uint32_t tail = atomic_load_explicit(&ctx->inbox_tail, memory_order_relaxed);
    if (tail == ctx->inbox_known)
        return submit_looking(ctx, io);
    put_in_inbox(ctx, io, tail);
    return 0;
}

int keel_io_cancel(struct keel_ctx *ctx, struct keel_io *io)
{
    KEEL_ASSERT(ctx->kind == KEEL_CTX_SHARED || ios_is_owner(ctx) || ios_in_callback());
    KEEL_ASSERT(io->private_.ctx == ctx);

    lock_acquire(&ctx->submit);
    ctx->now_ns = 0;
    ios_inbox_take_locked(ctx);
    /* Under the submit lock nothing leaves QUEUED. With a result it is on the way out already. */
    bool taken = ios_request_state(io) == KEEL_IO_QUEUED && io->res == 0;
    if (taken) {
        TRACE(IO_CANCEL, trace_id(io), "queued", io->offset_bytes, io->len_bytes, 0);
        ios_lane_remove(ctx, io);
        io->res = -ECANCELED;
        ios_queue_push_tail(&ctx->aborted, io);
        /* If it was what held others back, they are not any more. */
        if (ctx->lanes[io->private_.lane].held)
            ios_lanes_dispatch(ctx);
    }
    lock_release(&ctx->submit);

    if (taken)
        staged(ctx);
    return taken ? 0 : KEEL_EBUSY;
}

void ios_promote(struct keel_ctx *ctx, struct keel_ioref ref, enum keel_class cls)
{
    struct keel_io *io = ref.io;

    lock_acquire(&ctx->submit);
    ctx->now_ns = 0;
    ios_inbox_take_locked(ctx);
    /* Under the submit lock nothing leaves QUEUED, and nothing comes into it but by the owner's
     * inbox, which is a use that has another generation. */
    uint32_t word = ios_request_word(io);
    if (word >> 8 == ref.gen && (word & 0xff) == KEEL_IO_QUEUED && io->res == 0 &&
        io->private_.ctx == ctx && io->private_.cls > cls && io->private_.cost_ns != 0) {
        uint64_t stamp_ns = io->private_.stamp_ns;
        ios_lane_remove(ctx, io);
        io->private_.cls = (uint8_t)cls;
        ios_lane_push(ctx, io, false);
        io->private_.stamp_ns = stamp_ns;
        ios_count(&ctx->lanes[io->private_.lane].stats[cls].promoted, 1);
    }
    lock_release(&ctx->submit);
}

/* ------------------------------------------------------------- coming back */

/* The rest of a request goes first in its class: it has waited already. */
static void requeue(struct keel_ctx *ctx, struct keel_io *io)
{
    lock_acquire(&ctx->submit);
    ctx->now_ns = 0;
    ios_request_move_from(io, KEEL_IO_SUBMITTED, KEEL_IO_QUEUED);
    ios_queued_add(ctx, 1);
    ios_lane_push(ctx, io, true);
    lock_release(&ctx->submit);
}

void ios_ctx_settle(struct keel_ctx *ctx, struct keel_io *io, int32_t res)
{
    if (trace_each_wanted()) {
        if (ctx->done_ticks == 0)
            ctx->done_ticks = clock_ticks();
        TRACE_AT(ctx->done_ticks, IO_DONE, trace_id(io), NULL, io->offset_bytes, io->len_bytes,
                 res);
    }
    if (io->private_.chain)
        ios_chain_done(ctx, io, res);
    else if (ios_request_settle(io) == IOS_AGAIN)
        requeue(ctx, io);
    else
        ios_finish(ctx, io, KEEL_IO_SUBMITTED);
    if (ctx->method->steps_clock) {
        atomic_store_explicit(&ctx->completed, ctx->handed, memory_order_relaxed);
        ios_lanes_settle(ctx);
        ios_hand_over(ctx);
    }
}
