/*
 * Queues and slots: taking requests in, choosing which go next, taking them back.
 *
 * The path of a request through this file:
 *   keel_io_submit()        checked, onto the queue of its class
 *   ios_dispatch_locked()   chosen by ios_pick(), given a slot, pushed to the method
 *   ios_ctx_part_done()     a part of it completed: the rest goes again, or it is finished
 *   keel_io_cancel()        taken off its queue; the next turn completes it
 *
 * Policy: the log's class goes first and has slots of its own; the other classes take turns, so
 * that none of them starves (I5). The log's class is bounded by the log itself, which never has
 * more than a few writes outstanding.
 *
 * Failure modes: a full queue is KEEL_EFULL to the caller; a method that cannot take more leaves
 * the request at the head of its queue.
 *
 * Invariants: I3 (bounded), I4 (completes once), I5.
 */
#include <string.h>

#include "base/assert.h"
#include "base/trace.h"
#include "iosched/ctx.h"

uint32_t ios_pick(const struct ios_view *view)
{
    if (view->slots_free == 0)
        return KEEL_CLASS_COUNT;
    if (view->waiting[KEEL_CLASS_WAL] > 0)
        return KEEL_CLASS_WAL;
    if (view->slots_free <= view->reserved)
        return KEEL_CLASS_COUNT;

    uint32_t others = KEEL_CLASS_COUNT - 1;
    for (uint32_t i = 0; i < others; i++) {
        uint32_t cls = 1 + (view->next_class + i) % others;
        if (view->waiting[cls] > 0)
            return cls;
    }
    return KEEL_CLASS_COUNT;
}

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
    ios_stat_add_alone(ctx, IOS_STAT_SUBMITTED, 1);
    if (io->op == KEEL_OP_READ)
        ios_stat_add_alone(ctx, IOS_STAT_READS, 1);
    else if (io->op == KEEL_OP_WRITE)
        ios_stat_add_alone(ctx, IOS_STAT_WRITES, 1);
    if (io->op == KEEL_OP_SYNC || (io->flags & KEEL_IO_LINK_SYNC))
        ios_stat_add_alone(ctx, IOS_STAT_SYNCS, 1);
}

/* Give the request a slot and push it. On refusal for the moment everything is as before. */
static int push(struct keel_ctx *ctx, struct keel_io *io)
{
    KEEL_INV(I3, ctx->free_count > 0);

    uint32_t index = ctx->free_slots[ctx->free_count - 1];
    struct ios_slot *slot = &ctx->slots[index];
    KEEL_INV(I4, atomic_load_explicit(&slot->io, memory_order_relaxed) == NULL);
    KEEL_DCHECK(ios_request_state(io) == KEEL_IO_QUEUED);

    slot->gen++;
    io->private_.slot = index;
    int rc = ctx->method->push(ctx, io);
    if (rc)
        return rc;

    ctx->free_count--;
    ctx->in_flight++;
    count_submitted(ctx, io);
    ios_request_seal(io);
    ios_request_move(io, KEEL_IO_SUBMITTED);
    atomic_store_explicit(&slot->io, io, memory_order_release); /* pairs in report_request() */
    return 0;
}

/* Push the head of a class's queue; false: the method takes no more now. */
static bool push_head_of(struct keel_ctx *ctx, uint32_t cls)
{
    struct keel_io *io = ios_queue_pop(&ctx->queues[cls]);
    int rc = push(ctx, io);

    if (rc == KEEL_EFULL) {
        ios_queue_push_head(&ctx->queues[cls], io);
        return false;
    }
    if (rc) {
        io->res = rc;
        ios_queue_push_tail(&ctx->aborted, io);
        return true;
    }
    ctx->queued--;
    return true;
}

uint32_t ios_dispatch_locked(struct keel_ctx *ctx, enum ios_flush how)
{
    struct ios_view view = {.reserved = ctx->reserved};
    uint32_t pushed = 0;

    KEEL_DCHECK(lock_held(&ctx->submit));
    if (how == IOS_FLUSH_HOLDER)
        take_slots_back(ctx);

    if (ctx->queued > ctx->aborted.count) {
        for (uint32_t cls = 0; cls < KEEL_CLASS_COUNT; cls++)
            view.waiting[cls] = ctx->queues[cls].count;
        for (;;) {
            view.slots_free = ctx->free_count;
            view.next_class = ctx->next_class;
            uint32_t cls = ios_pick(&view);
            if (cls == KEEL_CLASS_COUNT || !push_head_of(ctx, cls))
                break;
            uint32_t turn = 1 + ctx->next_class % (KEEL_CLASS_COUNT - 1);
            KEEL_INV(I5, cls == KEEL_CLASS_WAL || cls == turn || view.waiting[turn] == 0);
            view.waiting[cls]--;
            if (cls != KEEL_CLASS_WAL)
                ctx->next_class = cls % (KEEL_CLASS_COUNT - 1);
            pushed++;
        }
    }
    if (ctx->method->flush)
        ctx->method->flush(ctx, how);
    return pushed;
}

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

int keel_io_submit(struct keel_ctx *ctx, struct keel_io *io)
{
    check_submitter(ctx);
    if (ctx->kind == KEEL_CTX_SHARED)
        KEEL_ASSERT(io->done == NULL || (io->flags & KEEL_IO_ANY_THREAD));

    int rc = ios_request_validate(io);
    if (rc)
        return rc;

    lock_acquire(&ctx->submit);
    if (ctx->closing || ctx->queued >= ctx->queue_max) {
        rc = ctx->closing ? KEEL_ECLOSED : KEEL_EFULL;
        lock_release(&ctx->submit);
        return rc;
    }
    ios_request_begin(io, ctx);
    ios_request_move(io, KEEL_IO_QUEUED);
    ios_queue_push_tail(&ctx->queues[io->cls], io);
    ctx->queued++;
    lock_release(&ctx->submit);

    staged(ctx);
    return 0;
}

int keel_io_cancel(struct keel_ctx *ctx, struct keel_io *io)
{
    check_submitter(ctx);
    KEEL_ASSERT(io->private_.ctx == ctx);

    lock_acquire(&ctx->submit);
    /* Under the submit lock nothing leaves QUEUED. With a result it is on the way out already. */
    bool taken = ios_request_state(io) == KEEL_IO_QUEUED && io->res == 0;
    if (taken) {
        TRACE(IO_CANCEL, trace_id(io), "queued", io->offset_bytes, io->len_bytes, 0);
        ios_queue_remove(&ctx->queues[io->cls], io);
        io->res = -ECANCELED;
        ios_queue_push_tail(&ctx->aborted, io);
    }
    lock_release(&ctx->submit);

    if (taken)
        staged(ctx);
    return taken ? 0 : KEEL_EBUSY;
}

/* The rest of a request goes first in its class: it has waited already. */
static void requeue(struct keel_ctx *ctx, struct keel_io *io)
{
    lock_acquire(&ctx->submit);
    ios_request_move(io, KEEL_IO_QUEUED);
    ios_queue_push_head(&ctx->queues[io->cls], io);
    ctx->queued++;
    lock_release(&ctx->submit);
}

static void count_completed(struct keel_ctx *ctx, const struct keel_io *io)
{
    ios_stat_add_alone(ctx, IOS_STAT_COMPLETED, 1);
    if (io->op == KEEL_OP_READ)
        ios_stat_add_alone(ctx, IOS_STAT_BYTES_READ, io->private_.done_bytes);
    else if (io->op == KEEL_OP_WRITE)
        ios_stat_add_alone(ctx, IOS_STAT_BYTES_WRITTEN, io->private_.done_bytes);
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
    ios_request_unseal(io);

    struct ios_slot *slot = &ctx->slots[io->private_.slot];
    KEEL_INV(I4, atomic_load_explicit(&slot->io, memory_order_relaxed) == io);
    atomic_store_explicit(&slot->io, NULL, memory_order_relaxed);
    ctx->freed_slots[ctx->freed_count++] = io->private_.slot;

    if (ios_request_settle(io) == IOS_AGAIN)
        requeue(ctx, io);
    else
        ios_finish(ctx, io);
    if (ctx->method->steps_clock)
        ios_hand_over(ctx);
}
