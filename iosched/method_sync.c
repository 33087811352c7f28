/*
 * The sync method: preadv2, pwritev2 and fdatasync in the thread that drives.
 *
 * For kernels and containers without io_uring, and as the plainest form of the contract. What is
 * pushed waits on a list; turn() takes the list and carries it out one request after the other, so
 * nothing is ever in flight outside turn(), and nothing completes unless somebody drives.
 *
 * Failure modes: none of its own. Errors and short transfers are results of parts. Where the kernel
 * or the file system knows no RWF_DSYNC, the write is followed by an fdatasync.
 */
#include <errno.h>

#include "base/assert.h"
#include "base/mem.h"
#include "iosched/blocking.h"
#include "iosched/device.h"
#include "iosched/push.h"

struct sync_method {
    struct ios_queue pushed; /* under submit; linked through private_.next, as queues are */
};

static int sync_attach(struct keel_ctx *ctx, const struct keel_ctx_options *options)
{
    if (options->iopoll == KEEL_REQUIRED || options->sqpoll == KEEL_REQUIRED ||
        options->fixed == KEEL_REQUIRED) {
        ios_ctx_why(ctx,
                    "sync: no rings, polled or not, and no registered buffers without io_uring");
        return KEEL_EMETHOD;
    }
    ctx->method_data = mem_alloc(sizeof(struct sync_method));
    return ctx->method_data ? 0 : -ENOMEM;
}

static void sync_detach(struct keel_ctx *ctx)
{
    const struct sync_method *method = ctx->method_data;

    KEEL_ASSERT(method->pushed.count == 0);
    mem_free(ctx->method_data);
}

static int sync_push(struct keel_ctx *ctx, struct keel_io *io, struct ios_slot *slot)
{
    struct sync_method *method = ctx->method_data;

    (void)slot;
    ios_queue_push_tail(&method->pushed, io);
    return 0;
}

static uint32_t sync_dispatch(struct keel_ctx *ctx)
{
    return ios_inbox_dispatch(ctx, sync_push);
}

static void sync_turn(struct keel_ctx *ctx, enum ios_wait wait)
{
    struct sync_method *method = ctx->method_data;

    (void)wait; /* there is nothing to wait for when it has run */
    ios_blocking_run(ctx, &method->pushed);
}

const struct ios_method ios_method_sync = {
    .name = "sync",
    .iov_max = IOS_CHAIN_MAX,
    .files = &ios_files_posix,
    .attach = sync_attach,
    .detach = sync_detach,
    .push = sync_push,
    .dispatch = sync_dispatch,
    .turn = sync_turn,
};
