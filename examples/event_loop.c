/*
 * keel inside a host's own event loop: no thread of keel's, and once the store is open no call that
 * waits. The loop here is epoll; any other that watches a file descriptor does as well.
 *
 *   example_event_loop FOLDER
 */
#include <keel/keel.h>

#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#define JOBS 64u

/* One durable change, on its way. */
struct job {
    struct keel_tx *tx;
    keel_pageno page; /* 0: none yet; page 0 is the store's own */
    bool written;
    struct keel_commit commit;
};

static unsigned answered;

static void job_durable(struct keel_commit *commit)
{
    if (commit->res == 0)
        answered++;
}

/* Go on where the job stands. KEEL_PENDING: the same again after the next turn of the loop. */
static int job_advance(struct keel_ctx *ctx, struct keel_store *store, struct job *job)
{
    struct keel_tx_options options = KEEL_TX_OPTIONS_DEFAULT;
    int rc = 0;

    options.nowait = true;
    if (!job->tx)
        rc = keel_tx_begin(ctx, store, &options, &job->tx);
    if (!rc && job->page == 0)
        rc = keel_tx_alloc(job->tx, &job->page);
    if (!rc && !job->written) {
        rc = keel_tx_write(job->tx, job->page, 0, "hello", 5);
        job->written = rc == 0;
    }
    if (rc)
        return rc; /* an error ends the program, and closing needs the transaction gone: see below
                    */
    job->commit.done = job_durable;
    rc = keel_tx_commit_async(job->tx, &job->commit);
    if (rc != KEEL_PENDING)
        job->tx = NULL;
    return rc;
}

/* The host's loop: its own descriptors would stand beside keel's in `loop`. */
static int run(struct keel_ctx *ctx, struct keel_store *store, int loop, struct job *jobs)
{
    unsigned next = 0;

    while (answered < JOBS) {
        struct epoll_event event;
        int rc = 0;

        while (next < JOBS && rc == 0) {
            rc = job_advance(ctx, store, &jobs[next]);
            if (rc == 0)
                next++;
        }
        if (rc != 0 && rc != KEEL_PENDING)
            return rc;
        int more = keel_tick(ctx, store); /* write-back and checkpoints, a little at a time */
        if (more < 0)
            return more;
        epoll_wait(loop, &event, 1, more ? 0 : -1);
        rc = keel_ctx_poll(ctx, 0, 0); /* callbacks run here, and nowhere else */
        if (rc < 0)
            return rc;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct keel_options options = KEEL_OPTIONS_DEFAULT;
    struct epoll_event event = {.events = EPOLLIN};
    struct keel_store *store = NULL;
    struct keel_ctx *ctx = NULL;
    static struct job jobs[JOBS];

    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }

    options.background = KEEL_MANUAL;
    int loop = epoll_create1(EPOLL_CLOEXEC);
    int rc = keel_ctx_open(NULL, &ctx);
    if (!rc)
        rc = keel_open(ctx, argv[1], &options, NULL, &store);
    int fd = rc ? rc : keel_ctx_fd(ctx);
    if (!rc && fd < 0)
        rc = fd;
    if (!rc && epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event) == 0)
        rc = run(ctx, store, loop, jobs);
    for (unsigned i = 0; i < JOBS; i++) {
        if (jobs[i].tx)
            keel_tx_abort(jobs[i].tx);
    }
    if (store) {
        int closed = keel_close(ctx, store);
        rc = rc ? rc : closed;
    }
    keel_ctx_close(ctx);
    close(loop);

    if (rc)
        fprintf(stderr, "%s: %s\n", keel_err_name(rc), keel_err_text(rc));
    else
        printf("%u of %u are durable\n", answered, JOBS);
    return rc || answered != JOBS ? 1 : 0;
}
