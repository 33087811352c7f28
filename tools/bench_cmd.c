/*
 * `keel bench JOB`: the jobs, and their options. What is measured, and how, is in bench/; the
 * report is in bench_report.c.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "bench/job.h"
#include "tools/bench_report.h"
#include "tools/cli.h"
#include "tools/commands.h"

#define BENCH_SECONDS 5
#define BENCH_ROUNDS  3 /* beside peers */

/* The options as they stand on the command line; NOT_GIVEN or NULL: not given. */
#define NOT_GIVEN INT_MIN
struct flags {
    int threads, seconds, rounds, depth, batch, hybrid, json;
    const char *path, *versus;
    const char *bs, *record, *cache, *data, *log; /* sizes */
    const char *sched, *profile, *method, *iopoll, *sqpoll, *sync, *dist, *mode, *workload,
        *durability;
};
static struct flags flags = {.threads = NOT_GIVEN,
                             .seconds = NOT_GIVEN,
                             .rounds = NOT_GIVEN,
                             .depth = NOT_GIVEN,
                             .batch = NOT_GIVEN};

struct name {
    const char *name;
    int value;
};
static const struct name scheds[] = {{"off", BENCH_SCHED_OFF},
                                     {"static", BENCH_SCHED_STATIC},
                                     {"adaptive", BENCH_SCHED_ADAPTIVE},
                                     {NULL, 0}};
static const struct name wants[] = {
    {"preferred", KEEL_PREFERRED}, {"required", KEEL_REQUIRED}, {"off", KEEL_OFF}, {NULL, 0}};
static const struct name workloads[] = {
    {"a", BENCH_YCSB_A}, {"b", BENCH_YCSB_B}, {"c", BENCH_YCSB_C}, {"f", BENCH_YCSB_F}, {NULL, 0}};
static const struct name levels[] = {{"durable", KEEL_LEVEL_DURABLE},
                                     {"written", KEEL_LEVEL_WRITTEN},
                                     {"none", KEEL_LEVEL_NONE},
                                     {NULL, 0}};
static const struct name modes[] = {
    {"optimistic", BENCH_MODE_OPTIMISTIC}, {"shared", BENCH_MODE_SHARED}, {NULL, 0}};

/* ---------------------------------------------------------------- one option */

/* Each of these leaves *ret as it is when the option was not given; 0 or CLI_USAGE. */

static int take_count(const char *command, const char *option, int given, int max, uint32_t *ret)
{
    if (given == NOT_GIVEN)
        return 0;
    *ret = (uint32_t)given;
    return cli_range(command, option, given, 1, max);
}

static int take_bytes(const char *command, const char *option, const char *text, uint64_t min,
                      uint64_t max, uint64_t *ret)
{
    if (!text)
        return 0;
    if (!cli_bytes(text, ret))
        return cli_usage(command, "%s '%s' is not a size, give bytes as 128, 4k or 64m", option,
                         text);
    return cli_range(command, option, *ret > INT64_MAX ? INT64_MAX : (long long)*ret,
                     (long long)min, (long long)max);
}

static int take_name(const char *command, const char *option, const char *text,
                     const struct name *names, int *ret)
{
    char list[96] = "";

    if (!text)
        return 0;
    for (const struct name *name = names; name->name; name++) {
        if (strcmp(name->name, text) == 0) {
            *ret = name->value;
            return 0;
        }
        size_t used = strlen(list);
        snprintf(list + used, sizeof(list) - used, "%s%s", used ? ", " : "", name->name);
    }
    return cli_usage(command, "%s: there is no '%s', give one of %s", option, text, list);
}

static int take_dist(const char *command, double *ret)
{
    char *end;

    if (!flags.dist)
        return 0;
    *ret = 0;
    if (strcmp(flags.dist, "uniform") == 0)
        return 0;
    if (strncmp(flags.dist, "zipf:", 5) == 0) {
        *ret = strtod(flags.dist + 5, &end);
        if (end != flags.dist + 5 && *end == '\0' && *ret > 0 && *ret < 10)
            return 0;
    }
    return cli_usage(command, "--dist: '%s' is neither uniform nor zipf:T, as in zipf:0.99",
                     flags.dist);
}

/* ---------------------------------------------------------------- all of them */

static int take_names(struct bench_options *options)
{
    const char *command = options->command;
    int sched = (int)options->sched, iopoll = (int)options->iopoll, mode = (int)options->mode;
    int workload = (int)options->workload, sqpoll = (int)options->sqpoll;
    int level = (int)options->level;

    if (take_name(command, "--sched", flags.sched, scheds, &sched) ||
        take_name(command, "--iopoll", flags.iopoll, wants, &iopoll) ||
        take_name(command, "--sqpoll", flags.sqpoll, wants, &sqpoll) ||
        take_name(command, "--mode", flags.mode, modes, &mode) ||
        take_name(command, "--workload", flags.workload, workloads, &workload) ||
        take_name(command, "--durability", flags.durability, levels, &level) ||
        take_dist(command, &options->zipf))
        return CLI_USAGE;
    options->sched = (enum bench_sched)sched;
    options->iopoll = (enum keel_want)iopoll;
    options->sqpoll = (enum keel_want)sqpoll;
    options->hybrid = flags.hybrid != 0;
    options->mode = (enum bench_mode)mode;
    options->workload = (enum bench_workload)workload;
    options->profile = flags.profile;
    options->level = (enum keel_level)level;
    if (flags.sync && !path_sync_parse(flags.sync, &options->sync))
        return cli_usage(command, "--sync: there is no '%s'; see --help", flags.sync);
    if (flags.method && !path_method_parse(flags.method, &options->method))
        return cli_usage(command, "--method: there is no '%s'; see --help", flags.method);
    return 0;
}

static int take_sizes(const struct bench_job *job, struct bench_options *options)
{
    const char *command = options->command;

    if (take_bytes(command, "--record", flags.record, 1, job->record_max, &options->record_bytes) ||
        take_bytes(command, "--log", flags.log, KEEL_WAL_BYTES_MIN, 1ull << 40,
                   &options->log_bytes) ||
        take_bytes(command, "--cache", flags.cache, 1u << 20, 1ull << 40, &options->cache_bytes) ||
        take_bytes(command, "--data", flags.data, 1u << 20, 1ull << 44, &options->data_bytes) ||
        take_bytes(command, "--bs", flags.bs, KEEL_BLOCK_BYTES, KEEL_IO_BYTES_MAX,
                   &options->bs_bytes))
        return CLI_USAGE;
    if (options->bs_bytes % KEEL_BLOCK_BYTES != 0)
        return cli_usage(command, "--bs is not a multiple of %u", KEEL_BLOCK_BYTES);
    return 0;
}

static int take_path(const struct bench_job *job, struct bench_options *options)
{
    struct stat st;

    if (flags.path)
        options->path = flags.path;
    bool there = stat(options->path, &st) == 0;
    if (there && (S_ISDIR(st.st_mode) || job->takes_device))
        return 0;
    return cli_usage(options->command,
                     "--path %s is not a folder%s, name one on the disk to measure", options->path,
                     job->takes_device ? ", file or device" : "");
}

static int take_options(const struct bench_job *job, struct bench_options *options,
                        uint32_t peer_count)
{
    const char *command = options->command;

    options->seconds = options->seconds ? options->seconds : BENCH_SECONDS;
    options->rounds = options->rounds ? options->rounds : peer_count ? BENCH_ROUNDS : 1;
    if (take_count(command, "--threads", flags.threads, BENCH_THREADS_MAX, &options->threads) ||
        take_count(command, "--seconds", flags.seconds, 3600, &options->seconds) ||
        take_count(command, "--rounds", flags.rounds, BENCH_ROUNDS_MAX, &options->rounds) ||
        take_count(command, "--depth", flags.depth, 4096, &options->depth) ||
        take_count(command, "--batch", flags.batch, 4096, &options->batch))
        return CLI_USAGE;
    int rc = take_sizes(job, options);
    if (!rc)
        rc = take_names(options);
    return rc ? rc : take_path(job, options);
}

static int take_peers(const struct bench_job *job, const char *command,
                      const struct bench_peer **ret, uint32_t *ret_count)
{
    char known[128] = "";

    for (const struct bench_peer *peer = job->peers; peer && peer->name; peer++) {
        size_t used = strlen(known);
        snprintf(known + used, sizeof(known) - used, "%s%s", used ? ", " : "", peer->name);
    }
    for (const char *list = flags.versus ? flags.versus : ""; *list;) {
        size_t len = strcspn(list, ",");
        const struct bench_peer *found = job->peers;
        while (found && found->name &&
               (strlen(found->name) != len || strncmp(found->name, list, len) != 0))
            found++;
        if (!found || !found->name)
            return cli_usage(command, "--vs: there is no peer '%.*s', name some of %s", (int)len,
                             list, known[0] ? known : "none: this job has no peers");
        for (uint32_t i = 0; i < *ret_count; i++) {
            if (ret[i] == found)
                return cli_usage(command, "--vs names %s twice, name it once", found->name);
        }
        KEEL_ASSERT(*ret_count < BENCH_PEERS_MAX);
        ret[(*ret_count)++] = found;
        list += len + (list[len] == ',');
    }
    return 0;
}

/* ---------------------------------------------------------------- popt */

/* Each option with the bit that a job must have to take it; 0: every job does. */
static const struct {
    unsigned bit;
    struct poptOption option;
} all_options[] = {
    {0,
     {"path", 0, POPT_ARG_STRING, &flags.path, 0, "what to measure: a folder on the disk (.)",
      "P"}},
    {0, {"seconds", 0, POPT_ARG_INT, &flags.seconds, 0, "of each round (5)", "N"}},
    {0, {"rounds", 0, POPT_ARG_INT, &flags.rounds, 0, "3 beside peers, else 1", "N"}},
    {BENCH_THREADS, {"threads", 0, POPT_ARG_INT, &flags.threads, 0, "threads", "T"}},
    {BENCH_DEPTH, {"depth", 0, POPT_ARG_INT, &flags.depth, 0, "in flight, of each thread", "D"}},
    {BENCH_BATCH, {"batch", 0, POPT_ARG_INT, &flags.batch, 0, "handed over at once", "N"}},
    {BENCH_BS, {"bs", 0, POPT_ARG_STRING, &flags.bs, 0, "bytes of a transfer", "BYTES"}},
    {BENCH_RECORD, {"record", 0, POPT_ARG_STRING, &flags.record, 0, "bytes of a record", "BYTES"}},
    {BENCH_SCHED, {"sched", 0, POPT_ARG_STRING, &flags.sched, 0, "off, static, adaptive", "MODE"}},
    {BENCH_PROFILE,
     {"profile", 0, POPT_ARG_STRING, &flags.profile, 0, "costs of the disk, from keel calibrate",
      "FILE"}},
    {BENCH_METHOD,
     {"method", 0, POPT_ARG_STRING, &flags.method, 0, "auto, uring, sync (auto)", "METHOD"}},
    {BENCH_IOPOLL,
     {"iopoll", 0, POPT_ARG_STRING, &flags.iopoll, 0, "required, preferred, off (preferred)",
      "WANT"}},
    {BENCH_HYBRID,
     {"hybrid", 0, POPT_ARG_NONE, &flags.hybrid, 0,
      "sleep before polling (IORING_SETUP_HYBRID_IOPOLL)", NULL}},
    {BENCH_SQPOLL,
     {"sqpoll", 0, POPT_ARG_STRING, &flags.sqpoll, 0, "required, preferred, off (off)", "WANT"}},
    {BENCH_SYNC,
     {"sync", 0, POPT_ARG_STRING, &flags.sync, 0, "auto, dsync, link, flush, none (auto)",
      "METHOD"}},
    {BENCH_LOG, {"log", 0, POPT_ARG_STRING, &flags.log, 0, "size of the log", "BYTES"}},
    {BENCH_CACHE,
     {"cache", 0, POPT_ARG_STRING, &flags.cache, 0, "size of the page cache", "BYTES"}},
    {BENCH_DATA, {"data", 0, POPT_ARG_STRING, &flags.data, 0, "size of the data", "BYTES"}},
    {BENCH_DIST,
     {"dist", 0, POPT_ARG_STRING, &flags.dist, 0, "uniform or zipf:T (uniform)", "DIST"}},
    {BENCH_MODE,
     {"mode", 0, POPT_ARG_STRING, &flags.mode, 0, "optimistic, shared (optimistic)", "MODE"}},
    {BENCH_WORKLOAD,
     {"workload", 0, POPT_ARG_STRING, &flags.workload, 0, "a, b, c, f of YCSB (a)", "W"}},
    {BENCH_DURABILITY,
     {"durability", 0, POPT_ARG_STRING, &flags.durability, 0,
      "what a commit waits for: durable, written, none (durable)", "LEVEL"}},
    {0, {"vs", 0, POPT_ARG_STRING, &flags.versus, 0, "peers to run in turn", "PEER,..."}},
    {0, {"json", 0, POPT_ARG_NONE, &flags.json, 0, "one JSON object on stdout", NULL}},
};
#define ALL_COUNT (sizeof(all_options) / sizeof(all_options[0]))

static int parse(const struct bench_job *job, int argc, const char **argv)
{
    struct poptOption table[ALL_COUNT + 2];
    const struct poptOption ends[] = {POPT_AUTOHELP POPT_TABLEEND};
    size_t count = 0;

    for (size_t i = 0; i < ALL_COUNT; i++) {
        if ((all_options[i].bit & ~job->takes) == 0)
            table[count++] = all_options[i].option;
    }
    memcpy(&table[count], ends, sizeof(ends));
    return cli_parse(argc, argv, table, "", NULL, 0) < 0 ? CLI_USAGE : 0;
}

static int run_job(const struct bench_job *job, int argc, const char **argv)
{
    static struct bench_report report;
    const struct bench_peer *peers[BENCH_PEERS_MAX];
    struct bench_options options = job->defaults;
    uint32_t peer_count = 0;

    options.command = argv[0];
    options.path = ".";
    int status = parse(job, argc, argv);
    if (!status)
        status = take_peers(job, argv[0], peers, &peer_count);
    if (!status)
        status = take_options(job, &options, peer_count);
    if (!status)
        status = bench_rounds(job, &options, peers, peer_count, &report);
    if (!status && flags.json)
        status = bench_report_json(job, &options, &report, peer_count);
    else if (!status)
        bench_report_print(job, &options, &report, peer_count);
    json_decref(report.extra);
    return status;
}

static int list_jobs(void)
{
    printf("Usage: keel bench JOB [OPTION...]\n\n");
    for (const struct bench_job *const *job = bench_jobs; *job; job++)
        printf("  %-11s %s\n", (*job)->name, (*job)->summary);
    printf("\nkeel bench JOB --help has the options of each.\n");
    return CLI_OK;
}

int bench_main(int argc, const char **argv)
{
    static char command[64];

    if (argc < 2)
        return cli_usage(argv[0], "no job given");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0)
        return list_jobs();
    for (const struct bench_job *const *job = bench_jobs; *job; job++) {
        if (strcmp((*job)->name, argv[1]) == 0) {
            snprintf(command, sizeof(command), "keel bench %s", argv[1]);
            argv[1] = command;
            return run_job(*job, argc - 1, argv + 1);
        }
    }
    return cli_usage(argv[0], "there is no job '%s'", argv[1]);
}
