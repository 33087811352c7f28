/*
 * The kernel gives an errno and no reason, so the reason is found by exclusion: the sysctl first,
 * which the kernel asks first, then a seccomp filter, then a security module.
 */
#include "tools/probe_blocked.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

#define CAPABILITY(number) ((uint64_t)1 << (number))
#define CAP_IPC_LOCK_BIT   CAPABILITY(14)
#define CAP_SYS_ADMIN_BIT  CAPABILITY(21)

#define SECCOMP_FILTER 2

/* Below this not even a log's buffer can be registered. */
#define MEMLOCK_SMALL_BYTES ((uint64_t)1 << 20)

static bool sysctl_forbids(const struct probe_kernel *kernel)
{
    return kernel->disabled_sysctl == 2 ||
           (kernel->disabled_sysctl == 1 && !(kernel->capabilities & CAP_SYS_ADMIN_BIT));
}

static void because_of_sysctl(const struct probe_kernel *kernel, struct probe_blocked *ret)
{
    if (kernel->disabled_sysctl == 2) {
        snprintf(ret->cause, sizeof(ret->cause), "kernel.io_uring_disabled is 2: for everybody");
        ret->remedy = "sysctl -w kernel.io_uring_disabled=0 (or 1 and a group)";
        return;
    }
    snprintf(ret->cause, sizeof(ret->cause),
             "kernel.io_uring_disabled is 1: only for CAP_SYS_ADMIN and the group %d of "
             "kernel.io_uring_group",
             kernel->group_sysctl);
    ret->remedy = "sysctl -w kernel.io_uring_group=GID of a group that this user is in";
}

static void because_of_seccomp(int error, struct probe_blocked *ret)
{
    snprintf(ret->cause, sizeof(ret->cause),
             "a seccomp filter of this process, as container runtimes set it (%s)",
             strerror(error));
    ret->remedy = "allow io_uring_setup, io_uring_enter and io_uring_register in the container's "
                  "seccomp profile";
}

/* Why a system call of io_uring's gave an error that a working one does not give. */
static void why_denied(const struct probe_kernel *kernel, int error, struct probe_blocked *ret)
{
    bool filtered = kernel->seccomp == SECCOMP_FILTER;

    if (error == EPERM && sysctl_forbids(kernel)) {
        because_of_sysctl(kernel, ret);
    } else if (filtered && (error == EPERM || error == EACCES || error == ENOSYS)) {
        because_of_seccomp(error, ret);
    } else if (error == ENOSYS) {
        snprintf(ret->cause, sizeof(ret->cause), "this kernel was built without it");
        ret->remedy = "a kernel from 5.10 on with CONFIG_IO_URING";
    } else if (error == EPERM || error == EACCES) {
        snprintf(ret->cause, sizeof(ret->cause), "%s, by a security module (%s)", strerror(error),
                 kernel->lsm[0] ? kernel->lsm : "which ones is not known");
        ret->remedy = "allow it in the module's policy, for SELinux the io_uring class";
    } else if (error == ENOMEM) {
        snprintf(ret->cause, sizeof(ret->cause), "no memory, or none within RLIMIT_MEMLOCK");
        ret->remedy = "raise ulimit -l";
    } else {
        snprintf(ret->cause, sizeof(ret->cause), "%s", strerror(error));
        ret->remedy = "see io_uring_setup(2)";
    }
}

static void why_memlock(const struct probe_kernel *kernel, struct probe_blocked *ret)
{
    snprintf(ret->cause, sizeof(ret->cause),
             "RLIMIT_MEMLOCK is %" PRIu64 " KiB: buffers beyond it are not registered",
             kernel->memlock_bytes >> 10);
    ret->remedy = "raise ulimit -l (LimitMEMLOCK= in a unit), or give CAP_IPC_LOCK";
}

size_t probe_blocked_list(const struct probe_kernel *kernel,
                          struct probe_blocked list[PROBE_BLOCKED_MAX])
{
    const struct {
        const char *what;
        int error;
    } calls[] = {
        {"io_uring_setup", kernel->ring_error},
        {"io_uring_enter", kernel->enter_error},
        {"io_uring_register", kernel->register_error},
    };
    size_t count = 0;

    _Static_assert(sizeof(calls) / sizeof(calls[0]) + 1 <= PROBE_BLOCKED_MAX, "there is room");
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        if (calls[i].error == 0)
            continue;
        list[count].what = calls[i].what;
        why_denied(kernel, calls[i].error, &list[count++]);
    }
    if (kernel->memlock_bytes < MEMLOCK_SMALL_BYTES && !(kernel->capabilities & CAP_IPC_LOCK_BIT)) {
        list[count].what = "locked memory";
        why_memlock(kernel, &list[count++]);
    }
    return count;
}
