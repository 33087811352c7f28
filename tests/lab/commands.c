/*
 * Which commands does a commit send to the disk? The kernel's trace of NVMe commands, with a mark
 * after each commit, counted between marks.
 *
 *   lab_commands PATH SYNC      PATH: a folder that is made, or a disk, whose content is lost
 *
 * In the steady state each commit must be exactly:
 *   dsync, nvme-fua           one write with FUA
 *   link, flush, nvme-flush   one write without FUA, and one flush, submitted after it completed
 * and nothing else. The file system is told to write down what it has before, so that its journal
 * has nothing to do in the window, which is shorter than the journal's interval.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <keel/keel.h>

#include "base/clock.h"
#include "tests/lab/places.h"
#include "tests/lab/recording.h"
#include "tools/crash/command_trace.h"

#define WARM       32u
#define COMMITS    200u
#define TRACE_FILE "/tmp/commands.trace"

struct method {
    const char *name;
    unsigned fua, plain, flushes; /* of one commit */
};

static const struct method METHODS[] = {
    {"dsync", 1, 0, 0}, {"nvme-fua", 1, 0, 0},   {"link", 0, 1, 1},
    {"flush", 0, 1, 1}, {"nvme-flush", 0, 1, 1},
};
#define METHOD_COUNT (sizeof(METHODS) / sizeof(METHODS[0]))

struct counts {
    unsigned fua, plain, flushes, others;
    unsigned early; /* flushes submitted while a write was in flight */
};

struct run {
    const char *path;
    const struct method *method;
    enum keel_sync_method sync;
    struct keel_ctx *ctx;
    struct keel_store *store;
    keel_pageno page;
};

static int fail(const char *what, int rc)
{
    printf("FAILED: %s: %s, %s\n", what, keel_err_name(rc), keel_err_text(rc));
    return 1;
}

static int commit_one(struct run *run, uint32_t number)
{
    uint64_t record[16] = {number};
    struct keel_tx *tx;
    int rc = keel_tx_begin(run->ctx, run->store, NULL, &tx);
    if (rc)
        return rc;
    rc = run->page ? 0 : keel_tx_alloc(tx, &run->page);
    if (!rc)
        rc = keel_tx_write(tx, run->page, number % 16 * sizeof(record), record, sizeof(record));
    if (!rc)
        return keel_tx_commit(tx, NULL);
    keel_tx_abort(tx);
    return rc;
}

static int open_store(struct run *run)
{
    struct keel_options options = place_options(run->path);
    struct keel_err_info info = {0};
    int rc = place_ctx_open(run->path, &run->ctx);
    if (rc)
        return fail("context", rc);
    options.background = KEEL_MANUAL; /* no checkpoint comes in between */
    options.sync = run->sync;
    options.log_bytes = 16u << 20;
    rc = keel_open(run->ctx, run->path, &options, &info, &run->store);
    if (!rc)
        return 0;
    printf("%s %s\n", info.op ? info.op : "", info.object);
    return fail("open", rc);
}

static int load(struct run *run)
{
    uint64_t begin = clock_now_ns();
    int rc = 0;
    for (uint32_t i = 0; i < WARM && !rc; i++)
        rc = commit_one(run, i);
    sync(); /* so that nothing of the file system's is due in the window */
    if (!rc && !recording_start())
        return 1;
    recording_mark("commit");
    for (uint32_t i = 0; i < COMMITS && !rc; i++) {
        rc = commit_one(run, i);
        recording_mark("commit");
    }
    if (rc)
        return fail("commit", rc);
    printf("%u commits in %llu ms\n", COMMITS,
           (unsigned long long)(clock_now_ns() - begin) / 1000000);
    return !recording_stop() || !recording_save(TRACE_FILE);
}

static void count_submit(struct counts *counts, const struct command_event *event,
                         unsigned writes_in_flight)
{
    if (event->op == COMMAND_FLUSH) {
        counts->flushes++;
        counts->early += writes_in_flight > 0;
    } else if (event->op == COMMAND_WRITE && event->fua) {
        counts->fua++;
    } else if (event->op == COMMAND_WRITE) {
        counts->plain++;
    } else {
        counts->others++;
    }
}

static bool judge_commit(const struct method *method, const struct counts *counts, unsigned number)
{
    if (counts->fua == method->fua && counts->plain == method->plain &&
        counts->flushes == method->flushes && counts->others == 0 && counts->early == 0)
        return true;
    printf("FAILED: commit %u: %u FUA writes, %u plain writes, %u flushes (%u before their write "
           "completed), %u others\n",
           number, counts->fua, counts->plain, counts->flushes, counts->early, counts->others);
    return false;
}

static int judge(const struct method *method)
{
    struct command_trace trace;
    struct counts counts = {0}, all = {0};
    unsigned commits = 0, bad = 0, writes_in_flight = 0;
    int rc = command_trace_read(TRACE_FILE, &trace);
    if (rc)
        return fail("reading the trace", rc);
    for (uint32_t i = 0; i < trace.count; i++) {
        const struct command_event *event = &trace.event[i];
        if (event->kind == COMMAND_SUBMIT) {
            count_submit(&counts, event, writes_in_flight);
            writes_in_flight += event->op == COMMAND_WRITE;
        } else if (event->kind == COMMAND_COMPLETE) {
            writes_in_flight -= event->op == COMMAND_WRITE;
        } else if (strcmp(event->text, "commit") == 0) {
            bad += commits > 0 && !judge_commit(method, &counts, commits);
            all.fua += counts.fua;
            all.plain += counts.plain;
            all.flushes += counts.flushes;
            all.others += counts.others;
            counts = (struct counts){0};
            commits++;
        }
    }
    command_trace_free(&trace);
    printf("%s: %u commits: %u FUA writes, %u plain writes, %u flushes, %u others\n", method->name,
           commits - 1, all.fua, all.plain, all.flushes, all.others);
    if (commits != COMMITS + 1)
        printf("FAILED: %u commits in the trace\n", commits);
    return bad > 0 || commits != COMMITS + 1;
}

int main(int argc, char **argv)
{
    struct run run = {.path = argc > 1 ? argv[1] : NULL};
    for (unsigned i = 0; argc == 3 && i < METHOD_COUNT; i++)
        if (strcmp(argv[2], METHODS[i].name) == 0)
            run.method = &METHODS[i];
    if (!run.method || !sync_method_parse(argv[2], &run.sync)) {
        fprintf(stderr, "usage: lab_commands PATH dsync|link|flush|nvme-fua|nvme-flush\n");
        return 2;
    }
    if (open_store(&run) || load(&run))
        return 1;
    int status = judge(run.method);
    int rc = keel_close(run.ctx, run.store);
    keel_ctx_close(run.ctx);
    return rc ? fail("close", rc) : status;
}
