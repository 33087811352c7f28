/*
 * The monotonic clock.
 */
#include "base/clock.h"

#include <time.h>

#include "base/assert.h"

__attribute__((hot)) uint64_t clock_now_ns(void)
{
    struct timespec now;
    int rc = clock_gettime(CLOCK_MONOTONIC, &now);

    KEEL_ASSERT(rc == 0);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
