/*
 * sim_crash: the crash proof, many seeds on all processors.
 *
 * The parent forks workers, which draw seeds from a shared counter and prove them one by one
 * (proof.h); what they count and where they are lies in memory shared with the parent, so that a
 * worker that dies in an assertion is reported with the seed and event it died at.
 *
 * Exit: 0 proved, 1 violation or a kind of crash never reached, 2 wrong usage. With --bug, 1 says
 * that the bug was caught.
 */
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/bug.h"
#include "tests/sim/proof.h"

#define JOBS_MAX       256u
#define SEEDS_DEFAULT  100u
#define COVERAGE_SEEDS 24u /* fewer seeds than this need not reach every kind */

struct options {
    uint64_t seeds, first, jobs, seconds, event, mode;
    enum seeded_bug bug;
    bool verbose;
};

struct worker {
    struct coverage coverage;
    struct progress progress;
};

struct shared {
    _Atomic uint64_t next_seed; /* workers draw from it */
    _Atomic bool stop;          /* a violation was found */
    struct worker worker[JOBS_MAX];
};

static double seconds_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void usage(FILE *file)
{
    fputs("usage: sim_crash [--seeds N] [--first S] [--jobs J] [--seconds LIMIT] [--verbose]\n"
          "                 [--bug NAME] [--seed S [--event E] [--mode 0-3]]\n"
          "  --seed S  replay one seed, or one cut of it\n"
          "  --bug     plant a known bug; exit status 1 says that it was caught:\n",
          file);
    for (unsigned i = 1; i < SEEDED_BUG_COUNT; i++)
        fprintf(file, "    %-30s %s\n", seeded_bug_name((enum seeded_bug)i),
                seeded_bug_text((enum seeded_bug)i));
}

static bool parse_number(const char *text, uint64_t *ret)
{
    char *end;

    if (!text || *text < '0' || *text > '9')
        return false;
    *ret = strtoull(text, &end, 10);
    return *end == '\0';
}

static bool parse_bug(const char *text, enum seeded_bug *ret)
{
    *ret = text ? seeded_bug_find(text) : SEEDED_BUG_NONE;
    return *ret != SEEDED_BUG_NONE;
}

static bool parse(int argc, char **argv, struct options *options)
{
    struct {
        const char *name;
        uint64_t *value;
    } numbers[] = {{"--seeds", &options->seeds}, {"--first", &options->first},
                   {"--jobs", &options->jobs},   {"--seconds", &options->seconds},
                   {"--event", &options->event}, {"--mode", &options->mode}};

    for (int i = 1; i < argc; i++) {
        bool known = false;
        for (size_t k = 0; k < sizeof(numbers) / sizeof(numbers[0]); k++)
            if (strcmp(argv[i], numbers[k].name) == 0)
                known = parse_number(argv[++i], numbers[k].value);
        if (known)
            continue;
        if (strcmp(argv[i], "--help") == 0) {
            usage(stdout);
            exit(0);
        }
        if (strcmp(argv[i], "--verbose") == 0) {
            options->verbose = true;
        } else if (strcmp(argv[i], "--seed") == 0 && parse_number(argv[i + 1], &options->first)) {
            options->seeds = options->jobs = 1;
            i++;
        } else if (strcmp(argv[i], "--bug") == 0 && parse_bug(argv[i + 1], &options->bug)) {
            i++;
        } else {
            return false;
        }
    }
    return options->jobs >= 1 && options->jobs <= JOBS_MAX;
}

static int work(struct shared *shared, struct worker *worker, const struct options *options,
                double end)
{
    struct proof *proof = proof_create(&worker->coverage, &worker->progress);
    int status = 0;

    proof_restrict(proof, options->event, options->mode);
    while (!atomic_load(&shared->stop) && seconds_now() < end) {
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
            printf("VIOLATION %s\n", text);
            printf("  replay: sim_crash%s%s --seed %llu --event %llu --mode %u\n",
                   options->bug ? " --bug " : "", options->bug ? seeded_bug_name(options->bug) : "",
                   (unsigned long long)worker->progress.seed,
                   (unsigned long long)worker->progress.event, worker->progress.mode);
            atomic_store(&shared->stop, true);
            status = 1;
        }
        fflush(stdout);
    }
    proof_destroy(proof);
    return status;
}

/* Wait for the workers; one that died is a violation where it stood. */
static void reap(struct shared *shared, const pid_t *pids, uint64_t jobs)
{
    for (uint64_t i = 0; i < jobs; i++) {
        struct worker *worker = &shared->worker[i];
        int status;
        if (waitpid(pids[i], &status, 0) != pids[i] || WIFEXITED(status))
            continue;
        worker->coverage.violations++;
        atomic_store(&shared->stop, true);
        printf("VIOLATION seed %llu, event %llu, mode %u, %s: died of signal %d\n",
               (unsigned long long)worker->progress.seed,
               (unsigned long long)worker->progress.event, worker->progress.mode,
               worker->progress.phase, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    }
}

/* Print the sums; true when every kind that must be reached was. */
static bool report(const struct shared *shared, const struct options *options, double seconds,
                   uint64_t *ret_violations)
{
    static const struct {
        size_t offset;
        bool must;
        const char *text;
    } rows[] = {
#define COVERAGE_ROW(name, must, text) {offsetof(struct coverage, name), must, text},
        COVERAGE(COVERAGE_ROW)
#undef COVERAGE_ROW
    };
    bool complete = true;

    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        uint64_t sum = 0;
        for (uint64_t i = 0; i < options->jobs; i++) {
            uint64_t value;
            memcpy(&value, (const char *)&shared->worker[i].coverage + rows[r].offset,
                   sizeof(value));
            sum += value;
        }
        bool missing = rows[r].must && sum == 0;
        printf("%12llu  %s%s\n", (unsigned long long)sum, rows[r].text,
               missing ? "  <- never reached" : "");
        complete &= !missing;
        *ret_violations = sum; /* the last row */
    }
    printf("%12.1f  seconds\n", seconds);
    return complete;
}

int main(int argc, char **argv)
{
    struct options options = {.seeds = SEEDS_DEFAULT, .event = PROOF_ANY, .mode = PROOF_ANY};
    pid_t pids[JOBS_MAX];

    options.jobs = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
    if (!parse(argc, argv, &options)) {
        usage(stderr);
        return 2;
    }
#ifdef KEEL_SEEDED_BUGS
    keel_seeded_bug = options.bug;
#else
    if (options.bug) {
        fputs("sim_crash: the library was built without seeded bugs\n", stderr);
        return 2;
    }
#endif

    struct shared *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        perror("sim_crash: mmap");
        return 1;
    }
    atomic_store(&shared->next_seed, options.first);
    double begin = seconds_now();
    double end = options.seconds ? begin + (double)options.seconds : begin + 1e9;
    for (uint64_t i = 0; i < options.jobs; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            _exit(work(shared, &shared->worker[i], &options, end));
        if (pids[i] < 0) {
            perror("sim_crash: fork");
            return 1;
        }
    }
    reap(shared, pids, options.jobs);

    uint64_t violations;
    bool complete = report(shared, &options, seconds_now() - begin, &violations);
    bool demanded = options.seeds >= COVERAGE_SEEDS && !options.bug && !options.seconds;
    return violations || (demanded && !complete) ? 1 : 0;
}
