/*
 * A disk that becomes slow under load, and whether commits stay bounded there.
 *
 *   lab_throttled DISK SLOW FAST
 *
 * DISK: its content is lost. SLOW and FAST are shell commands that throttle the disk and let it
 * go. One thread makes durable writes of one block, one after the other, as a log does; another
 * keeps DEPTH writes of 128 KiB in flight behind them. The disk is slowed down while both are at
 * work, and from five windows of the scheduler later on a durable write may take what
 * `tail_permille` allows of what it takes on the slow disk alone. The same with the scheduler off
 * must break that bound, or the disk was not slow enough to show anything.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <keel/iosched.h>
#include <keel/sched.h>

#include "base/clock.h"
#include "base/hist.h"
#include "base/prng.h"
#include "iosched/sched.h"
#include "tests/lab/places.h"

#define BLOCK       4096u
#define CHUNK       (128u << 10)
#define DEPTH       8u
#define RANGE_BYTES (64u << 20)
#define WINDOWS     5u
#define MEASURED_NS 3000000000ull

enum phase { FAST_ALONE = 0, FAST_BOTH, SLOW_BOTH, SLOW_OFF, SLOW_ALONE, PHASE_COUNT };

struct test {
    const char *path;
    struct keel_device *device;
    pthread_mutex_t lock; /* of news: something below has changed */
    pthread_cond_t news;
    _Atomic int stop, writes, error;
    _Atomic(struct hist *) counted; /* where durable writes of now are counted, or NULL */
    struct hist seen[PHASE_COUNT];
};

static void set(struct test *test, _Atomic int *place, int value)
{
    pthread_mutex_lock(&test->lock);
    atomic_store(place, value);
    pthread_cond_broadcast(&test->news);
    pthread_mutex_unlock(&test->lock);
}

static void fail(struct test *test, const char *what, int rc)
{
    printf("FAILED: %s: %s, %s\n", what, keel_err_name(rc), keel_err_text(rc));
    atomic_store(&test->error, rc);
    set(test, &test->stop, 1);
}

/* For so long, or until all stops. */
static void go_on_for(struct test *test, uint64_t ns)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    ns += (uint64_t)until.tv_nsec;
    until.tv_sec += (time_t)(ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    pthread_mutex_lock(&test->lock);
    while (!atomic_load(&test->stop) &&
           pthread_cond_timedwait(&test->news, &test->lock, &until) == 0)
        continue;
    pthread_mutex_unlock(&test->lock);
}

static void wait_for_work(struct test *test)
{
    pthread_mutex_lock(&test->lock);
    while (!atomic_load(&test->stop) && !atomic_load(&test->writes))
        pthread_cond_wait(&test->news, &test->lock);
    pthread_mutex_unlock(&test->lock);
}

/* ---------------------------------------------------------------- the load */

/* A thread's context, and memory that its writes are from. */
static int begin(struct test *test, size_t bytes, struct keel_ctx **ctx, struct keel_arena **arena)
{
    int rc = place_ctx_open(test->path, ctx);
    if (!rc)
        rc = keel_arena_create(bytes, arena);
    if (rc)
        fail(test, "a thread's context", rc);
    return rc;
}

static void *durable_main(void *arg)
{
    struct test *test = arg;
    struct keel_ctx *ctx = NULL;
    struct keel_arena *arena = NULL;
    struct keel_io io = {.op = KEEL_OP_WRITE, .flags = KEEL_IO_DSYNC, .cls = KEEL_CLASS_WAL};

    int rc = begin(test, BLOCK, &ctx, &arena);
    if (!rc) {
        io.device = test->device;
        io.arena = arena;
        io.buf = keel_arena_alloc(arena, BLOCK);
        io.len_bytes = BLOCK;
    }
    while (!rc && !atomic_load(&test->stop)) {
        struct hist *counted = atomic_load(&test->counted);
        uint64_t start = clock_now_ns();
        rc = keel_io_submit(ctx, &io);
        if (!rc)
            rc = keel_io_wait(ctx, &io);
        if (counted && counted == atomic_load(&test->counted))
            hist_record(counted, clock_now_ns() - start);
        io.offset_bytes = (io.offset_bytes + BLOCK) % RANGE_BYTES;
    }
    if (rc)
        fail(test, "a durable write", rc);
    keel_ctx_close(ctx);
    keel_arena_destroy(arena);
    return NULL;
}

struct writer {
    struct keel_io ios[DEPTH];
    struct keel_io *idle[DEPTH];
    uint32_t count;
    int rc;
};

static void written(struct keel_io *io)
{
    struct writer *writer = io->user;
    if (io->res)
        writer->rc = io->res;
    writer->idle[writer->count++] = io;
}

static void write_behind(struct test *test, struct keel_ctx *ctx, struct writer *writer)
{
    struct prng prng;
    prng_seed(&prng, 1);
    while (!atomic_load(&test->stop) && !writer->rc) {
        if (!atomic_load(&test->writes) && writer->count == DEPTH) {
            wait_for_work(test);
            continue;
        }
        while (writer->count > 0 && atomic_load(&test->writes) && !writer->rc) {
            struct keel_io *io = writer->idle[--writer->count];
            io->offset_bytes = RANGE_BYTES + prng_u64(&prng) % (RANGE_BYTES / CHUNK) * CHUNK;
            writer->rc = keel_io_submit(ctx, io);
        }
        int got = keel_ctx_poll(ctx, 0, -1);
        if (got < 0)
            writer->rc = got;
    }
}

static void *behind_main(void *arg)
{
    static struct writer writer;
    struct test *test = arg;
    struct keel_ctx *ctx = NULL;
    struct keel_arena *arena = NULL;

    if (begin(test, DEPTH * CHUNK, &ctx, &arena) == 0) {
        for (uint32_t i = 0; i < DEPTH; i++) {
            writer.ios[i] = (struct keel_io){.device = test->device,
                                             .arena = arena,
                                             .buf = keel_arena_alloc(arena, CHUNK),
                                             .len_bytes = CHUNK,
                                             .op = KEEL_OP_WRITE,
                                             .cls = KEEL_CLASS_WRITEBACK,
                                             .done = written,
                                             .user = &writer};
            writer.idle[writer.count++] = &writer.ios[i];
        }
        write_behind(test, ctx, &writer);
        if (writer.rc)
            fail(test, "a write behind", writer.rc);
    }
    keel_ctx_close(ctx); /* what is in flight ends first */
    keel_arena_destroy(arena);
    return NULL;
}

/* ---------------------------------------------------------------- phases */

static bool shell(const char *command)
{
    int status = system(command);
    if (status != 0)
        printf("FAILED: '%s' ended with %d\n", command, status);
    return status == 0;
}

/* The load as it is told, for five windows, and then counted for as long as it says. */
static void run_phase(struct test *test, enum phase phase, bool writes)
{
    set(test, &test->writes, writes);
    go_on_for(test, WINDOWS * SCHED_WINDOW_MAX);
    atomic_store(&test->counted, &test->seen[phase]);
    go_on_for(test, MEASURED_NS);
    atomic_store(&test->counted, NULL);
}

static bool set_mode(struct test *test, enum keel_sched_mode mode)
{
    struct keel_sched_options options = {.size = sizeof(options)};
    keel_sched_get(test->device, &options);
    options.mode = mode;
    int rc = keel_sched_set(test->device, &options);
    if (rc)
        fail(test, "the scheduler's mode", rc);
    return rc == 0;
}

static bool run_phases(struct test *test, const char *slow, const char *fast)
{
    run_phase(test, FAST_ALONE, false);
    run_phase(test, FAST_BOTH, true);
    if (!shell(slow))
        return false;
    run_phase(test, SLOW_BOTH, true);
    if (!set_mode(test, KEEL_SCHED_OFF))
        return false;
    run_phase(test, SLOW_OFF, true);
    if (!set_mode(test, KEEL_SCHED_ADAPTIVE))
        return false;
    run_phase(test, SLOW_ALONE, false);
    return shell(fast);
}

static bool judge(const struct test *test, uint32_t tail_permille)
{
    static const char *const NAMES[PHASE_COUNT] = {"fast, alone", "fast, write-back",
                                                   "slow, write-back", "slow, scheduler off",
                                                   "slow, alone"};
    uint64_t p50[PHASE_COUNT], p99[PHASE_COUNT];
    for (int i = 0; i < PHASE_COUNT; i++) {
        p50[i] = hist_percentile(&test->seen[i], 500);
        p99[i] = hist_percentile(&test->seen[i], 990);
        printf("%-20s %6" PRIu64 " writes, p50 %6" PRIu64 " us, p99 %6" PRIu64 " us\n", NAMES[i],
               hist_count(&test->seen[i]), p50[i] / 1000, p99[i] / 1000);
    }
    uint64_t bound50 = p50[SLOW_ALONE] * tail_permille / 1000;
    uint64_t bound99 = p99[SLOW_ALONE] * tail_permille / 1000;
    printf("bounds: p50 %" PRIu64 " us, p99 %" PRIu64 " us\n", bound50 / 1000, bound99 / 1000);
    bool slow = p50[SLOW_ALONE] > 2 * p50[FAST_ALONE];
    bool broken = p50[SLOW_OFF] > bound50 && p99[SLOW_OFF] > bound99;
    bool kept = p50[SLOW_BOTH] <= bound50 && p99[SLOW_BOTH] <= bound99;
    if (!slow)
        printf("FAILED: the disk did not become slow\n");
    if (!broken)
        printf("FAILED: the bound holds with the scheduler off, so this shows nothing\n");
    if (!kept)
        printf("FAILED: the bound does not hold\n");
    return slow && broken && kept;
}

int main(int argc, char **argv)
{
    static struct test test = {.lock = PTHREAD_MUTEX_INITIALIZER, .news = PTHREAD_COND_INITIALIZER};
    struct keel_ctx *ctx;
    struct keel_sched_options options = {.size = sizeof(options)};
    pthread_t durable, behind;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc != 4) {
        fprintf(stderr, "usage: lab_throttled DISK SLOW FAST\n");
        return 2;
    }
    test.path = argv[1];
    for (int i = 0; i < PHASE_COUNT; i++)
        hist_init(&test.seen[i]);
    int rc = place_ctx_open(test.path, &ctx);
    if (!rc)
        rc = keel_device_open(ctx, test.path, NULL, NULL, &test.device);
    if (rc) {
        fail(&test, "the disk", rc);
        return 1;
    }
    keel_sched_get(test.device, &options);
    if (pthread_create(&durable, NULL, durable_main, &test) != 0 ||
        pthread_create(&behind, NULL, behind_main, &test) != 0)
        return 1;
    bool good = run_phases(&test, argv[2], argv[3]);
    set(&test, &test.stop, 1);
    pthread_join(durable, NULL);
    pthread_join(behind, NULL);
    keel_device_close(test.device);
    keel_ctx_close(ctx);
    good = good && atomic_load(&test.error) == 0 && judge(&test, options.tail_permille);
    printf("%s\n", good ? "the bound holds" : "NOT as promised");
    return !good;
}
