/*
 * Two followers behind three writers on a small log that goes around many times: one blocks in its
 * own thread, one is in an event loop. Both hold the log (W5): each record comes once, in the order
 * of its writer, with the right bytes, and the writers wait when the followers are slow. One writer
 * commits asynchronously and never polls, so only who waits drives its writes (I6). Then the poison
 * of the log ends the followers too. Meanwhile copies of the log are made and recovered. For
 * ThreadSanitizer.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <keel/iosched.h>
#include <keel/wal.h>

#include "base/clock.h"
#include "tests/support/tmpdir.h"
#include "wal/log.h"

#define WRITERS   3
#define FOLLOWERS 2
#define RECORDS   600u
#define LEN       1200u
#define RING      (256u * 1024u)
#define HANGS_NS  INT64_C(30000000000) /* nothing takes so long: a wake-up was missed */

static struct keel_wal *wal;
static struct keel_ctx *main_ctx;
static struct keel_ctx_options ctx_options = KEEL_CTX_OPTIONS_DEFAULT;
static pthread_mutex_t truncating = PTHREAD_MUTEX_INITIALIZER;

#define CHECK(c)                                                    \
    do {                                                            \
        if (!(c)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #c); \
            exit(1);                                                \
        }                                                           \
    } while (0)

struct record {
    uint32_t writer, number;
    uint8_t bytes[LEN];
};

static uint8_t byte_of(const struct record *record, uint32_t at)
{
    return (uint8_t)(record->writer * 77 + record->number * 5 + at);
}

/* ---------------------------------------------------------------- writers */

/* The log is full: give back what recovery does not need. The followers decide whether it helps. */
static void truncate_log(struct keel_ctx *ctx)
{
    pthread_mutex_lock(&truncating);
    keel_lsn cut = keel_wal_cut(wal);
    CHECK(keel_wal_commit(wal, cut) == 0);
    CHECK(keel_wal_truncate(ctx, wal, cut) == 0);
    pthread_mutex_unlock(&truncating);
    sched_yield();
}

static keel_lsn append(struct keel_ctx *ctx, struct record *record)
{
    struct keel_wal_credit credit = {0};
    struct iovec part = {record, sizeof(*record)};
    struct keel_wal_record one = {&part, 1, 1};
    keel_lsn lsn, end = 0;
    int rc;

    for (uint32_t i = 0; i < LEN; i++)
        record->bytes[i] = byte_of(record, i);
    uint64_t need = keel_wal_credit_bytes(sizeof(*record), 1);
    while ((rc = keel_wal_credit_take(wal, &credit, need)) == KEEL_ELOGFULL)
        truncate_log(ctx);
    CHECK(rc == 0);
    do
        rc = keel_wal_append(wal, &credit, keel_wal_mark(wal), &one, 1, &lsn, &end);
    while (rc == KEEL_ESTALE);
    CHECK(rc == 0);
    keel_wal_credit_put(wal, &credit);
    return end;
}

static void on_commit(struct keel_commit *commit)
{
    CHECK(commit->res == 0);
    if (commit->user)
        *(bool *)commit->user = true;
}

static void *writer(void *arg)
{
    struct record record = {.writer = (uint32_t)(uintptr_t)arg};
    static struct keel_commit commits[RECORDS];
    struct keel_ctx *ctx;
    bool silent = record.writer == 0;

    CHECK(keel_ctx_open(&ctx_options, &ctx) == 0);
    for (record.number = 1; record.number <= RECORDS; record.number++) {
        keel_lsn end = append(ctx, &record);
        if (!silent) {
            CHECK(keel_wal_commit(wal, end) == 0);
            continue;
        }
        struct keel_commit *commit = &commits[record.number - 1];
        *commit = (struct keel_commit){.lsn = end, .done = on_commit};
        CHECK(keel_wal_commit_async(ctx, wal, commit) == 0);
    }
    keel_ctx_close(ctx); /* waits for the answers */
    return NULL;
}

/* ---------------------------------------------------------------- followers */

struct follower {
    bool blocks;
    struct keel_ctx *ctx;
    keel_lsn from;
    struct keel_wal_holder *holder;
    struct keel_wal_reader *reader;
    uint32_t last[WRITERS];
    uint32_t records;
    uint32_t waits;
};

static void take_record(struct follower *follower, const struct keel_wal_entry *entry)
{
    struct record record;

    CHECK(entry->len == sizeof(record) && entry->last);
    memcpy(&record, entry->data, sizeof(record));
    CHECK(record.writer < WRITERS);
    CHECK(record.number == ++follower->last[record.writer]);
    for (uint32_t i = 0; i < LEN; i++)
        CHECK(record.bytes[i] == byte_of(&record, i));
    CHECK(keel_wal_durable(wal) >= entry->end_lsn);
    CHECK(keel_wal_hold_move(follower->holder, entry->end_lsn) == 0);
    follower->records++;
}

/* 1: there is more; or KEEL_EPOISON. */
static int wait_for_more(struct follower *follower)
{
    int64_t timeout_ns = follower->blocks ? HANGS_NS : 0;
    uint64_t begun = clock_now_ns();
    int rc;

    follower->waits++;
    while ((rc = keel_wal_reader_wait(follower->reader, timeout_ns)) == KEEL_PENDING)
        CHECK(keel_ctx_poll(follower->ctx, 0, HANGS_NS) >= 0);
    CHECK(clock_now_ns() - begun < (uint64_t)HANGS_NS);
    return rc;
}

static void follow(struct follower *follower, uint32_t records)
{
    struct keel_wal_entry entry;
    int rc;

    while (follower->records < records) {
        while ((rc = keel_wal_reader_next(follower->reader, &entry)) == 1)
            take_record(follower, &entry);
        CHECK(rc == 0);
        if (follower->records < records)
            CHECK(wait_for_more(follower) == 1);
    }
}

static _Atomic int caught_up;

static void *follower_run(void *arg)
{
    struct follower *follower = arg;
    struct keel_wal_entry entry;

    CHECK(keel_ctx_open(&ctx_options, &follower->ctx) == 0);
    CHECK(keel_wal_reader_open(follower->ctx, wal, follower->from, NULL, &follower->reader) == 0);
    follow(follower, WRITERS * RECORDS);
    CHECK(keel_wal_reader_wait(follower->reader, 1000000) == KEEL_PENDING || !follower->blocks);
    atomic_fetch_add(&caught_up, 1);

    int rc;
    while ((rc = wait_for_more(follower)) == 1)
        CHECK(keel_wal_reader_next(follower->reader, &entry) == 0);
    CHECK(rc == KEEL_EPOISON);
    keel_wal_reader_close(follower->reader);
    keel_wal_hold_end(follower->holder);
    keel_ctx_close(follower->ctx);
    return NULL;
}

/* ---------------------------------------------------------------- copies */

struct seen {
    uint32_t last[WRITERS];
    uint32_t records;
};

static int see(void *arg, const struct keel_wal_entry *entry)
{
    struct seen *seen = arg;
    struct record record;

    CHECK(entry->len == sizeof(record));
    memcpy(&record, entry->data, sizeof(record));
    CHECK(record.writer < WRITERS);
    CHECK(seen->last[record.writer] == 0 || record.number == seen->last[record.writer] + 1);
    seen->last[record.writer] = record.number;
    seen->records++;
    for (uint32_t i = 0; i < LEN; i++)
        CHECK(record.bytes[i] == byte_of(&record, i));
    return 0;
}

/* A copy beside the writers: it recovers, to at least what was durable before, without a gap. */
static uint32_t copy_once(const char *path)
{
    struct keel_device_options device_options = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct keel_wal_options options = KEEL_WAL_OPTIONS_DEFAULT;
    struct keel_device *device;
    struct keel_wal *copy;
    struct seen seen = {0};
    keel_lsn durable = keel_wal_durable(wal), end;

    CHECK(keel_wal_copy(main_ctx, wal, path, 0, NULL, &end) == 0);
    CHECK(end >= durable);
    CHECK(keel_device_open(main_ctx, path, &device_options, NULL, &device) == 0);
    options.read_only = true;
    CHECK(keel_wal_open(main_ctx, device, &options, NULL, &copy) == 0);
    CHECK(keel_wal_report(copy)->end_lsn == end && keel_wal_report(copy)->clean);
    CHECK(keel_wal_replay(main_ctx, copy, 0, see, &seen) == 0);
    CHECK(keel_wal_close(main_ctx, copy) == 0);
    keel_device_close(device);
    CHECK(keel_path_unlink(main_ctx, path) == 0);
    return seen.records;
}

/* ---------------------------------------------------------------- program */

static void hold(struct follower *follower, const char *name)
{
    struct keel_wal_hold_options options = KEEL_WAL_HOLD_OPTIONS_DEFAULT;

    follower->from = keel_wal_durable(wal);
    options.lsn = follower->from;
    options.name = name;
    options.beyond = KEEL_WAL_WAIT;
    CHECK(keel_wal_hold(wal, &options, &follower->holder) == 0);
}

static void storm(const char *copy_path)
{
    pthread_t threads[WRITERS + FOLLOWERS];
    struct follower followers[FOLLOWERS] = {{.blocks = true}, {.blocks = false}};

    hold(&followers[0], "blocks");
    hold(&followers[1], "loop");
    atomic_store(&caught_up, 0);
    for (uint32_t i = 0; i < FOLLOWERS; i++)
        CHECK(pthread_create(&threads[WRITERS + i], NULL, follower_run, &followers[i]) == 0);
    for (uint32_t i = 0; i < WRITERS; i++)
        CHECK(pthread_create(&threads[i], NULL, writer, (void *)(uintptr_t)i) == 0);
    uint32_t copies = 0, copied = 0;
    for (; atomic_load(&caught_up) < FOLLOWERS; copies++)
        copied += copy_once(copy_path);
    for (uint32_t i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    keel_wal_poison(wal, -EIO);
    for (uint32_t i = 0; i < FOLLOWERS; i++)
        pthread_join(threads[WRITERS + i], NULL);
    printf("race wal_follow: %u records to each, waits %u and %u, %u copies with %u records\n",
           followers[0].records, followers[0].waits, followers[1].waits, copies, copied);
}

static void *follow_one(void *arg)
{
    struct follower *follower = arg;

    CHECK(keel_ctx_open(&ctx_options, &follower->ctx) == 0);
    CHECK(keel_wal_reader_open(follower->ctx, wal, follower->from, NULL, &follower->reader) == 0);
    follow(follower, 1);
    keel_wal_reader_close(follower->reader);
    keel_ctx_close(follower->ctx);
    return NULL;
}

/* While the follower sleeps, a thread submits and falls silent: its context is not polled, and
 * nobody else writes (I6). */
static void silent_submitter(void)
{
    struct follower follower = {.blocks = true};
    struct record record = {.writer = 1, .number = 1};
    bool answered = false;
    struct keel_commit commit = {.done = on_commit, .user = &answered};

    pthread_t thread;

    hold(&follower, "silent");
    CHECK(pthread_create(&thread, NULL, follow_one, &follower) == 0);
    while (atomic_load(&wal->tail_sleepers) == 0)
        sched_yield();
    commit.lsn = append(main_ctx, &record);
    CHECK(keel_wal_commit_async(main_ctx, wal, &commit) == 0);
    pthread_join(thread, NULL);
    keel_wal_hold_end(follower.holder);
    while (!answered)
        CHECK(keel_ctx_poll(main_ctx, 0, -1) >= 0);
}

static void run(const struct tmpdir *dir, enum keel_method method, enum keel_sync_method sync)
{
    struct keel_device_options device_options = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct keel_wal_options options = KEEL_WAL_OPTIONS_DEFAULT;
    struct keel_device *device;
    char path[600], name[32];

    ctx_options.method = method;
    int rc = keel_ctx_open(&ctx_options, &main_ctx);
    if (rc == KEEL_EMETHOD) {
        printf("race wal_follow: io_uring cannot be had here, left out\n");
        return;
    }
    CHECK(rc == 0);
    snprintf(name, sizeof(name), "log-%d-%d", (int)method, (int)sync);
    device_options.create_bytes = RING + 4 * 4096;
    CHECK(keel_device_open(main_ctx, tmpdir_join(dir, name, path, sizeof(path)), &device_options,
                           NULL, &device) == 0);
    options.method = method;
    options.sync = sync;
    options.batch_bytes_max = 16384;
    options.buffer_bytes = 65536;
    options.pipeline_bytes = 8192;
    CHECK(keel_wal_create(main_ctx, device, &options, NULL) == 0);
    CHECK(keel_wal_open(main_ctx, device, &options, NULL, &wal) == 0);
    CHECK(keel_wal_start(main_ctx, wal) == 0);
    silent_submitter();
    CHECK(keel_wal_truncate(main_ctx, wal, keel_wal_durable(wal)) == 0);
    storm(tmpdir_join(dir, "copy", path, sizeof(path)));
    CHECK(keel_wal_close(main_ctx, wal) == KEEL_EPOISON);
    keel_device_close(device);
    keel_ctx_close(main_ctx);
}

int main(void)
{
    struct tmpdir dir;

    tmpdir_create(&dir);
    run(&dir, KEEL_METHOD_SYNC, KEEL_SYNC_DSYNC);
    run(&dir, KEEL_METHOD_URING, KEEL_SYNC_DSYNC);
    run(&dir, KEEL_METHOD_URING, KEEL_SYNC_FLUSH);
    tmpdir_destroy(&dir);
    printf("race wal_follow: ok\n");
    return 0;
}
