/*
 * liburing as peer of `nop`: the bare loop in this process, one thread per --threads, each filling
 * --batch no-ops, entering once and reaping them all. No latencies: it reads no clock on the way.
 */
#include <liburing.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/assert.h"
#include "base/clock.h"
#include "bench/transfer.h"

struct loop {
    pthread_t id;
    uint32_t batch;
    uint64_t ns;
    uint64_t ops;
    uint64_t cpu_ns;
    int error;
};

static uint64_t thread_cpu_ns(void)
{
    struct rusage usage;

    getrusage(RUSAGE_THREAD, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000u +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000u;
}

static int one_batch(struct io_uring *ring, uint32_t batch)
{
    struct io_uring_cqe *cqe;
    unsigned head, count = 0;

    for (uint32_t i = 0; i < batch; i++) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
        io_uring_prep_nop(sqe);
        io_uring_sqe_set_data64(sqe, i);
    }
    int rc = io_uring_submit_and_wait(ring, batch);
    if (rc < 0)
        return rc;
    io_uring_for_each_cqe(ring, head, cqe)
    {
        if (cqe->res < 0)
            return cqe->res;
        count++;
    }
    io_uring_cq_advance(ring, count);
    return (int)count;
}

static void *loop_main(void *arg)
{
    struct loop *loop = arg;
    struct io_uring ring;

    loop->error = io_uring_queue_init(loop->batch < 8 ? 8 : loop->batch, &ring, 0);
    if (loop->error)
        return NULL;
    uint64_t begin = clock_now_ns(), cpu = thread_cpu_ns(), now = begin;
    while (now - begin < loop->ns) {
        for (unsigned i = 0; i < 256; i++) {
            int rc = one_batch(&ring, loop->batch);
            if (rc < 0)
                loop->error = rc;
            else
                loop->ops += (uint64_t)rc;
        }
        if (loop->error)
            break;
        now = clock_now_ns();
    }
    loop->ns = now - begin;
    loop->cpu_ns = thread_cpu_ns() - cpu;
    io_uring_queue_exit(&ring);
    return NULL;
}

bool peer_liburing_nop(struct bench_run *run, struct bench_series *series)
{
    static struct loop loops[BENCH_THREADS_MAX];
    const struct bench_options *options = run->options;
    struct bench_round *round = &series->rounds[series->count];
    uint64_t ops = 0, cpu_ns = 0;
    double rate = 0;

    for (uint32_t i = 0; i < options->threads; i++) {
        loops[i] = (struct loop){.batch = options->batch, .ns = options->seconds * 1000000000ull};
        int rc = pthread_create(&loops[i].id, NULL, loop_main, &loops[i]);
        KEEL_ASSERT(rc == 0);
    }
    for (uint32_t i = 0; i < options->threads; i++) {
        pthread_join(loops[i].id, NULL);
        if (loops[i].error) {
            snprintf(series->note, sizeof(series->note), "io_uring: %s", strerror(-loops[i].error));
            ops = 0;
            rate = -1;
        } else if (rate >= 0) {
            ops += loops[i].ops;
            cpu_ns += loops[i].cpu_ns;
            rate += (double)loops[i].ops * 1e9 / (double)loops[i].ns;
        }
    }
    if (rate <= 0)
        return false;
    *round = (struct bench_round){.ops_per_s = rate, .cpu_ns_per_op = (double)cpu_ns / (double)ops};
    series->count++;
    snprintf(series->note, sizeof(series->note), "bare loop, batch %u, %u threads", options->batch,
             options->threads);
    return true;
}
