/*
 * What this kernel answers: operations on a polled ring, and rings with all sorts of set-up flags.
 * The measured tables of docs/kernel_matrix.md are this program's output on four kernels
 * (tests/surface/lab_tables.py); the suite compares it with them.
 *
 *   lab_surface DISK NG [ROW]     the first blocks of DISK are overwritten; ROW alone, the ones
 * that crash too
 *
 * One line for each row: operations or set-up, the row, what came of it, with tabs between. Raw
 * system calls on a small ring of its own, because a library hides what it does not know.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/io_uring.h>
#include <linux/nvme_ioctl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/clock.h"

/* Newer than the headers of 6.1. */
#define SETUP_NO_MMAP    (1u << 14)
#define SETUP_REG_ONLY   (1u << 15)
#define SETUP_NO_SQARRAY (1u << 16)
#define SETUP_HYBRID     (1u << 17)
#define SETUP_CQE_MIXED  (1u << 18)
#define SETUP_SQE_MIXED  (1u << 19)
#define SETUP_SQ_REWIND  (1u << 20)
#define RWF_ATOMIC_BIT   0x40
#define CMD_DISCARD      0x1200u
#define CMD_FIXED        1u

#define BYTES     4096u
#define WAIT_NS   (2ull * 1000 * 1000 * 1000)
#define NO_ANSWER (-4096)

/* ------------------------------------------------------------- a small ring */

struct ring {
    int fd; /* or -errno of the set-up */
    struct io_uring_params params;
    char *rings, *sqes;
    size_t ring_bytes, sqe_bytes;
    unsigned tail;
};

static int enter(const struct ring *ring, unsigned submit, unsigned wait)
{
    unsigned flags = IORING_ENTER_GETEVENTS;
    if (ring->params.flags & IORING_SETUP_SQPOLL)
        flags |= IORING_ENTER_SQ_WAKEUP;
    long rc = syscall(__NR_io_uring_enter, ring->fd, submit, wait, flags, NULL, 0);
    return rc < 0 ? -errno : (int)rc;
}

static int ring_open(struct ring *ring, unsigned flags)
{
    *ring = (struct ring){.params = {.flags = flags, .sq_thread_idle = 1000}};
    if (flags & SETUP_NO_MMAP) { /* memory is given, a page for each; nothing is submitted */
        char *memory = mmap(NULL, 2 * BYTES, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        memcpy(&ring->params.cq_off.resv2, &memory,
               sizeof(memory)); /* user_addr of newer headers */
        memory += BYTES;
        memcpy(&ring->params.sq_off.resv2, &memory, sizeof(memory));
    }
    ring->fd = (int)syscall(__NR_io_uring_setup, 8, &ring->params);
    if (ring->fd < 0 || flags & SETUP_NO_MMAP)
        return ring->fd < 0 ? ring->fd = -errno : 0;
    const struct io_uring_params *p = &ring->params;
    size_t cqe = flags & IORING_SETUP_CQE32 ? 32 : 16;
    ring->ring_bytes = p->cq_off.cqes + p->cq_entries * cqe;
    if (ring->ring_bytes < p->sq_off.array + p->sq_entries * sizeof(unsigned))
        ring->ring_bytes = p->sq_off.array + p->sq_entries * sizeof(unsigned);
    ring->sqe_bytes = p->sq_entries * (flags & IORING_SETUP_SQE128 ? 128u : 64u);
    int prot = PROT_READ | PROT_WRITE, map = MAP_SHARED | MAP_POPULATE;
    ring->rings = mmap(NULL, ring->ring_bytes, prot, map, ring->fd, IORING_OFF_SQ_RING);
    ring->sqes = mmap(NULL, ring->sqe_bytes, prot, map, ring->fd, IORING_OFF_SQES);
    return 0;
}

static void ring_close(struct ring *ring)
{
    if (ring->rings) {
        munmap(ring->rings, ring->ring_bytes);
        munmap(ring->sqes, ring->sqe_bytes);
    }
    if (ring->fd > 0)
        close(ring->fd);
}

static unsigned *word(const struct ring *ring, unsigned offset)
{
    return (unsigned *)(void *)(ring->rings + offset);
}

static struct io_uring_sqe *ring_sqe(struct ring *ring)
{
    size_t size = ring->params.flags & IORING_SETUP_SQE128 ? 128 : 64;
    char *sqe = ring->sqes + ring->tail * size;
    memset(sqe, 0, size);
    if (!(ring->params.flags & SETUP_NO_SQARRAY))
        word(ring, ring->params.sq_off.array)[ring->tail] = ring->tail;
    struct io_uring_sqe *ret = (struct io_uring_sqe *)(void *)sqe;
    ret->user_data = ring->tail++;
    return ret;
}

/* Completions by user_data, NO_ANSWER where there is none. The kernel's tail is acquired, as ours
 * is released. */
static void ring_run(struct ring *ring, int *results, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        results[i] = NO_ANSWER;
    __atomic_store_n(word(ring, ring->params.sq_off.tail), ring->tail, __ATOMIC_RELEASE);
    unsigned submit = ring->tail, seen = 0;
    size_t stride = ring->params.flags & IORING_SETUP_CQE32 ? 32 : 16;
    for (uint64_t end = clock_now_ns() + WAIT_NS; seen < count && clock_now_ns() < end;) {
        int rc = enter(ring, submit, 0);
        submit = rc > 0 && (unsigned)rc <= submit ? submit - (unsigned)rc : submit;
        if (ring->params.flags & IORING_SETUP_SQPOLL)
            submit = 0;
        unsigned tail = __atomic_load_n(word(ring, ring->params.cq_off.tail), __ATOMIC_ACQUIRE);
        for (; seen < tail; seen++) {
            const struct io_uring_cqe *cqe =
                (const struct io_uring_cqe *)(const void *)(ring->rings + ring->params.cq_off.cqes +
                                                            seen * stride);
            if (cqe->user_data < count)
                results[cqe->user_data] = cqe->res;
        }
        __atomic_store_n(word(ring, ring->params.cq_off.head), seen, __ATOMIC_RELEASE);
    }
}

/* ------------------------------------------------------------- what is asked */

static struct {
    int disk, buffered, dsync, ng; /* descriptors, -errno where there is none */
    uint64_t bytes;
    unsigned nsid;
    char *buf, *other;
    struct iovec iov[2];
} lab;

static void say(const char *table, const char *row, const char *text)
{
    printf("%s\t%s\t%s\n", table, row, text);
    fflush(stdout);
}

static const char *text_of(int res, bool passthrough, char text[64])
{
    if (res == NO_ANSWER)
        snprintf(text, 64, "no completion");
    else if (res < 0)
        snprintf(text, 64, "-%s", strerrorname_np(-res));
    else if (passthrough && res > 0)
        snprintf(text, 64, "status 0x%x", (unsigned)res);
    else
        snprintf(text, 64, "ok(%d)", res);
    return text;
}

static void register_all(const struct ring *ring)
{
    struct iovec iov = {.iov_base = lab.buf, .iov_len = BYTES};
    if (syscall(__NR_io_uring_register, ring->fd, IORING_REGISTER_BUFFERS, &iov, 1))
        say("operations", "registering a buffer", strerrorname_np(errno));
    if (syscall(__NR_io_uring_register, ring->fd, IORING_REGISTER_FILES, &lab.disk, 1))
        say("operations", "registering a file", strerrorname_np(errno));
}

enum file { DISK, FIXED_DISK, BUFFERED, DSYNC_DISK, NOTHING };

struct transfer_row {
    const char *name;
    uint8_t opcode;
    enum file file;
    unsigned flags;
};

static void fill(struct io_uring_sqe *sqe, const struct transfer_row *row)
{
    const int fds[] = {lab.disk, 0, lab.buffered, lab.dsync, -1};
    static const struct __kernel_timespec ms = {.tv_nsec = 1000000};

    sqe->opcode = row->opcode;
    sqe->fd = fds[row->file];
    sqe->flags = row->file == FIXED_DISK ? IOSQE_FIXED_FILE : 0;
    sqe->rw_flags = (int)row->flags;
    sqe->addr = (uintptr_t)lab.buf;
    sqe->len = BYTES;
    switch (row->opcode) {
    case IORING_OP_READV:
    case IORING_OP_WRITEV:
        sqe->addr = (uintptr_t)lab.iov, sqe->len = 2;
        break;
    case IORING_OP_FSYNC:
        sqe->addr = sqe->len = 0;
        break;
    case IORING_OP_SYNC_FILE_RANGE:
        sqe->addr = 0;
        break;
    case IORING_OP_FALLOCATE:
        sqe->addr = BYTES, sqe->len = 3;
        break; /* punch, keep size */
    case IORING_OP_URING_CMD:
        sqe->off = CMD_DISCARD, sqe->addr = 0, sqe->addr3 = BYTES, sqe->len = 0;
        break;
    case IORING_OP_NOP:
    case IORING_OP_ASYNC_CANCEL:
        sqe->addr = sqe->len = 0;
        break;
    case IORING_OP_POLL_ADD:
        sqe->poll32_events = POLLIN, sqe->addr = sqe->len = 0;
        break;
    case IORING_OP_TIMEOUT:
        sqe->addr = (uintptr_t)&ms, sqe->len = 1;
        break;
    case IORING_OP_OPENAT:
        sqe->fd = AT_FDCWD, sqe->addr = (uintptr_t) "/", sqe->len = 0;
        break;
    }
}

static const struct transfer_row transfers[] = {
    {"READ", IORING_OP_READ, DISK, 0},
    {"WRITE", IORING_OP_WRITE, DISK, 0},
    {"READ_FIXED, registered file", IORING_OP_READ_FIXED, FIXED_DISK, 0},
    {"WRITE_FIXED, registered file", IORING_OP_WRITE_FIXED, FIXED_DISK, 0},
    {"READV of two", IORING_OP_READV, DISK, 0},
    {"WRITEV of two", IORING_OP_WRITEV, DISK, 0},
    {"READ without O_DIRECT", IORING_OP_READ, BUFFERED, 0},
    {"WRITE with RWF_DSYNC", IORING_OP_WRITE, DISK, RWF_DSYNC},
    {"WRITE_FIXED with RWF_DSYNC", IORING_OP_WRITE_FIXED, FIXED_DISK, RWF_DSYNC},
    {"WRITE with RWF_SYNC", IORING_OP_WRITE, DISK, RWF_SYNC},
    {"WRITE, file opened with O_DSYNC", IORING_OP_WRITE, DSYNC_DISK, 0},
    {"READ with RWF_NOWAIT", IORING_OP_READ, DISK, RWF_NOWAIT},
    {"READ with RWF_HIPRI", IORING_OP_READ, DISK, RWF_HIPRI},
    {"WRITE with RWF_ATOMIC", IORING_OP_WRITE, DISK, RWF_ATOMIC_BIT},
    {"FSYNC", IORING_OP_FSYNC, DISK, 0},
    {"FSYNC, data alone", IORING_OP_FSYNC, DISK, IORING_FSYNC_DATASYNC},
    {"SYNC_FILE_RANGE", IORING_OP_SYNC_FILE_RANGE, DISK, 0},
    {"FALLOCATE, a hole", IORING_OP_FALLOCATE, DISK, 0},
    {"URING_CMD, discard of the block device", IORING_OP_URING_CMD, DISK, 0},
    {"NOP", IORING_OP_NOP, NOTHING, 0},
    {"POLL_ADD", IORING_OP_POLL_ADD, DISK, 0},
    {"TIMEOUT", IORING_OP_TIMEOUT, NOTHING, 0},
    {"OPENAT", IORING_OP_OPENAT, NOTHING, 0},
    {"ASYNC_CANCEL of nothing", IORING_OP_ASYNC_CANCEL, NOTHING, 0},
};

static void run_transfer(const struct transfer_row *row)
{
    struct ring ring;
    char text[64];
    int res = ring_open(&ring, IORING_SETUP_IOPOLL);

    if (res == 0) {
        register_all(&ring);
        fill(ring_sqe(&ring), row);
        ring_run(&ring, &res, 1);
    }
    say("operations", row->name, text_of(res, false, text));
    ring_close(&ring);
}

/* ------------------------------------------------------------- two entries, two rings */

static const struct pair_row {
    const char *name;
    unsigned ring_flags;
    struct transfer_row first, second;
    bool refuse_first; /* by its length, which no block fits */
    uint8_t first_flags;
} pairs[] = {
    {"WRITE linked to FSYNC",
     IORING_SETUP_IOPOLL,
     {"", IORING_OP_WRITE, DISK, 0},
     {"", IORING_OP_FSYNC, DISK, 0},
     false,
     IOSQE_IO_LINK},
    {"a refused WRITE linked to READ",
     IORING_SETUP_IOPOLL,
     {"", IORING_OP_WRITE, DISK, 0},
     {"", IORING_OP_READ, DISK, 0},
     true,
     IOSQE_IO_LINK},
    {"the same on a plain ring",
     0,
     {"", IORING_OP_WRITE, DISK, 0},
     {"", IORING_OP_READ, DISK, 0},
     true,
     IOSQE_IO_LINK},
    {"a refused WRITE with CQE_SKIP_SUCCESS, beside a READ",
     IORING_SETUP_IOPOLL,
     {"", IORING_OP_WRITE, DISK, 0},
     {"", IORING_OP_READ, DISK, 0},
     true,
     IOSQE_CQE_SKIP_SUCCESS},
    {"the same on a plain ring, too",
     0,
     {"", IORING_OP_WRITE, DISK, 0},
     {"", IORING_OP_READ, DISK, 0},
     true,
     IOSQE_CQE_SKIP_SUCCESS},
};

static void run_pair(const struct pair_row *row)
{
    struct ring ring;
    char text[160], one[64], two[64];
    int res[2];

    res[0] = ring_open(&ring, row->ring_flags);
    if (res[0] == 0) {
        struct io_uring_sqe *sqe = ring_sqe(&ring);
        fill(sqe, &row->first);
        sqe->flags |= row->first_flags;
        if (row->refuse_first)
            sqe->len = 100;
        fill(ring_sqe(&ring), &row->second);
        ring_run(&ring, res, 2);
    }
    snprintf(text, sizeof(text), "%s, %s", text_of(res[0], false, one),
             text_of(res[1], false, two));
    say("operations", row->name, text);
    ring_close(&ring);
}

/* MSG_RING from a ring of these flags to one of those; the same ring when `itself`. */
static void run_message(const char *name, unsigned from, unsigned to, bool itself)
{
    struct ring source, target;
    char text[64], full[96];
    int res[2] = {NO_ANSWER, NO_ANSWER};

    ring_open(&source, from);
    ring_open(&target, to);
    struct io_uring_sqe *sqe = ring_sqe(&source);
    sqe->opcode = IORING_OP_MSG_RING;
    sqe->fd = itself ? source.fd : target.fd;
    sqe->off = 1; /* user_data there */
    ring_run(&source, res, itself ? 2 : 1);
    if (!itself)
        res[1] = *word(&target, target.params.cq_off.tail) > 0 ? 0 : NO_ANSWER;
    snprintf(full, sizeof(full), "%s, %s", text_of(res[0], false, text),
             res[1] == 0 ? "it arrived" : "nothing arrived");
    say("operations", name, full);
    ring_close(&source);
    ring_close(&target);
}

/* ------------------------------------------------------------- passthrough */

static const struct passthrough_row {
    const char *name;
    unsigned missing; /* of SQE128 and CQE32 */
    unsigned command;
    uint8_t opcode;
    uint32_t cdw12;
    bool data, vectored, fixed, beyond, crashes; /* 6.1 */
} passthroughs[] = {
    {.name = "read", .command = NVME_URING_CMD_IO, .opcode = 2, .data = true},
    {.name = "write", .command = NVME_URING_CMD_IO, .opcode = 1, .data = true},
    {.name = "read, registered buffer",
     .command = NVME_URING_CMD_IO,
     .opcode = 2,
     .data = true,
     .fixed = true},
    {.name = "write, registered buffer",
     .command = NVME_URING_CMD_IO,
     .opcode = 1,
     .data = true,
     .fixed = true},
    {.name = "write with FUA, registered buffer",
     .command = NVME_URING_CMD_IO,
     .opcode = 1,
     .cdw12 = 1u << 30,
     .data = true,
     .fixed = true},
    {.name = "vectored read",
     .command = NVME_URING_CMD_IO_VEC,
     .opcode = 2,
     .data = true,
     .vectored = true},
    {.name = "vectored read, registered buffer",
     .command = NVME_URING_CMD_IO_VEC,
     .opcode = 2,
     .data = true,
     .vectored = true,
     .fixed = true},
    {.name = "flush", .command = NVME_URING_CMD_IO, .opcode = 0, .crashes = true},
    {.name = "write zeroes", .command = NVME_URING_CMD_IO, .opcode = 8, .crashes = true},
    {.name = "read beyond the end",
     .command = NVME_URING_CMD_IO,
     .opcode = 2,
     .data = true,
     .beyond = true},
    {.name = "an opcode that there is not",
     .command = NVME_URING_CMD_IO,
     .opcode = 0x7f,
     .crashes = true},
    {.name = "identify, an admin command",
     .command = NVME_URING_CMD_ADMIN,
     .opcode = 6,
     .data = true},
    {.name = "read, ring without SQE128 and CQE32",
     .missing = IORING_SETUP_SQE128 | IORING_SETUP_CQE32,
     .command = NVME_URING_CMD_IO,
     .opcode = 2,
     .data = true},
    {.name = "read, ring without CQE32",
     .missing = IORING_SETUP_CQE32,
     .command = NVME_URING_CMD_IO,
     .opcode = 2,
     .data = true},
};

static void fill_passthrough(struct io_uring_sqe *sqe, const struct passthrough_row *row)
{
    struct nvme_uring_cmd cmd = {.opcode = row->opcode, .nsid = lab.nsid, .cdw12 = row->cdw12};
    int block = 512;

    ioctl(lab.disk, BLKSSZGET, &block);
    cmd.cdw12 |= row->opcode == 6 || row->opcode == 0 ? 0 : BYTES / (unsigned)block - 1;
    cmd.cdw10 = row->opcode == 6 ? 1 : row->beyond ? (uint32_t)(lab.bytes / (unsigned)block) : 0;
    if (row->data) {
        cmd.addr = row->vectored ? (uintptr_t)lab.iov : (uintptr_t)lab.buf;
        cmd.data_len = row->vectored ? 1 : BYTES;
    }
    sqe->opcode = IORING_OP_URING_CMD;
    sqe->fd = lab.ng;
    sqe->off = row->command;
    sqe->rw_flags = row->fixed ? (int)CMD_FIXED : 0; /* uring_cmd_flags */
    memcpy((char *)sqe + 48, &cmd, row->missing & IORING_SETUP_SQE128 ? 16 : sizeof(cmd));
}

static void run_passthrough(const struct passthrough_row *row, bool dare)
{
    struct ring ring;
    struct utsname uts;
    char text[64], name[96], full[96];
    unsigned wide = IORING_SETUP_SQE128 | IORING_SETUP_CQE32;

    snprintf(name, sizeof(name), "passthrough: %s", row->name);
    uname(&uts);
    if (row->crashes && !dare && strncmp(uts.release, "6.1.", 4) == 0) {
        say("operations", name, "not tried: can crash this kernel");
        return;
    }
    int res = ring_open(&ring, IORING_SETUP_IOPOLL | (wide & ~row->missing));
    if (res || lab.ng < 0) {
        snprintf(full, sizeof(full), "%s %s", res ? "set-up" : "open",
                 text_of(res ? res : lab.ng, false, text));
    } else {
        register_all(&ring);
        fill_passthrough(ring_sqe(&ring), row);
        ring_run(&ring, &res, 1);
        snprintf(full, sizeof(full), "%s", text_of(res, true, text));
    }
    say("operations", name, full);
    ring_close(&ring);
}

/* ------------------------------------------------------------- set-up flags */

#define IOP  IORING_SETUP_IOPOLL
#define SI   IORING_SETUP_SINGLE_ISSUER
#define DT   IORING_SETUP_DEFER_TASKRUN
#define SQP  IORING_SETUP_SQPOLL
#define S128 IORING_SETUP_SQE128
#define COOP IORING_SETUP_COOP_TASKRUN

static const struct setup_row {
    const char *name;
    unsigned flags;
} setups[] = {
    {"IOP", IOP},
    {"IOP+SI", IOP | SI},
    {"IOP+SI+DT", IOP | SI | DT},
    {"IOP+DT", IOP | DT},
    {"IOP+COOP", IOP | COOP},
    {"IOP+COOP+TRF", IOP | COOP | IORING_SETUP_TASKRUN_FLAG},
    {"IOP+SQP", IOP | SQP},
    {"IOP+SQP+SI", IOP | SQP | SI},
    {"IOP+SQP+SI+DT", IOP | SQP | SI | DT},
    {"IOP+SQP+COOP", IOP | SQP | COOP},
    {"IOP+HYB", IOP | SETUP_HYBRID},
    {"IOP+HYB+SI+DT", IOP | SETUP_HYBRID | SI | DT},
    {"HYB", SETUP_HYBRID},
    {"IOP+S128+C32+SI+DT", IOP | S128 | IORING_SETUP_CQE32 | SI | DT},
    {"IOP+NOSQARR+SI+DT", IOP | SETUP_NO_SQARRAY | SI | DT},
    {"IOP+NOMMAP", IOP | SETUP_NO_MMAP},
    {"IOP+REGONLY+NOMMAP", IOP | SETUP_REG_ONLY | SETUP_NO_MMAP},
    {"IOP+REGONLY", IOP | SETUP_REG_ONLY},
    {"IOP+CQEMIX", IOP | SETUP_CQE_MIXED},
    {"IOP+SQEMIX", IOP | SETUP_SQE_MIXED},
    {"IOP+SI+DT+SQREW+NOSQARR", IOP | SI | DT | SETUP_SQ_REWIND | SETUP_NO_SQARRAY},
    {"IOP+SQREW", IOP | SETUP_SQ_REWIND},
    {"IOP+S128+CQEMIX+SI+DT", IOP | S128 | SETUP_CQE_MIXED | SI | DT},
    {"IOP+S128+SQEMIX", IOP | S128 | SETUP_SQE_MIXED},
    {"SI+DT", SI | DT},
    {"SQP", SQP},
};

static void run_setup(const struct setup_row *row)
{
    static const struct transfer_row read = {"", IORING_OP_READ_FIXED, FIXED_DISK, 0};
    struct ring ring;
    char text[64], full[96];

    int res = ring_open(&ring, row->flags);
    if (res) {
        snprintf(full, sizeof(full), "set-up %s", text_of(res, false, text));
    } else if (row->flags & SETUP_NO_MMAP) {
        snprintf(full, sizeof(full), "set up");
    } else {
        register_all(&ring);
        fill(ring_sqe(&ring), &read);
        ring_run(&ring, &res, 1);
        snprintf(full, sizeof(full), "%s", text_of(res, false, text));
    }
    say("set-up", row->name, full);
    ring_close(&ring);
}

/* ------------------------------------------------------------- all of it */

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static bool wanted(const char *row, const char *only)
{
    return !only || strcmp(row, only) == 0;
}

static void run_all(const char *only)
{
    for (size_t i = 0; i < COUNT(transfers); i++)
        if (wanted(transfers[i].name, only))
            run_transfer(&transfers[i]);
    for (size_t i = 0; i < COUNT(pairs); i++)
        if (wanted(pairs[i].name, only))
            run_pair(&pairs[i]);
    if (!only) {
        run_message("MSG_RING to a plain ring", IOP, 0, false);
        run_message("MSG_RING from a plain ring", 0, IOP, false);
        run_message("MSG_RING to itself", IOP, IOP, true);
    }
    for (size_t i = 0; i < COUNT(passthroughs); i++)
        if (wanted(passthroughs[i].name, only))
            run_passthrough(&passthroughs[i], only != NULL);
    for (size_t i = 0; i < COUNT(setups); i++)
        if (wanted(setups[i].name, only))
            run_setup(&setups[i]);
}

static int open_or_errno(const char *path, int flags)
{
    int fd = open(path, flags | O_RDWR | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: lab_surface DISK NG [ROW]\n");
        return 2;
    }
    lab.disk = open_or_errno(argv[1], O_DIRECT);
    lab.buffered = open_or_errno(argv[1], 0);
    lab.dsync = open_or_errno(argv[1], O_DIRECT | O_DSYNC);
    lab.ng = open_or_errno(argv[2], 0);
    if (lab.disk < 0 || ioctl(lab.disk, BLKGETSIZE64, &lab.bytes)) {
        fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    int nsid = lab.ng < 0 ? 0 : ioctl(lab.ng, NVME_IOCTL_ID);
    lab.nsid = nsid < 0 ? 0 : (unsigned)nsid;
    lab.buf = aligned_alloc(BYTES, BYTES);
    lab.other = aligned_alloc(BYTES, BYTES);
    memset(lab.buf, 'k', BYTES);
    memset(lab.other, 'k', BYTES);
    lab.iov[0] = (struct iovec){.iov_base = lab.buf, .iov_len = BYTES};
    lab.iov[1] = (struct iovec){.iov_base = lab.other, .iov_len = BYTES};
    run_all(argc > 3 ? argv[3] : NULL);
    return 0;
}
