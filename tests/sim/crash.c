/*
 * sim_crash: the crash proof, many seeds on all processors, and with seeded bugs that it must
 * catch. What runs is tools/sim/run.h, which is `keel crash sim` too; this program is linked with a
 * library that has the bugs of base/bug.h in it.
 *
 * Exit: 0 proved, 1 violation or a kind of crash never reached, 2 wrong usage. With --bug, 1 says
 * that the bug was caught.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bug.h"
#include "tests/support/share.h"
#include "tools/sim/run.h"

#define SEEDS_DEFAULT TEST_SHARE(40u)

struct options {
    struct sim_options sim;
    enum seeded_bug bug;
};

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
    } numbers[] = {{"--seeds", &options->sim.seeds}, {"--first", &options->sim.first},
                   {"--jobs", &options->sim.jobs},   {"--seconds", &options->sim.seconds},
                   {"--event", &options->sim.event}, {"--mode", &options->sim.mode}};

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
            options->sim.verbose = true;
        } else if (strcmp(argv[i], "--seed") == 0 &&
                   parse_number(argv[i + 1], &options->sim.first)) {
            options->sim.seeds = options->sim.jobs = 1;
            i++;
        } else if (strcmp(argv[i], "--bug") == 0 && parse_bug(argv[i + 1], &options->bug)) {
            i++;
        } else {
            return false;
        }
    }
    return options->sim.jobs >= 1 && options->sim.jobs <= SIM_JOBS_MAX;
}

int main(int argc, char **argv)
{
    struct options options = {
        .sim = {.seeds = SEEDS_DEFAULT, .event = PROOF_ANY, .mode = PROOF_ANY}};
    struct sim_report report;

    options.sim.jobs = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
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

    int rc = sim_run(&options.sim, &report);
    if (rc) {
        fprintf(stderr, "sim_crash: %s\n", strerror(-rc));
        return 1;
    }
    if (report.violation[0]) {
        printf("VIOLATION %s\n", report.violation);
        printf("  replay: sim_crash%s%s --seed %llu --event %llu --mode %u\n",
               options.bug ? " --bug " : "", options.bug ? seeded_bug_name(options.bug) : "",
               (unsigned long long)report.at.seed, (unsigned long long)report.at.event,
               report.at.mode);
    }
    sim_print_coverage(&report);
    bool demanded = options.sim.seeds >= SIM_COVERAGE_SEEDS && !options.bug && !options.sim.seconds;
    return report.sum.violations || (demanded && !report.complete) ? 1 : 0;
}
