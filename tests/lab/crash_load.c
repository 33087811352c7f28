/*
 * The load whose power is cut afterwards, on the host, by `keel crash replay`: transactions of
 * `keel demo` on a store, with a mark in the trace before each begins and after each was
 * acknowledged. The trace goes to stdout.
 *
 *   lab_crash_load PATH SYNC [COMMITS [WRITERS [BUG]]]
 *
 * PATH: a folder that is made, in a file system on the recorded disk; or that disk itself
 * (/dev/nvmeXnY or /dev/ngXnY), whose content is lost. SYNC: dsync, link, flush.
 * BUG: plant one of base/bug.h. KEEL_LAB_TORN=atomic: pages are written untorn, or it fails. Log
 * and page file are small, so that the log goes around and checkpoints happen.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <keel/keel.h>

#include "base/bug.h"
#include "tests/lab/places.h"
#include "tests/lab/recording.h"
#include "tools/demo_layout.h"

#define LOG_BYTES     (1u << 20)
#define SPACE_BYTES   (2u << 20)
#define CACHE_BYTES   (512u << 10)
#define WRITERS_LIMIT 16u

struct load {
    const char *path;
    struct keel_options options;
    struct keel_store *store;
    struct demo_map map;
    uint64_t commits; /* of each writer */
    _Atomic int failed;
};

struct thread {
    struct load *load;
    uint32_t index;
    pthread_t id;
};

static int fail(struct load *load, const char *what, int rc)
{
    printf("FAILED: %s: %s, %s\n", what, keel_err_name(rc), keel_err_text(rc));
    atomic_store(&load->failed, 1);
    return rc;
}

static void *writer_main(void *arg)
{
    static _Thread_local struct demo_writer writer;
    struct thread *thread = arg;
    struct load *load = thread->load;
    struct keel_ctx *ctx;
    int rc = place_ctx_open(load->path, &ctx);
    if (rc) {
        fail(load, "context", rc);
        return NULL;
    }
    rc = demo_writer_load(&writer, ctx, load->store, &load->map, thread->index);
    for (uint64_t i = 0; i < load->commits && !rc; i++) {
        rc = demo_writer_room(&writer);
        if (rc)
            break;
        recording_mark("try %u %llu", thread->index, (unsigned long long)writer.seq + 1);
        rc = demo_writer_commit(&writer);
        if (!rc)
            recording_mark("ack %u %llu", thread->index, (unsigned long long)writer.seq);
    }
    if (rc)
        fail(load, "commit", rc);
    keel_ctx_close(ctx);
    return NULL;
}

/* An empty demo store, closed. */
static int create(struct load *load, struct keel_ctx *ctx, uint32_t writers)
{
    struct keel_err_info info = {0};
    int rc = keel_open(ctx, load->path, &load->options, &info, &load->store);
    if (rc)
        return fail(load, info.object[0] ? info.object : "creating the store", rc);
    rc = demo_map_load(ctx, load->store, &load->map);
    if (rc == KEEL_ENOTFOUND)
        rc = demo_map_prepare(ctx, load->store, writers, &load->map);
    if (rc)
        fail(load, "the demo's pages", rc);
    int close_rc = keel_close(ctx, load->store);
    if (!rc && close_rc)
        rc = fail(load, "close", close_rc);
    return rc;
}

/* On a disk the recording begins before the store is made, in files when they are there. */
static bool begin(struct load *load, struct keel_ctx *ctx, uint32_t writers)
{
    struct stat st;
    if (stat(load->path, &st) != 0 || S_ISDIR(st.st_mode))
        return create(load, ctx, writers) == 0 && recording_start() && recording_begin(load->path);
    return recording_start() && recording_begin(load->path) && create(load, ctx, writers) == 0;
}

static int work(struct load *load, struct keel_ctx *ctx, uint32_t writers)
{
    struct thread thread[WRITERS_LIMIT];
    struct keel_store_info info;
    int rc = keel_open(ctx, load->path, &load->options, NULL, &load->store);
    if (rc)
        return fail(load, "open", rc);
    recording_mark("ready");
    for (uint32_t i = 0; i < writers; i++) {
        thread[i] = (struct thread){.load = load, .index = i};
        if (pthread_create(&thread[i].id, NULL, writer_main, &thread[i]) != 0)
            return fail(load, "thread", -EAGAIN);
    }
    for (uint32_t i = 0; i < writers; i++)
        pthread_join(thread[i].id, NULL);
    bool recorded = recording_stop();
    keel_store_info(load->store, &info);
    rc = keel_close(ctx, load->store);
    if (rc && !atomic_load(&load->failed))
        return fail(load, "close", rc);
    if (info.pages * info.page_bytes > SPACE_BYTES)
        return fail(load, "the page file grew, and its extents are not those of the recording",
                    KEEL_ERANGE);
    printf("commits: %llu of each of %u writers, checkpoints: %llu\n",
           (unsigned long long)load->commits, writers, (unsigned long long)info.checkpoints);
    return recorded ? 0 : KEEL_ERANGE;
}

static bool parse(int argc, char **argv, struct load *load, uint32_t *ret_writers)
{
    if (argc < 3 || argc > 6)
        return false;
    load->path = argv[1];
    load->options = place_options(load->path);
    if (!sync_method_parse(argv[2], &load->options.sync))
        return false;
    *ret_writers = argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : 2;
    load->commits = argc > 3 ? strtoull(argv[3], NULL, 10) : 500;
    if (*ret_writers < 1 || *ret_writers > WRITERS_LIMIT || load->commits < *ret_writers)
        return false;
    load->commits /= *ret_writers;
#ifdef KEEL_SEEDED_BUGS
    if (argc > 5) {
        keel_seeded_bug = seeded_bug_find(argv[5]);
        return keel_seeded_bug != SEEDED_BUG_NONE;
    }
#endif
    return argc <= 5;
}

int main(int argc, char **argv)
{
    struct load load = {.path = NULL};
    struct keel_ctx *ctx;
    uint32_t writers;

    if (!parse(argc, argv, &load, &writers)) {
        fprintf(stderr, "usage: lab_crash_load PATH SYNC [COMMITS [WRITERS [BUG]]]\n");
        return 2;
    }
    load.options.log_bytes = LOG_BYTES;
    load.options.space_bytes = load.options.space_bytes_max = SPACE_BYTES;
    load.options.cache_bytes = CACHE_BYTES;
    load.options.tx_bytes = 32768;
    const char *torn = getenv("KEEL_LAB_TORN");
    if (torn && strcmp(torn, "atomic") == 0)
        load.options.torn = KEEL_TORN_ATOMIC;
    int rc = place_ctx_open(load.path, &ctx);
    if (rc)
        return fail(&load, "context", rc) != 0;
    if (!begin(&load, ctx, writers))
        return 1;
    rc = work(&load, ctx, writers);
    keel_ctx_close(ctx);
    return rc || atomic_load(&load.failed) || !recording_save("-");
}
