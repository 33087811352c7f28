/*
 * I6: whoever waits, drives. Threads that reap each other's requests, on a real file, with the ring
 * and with the sync method.
 *
 * Five kinds of work, one after the other:
 *   shared   threads write and read back on one KEEL_CTX_SHARED context, each waiting for its own
 *            requests, so that each reaps for the others
 *   silent   a thread submits and never calls keel again, but sleeps or computes; another waits for
 *            the requests
 *   lent     another thread submits what an owner has queued, and then computes; the owner waits
 *   poll     an owner sleeps in keel_ctx_poll while others wait for its requests and wake it
 *   chain    a callback for any thread submits the next request, and a foreign thread waits for
 *            the end of the chain
 * A lost wake-up shows as a hang, a wrong hand-over as a race or as wrong bytes.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/lock.h"
#include "keel/iosched.h"
#include "tests/support/tmpdir.h"

#define THREADS     4u
#define ROUNDS      60u
#define SILENT      8u
#define LENT        40u
#define POLLED      40u
#define CHAIN       40u
#define FILE_BLOCKS 64u
#define BLOCK       KEEL_BLOCK_BYTES

static struct keel_arena *arena;
static struct keel_device *device;
static uint8_t *memory; /* FILE_BLOCKS blocks */
static enum keel_method method;

static struct keel_ctx *open_ctx(enum keel_ctx_kind kind)
{
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_ctx *ctx;

    options.method = method;
    options.kind = kind;
    options.depth = 16;
    int rc = keel_ctx_open(&options, &ctx);
    KEEL_ASSERT(rc == 0);
    return ctx;
}

static struct keel_io transfer(enum keel_op op, unsigned block, unsigned flags)
{
    return (struct keel_io){.device = device,
                            .arena = arena,
                            .buf = memory + block * BLOCK,
                            .offset_bytes = (uint64_t)block * BLOCK,
                            .len_bytes = BLOCK,
                            .op = (uint8_t)op,
                            .cls = KEEL_CLASS_READ,
                            .flags = (uint16_t)flags};
}

static void submit(struct keel_ctx *ctx, struct keel_io *io)
{
    int rc;

    while ((rc = keel_io_submit(ctx, io)) == KEEL_EFULL)
        keel_ctx_kick(ctx);
    KEEL_ASSERT(rc == 0);
}

/* ------------------------------------------------------------- shared */

struct worker {
    struct keel_ctx *ctx;
    unsigned index;
    pthread_t thread;
};

static void *write_and_read_back(void *arg)
{
    const struct worker *worker = arg;
    static const unsigned flags[] = {0, KEEL_IO_DSYNC, KEEL_IO_LINK_SYNC, 0};

    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned block = worker->index * 8 + i % 8;
        uint8_t *at = memory + block * BLOCK;
        memset(at, (int)(i + worker->index), BLOCK);

        struct keel_io io = transfer(KEEL_OP_WRITE, block, flags[i % 4]);
        submit(worker->ctx, &io);
        if (i % 3 == 0)
            keel_ctx_kick(worker->ctx);
        int rc = keel_io_wait(worker->ctx, &io);
        KEEL_ASSERT(rc == 0);

        memset(at, 0xee, BLOCK);
        io = transfer(KEEL_OP_READ, block, 0);
        submit(worker->ctx, &io);
        rc = keel_io_wait(worker->ctx, &io);
        KEEL_ASSERT(rc == 0);
        KEEL_ASSERT(at[0] == (uint8_t)(i + worker->index) && at[BLOCK - 1] == at[0]);
    }
    return NULL;
}

static void run_shared(void)
{
    struct keel_ctx *ctx = open_ctx(KEEL_CTX_SHARED);
    struct worker workers[THREADS];

    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.ctx = ctx, .index = i};
        int rc = pthread_create(&workers[i].thread, NULL, write_and_read_back, &workers[i]);
        KEEL_ASSERT(rc == 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);

    struct keel_ctx_stats stats;
    keel_ctx_stats(ctx, &stats);
    KEEL_ASSERT(stats.completed == 2ull * THREADS * ROUNDS);
    keel_ctx_close(ctx);
}

/* ------------------------------------------------------------- silent */

struct silent {
    struct keel_io ios[SILENT];
    struct keel_ioref refs[SILENT];
    _Atomic uint32_t called;
    _Atomic uint32_t stage; /* futex: 1 submitted, 2 may close */
    bool computes;
};

static void reach(struct silent *silent, uint32_t stage)
{
    atomic_store(&silent->stage, stage);
    futex_wake(&silent->stage, 8);
}

static void await(struct silent *silent, uint32_t stage)
{
    uint32_t now;

    while ((now = atomic_load(&silent->stage)) < stage)
        keel_ignore(futex_wait(&silent->stage, now, -1), "the word is looked at again");
}

/* The same without a system call, and so without any moment at which the kernel could have this
 * thread do something, but for an interrupt. */
static void compute_until(const _Atomic uint32_t *stage, uint32_t wanted)
{
    while (atomic_load(stage) < wanted)
        continue;
}

static void count_call(struct keel_io *io)
{
    struct silent *silent = io->user;

    atomic_fetch_add(&silent->called, 1);
}

/* Submits, half of it not even to the kernel, and never calls keel again until all is over. */
static void *submit_and_be_silent(void *arg)
{
    struct silent *silent = arg;
    struct keel_ctx *ctx = open_ctx(KEEL_CTX_THREAD);

    for (unsigned i = 0; i < SILENT; i++) {
        unsigned flags = i % 2 ? KEEL_IO_DSYNC : 0;
        silent->ios[i] = transfer(KEEL_OP_WRITE, i, flags | KEEL_IO_ANY_THREAD);
        silent->ios[i].done = count_call;
        silent->ios[i].user = silent;
        submit(ctx, &silent->ios[i]);
        silent->refs[i] = keel_io_ref(&silent->ios[i]);
        if (i == SILENT / 2)
            keel_ctx_kick(ctx);
    }
    reach(silent, 1);
    if (silent->computes)
        compute_until(&silent->stage, 2);
    else
        await(silent, 2);
    keel_ctx_close(ctx);
    return NULL;
}

static void run_silent(bool computes)
{
    struct silent silent = {.computes = computes};
    pthread_t thread;

    int rc = pthread_create(&thread, NULL, submit_and_be_silent, &silent);
    KEEL_ASSERT(rc == 0);
    await(&silent, 1);
    for (unsigned i = 0; i < SILENT; i++) {
        keel_ioref_wait(silent.refs[i]);
        KEEL_INV(I6, keel_ioref_done(silent.refs[i]));
        KEEL_ASSERT(silent.ios[i].res == 0);
    }
    KEEL_ASSERT(atomic_load(&silent.called) == SILENT);
    reach(&silent, 2);
    pthread_join(thread, NULL);
}

/* ------------------------------------------------------------- lent */

struct lent {
    struct keel_io io;
    struct keel_ioref ref;
    _Atomic uint32_t queued, submitted, over; /* rounds */
};

/* Submits for the owner, and computes until the owner has seen the end of it. */
static void *submit_for_owner(void *arg)
{
    struct lent *lent = arg;
    struct keel_ctx *ctx = open_ctx(KEEL_CTX_THREAD);

    for (uint32_t i = 1; i <= LENT; i++) {
        compute_until(&lent->queued, i);
        keel_ioref_kick(ctx, lent->ref);
        atomic_store(&lent->submitted, i);
        compute_until(&lent->over, i);
    }
    keel_ctx_close(ctx);
    return NULL;
}

static void run_lent(void)
{
    struct lent lent = {.queued = 0};
    struct keel_ctx *ctx = open_ctx(KEEL_CTX_THREAD);
    uint64_t waited_ns = 0;
    pthread_t thread;

    int rc = pthread_create(&thread, NULL, submit_for_owner, &lent);
    KEEL_ASSERT(rc == 0);
    for (uint32_t i = 1; i <= LENT; i++) {
        lent.io = transfer(KEEL_OP_READ, i % FILE_BLOCKS, 0);
        submit(ctx, &lent.io);
        lent.ref = keel_io_ref(&lent.io);
        atomic_store(&lent.queued, i);
        compute_until(&lent.submitted, i);
        uint64_t begin_ns = clock_now_ns();
        rc = keel_io_wait(ctx, &lent.io);
        waited_ns += clock_now_ns() - begin_ns;
        KEEL_ASSERT(rc == 0);
        atomic_store(&lent.over, i);
    }
    pthread_join(thread, NULL);
    keel_ctx_close(ctx);
    printf("lent: waited %llu us for each\n", (unsigned long long)(waited_ns / LENT / 1000));
}

/* ------------------------------------------------------------- poll */

struct polled {
    struct silent base;
    struct keel_ctx *ctx;
    _Atomic uint32_t owner_calls;
    _Atomic uint32_t round; /* futex: which request is out */
    _Atomic uint32_t seen;  /* rounds the waiter is through with */
    struct keel_io io;
    struct keel_ioref ref;
};

static void count_owner_call(struct keel_io *io)
{
    struct polled *polled = io->user;

    atomic_fetch_add(&polled->owner_calls, 1);
}

/* Waits for each of the owner's requests, and wakes it between them. */
static void *wait_for_owners(void *arg)
{
    struct polled *polled = arg;

    for (uint32_t i = 1; i <= POLLED; i++) {
        uint32_t now;
        while ((now = atomic_load(&polled->round)) < i)
            keel_ignore(futex_wait(&polled->round, now, -1), "looked at again");
        keel_ioref_wait(polled->ref);
        atomic_store(&polled->seen, i);
        keel_ctx_wake(polled->ctx);
    }
    return NULL;
}

static void run_poll(void)
{
    struct polled polled = {.ctx = open_ctx(KEEL_CTX_THREAD)};
    pthread_t thread;

    int rc = pthread_create(&thread, NULL, wait_for_owners, &polled);
    KEEL_ASSERT(rc == 0);
    for (uint32_t i = 1; i <= POLLED; i++) {
        bool any = i % 2;
        polled.io = transfer(KEEL_OP_WRITE, i % FILE_BLOCKS, any ? KEEL_IO_ANY_THREAD : 0);
        polled.io.done = count_owner_call;
        polled.io.user = &polled;
        submit(polled.ctx, &polled.io);
        polled.ref = keel_io_ref(&polled.io);
        atomic_store(&polled.round, i);
        futex_wake(&polled.round, 1);
        while (atomic_load(&polled.owner_calls) < i || atomic_load(&polled.seen) < i) {
            rc = keel_ctx_poll(polled.ctx, 0, i % 4 < 2 ? -1 : 2000000);
            KEEL_ASSERT(rc >= 0);
        }
    }
    pthread_join(thread, NULL);
    keel_ctx_close(polled.ctx);
}

/* ------------------------------------------------------------- chain */

struct chain {
    struct keel_ctx *ctx;
    struct keel_io io;
    _Atomic uint32_t length;
};

static void submit_next(struct keel_io *io)
{
    struct chain *chain = io->user;

    if (atomic_fetch_add(&chain->length, 1) + 1 < CHAIN) {
        io->offset_bytes = atomic_load(&chain->length) % FILE_BLOCKS * BLOCK;
        submit(chain->ctx, io);
    }
}

static bool chain_is_over(void *arg)
{
    struct chain *chain = arg;

    return atomic_load(&chain->length) == CHAIN;
}

static void *drive_chain(void *arg)
{
    struct chain *chain = arg;
    int rc = keel_ctx_drive(chain->ctx, chain_is_over, chain);

    KEEL_ASSERT(rc == 0);
    return NULL;
}

static void run_chain(void)
{
    struct chain chain = {.ctx = open_ctx(KEEL_CTX_SHARED)};
    pthread_t threads[THREADS];

    chain.io = transfer(KEEL_OP_READ, 0, KEEL_IO_ANY_THREAD);
    chain.io.done = submit_next;
    chain.io.user = &chain;
    submit(chain.ctx, &chain.io);
    for (unsigned i = 0; i < THREADS; i++) {
        int rc = pthread_create(&threads[i], NULL, drive_chain, &chain);
        KEEL_ASSERT(rc == 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    keel_ctx_close(chain.ctx);
}

static void run_all(const char *path)
{
    struct keel_device_options options = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct keel_ctx *ctx = open_ctx(KEEL_CTX_THREAD);

    int rc = keel_device_open(ctx, path, &options, NULL, &device);
    KEEL_ASSERT(rc == 0);
    run_shared();
    run_silent(false);
    run_silent(true);
    run_lent();
    run_poll();
    run_chain();
    keel_device_close(device);
    keel_ctx_close(ctx);
}

static void create(const char *path)
{
    struct keel_device_options options = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct keel_ctx *ctx = open_ctx(KEEL_CTX_THREAD);

    options.create_bytes = (uint64_t)FILE_BLOCKS * BLOCK;
    int rc = keel_device_open(ctx, path, &options, NULL, &device);
    KEEL_ASSERT(rc == 0);
    keel_device_close(device);
    keel_ctx_close(ctx);
}

int main(void)
{
    struct tmpdir dir;
    char path[600];

    tmpdir_create(&dir);
    tmpdir_join(&dir, "reap", path, sizeof(path));
    int rc = keel_arena_create((size_t)FILE_BLOCKS * BLOCK, &arena);
    KEEL_ASSERT(rc == 0);
    memory = keel_arena_alloc(arena, (size_t)FILE_BLOCKS * BLOCK);
    KEEL_ASSERT(memory != NULL);

    method = KEEL_METHOD_SYNC;
    create(path);
    run_all(path);
    method = KEEL_METHOD_AUTO;
    struct keel_ctx *ctx = open_ctx(KEEL_CTX_THREAD);
    const char *name = keel_ctx_path(ctx)->method;
    keel_ctx_close(ctx);
    run_all(path);

    keel_arena_destroy(arena);
    tmpdir_destroy(&dir);
    printf("reap: every request was reaped by whoever waited, on sync and on %s\n", name);
    return 0;
}
