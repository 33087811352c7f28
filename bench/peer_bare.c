/*
 * The bare peer: the best group commit we know, without an engine. No pages, no transactions, no
 * recovery, one write in flight, one mutex. What keel does beside this is the price of the engine.
 *
 *   commit    copy the record, with header and checksum, into the open buffer; then lead or follow
 *   lead      close the buffer, make 4 KiB blocks with checksums of it, write and sync them with
 *             one system call (two where the disk wants a flush), wake everybody with one more
 *   follow    sleep until a leader is through
 *
 * The gather is keel's (docs/adr/0028): those who were answered are expected back, the last of
 * them to come leads, and the first to come sleeps for at most a sixth of what a write has taken
 * lately, in case some do not come.
 *
 * Progress: who sleeps without a limit sees a leader or a gatherer at work under the mutex, and
 * each of those wakes everybody or hands over; a gatherer sleeps with a limit.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "base/hist.h"
#include "base/lock.h"
#include "base/mem.h"
#include "bench/lib/crew.h"
#include "bench/peer.h"

#define FILE_BYTES    (64ull << 20)
#define BUFFER_BYTES  (256u * 1024)
#define BLOCK_BYTES   4096u
#define BLOCK_HEADER  32u
#define BLOCK_PAYLOAD (BLOCK_BYTES - BLOCK_HEADER)
#define RECORD_HEADER 16u
#define GATHER_SHARE  6
#define GATHER_NS_MIN 10000

struct bare {
    /* constant */
    int fd;
    enum keel_sync_method sync;
    uint32_t record_bytes;
    struct bare_thread *threads;
    uint32_t thread_count;

    _Atomic uint64_t durable; /* commits */
    _Atomic int error;
    _Atomic uint32_t woken; /* futex: a leader is through */

    pthread_mutex_t mutex;
    /* under mutex */
    bool writing, gathering;
    uint64_t appended;   /* commits in a buffer, ever */
    uint64_t goal;       /* so many, and nobody else is expected */
    uint64_t last_batch; /* commits */
    int64_t write_ns;    /* lately */
    uint32_t fill;       /* bytes in the open buffer */
    unsigned char *open; /* payload as it comes */
    /* the leader's */
    uint64_t offset; /* of the next block in the file */
    unsigned char *closed, *blocks;

    struct bench_crew crew;
};

struct bare_thread {
    struct bare *bare;
    pthread_t id;
    _Atomic uint64_t ops;
    struct hist hist;
};

/* ---------------------------------------------------------------- leading */

/* Blocks out of payload. Returns bytes to write. */
static uint32_t make_blocks(struct bare *bare, uint32_t fill)
{
    uint32_t bytes = 0;

    for (uint32_t at = 0; at < fill; at += BLOCK_PAYLOAD) {
        uint32_t used = fill - at < BLOCK_PAYLOAD ? fill - at : BLOCK_PAYLOAD;
        unsigned char *block = bare->blocks + bytes;

        memset(block, 0, BLOCK_HEADER);
        memcpy(block + BLOCK_HEADER, bare->closed + at, used);
        memset(block + BLOCK_HEADER + used, 0, BLOCK_PAYLOAD - used);
        uint32_t crc = crc32c(0, block, BLOCK_BYTES);
        memcpy(block, &crc, sizeof(crc));
        bytes += BLOCK_BYTES;
    }
    return bytes;
}

static int write_blocks(struct bare *bare, uint32_t bytes)
{
    struct iovec part = {.iov_base = bare->blocks, .iov_len = bytes};
    int flags = bare->sync == KEEL_SYNC_DSYNC ? RWF_DSYNC : 0;

    if (bare->offset + bytes > FILE_BYTES)
        bare->offset = 0;
    ssize_t len = pwritev2(bare->fd, &part, 1, (off_t)bare->offset, flags);
    if (len != (ssize_t)bytes)
        return len < 0 ? errno : EIO;
    bare->offset += bytes;
    if (bare->sync == KEEL_SYNC_DSYNC || bare->sync == KEEL_SYNC_NONE)
        return 0;
    return fdatasync(bare->fd) ? errno : 0;
}

/* Under the mutex; leaves it meanwhile, for writing and for waking. `writing` keeps others out. */
static void lead(struct bare *bare)
{
    unsigned char *swap = bare->closed;
    uint32_t fill = bare->fill;
    uint64_t end = bare->appended;

    KEEL_ASSERT(!bare->writing);
    bare->writing = true;
    bare->gathering = false;
    bare->closed = bare->open;
    bare->open = swap;
    bare->last_batch = end - atomic_load(&bare->durable);
    bare->fill = 0;
    pthread_mutex_unlock(&bare->mutex);

    uint64_t begin = clock_now_ns();
    int error = write_blocks(bare, make_blocks(bare, fill));
    int64_t took = (int64_t)(clock_now_ns() - begin);

    pthread_mutex_lock(&bare->mutex);
    bare->writing = false;
    bare->write_ns += (took - bare->write_ns) / 8;
    bare->goal = bare->appended + bare->last_batch;
    if (error)
        atomic_store(&bare->error, error);
    else
        atomic_store(&bare->durable, end);
    pthread_mutex_unlock(&bare->mutex); /* which those who wake up will want */
    atomic_fetch_add(&bare->woken, 1);
    futex_wake(&bare->woken, INT32_MAX);
    pthread_mutex_lock(&bare->mutex);
}

/* ---------------------------------------------------------------- a commit */

static bool answered(const struct bare *bare, uint64_t mine)
{
    return atomic_load(&bare->durable) >= mine || atomic_load(&bare->error) != 0;
}

/* Sleep until a leader is through, or for so long; under the mutex, which is left meanwhile. */
static void sleep_on(struct bare *bare, uint64_t mine, int64_t timeout_ns)
{
    uint32_t seen = atomic_load(&bare->woken);

    pthread_mutex_unlock(&bare->mutex);
    while (!answered(bare, mine) && futex_wait(&bare->woken, seen, timeout_ns) == 0 &&
           atomic_load(&bare->woken) == seen)
        ;
}

/* Wait for commit number `mine`; the mutex is held, and is free at the end. */
static void wait_for(struct bare *bare, uint64_t mine)
{
    while (!answered(bare, mine)) {
        if (!bare->writing && bare->appended >= bare->goal) {
            lead(bare);
            continue;
        }
        if (bare->writing || bare->gathering) {
            sleep_on(bare, mine, -1);
        } else {
            int64_t ns = bare->write_ns / GATHER_SHARE;

            bare->gathering = true;
            sleep_on(bare, mine, ns > GATHER_NS_MIN ? ns : GATHER_NS_MIN);
            pthread_mutex_lock(&bare->mutex);
            if (bare->gathering) /* nobody has led since: those who are missing do not come */
                lead(bare);
            pthread_mutex_unlock(&bare->mutex);
        }
        if (answered(bare, mine))
            return;
        pthread_mutex_lock(&bare->mutex);
    }
    pthread_mutex_unlock(&bare->mutex);
}

static int commit(struct bare *bare, const unsigned char *record)
{
    uint32_t bytes = (RECORD_HEADER + bare->record_bytes + 7) & ~7u;
    uint32_t crc = crc32c(0, record, bare->record_bytes);

    pthread_mutex_lock(&bare->mutex);
    KEEL_ASSERT(bare->fill + bytes <= BUFFER_BYTES); /* one record of each thread at most */
    unsigned char *at = bare->open + bare->fill;
    memset(at, 0, RECORD_HEADER);
    memcpy(at, &crc, sizeof(crc));
    memcpy(at + RECORD_HEADER, record, bare->record_bytes);
    bare->fill += bytes;
    wait_for(bare, ++bare->appended);
    return atomic_load(&bare->error);
}

/* ---------------------------------------------------------------- one round */

static void *thread_main(void *arg)
{
    struct bare_thread *thread = arg;
    struct bare *bare = thread->bare;
    unsigned char *record = mem_alloc(bare->record_bytes);
    int rc = record ? 0 : -ENOMEM;

    bench_crew_begin(&bare->crew);
    while (rc == 0 && bench_crew_running(&bare->crew)) {
        bool measured = bench_crew_measuring(&bare->crew);
        uint64_t begin = clock_now_ns();

        record[0]++;
        rc = -commit(bare, record);
        if (rc == 0 && measured)
            hist_record(&thread->hist, clock_now_ns() - begin);
        atomic_fetch_add_explicit(&thread->ops, 1, memory_order_relaxed);
    }
    bench_crew_end(&bare->crew, rc);
    mem_free(record);
    return NULL;
}

static void take_reading(void *arg, struct bench_reading *ret)
{
    const struct bare *bare = arg;

    for (uint32_t i = 0; i < bare->thread_count; i++)
        ret->ops += atomic_load_explicit(&bare->threads[i].ops, memory_order_relaxed);
}

static int run_threads(struct bare *bare, uint32_t seconds, struct bench_report *report)
{
    bench_crew_init(&bare->crew, bare->thread_count);
    for (uint32_t i = 0; i < bare->thread_count; i++) {
        bare->threads[i].bare = bare;
        hist_init(&bare->threads[i].hist);
        int rc = pthread_create(&bare->threads[i].id, NULL, thread_main, &bare->threads[i]);
        KEEL_ASSERT(rc == 0); /* there is no way on without one of them */
    }
    bench_crew_measure(&bare->crew, seconds, report, take_reading, bare);
    hist_init(&report->latency);
    for (uint32_t i = 0; i < bare->thread_count; i++) {
        pthread_join(bare->threads[i].id, NULL);
        hist_merge(&report->latency, &bare->threads[i].hist);
    }
    report->ours.rounds[0].lat = bench_lat_of(&report->latency);
    return bench_crew_fini(&bare->crew);
}

static int open_file(const struct peer_job *job, int *ret)
{
    char file[600];

    snprintf(file, sizeof(file), "%s/bare.data", job->folder);
    int rc = access(file, F_OK) ? bench_file_create(file, FILE_BYTES) : 0;
    if (rc)
        return rc;
    *ret = open(file, O_RDWR | O_DIRECT | O_CLOEXEC);
    return *ret < 0 ? -errno : 0;
}

static int run(const struct peer_job *job, struct bench_report *report)
{
    struct bare bare = {.sync = job->sync,
                        .record_bytes = job->record_bytes,
                        .thread_count = job->threads,
                        .fd = -1};
    uint32_t blocks = BUFFER_BYTES / BLOCK_PAYLOAD + 1;

    pthread_mutex_init(&bare.mutex, NULL);
    bare.threads = mem_alloc(job->threads * sizeof(*bare.threads));
    bare.open = mem_alloc(BUFFER_BYTES);
    bare.closed = mem_alloc(BUFFER_BYTES);
    bare.blocks = mem_alloc_aligned(BLOCK_BYTES, (size_t)blocks * BLOCK_BYTES);
    int rc = -ENOMEM;
    if (bare.threads && bare.open && bare.closed && bare.blocks)
        rc = open_file(job, &bare.fd);
    if (rc == 0)
        rc = run_threads(&bare, job->seconds, report);
    if (bare.fd >= 0)
        close(bare.fd);
    mem_free(bare.threads);
    mem_free(bare.open);
    mem_free(bare.closed);
    mem_free(bare.blocks);
    pthread_mutex_destroy(&bare.mutex);
    return rc;
}

bool peer_bare_commit(struct bench_run *bench, struct bench_series *series)
{
    struct peer_job job = peer_job_of(bench);
    struct bench_report *report = mem_alloc(sizeof(*report));
    uint64_t need = job.threads * ((uint64_t)job.record_bytes + RECORD_HEADER + 8);

    KEEL_ASSERT(series->count < BENCH_ROUNDS_MAX);
    int rc = !report ? -ENOMEM : need > BUFFER_BYTES ? -E2BIG : run(&job, report);
    if (rc == 0) {
        series->rounds[series->count++] = report->ours.rounds[0];
        snprintf(series->note, sizeof(series->note),
                 "mutex, the last to come leads, pwritev2%s; no pages, no recovery",
                 job.sync == KEEL_SYNC_DSYNC  ? " RWF_DSYNC"
                 : job.sync == KEEL_SYNC_NONE ? ""
                                              : " and fdatasync");
    } else {
        snprintf(series->note, sizeof(series->note), "%.190s", keel_err_text(rc));
    }
    mem_free(report);
    return rc == 0;
}
