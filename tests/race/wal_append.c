/*
 * Many threads append groups of all sizes to one log on a real file, while one moves the mark, one
 * truncates and one kicks; then the log is opened again and every group that was not cut off is
 * there, whole, and in order for each thread. For ThreadSanitizer.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <keel/iosched.h>
#include <keel/wal.h>

#include "base/endian.h"
#include "tests/support/tmpdir.h"

#define THREADS 6
#define GROUPS  600
#define BYTES   9000

static struct keel_wal *wal;
static _Atomic int running;
static uint64_t seen[THREADS];
static uint32_t index_next;

#define CHECK(c)                                                    \
    do {                                                            \
        if (!(c)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #c); \
            exit(1);                                                \
        }                                                           \
    } while (0)

static void append_group(uint32_t thread, uint32_t number, uint8_t *bytes)
{
    struct keel_wal_credit credit = {0};
    struct keel_wal_record records[3];
    struct iovec parts[3];
    uint32_t count = 1 + number % 3;
    uint32_t len = 16 + (number * 2654435761u >> 8) % (BYTES / 3 - 16);
    keel_lsn lsn, end;
    int rc;

    for (uint32_t i = 0; i < count; i++) {
        uint8_t *at = bytes + i * (BYTES / 3);
        memset(at, (int)(thread * 16 + number + i), len);
        store_le32(at, thread);
        store_le32(at + 4, number);
        store_le32(at + 8, i);
        parts[i] = (struct iovec){at, len};
        records[i] = (struct keel_wal_record){&parts[i], 1, 1};
    }
    while ((rc = keel_wal_credit_take(wal, &credit, keel_wal_credit_bytes(count * len, count))) ==
           KEEL_ELOGFULL)
        sched_yield();
    CHECK(rc == 0);
    do {
        rc = keel_wal_append(wal, &credit, keel_wal_mark(wal), records, count, &lsn, &end);
    } while (rc == KEEL_ESTALE);
    CHECK(rc == 0);
    keel_wal_credit_put(wal, &credit);
    if (number % 50 == 49)
        CHECK(keel_wal_commit(wal, end) == 0);
}

static void *appender(void *arg)
{
    uint32_t thread = (uint32_t)(uintptr_t)arg;
    uint8_t *bytes = malloc(BYTES);

    CHECK(bytes);
    for (uint32_t i = 0; i < GROUPS; i++)
        append_group(thread, i, bytes);
    free(bytes);
    return NULL;
}

static void *truncator(void *arg)
{
    const struct keel_ctx_options *options = arg;
    struct keel_ctx *ctx;

    CHECK(keel_ctx_open(options, &ctx) == 0);
    while (atomic_load(&running)) {
        struct keel_wal_stats stats;

        keel_wal_stats(wal, &stats);
        if (stats.free_bytes < stats.ring_bytes / 2) {
            keel_lsn redo = keel_wal_cut(wal);

            CHECK(keel_wal_commit(wal, redo) == 0);
            CHECK(keel_wal_truncate(ctx, wal, redo) == 0);
        } else {
            keel_wal_cut(wal);
        }
        keel_wal_kick(wal);
        keel_wal_promise(wal);
        sched_yield();
    }
    keel_ctx_close(ctx);
    return NULL;
}

static int each(void *arg, const struct keel_wal_entry *entry)
{
    const uint8_t *data = entry->data;
    uint32_t thread = load_le32(data), number = load_le32(data + 4), i = load_le32(data + 8);

    (void)arg;
    CHECK(thread < THREADS && number < GROUPS);
    CHECK(i == index_next);
    CHECK(seen[thread] == 0 || i > 0 || seen[thread] == number); /* number + 1 of the one before */
    for (uint32_t b = 12; b < entry->len; b++)
        CHECK(data[b] == (uint8_t)(thread * 16 + number + i));
    index_next = entry->last ? 0 : i + 1;
    if (entry->last)
        seen[thread] = number + 1;
    return 0;
}

static void run(const struct tmpdir *dir, enum keel_method method, const char *name)
{
    struct keel_ctx_options ctx_options = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_device_options device_options = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct keel_wal_options options = KEEL_WAL_OPTIONS_DEFAULT;
    struct keel_ctx *ctx;
    struct keel_device *device;
    pthread_t threads[THREADS + 1];
    char path[600];

    ctx_options.method = method;
    int rc = keel_ctx_open(&ctx_options, &ctx);
    if (rc == KEEL_EMETHOD) {
        printf("race wal_append: %s cannot be had here, left out\n", name);
        return;
    }
    CHECK(rc == 0);
    device_options.create_bytes = 4u << 20;
    CHECK(keel_device_open(ctx, tmpdir_join(dir, name, path, sizeof(path)), &device_options, NULL,
                           &device) == 0);
    options.method = method;
    options.buffer_bytes = 128u << 10; /* small, so that appenders wait for room */
    options.batch_bytes_max = 32u << 10;
    CHECK(keel_wal_create(ctx, device, &options, NULL) == 0);
    CHECK(keel_wal_open(ctx, device, &options, NULL, &wal) == 0);
    CHECK(keel_wal_start(ctx, wal) == 0);

    atomic_store(&running, 1);
    CHECK(pthread_create(&threads[THREADS], NULL, truncator, &ctx_options) == 0);
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, appender, (void *)i) == 0);
    for (uint32_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    atomic_store(&running, 0);
    pthread_join(threads[THREADS], NULL);
    CHECK(keel_wal_close(ctx, wal) == 0);

    memset(seen, 0, sizeof(seen));
    CHECK(keel_wal_open(ctx, device, &options, NULL, &wal) == 0);
    CHECK(keel_wal_report(wal)->clean);
    CHECK(keel_wal_replay(ctx, wal, 0, each, NULL) == 0);
    for (uint32_t i = 0; i < THREADS; i++)
        CHECK(seen[i] == GROUPS || seen[i] == 0);
    CHECK(keel_wal_close(ctx, wal) == 0);
    keel_device_close(device);
    keel_ctx_close(ctx);
}

int main(void)
{
    struct tmpdir dir;

    tmpdir_create(&dir);
    run(&dir, KEEL_METHOD_SYNC, "sync");
    run(&dir, KEEL_METHOD_URING, "uring");
    tmpdir_destroy(&dir);
    printf("race wal_append: %d threads, %d groups each: ok\n", THREADS, GROUPS);
    return 0;
}
