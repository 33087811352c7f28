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
#include <sys/uio.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/trace.h"
#include "iosched/ctx.h"
#include "iosched/device.h"

struct sync_method {
    struct ios_queue pushed; /* under submit; linked through private_.next, as queues are */
};

static int sync_attach(struct keel_ctx *ctx, const struct keel_ctx_options *options)
{
    if (options->iopoll == KEEL_REQUIRED || options->fixed == KEEL_REQUIRED) {
        ios_ctx_why(ctx, "sync: no polled ring and no registered buffers without io_uring");
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

static int sync_push(struct keel_ctx *ctx, struct keel_io *io)
{
    struct sync_method *method = ctx->method_data;

    ios_queue_push_tail(&method->pushed, io);
    return 0;
}

static int32_t result(ssize_t n)
{
    return n < 0 ? -errno : (int32_t)n;
}

/* Durable when it returns; the kernel does it in one call where it can. */
static int32_t write_dsync(int fd, const struct iovec *iov, off_t offset)
{
    ssize_t n = pwritev2(fd, iov, 1, offset, RWF_DSYNC);

    if (n >= 0 || errno != EOPNOTSUPP)
        return result(n);
    n = pwritev2(fd, iov, 1, offset, 0);
    if (n >= 0 && fdatasync(fd) != 0)
        n = -1;
    return result(n);
}

static int32_t carry_out(const struct keel_io *io, const struct ios_step *step)
{
    struct iovec iov = {.iov_base = step->buf, .iov_len = step->len_bytes};
    off_t offset = (off_t)step->offset_bytes;

    switch (step->op) {
    case KEEL_OP_READ:
        return result(preadv2(io->device->fd, &iov, 1, offset, 0));
    case KEEL_OP_WRITE:
        if (step->dsync)
            return write_dsync(io->device->fd, &iov, offset);
        return result(pwritev2(io->device->fd, &iov, 1, offset, 0));
    case KEEL_OP_SYNC:
        return result(fdatasync(io->device->fd));
    case KEEL_OP_NOP:
        return 0;
    }
    KEEL_UNREACHABLE();
}

static void run(struct keel_ctx *ctx, struct keel_io *io)
{
    struct ios_step step = ios_request_step(io);
    int32_t res = carry_out(io, &step);

    ios_stat_add(ctx, IOS_STAT_ENTERS, step.op != KEEL_OP_NOP);
    ios_ctx_part_done(ctx, io, 0, res);
    if (!step.link_sync)
        return;

    /* As a ring does it: a write that failed or was short cancels the sync behind it. */
    int32_t sync = -ECANCELED;
    if (res == (int32_t)step.len_bytes) {
        sync = result(fdatasync(io->device->fd));
        ios_stat_add(ctx, IOS_STAT_ENTERS, 1);
    }
    ios_ctx_part_done(ctx, io, 1, sync);
}

static void sync_turn(struct keel_ctx *ctx, enum ios_wait wait)
{
    struct sync_method *method = ctx->method_data;
    struct keel_io *io;

    (void)wait; /* there is nothing to wait for when it has run */
    lock_acquire(&ctx->submit);
    struct ios_queue batch = method->pushed;
    method->pushed = (struct ios_queue){0};
    lock_release(&ctx->submit);

    while ((io = ios_queue_pop(&batch)) != NULL)
        run(ctx, io);
}

const struct ios_method ios_method_sync = {
    .name = "sync",
    .files = &ios_files_posix,
    .attach = sync_attach,
    .detach = sync_detach,
    .push = sync_push,
    .turn = sync_turn,
};
