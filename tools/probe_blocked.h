/*
 * What keeps this process from io_uring or from its registered memory, why, and what to do about
 * it.
 */
#ifndef KEEL_TOOLS_PROBE_BLOCKED_H
#define KEEL_TOOLS_PROBE_BLOCKED_H

#include <stddef.h>

#include "tools/probe_kernel.h"

#define PROBE_BLOCKED_MAX 4

struct probe_blocked {
    const char *what; /* the system call or resource */
    char cause[160];
    const char *remedy;
};

/* Fills in what is blocked, most important first; returns how many, at most PROBE_BLOCKED_MAX. */
size_t probe_blocked_list(const struct probe_kernel *kernel,
                          struct probe_blocked list[PROBE_BLOCKED_MAX]);

#endif
