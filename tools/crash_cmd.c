/*
 * `keel crash`: finds the action; and `keel crash replay LOG`: crash states of a recording, each
 * judged.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/cli.h"
#include "tools/commands.h"
#include "tools/crash/replay.h"

static const char *const MODE_NAMES[KEEL_CUT_MODES] = {"lose-all", "keep-all", "subset", "torn"};

struct replay_args {
    const char *trace, *check, *size, *untorn, *mode;
    long long states, seed, event, draw;
    int jobs, json;
};

static json_t *report_json(const struct crash_history *history, const struct replay_report *report)
{
    const struct crash_counts *counts = &history->counts;
    json_t *first = json_null();
    if (report->violations > 0)
        first = json_pack("{s:I,s:s,s:I,s:s}", "event", (json_int_t)report->event, "mode",
                          MODE_NAMES[report->mode], "draw", (json_int_t)report->draw, "why",
                          report->why);
    return json_pack(
        "{s:I,s:I,s:f,s:I,s:{s:I,s:I,s:I,s:I},s:o}", "states", (json_int_t)report->states,
        "violations", (json_int_t)report->violations, "seconds", report->seconds, "events",
        (json_int_t)(history->event_last - history->event_first), "commands", "writes",
        (json_int_t)counts->writes, "fua_writes", (json_int_t)counts->fua_writes, "flushes",
        (json_int_t)counts->flushes, "others", (json_int_t)counts->others, "first", first);
}

static void print_report(const struct crash_history *history, const struct replay_report *report,
                         const struct replay_args *args, const char *log)
{
    const struct crash_counts *counts = &history->counts;
    char text[4][32];
    printf("recording: %s writes (%s with FUA), %s flushes, %" PRIu64 " marks, %s events\n",
           cli_count(counts->writes, text[0]), cli_count(counts->fua_writes, text[1]),
           cli_count(counts->flushes, text[2]), (uint64_t)history->marks,
           cli_count(history->event_last - history->event_first, text[3]));
    if (report->violations > 0)
        printf("VIOLATION: %s\n  again: keel crash replay %s%s%s --seed %lld --event %" PRIu64
               " --mode %s --draw %u\n",
               report->why, log, args->trace ? " --trace " : "", args->trace ? args->trace : "",
               args->seed, report->event, MODE_NAMES[report->mode], report->draw);
    printf("%s crash states in %.1f s, %s violations\n", cli_count(report->states, text[0]),
           report->seconds, cli_count(report->violations, text[1]));
}

static int parse_mode(const char *command, const char *name, uint64_t *ret)
{
    *ret = REPLAY_ANY;
    if (!name)
        return 0;
    for (unsigned i = 0; i < KEEL_CUT_MODES; i++) {
        if (strcmp(name, MODE_NAMES[i]) == 0)
            *ret = i;
    }
    if (*ret != REPLAY_ANY)
        return 0;
    return cli_usage(command, "there is no mode '%s', name lose-all, keep-all, subset or torn",
                     name);
}

static int check_args(const char *command, const struct replay_args *args,
                      struct replay_options *options, struct crash_disk *disk)
{
    uint64_t untorn = 0;

    if (cli_range(command, "--states", args->states, 1, 1000000000) ||
        cli_range(command, "--jobs", args->jobs, 1, REPLAY_JOBS_MAX) ||
        cli_range(command, "--seed", args->seed, 0, INT64_MAX) ||
        cli_range(command, "--event", args->event, -1, INT64_MAX) ||
        cli_range(command, "--draw", args->draw, -1, INT64_MAX))
        return CLI_USAGE;
    if (args->size && !cli_bytes(args->size, &disk->bytes))
        return cli_usage(command, "--size '%s' is not a size, give one like 64M", args->size);
    if (args->untorn && (!cli_bytes(args->untorn, &untorn) || untorn < 512 || untorn > 1u << 20 ||
                         (untorn & (untorn - 1)) != 0))
        return cli_usage(command, "--untorn '%s' is no power of two from 512 to 1M", args->untorn);
    disk->untorn_bytes = (uint32_t)untorn;
    *options = (struct replay_options){
        .states = (uint64_t)args->states,
        .seed = (uint64_t)args->seed,
        .jobs = args->event >= 0 ? 1 : (uint32_t)args->jobs,
        .event = args->event >= 0 ? (uint64_t)args->event : REPLAY_ANY,
        .draw = args->draw >= 0 ? (uint64_t)args->draw : REPLAY_ANY,
        .command = args->check,
    };
    return parse_mode(command, args->mode, &options->mode);
}

static int replay(const char *command, const char *log, const struct replay_args *args)
{
    struct replay_options options;
    struct replay_report report;
    struct crash_history history;
    char why[256];
    struct crash_disk disk = {0};
    int status = check_args(command, args, &options, &disk);
    if (status)
        return status;

    int rc = crash_history_open(log, args->trace, &disk, &history, why);
    if (rc) {
        crash_history_close(&history);
        return cli_fail(command, "%s (%s)", why[0] ? why : keel_err_text(rc), keel_err_name(rc));
    }
    struct crash_check *check = NULL;
    if (!args->check && crash_check_store(&history, &check) == KEEL_EFORMAT) {
        crash_history_close(&history);
        return cli_fail(command, "%s holds no acknowledgements of keel's; give --check COMMAND",
                        log);
    }
    crash_check_free(check);
    rc = replay_run(&history, &options, &report, why);
    if (rc)
        status = cli_fail(command, "%s", why);
    else if (report.states == 0)
        status = cli_fail(command, "there is no such state; the last event is %" PRIu64,
                          history.event_last);
    else if (args->json)
        status = cli_json(command, report_json(&history, &report));
    else
        print_report(&history, &report, args, log);
    if (!rc && report.violations > 0)
        status = CLI_FAILED;
    crash_history_close(&history);
    return status;
}

static int replay_main(int argc, const char **argv)
{
    static struct replay_args args = {
        .states = 10000, .seed = 1, .event = -1, .draw = -1}; /* popt allocates; kept */
    const char *logs[1];
    args.jobs = (int)sysconf(_SC_NPROCESSORS_ONLN);
    const struct poptOption options[] = {
        {"trace", 0, POPT_ARG_STRING, &args.trace, 0,
         "trace of the guest's NVMe commands: order, flushes and FUA are taken from there", "FILE"},
        {"check", 0, POPT_ARG_STRING, &args.check, 0,
         "shell command that judges a state, given as its last argument (status 0: good)",
         "COMMAND"},
        {"states", 0, POPT_ARG_LONGLONG, &args.states, 0, "make at least so many (10000)", "N"},
        {"size", 0, POPT_ARG_STRING, &args.size, 0, "size of the disk (as far as the log goes)",
         "BYTES"},
        {"untorn", 0, POPT_ARG_STRING, &args.untorn, 0,
         "longest write that the disk leaves whole or not at all (none)", "BYTES"},
        {"seed", 0, POPT_ARG_LONGLONG, &args.seed, 0, "of what is drawn (1)", "N"},
        {"jobs", 0, POPT_ARG_INT, &args.jobs, 0, "processes (one per CPU)", "N"},
        {"event", 0, POPT_ARG_LONGLONG, &args.event, 0, "states after this event alone", "N"},
        {"mode", 0, POPT_ARG_STRING, &args.mode, 0,
         "of this kind alone: lose-all, keep-all, subset, torn", "MODE"},
        {"draw", 0, POPT_ARG_LONGLONG, &args.draw, 0, "this draw alone", "N"},
        {"json", 0, POPT_ARG_NONE, &args.json, 0, "one JSON object on stdout", NULL},
        POPT_AUTOHELP POPT_TABLEEND,
    };
    int count = cli_parse(argc, argv, options, "LOG", logs, 1);
    if (count < 0)
        return CLI_USAGE;
    if (count == 0)
        return cli_usage(argv[0], "no log given, name one of dm-log-writes or blklogwrites");
    return replay(argv[0], logs[0], &args);
}

static const struct {
    const char *name, *summary;
    int (*run)(int argc, const char **argv);
} actions[] = {
    {"sim", "a whole store on simulated disks, its power cut after every event", crash_sim_main},
    {"kill", "SIGKILL at random moments, again and again: of keel's demo or of your program",
     crash_kill_main},
    {"replay", "crash states of a disk whose writes were recorded, each judged", replay_main},
    {"witness", "another machine remembers what was acknowledged, and is asked after the crash",
     crash_witness_main},
};
#define ACTIONS (sizeof(actions) / sizeof(actions[0]))

static void print_help(void)
{
    printf("Usage: keel crash ACTION [OPTION...] [ARGUMENT...]\n\n");
    for (size_t i = 0; i < ACTIONS; i++)
        printf("  %-8s %s\n", actions[i].name, actions[i].summary);
    printf("\nkeel crash ACTION --help for each.\n"
           "Exit status: 0 no violation, 1 a violation or a failed run, 2 bad usage.\n");
}

int crash_main(int argc, const char **argv)
{
    static char command[32];

    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0)) {
        print_help();
        return CLI_OK;
    }
    if (argc < 2)
        return cli_usage(argv[0], "no action given, name sim, kill, replay or witness");
    for (size_t i = 0; i < ACTIONS; i++) {
        if (strcmp(argv[1], actions[i].name) != 0)
            continue;
        snprintf(command, sizeof(command), "keel crash %s", actions[i].name);
        argv[1] = command;
        return actions[i].run(argc - 1, argv + 1);
    }
    return cli_usage(argv[0], "there is no '%s', name sim, kill, replay or witness", argv[1]);
}
