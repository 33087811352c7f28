/*
 * Options through popt, JSON through jansson, and the few lines of text that every subcommand
 * prints the same way.
 */
#include "tools/cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/hist.h"

int cli_usage(const char *command, const char *format, ...)
{
    va_list args;
    fprintf(stderr, "%s: ", command);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "; see %s --help\n", command);
    return CLI_USAGE;
}

static void bad_option(const char *command, const char *option, int rc)
{
    if (rc == POPT_ERROR_BADOPT)
        cli_usage(command, "there is no option '%s'", option);
    else if (rc == POPT_ERROR_NOARG)
        cli_usage(command, "%s needs a value, give one", option);
    else if (rc == POPT_ERROR_BADNUMBER || rc == POPT_ERROR_OVERFLOW)
        cli_usage(command, "'%s' is not a number that fits, give a whole one", option);
    else
        cli_usage(command, "%s: %s", option, poptStrerror(rc));
}

int cli_parse(int argc, const char **argv, const struct poptOption *options, const char *arguments,
              const char **args, int args_max)
{
    KEEL_ASSERT(argc >= 1);
    const char *command = argv[0];
    /* Kept until the process ends: option and argument strings lie in it. */
    static poptContext context;
    KEEL_ASSERT(!context);
    context = poptGetContext(command, argc, argv, options, 0);
    if (!context) {
        cli_fail(command, "out of memory");
        return -1;
    }
    char usage[128];
    snprintf(usage, sizeof(usage), "[OPTION...]%s%s", *arguments ? " " : "", arguments);
    poptSetOtherOptionHelp(context, usage);

    int rc;
    while ((rc = poptGetNextOpt(context)) >= 0)
        ;
    if (rc < -1) {
        bad_option(command, poptBadOption(context, 0), rc);
        return -1;
    }

    int count = 0;
    const char *arg;
    while ((arg = poptGetArg(context))) {
        if (count == args_max) {
            cli_usage(command, "'%s' is one argument too many", arg);
            return -1;
        }
        args[count++] = arg;
    }
    return count;
}

bool cli_bytes(const char *text, uint64_t *ret)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || end == text || text[0] == '-')
        return false;

    unsigned shift = 0;
    switch (*end) {
    case 'k':
    case 'K':
        shift = 10;
        break;
    case 'm':
    case 'M':
        shift = 20;
        break;
    case 'g':
    case 'G':
        shift = 30;
        break;
    default:
        break;
    }
    if (shift) {
        end++;
        if (end[0] == 'i' && (end[1] == 'B' || end[1] == 'b'))
            end += 2;
    }
    if (*end || value > (UINT64_MAX >> shift))
        return false;
    *ret = (uint64_t)value << shift;
    return true;
}

int cli_range(const char *command, const char *option, long long value, long long min,
              long long max)
{
    if (value >= min && value <= max)
        return 0;
    return cli_usage(command, "%s %lld is out of range, give %lld to %lld", option, value, min,
                     max);
}

int cli_error(const char *command, const char *object, int rc, const struct keel_err_info *info)
{
    cli_progress_end();
    fprintf(stderr, "%s: %s: %s: %s", command, object, keel_err_name(rc), keel_err_text(rc));
    if (info && (info->op || info->object[0])) {
        fprintf(stderr, " (%s%s%s", info->op ? info->op : "",
                info->op && info->object[0] ? ": " : "", info->object);
        if (info->offset)
            fprintf(stderr, " at %" PRIu64, info->offset);
        if (info->want || info->got)
            fprintf(stderr, ", wanted %" PRIu64 ", found %" PRIu64, info->want, info->got);
        fputc(')', stderr);
    }
    fputc('\n', stderr);
    return CLI_FAILED;
}

int cli_fail(const char *command, const char *format, ...)
{
    va_list args;
    cli_progress_end();
    fprintf(stderr, "%s: ", command);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return CLI_FAILED;
}

int cli_ctx_open(enum keel_method method, struct keel_ctx **ret)
{
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;

    options.method = method;
    return keel_ctx_open(&options, ret);
}

static bool progress_shown;

void cli_progress(const char *format, ...)
{
    if (!isatty(STDERR_FILENO))
        return;
    va_list args;
    fputs("\r\033[K", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fflush(stderr);
    progress_shown = true;
}

void cli_progress_end(void)
{
    if (progress_shown)
        fputs("\r\033[K", stderr);
    progress_shown = false;
}

int cli_json(const char *command, json_t *object)
{
    KEEL_ASSERT(object);
    int rc = json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(object);
    if (rc || putchar('\n') == EOF || fflush(stdout))
        return cli_fail(command, "stdout: %s", strerror(errno));
    return CLI_OK;
}

json_t *cli_lat_json(const struct hist *hist)
{
    if (!hist || hist_count(hist) == 0)
        return json_null();
    return json_pack("{s:I,s:I,s:I,s:I,s:I}", "p50", (json_int_t)hist_percentile(hist, 500), "p90",
                     (json_int_t)hist_percentile(hist, 900), "p99",
                     (json_int_t)hist_percentile(hist, 990), "p999",
                     (json_int_t)hist_percentile(hist, 999), "max", (json_int_t)hist_max(hist));
}

const char *cli_ns(uint64_t ns, char buf[16])
{
    if (ns < 1000)
        snprintf(buf, 16, "%u ns", (unsigned)ns);
    else if (ns < 1000 * 1000)
        snprintf(buf, 16, "%.1f us", (double)ns / 1e3);
    else if (ns < 1000 * 1000 * 1000)
        snprintf(buf, 16, "%.2f ms", (double)ns / 1e6);
    else
        snprintf(buf, 16, "%.2f s", (double)ns / 1e9);
    return buf;
}

const char *cli_count(uint64_t count, char buf[32])
{
    char digits[24];
    int len = snprintf(digits, sizeof(digits), "%" PRIu64, count);
    char *out = buf;
    for (int i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0)
            *out++ = ',';
        *out++ = digits[i];
    }
    *out = '\0';
    return buf;
}
