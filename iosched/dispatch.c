/*
 * Taking requests in, giving them slots, taking them back.
 *
 * The path of a request through this folder:
 *   keel_io_submit()        checked, into the inbox; from another thread straight onto a lane
 *   ios_dispatch_locked()   from the inbox onto the lane of its disk, the queue of its class
 *   ios_lanes_dispatch()    chosen by the policy (sched.c), with what touches it (merge.c)
 *   ios_push()              given a slot, pushed to the method
 *   ios_ctx_part_done()     a part of it completed: the rest goes again, or it is finished
 *   keel_io_cancel()        taken off its queue; the next turn completes it
 *
 * The owner of a context submits without a lock, and the clock is read once for a batch.
 *
 * Failure modes: a full queue is KEEL_EFULL to the caller; a method that cannot take more leaves
 * the request at the head of its queue.
 *
 * Invariants: I3 (bounded), I4 (completes once), I5 (with sched.c and lane.c).
 */
#include <sched.h>
#include <string.h>

#include "base/assert.h"
#include "base/trace.h"
#include "iosched/ctx.h"
#include "keel/sched.h"

/* ------------------------------------------------------------- slots */

/* The driver's freed slots are free again. Role and submit lock held, or nobody drives. */
static void take_slots_back(struct keel_ctx *ctx)
{
    KEEL_ASSERT(ctx->freed_count <= ctx->in_flight);

    for (uint32_t i = 0; i < ctx->freed_count; i++)
        ctx->free_slots[ctx->free_count++] = ctx->freed_slots[i];
    ctx->in_flight -= ctx->freed_count;
    ctx->freed_count = 0;
    KEEL_INV(I3, ctx->in_flight + ctx->free_count == ctx->depth);
}

void ios_slots_return_locked(struct keel_ctx *ctx)
{
    KEEL_DCHECK(lock_held(&ctx->submit));
    take_slots_back(ctx);
}

static void count_submitted(struct keel_ctx *ctx, const struct keel_io *io)
{
    if (io->private_.phase == IOS_PHASE_SYNC_ONLY)
        return; /* it was, with its write */
    ios_stat_add_alone(ctx, IOS_STAT_SUBMITTED, 1);
    if (io->op == KEEL_OP_READ)
        ios_stat_add_alone(ctx, IOS_STAT_READS, 1);
    else if (io->op == KEEL_OP_WRITE)
        ios_stat_add_alone(ctx, IOS_STAT_WRITES, 1);
    if (io->op == KEEL_OP_SYNC || (io->flags & KEEL_IO_LINK_SYNC))
        ios_stat_add_alone(ctx, IOS_STAT_SYNCS, 1);
}

/* All of a chain completes with rc at the next turn. */
static void abort_chain(struct keel_ctx *ctx, struct keel_io *io, int rc)
{
    struct keel_io *next;

    for (; io; io = next) {
        next = io->private_.chain;
        io->private_.chain = NULL;
        io->res = rc;
        ios_queue_push_tail(&ctx->aborted, io);
        ctx->queued++;
    }
}

enum ios_pushed ios_push(struct keel_ctx *ctx, struct keel_io *io)
{
    KEEL_INV(I3, ctx->free_count > 0);

    uint32_t index = ctx->free_slots[ctx->free_count - 1];
    struct ios_slot *slot = &ctx->slots[index];
    KEEL_INV(I4, atomic_load_explicit(&slot->io, memory_order_relaxed) == NULL);
    KEEL_DCHECK(ios_request_state(io) == KEEL_IO_QUEUED);

    slot->gen++;
    io->private_.slot = index;
    int rc = ctx->method->push(ctx, io);
    if (rc == KEEL_EFULL)
        return IOS_PUSH_FULL;
    if (rc) {
        abort_chain(ctx, io, rc);
        return IOS_PUSH_REFUSED;
    }

    ctx->free_count--;
    ctx->in_flight++;
    count_submitted(ctx, io);
    TRACE_AT(ctx->ticks, IO_MOVE, trace_id(io), "SUBMITTED", io->offset_bytes, io->len_bytes, 0);
    for (struct keel_io *at = io; at; at = at->private_.chain) {
        ios_request_seal(at);
        ios_request_move(at, KEEL_IO_SUBMITTED);
    }
    atomic_store_explicit(&slot->io, io, memory_order_release); /* pairs in report_request() */
    return IOS_PUSH_GONE;
}

bool ios_inbox_take_locked(struct keel_ctx *ctx)
{
    uint32_t head = atomic_load_explicit(&ctx->inbox_head, memory_order_relaxed);
    uint32_t tail = atomic_load_explicit(&ctx->inbox_tail, memory_order_acquire);

    KEEL_DCHECK(lock_held(&ctx->submit));
    if (head != tail) {
        for (; head != tail; head++)
            ios_lane_push(ctx, ctx->inbox[head % IOS_INBOX_MAX], false);
        atomic_store_explicit(&ctx->inbox_head, head, memory_order_release);
    }
    return atomic_load_explicit(&ctx->inbox_claim, memory_order_relaxed) == tail;
}

uint32_t ios_dispatch_locked(struct keel_ctx *ctx, enum ios_flush how)
{
    uint32_t pushed = 0;

    KEEL_DCHECK(lock_held(&ctx->submit));
    ctx->now_ns = 0;
    if (how == IOS_FLUSH_HOLDER)
        take_slots_back(ctx);
    ios_inbox_take_locked(ctx);
    if (ctx->queued > ctx->aborted.count) {
        ctx->ticks = clock_ticks();
        pushed = ios_lanes_dispatch(ctx);
    }
    if (ctx->method->flush)
        ctx->method->flush(ctx, how);
    return pushed;
}

/* ------------------------------------------------------------- submitting */

static void check_submitter(const struct keel_ctx *ctx)
{
    if (ctx->kind == KEEL_CTX_THREAD)
        KEEL_ASSERT(ctx->owner == ios_thread_self() || ios_in_callback());
}

/* An owner must not sleep while work is staged. */
static void staged(struct keel_ctx *ctx)
{
    if (ctx->kind == KEEL_CTX_THREAD && !ios_owner_looks(ctx))
        ios_wake_owner(ctx);
}

/* By any thread but the owner of a context that has one. */
static int submit_locked(struct keel_ctx *ctx, struct keel_io *io)
{
    lock_acquire(&ctx->submit);
    ios_inbox_take_locked(ctx);
    if (ctx->closing || ctx->queued >= ctx->queue_max) {
        int rc = ctx->closing ? KEEL_ECLOSED : KEEL_EFULL;
        lock_release(&ctx->submit);
        return rc;
    }
    ctx->now_ns = 0;
    ios_request_begin(io, ctx);
    ios_request_move(io, KEEL_IO_QUEUED);
    ios_lane_push(ctx, io, false);
    lock_release(&ctx->submit);
    return 0;
}

static void empty_inbox(struct keel_ctx *ctx)
{
    lock_acquire(&ctx->submit);
    ctx->now_ns = 0;
    ios_inbox_take_locked(ctx);
    lock_release(&ctx->submit);
}

/* By the owner. closing is its own to set. */
static int submit_inbox(struct keel_ctx *ctx, struct keel_io *io)
{
    uint32_t tail = atomic_load_explicit(&ctx->inbox_tail, memory_order_relaxed);
    uint32_t count = tail - atomic_load_explicit(&ctx->inbox_head, memory_order_acquire);

    if (ctx->closing)
        return KEEL_ECLOSED;
    if (atomic_load_explicit(&ctx->queued, memory_order_relaxed) + count >= ctx->queue_max) {
        empty_inbox(ctx); /* both were read at different times: once more, now that it is still */
        if (atomic_load_explicit(&ctx->queued, memory_order_relaxed) >= ctx->queue_max)
            return KEEL_EFULL;
    } else if (count == IOS_INBOX_MAX) {
        empty_inbox(ctx);
    }

    ios_request_begin(io, ctx);
    atomic_store_explicit(&ctx->inbox_claim, tail + 1, memory_order_relaxed);
    ctx->inbox[tail % IOS_INBOX_MAX] = io;
    ios_request_move(io, KEEL_IO_QUEUED);
    atomic_store_explicit(&ctx->inbox_tail, tail + 1, memory_order_release);
    return 0;
}

int keel_io_submit(struct keel_ctx *ctx, struct keel_io *io)
{
    bool owner = ctx->kind == KEEL_CTX_THREAD && ctx->owner == ios_thread_self();

    check_submitter(ctx);
    if (ctx->kind == KEEL_CTX_SHARED)
        KEEL_ASSERT(io->done == NULL || (io->flags & KEEL_IO_ANY_THREAD));

    int rc = ios_request_validate(io);
    if (rc)
        return rc;
    rc = owner ? submit_inbox(ctx, io) : submit_locked(ctx, io);
    if (rc == 0)
        staged(ctx);
    return rc;
}

int keel_io_cancel(struct keel_ctx *ctx, struct keel_io *io)
{
    check_submitter(ctx);
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
        ctx->queued++;
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
    ios_request_move(io, KEEL_IO_QUEUED);
    ios_lane_push(ctx, io, true);
    lock_release(&ctx->submit);
}

static void count_completed(struct keel_ctx *ctx, const struct keel_io *io)
{
    uint32_t bytes = io->private_.done_bytes;

    ios_stat_add_alone(ctx, IOS_STAT_COMPLETED, 1);
    if (io->op == KEEL_OP_READ)
        ios_stat_add_alone(ctx, IOS_STAT_BYTES_READ, bytes);
    else if (io->op == KEEL_OP_WRITE)
        ios_stat_add_alone(ctx, IOS_STAT_BYTES_WRITTEN, bytes);
    if (io->private_.cost_ns) {
        struct keel_sched_class_stats *stats =
            &ctx->lanes[io->private_.lane].stats[io->private_.cls];
        ios_count(&stats->requests, 1);
        ios_count(&stats->bytes, bytes);
    }
}

void ios_finish(struct keel_ctx *ctx, struct keel_io *io)
{
    KEEL_ASSERT(io->res <= 0);

    count_completed(ctx, io);
    ios_queue_push_tail(&ctx->finished, io);
}

void ios_ctx_part_done(struct keel_ctx *ctx, struct keel_io *io, unsigned part, int32_t res)
{
    KEEL_DCHECK(ctx->method->steps_clock || atomic_load(&ctx->role) == 1);
    KEEL_INV(I4, io->private_.ctx == ctx && io->private_.slot < ctx->depth);

    if (!ios_request_part(io, part, res))
        return;
    for (const struct keel_io *at = io; at; at = at->private_.chain)
        ios_request_unseal(at);

    struct ios_slot *slot = &ctx->slots[io->private_.slot];
    KEEL_INV(I4, atomic_load_explicit(&slot->io, memory_order_relaxed) == io);
    atomic_store_explicit(&slot->io, NULL, memory_order_relaxed);
    ctx->freed_slots[ctx->freed_count++] = io->private_.slot;
    if (io->private_.cost_ns)
        ios_lane_done(ctx, io, io->private_.part_res[0]);
    if (ctx->done_ticks == 0)
        ctx->done_ticks = clock_ticks();
    TRACE_AT(ctx->done_ticks, IO_DONE, trace_id(io), NULL, io->offset_bytes, io->len_bytes, res);

    if (io->private_.chain)
        ios_chain_done(ctx, io, res);
    else if (ios_request_settle(io) == IOS_AGAIN)
        requeue(ctx, io);
    else
        ios_finish(ctx, io);
    if (ctx->method->steps_clock) {
        ios_lanes_settle(ctx);
        ios_hand_over(ctx);
    }
}
