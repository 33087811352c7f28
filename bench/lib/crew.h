/*
 * A crew: threads that run a load while the main thread measures it.
 *
 * The sequence of a thread: open what it needs, bench_crew_begin, work while bench_crew_running,
 * bench_crew_end. The main thread: bench_crew_init, start the threads, bench_crew_measure, join
 * them, bench_crew_fini. Between begin and end everything is open, so nothing of opening, warming
 * up or stopping is in the figures (but for allocations, which are counted from begin to end).
 */
#ifndef KEEL_BENCH_LIB_CREW_H
#define KEEL_BENCH_LIB_CREW_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/job.h"

struct bench_crew {
    pthread_barrier_t ready;
    /* relaxed but for error: hints, the barrier orders */
    _Atomic int measuring, stop;
    _Atomic int error; /* the first one of any thread */
};

/* A reading of every counter. The job's callback sets the first four, 0 where it has none. */
struct bench_reading {
    uint64_t ops, enters, writes, log_writes;
    uint64_t ns, cpu_ns;
    struct disk_counts disk;
};

void bench_crew_init(struct bench_crew *crew, uint32_t threads);
/* Every thread has ended. Returns the first error of any, or 0. */
int bench_crew_fini(struct bench_crew *crew);

/* Everything of this thread is open, or could not be. Waits for all of them. */
void bench_crew_begin(struct bench_crew *crew);
/* rc: 0 or why this thread could not go on, which ends the measuring soon. Waits for all of them.
 */
void bench_crew_end(struct bench_crew *crew, int rc);

static inline bool bench_crew_running(const struct bench_crew *crew)
{
    return !atomic_load_explicit(&crew->stop, memory_order_relaxed);
}

/* Does what begins now count? */
static inline bool bench_crew_measuring(const struct bench_crew *crew)
{
    return atomic_load_explicit(&crew->measuring, memory_order_relaxed) != 0;
}

/* Warm up, measure for so many seconds, stop. One round is added to report->ours and to
 * report->counts, unless a thread failed. read: in this thread, twice, while the load runs. */
void bench_crew_measure(struct bench_crew *crew, uint32_t seconds, struct bench_report *report,
                        void (*read)(void *arg, struct bench_reading *ret), void *arg);

/* For such a callback: what the store's log and page cache have written, and the enters of the
 * log's context. */
void bench_read_store(struct keel_store *store, struct bench_reading *ret);

#endif
