/*
 * Runs another program to its end and keeps what it printed: how peers are measured.
 */
#ifndef KEEL_BENCH_LIB_PROC_H
#define KEEL_BENCH_LIB_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct proc_output {
    bool missing;    /* there is no such program */
    int exit_status; /* -1: killed by a signal */
    uint64_t cpu_ns; /* user and system time, of the whole process */
    size_t len;
    char
        text[256 * 1024]; /* stdout and stderr together, terminated; what does not fit is dropped */
};

/* argv: NULL-terminated, argv[0] is looked up in PATH. Blocks until it ends. Returns 0 or -errno
 * (then nothing was run); a missing program is 0 with missing set. */
int proc_run(const char *const argv[], struct proc_output *ret);

/* User and system time of this process so far, in ns; of the kernel's threads in its name too. */
uint64_t proc_cpu_ns(void);

/* The last line with something in it, for messages. Written over text. */
const char *proc_last_line(struct proc_output *output);

#endif
