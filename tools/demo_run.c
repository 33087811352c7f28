/*
 * Parent's side of the load.
 *
 * The pipe's write end lives in the worker alone, so end-of-file means that the worker is dead and
 * every acknowledgement it wrote has been read. Acknowledgements are smaller than PIPE_BUF and all
 * of one size, so each read gives whole ones. The parent looks at the pipe every few milliseconds
 * instead of being woken by each message, which would cost the worker's processor time.
 */
#include "tools/demo_run.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "tools/cli.h"
#include "tools/commands.h"

#define PIPE_BYTES    (1 << 20)
#define TURN_NS       (4 * 1000 * 1000)
#define PROGRESS_NS   (200ull * 1000 * 1000)
#define OPEN_SECONDS  120
#define NS_PER_SECOND 1000000000ull
#define NS_PER_MS     1000000ull
#define ACKS_PER_READ 4096

struct child {
    pid_t pid;
    int pipe; /* read end, nonblocking */
    int memfd;
};

static void nap(void)
{
    struct timespec pause = {.tv_nsec = TURN_NS};
    nanosleep(&pause, NULL);
}

/* In the child. Descriptors that the worker inherits lose close-on-exec; it leads a session of its
 * own, so that the terminal's signals reach the demo alone. */
static void __attribute__((noreturn)) become_worker(const struct demo_run *run, int memfd, int pipe)
{
    char writers[16], memory[16], out[16];
    snprintf(writers, sizeof(writers), "%u", run->writers);
    snprintf(memory, sizeof(memory), "%d", memfd);
    snprintf(out, sizeof(out), "%d", pipe);
    setsid();
    fcntl(memfd, F_SETFD, 0);
    fcntl(pipe, F_SETFD, 0);
    execl("/proc/self/exe", "keel", DEMO_WORKER_NAME, run->path, writers, memory, out,
          (char *)NULL);
    _exit(127);
}

static int start_child(struct demo_run *run, struct child *child)
{
    int fds[2];
    *child = (struct child){.pipe = -1};
    child->memfd = memfd_create("keel-demo", MFD_CLOEXEC);
    if (child->memfd < 0 || ftruncate(child->memfd, (off_t)sizeof(*run->shared)))
        return cli_fail(run->command, "shared memory: %s", strerror(errno));
    void *shared =
        mmap(NULL, sizeof(*run->shared), PROT_READ | PROT_WRITE, MAP_SHARED, child->memfd, 0);
    if (shared == MAP_FAILED)
        return cli_fail(run->command, "shared memory: %s", strerror(errno));
    run->shared = shared;
    run->shared->shared_namespace = run->shared_namespace;
    for (uint32_t w = 0; w < DEMO_WRITERS_MAX; w++)
        atomic_store(&run->shared->attempted[w], run->acked[w]);

    if (pipe2(fds, O_CLOEXEC))
        return cli_fail(run->command, "pipe: %s", strerror(errno));
    child->pipe = fds[0];
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    fcntl(fds[0], F_SETPIPE_SZ, PIPE_BYTES); /* a smaller one is only slower */
    fflush(NULL);
    child->pid = fork();
    if (child->pid == 0)
        become_worker(run, child->memfd, fds[1]);
    close(fds[1]);
    return child->pid > 0 ? 0 : cli_fail(run->command, "fork: %s", strerror(errno));
}

enum pipe_end { PIPE_OPEN, PIPE_ENDED, PIPE_BAD };

/* Take what is in the pipe. Each writer's acknowledgements must come without gaps. */
static enum pipe_end drain(struct demo_run *run, int fd)
{
    static struct demo_ack acks[ACKS_PER_READ];
    for (;;) {
        ssize_t len = read(fd, acks, sizeof(acks));
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0)
            return errno == EAGAIN ? PIPE_OPEN : PIPE_BAD;
        if (len == 0)
            return PIPE_ENDED;
        KEEL_ASSERT((size_t)len % sizeof(acks[0]) == 0);
        for (size_t i = 0; i < (size_t)len / sizeof(acks[0]); i++) {
            if (acks[i].writer >= run->writers || acks[i].seq != run->acked[acks[i].writer] + 1)
                return PIPE_BAD;
            run->acked[acks[i].writer] = acks[i].seq;
            run->acked_total++;
        }
    }
}

/* Until the worker has opened the store and its threads run. False: it is dead or failed. */
static bool wait_running(struct demo_run *run, const struct child *child)
{
    uint64_t deadline = clock_now_ns() + OPEN_SECONDS * NS_PER_SECOND;
    for (;;) {
        /* acquire: pairs with the worker's release store of state */
        uint32_t state = atomic_load_explicit(&run->shared->state, memory_order_acquire);
        if (state != DEMO_OPENING)
            return state == DEMO_RUNNING;
        if (clock_now_ns() > deadline || drain(run, child->pipe) != PIPE_OPEN)
            return false;
        nap();
    }
}

/* Returns true when the time is over and the worker is alive and well. */
static bool watch_load(struct demo_run *run, const struct child *child)
{
    uint64_t begin = clock_now_ns();
    uint64_t deadline = begin + run->load_ms * NS_PER_MS;
    uint64_t shown = begin, shown_acked = 0;
    char total[32], rate[32];
    for (;;) {
        enum pipe_end end = drain(run, child->pipe);
        uint64_t now = clock_now_ns();
        run->load_ns = now - begin;
        if (end != PIPE_OPEN || atomic_load(&run->shared->state) != DEMO_RUNNING)
            return false;
        if (run->turn && !run->turn(run->turn_arg, run->acked))
            return true; /* it lives, and is killed a little earlier */
        if (now >= deadline)
            return true;
        if (now - shown >= PROGRESS_NS) {
            uint64_t per_s = (run->acked_total - shown_acked) * NS_PER_SECOND / (now - shown);
            cli_progress("%5.1f of %.1f s  %s transactions acknowledged  %s/s",
                         (double)run->load_ns / 1e9, run->load_ms / 1e3,
                         cli_count(run->acked_total, total), cli_count(per_s, rate));
            shown = now;
            shown_acked = run->acked_total;
        }
        nap();
    }
}

/* Kill it, if it still lives, and read the pipe to its end. Ends because the only writer is dead.
 */
static int finish_child(struct demo_run *run, const struct child *child)
{
    int status;
    kill(child->pid, SIGKILL);
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
        ;
    enum pipe_end end;
    while ((end = drain(run, child->pipe)) == PIPE_OPEN)
        nap();
    run->killed &= WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    cli_progress_end();
    if (end == PIPE_BAD)
        return cli_fail(run->command, "the worker acknowledged out of order");
    if (run->killed)
        return 0;
    if (atomic_load(&run->shared->state) == DEMO_FAILED)
        cli_error(run->command, run->shared->error_at, run->shared->error, NULL);
    else
        cli_fail(run->command, "the worker ended by itself with status 0x%x", (unsigned)status);
    return 0;
}

/* A writer that was killed while it counted leaves count and buckets apart by one. */
static void mend_latencies(struct demo_run *run)
{
    for (uint32_t w = 0; w < run->writers; w++) {
        struct hist *hist = &run->shared->latency[w];
        hist->count = 0;
        for (size_t i = 0; i < HIST_BUCKETS; i++)
            hist->count += hist->bucket[i];
    }
}

int demo_run_load(struct demo_run *run)
{
    struct child child;
    struct disk disk;
    KEEL_ASSERT(run->writers >= 1 && run->writers <= DEMO_WRITERS_MAX);
    run->shared = NULL;
    run->acked_total = 0;
    int rc = start_child(run, &child);
    if (rc)
        goto out;

    cli_progress("opening the store in a process of its own");
    bool running = wait_running(run, &child);
    if (disk_find(run->path, &disk))
        disk.found = false;
    disk_counts(&disk, &run->before);
    run->killed = running && watch_load(run, &child);
    rc = finish_child(run, &child);
    disk_counts(&disk, &run->after);
    mend_latencies(run);
out:
    if (child.pipe >= 0)
        close(child.pipe);
    if (child.memfd >= 0)
        close(child.memfd);
    return rc;
}

void demo_run_end(struct demo_run *run)
{
    if (run->shared)
        munmap(run->shared, sizeof(*run->shared));
    run->shared = NULL;
}
