/*
 * Which states there are: after every event, one that lost everything volatile and one that kept
 * all of it, and as many random subsets and random tears as it takes to have the number wanted.
 * What is drawn for a state follows from the seed, the event, the mode and the number of the draw,
 * so each can be made again alone.
 *
 * Each process takes every n-th event; the simulation and its contents are shared by fork.
 */
#include "tools/crash/replay.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/prng.h"
#include "tools/cli.h"

#define PROGRESS_EVENTS 64u

struct place {
    uint64_t event;
    uint32_t mode, draw;
};

/* By one process; read by the parent when it has ended. */
struct job {
    uint64_t states, violations;
    struct place at, first; /* where it is; of the first violation */
    int rc;
    char why[CRASH_WHY_BYTES]; /* of the first violation */
};

struct shared {
    _Atomic uint64_t states; /* for the progress line */
    struct job job[REPLAY_JOBS_MAX];
};

static uint64_t draw_seed(uint64_t seed, const struct place *at)
{
    struct prng prng;
    prng_seed(&prng, seed * 1000003u + at->event * 4099u + at->mode * 65537u + at->draw);
    return prng_u64(&prng);
}

static uint32_t draws_of(const struct crash_history *history, const struct replay_options *options)
{
    uint64_t events = history->event_last - history->event_first + 1;
    uint64_t draws = 1;
    while (events * (2 + 2 * draws) < options->states)
        draws++;
    return (uint32_t)draws;
}

static bool wanted(uint64_t only, uint64_t value)
{
    return only == REPLAY_ANY || only == value;
}

/* The state of the place where the job is. */
static int judge(const struct crash_history *history, const struct replay_options *options,
                 struct crash_check *check, struct job *job)
{
    const struct place *at = &job->at;
    struct keel_sim *state;
    char why[CRASH_WHY_BYTES];
    struct keel_sim_options sim = KEEL_SIM_OPTIONS_DEFAULT;
    sim.atomic_write_bytes = history->disk.untorn_bytes;
    int rc = keel_sim_cut(history->sim, at->event, (enum keel_cut_mode)at->mode,
                          draw_seed(options->seed, at), &sim, NULL, &state);
    if (rc)
        return rc;
    rc = crash_check_run(check, state, at->event, at->mode, at->draw, why);
    keel_sim_destroy(state);
    if (rc < 0)
        return rc;
    job->states++;
    if (rc == 0 && job->violations++ == 0) {
        job->first = job->at;
        memcpy(job->why, why, sizeof(job->why));
    }
    return 0;
}

static int judge_event(const struct crash_history *history, const struct replay_options *options,
                       struct crash_check *check, struct job *job, uint32_t draws)
{
    struct place *at = &job->at;
    for (at->mode = 0; at->mode < KEEL_CUT_MODES; at->mode++) {
        uint32_t count = at->mode == KEEL_CUT_SUBSET || at->mode == KEEL_CUT_TORN ? draws : 1;
        if (!wanted(options->mode, at->mode))
            continue;
        for (at->draw = 0; at->draw < count; at->draw++) {
            int rc = wanted(options->draw, at->draw) ? judge(history, options, check, job) : 0;
            if (rc)
                return rc;
        }
    }
    return 0;
}

static int make_check(const struct crash_history *history, const struct replay_options *options,
                      const char *folder, struct crash_check **ret)
{
    if (options->command)
        return crash_check_command(history, options->command, folder, ret);
    return crash_check_store(history, ret);
}

static void work(const struct crash_history *history, const struct replay_options *options,
                 const char *folder, struct shared *shared, uint32_t index)
{
    struct job *job = &shared->job[index];
    struct crash_check *check = NULL;
    uint32_t draws = draws_of(history, options);

    job->rc = make_check(history, options, folder, &check);
    for (uint64_t event = history->event_first + index; event <= history->event_last && !job->rc;
         event += options->jobs) {
        uint64_t before = job->states;
        if (!wanted(options->event, event))
            continue;
        job->at.event = event;
        job->rc = judge_event(history, options, check, job, draws);
        atomic_fetch_add(&shared->states, job->states - before);
        if (index == 0 && event / options->jobs % PROGRESS_EVENTS == 0)
            cli_progress("%" PRIu64 " states", atomic_load(&shared->states));
    }
    crash_check_free(check);
}

/* Sums of the jobs, and the earliest violation. */
static int sum(const struct shared *shared, uint32_t jobs, struct replay_report *ret, char why[256])
{
    const struct job *first = NULL;
    for (uint32_t i = 0; i < jobs; i++) {
        const struct job *job = &shared->job[i];
        if (job->rc) {
            snprintf(why, 256, "event %" PRIu64 ": %.120s (%s)", job->at.event,
                     keel_err_text(job->rc), keel_err_name(job->rc));
            return job->rc;
        }
        ret->states += job->states;
        ret->violations += job->violations;
        if (job->violations > 0 && (!first || job->first.event < first->first.event))
            first = job;
    }
    if (first) {
        ret->event = first->first.event;
        ret->mode = first->first.mode;
        ret->draw = first->first.draw;
        memcpy(ret->why, first->why, sizeof(ret->why));
    }
    return 0;
}

/* The folders of a user's command lie in memory where there is such a place. */
static int make_folder(const struct replay_options *options, char ret[64])
{
    snprintf(ret, 64, "%s/keel-crash.XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : ".");
    if (!options->command)
        return 0;
    return mkdtemp(ret) ? 0 : -errno;
}

static void reap(struct shared *shared, const pid_t *pids, uint32_t jobs)
{
    for (uint32_t i = 0; i < jobs; i++) {
        int status;
        if (pids[i] <= 0 || waitpid(pids[i], &status, 0) != pids[i])
            continue;
        struct job *job = &shared->job[i];
        if (!WIFSIGNALED(status))
            continue;
        /* A check that dies of a state has found something. */
        if (job->violations++ > 0)
            continue;
        job->first = job->at;
        snprintf(job->why, sizeof(job->why), "the check died of signal %d", WTERMSIG(status));
    }
}

static void remove_folder(const char *folder)
{
    char line[96];
    snprintf(line, sizeof(line), "rm -rf '%.63s'", folder);
    if (system(line) != 0)
        fprintf(stderr, "keel crash: %s stays\n", folder);
}

int replay_run(const struct crash_history *history, const struct replay_options *options,
               struct replay_report *ret, char why[256])
{
    pid_t pids[REPLAY_JOBS_MAX] = {0};
    char folder[REPLAY_JOBS_MAX][64];
    uint64_t begin = clock_now_ns();
    int rc = 0;

    KEEL_ASSERT(options->jobs >= 1 && options->jobs <= REPLAY_JOBS_MAX);
    *ret = (struct replay_report){0};
    struct shared *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return -errno;
    fflush(NULL);
    uint32_t started = 0;
    for (; started < options->jobs && !rc; started++) {
        rc = make_folder(options, folder[started]);
        if (rc)
            break;
        pids[started] = fork();
        if (pids[started] < 0)
            rc = -errno;
        if (pids[started] == 0) {
            work(history, options, folder[started], shared, started);
            _exit(0);
        }
    }
    reap(shared, pids, started);
    for (uint32_t i = 0; i < started && options->command; i++)
        remove_folder(folder[i]);
    cli_progress_end();
    if (!rc)
        rc = sum(shared, started, ret, why);
    else
        snprintf(why, 256, "%.200s", keel_err_text(rc));
    munmap(shared, sizeof(*shared));
    ret->seconds = (double)(clock_now_ns() - begin) / 1e9;
    return rc;
}
