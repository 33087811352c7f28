/*
 * Blocking committers, asynchronous ones with a context each, and one that only promises, on one
 * log on a real file, for each way of syncing. W1: each answer is checked against the durable LSN;
 * W2: each asynchronous committer sees LSNs in order; nobody hangs. Then the poison of one thread
 * is everybody's (W4). For ThreadSanitizer.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <keel/iosched.h>
#include <keel/wal.h>

#include "tests/support/tmpdir.h"

#define BLOCKING 6
#define ASYNC    3
#define COMMITS  150
#define WINDOW   16

static struct keel_wal *wal;
static struct keel_ctx_options ctx_options = KEEL_CTX_OPTIONS_DEFAULT;
static _Atomic int running;
static _Atomic uint64_t poisoned;

#define CHECK(c)                                                    \
    do {                                                            \
        if (!(c)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #c); \
            exit(1);                                                \
        }                                                           \
    } while (0)

static bool reached(keel_lsn lsn, enum keel_level level)
{
    return level == KEEL_LEVEL_NONE ||
           (level == KEEL_LEVEL_DURABLE ? keel_wal_durable(wal) : keel_wal_written(wal)) >= lsn;
}

/* 0 or KEEL_EPOISON. */
static int append_one(uint32_t len, keel_lsn *ret_end)
{
    static const char bytes[4096] = "a record";
    struct keel_wal_credit credit = {0};
    struct iovec part = {(void *)(uintptr_t)bytes, len};
    struct keel_wal_record record = {&part, 1, 1};
    keel_lsn lsn;
    int rc = keel_wal_credit_take(wal, &credit, keel_wal_credit_bytes(len, 1));

    if (rc == 0)
        rc = keel_wal_append(wal, &credit, keel_wal_mark(wal), &record, 1, &lsn, ret_end);
    keel_wal_credit_put(wal, &credit);
    CHECK(rc == 0 || rc == KEEL_EPOISON);
    return rc;
}

static void *blocking(void *arg)
{
    (void)arg;
    for (uint32_t i = 0; i < COMMITS; i++) {
        keel_lsn end;
        int rc = append_one(64 + i % 1000, &end);

        enum keel_level level = (enum keel_level)(i % 4 == 1 ? 1 + i / 4 % 2 : 0);
        if (rc == 0)
            rc = keel_wal_commit_level(wal, end, level);
        if (rc == KEEL_EPOISON) {
            atomic_fetch_add(&poisoned, 1);
            break;
        }
        CHECK(rc == 0);
        CHECK(reached(end, level));
    }
    return NULL;
}

struct flow {
    struct keel_ctx *ctx;
    struct keel_commit commits[WINDOW];
    uint32_t started, done;
    keel_lsn last;
    int error;
};

static void on_commit(struct keel_commit *commit)
{
    struct flow *flow = commit->user;

    CHECK(commit->lsn >= flow->last);
    flow->last = commit->lsn;
    flow->done++;
    if (commit->res != 0)
        flow->error = commit->res;
    else
        CHECK(reached(commit->lsn, commit->level));
}

static void *asynchronous(void *arg)
{
    struct flow flow = {0};

    (void)arg;
    CHECK(keel_ctx_open(&ctx_options, &flow.ctx) == 0);
    while (flow.error == 0 && flow.started < 4 * COMMITS) {
        struct keel_commit *commit = &flow.commits[flow.started % WINDOW];

        commit->done = on_commit;
        commit->user = &flow;
        commit->level = (enum keel_level)(flow.started % 5 == 2 ? 1 + flow.started / 5 % 2 : 0);
        if (append_one(100 + flow.started % 500, &commit->lsn) != 0)
            break;
        CHECK(keel_wal_commit_async(flow.ctx, wal, commit) == 0);
        flow.started++;
        while (flow.started - flow.done == WINDOW)
            CHECK(keel_ctx_poll(flow.ctx, 0, -1) >= 0);
    }
    if (flow.started % 2 == 0) { /* else closing the context waits */
        while (flow.done != flow.started)
            CHECK(keel_ctx_poll(flow.ctx, 0, -1) >= 0);
    }
    keel_ctx_close(flow.ctx);
    CHECK(flow.done == flow.started);
    return NULL;
}

static void *promiser(void *arg)
{
    (void)arg;
    while (atomic_load(&running)) {
        struct keel_wal_stats stats;

        keel_wal_promise(wal);
        keel_wal_stats(wal, &stats);
        CHECK(stats.durable_lsn <= stats.tail_lsn);
        sched_yield();
    }
    return NULL;
}

static void storm(void (*meanwhile)(void))
{
    pthread_t threads[BLOCKING + ASYNC + 1];
    uint32_t count = 0;

    atomic_store(&running, 1);
    CHECK(pthread_create(&threads[BLOCKING + ASYNC], NULL, promiser, NULL) == 0);
    for (; count < BLOCKING; count++)
        CHECK(pthread_create(&threads[count], NULL, blocking, NULL) == 0);
    for (; count < BLOCKING + ASYNC; count++)
        CHECK(pthread_create(&threads[count], NULL, asynchronous, NULL) == 0);
    if (meanwhile)
        meanwhile();
    for (uint32_t i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    atomic_store(&running, 0);
    pthread_join(threads[BLOCKING + ASYNC], NULL);
}

static void poison_soon(void)
{
    for (uint32_t i = 0; i < 2000; i++)
        sched_yield();
    keel_wal_poison(wal, -EIO);
}

static void run(const struct tmpdir *dir, enum keel_method method, enum keel_sync_method sync)
{
    struct keel_device_options device_options = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct keel_wal_options options = KEEL_WAL_OPTIONS_DEFAULT;
    struct keel_ctx *ctx;
    struct keel_device *device;
    char path[600], name[32];

    ctx_options.method = method;
    int rc = keel_ctx_open(&ctx_options, &ctx);
    if (rc == KEEL_EMETHOD) {
        printf("race wal_commit: io_uring cannot be had here, left out\n");
        return;
    }
    CHECK(rc == 0);
    snprintf(name, sizeof(name), "log-%d-%d", (int)method, (int)sync);
    device_options.create_bytes = 32u << 20;
    CHECK(keel_device_open(ctx, tmpdir_join(dir, name, path, sizeof(path)), &device_options, NULL,
                           &device) == 0);
    options.method = method;
    options.sync = sync;
    options.pipeline_bytes = 8192;
    CHECK(keel_wal_create(ctx, device, &options, NULL) == 0);
    for (uint32_t round = 0; round < 2; round++) {
        CHECK(keel_wal_open(ctx, device, &options, NULL, &wal) == 0);
        CHECK(keel_wal_start(ctx, wal) == 0);
        storm(round == 0 ? NULL : poison_soon);
        rc = keel_wal_close(ctx, wal);
        CHECK(rc == (round == 0 ? 0 : KEEL_EPOISON));
    }
    CHECK(keel_wal_open(ctx, device, &options, NULL, &wal) == 0);
    CHECK(keel_wal_close(ctx, wal) == 0);
    keel_device_close(device);
    keel_ctx_close(ctx);
}

int main(void)
{
    static const enum keel_sync_method methods[] = {KEEL_SYNC_DSYNC, KEEL_SYNC_LINK,
                                                    KEEL_SYNC_FLUSH};
    struct tmpdir dir;

    tmpdir_create(&dir);
    for (uint32_t i = 0; i < 3; i++) {
        run(&dir, KEEL_METHOD_SYNC, methods[i]);
        run(&dir, KEEL_METHOD_URING, methods[i]);
    }
    tmpdir_destroy(&dir);
    printf("race wal_commit: %d blocking, %d asynchronous: ok\n", BLOCKING, ASYNC);
    return 0;
}
