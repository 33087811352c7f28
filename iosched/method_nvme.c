/*
 * The nvme method: NVMe commands to /dev/ngXnY by IORING_OP_URING_CMD, past the block layer.
 *
 * Both rings have entries of 128 and completions of 32 bytes, which these commands need. Reads and
 * writes, durable ones (FUA) too, go to the polled data ring where there is one; flushes and ranges
 * to the sync ring, since a flush must not be sent twice and a polled ring may say of any command
 * that it cannot. See uring_loop.c for the pair and the way through it.
 *
 * What the block layer would do and is done here:
 *   - a transfer is cut at the device's limit; the core goes on with the rest
 *   - a status is turned into a code (nvme_cmd.c), and kept in io->status
 *   - a write with KEEL_IO_LINK_SYNC is not linked: a status is no failure to the ring, so the
 * flush behind it would run, and a flush covers only what was complete when it was submitted. The
 * write goes alone, its sync is reported as never issued, and the core sends one flush
 *
 * Polling: up to Linux 6.5 a command without data in a polled ring may crash the kernel (6.1 did,
 * in bio_poll, with flush each time and with others now and then). So such a kernel gets no polled
 * ring here, nor one with SQPOLL. It is known by IORING_SETUP_NO_SQARRAY, which 6.6 has brought:
 * asking the kernel is right also where its version was made up, and wrong only in being careful
 * where a fix was ported back. Registered buffers go with it: 6.1 counts all pages of one that lie
 * behind a transfer against the segments of one command, so that any buffer above half a MiB is
 * refused (-EINVAL). Later kernels that do so are found out by the first command (uring_loop.c).
 */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "iosched/nvme_device.h"
#include "iosched/push.h"
#include "iosched/uring_loop.h"

/* The buffers that commands point to beside the transfer: one range for each slot. */
struct nvme_ranges {
    struct ios_nvme_range range[IOS_DEPTH_MAX];
};

static int32_t status_of(struct keel_io *io, int32_t res)
{
    int32_t code = ios_nvme_error(res);
    bool flush = io->op == KEEL_OP_SYNC || io->private_.phase == IOS_PHASE_SYNC_ONLY;

    io->status = (uint16_t)res;
    return flush && code == -EAGAIN ? -EIO : code; /* W4: what failed is not tried again */
}

/* The ring for a step. */
static struct uring_ring *ring_for(struct keel_ctx *ctx, const struct keel_io *io,
                                   const struct ios_step *step)
{
    struct uring_method *method = ctx->method_data;
    struct uring_ring *data = NULL;

    if (step->op == KEEL_OP_READ || step->op == KEEL_OP_WRITE)
        data = uring_data_ring(ctx, io->device);
    return data ? data : &method->sync;
}

static int fill_command(struct keel_ctx *ctx, struct uring_ring *ring, const struct keel_io *io,
                        struct ios_slot *slot, const struct ios_step *step)
{
    struct uring_method *method = ctx->method_data;
    struct nvme_ranges *ranges = method->own;
    struct nvme_uring_cmd cmd = {0};
    int32_t index = -1;
    uint32_t bytes;

    int rc = ios_nvme_fill(&cmd, &ios_nvme_of(io->device)->space, step,
                           &ranges->range[io->private_.slot], &bytes);
    if (rc)
        return rc;
    if (step->buf && !atomic_load_explicit(&method->fixed_refused, memory_order_relaxed))
        index = uring_fixed_buffer(ctx, ring, io, step);
    struct io_uring_sqe *sqe = uring_ring_entry(ring, true);
    sqe->opcode = IORING_OP_URING_CMD;
    sqe->cmd_op = step->iov_count ? NVME_URING_CMD_IO_VEC : NVME_URING_CMD_IO;
    if (index >= 0) {
        sqe->uring_cmd_flags = IORING_URING_CMD_FIXED;
        sqe->buf_index = (uint16_t)index;
    }
    uring_set_file(ring, sqe, io->device);
    memcpy(sqe->cmd, &cmd, sizeof(cmd));
    sqe->user_data = uring_request_data(slot, 0);
    uring_note(slot,
               (ring == &method->data ? URING_ON_DATA : 0) | (index >= 0 ? URING_FIXED : 0) |
                   (step->link_sync ? URING_SYNC_APART : 0),
               bytes, bytes == step->len_bytes && uring_is_whole(io, step) ? 0 : URING_NEVER);
    return 0;
}

static int nvme_push(struct keel_ctx *ctx, struct keel_io *io, struct ios_slot *slot)
{
    struct ios_step step = ios_request_step(io);
    struct uring_ring *ring = ring_for(ctx, io, &step);

    if (!uring_ring_fits(ring, 1))
        return KEEL_EFULL;
    if (step.op == KEEL_OP_NOP) {
        struct io_uring_sqe *sqe = uring_ring_entry(ring, true);
        sqe->opcode = IORING_OP_NOP;
        sqe->user_data = uring_request_data(slot, 0);
        uring_note(slot, 0, 0, uring_is_whole(io, &step) ? 0 : URING_NEVER);
    } else {
        int rc = fill_command(ctx, ring, io, slot, &step);
        if (rc)
            return rc;
    }
    uring_pushed(ctx, slot, 1);
    return 0;
}

static uint32_t nvme_dispatch(struct keel_ctx *ctx)
{
    return ios_inbox_dispatch(ctx, nvme_push);
}

static int nvme_attach(struct keel_ctx *ctx, const struct keel_ctx_options *options)
{
    static const uint8_t ops[] = {IORING_OP_URING_CMD};
    static const struct uring_carrier carrier = {
        .commands = true,
        .sync_ops = ops,
        .sync_op_count = sizeof(ops),
        .data_ops = ops,
        .data_op_count = sizeof(ops),
        .status = status_of,
    };
    bool polls = uring_kernel_has(IORING_SETUP_NO_SQARRAY);

    if (!polls && (options->iopoll != KEEL_OFF || options->sqpoll != KEEL_OFF))
        ios_ctx_why(ctx, "NVMe commands are not polled: kernels before 6.6 may crash of it");
    if (!polls && options->fixed != KEEL_OFF)
        ios_ctx_why(ctx, "NVMe commands do not use registered buffers: kernels before 6.6 refuse "
                         "them from large ones");
    if (!polls && (options->iopoll == KEEL_REQUIRED || options->sqpoll == KEEL_REQUIRED ||
                   options->fixed == KEEL_REQUIRED))
        return KEEL_EMETHOD;
    struct nvme_ranges *ranges = mem_alloc(sizeof(*ranges));
    if (!ranges)
        return -ENOMEM;
    int rc = uring_loop_attach(ctx, options, &carrier);
    if (rc) {
        mem_free(ranges);
        return rc;
    }
    struct uring_method *method = ctx->method_data;
    method->own = ranges;
    method->data_tried = !polls;
    if (!polls)
        atomic_store_explicit(&method->fixed_refused, 1, memory_order_relaxed);
    return 0;
}

static void nvme_detach(struct keel_ctx *ctx)
{
    const struct uring_method *method = ctx->method_data;
    void *ranges = method->own;

    uring_loop_detach(ctx);
    mem_free(ranges);
}

const struct ios_method ios_method_nvme = {
    .name = "nvme",
    .iov_max = IOS_CHAIN_MAX,
    .files = &ios_files_nvme,
    .attach = nvme_attach,
    .detach = nvme_detach,
    .push = nvme_push,
    .dispatch = nvme_dispatch,
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
