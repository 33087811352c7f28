/*
 * What the headers of liburing 2.3 lack and newer kernels have, and what older kernels lack.
 *
 * The only place for such things; it includes <liburing.h> for the two files that use rings.
 */
#ifndef KEEL_IOSCHED_URING_COMPAT_H
#define KEEL_IOSCHED_URING_COMPAT_H

#include <errno.h>
#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef IORING_SETUP_NO_SQARRAY
#define IORING_SETUP_NO_SQARRAY (1U << 16) /* 6.6 */
#endif

/* clang-format off */
/* flag, first kernel: what a ring is set up with where it can be had, oldest first. Any thread may
 * submit and reap on all of them (DEFER_TASKRUN and SINGLE_ISSUER would forbid it). R_DISABLED is
 * asked for where the ring is to be restricted, COOP_TASKRUN, and with it TASKRUN_FLAG, where it is
 * to be cooperative. */
#define URING_SETUP_LADDER(X) \
X(CQSIZE,       "5.5") \
X(CLAMP,        "5.6") \
X(R_DISABLED,   "5.10") \
X(SUBMIT_ALL,   "5.18") \
X(COOP_TASKRUN, "5.19") \
X(NO_SQARRAY,   "6.6")
/* clang-format on */

/* Features without which the method is refused; all of them are in 5.10. */
#define URING_FEATURES_NEEDED \
    (IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE)

#ifndef IORING_SETUP_HYBRID_IOPOLL
#define IORING_SETUP_HYBRID_IOPOLL (1U << 17) /* 6.13; with IOPOLL */
#endif

/* What a ring with a submitting thread needs beside: files that are not in its table (5.11), and no
 * privilege, which came a release later and in stable 5.10 with it. */
#define URING_FEATURES_SQPOLL IORING_FEAT_SQPOLL_NONFIXED

/* Does the kernel have a set-up flag? Asked by setting a small ring up, and closing it. */
static inline bool uring_kernel_has(uint32_t flag)
{
    struct io_uring_params params = {.flags = flag};
    long fd = syscall(SYS_io_uring_setup, 2, &params);

    if (fd >= 0)
        close((int)fd);
    return fd >= 0;
}

/* As io_uring_queue_init_params(), which in liburing 2.3 fills the array of entries also where
 * there is none (NO_SQARRAY): over the ring's counters. Returns 0 or the kernel's -errno. */
static inline int uring_queue_init(unsigned entries, struct io_uring *ring,
                                   struct io_uring_params *params)
{
    long fd = syscall(SYS_io_uring_setup, entries, params);

    if (fd < 0)
        return -errno;
    int rc = io_uring_queue_mmap((int)fd, params, ring);
    if (rc)
        close((int)fd);
    return rc;
}

/* io_uring_register(2): liburing 2.3 declares functions for restrictions and for enabling a ring,
 * and its shared library does not have them. Returns what the kernel does, or -errno. */
static inline int uring_register(int ring_fd, unsigned what, const void *arg, unsigned count)
{
    long rc = syscall(SYS_io_uring_register, ring_fd, what, arg, count);

    return rc < 0 ? -errno : (int)rc;
}

#endif
