/*
 * What the headers of liburing 2.3 lack and newer kernels have, and what older kernels lack.
 *
 * The only place for such things; it includes <liburing.h> for the two files that use rings.
 */
#ifndef KEEL_IOSCHED_URING_COMPAT_H
#define KEEL_IOSCHED_URING_COMPAT_H

#include <liburing.h>

/* clang-format off */
/* flag, first kernel: what a ring is set up with where it can be had, oldest first. All of them are
 * plain rings: any thread may submit and reap (DEFER_TASKRUN and SINGLE_ISSUER would forbid it, and
 * COOP_TASKRUN would let a silent thread hold up what it submitted). */
#define URING_SETUP_LADDER(X) \
X(CQSIZE,     "5.5") \
X(CLAMP,      "5.6") \
X(SUBMIT_ALL, "5.18")
/* clang-format on */

/* Features without which the method is refused; all of them are in 5.10. */
#define URING_FEATURES_NEEDED \
    (IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE)

#endif
