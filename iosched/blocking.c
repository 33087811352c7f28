/*
 * Requests carried out by system calls of the calling thread: pread, pwritev2, fdatasync.
 *
 * One call after another, in the order in which they were pushed; while it lasts the role is held,
 * so others who wait for something on the context sleep as they do while its holder sleeps in a
 * ring. A lone durable write is faster this way than through a ring on most devices: the thread is
 * woken by the device's interrupt, not by a worker of the kernel that was woken by it.
 */
#include "iosched/blocking.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/assert.h"
#include "iosched/complete.h"

static int32_t result(ssize_t n)
{
    return n < 0 ? -errno : (int32_t)n;
}

/* Durable when it returns; the kernel does it in one call where it can. */
static int32_t write_dsync(int fd, const struct iovec *iov, off_t offset, int flags)
{
    ssize_t n = pwritev2(fd, iov, 1, offset, RWF_DSYNC | flags);

    if (n >= 0 || errno != EOPNOTSUPP)
        return result(n);
    n = pwritev2(fd, iov, 1, offset, flags);
    if (n >= 0 && fdatasync(fd) != 0)
        n = -1;
    return result(n);
}

static int32_t carry_out(const struct keel_io *io, const struct ios_step *step)
{
    const struct iovec one = {.iov_base = step->buf, .iov_len = step->len_bytes};
    const struct iovec *iov = step->iov_count ? step->iov : &one;
    int count = step->iov_count ? (int)step->iov_count : 1;
    off_t offset = (off_t)step->offset_bytes;

    switch (step->op) {
    case KEEL_OP_READ:
        return result(preadv2(io->device->fd, iov, count, offset, 0));
    case KEEL_OP_WRITE:
        if (step->dsync)
            return write_dsync(io->device->fd, iov, offset, step->atomic ? IOS_RWF_ATOMIC : 0);
        return result(
            pwritev2(io->device->fd, iov, count, offset, step->atomic ? IOS_RWF_ATOMIC : 0));
    case KEEL_OP_SYNC:
        return result(fdatasync(io->device->fd));
    case KEEL_OP_WRITE_ZEROES:
    case KEEL_OP_DEALLOCATE: {
        int rc = fallocate(io->device->fd, ios_range_mode(step->op), offset, step->len_bytes);
        return rc == 0 ? (int32_t)step->len_bytes : -errno;
    }
    case KEEL_OP_NOP:
        return 0;
    }
    KEEL_UNREACHABLE();
}

static void run(struct keel_ctx *ctx, struct keel_io *io)
{
    struct ios_step step = ios_request_step(io);
    int32_t res = carry_out(io, &step);

    atomic_fetch_add_explicit(&ctx->enters, step.op != KEEL_OP_NOP, memory_order_relaxed);
    ios_ctx_part_done(ctx, io, 0, res);
    if (!step.link_sync)
        return;

    /* As a ring does it: a write that failed or was short cancels the sync behind it. */
    int32_t sync = -ECANCELED;
    if (res == (int32_t)step.len_bytes) {
        sync = result(fdatasync(io->device->fd));
        atomic_fetch_add_explicit(&ctx->enters, 1, memory_order_relaxed);
    }
    ios_ctx_part_done(ctx, io, 1, sync);
}

uint32_t ios_blocking_run(struct keel_ctx *ctx, struct ios_queue *queue)
{
    struct keel_io *io;

    KEEL_DCHECK(atomic_load(&ctx->role) == 1);
    lock_acquire(&ctx->submit);
    struct ios_queue batch = *queue;
    *queue = (struct ios_queue){0};
    lock_release(&ctx->submit);

    uint32_t count = batch.count;
    while ((io = ios_queue_pop(&batch)) != NULL)
        run(ctx, io);
    return count;
}
