/*
 * The crash proof over many seeds, on all processors: what `keel crash sim` and the test
 * `sim_crash` run.
 *
 * Workers are processes that draw seeds from a shared counter and prove them one by one (proof.h).
 * What they count and where they are lies in memory shared with the caller, so that a worker that
 * dies in an assertion is reported with the seed and event it died at.
 */
#ifndef KEEL_TOOLS_SIM_RUN_H
#define KEEL_TOOLS_SIM_RUN_H

#include "tools/sim/proof.h"

#define SIM_JOBS_MAX       256u
#define SIM_COVERAGE_SEEDS 24u /* fewer seeds than this need not reach every kind */

struct sim_options {
    uint64_t seeds, first; /* how many, from which on */
    uint64_t jobs;         /* processes, 1 to SIM_JOBS_MAX */
    uint64_t seconds;      /* 0: as long as it takes */
    uint64_t event, mode;  /* PROOF_ANY, or only cuts there */
    bool verbose;          /* a line for each seed on stdout */
    /* Called now and then while it runs; may be NULL. */
    void (*show)(uint64_t seeds_begun, uint64_t states);
};

struct sim_report {
    struct coverage sum;
    double seconds;
    bool complete; /* every kind of crash that must be reached was */
    /* the first violation, "" if there is none */
    char violation[512];
    struct progress at; /* where it was */
};

/* Blocks. 0 (violations are in the report), or -errno when it could not run. */
int sim_run(const struct sim_options *options, struct sim_report *ret);

/* One line for each row of coverage. */
void sim_print_coverage(const struct sim_report *report);

#endif
