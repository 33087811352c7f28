/*
 * A disk that fails under a store at work, and what becomes of the store.
 *
 *   lab_faults PATH SYNC FAULT BREAK MEND
 *
 * PATH: a folder that is made, or a disk, whose content is lost. BREAK and MEND are shell commands
 * that break the disk and mend it. Two writers run transactions of `keel demo`, a reader reads
 * pages that are in memory and pages that are not. FAULT says what is expected of them once the
 * disk is broken:
 *
 *   write, flush  a commit fails with KEEL_EPOISON, the store is READ_ONLY and keeps the first
 * error (ENODATA or EIO); every transaction after it is refused; pages that are durable are still
 * read read          a page that is not in memory is KEEL_EREAD, ENODATA or EIO to its reader; the
 * store stays RUNNING and transactions go on hang          nobody gets an error; after MEND, ten
 * seconds later, all goes on gone          as write; the device is not there any more
 *
 * Then the store is closed, the disk mended, and the store opened again: it must have every
 * acknowledged transaction, and none that was invented.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <keel/keel.h>

#include "base/clock.h"
#include "tests/lab/places.h"
#include "tools/demo_layout.h"
#include "tools/demo_verify.h"

#define WRITERS     2u
#define SPACE_PAGES 4096u
#define CACHE_BYTES (1u << 20)
#define FILL_PAGES  1024u /* four times the cache, so that pages are read from the disk */
#define BEFORE      40u   /* commits of each writer before the disk is broken */
#define AFTER       40u   /* and after, where they go on */
#define HANG_NS     10000000000ull
#define STILL_NS    1000000000ull
#define WAIT_NS     60000000000ull
#define LOOK_NS     50000000

enum fault { FAULT_WRITE = 0, FAULT_FLUSH, FAULT_READ, FAULT_HANG, FAULT_GONE, FAULT_COUNT };
static const char *const FAULT_NAMES[FAULT_COUNT] = {"write", "flush", "read", "hang", "gone"};

struct test {
    const char *path, *break_it, *mend_it;
    enum fault fault;
    struct keel_options options;
    struct keel_store *store;
    struct demo_map map;
    struct demo_expect expect;
    keel_pageno first_page; /* of those that are read */
    _Atomic uint64_t commits[WRITERS], reads;
    _Atomic int commit_rc[WRITERS], read_rc; /* the first error */
    _Atomic int stop;
    pthread_mutex_t lock; /* of news alone: the counts above are atomic */
    pthread_cond_t news;
};

struct thread {
    struct test *test;
    uint32_t index;
    pthread_t id;
};

static bool fail(const char *what, int rc)
{
    printf("FAILED: %s: %s, %s\n", what, keel_err_name(rc), keel_err_text(rc));
    return false;
}

static bool is_media_error(int rc)
{
    return rc == -ENODATA || rc == -EIO || rc == -ENODEV;
}

static void note(struct test *test, _Atomic int *place, int rc)
{
    int none = 0;
    atomic_compare_exchange_strong(place, &none, rc);
    pthread_cond_broadcast(&test->news);
}

/* ---------------------------------------------------------------- the load */

static void *writer_main(void *arg)
{
    static _Thread_local struct demo_writer writer;
    struct thread *thread = arg;
    struct test *test = thread->test;
    struct keel_ctx *ctx;
    int rc = place_ctx_open(test->path, &ctx);
    if (!rc)
        rc = demo_writer_load(&writer, ctx, test->store, &test->map, thread->index);
    while (!rc && !atomic_load(&test->stop)) {
        rc = demo_writer_room(&writer);
        if (rc)
            break;
        test->expect.attempted[thread->index] = writer.seq + 1;
        rc = demo_writer_commit(&writer);
        if (!rc) {
            test->expect.acked[thread->index] = writer.seq;
            atomic_fetch_add(&test->commits[thread->index], 1);
            pthread_cond_broadcast(&test->news);
        }
    }
    note(test, &test->commit_rc[thread->index], rc);
    keel_ctx_close(ctx);
    return NULL;
}

static void *reader_main(void *arg)
{
    struct test *test = arg;
    struct keel_ctx *ctx;
    int rc = place_ctx_open(test->path, &ctx);
    uint64_t turn = 0;
    while (!rc && !atomic_load(&test->stop)) {
        struct keel_page page;
        int got = keel_read(ctx, test->store, test->first_page + turn++ * 7 % FILL_PAGES, 0, &page);
        if (got == 0) {
            keel_page_unfix(&page);
            atomic_fetch_add(&test->reads, 1);
        } else if (keel_err_class(got) != KEEL_CLASS_RETRY) {
            note(test, &test->read_rc, got);
        }
    }
    note(test, &test->read_rc, rc);
    keel_ctx_close(ctx);
    return NULL;
}

/* Until something happened that waiters may wait for, or a while has passed. */
static void wait_news(struct test *test)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += LOOK_NS;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&test->lock);
    pthread_cond_timedwait(&test->news, &test->lock, &until);
    pthread_mutex_unlock(&test->lock);
}

/* Until every writer has done so many, or failed. False: it took too long. */
static bool wait_commits(struct test *test, const uint64_t *want)
{
    uint64_t end = clock_now_ns() + WAIT_NS;
    for (uint32_t i = 0; i < WRITERS; i++) {
        while (atomic_load(&test->commits[i]) < want[i] && atomic_load(&test->commit_rc[i]) == 0) {
            if (clock_now_ns() > end)
                return false;
            wait_news(test);
        }
    }
    return true;
}

static bool wait_number(struct test *test, _Atomic int *place)
{
    for (uint64_t end = clock_now_ns() + WAIT_NS; atomic_load(place) == 0; wait_news(test))
        if (clock_now_ns() > end)
            return false;
    return true;
}

static bool shell(const char *command)
{
    int status = *command ? system(command) : 0;
    if (status != 0)
        printf("FAILED: '%s' ended with %d\n", command, status);
    return status == 0;
}

/* ---------------------------------------------------------------- what is expected */

/* The store failed, says why, refuses writers, and still serves what is durable. */
static bool expect_poisoned(struct test *test, struct keel_ctx *ctx)
{
    struct keel_store_info info;
    struct keel_tx *tx;
    struct keel_page page;
    bool good = true;
    for (uint32_t i = 0; i < WRITERS; i++) {
        if (!wait_number(test, &test->commit_rc[i])) {
            printf("FAILED: writer %u goes on\n", i);
            return false;
        }
        int rc = atomic_load(&test->commit_rc[i]);
        printf("writer %u: %s\n", i, keel_err_name(rc));
        if (rc != KEEL_EPOISON && rc != KEEL_EREADONLY)
            good = fail("a commit's error", rc);
    }
    keel_store_info(test->store, &info);
    printf("first error: %s, state %d\n", keel_err_name(info.poison), (int)info.state);
    if (!is_media_error(info.poison))
        good = fail("first error", info.poison);
    if (info.state != KEEL_READ_ONLY)
        good = fail("the store is not READ_ONLY", 0);
    int rc = keel_tx_begin(ctx, test->store, NULL, &tx);
    if (rc != KEEL_EREADONLY && rc != KEEL_EPOISON)
        good = fail("a transaction after the failure", rc);
    rc = keel_read(ctx, test->store, test->map.header, 0, &page);
    if (rc == 0)
        keel_page_unfix(&page);
    else if (rc != KEEL_EREAD || test->fault != FAULT_GONE)
        good = fail("reading a durable page", rc);
    return good;
}

static bool expect_read_error(struct test *test)
{
    struct keel_store_info info;
    uint64_t want[WRITERS];
    if (!wait_number(test, &test->read_rc)) {
        printf("FAILED: no read fails\n");
        return false;
    }
    int rc = atomic_load(&test->read_rc);
    printf("reader: %s\n", keel_err_name(rc));
    for (uint32_t i = 0; i < WRITERS; i++)
        want[i] = atomic_load(&test->commits[i]) + AFTER;
    bool good = wait_commits(test, want);
    keel_store_info(test->store, &info);
    if (info.state != KEEL_RUNNING || !good)
        good = fail("the store stopped", info.poison);
    return (rc == KEEL_EREAD || is_media_error(rc) || fail("a read's error", rc)) && good;
}

static bool expect_patience(struct test *test)
{
    uint64_t before[WRITERS], want[WRITERS], begin = clock_now_ns(), begin_again;
    while (clock_now_ns() - begin < HANG_NS)
        wait_news(test);
    for (uint32_t i = 0; i < WRITERS; i++)
        before[i] = atomic_load(&test->commits[i]);
    for (begin_again = clock_now_ns(); clock_now_ns() - begin_again < STILL_NS;)
        wait_news(test);
    bool good = true;
    for (uint32_t i = 0; i < WRITERS; i++) {
        want[i] = before[i] + AFTER;
        if (atomic_load(&test->commits[i]) != before[i]) {
            printf("FAILED: writer %u was not held up, so this shows nothing\n", i);
            good = false;
        }
    }
    if (!shell(test->mend_it))
        return false;
    printf("held up for %" PRIu64 " ms\n", (clock_now_ns() - begin) / 1000000);
    good &= wait_commits(test, want);
    for (uint32_t i = 0; i < WRITERS; i++) {
        int rc = atomic_load(&test->commit_rc[i]);
        if (rc || atomic_load(&test->commits[i]) < want[i])
            good = fail("commits after the pause", rc);
    }
    return good;
}

static bool expect(struct test *test, struct keel_ctx *ctx)
{
    switch (test->fault) {
    case FAULT_READ:
        return expect_read_error(test);
    case FAULT_HANG:
        return expect_patience(test);
    default:
        return expect_poisoned(test, ctx);
    }
}

/* ---------------------------------------------------------------- before and after */

static bool open_store(struct test *test, struct keel_ctx *ctx)
{
    struct keel_err_info info = {0};
    int rc = keel_open(ctx, test->path, &test->options, &info, &test->store);
    if (!rc)
        return true;
    printf("%s %s\n", info.op ? info.op : "", info.object);
    return fail("open", rc);
}

/* Pages that are read later; more than the cache takes. */
static int fill(struct test *test, struct keel_ctx *ctx)
{
    int rc = 0;
    for (uint32_t i = 0; i < FILL_PAGES && !rc; i += 8) {
        struct keel_tx *tx;
        rc = keel_tx_begin(ctx, test->store, NULL, &tx);
        if (rc)
            return rc;
        for (uint32_t k = 0; k < 8 && !rc; k++) {
            keel_pageno page;
            rc = keel_tx_alloc(tx, &page);
            if (!rc)
                rc = keel_tx_write(tx, page, 0, &page, sizeof(page));
            if (!rc && i == 0 && k == 0)
                test->first_page = page;
        }
        if (rc)
            keel_tx_abort(tx);
        else
            rc = keel_tx_commit(tx, NULL);
    }
    return rc ? rc : keel_checkpoint(ctx, test->store);
}

static bool prepare(struct test *test, struct keel_ctx *ctx)
{
    if (!open_store(test, ctx))
        return false;
    int rc = demo_map_load(ctx, test->store, &test->map);
    if (rc == KEEL_ENOTFOUND)
        rc = demo_map_prepare(ctx, test->store, WRITERS, &test->map);
    if (!rc)
        rc = fill(test, ctx);
    return rc ? fail("filling the store", rc) : true;
}

static bool verify(struct test *test, struct keel_ctx *ctx)
{
    struct demo_map map = {0};
    struct demo_verdict verdict;
    if (!open_store(test, ctx))
        return false;
    int rc = demo_map_load(ctx, test->store, &map);
    if (!rc)
        rc = demo_verify(ctx, test->store, &map, &test->expect, &verdict);
    if (rc)
        return fail("verifying", rc);
    printf("after it: %" PRIu64 " transactions, %" PRIu64 " lost, %" PRIu64 " invented %s\n",
           verdict.found, verdict.lost, verdict.invented, verdict.first);
    rc = keel_close(ctx, test->store);
    if (rc)
        return fail("close", rc);
    return verdict.found > 0 && verdict.lost == 0 && verdict.invented == 0;
}

static bool work(struct test *test, struct keel_ctx *ctx)
{
    struct thread writer[WRITERS];
    pthread_t reader;
    uint64_t want[WRITERS];
    for (uint32_t i = 0; i < WRITERS; i++) {
        writer[i] = (struct thread){.test = test, .index = i};
        want[i] = BEFORE;
        if (pthread_create(&writer[i].id, NULL, writer_main, &writer[i]) != 0)
            return fail("thread", -EAGAIN);
    }
    if (pthread_create(&reader, NULL, reader_main, test) != 0)
        return fail("thread", -EAGAIN);
    bool good = wait_commits(test, want) && shell(test->break_it) && expect(test, ctx);
    atomic_store(&test->stop, 1);
    for (uint32_t i = 0; i < WRITERS; i++)
        pthread_join(writer[i].id, NULL);
    pthread_join(reader, NULL);
    printf("commits %" PRIu64 " and %" PRIu64 ", reads %" PRIu64 "\n",
           atomic_load(&test->commits[0]), atomic_load(&test->commits[1]),
           atomic_load(&test->reads));
    int rc = keel_close(ctx, test->store);
    bool failed = test->fault != FAULT_READ && test->fault != FAULT_HANG;
    if (failed ? rc != KEEL_EREADONLY && rc != KEEL_EPOISON : rc != 0)
        good = fail("what close said", rc);
    return good;
}

static bool parse(int argc, char **argv, struct test *test)
{
    if (argc != 6)
        return false;
    test->path = argv[1];
    test->options = place_options(test->path);
    if (!sync_method_parse(argv[2], &test->options.sync))
        return false;
    while (test->fault < FAULT_COUNT && strcmp(argv[3], FAULT_NAMES[test->fault]) != 0)
        test->fault++;
    test->break_it = argv[4];
    test->mend_it = argv[5];
    return test->fault < FAULT_COUNT;
}

int main(int argc, char **argv)
{
    static struct test test = {.lock = PTHREAD_MUTEX_INITIALIZER, .news = PTHREAD_COND_INITIALIZER};
    struct keel_ctx *ctx;
    setvbuf(stdout, NULL, _IOLBF, 0); /* what was said is seen even when the guest hangs */
    if (!parse(argc, argv, &test)) {
        fprintf(stderr, "usage: lab_faults PATH SYNC write|flush|read|hang|gone BREAK MEND\n");
        return 2;
    }
    test.options.log_bytes = 8u << 20;
    test.options.space_bytes = test.options.space_bytes_max = (uint64_t)SPACE_PAGES * 4096;
    test.options.cache_bytes = CACHE_BYTES;
    int rc = place_ctx_open(test.path, &ctx);
    if (rc)
        return !fail("context", rc);
    bool good = prepare(&test, ctx) && work(&test, ctx);
    keel_ctx_close(ctx);
    if (good && test.fault != FAULT_HANG)
        good = shell(test.mend_it);
    test.options.overwrite = false;
    test.options.create_off = true;
    rc = good ? place_ctx_open(test.path, &ctx) : 0;
    if (rc)
        return !fail("context", rc);
    good = good && verify(&test, ctx);
    printf("%s: %s\n", FAULT_NAMES[test.fault], good ? "as promised" : "NOT as promised");
    return !good;
}
