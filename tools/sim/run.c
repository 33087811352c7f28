/*
 * Forking workers, and adding up what they found.
 */
#include "tools/sim/run.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"

#define SHOW_NS 200000000

struct worker {
    struct coverage coverage;
    struct progress progress;
    char violation[512];
};

struct shared {
    _Atomic uint64_t next_seed; /* workers draw from it */
    _Atomic bool stop;          /* a violation was found */
    struct worker worker[SIM_JOBS_MAX];
};

static int work(struct shared *shared, struct worker *worker, const struct sim_options *options,
                uint64_t end_ns)
{
    struct proof *proof = proof_create(&worker->coverage, &worker->progress);
    int status = 0;

    proof_restrict(proof, options->event, options->mode);
    while (!atomic_load(&shared->stop) && clock_now_ns() < end_ns) {
        uint64_t seed = atomic_fetch_add(&shared->next_seed, 1);
        if (seed >= options->first + options->seeds)
            break;

        const char *text;
        bool good = proof_seed(proof, seed, &text);
        if (options->verbose)
            printf("seed %llu: %s, %llu states so far\n", (unsigned long long)seed,
                   good ? "good" : "violation", (unsigned long long)worker->coverage.states);
        if (!good) {
            worker->coverage.violations++;
            snprintf(worker->violation, sizeof(worker->violation), "%s", text);
            atomic_store(&shared->stop, true);
            status = 1;
        }
        fflush(stdout);
    }
    proof_destroy(proof);
    return status;
}

/* One that died is a violation where it stood. */
static void died(struct shared *shared, struct worker *worker, int status)
{
    const struct progress *at = &worker->progress;

    worker->coverage.violations++;
    snprintf(worker->violation, sizeof(worker->violation),
             "seed %llu, event %llu, mode %u, %s: died of signal %d", (unsigned long long)at->seed,
             (unsigned long long)at->event, at->mode, at->phase,
             WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    atomic_store(&shared->stop, true);
}

static uint64_t states_of(const struct shared *shared, uint64_t jobs)
{
    uint64_t states = 0;

    for (uint64_t i = 0; i < jobs; i++)
        states += shared->worker[i].coverage.states;
    return states;
}

/* Wait for the workers. */
static void reap(struct shared *shared, const pid_t *pids, uint64_t begun,
                 const struct sim_options *options)
{
    struct timespec pause = {.tv_nsec = SHOW_NS / 10};
    bool over[SIM_JOBS_MAX] = {false};
    uint64_t left = begun, turn = 0;

    while (left > 0) {
        for (uint64_t i = 0; i < begun; i++) {
            int status;
            if (over[i] || waitpid(pids[i], &status, WNOHANG) != pids[i])
                continue;
            over[i] = true;
            left--;
            if (!WIFEXITED(status))
                died(shared, &shared->worker[i], status);
        }
        if (left > 0)
            nanosleep(&pause, NULL);
        if (options->show && turn++ % 10 == 0)
            options->show(atomic_load(&shared->next_seed) - options->first,
                          states_of(shared, begun));
    }
}

/* What the rows are, for adding up and printing. */
static const struct {
    size_t offset;
    bool must;
    const char *text;
} rows[] = {
#define COVERAGE_ROW(name, must, text) {offsetof(struct coverage, name), must, text},
    COVERAGE(COVERAGE_ROW)
#undef COVERAGE_ROW
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static uint64_t row_value(const struct coverage *coverage, size_t row)
{
    uint64_t value;

    memcpy(&value, (const char *)coverage + rows[row].offset, sizeof(value));
    return value;
}

static void add_up(const struct shared *shared, uint64_t jobs, struct sim_report *ret)
{
    ret->complete = true;
    for (size_t row = 0; row < ROWS; row++) {
        uint64_t sum = 0;
        for (uint64_t i = 0; i < jobs; i++)
            sum += row_value(&shared->worker[i].coverage, row);
        memcpy((char *)&ret->sum + rows[row].offset, &sum, sizeof(sum));
        ret->complete &= !rows[row].must || sum > 0;
    }
    for (uint64_t i = 0; i < jobs; i++) {
        const struct worker *worker = &shared->worker[i];
        if (!worker->violation[0] || ret->violation[0])
            continue;
        snprintf(ret->violation, sizeof(ret->violation), "%s", worker->violation);
        ret->at = worker->progress;
    }
}

int sim_run(const struct sim_options *options, struct sim_report *ret)
{
    pid_t pids[SIM_JOBS_MAX];
    uint64_t begin = clock_now_ns(), begun = 0;
    int error = 0;

    KEEL_ASSERT(options->jobs >= 1 && options->jobs <= SIM_JOBS_MAX);
    *ret = (struct sim_report){0};
    struct shared *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return -errno;
    atomic_store(&shared->next_seed, options->first);
    uint64_t end = options->seconds ? begin + options->seconds * 1000000000u : UINT64_MAX;
    fflush(NULL);
    for (; begun < options->jobs; begun++) {
        pids[begun] = fork();
        if (pids[begun] == 0)
            _exit(work(shared, &shared->worker[begun], options, end));
        if (pids[begun] < 0) {
            error = -errno;
            atomic_store(&shared->stop, true);
            break;
        }
    }
    reap(shared, pids, begun, options);
    add_up(shared, begun, ret);
    ret->seconds = (double)(clock_now_ns() - begin) / 1e9;
    munmap(shared, sizeof(*shared));
    return error;
}

void sim_print_coverage(const struct sim_report *report)
{
    for (size_t row = 0; row < ROWS; row++) {
        uint64_t sum = row_value(&report->sum, row);
        printf("%12llu  %s%s\n", (unsigned long long)sum, rows[row].text,
               rows[row].must && sum == 0 ? "  <- never reached" : "");
    }
    printf("%12.1f  seconds\n", report->seconds);
}
