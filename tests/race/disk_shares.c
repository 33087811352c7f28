/*
 * Two that write back to one disk, one with ten times as many requests waiting as the other.
 *
 *   contexts    two threads of one process, each with a context of its own: the scheduler is the
 *               same, so after a second of the disk's time their shares are alike within 2 percent
 *   processes   one scheduler each, which know nothing of each other: neither starves, since each
 *               has no more in flight than its cap
 *
 * Progress: each thread always has requests queued, and polls until the other has seen enough too.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <keel/keel.h>

#include "base/assert.h"
#include "base/prng.h"
#include "tests/support/tmpdir.h"

#define SECOND UINT64_C(1000000000)
/* Enough that a thread which waits for a processor for some tens of milliseconds has not run out of
 * what it asked for: then the other would rightly have more. */
#define FEW        48u
#define MANY       480u
#define BYTES      (32u << 10)
#define FILE_BYTES (64u << 20)
#define CAP_NS     150000u /* some seven such writes, as they are charged unless there is a profile */

/* In memory that processes share. */
struct all {
    _Atomic uint64_t done[2]; /* stored by their threads, read by whoever judges at the end */
    _Atomic unsigned ready;   /* threads that have their requests queued */
    _Atomic unsigned enough;  /* threads that have seen a second of the disk's time */
};

/* One that writes. */
struct writer {
    struct all *all;
    unsigned index, depth;
    bool thread;          /* of its own, which opens and closes its context */
    struct keel_ctx *ctx; /* of its thread */
    struct keel_arena *arena;
    struct keel_device *device;
    struct prng prng;
    bool counting, stop;
    unsigned in_flight;
    struct keel_io io[MANY];
};

static void must(int rc, const char *what)
{
    if (rc != 0) {
        fprintf(stderr, "%s: %s\n", what, keel_err_name(rc));
        _exit(1);
    }
}

/* Two in a row never touch, or they would be merged. */
static void submit(struct writer *writer, struct keel_io *io)
{
    io->offset_bytes = prng_below(&writer->prng, FILE_BYTES / BYTES / 2) * 2 * BYTES;
    must(keel_io_submit(writer->ctx, io), "submit");
    writer->in_flight++;
}

static void done(struct keel_io *io)
{
    struct writer *writer = io->user;

    must(io->res, "write");
    writer->in_flight--;
    if (writer->counting)
        atomic_fetch_add(&writer->all->done[writer->index], 1);
    if (!writer->stop)
        submit(writer, io);
}

static uint64_t busy_ns(const struct writer *writer)
{
    struct keel_sched_stats stats = {.size = sizeof(stats)};

    must(keel_sched_stats(writer->device, &stats), "stats");
    return stats.busy_ns;
}

static void open_writer(struct writer *writer)
{
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;

    prng_seed(&writer->prng, writer->index + 1);
    must(keel_ctx_open(&options, &writer->ctx), "context");
    must(keel_arena_create((size_t)MANY * BYTES, &writer->arena), "arena");
}

static void close_writer(struct writer *writer)
{
    keel_ctx_close(writer->ctx);
    keel_arena_destroy(writer->arena);
}

static void *write_back(void *arg)
{
    struct writer *writer = arg;
    struct all *all = writer->all;

    if (writer->thread)
        open_writer(writer);
    for (unsigned i = 0; i < writer->depth; i++) {
        writer->io[i] = (struct keel_io){.device = writer->device,
                                         .arena = writer->arena,
                                         .buf = keel_arena_alloc(writer->arena, BYTES),
                                         .len_bytes = BYTES,
                                         .op = KEEL_OP_WRITE,
                                         .cls = KEEL_CLASS_WRITEBACK,
                                         .done = done,
                                         .user = writer};
        submit(writer, &writer->io[i]);
    }
    atomic_fetch_add(&all->ready, 1);
    uint64_t begin = 0;
    bool seen = false;
    while (atomic_load(&all->enough) < 2) {
        must(keel_ctx_poll(writer->ctx, 0, 1000000) < 0, "poll");
        if (!writer->counting && atomic_load(&all->ready) == 2) {
            writer->counting = true;
            begin = busy_ns(writer);
        }
        if (writer->counting && !seen && busy_ns(writer) - begin >= SECOND) {
            seen = true;
            atomic_fetch_add(&all->enough, 1);
        }
    }
    writer->counting = false;
    writer->stop = true;
    while (writer->in_flight > 0)
        must(keel_ctx_poll(writer->ctx, 0, -1) < 0, "poll");
    if (writer->thread)
        close_writer(writer);
    return NULL;
}

static void open_file(struct writer *writer, const char *path)
{
    struct keel_device_options options = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct keel_sched_options sched;

    options.create_bytes = FILE_BYTES;
    must(keel_device_open(writer->ctx, path, &options, NULL, &writer->device), "device");
    keel_sched_get(writer->device, &sched);
    sched.cap_ns = CAP_NS;
    must(keel_sched_set(writer->device, &sched), "cap");
}

/* Share of the one with few requests, in permille. */
static unsigned share(struct all *all, const char *what)
{
    uint64_t few = atomic_load(&all->done[0]), many = atomic_load(&all->done[1]);
    unsigned permille = (unsigned)(few * 1000 / (few + many));

    printf("%-10s %llu and %llu writes: %u permille\n", what, (unsigned long long)few,
           (unsigned long long)many, permille);
    return permille;
}

/* The first writer is this thread, and its context has the device. */
static bool contexts(struct all *all, const char *path)
{
    static struct writer writers[2];
    pthread_t thread;

    memset(all, 0, sizeof(*all));
    writers[0] = (struct writer){.all = all, .index = 0, .depth = FEW};
    writers[1] = (struct writer){.all = all, .index = 1, .depth = MANY, .thread = true};
    open_writer(&writers[0]);
    open_file(&writers[0], path);
    writers[1].device = writers[0].device;
    must(-pthread_create(&thread, NULL, write_back, &writers[1]), "thread");
    write_back(&writers[0]);
    pthread_join(thread, NULL);
    keel_device_close(writers[0].device);
    close_writer(&writers[0]);
    unsigned got = share(all, "contexts");
    return got >= 480 && got <= 520;
}

static void one_process(struct all *all, unsigned index, const char *path)
{
    static struct writer writer;

    writer = (struct writer){.all = all, .index = index, .depth = index ? MANY : FEW};
    open_writer(&writer);
    open_file(&writer, path);
    write_back(&writer);
    _exit(0); /* with all it has */
}

/* Before there is any thread: the children are forks. */
static bool processes(struct all *all, const struct tmpdir *dir)
{
    pid_t pids[2];
    int status, bad = 0;

    for (unsigned i = 0; i < 2; i++) {
        pids[i] = fork();
        must(pids[i] < 0, "fork");
        if (pids[i] == 0) {
            char path[600];
            one_process(all, i, tmpdir_join(dir, i ? "many" : "few", path, sizeof(path)));
        }
    }
    for (unsigned i = 0; i < 2; i++)
        bad |= waitpid(pids[i], &status, 0) != pids[i] || status != 0;
    unsigned got = share(all, "processes");
    return !bad && got >= 100 && got <= 900;
}

int main(void)
{
    struct all *all =
        mmap(NULL, sizeof(*all), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct tmpdir dir;
    char path[600];

    KEEL_ASSERT(all != MAP_FAILED);
    tmpdir_create(&dir);
    bool good = processes(all, &dir);
    good = contexts(all, tmpdir_join(&dir, "both", path, sizeof(path))) && good;
    tmpdir_destroy(&dir);
    return good ? 0 : 1;
}
