/*
 * The lowest layer by itself: a device, buffers, requests, and an operation of the host's own on
 * the same ring.
 *
 *   example_requests FILE
 */
#include <keel/iosched.h>

#include <errno.h>
#include <linux/io_uring.h>
#include <linux/time_types.h>
#include <stdio.h>
#include <string.h>

#define BLOCKS 32u

/* What of io_uring this program uses by itself; the kernel refuses the rest on keel's rings. */
static const uint8_t own_operations[] = {IORING_OP_TIMEOUT};

static int open_ctx(struct keel_ctx **ret)
{
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;

    options.raw_ops = own_operations;
    options.raw_ops_count = sizeof(own_operations);
    return keel_ctx_open(&options, ret);
}

/* Write one block so that it is durable when this returns. */
static int write_block(struct keel_ctx *ctx, struct keel_device *device, struct keel_arena *arena,
                       char *block)
{
    struct keel_io io = {.device = device,
                         .arena = arena,
                         .buf = block,
                         .len_bytes = KEEL_BLOCK_BYTES,
                         .op = KEEL_OP_WRITE,
                         .cls = KEEL_CLASS_WAL,
                         .flags = KEEL_IO_DSYNC};

    memset(block, 'k', KEEL_BLOCK_BYTES);
    int rc = keel_io_submit(ctx, &io);
    return rc ? rc : keel_io_wait(ctx, &io);
}

static unsigned blocks_read;

static void block_read(struct keel_io *io)
{
    if (io->res == 0)
        blocks_read++;
}

/* Many at once: submitting queues, one enter sends all of them, callbacks run in keel_ctx_poll. */
static int read_blocks(struct keel_ctx *ctx, struct keel_device *device, struct keel_arena *arena,
                       char *buf, struct keel_io ios[BLOCKS])
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        ios[i] = (struct keel_io){.device = device,
                                  .arena = arena,
                                  .buf = buf + (size_t)i * KEEL_BLOCK_BYTES,
                                  .offset_bytes = (uint64_t)i * KEEL_BLOCK_BYTES,
                                  .len_bytes = KEEL_BLOCK_BYTES,
                                  .op = KEEL_OP_READ,
                                  .cls = KEEL_CLASS_READ,
                                  .done = block_read};
        int rc = keel_io_submit(ctx, &ios[i]);
        if (rc)
            return rc;
    }
    for (unsigned left = BLOCKS; left > 0;) {
        int rc = keel_ctx_poll(ctx, 0, -1);
        if (rc < 0)
            return rc;
        left -= (unsigned)rc;
    }
    return 0;
}

/* An operation that keel has no call for, on keel's loop. */
struct pause {
    struct keel_raw raw;
    struct __kernel_timespec time;
    int32_t res;
    bool over;
};

static void prepare_pause(struct keel_raw *raw, struct io_uring_sqe *sqe)
{
    struct pause *pause = raw->user;

    sqe->opcode = IORING_OP_TIMEOUT;
    sqe->fd = -1;
    sqe->addr = (uintptr_t)&pause->time;
    sqe->len = 1;
}

static void pause_over(struct keel_raw *raw, int32_t res, uint32_t cqe_flags, bool more)
{
    struct pause *pause = raw->user;

    (void)cqe_flags;
    pause->res = res;
    pause->over = !more;
}

static int wait_a_millisecond(struct keel_ctx *ctx)
{
    struct pause pause = {.time = {.tv_nsec = 1000000}};

    pause.raw = (struct keel_raw){.prep = prepare_pause, .done = pause_over, .user = &pause};
    int rc = keel_ctx_raw(ctx, &pause.raw);
    if (rc == KEEL_ENOTSUP)
        return 0; /* no io_uring here: keel_ctx_path says why */
    while (rc >= 0 && !pause.over)
        rc = keel_ctx_poll(ctx, 0, -1);
    if (rc < 0)
        return rc;
    return pause.res == -ETIME ? 0 : pause.res;
}

int main(int argc, char **argv)
{
    struct keel_device_options options = KEEL_DEVICE_OPTIONS_DEFAULT;
    static struct keel_io ios[BLOCKS];
    struct keel_device *device = NULL;
    struct keel_arena *arena = NULL;
    struct keel_ctx *ctx = NULL;
    char *buf = NULL;

    if (argc != 2) {
        fprintf(stderr, "usage: %s FILE\n", argv[0]);
        return 2;
    }

    options.create_bytes = BLOCKS * KEEL_BLOCK_BYTES; /* written with zeroes and synced */
    int rc = open_ctx(&ctx);
    if (!rc)
        rc = keel_device_open(ctx, argv[1], &options, NULL, &device);
    if (!rc)
        rc = keel_arena_create(BLOCKS * KEEL_BLOCK_BYTES, &arena);
    if (!rc)
        buf = keel_arena_alloc(arena, BLOCKS * KEEL_BLOCK_BYTES);
    if (!rc)
        rc = write_block(ctx, device, arena, buf);
    if (!rc)
        rc = read_blocks(ctx, device, arena, buf, ios);
    if (!rc)
        rc = wait_a_millisecond(ctx);
    if (!rc)
        printf("%u blocks read; the first begins with %c; method %s, %s\n", blocks_read, buf[0],
               keel_ctx_path(ctx)->method,
               keel_ctx_path(ctx)->restricted ? "restricted" : "not restricted");

    if (device)
        keel_device_close(device);
    keel_ctx_close(ctx);
    if (arena)
        keel_arena_destroy(arena);
    if (rc)
        fprintf(stderr, "%s: %s\n", keel_err_name(rc), keel_err_text(rc));
    return rc ? 1 : 0;
}
