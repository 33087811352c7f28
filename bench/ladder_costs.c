/*
 * What `ladder` measures beside the reads: system calls against enters, sizes of the ring, a sync
 * as link, call or flag of the write, one multishot request against repeated ones. Each is the
 * median of several short runs; each takes some hundred milliseconds at most.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "bench/ladder.h"
#include "tools/cli.h"

#define RUNS      7u
#define CALLS     20000u
#define SYNCS     48u
#define FILE_NAME "costs"

struct cost {
    struct io_uring ring;
    int fd;        /* of the file, or the eventfd */
    uint32_t size; /* batch */
    void *buf;
};

/* One run of `count` operations; negative errno on failure. */
typedef int run_fn(struct cost *cost, uint32_t count);

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median ns of one operation, or null and `why` in the object. */
static void measure(json_t *object, const char *name, run_fn *run, struct cost *cost,
                    uint32_t count)
{
    double ns[RUNS];

    for (unsigned i = 0; i < RUNS; i++) {
        uint64_t begin = clock_now_ns();
        int rc = run(cost, count);
        if (rc < 0) {
            json_object_set_new(object, name, json_null());
            json_object_set_new(object, "why_not", json_string(strerror(-rc)));
            return;
        }
        ns[i] = (double)(clock_now_ns() - begin) / count;
    }
    qsort(ns, RUNS, sizeof(ns[0]), by_value);
    json_object_set_new(object, name, json_real(ns[RUNS / 2]));
}

/* ---------------------------------------------------------------- calls and enters */

static int run_getppid(struct cost *cost, uint32_t count)
{
    (void)cost;
    for (uint32_t i = 0; i < count; i++)
        syscall(SYS_getppid);
    return 0;
}

static int run_empty_enter(struct cost *cost, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (syscall(SYS_io_uring_enter, cost->ring.ring_fd, 0, 0, 0, NULL, 0) < 0)
            return -errno;
    }
    return 0;
}

/* Reap what is there; negative errno of the first that failed. */
static int reap(struct io_uring *ring, uint32_t *ret_count)
{
    struct io_uring_cqe *cqe;
    unsigned head;
    int error = 0;

    *ret_count = 0;
    io_uring_for_each_cqe(ring, head, cqe)
    {
        error = cqe->res < 0 && error == 0 ? cqe->res : error;
        (*ret_count)++;
    }
    io_uring_cq_advance(ring, *ret_count);
    return error;
}

/* `count` in batches of cost->size, an enter each. */
static int run_nops(struct cost *cost, uint32_t count)
{
    for (uint32_t done = 0, got; done < count; done += got) {
        for (uint32_t i = 0; i < cost->size; i++)
            io_uring_prep_nop(io_uring_get_sqe(&cost->ring));
        int rc = io_uring_submit_and_wait(&cost->ring, cost->size);
        rc = rc < 0 ? rc : reap(&cost->ring, &got);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int run_pread(struct cost *cost, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (pread(cost->fd, cost->buf, 4096, 0) != 4096)
            return errno ? -errno : -EIO;
    }
    return 0;
}

static int run_reads(struct cost *cost, uint32_t count)
{
    for (uint32_t done = 0, got; done < count; done += got) {
        for (uint32_t i = 0; i < cost->size; i++)
            io_uring_prep_read(io_uring_get_sqe(&cost->ring), cost->fd, cost->buf, 4096, 0);
        int rc = io_uring_submit_and_wait(&cost->ring, cost->size);
        rc = rc < 0 ? rc : reap(&cost->ring, &got);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static json_t *calls_json(const char *folder)
{
    json_t *object = json_object();
    struct cost cost = {.size = 1};
    char path[600], byte[4096] = {0};

    measure(object, "getppid_ns", run_getppid, &cost, CALLS);
    if (io_uring_queue_init(64, &cost.ring, 0) != 0)
        return object;
    measure(object, "empty_enter_ns", run_empty_enter, &cost, CALLS);
    measure(object, "nop_ns", run_nops, &cost, CALLS);
    cost.size = 32;
    measure(object, "nop_batch32_ns", run_nops, &cost, CALLS);

    /* A read that needs no device: the page is in the kernel's cache. */
    snprintf(path, sizeof(path), "%s/" FILE_NAME, folder);
    cost.fd = folder[0] ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    cost.buf = byte;
    if (cost.fd >= 0 && pwrite(cost.fd, byte, sizeof(byte), 0) == (ssize_t)sizeof(byte)) {
        measure(object, "cached_pread_ns", run_pread, &cost, CALLS);
        cost.size = 1;
        measure(object, "cached_read_ns", run_reads, &cost, CALLS);
        cost.size = 32;
        measure(object, "cached_read_batch32_ns", run_reads, &cost, CALLS);
    }
    if (cost.fd >= 0)
        close(cost.fd);
    io_uring_queue_exit(&cost.ring);
    return object;
}

/* ---------------------------------------------------------------- sizes of the ring */

static json_t *sizes_json(void)
{
    static const uint32_t sizes[] = {1, 4, 16, 64, 256, 1024, 4096};
    json_t *list = json_array();

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        json_t *object = json_pack("{s:i}", "entries", (int)sizes[i]);
        struct cost cost = {.size = sizes[i]};
        int rc = io_uring_queue_init(sizes[i], &cost.ring, 0);
        if (rc) {
            json_object_set_new(object, "nop_ns", json_null());
            json_object_set_new(object, "why_not", json_string(strerror(-rc)));
        } else {
            measure(object, "nop_ns", run_nops, &cost, CALLS / sizes[i] * sizes[i] + sizes[i]);
            io_uring_queue_exit(&cost.ring);
        }
        json_array_append_new(list, object);
    }
    return list;
}

/* ---------------------------------------------------------------- a write and its sync */

static int wait_for(struct cost *cost, uint32_t count)
{
    uint32_t got = 0, now;

    while (got < count) {
        int rc = io_uring_submit_and_wait(&cost->ring, 1);
        rc = rc < 0 ? rc : reap(&cost->ring, &now);
        if (rc < 0)
            return rc;
        got += now;
    }
    return 0;
}

static struct io_uring_sqe *next_write(struct cost *cost, uint32_t i)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&cost->ring);

    io_uring_prep_write(sqe, cost->fd, cost->buf, 4096, (uint64_t)(i % 16) * 4096);
    return sqe;
}

static int run_two_enters(struct cost *cost, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        next_write(cost, i);
        int rc = wait_for(cost, 1);
        if (rc < 0)
            return rc;
        io_uring_prep_fsync(io_uring_get_sqe(&cost->ring), cost->fd, IORING_FSYNC_DATASYNC);
        rc = wait_for(cost, 1);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int run_linked(struct cost *cost, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        next_write(cost, i)->flags |= IOSQE_IO_LINK;
        io_uring_prep_fsync(io_uring_get_sqe(&cost->ring), cost->fd, IORING_FSYNC_DATASYNC);
        int rc = wait_for(cost, 2);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int run_dsync(struct cost *cost, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        next_write(cost, i)->rw_flags = RWF_DSYNC;
        int rc = wait_for(cost, 1);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int run_pwritev2(struct cost *cost, uint32_t count)
{
    struct iovec part = {cost->buf, 4096};

    for (uint32_t i = 0; i < count; i++) {
        if (pwritev2(cost->fd, &part, 1, (off_t)(i % 16) * 4096, RWF_DSYNC) != 4096)
            return errno ? -errno : -EIO;
    }
    return 0;
}

static json_t *links_json(const char *folder)
{
    json_t *object = json_object();
    struct cost cost = {0};
    char path[600];

    if (!folder[0]) {
        json_object_set_new(object, "why_not", json_string("--path is no folder to write to"));
        return object;
    }
    snprintf(path, sizeof(path), "%s/" FILE_NAME ".sync", folder);
    int rc = bench_file_create(path, 16 * 4096);
    cost.buf = mem_alloc_aligned(4096, 4096);
    cost.fd = rc == 0 ? open(path, O_RDWR | O_DIRECT | O_CLOEXEC) : -1;
    if (cost.fd >= 0 && cost.buf && io_uring_queue_init(8, &cost.ring, 0) == 0) {
        measure(object, "write_then_fdatasync_ns", run_two_enters, &cost, SYNCS);
        measure(object, "write_linked_fdatasync_ns", run_linked, &cost, SYNCS);
        measure(object, "write_dsync_ns", run_dsync, &cost, SYNCS);
        measure(object, "pwritev2_dsync_ns", run_pwritev2, &cost, SYNCS);
        io_uring_queue_exit(&cost.ring);
    } else {
        json_object_set_new(object, "why_not", json_string("no file with O_DIRECT, or no ring"));
    }
    if (cost.fd >= 0)
        close(cost.fd);
    mem_free(cost.buf);
    return object;
}

/* ---------------------------------------------------------------- multishot */

/* An event each time: the descriptor is made readable, the completion comes, it is emptied. */
static int one_event(struct cost *cost)
{
    struct io_uring_cqe *cqe;
    uint64_t value = 1;

    if (write(cost->fd, &value, sizeof(value)) != sizeof(value))
        return -errno;
    int rc = io_uring_wait_cqe(&cost->ring, &cqe);
    if (rc < 0)
        return rc;
    rc = cqe->res < 0 ? cqe->res : 0;
    bool more = cqe->flags & IORING_CQE_F_MORE;
    io_uring_cqe_seen(&cost->ring, cqe);
    if (rc == 0 && read(cost->fd, &value, sizeof(value)) != sizeof(value))
        return -errno;
    return rc < 0 ? rc : (int)more;
}

static int run_repeated(struct cost *cost, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        io_uring_prep_poll_add(io_uring_get_sqe(&cost->ring), cost->fd, POLLIN);
        int rc = io_uring_submit(&cost->ring);
        rc = rc < 0 ? rc : one_event(cost);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int run_multishot(struct cost *cost, uint32_t count)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&cost->ring);

    io_uring_prep_poll_multishot(sqe, cost->fd, POLLIN);
    io_uring_sqe_set_data64(sqe, 1);
    int rc = io_uring_submit(&cost->ring);
    for (uint32_t i = 0; i < count && rc >= 0; i++) {
        rc = one_event(cost);
        if (rc == 0)
            return -EOPNOTSUPP; /* it was answered once: this kernel has no multishot */
    }
    if (rc < 0)
        return rc;
    io_uring_prep_poll_remove(io_uring_get_sqe(&cost->ring), 1);
    io_uring_submit(&cost->ring);
    struct io_uring_cqe *cqe;
    for (unsigned i = 0; i < 2 && io_uring_wait_cqe(&cost->ring, &cqe) == 0; i++)
        io_uring_cqe_seen(&cost->ring, cqe);
    return 0;
}

static json_t *multishot_json(void)
{
    json_t *object = json_object();
    struct cost cost = {.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};

    if (cost.fd < 0)
        return object;
    if (io_uring_queue_init(8, &cost.ring, 0) == 0) {
        measure(object, "poll_repeated_ns", run_repeated, &cost, CALLS);
        measure(object, "poll_multishot_ns", run_multishot, &cost, CALLS);
        io_uring_queue_exit(&cost.ring);
    }
    close(cost.fd);
    return object;
}

/* ---------------------------------------------------------------- all of them */

json_t *ladder_costs(const char *folder)
{
    return json_pack("{s:o,s:o,s:o,s:o}", "calls", calls_json(folder), "ring_sizes", sizes_json(),
                     "links", links_json(folder), "multishot", multishot_json());
}

static void print_line(const char *name, const json_t *object)
{
    const char *why = json_string_value(json_object_get(object, "why_not"));
    const char *key;
    const json_t *value;

    printf("%-11s", name);
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        char ns[16];
        size_t len = strlen(key);
        if (json_is_real(value))
            printf(" %.*s %s;", (int)(len - 3), key, cli_ns((uint64_t)json_real_value(value), ns));
    }
    printf("%s%s\n", why ? " not measured: " : "", why ? why : "");
}

void ladder_costs_print(const json_t *costs)
{
    size_t i;
    const json_t *size;

    printf("what one costs\n");
    print_line("  calls", json_object_get(costs, "calls"));
    print_line("  sync", json_object_get(costs, "links"));
    print_line("  multishot", json_object_get(costs, "multishot"));
    printf("  ring size ");
    json_array_foreach(json_object_get(costs, "ring_sizes"), i, size)
    {
        printf(" %d: %.0f ns;", (int)json_integer_value(json_object_get(size, "entries")),
               json_real_value(json_object_get(size, "nop_ns")));
    }
    printf(" a no-op, the ring filled for each enter\n");
}
