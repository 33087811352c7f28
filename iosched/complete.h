/*
 * The way back: what a method calls for each part that a device answered, up to the list that the
 * owner's callbacks are taken from. Inline as a whole, because it is short and runs for every
 * request; what is not the plain case goes on in dispatch.c.
 */
#ifndef KEEL_IOSCHED_COMPLETE_H
#define KEEL_IOSCHED_COMPLETE_H

#include "base/trace.h"
#include "iosched/ctx.h"

/* On to whoever runs its callback; from: its state. Role held. */
static inline void ios_give(struct keel_ctx *ctx, struct keel_io *io, enum keel_io_state from)
{
    uint32_t bytes = io->private_.done_bytes;

    ctx->handed++;
    if (bytes)
        ios_stat_add(&ctx->moved_bytes[io->op], bytes);
    if (io->done && !(io->flags & KEEL_IO_ANY_THREAD) && ctx->straight) {
        ios_request_move_from(io, from, KEEL_IO_DONE);
        ios_queue_push_tail(&ctx->ready, io);
    } else {
        ios_queue_push_tail(&ctx->finished, io);
    }
}

/* io->res is known and final; from: its state. Role held. */
static inline void ios_finish(struct keel_ctx *ctx, struct keel_io *io, enum keel_io_state from)
{
    KEEL_ASSERT(io->res <= 0);
    if (io->private_.cost_ns)
        ios_lane_count(ctx, io);
    ios_give(ctx, io, from);
}

/* The last part of what it holds came: another request may have it. Role held. */
static inline void ios_slot_free(struct keel_ctx *ctx, struct ios_slot *slot, uint32_t index)
{
    uint32_t tail = atomic_load_explicit(&ctx->free_tail, memory_order_relaxed);

    atomic_store_explicit(&slot->io, NULL, memory_order_relaxed);
    ctx->free_slots[tail & ctx->free_mask] = index;
    /* Release: pairs in ios_slots_free(); nothing of the slot is looked at after this. */
    atomic_store_explicit(&ctx->free_tail, tail + 1, memory_order_release);
}

/*
 * All of a request that was pushed in one part, and has slot, is done. What ios_ctx_part_done()
 * would come to, where the method knows it from the start. Role held; not for steps_clock.
 */
__attribute__((always_inline)) static inline void
ios_ctx_whole_done(struct keel_ctx *ctx, struct keel_io *io, struct ios_slot *slot, uint32_t index)
{
    KEEL_DCHECK(atomic_load(&ctx->role) == 1);
    KEEL_DCHECK(io->private_.ctx == ctx && !io->private_.chain && !ctx->method->steps_clock);

    ios_request_unseal(io);
    ios_slot_free(ctx, slot, index);
    KEEL_DCHECK(io->res == 0);
    io->private_.done_bytes = io->len_bytes;
    if (io->private_.cost_ns) {
        ios_lane_done(ctx, io, 0);
        ios_lane_count(ctx, io);
    }
    ios_give(ctx, io, KEEL_IO_SUBMITTED);
}

/* All parts came; the request goes again, or is finished, with what rides on it. */
void ios_ctx_settle(struct keel_ctx *ctx, struct keel_io *io, int32_t res);

/*
 * A part of a pushed request completed. part: 0, or 1 for the sync of a linked pair; res: bytes
 * transferred (0 for a sync) or -errno. Role held (steps_clock: by whatever turn() this is).
 */
__attribute__((always_inline)) static inline void
ios_ctx_part_done(struct keel_ctx *ctx, struct keel_io *io, unsigned part, int32_t res)
{
    KEEL_DCHECK(ctx->method->steps_clock || atomic_load(&ctx->role) == 1);
    KEEL_DCHECK(io->private_.ctx == ctx);

    if (!ios_request_part(io, part, res))
        return;
    ios_request_unseal(io);
    struct ios_slot *slot = &ctx->slots[io->private_.slot];
    KEEL_INV(I4, atomic_load_explicit(&slot->io, memory_order_relaxed) == io);
    ios_slot_free(ctx, slot, io->private_.slot);
    if (io->private_.cost_ns)
        ios_lane_done(ctx, io, io->private_.part_res[0]);
    if (io->private_.chain || trace_each_wanted() || ctx->method->steps_clock ||
        !ios_request_complete(io))
        ios_ctx_settle(ctx, io, res);
    else
        ios_finish(ctx, io, KEEL_IO_SUBMITTED);
}

#endif
