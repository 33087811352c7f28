/*
 * The uring method: reads, writes and syncs of files and block devices through io_uring.
 *
 * The data ring, polled or with SQPOLL, takes reads and plain writes, and durable ones to a disk
 * with FUA, where they are one command; without polling also requests that do nothing. On the sync
 * ring, which takes everything, are the other durable writes (a worker of the kernel finishes
 * those, and a spinning reaper would keep the processor from it), linked pairs, syncs and ranges.
 * See uring_loop.c for the pair and the way through it.
 */
#include <fcntl.h>

#include "base/assert.h"
#include "iosched/push.h"
#include "iosched/uring_loop.h"

static void fill_transfer(struct keel_ctx *ctx, struct uring_ring *ring, const struct keel_io *io,
                          const struct ios_slot *slot, const struct ios_step *step)
{
    bool plain = step->iov_count > 0 || step->atomic;
    int32_t index = plain ? -1 : uring_fixed_buffer(ctx, ring, io, step);
    bool read = step->op == KEEL_OP_READ;
    struct io_uring_sqe *sqe = uring_ring_entry(ring, false);

    sqe->opcode = read ? IORING_OP_READ : IORING_OP_WRITE;
    if (step->iov_count)
        sqe->opcode = read ? IORING_OP_READV : IORING_OP_WRITEV;
    if (index >= 0) {
        sqe->opcode = read ? IORING_OP_READ_FIXED : IORING_OP_WRITE_FIXED;
        sqe->buf_index = (uint16_t)index;
    }
    uring_set_file(ring, sqe, io->device);
    sqe->addr = step->iov_count ? (uintptr_t)step->iov : (uintptr_t)step->buf;
    sqe->len = step->iov_count ? step->iov_count : step->len_bytes;
    sqe->off = step->offset_bytes;
    sqe->rw_flags = (step->dsync ? RWF_DSYNC : 0) | (step->atomic ? IOS_RWF_ATOMIC : 0);
    if (step->link_sync)
        sqe->flags |= IOSQE_IO_LINK;
    sqe->user_data = uring_request_data(slot, 0);
}

static void fill_sync(struct uring_ring *ring, const struct keel_io *io,
                      const struct ios_slot *slot, unsigned part)
{
    struct io_uring_sqe *sqe = uring_ring_entry(ring, false);

    sqe->opcode = IORING_OP_FSYNC;
    uring_set_file(ring, sqe, io->device);
    sqe->fsync_flags = IORING_FSYNC_DATASYNC;
    sqe->user_data = uring_request_data(slot, part);
}

static void fill_range(struct uring_ring *ring, const struct keel_io *io,
                       const struct ios_slot *slot, const struct ios_step *step)
{
    struct io_uring_sqe *sqe = uring_ring_entry(ring, false);

    sqe->opcode = IORING_OP_FALLOCATE;
    uring_set_file(ring, sqe, io->device);
    sqe->off = step->offset_bytes;
    sqe->addr = step->len_bytes; /* where this operation has its length */
    sqe->len = (uint32_t)ios_range_mode(step->op);
    sqe->user_data = uring_request_data(slot, 0);
}

/*
 * Which ring a step goes to; see the head of this file. One that the disk cannot take as a single
 * command is split by the kernel, which cannot poll for the parts: 6.1 then spins for ever.
 */
static struct uring_ring *ring_for(struct keel_ctx *ctx, const struct keel_io *io,
                                   const struct ios_step *step)
{
    struct uring_method *method = ctx->method_data;
    struct uring_ring *data = NULL;
    bool transfer = step->op == KEEL_OP_READ || step->op == KEEL_OP_WRITE;
    /* One write with FUA, without a worker of the kernel: on a disk itself that has FUA. */
    bool fua = io->device && io->device->info.is_block && io->device->info.fua;

    if (transfer && (!step->dsync || fua) && !step->link_sync &&
        step->len_bytes <= io->device->info.max_transfer)
        data = uring_data_ring(ctx, io->device);
    return data ? data : &method->sync;
}

__attribute__((noinline)) static int push_transfer(struct keel_ctx *ctx, struct keel_io *io,
                                                   struct ios_slot *slot)
{
    const struct uring_method *method = ctx->method_data;
    struct ios_step step = ios_request_step(io);
    struct uring_ring *ring = ring_for(ctx, io, &step);

    if (!uring_ring_fits(ring, 1u + step.link_sync))
        return KEEL_EFULL;
    fill_transfer(ctx, ring, io, slot, &step);
    if (step.link_sync)
        fill_sync(ring, io, slot, 1);
    uring_note(slot, ring == &method->data ? URING_ON_DATA : 0, 0,
               uring_is_whole(io, &step) ? (int32_t)step.len_bytes : URING_NEVER);
    uring_pushed(ctx, slot, 1u + step.link_sync);
    return 0;
}

/* Syncs, ranges, and what its submitter carries out itself. */
__attribute__((noinline)) static int push_rest(struct keel_ctx *ctx, struct keel_io *io,
                                               struct ios_slot *slot)
{
    struct uring_method *method = ctx->method_data;

    if (io->flags & KEEL_IO_INLINE) {
        ios_request_step(io);
        uring_push_inline(ctx, io, slot);
        return 0;
    }
    if (!uring_ring_fits(&method->sync, 1))
        return KEEL_EFULL;
    struct ios_step step = ios_request_step(io);
    if (step.op == KEEL_OP_SYNC)
        fill_sync(&method->sync, io, slot, 0);
    else
        fill_range(&method->sync, io, slot, &step);
    uring_note(slot, 0, step.len_bytes, URING_NEVER);
    uring_pushed(ctx, slot, 1);
    return 0;
}

__attribute__((always_inline)) static inline int
fill_nop(struct keel_ctx *ctx, struct uring_ring *ring, struct ios_slot *slot, uint32_t notes)
{
    if (!uring_ring_fits(ring, 1))
        return KEEL_EFULL;
    struct io_uring_sqe *sqe = uring_ring_entry(ring, false);
    sqe->opcode = IORING_OP_NOP;
    sqe->user_data = uring_request_data(slot, 0);
    uring_note(slot, notes, 0, 0);
    uring_pushed(ctx, slot, 1);
    return 0;
}

__attribute__((always_inline)) static inline int push_nop(struct keel_ctx *ctx, struct keel_io *io,
                                                          struct ios_slot *slot)
{
    struct uring_method *method = ctx->method_data;

    io->private_.parts_left = 1;
    if (__builtin_expect(ctx->sqpoll != KEEL_OFF, 0) && uring_data_ring(ctx, NULL))
        return fill_nop(ctx, &method->data, slot, URING_ON_DATA);
    return fill_nop(ctx, &method->sync, slot, 0);
}

__attribute__((always_inline)) static inline int
uring_push(struct keel_ctx *ctx, struct keel_io *io, struct ios_slot *slot)
{
    if (io->op <= KEEL_OP_WRITE && io->private_.phase == IOS_PHASE_TRANSFER &&
        !(io->flags & KEEL_IO_INLINE))
        return push_transfer(ctx, io, slot);
    return io->op == KEEL_OP_NOP ? push_nop(ctx, io, slot) : push_rest(ctx, io, slot);
}

__attribute__((hot)) static uint32_t uring_dispatch(struct keel_ctx *ctx)
{
    return ios_inbox_dispatch(ctx, uring_push);
}

static int uring_attach(struct keel_ctx *ctx, const struct keel_ctx_options *options)
{
    static const uint8_t sync_ops[] = {
        IORING_OP_READ,       IORING_OP_WRITE,       IORING_OP_READV, IORING_OP_WRITEV,
        IORING_OP_READ_FIXED, IORING_OP_WRITE_FIXED, IORING_OP_FSYNC, IORING_OP_FALLOCATE};
    static const uint8_t data_ops[] = {
        IORING_OP_READ,       IORING_OP_WRITE,       IORING_OP_READV, IORING_OP_WRITEV,
        IORING_OP_READ_FIXED, IORING_OP_WRITE_FIXED, IORING_OP_NOP};
    static const struct uring_carrier carrier = {
        .sync_ops = sync_ops,
        .sync_op_count = sizeof(sync_ops),
        .data_ops = data_ops,
        .data_op_count = sizeof(data_ops),
    };

    return uring_loop_attach(ctx, options, &carrier);
}

const struct ios_method ios_method_uring = {
    .name = "uring",
    .iov_max = IOS_CHAIN_MAX,
    .files = &ios_files_posix,
    .attach = uring_attach,
    .detach = uring_loop_detach,
    .push = uring_push,
    .dispatch = uring_dispatch,
    .flush = uring_loop_flush,
    .turn = uring_loop_turn,
    .reap = uring_loop_reap,
    .ready = uring_loop_ready,
    .owner_leaves = uring_loop_owner_leaves,
    .must_spin = uring_loop_must_spin,
    .wait_fd = uring_loop_wait_fd,
    .need_fd = uring_loop_need_fd,
    .raw = uring_loop_raw,
    .raw_cancel = uring_loop_raw_cancel,
    .admit = uring_loop_admit,
    .forget_device = uring_loop_forget_device,
    .forget_chunks = uring_loop_forget_chunks,
};
