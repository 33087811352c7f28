/*
 * What the running kernel offers of io_uring, asked for directly: each set-up flag by setting up a
 * small ring with it, each operation through IORING_REGISTER_PROBE. Needs no library and changes
 * nothing.
 */
#ifndef KEEL_TOOLS_PROBE_KERNEL_H
#define KEEL_TOOLS_PROBE_KERNEL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define PROBE_OPS_MAX 256

struct probe_kernel {
    char release[96], machine[72];
    int ring_error;      /* 0: a plain ring can be had; else the errno that io_uring_setup gave */
    int disabled_sysctl; /* kernel.io_uring_disabled; -1: there is no such sysctl */
    int seccomp;         /* mode of this process, 0 to 2; -1: not known */
    uint64_t memlock_bytes; /* RLIMIT_MEMLOCK; UINT64_MAX: none */
    uint32_t features, setup_flags;
    unsigned op_count; /* operations that the kernel knows of */
    bool ops[PROBE_OPS_MAX];
};

void probe_kernel_ask(struct probe_kernel *ret);
void probe_kernel_print(const struct probe_kernel *kernel, FILE *out);
json_t *probe_kernel_json(const struct probe_kernel *kernel);

#endif
