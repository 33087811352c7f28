/*
 * The way to the device: what runs for each request between the owner's inbox and the method. The
 * counterpart of complete.h, and inline for the same reason: a method makes its own instance of it,
 * in which its push() is no call (struct ios_method, dispatch()).
 */
#ifndef KEEL_IOSCHED_PUSH_H
#define KEEL_IOSCHED_PUSH_H

#include "base/trace.h"
#include "iosched/ctx.h"

/* A method's push(). */
typedef int ios_push(struct keel_ctx *ctx, struct keel_io *io, struct ios_slot *slot);

enum ios_pushed {
    IOS_PUSH_FULL,    /* the method takes no more now; all is as before */
    IOS_PUSH_REFUSED, /* for good; it is among the aborted */
    IOS_PUSH_GONE,    /* it is the device's, and may complete in another thread at any moment */
};

/* All of a chain completes with rc at the next turn. Submit lock held. */
void ios_chain_abort(struct keel_ctx *ctx, struct keel_io *io, int rc);

static inline void ios_count_submitted(struct keel_ctx *ctx, const struct keel_io *io)
{
    if (io->private_.phase == IOS_PHASE_SYNC_ONLY)
        return; /* it was, with its write */
    ios_stat_add(&ctx->commands[io->op], 1);
    if (io->flags & KEEL_IO_LINK_SYNC)
        ios_stat_add(&ctx->linked, 1);
}

/* Give the request a slot, of which there is one, and push it, with what rides on it. Submit lock
 * held. */
__attribute__((always_inline)) static inline enum ios_pushed
ios_push_one(struct keel_ctx *ctx, struct keel_io *io, ios_push *push)
{
    KEEL_DCHECK(ios_slots_free(ctx) > 0);
    KEEL_DCHECK(ios_request_state(io) == KEEL_IO_QUEUED);

    uint32_t index = ctx->free_slots[ctx->free_head & ctx->free_mask];
    struct ios_slot *slot = &ctx->slots[index];
    KEEL_INV(I4, atomic_load_explicit(&slot->io, memory_order_relaxed) == NULL);

    slot->key += IOS_SLOT_GENERATION;
    io->private_.slot = index;
    int rc = push(ctx, io, slot);
    if (__builtin_expect(rc != 0, 0)) {
        if (rc == KEEL_EFULL)
            return IOS_PUSH_FULL;
        ios_chain_abort(ctx, io, rc);
        return IOS_PUSH_REFUSED;
    }

    ctx->free_head++;
    ios_count_submitted(ctx, io);
    if (trace_each_wanted())
        TRACE_AT(ctx->ticks, IO_MOVE, trace_id(io), "SUBMITTED", io->offset_bytes, io->len_bytes,
                 0);
    ios_request_seal(io);
    for (struct keel_io *at = io; at; at = at->private_.chain)
        ios_request_move_from(at, KEEL_IO_QUEUED, KEEL_IO_SUBMITTED);
    atomic_store_explicit(&slot->io, io, memory_order_release); /* pairs in report_request() */
    return IOS_PUSH_GONE;
}

/* From the inbox: straight to the method as long as nothing waits and no policy has a say, the rest
 * onto lanes. Returns how many went to the method. Submit lock held. */
__attribute__((always_inline)) static inline uint32_t ios_inbox_dispatch(struct keel_ctx *ctx,
                                                                         ios_push *push)
{
    uint32_t begin = atomic_load_explicit(&ctx->inbox_head, memory_order_relaxed);
    uint32_t tail = atomic_load_explicit(&ctx->inbox_tail, memory_order_acquire);
    uint32_t slots = ios_slots_free(ctx);
    uint32_t end = slots < tail - begin ? begin + slots : tail;
    uint32_t head = begin;

    KEEL_DCHECK(lock_held(&ctx->submit));
    if (ios_queued(ctx) != ctx->aborted.count)
        end = begin; /* what waits has its turn first */
    while (head != end) {
        const struct keel_device *device = ctx->inbox[head % IOS_INBOX_MAX]->device;
        const struct ios_lane *lane = ios_lane_for(ctx, device);
        uint8_t index = lane->index;
        struct keel_io *io;

        if (!ios_lane_is_off(lane))
            break;
        for (; head != end && (io = ctx->inbox[head % IOS_INBOX_MAX])->device == device; head++) {
            io->private_.lane = index;
            if (ios_push_one(ctx, io, push) == IOS_PUSH_FULL) {
                end = head;
                break;
            }
        }
    }
    atomic_store_explicit(&ctx->inbox_head, head, memory_order_release);
    if (head != tail)
        ios_inbox_take_locked(ctx);
    return head - begin;
}

#endif
