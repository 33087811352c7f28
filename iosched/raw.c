/*
 * Raw operations: the host's own entries on keel's loop.
 *
 * Their completions are kept in a bounded ring until the owner's next keel_ctx_poll. When it is
 * full, the method leaves completions where they are: a host that starts multishot operations has
 * to poll, or others wait for it. That is the one exception to I6.
 */
#include "base/assert.h"
#include "iosched/ctx.h"

_Static_assert(sizeof(struct list) <= sizeof(((struct keel_raw *)0)->private_), "the link fits");

int keel_ctx_raw(struct keel_ctx *ctx, struct keel_raw *raw)
{
    struct list *link = (struct list *)(void *)raw->private_;

    KEEL_ASSERT(ctx->kind == KEEL_CTX_THREAD && ios_is_owner(ctx));
    KEEL_ASSERT(raw->prep && raw->done);
    if (!ctx->method->raw || !ctx->raw_allowed)
        return KEEL_ENOTSUP;

    lock_acquire(&ctx->submit);
    int rc = ctx->closing ? KEEL_ECLOSED : 0;
    if (rc == 0 && ctx->raw_count >= ctx->depth)
        rc = KEEL_EFULL;
    if (rc == 0)
        rc = ctx->method->raw(ctx, raw);
    if (rc == 0) {
        list_push_tail(&ctx->raws, link);
        ctx->raw_count++;
    }
    lock_release(&ctx->submit);

    if (rc == 0 && !ios_owner_looks(ctx))
        ios_wake_owner(ctx);
    return rc;
}

uint32_t ios_raw_room(struct keel_ctx *ctx)
{
    lock_acquire(&ctx->done_lock);
    uint32_t used = ctx->raw_tail - ctx->raw_head;
    lock_release(&ctx->done_lock);
    KEEL_INV(I3, used <= IOS_RAW_EVENTS_MAX);
    return IOS_RAW_EVENTS_MAX - used;
}

void ios_ctx_raw_done(struct keel_ctx *ctx, struct keel_raw *raw, int32_t res, bool more,
                      uint32_t flags)
{
    lock_acquire(&ctx->done_lock);
    KEEL_INV(I3, ctx->raw_tail - ctx->raw_head < IOS_RAW_EVENTS_MAX);
    ctx->raw_events[ctx->raw_tail++ % IOS_RAW_EVENTS_MAX] =
        (struct ios_raw_event){.raw = raw, .res = res, .flags = flags, .more = more};
    lock_release(&ctx->done_lock);

    if (!more) {
        lock_acquire(&ctx->submit);
        list_remove((struct list *)(void *)raw->private_);
        KEEL_ASSERT(ctx->raw_count > 0);
        ctx->raw_count--;
        lock_release(&ctx->submit);
    }
    ctx->handed_raw++; /* counts as done in this turn, so that the owner is told */
}
