/*
 * Raw system calls on purpose: the answer must be the kernel's, not a library's.
 */
#include "tools/probe_kernel.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <linux/io_uring.h>

#include "base/assert.h"
#include "tools/surface.h"

/* Newer than the oldest headers that keel builds with. */
#define REGISTER_QUERY 35u
#define QUERY_OPCODES  0u

/* struct io_uring_query_hdr */
struct query_head {
    uint64_t next, data;
    uint32_t op, size;
    int32_t result;
    uint32_t reserved[3];
};

_Static_assert(sizeof(struct query_head) == 40, "as tools/surface/structures.def has it");
_Static_assert(sizeof(struct probe_query) == 48, "as tools/surface/structures.def has it");

/* A flag that is refused alone, and the flag that it wants beside it. */
static const struct {
    const char *name, *companion;
} COMPANIONS[] = {
    {"IORING_SETUP_SQ_AFF", "IORING_SETUP_SQPOLL"},
    {"IORING_SETUP_TASKRUN_FLAG", "IORING_SETUP_COOP_TASKRUN"},
    {"IORING_SETUP_DEFER_TASKRUN", "IORING_SETUP_SINGLE_ISSUER"},
    {"IORING_SETUP_REGISTERED_FD_ONLY", "IORING_SETUP_NO_MMAP"},
    {"IORING_SETUP_HYBRID_IOPOLL", "IORING_SETUP_IOPOLL"},
    {"IORING_SETUP_SQ_REWIND", "IORING_SETUP_NO_SQARRAY"},
};

static uint32_t flag_of(const char *name)
{
    for (size_t i = 0; i < surface_flag_count; i++) {
        if (strcmp(surface_flags[i].name, name) == 0)
            return (uint32_t)surface_flags[i].value;
    }
    KEEL_UNREACHABLE();
}

static uint32_t with_companion(const struct surface_flag *flag)
{
    for (size_t i = 0; i < sizeof(COMPANIONS) / sizeof(COMPANIONS[0]); i++) {
        if (strcmp(COMPANIONS[i].name, flag->name) == 0)
            return (uint32_t)flag->value | flag_of(COMPANIONS[i].companion);
    }
    return (uint32_t)flag->value;
}

static int setup(uint32_t entries, struct io_uring_params *params)
{
    return (int)syscall(__NR_io_uring_setup, entries, params);
}

/* Only EINVAL says that a flag is not known; NO_MMAP answers EFAULT, because no memory is given. */
static bool flag_known(const struct surface_flag *flag, int plain_fd)
{
    struct io_uring_params params = {.flags = with_companion(flag),
                                     .cq_entries = 16,
                                     .sq_thread_idle = 1,
                                     .wq_fd = (uint32_t)plain_fd};

    int fd = setup(4, &params);
    int error = errno;
    if (fd >= 0)
        close(fd);
    return fd >= 0 || error != EINVAL;
}

/* ------------------------------------------------------------- asking */

static void ask_ops(struct probe_kernel *ret, int fd)
{
    union {
        struct io_uring_probe head;
        char room[sizeof(struct io_uring_probe) + PROBE_OPS_MAX * sizeof(struct io_uring_probe_op)];
    } probe;

    memset(&probe, 0, sizeof(probe));
    if (syscall(__NR_io_uring_register, fd, IORING_REGISTER_PROBE, &probe, PROBE_OPS_MAX)) {
        ret->register_error = errno;
        return;
    }
    const struct io_uring_probe_op *ops =
        (const struct io_uring_probe_op *)(const void *)(probe.room + sizeof(probe.head));
    for (unsigned i = 0; i < probe.head.ops_len; i++) {
        ret->ops[ops[i].op] = ops[i].flags & IO_URING_OP_SUPPORTED;
        ret->op_count += ret->ops[ops[i].op];
    }
}

static void ask_query(struct probe_kernel *ret)
{
    struct query_head head = {
        .data = (uintptr_t)&ret->query, .op = QUERY_OPCODES, .size = sizeof(ret->query)};

    ret->query_known = syscall(__NR_io_uring_register, -1, REGISTER_QUERY, &head, 0) == 0 &&
                       head.result == 0 && ret->query.request_count > 0;
}

static void ask_entries(struct probe_kernel *ret)
{
    struct io_uring_params params = {.flags = IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE,
                                     .cq_entries = 1u << 30};

    int fd = setup(1u << 30, &params);
    if (fd < 0)
        return;
    ret->sq_entries_max = params.sq_entries;
    ret->cq_entries_max = params.cq_entries;
    close(fd);
}

static int number_in(const char *path)
{
    int value = -1;

    FILE *file = fopen(path, "re");
    if (!file)
        return -1;
    if (fscanf(file, "%d", &value) != 1)
        value = -1;
    fclose(file);
    return value;
}

static void ask_status(struct probe_kernel *ret)
{
    char line[256];

    ret->seccomp = -1;
    FILE *file = fopen("/proc/self/status", "re");
    while (file && fgets(line, sizeof(line), file)) {
        unsigned long long bits;
        if (sscanf(line, "CapEff: %llx", &bits) == 1)
            ret->capabilities = bits;
        if (sscanf(line, "Seccomp: %d", &ret->seccomp) == 1)
            break;
    }
    if (file)
        fclose(file);

    file = fopen("/sys/kernel/security/lsm", "re");
    if (file && !fgets(ret->lsm, sizeof(ret->lsm), file))
        ret->lsm[0] = '\0';
    ret->lsm[strcspn(ret->lsm, "\n")] = '\0';
    if (file)
        fclose(file);
}

static uint64_t limit_of(int resource)
{
    struct rlimit limit;

    if (getrlimit((__rlimit_resource_t)resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return UINT64_MAX;
    return limit.rlim_cur;
}

static void ask_permission(struct probe_kernel *ret)
{
    struct utsname uts;

    if (uname(&uts) == 0) {
        snprintf(ret->release, sizeof(ret->release), "%s", uts.release);
        snprintf(ret->machine, sizeof(ret->machine), "%s", uts.machine);
    }
    ret->disabled_sysctl = number_in("/proc/sys/kernel/io_uring_disabled");
    ret->group_sysctl = number_in("/proc/sys/kernel/io_uring_group");
    ret->memlock_bytes = limit_of(RLIMIT_MEMLOCK);
    ret->nofile = limit_of(RLIMIT_NOFILE);
    ask_status(ret);
}

void probe_kernel_ask(struct probe_kernel *ret)
{
    struct io_uring_params params = {0};

    *ret = (struct probe_kernel){0};
    ask_permission(ret);
    int fd = setup(4, &params);
    if (fd < 0) {
        ret->ring_error = errno;
        return;
    }
    ret->features = params.features;
    if (syscall(__NR_io_uring_enter, fd, 0, 0, 0, NULL, 0) < 0)
        ret->enter_error = errno;
    ask_ops(ret, fd);
    ask_query(ret);
    ask_entries(ret);
    for (size_t i = 0; i < surface_flag_count; i++) {
        if (surface_flags[i].kind == SURFACE_SETUP && flag_known(&surface_flags[i], fd))
            ret->setup_flags |= (uint32_t)surface_flags[i].value;
    }
    close(fd);
}
