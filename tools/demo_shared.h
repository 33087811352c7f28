/*
 * What `keel demo` and the process it kills have in common: memory that survives the SIGKILL, and
 * the message in which a transaction is acknowledged.
 */
#ifndef KEEL_TOOLS_DEMO_SHARED_H
#define KEEL_TOOLS_DEMO_SHARED_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/hist.h"
#include "tools/demo_layout.h"
#include "tools/path_report.h"

enum demo_state { DEMO_OPENING = 0, DEMO_RUNNING, DEMO_FAILED };

/* One mapping of a memfd. The worker writes; the demo reads state while the worker lives, all the
 * rest after its death. */
struct demo_shared {
    bool shared_namespace; /* before the worker is started */
    _Atomic uint32_t state;
    int32_t error; /* with DEMO_FAILED */
    char error_at[32];

    /* Highest sequence number that each writer has begun: set before the transaction begins. What
     * is found above it was invented. */
    _Atomic uint64_t attempted[DEMO_WRITERS_MAX];

    /* By the worker's main thread, a few times a second. */
    _Atomic uint64_t log_writes, log_syncs, checkpoints;

    struct path_report path; /* before DEMO_RUNNING */
    struct hist latency[DEMO_WRITERS_MAX];
};

/* Down the pipe, after keel_tx_commit returned 0. Smaller than PIPE_BUF, so never mixed. */
struct demo_ack {
    uint32_t writer;
    uint32_t reserved;
    uint64_t seq;
};

#endif
