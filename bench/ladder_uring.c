/*
 * The rungs of `ladder` that are io_uring, from a plain ring to passthrough and SQPOLL: one loop,
 * and what a ring has is bits.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/fs.h>
#include <linux/nvme_ioctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/prng.h"
#include "bench/ladder.h"

#define SQ_IDLE_MS      1000
#define NVME_OP_READ    0x02
#define URING_CMD_FIXED 1 /* IORING_URING_CMD_FIXED, which liburing 2.3 does not have */

struct loop {
    const struct ladder_load *load;
    unsigned has;
    struct io_uring ring;
    struct ladder_nvme nvme;
    uint32_t batch;
    uint32_t *idle;
    uint64_t *begun_ns;
    uint32_t idle_count, in_flight;
    struct prng prng;
};

/* ---------------------------------------------------------------- setting up */

/* A polled ring takes passthrough from 6.2 on; before, it can crash the kernel. */
static bool polled_passthrough(void)
{
    struct utsname uts;
    unsigned major = 0, minor = 0;

    if (uname(&uts) != 0 || sscanf(uts.release, "%u.%u", &major, &minor) != 2)
        return false;
    return major > 6 || (major == 6 && minor >= 2);
}

bool ladder_nvme_open(const char *path, struct ladder_nvme *ret, char why[LADDER_WHY_BYTES])
{
    const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    char character[64];
    unsigned controller, space, end = 0;
    int bytes = 0;

    if (sscanf(name, "nvme%un%u%n", &controller, &space, (int *)&end) != 2 || name[end] != '\0') {
        snprintf(why, LADDER_WHY_BYTES,
                 "commands go to a whole NVMe namespace; give --path /dev/nvmeXnY");
        return false;
    }
    int block = open(path, O_RDONLY | O_CLOEXEC);
    if (block < 0 || ioctl(block, BLKSSZGET, &bytes) != 0 || bytes < 512) {
        if (block >= 0)
            close(block);
        return ladder_fail(why, path, errno);
    }
    close(block);
    ret->lba_shift = (uint32_t)__builtin_ctz((unsigned)bytes);
    snprintf(character, sizeof(character), "/dev/ng%un%u", controller, space);
    ret->fd = open(character, O_RDONLY | O_CLOEXEC);
    if (ret->fd < 0)
        return ladder_fail(why, character, errno);
    int nsid = ioctl(ret->fd, NVME_IOCTL_ID);
    if (nsid <= 0) {
        ladder_fail(why, character, errno);
        close(ret->fd);
        return false;
    }
    ret->nsid = (uint32_t)nsid;
    return true;
}

static bool set_up(struct loop *loop, char why[LADDER_WHY_BYTES])
{
    const struct bench_options *options = loop->load->options;
    bool nvme = loop->has & RUNG_PASSTHROUGH;
    struct io_uring_params params = {.sq_thread_idle = SQ_IDLE_MS};
    char what[64];

    if (loop->has & RUNG_IOPOLL && (!nvme || polled_passthrough()))
        params.flags |= IORING_SETUP_IOPOLL;
    if (nvme)
        params.flags |= IORING_SETUP_SQE128 | IORING_SETUP_CQE32;
    if (loop->has & RUNG_SQPOLL)
        params.flags |= IORING_SETUP_SQPOLL;
    int rc = io_uring_queue_init_params(options->depth, &loop->ring, &params);
    if (rc)
        return ladder_fail(why, "io_uring_setup", rc);
    if (!(loop->has & RUNG_FIXED))
        return true;
    int fd = nvme ? loop->nvme.fd : loop->load->fd;
    struct iovec all = {loop->load->buffers, options->depth * options->bs_bytes};
    rc = io_uring_register_files(&loop->ring, &fd, 1);
    snprintf(what, sizeof(what), "registering the file");
    if (rc == 0) {
        rc = io_uring_register_buffers(&loop->ring, &all, 1);
        snprintf(what, sizeof(what), "registering %zu KiB of buffers", all.iov_len >> 10);
    }
    if (rc == 0)
        return true;
    io_uring_queue_exit(&loop->ring);
    return ladder_fail(why, what, rc);
}

/* ---------------------------------------------------------------- the loop */

static void prepare_nvme(struct loop *loop, struct io_uring_sqe *sqe, void *buf, uint64_t offset)
{
    uint32_t bytes = (uint32_t)loop->load->options->bs_bytes;
    uint64_t lba = offset >> loop->nvme.lba_shift;
    struct nvme_uring_cmd *cmd = (struct nvme_uring_cmd *)(void *)sqe->cmd;

    /* 128 bytes: liburing 2.3 clears the first 64 only. */
    memset(sqe, 0, 2 * sizeof(*sqe));
    sqe->opcode = IORING_OP_URING_CMD;
    sqe->cmd_op = NVME_URING_CMD_IO;
    *cmd = (struct nvme_uring_cmd){.opcode = NVME_OP_READ,
                                   .nsid = loop->nvme.nsid,
                                   .addr = (uint64_t)(uintptr_t)buf,
                                   .data_len = bytes,
                                   .cdw10 = (uint32_t)lba,
                                   .cdw11 = (uint32_t)(lba >> 32),
                                   .cdw12 = (bytes >> loop->nvme.lba_shift) - 1};
    sqe->fd = loop->nvme.fd;
    if (loop->has & RUNG_FIXED) {
        sqe->fd = 0;
        sqe->flags = IOSQE_FIXED_FILE;
        sqe->rw_flags = URING_CMD_FIXED;
        sqe->buf_index = 0;
    }
}

static void prepare(struct loop *loop, struct io_uring_sqe *sqe, uint32_t slot)
{
    const struct ladder_load *load = loop->load;
    uint32_t bytes = (uint32_t)load->options->bs_bytes;
    uint8_t *buf = load->buffers + (size_t)slot * bytes;
    uint64_t offset = prng_u64(&loop->prng) % load->blocks * bytes;

    if (loop->has & RUNG_PASSTHROUGH) {
        prepare_nvme(loop, sqe, buf, offset);
    } else if (loop->has & RUNG_FIXED) {
        io_uring_prep_read_fixed(sqe, 0, buf, bytes, offset, 0);
        sqe->flags |= IOSQE_FIXED_FILE;
    } else {
        io_uring_prep_read(sqe, load->fd, buf, bytes, offset);
    }
    io_uring_sqe_set_data64(sqe, slot);
}

static int submit(struct loop *loop, struct ladder_round *round)
{
    uint64_t now = clock_now_ns();
    uint32_t count = 0;

    while (count < loop->batch && loop->idle_count > 0) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&loop->ring);
        if (!sqe)
            break; /* SQPOLL has not taken them yet */
        uint32_t slot = loop->idle[--loop->idle_count];
        loop->begun_ns[slot] = now;
        prepare(loop, sqe, slot);
        count++;
    }
    loop->in_flight += count;
    bool full = loop->idle_count == 0;
    uint32_t least = full ? (loop->batch < loop->in_flight ? loop->batch : loop->in_flight) : 0;
    if (!(loop->has & RUNG_SQPOLL)) {
        round->calls++;
        int rc = io_uring_submit_and_wait(&loop->ring, least);
        return rc < 0 ? rc : 0;
    }
    /* Neither handing over nor looking is a system call, unless the thread sleeps. */
    if (IO_URING_READ_ONCE(*loop->ring.sq.kflags) & IORING_SQ_NEED_WAKEUP)
        round->calls++;
    int rc = io_uring_submit(&loop->ring);
    return rc < 0 ? rc : 0;
}

static int result_of(const struct loop *loop, const struct io_uring_cqe *cqe)
{
    if (cqe->res < 0)
        return cqe->res;
    if (loop->has & RUNG_PASSTHROUGH)
        return cqe->res == 0 ? 0 : -EIO; /* an NVMe status */
    return (uint32_t)cqe->res == loop->load->options->bs_bytes ? 0 : -EIO;
}

static int reap(struct loop *loop, struct ladder_round *round)
{
    struct io_uring_cqe *cqe;
    unsigned head, count = 0;
    uint64_t now = clock_now_ns();
    int error = 0;

    io_uring_for_each_cqe(&loop->ring, head, cqe)
    {
        uint32_t slot = (uint32_t)cqe->user_data;
        int rc = result_of(loop, cqe);
        error = error ? error : rc;
        hist_record(&round->latency, now - loop->begun_ns[slot]);
        loop->idle[loop->idle_count++] = slot;
        count++;
    }
    io_uring_cq_advance(&loop->ring, count);
    loop->in_flight -= count;
    round->ops += count;
    return error;
}

static int run(struct loop *loop, struct ladder_round *round)
{
    uint64_t begin = clock_now_ns();
    int rc = 0;

    while (rc == 0 && clock_now_ns() - begin < loop->load->ns) {
        rc = submit(loop, round);
        int failed = reap(loop, round);
        rc = rc ? rc : failed;
    }
    round->ns = clock_now_ns() - begin;
    while (loop->in_flight > 0) {
        struct io_uring_cqe *cqe;
        /* Of a submission that failed nothing may be in flight at all; then this fails too. */
        int waited = io_uring_wait_cqe(&loop->ring, &cqe);
        if (waited < 0 && waited != -EINTR)
            break;
        if (waited == 0) {
            io_uring_cqe_seen(&loop->ring, cqe);
            loop->in_flight--;
        }
    }
    return rc;
}

static bool explain(unsigned has, int rc, char why[LADDER_WHY_BYTES])
{
    if (rc == 0)
        return true;
    if (has & RUNG_IOPOLL && (rc == -EOPNOTSUPP || rc == -EINVAL)) {
        snprintf(why, LADDER_WHY_BYTES,
                 "this disk or file system does not poll (%s); NVMe: boot with nvme.poll_queues=N",
                 strerror(-rc));
        return false;
    }
    return ladder_fail(why, "a read", rc);
}

bool ladder_uring(const struct ladder_load *load, unsigned has, struct ladder_round *round,
                  char why[LADDER_WHY_BYTES])
{
    uint32_t depth = load->options->depth;
    struct loop loop = {.load = load, .has = has, .idle_count = depth, .nvme = {.fd = -1}};
    bool ok = !(has & RUNG_PASSTHROUGH) || ladder_nvme_open(load->path, &loop.nvme, why);

    if (!ok)
        return false;
    if (!set_up(&loop, why)) {
        if (loop.nvme.fd >= 0)
            close(loop.nvme.fd);
        return false;
    }
    prng_seed(&loop.prng, 1);
    loop.batch = has & RUNG_BATCH ? load->options->batch : 1;
    loop.idle = mem_alloc(depth * sizeof(*loop.idle));
    loop.begun_ns = mem_alloc(depth * sizeof(*loop.begun_ns));
    int rc = loop.idle && loop.begun_ns ? 0 : -ENOMEM;
    for (uint32_t i = 0; rc == 0 && i < depth; i++)
        loop.idle[i] = i;
    if (rc == 0)
        rc = run(&loop, round);
    io_uring_queue_exit(&loop.ring);
    if (loop.nvme.fd >= 0)
        close(loop.nvme.fd);
    mem_free(loop.begun_ns);
    mem_free(loop.idle);
    return explain(has, rc, why);
}
