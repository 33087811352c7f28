/*
 * What every subcommand of `keel` shares: options, complaints, progress, JSON.
 *
 * Exit status: 0 success, 1 a failed run, 2 bad usage. Bad usage is one line on stderr that says
 * what is wrong and what to do. Progress goes to stderr, and only when that is a terminal. JSON is
 * one object on stdout.
 */
#ifndef KEEL_TOOLS_CLI_H
#define KEEL_TOOLS_CLI_H

#include <jansson.h>
#include <popt.h>
#include <stdbool.h>
#include <stdint.h>

#include "keel/iosched.h"

struct hist;

enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
};

/* A subcommand. argv[0] is "keel NAME", for messages. run returns the exit status. */
struct cli_command {
    const char *name;
    const char *summary; /* one line of `keel --help`; NULL: the command's own, not shown */
    int (*run)(int argc, const char **argv);
};

/* Print "COMMAND: message; see COMMAND --help" on stderr. Returns CLI_USAGE. */
int cli_usage(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Parse options; --help prints and exits. arguments: names of the positional ones, for help.
 * args: gets them, lent until the process ends. Returns how many there are, or -1 after a complaint
 * (then the exit status is CLI_USAGE). Once per process.
 */
int cli_parse(int argc, const char **argv, const struct poptOption *options, const char *arguments,
              const char **args, int args_max);

/* Bytes as "128", "4k", "64MiB". False when text is not a size. */
bool cli_bytes(const char *text, uint64_t *ret);

/* Complain when value is not between min and max. Returns 0 or CLI_USAGE. */
int cli_range(const char *command, const char *option, long long value, long long min,
              long long max);

/*
 * One line on stderr: command, object, name of the error, what is wrong and what to do, and where
 * (info, may be NULL). Returns CLI_FAILED.
 */
int cli_error(const char *command, const char *object, int rc, const struct keel_err_info *info);

/* One line on stderr. Returns CLI_FAILED. */
int cli_fail(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Rewrite the progress line, if stderr is a terminal; end: wipe it. */
void cli_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));
void cli_progress_end(void);

/* A context of a method, with defaults. As keel_ctx_open. */
int cli_ctx_open(enum keel_method method, struct keel_ctx **ret);

/* Print object (taken) to stdout. Returns CLI_OK or, when it could not be written, CLI_FAILED. */
int cli_json(const char *command, json_t *object);

/* {"p50","p90","p99","p999","max"} in nanoseconds; null where hist is empty. */
json_t *cli_lat_json(const struct hist *hist);

/* Nanoseconds for people: "730 ns", "45.2 us", "1.30 ms", "2.10 s". Returns buf. */
const char *cli_ns(uint64_t ns, char buf[16]);

/* A count with separators: "1,234,567". Returns buf. */
const char *cli_count(uint64_t count, char buf[32]);

#endif
