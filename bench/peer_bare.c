/*
 * The bare peer: group commit without an engine. No pages, no transactions, no recovery: threads
 * copy a record with header and checksum into a buffer under a mutex; one of them becomes leader,
 * turns what is there into 4 KiB blocks with checksums, writes and syncs them with one system call
 * pair, and wakes the rest. One write in flight. What keel does beside this is the price of the
 * engine.
 *
 * The leader first lets as many come as had come last time, for at most GATHER_NS: without that,
 * batches alternate between one and all.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "base/hist.h"
#include "base/mem.h"
#include "bench/peer.h"

#define FILE_BYTES    (64ull << 20)
#define BUFFER_BYTES  (256u * 1024)
#define BLOCK_BYTES   4096u
#define BLOCK_HEADER  32u
#define RECORD_HEADER 16u
#define GATHER_NS     30000
#define WARM_NS       (200 * 1000 * 1000)

struct bare {
    int fd;
    enum keel_sync_method sync;
    uint32_t record_bytes;
    _Atomic int stop;

    pthread_mutex_t mutex;
    pthread_cond_t durable_moved;
    /* under mutex */
    bool writing;
    int error;
    uint32_t waiting, waiting_last; /* commits in the open buffer, in the last batch */
    uint64_t appended, durable;     /* commits */
    uint64_t offset;                /* of the next block in the file */
    uint32_t fill;                  /* bytes in the open buffer */
    unsigned char *open;            /* payload as it comes */
    /* the leader's */
    unsigned char *closed, *blocks;
};

struct bare_thread {
    struct bare *bare;
    pthread_t id;
    _Atomic uint64_t ops;
    _Atomic int measured;
    struct hist hist;
};

/* Blocks out of payload. Returns bytes to write. */
static uint32_t make_blocks(struct bare *bare, uint32_t fill)
{
    uint32_t payload = BLOCK_BYTES - BLOCK_HEADER, bytes = 0;
    for (uint32_t at = 0; at < fill; at += payload) {
        uint32_t used = fill - at < payload ? fill - at : payload;
        unsigned char *block = bare->blocks + bytes;
        memset(block, 0, BLOCK_HEADER);
        memcpy(block + BLOCK_HEADER, bare->closed + at, used);
        memset(block + BLOCK_HEADER + used, 0, payload - used);
        uint32_t crc = crc32c(0, block, BLOCK_BYTES);
        memcpy(block, &crc, sizeof(crc));
        bytes += BLOCK_BYTES;
    }
    return bytes;
}

static int write_blocks(struct bare *bare, uint32_t bytes)
{
    if (bare->offset + bytes > FILE_BYTES)
        bare->offset = 0;
    struct iovec part = {.iov_base = bare->blocks, .iov_len = bytes};
    int flags = bare->sync == KEEL_SYNC_DSYNC ? RWF_DSYNC : 0;
    ssize_t len = pwritev2(bare->fd, &part, 1, (off_t)bare->offset, flags);
    if (len != (ssize_t)bytes)
        return len < 0 ? errno : EIO;
    bare->offset += bytes;
    if (bare->sync == KEEL_SYNC_DSYNC || bare->sync == KEEL_SYNC_NONE)
        return 0;
    return fdatasync(bare->fd) ? errno : 0;
}

/* Under the mutex; leaves it meanwhile. Only one leader at a time, so `closed`, `blocks` and
 * `offset` are its own. */
static void lead(struct bare *bare)
{
    bare->writing = true;
    if (bare->waiting_last > 1) {
        uint64_t deadline = clock_now_ns() + GATHER_NS;
        while (bare->waiting < bare->waiting_last && clock_now_ns() < deadline) {
            pthread_mutex_unlock(&bare->mutex);
            sched_yield();
            pthread_mutex_lock(&bare->mutex);
        }
    }
    unsigned char *swap = bare->closed;
    bare->closed = bare->open;
    bare->open = swap;
    uint32_t fill = bare->fill;
    uint64_t end = bare->appended;
    bare->waiting_last = bare->waiting;
    bare->waiting = 0;
    bare->fill = 0;
    pthread_mutex_unlock(&bare->mutex);

    int error = write_blocks(bare, make_blocks(bare, fill));

    pthread_mutex_lock(&bare->mutex);
    bare->writing = false;
    bare->error = bare->error ? bare->error : error;
    bare->durable = end;
    pthread_cond_broadcast(&bare->durable_moved);
}

static int commit(struct bare *bare, const unsigned char *record)
{
    uint32_t bytes = (RECORD_HEADER + bare->record_bytes + 7) & ~7u;
    uint32_t crc = crc32c(0, record, bare->record_bytes);
    pthread_mutex_lock(&bare->mutex);
    while (bare->fill + bytes > BUFFER_BYTES && !bare->error) {
        if (bare->writing)
            pthread_cond_wait(&bare->durable_moved, &bare->mutex);
        else
            lead(bare);
    }
    unsigned char *at = bare->open + bare->fill;
    memset(at, 0, RECORD_HEADER);
    memcpy(at, &crc, sizeof(crc));
    memcpy(at + RECORD_HEADER, record, bare->record_bytes);
    bare->fill += bytes;
    bare->waiting++;
    uint64_t mine = ++bare->appended;
    while (bare->durable < mine && !bare->error) {
        if (bare->writing)
            pthread_cond_wait(&bare->durable_moved, &bare->mutex);
        else
            lead(bare);
    }
    int error = bare->error;
    pthread_mutex_unlock(&bare->mutex);
    return error;
}

static void *thread_main(void *arg)
{
    struct bare_thread *thread = arg;
    struct bare *bare = thread->bare;
    unsigned char *record = mem_alloc(bare->record_bytes);
    while (record && !atomic_load(&bare->stop)) {
        bool measured = atomic_load(&thread->measured);
        uint64_t begin = clock_now_ns();
        record[0]++;
        if (commit(bare, record))
            break;
        if (measured)
            hist_record(&thread->hist, clock_now_ns() - begin);
        atomic_fetch_add(&thread->ops, 1);
    }
    mem_free(record);
    return NULL;
}

static uint64_t ops_of(struct bare_thread *threads, uint32_t count)
{
    uint64_t ops = 0;
    for (uint32_t i = 0; i < count; i++)
        ops += atomic_load(&threads[i].ops);
    return ops;
}

static double cpu_ns(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e9 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e3;
}

static void pause_ns(uint64_t ns)
{
    struct timespec time = {.tv_sec = (time_t)(ns / 1000000000u),
                            .tv_nsec = (long)(ns % 1000000000u)};
    while (nanosleep(&time, &time) && errno == EINTR)
        ;
}

static void measure(const struct peer_job *job, struct bare_thread *threads, uint32_t count,
                    struct bench_round *round)
{
    pause_ns(WARM_NS);
    for (uint32_t i = 0; i < count; i++)
        atomic_store(&threads[i].measured, 1);
    uint64_t ops = ops_of(threads, count), begin = clock_now_ns();
    double cpu = cpu_ns();
    pause_ns(job->seconds * 1000000000ull);
    double ns = (double)(clock_now_ns() - begin);
    ops = ops_of(threads, count) - ops;
    round->ops_per_s = (double)ops * 1e9 / ns;
    round->cpu_ns_per_op = ops ? (cpu_ns() - cpu) / (double)ops : -1;
}

static int run_threads(const struct peer_job *job, struct bare *bare, struct bench_round *round)
{
    struct bare_thread *threads = mem_alloc(job->threads * sizeof(*threads));
    static struct hist all;
    uint32_t started = 0;
    if (!threads)
        return ENOMEM;
    while (started < job->threads) {
        threads[started].bare = bare;
        hist_init(&threads[started].hist);
        int rc = pthread_create(&threads[started].id, NULL, thread_main, &threads[started]);
        if (rc) {
            bare->error = rc;
            break;
        }
        started++;
    }
    if (started == job->threads)
        measure(job, threads, started, round);
    atomic_store(&bare->stop, 1);
    hist_init(&all);
    for (uint32_t i = 0; i < started; i++) {
        pthread_join(threads[i].id, NULL);
        hist_merge(&all, &threads[i].hist);
    }
    round->lat = bench_lat_of(&all);
    mem_free(threads);
    return bare->error;
}

static int run(const struct peer_job *job, struct bench_round *round)
{
    char file[600];
    struct bare bare = {.sync = job->sync, .record_bytes = job->record_bytes, .fd = -1};
    uint32_t blocks = BUFFER_BYTES / (BLOCK_BYTES - BLOCK_HEADER) + 1;
    snprintf(file, sizeof(file), "%s/bare.data", job->folder);
    int rc = access(file, F_OK) ? -bench_file_create(file, FILE_BYTES) : 0;
    if (rc)
        return rc < 4096 ? rc : EIO;

    pthread_mutex_init(&bare.mutex, NULL);
    pthread_cond_init(&bare.durable_moved, NULL);
    bare.open = mem_alloc(BUFFER_BYTES);
    bare.closed = mem_alloc(BUFFER_BYTES);
    bare.blocks = mem_alloc_aligned(BLOCK_BYTES, (size_t)blocks * BLOCK_BYTES);
    bare.fd = open(file, O_RDWR | O_DIRECT | O_CLOEXEC);
    if (!bare.open || !bare.closed || !bare.blocks)
        rc = ENOMEM;
    else if (bare.fd < 0)
        rc = errno;
    else
        rc = run_threads(job, &bare, round);
    if (bare.fd >= 0)
        close(bare.fd);
    mem_free(bare.open);
    mem_free(bare.closed);
    mem_free(bare.blocks);
    pthread_cond_destroy(&bare.durable_moved);
    pthread_mutex_destroy(&bare.mutex);
    return rc;
}

bool peer_bare_commit(struct bench_run *bench, struct bench_series *series)
{
    struct peer_job job = peer_job_of(bench);

    KEEL_ASSERT(series->count < BENCH_ROUNDS_MAX);
    int error = job.record_bytes + RECORD_HEADER + 8 > BUFFER_BYTES
                    ? E2BIG
                    : run(&job, &series->rounds[series->count]);
    if (error) {
        snprintf(series->note, sizeof(series->note), "%.190s", strerror(error));
        return false;
    }
    series->count++;
    snprintf(series->note, sizeof(series->note),
             "mutex, leader and followers, pwritev2%s, gather of %d us; no pages, no recovery",
             job.sync == KEEL_SYNC_DSYNC  ? " RWF_DSYNC"
             : job.sync == KEEL_SYNC_NONE ? ""
                                          : " and fdatasync",
             GATHER_NS / 1000);
    return true;
}
