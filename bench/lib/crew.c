/*
 * Two barriers before the load: the first says that everything is open, the second that the
 * counting of allocations has begun. One behind it: counting has ended, closing may begin.
 */
#include "bench/lib/crew.h"

#include <time.h>

#include "base/assert.h"
#include "base/clock.h"
#include "bench/lib/malloc_count.h"
#include "bench/lib/proc.h"

#define WARM_NS       UINT64_C(300000000)
#define LOOK_NS       UINT64_C(50000000) /* between looks whether a thread has failed */
#define NS_PER_SECOND UINT64_C(1000000000)

void bench_crew_init(struct bench_crew *crew, uint32_t threads)
{
    atomic_store(&crew->measuring, 0);
    atomic_store(&crew->stop, 0);
    atomic_store(&crew->error, 0);
    int rc = pthread_barrier_init(&crew->ready, NULL, threads + 1);
    KEEL_ASSERT(rc == 0);
}

int bench_crew_fini(struct bench_crew *crew)
{
    pthread_barrier_destroy(&crew->ready);
    return atomic_load(&crew->error);
}

void bench_crew_begin(struct bench_crew *crew)
{
    pthread_barrier_wait(&crew->ready);
    pthread_barrier_wait(&crew->ready);
}

void bench_crew_end(struct bench_crew *crew, int rc)
{
    int none = 0;

    if (rc)
        atomic_compare_exchange_strong(&crew->error, &none, rc);
    pthread_barrier_wait(&crew->ready);
}

/* Sleep, but wake up soon when a thread has failed. */
static void wait_ns(struct bench_crew *crew, uint64_t ns)
{
    uint64_t deadline = clock_now_ns() + ns;

    for (uint64_t now = clock_now_ns(); now < deadline && !atomic_load(&crew->error);
         now = clock_now_ns()) {
        uint64_t left = deadline - now;
        struct timespec time = {.tv_nsec = (long)(left < LOOK_NS ? left : LOOK_NS)};
        nanosleep(&time, NULL);
    }
}

static void add_readings(struct bench_report *report, const struct bench_reading *a,
                         const struct bench_reading *b)
{
    struct bench_counts *counts = &report->counts;
    struct bench_round *round = &report->ours.rounds[report->ours.count++];
    uint64_t ops = b->ops - a->ops;

    round->ops_per_s = (double)ops * 1e9 / (double)(b->ns - a->ns);
    round->cpu_ns_per_op = ops ? (double)(b->cpu_ns - a->cpu_ns) / (double)ops : -1;
    counts->ops += ops;
    counts->enters += b->enters - a->enters;
    counts->submitted_writes += b->writes - a->writes;
    counts->log_writes += b->log_writes - a->log_writes;
    counts->device_known = a->disk.known && b->disk.known;
    if (counts->device_known) {
        counts->device_reads += b->disk.reads - a->disk.reads;
        counts->device_writes += b->disk.writes - a->disk.writes;
        counts->device_write_bytes += b->disk.write_bytes - a->disk.write_bytes;
        counts->flushes += b->disk.flushes - a->disk.flushes;
    }
}

void bench_crew_measure(struct bench_crew *crew, uint32_t seconds, struct bench_report *report,
                        void (*read)(void *arg, struct bench_reading *ret), void *arg)
{
    struct bench_reading readings[2] = {{0}, {0}};

    pthread_barrier_wait(&crew->ready);
    uint64_t allocations = malloc_count();
    pthread_barrier_wait(&crew->ready);
    for (unsigned i = 0; i < 2; i++) {
        wait_ns(crew, i == 0 ? WARM_NS : seconds * NS_PER_SECOND);
        atomic_store_explicit(&crew->measuring, i == 0, memory_order_relaxed);
        readings[i].cpu_ns = proc_cpu_ns();
        read(arg, &readings[i]);
        disk_counts(&report->disk, &readings[i].disk);
        readings[i].ns = clock_now_ns();
    }
    atomic_store_explicit(&crew->stop, 1, memory_order_relaxed);
    report->counts.allocations += malloc_count() - allocations;
    report->counts.allocation_ops += readings[1].ops;
    pthread_barrier_wait(&crew->ready);
    if (!atomic_load(&crew->error))
        add_readings(report, &readings[0], &readings[1]);
}

void bench_read_store(struct keel_store *store, struct bench_reading *ret)
{
    struct keel_ctx_stats stats;
    struct keel_wal_stats wal;
    struct keel_pagecache_stats cache;

    keel_wal_stats(keel_store_wal(store), &wal);
    keel_pagecache_counters(keel_store_cache(store), &cache);
    keel_ctx_stats(keel_wal_ctx(keel_store_wal(store)), &stats);
    ret->log_writes = wal.writes;
    ret->writes = wal.writes + cache.writes;
    ret->enters = stats.enters;
}
