/*
 * Does the polled ring poll? Writes and reads a device or a file with iopoll=REQUIRED, looks at
 * every block that comes back, and counts the interrupts of the NVMe disk beside the reads.
 *
 *   lab_polled PATH [hybrid|sqpoll]    a block device is used as it is (its content is lost), else
 *                                      a file is made; the ring sleeps first, a thread submits
 *
 *   1. stamped blocks are written: plain, DSYNC, LINK_SYNC, and a SYNC at the end
 *   2. random reads with many in flight, checked; interrupts must be under 1 percent of them
 *   3. the same reads with iopoll=OFF; here the interrupts must show, or the count proves nothing
 *
 * One line per part. Exit status 1: a wrong block, an error, or the wrong number of interrupts.
 */
#include <keel/iosched.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/prng.h"

#define BLOCKS      4096u
#define DEPTH       32u
#define READS       8192u
#define ARENA_BYTES (4u << 20)

struct load {
    struct keel_ctx *ctx;
    struct keel_arena *arena;
    struct keel_device *device;
    struct keel_io ios[DEPTH];
    struct prng prng;
    unsigned todo, in_flight;
    int failed;
};

static void stamp(void *buf, uint64_t block)
{
    uint64_t *words = buf;

    for (unsigned i = 0; i < KEEL_BLOCK_BYTES / sizeof(*words); i++)
        words[i] = block * 0x9e3779b97f4a7c15u + i;
}

static bool stamped(const void *buf, uint64_t block)
{
    const uint64_t *words = buf;

    for (unsigned i = 0; i < KEEL_BLOCK_BYTES / sizeof(*words); i++)
        if (words[i] != block * 0x9e3779b97f4a7c15u + i)
            return false;
    return true;
}

static void fail(struct load *load, const char *what, int rc)
{
    printf("FAILED: %s: %s, %s (%d)\n", what, keel_err_name(rc), keel_err_text(rc), rc);
    load->failed = 1;
}

static void done(struct keel_io *io);

/* The next block in this slot: the writes go through all of them, the reads take any. */
static void submit(struct load *load, struct keel_io *io)
{
    uint64_t block = --load->todo;

    if (io->op == KEEL_OP_READ)
        block = prng_below(&load->prng, BLOCKS);
    else
        stamp(io->buf, block);
    io->offset_bytes = block * KEEL_BLOCK_BYTES;
    int rc = keel_io_submit(load->ctx, io);
    if (rc)
        fail(load, "submit", rc);
    else
        load->in_flight++;
}

static void done(struct keel_io *io)
{
    struct load *load = io->user;

    load->in_flight--;
    if (io->res)
        fail(load, io->op == KEEL_OP_READ ? "read" : "write", io->res);
    else if (io->op == KEEL_OP_READ && !stamped(io->buf, io->offset_bytes / KEEL_BLOCK_BYTES))
        fail(load, "a block read is not the block written", KEEL_ECORRUPT);
    if (load->todo > 0 && !load->failed)
        submit(load, io);
}

static void run(struct load *load, enum keel_op op, unsigned flags, unsigned count)
{
    load->todo = count;
    for (unsigned i = 0; i < DEPTH && load->todo > 0; i++) {
        struct keel_io *io = &load->ios[i];

        io->op = (uint8_t)op;
        io->flags = (uint16_t)flags;
        submit(load, io);
    }
    while (load->in_flight > 0) {
        int rc = keel_ctx_poll(load->ctx, 0, -1);
        if (rc < 0) {
            fail(load, "poll", rc);
            return;
        }
    }
}

static void sync_device(struct load *load)
{
    struct keel_io io = {.device = load->device, .op = KEEL_OP_SYNC, .cls = KEEL_CLASS_HOST};
    int rc = keel_io_submit(load->ctx, &io);

    if (rc == 0)
        rc = keel_io_wait(load->ctx, &io);
    if (rc)
        fail(load, "sync", rc);
}

/* Of all queues of all NVMe disks, on all CPUs. */
static uint64_t interrupts(void)
{
    FILE *file = fopen("/proc/interrupts", "r");
    char line[1024];
    uint64_t sum = 0;

    while (file && fgets(line, sizeof(line), file)) {
        char *at = strchr(line, ':');
        char *end;

        if (!at || !strstr(line, "nvme"))
            continue;
        for (at++;; at = end) {
            uint64_t count = strtoull(at, &end, 10);
            if (end == at || *end != ' ')
                break;
            sum += count;
        }
    }
    if (file)
        fclose(file);
    return sum;
}

static bool hybrid, sqpoll; /* asked for */

static int open_load(struct load *load, const char *path, enum keel_want iopoll)
{
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_device_options device = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct keel_err_info info = {0};
    struct stat st;

    *load = (struct load){.failed = 0};
    prng_seed(&load->prng, 1);
    options.method = KEEL_METHOD_URING;
    options.iopoll = iopoll;
    options.hybrid = hybrid;
    options.sqpoll = sqpoll ? KEEL_REQUIRED : KEEL_OFF;
    int rc = keel_ctx_open(&options, &load->ctx);
    if (rc == 0)
        rc = keel_arena_create(ARENA_BYTES, &load->arena);
    if (rc) {
        fail(load, "context", rc);
        return rc;
    }
    if (stat(path, &st) != 0)
        device.create_bytes = (uint64_t)BLOCKS * KEEL_BLOCK_BYTES;
    rc = keel_device_open(load->ctx, path, &device, &info, &load->device);
    if (rc) {
        printf("open %s: %s (%s)\n", path, keel_ctx_path(load->ctx)->why, info.op ? info.op : "");
        fail(load, "device", rc);
        return rc;
    }
    for (unsigned i = 0; i < DEPTH; i++)
        load->ios[i] = (struct keel_io){.device = load->device,
                                        .arena = load->arena,
                                        .buf = keel_arena_alloc(load->arena, KEEL_BLOCK_BYTES),
                                        .len_bytes = KEEL_BLOCK_BYTES,
                                        .cls = KEEL_CLASS_HOST,
                                        .done = done,
                                        .user = load};
    return 0;
}

static void close_load(struct load *load)
{
    keel_device_close(load->device);
    keel_ctx_close(load->ctx);
    keel_arena_destroy(load->arena);
}

static void measure_reads(struct load *load, const char *name, bool polled)
{
    uint64_t before = interrupts();
    uint64_t start = clock_now_ns();

    run(load, KEEL_OP_READ, 0, READS);
    uint64_t count = interrupts() - before;
    const struct keel_ctx_path *path = keel_ctx_path(load->ctx);
    printf("reads, iopoll %s: %u reads, %" PRIu64 " interrupts, %" PRIu64
           " ms, fixed buffers %d, fixed files %d%s%s\n",
           name, READS, count, (clock_now_ns() - start) / 1000000, path->fixed_buffers,
           path->fixed_files, path->why[0] ? "; " : "", path->why);
    if (path->iopoll != polled || path->sqpoll != sqpoll)
        fail(load, "the context does not say so", KEEL_EMETHOD);
    if (polled ? count * 100 >= READS : count * 100 < READS)
        fail(load, "wrong number of interrupts", KEEL_EMETHOD);
}

static int run_polled(const char *path)
{
    struct load load;

    if (open_load(&load, path, KEEL_REQUIRED) == 0) {
        run(&load, KEEL_OP_WRITE, 0, BLOCKS);
        run(&load, KEEL_OP_WRITE, KEEL_IO_DSYNC, 128);
        run(&load, KEEL_OP_WRITE, KEEL_IO_LINK_SYNC, 128);
        sync_device(&load);
        printf("writes: plain, dsync, link and sync done\n");
        measure_reads(&load, "required", true);
    }
    close_load(&load);
    return load.failed;
}

static int run_interrupts(const char *path)
{
    struct load load;

    if (open_load(&load, path, KEEL_OFF) == 0)
        measure_reads(&load, "off", false);
    close_load(&load);
    return load.failed;
}

int main(int argc, char **argv)
{
    hybrid = argc == 3 && strcmp(argv[2], "hybrid") == 0;
    sqpoll = argc == 3 && strcmp(argv[2], "sqpoll") == 0;
    if (argc != 2 && !hybrid && !sqpoll) {
        fprintf(stderr, "usage: lab_polled PATH [hybrid|sqpoll]\n");
        return 2;
    }
    return run_polled(argv[1]) || run_interrupts(argv[1]);
}
