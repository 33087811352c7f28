/*
 * Raw system calls on purpose: the answer must be the kernel's, not a library's.
 */
#include "tools/probe_kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <linux/io_uring.h>

#include "base/assert.h"
#include "tools/probe_tables.h"

struct row {
    const char *name;
    uint32_t value;
    const char *min_kernel;
};

#define ROW(name, value, kernel) {name, value, kernel},
static const struct row OPS[] = {PROBE_OPS(ROW)};
static const struct row SETUP_FLAGS[] = {PROBE_SETUP_FLAGS(ROW)};
static const struct row FEATURES[] = {PROBE_FEATURES(ROW)};
#undef ROW
#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

/* A flag that is refused alone, with the flags it wants beside it. */
static const struct {
    const char *name, *companions[2];
} COMPANIONS[] = {
    {"SQ_AFF", {"SQPOLL", NULL}},
    {"TASKRUN_FLAG", {"COOP_TASKRUN", NULL}},
    {"DEFER_TASKRUN", {"SINGLE_ISSUER", NULL}},
    {"REGISTERED_FD_ONLY", {"NO_MMAP", NULL}},
    {"HYBRID_IOPOLL", {"IOPOLL", NULL}},
    {"SQ_REWIND", {"NO_SQARRAY", NULL}},
};

static uint32_t flag_of(const char *name)
{
    for (size_t i = 0; i < COUNT(SETUP_FLAGS); i++) {
        if (strcmp(SETUP_FLAGS[i].name, name) == 0)
            return SETUP_FLAGS[i].value;
    }
    KEEL_UNREACHABLE();
}

static int setup(uint32_t flags, int wq_fd, struct io_uring_params *params)
{
    *params = (struct io_uring_params){
        .flags = flags, .cq_entries = 16, .sq_thread_idle = 1, .wq_fd = (uint32_t)wq_fd};
    return (int)syscall(__NR_io_uring_setup, 4, params);
}

/* Only EINVAL says that a flag is not known; NO_MMAP answers EFAULT, because no memory is given. */
static bool flag_known(const struct row *row, int plain_fd)
{
    struct io_uring_params params;
    uint32_t flags = row->value;
    for (size_t i = 0; i < COUNT(COMPANIONS); i++) {
        if (strcmp(COMPANIONS[i].name, row->name) != 0)
            continue;
        for (int j = 0; j < 2 && COMPANIONS[i].companions[j]; j++)
            flags |= flag_of(COMPANIONS[i].companions[j]);
    }
    int fd = setup(flags, plain_fd, &params);
    if (fd >= 0)
        close(fd);
    return fd >= 0 || errno != EINVAL;
}

static void ask_ops(struct probe_kernel *ret, int fd)
{
    union {
        struct io_uring_probe head;
        char room[sizeof(struct io_uring_probe) + PROBE_OPS_MAX * sizeof(struct io_uring_probe_op)];
    } probe;
    memset(&probe, 0, sizeof(probe));
    if (syscall(__NR_io_uring_register, fd, IORING_REGISTER_PROBE, &probe, PROBE_OPS_MAX))
        return;
    const struct io_uring_probe_op *ops =
        (const struct io_uring_probe_op *)(const void *)(probe.room + sizeof(probe.head));
    for (unsigned i = 0; i < probe.head.ops_len; i++) {
        ret->ops[ops[i].op] = ops[i].flags & IO_URING_OP_SUPPORTED;
        ret->op_count += ret->ops[ops[i].op];
    }
}

static void ask_limits(struct probe_kernel *ret)
{
    struct rlimit limit;
    ret->memlock_bytes = UINT64_MAX;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        ret->memlock_bytes = limit.rlim_cur;

    ret->disabled_sysctl = -1;
    FILE *file = fopen("/proc/sys/kernel/io_uring_disabled", "re");
    if (file) {
        if (fscanf(file, "%d", &ret->disabled_sysctl) != 1)
            ret->disabled_sysctl = -1;
        fclose(file);
    }
    ret->seccomp = -1;
    file = fopen("/proc/self/status", "re");
    if (file) {
        char line[256];
        while (fgets(line, sizeof(line), file)) {
            if (sscanf(line, "Seccomp: %d", &ret->seccomp) == 1)
                break;
        }
        fclose(file);
    }
}

void probe_kernel_ask(struct probe_kernel *ret)
{
    *ret = (struct probe_kernel){0};
    struct utsname uts;
    if (uname(&uts) == 0) {
        snprintf(ret->release, sizeof(ret->release), "%s", uts.release);
        snprintf(ret->machine, sizeof(ret->machine), "%s", uts.machine);
    }
    ask_limits(ret);

    struct io_uring_params params;
    int fd = setup(0, -1, &params);
    if (fd < 0) {
        ret->ring_error = errno;
        return;
    }
    ret->features = params.features;
    ask_ops(ret, fd);
    for (size_t i = 0; i < COUNT(SETUP_FLAGS); i++) {
        if (flag_known(&SETUP_FLAGS[i], fd))
            ret->setup_flags |= SETUP_FLAGS[i].value;
    }
    close(fd);
}

static void print_missing(const char *what, const struct row *rows, size_t count, uint32_t have,
                          FILE *out)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        found += (have & rows[i].value) != 0;
    fprintf(out, "  %-14s %zu of the %zu known", what, found, count);
    const char *separator = "; missing: ";
    for (size_t i = 0; i < count; i++) {
        if (have & rows[i].value)
            continue;
        fprintf(out, "%s%s (%s)", separator, rows[i].name, rows[i].min_kernel);
        separator = ", ";
    }
    fputc('\n', out);
}

static void print_ops(const struct probe_kernel *kernel, FILE *out)
{
    fprintf(out, "  %-14s %u", "operations", kernel->op_count);
    const char *separator = "; missing: ";
    for (size_t i = 0; i < COUNT(OPS); i++) {
        if (kernel->ops[OPS[i].value])
            continue;
        fprintf(out, "%s%s (%s)", separator, OPS[i].name, OPS[i].min_kernel);
        separator = ", ";
    }
    fputc('\n', out);
}

void probe_kernel_print(const struct probe_kernel *kernel, FILE *out)
{
    fprintf(out, "kernel\n  %-14s Linux %s %s\n", "release", kernel->release, kernel->machine);
    if (kernel->ring_error)
        fprintf(out, "  %-14s not to be had: %s (kernel.io_uring_disabled %d, seccomp mode %d)\n",
                "io_uring", strerror(kernel->ring_error), kernel->disabled_sysctl, kernel->seccomp);
    else
        fprintf(out, "  %-14s available\n", "io_uring");
    if (kernel->memlock_bytes == UINT64_MAX)
        fprintf(out, "  %-14s no limit\n", "locked memory");
    else
        fprintf(out, "  %-14s %" PRIu64 " KiB (ulimit -l)\n", "locked memory",
                kernel->memlock_bytes >> 10);
    if (kernel->ring_error)
        return;
    print_ops(kernel, out);
    print_missing("set-up flags", SETUP_FLAGS, COUNT(SETUP_FLAGS), kernel->setup_flags, out);
    print_missing("features", FEATURES, COUNT(FEATURES), kernel->features, out);
}

static json_t *row_json(const struct row *row, bool have)
{
    return json_pack("{s:s,s:I,s:s,s:b}", "name", row->name, "value", (json_int_t)row->value,
                     "min_kernel", row->min_kernel, "supported", (int)have);
}

static json_t *rows_json(const struct row *rows, size_t count, uint32_t have)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, row_json(&rows[i], have & rows[i].value));
    return array;
}

json_t *probe_kernel_json(const struct probe_kernel *kernel)
{
    json_t *ops = json_array();
    for (size_t i = 0; i < COUNT(OPS); i++)
        json_array_append_new(ops, row_json(&OPS[i], kernel->ops[OPS[i].value]));
    json_t *memlock = kernel->memlock_bytes == UINT64_MAX
                          ? json_null()
                          : json_integer((json_int_t)kernel->memlock_bytes);
    return json_pack("{s:s,s:s,s:{s:b,s:s?,s:i,s:i},s:{s:o},s:o,s:o,s:o}", "release",
                     kernel->release, "machine", kernel->machine, "io_uring", "available",
                     kernel->ring_error == 0, "error",
                     kernel->ring_error ? strerror(kernel->ring_error) : NULL, "disabled_sysctl",
                     kernel->disabled_sysctl, "seccomp", kernel->seccomp, "limits", "memlock_bytes",
                     memlock, "operations", ops, "setup_flags",
                     rows_json(SETUP_FLAGS, COUNT(SETUP_FLAGS), kernel->setup_flags), "features",
                     rows_json(FEATURES, COUNT(FEATURES), kernel->features));
}
