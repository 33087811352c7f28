/*
 * The command `keel`: finds the subcommand and hands over. Each has a file of its own; this one
 * knows only their names.
 */
#include <keel/keel.h>

#include <stdio.h>
#include <string.h>

#include "tools/cli.h"
#include "tools/commands.h"

static const struct cli_command COMMANDS[] = {
    {"demo", "run durable transactions, kill the process, recover, verify every one", demo_main},
    {"probe", "what this machine offers and what keel would choose", probe_main},
    {"wal", "look at a log: wal dump LOG, wal verify LOG", wal_main},
    {"calibrate", "measure a disk: its profile as JSON, with a picture", calibrate_main},
    {"check", "checksums and structure of every page of a store", check_main},
    {"top", "what a store in use is doing, live", top_main},
    {"stats", "what a store in use counts, read from outside", stats_main},
    {"bench", "measure: keel bench --help lists the jobs", bench_main},
    {"report", "pictures of what keel bench --json printed, in one page", report_main},
    {"crash", "prove durability: crash sim, kill, replay, witness", crash_main},
    {DEMO_WORKER_NAME, NULL, demo_worker_main},
};
#define COMMAND_COUNT (sizeof(COMMANDS) / sizeof(COMMANDS[0]))
#define ARGS_MAX      256

static void print_help(void)
{
    printf("Usage: keel COMMAND [OPTION...] [ARGUMENT...]\n\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (COMMANDS[i].summary)
            printf("  %-8s %s\n", COMMANDS[i].name, COMMANDS[i].summary);
    }
    printf(
        "\n  --version  print the version\n  --help     this page; keel COMMAND --help for each\n"
        "\nExit status: 0 success, 1 a failed run, 2 bad usage, 3 damage (check, wal).\n");
}

/* "demo, probe, ..." */
static const char *command_names(void)
{
    static char names[256];
    size_t used = 0;

    for (size_t i = 0; i < COMMAND_COUNT && used < sizeof(names); i++) {
        if (COMMANDS[i].summary)
            used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", used ? ", " : "",
                                     COMMANDS[i].name);
    }
    return names;
}

static int run_command(const struct cli_command *command, int argc, char **argv)
{
    char name[32];
    const char *args[ARGS_MAX + 1];
    if (argc - 1 > ARGS_MAX)
        return cli_usage("keel", "more than %d arguments", ARGS_MAX);

    snprintf(name, sizeof(name), "keel %s", command->name);
    args[0] = name;
    for (int i = 2; i < argc; i++)
        args[i - 1] = argv[i];
    args[argc - 1] = NULL;
    return command->run(argc - 1, args);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return cli_usage("keel", "no command given, name one of %s", command_names());
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "-?") == 0) {
        print_help();
        return CLI_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("keel %s\n", keel_version());
        return CLI_OK;
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(argv[1], COMMANDS[i].name) == 0)
            return run_command(&COMMANDS[i], argc, argv);
    }
    return cli_usage("keel", "there is no '%s', name one of %s", argv[1], command_names());
}
