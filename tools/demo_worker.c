/*
 * The process that `keel demo` kills: N threads that commit transactions as fast as they can, until
 * SIGKILL. It never ends by itself but for a failure.
 *
 * Per transaction: attempted[] is raised in shared memory, the transaction runs, and after
 * keel_tx_commit has returned, and not before, the acknowledgement goes down the pipe. Should the
 * demo die first, the kernel kills this process too.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <keel/keel.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tools/cli.h"
#include "tools/commands.h"
#include "tools/demo_shared.h"

#define WATCH_NS  (20 * 1000 * 1000)
#define PATH_TURN 10

struct worker {
    struct demo_shared *shared;
    struct keel_store *store;
    struct demo_map map;
    enum keel_method method;
    int pipe;
    uint32_t writers;
    pthread_barrier_t ready; /* threads have their contexts and may begin */
};

struct thread {
    struct worker *worker;
    uint32_t index;
    pthread_t id;
    struct keel_ctx *ctx;
    struct demo_writer writer;
};

/* First failure wins; the demo sees it and stops waiting. */
static void report_failure(struct demo_shared *shared, const char *at, int rc)
{
    static _Atomic int once;
    if (atomic_exchange(&once, 1))
        return;
    shared->error = rc;
    snprintf(shared->error_at, sizeof(shared->error_at), "%s", at);
    /* release: pairs with the demo's acquire load of state; error and error_at come first */
    atomic_store_explicit(&shared->state, DEMO_FAILED, memory_order_release);
}

static int acknowledge(const struct worker *worker, uint32_t writer, uint64_t seq)
{
    struct demo_ack ack = {.writer = writer, .seq = seq};
    ssize_t len;
    do {
        len = write(worker->pipe, &ack, sizeof(ack));
    } while (len < 0 && errno == EINTR);
    return len == (ssize_t)sizeof(ack) ? 0 : -EPIPE;
}

static int run_one(struct thread *thread)
{
    struct demo_shared *shared = thread->worker->shared;
    struct demo_writer *writer = &thread->writer;
    int rc = demo_writer_room(writer);
    if (rc)
        return rc;

    uint64_t seq = writer->seq + 1;
    atomic_store(&shared->attempted[thread->index], seq);
    uint64_t begin = clock_now_ns();
    rc = demo_writer_commit(writer);
    if (rc)
        return rc;
    hist_record(&shared->latency[thread->index], clock_now_ns() - begin);
    return acknowledge(thread->worker, thread->index, seq);
}

static void *thread_main(void *arg)
{
    struct thread *thread = arg;
    struct worker *worker = thread->worker;
    const char *at = "keel_ctx_open";
    int rc = cli_ctx_open(worker->method, &thread->ctx);
    if (!rc) {
        at = "reading the slot page";
        rc = demo_writer_load(&thread->writer, thread->ctx, worker->store, &worker->map,
                              thread->index);
    }
    pthread_barrier_wait(&worker->ready);
    while (!rc) {
        at = "transaction";
        rc = run_one(thread);
    }
    report_failure(worker->shared, at, rc);
    return NULL;
}

static int start_threads(struct worker *worker, struct thread *threads)
{
    int rc = pthread_barrier_init(&worker->ready, NULL, worker->writers + 1);
    if (rc)
        return -rc;
    for (uint32_t i = 0; i < worker->writers; i++) {
        threads[i] = (struct thread){.worker = worker, .index = i};
        hist_init(&worker->shared->latency[i]);
        rc = pthread_create(&threads[i].id, NULL, thread_main, &threads[i]);
        if (rc)
            return -rc;
    }
    return 0;
}

/* Keep the counters in shared memory fresh until the end comes. The path is told once more after a
 * while: buffers are registered at their first use. */
static void watch(struct worker *worker, struct keel_ctx *ctx)
{
    struct demo_shared *shared = worker->shared;
    struct timespec pause = {.tv_nsec = WATCH_NS};
    for (int turn = 0; atomic_load(&shared->state) != DEMO_FAILED; turn++) {
        if (turn == PATH_TURN) {
            struct path_report path;
            path_report_fill(&path, ctx, keel_store_wal(worker->store));
            shared->path = path;
        }
        struct keel_wal_stats stats;
        struct keel_store_info info;
        keel_wal_stats(keel_store_wal(worker->store), &stats);
        keel_store_info(worker->store, &info);
        atomic_store(&shared->log_writes, stats.writes);
        atomic_store(&shared->log_syncs, stats.syncs);
        atomic_store(&shared->checkpoints, info.checkpoints);
        nanosleep(&pause, NULL);
    }
}

static int run(struct worker *worker, const char *path)
{
    struct keel_options options = demo_options(path);
    struct keel_ctx *ctx;
    const char *at = "keel_ctx_open";
    worker->method = options.method;
    options.shared = worker->shared->shared_namespace;
    int rc = cli_ctx_open(options.method, &ctx);
    if (rc)
        goto fail;
    at = "keel_open";
    rc = keel_open(ctx, path, &options, NULL, &worker->store);
    if (rc)
        goto fail;
    at = "reading the demo's pages";
    rc = demo_map_load(ctx, worker->store, &worker->map);
    if (rc)
        goto fail;

    at = "starting threads";
    struct thread *threads = mem_alloc(worker->writers * sizeof(*threads));
    rc = threads ? start_threads(worker, threads) : -ENOMEM;
    if (rc)
        goto fail;
    pthread_barrier_wait(&worker->ready);
    path_report_fill(&worker->shared->path, ctx, keel_store_wal(worker->store));
    uint32_t opening = DEMO_OPENING;
    /* release: pairs with the demo's acquire load of state; path comes first */
    atomic_compare_exchange_strong_explicit(&worker->shared->state, &opening, DEMO_RUNNING,
                                            memory_order_release, memory_order_relaxed);
    watch(worker, ctx);
    return CLI_FAILED;
fail:
    report_failure(worker->shared, at, rc);
    return CLI_FAILED;
}

int demo_worker_main(int argc, const char **argv)
{
    if (argc != 5)
        return cli_usage("keel", "%s is started by keel demo alone", DEMO_WORKER_NAME);
    prctl(PR_SET_PDEATHSIG, SIGKILL);

    struct worker worker = {.writers = (uint32_t)atoi(argv[2]), .pipe = atoi(argv[4])};
    if (worker.writers < 1 || worker.writers > DEMO_WRITERS_MAX)
        return cli_usage("keel", "%s is started by keel demo alone", DEMO_WORKER_NAME);
    worker.shared =
        mmap(NULL, sizeof(*worker.shared), PROT_READ | PROT_WRITE, MAP_SHARED, atoi(argv[3]), 0);
    if (worker.shared == MAP_FAILED)
        return cli_fail(argv[0], "shared memory: %s", strerror(errno));

    /* The process ends here whatever its threads still do. */
    _exit(run(&worker, argv[1]));
}
