/*
 * The load of `keel demo`: starts the worker process, collects acknowledgements, kills the worker
 * with SIGKILL in the middle, and collects what was still in the pipe.
 */
#ifndef KEEL_TOOLS_DEMO_RUN_H
#define KEEL_TOOLS_DEMO_RUN_H

#include "tools/demo_shared.h"
#include "tools/disk.h"

struct demo_run {
    /* the caller's */
    const char *command, *path;
    uint32_t writers;
    uint32_t load_ms;      /* from when its threads run until it is killed */
    bool shared_namespace; /* keel_options.shared */
    /* Called every few milliseconds while the load runs, with acked as it is then; false ends the
     * load. May be NULL. */
    bool (*turn)(void *arg, const uint64_t acked[DEMO_WRITERS_MAX]);
    void *turn_arg;

    /* results */
    struct demo_shared *shared;       /* the worker's last words; until demo_run_end */
    uint64_t acked[DEMO_WRITERS_MAX]; /* in: before the run; out: highest acknowledged */
    uint64_t acked_total;             /* acknowledged in this run */
    uint64_t load_ns;
    struct disk_counts before, after; /* of the disk, around the load */
    bool killed;                      /* false: it ended by itself */
};

/*
 * Run the load. Blocks. Returns 0 when the worker is dead and everything it acknowledged is known
 * (killed says whether it lived until the kill), or CLI_FAILED after a complaint. Then
 * demo_run_end, in any case.
 */
int demo_run_load(struct demo_run *run);
void demo_run_end(struct demo_run *run);

#endif
