/*
 * What the files of the job `ladder` share: a load, and the rungs that carry it.
 */
#ifndef KEEL_BENCH_LADDER_H
#define KEEL_BENCH_LADDER_H

#include <jansson.h>

#include "bench/job.h"

#define LADDER_WHY_BYTES 200

/* Random reads of one size. */
struct ladder_load {
    const struct bench_options *options;
    char path[600];
    int fd;           /* O_DIRECT, for reading */
    uint64_t blocks;  /* of options->bs_bytes */
    uint8_t *buffers; /* one for each of options->depth */
    uint64_t ns;      /* how long */
};

/* What one round of a rung did. */
struct ladder_round {
    uint64_t ops, ns, calls; /* calls: system calls that hand over or wait */
    struct hist latency;
};

/* What a ring of a rung has. */
enum {
    RUNG_BATCH = 1u << 0,
    RUNG_FIXED = 1u << 1,
    RUNG_IOPOLL = 1u << 2,
    RUNG_PASSTHROUGH = 1u << 3,
    RUNG_SQPOLL = 1u << 4,
};

/* Each runs the load once. False when it cannot: why says the reason. */
bool ladder_pread(const struct ladder_load *load, struct ladder_round *round,
                  char why[LADDER_WHY_BYTES]);
bool ladder_libaio(const struct ladder_load *load, struct ladder_round *round,
                   char why[LADDER_WHY_BYTES]);
bool ladder_uring(const struct ladder_load *load, unsigned has, struct ladder_round *round,
                  char why[LADDER_WHY_BYTES]);

/* Where a command of NVMe's own goes: the character device of the namespace at path. */
struct ladder_nvme {
    int fd;
    uint32_t nsid;
    uint32_t lba_shift;
};
bool ladder_nvme_open(const char *path, struct ladder_nvme *ret, char why[LADDER_WHY_BYTES]);

/* What a system call, an enter, a ring's size, a link and a multishot request cost, as an object.
 * folder: for a file to write to, or "". Takes about two seconds. NULL when out of memory. */
json_t *ladder_costs(const char *folder);
void ladder_costs_print(const json_t *costs);

/* Helpers. */
bool ladder_fail(char why[LADDER_WHY_BYTES], const char *what, int error);

#endif
