/*
 * What the running kernel offers of io_uring, asked for directly: each set-up flag by setting up a
 * small ring with it, each operation through IORING_REGISTER_PROBE, the rest through
 * IORING_REGISTER_QUERY where the kernel has that (6.18). Needs no library and changes nothing.
 *
 * What there could be, and since when, is the table of surface.h; why there is nothing, and what to
 * do, is probe_blocked.h.
 */
#ifndef KEEL_TOOLS_PROBE_KERNEL_H
#define KEEL_TOOLS_PROBE_KERNEL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define PROBE_OPS_MAX 256

/* Answer of IO_URING_QUERY_OPCODES: struct io_uring_query_opcode, which older headers lack. Newer
 * kernels may answer more, older ones less (the rest stays 0). */
struct probe_query {
    uint32_t request_count, register_count;
    uint64_t features, setup_flags, enter_flags, sqe_flags;
    uint32_t query_count, reserved;
};

struct probe_kernel {
    char release[96], machine[72];

    /* who may, and how much */
    int disabled_sysctl;    /* kernel.io_uring_disabled; -1: there is no such sysctl */
    int group_sysctl;       /* kernel.io_uring_group; -1: none */
    int seccomp;            /* mode of this process, 0 to 2; -1: not known */
    uint64_t capabilities;  /* effective ones */
    char lsm[128];          /* security modules in force, "" when not known */
    uint64_t memlock_bytes; /* RLIMIT_MEMLOCK; UINT64_MAX: none */
    uint64_t nofile;        /* RLIMIT_NOFILE bounds registered files too */

    /* what there is */
    int ring_error;  /* 0: a plain ring can be had; else the errno that io_uring_setup gave */
    int enter_error; /* the same of io_uring_enter and io_uring_register, with that ring */
    int register_error;
    uint32_t sq_entries_max, cq_entries_max; /* 0: not known */
    uint32_t features, setup_flags;
    unsigned op_count; /* operations that the kernel knows of */
    bool ops[PROBE_OPS_MAX];
    bool query_known;
    struct probe_query query;
};

void probe_kernel_ask(struct probe_kernel *ret);
void probe_kernel_print(const struct probe_kernel *kernel, FILE *out);
json_t *probe_kernel_json(const struct probe_kernel *kernel);

#endif
