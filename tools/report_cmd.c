/*
 * `keel report FILE.json... -o report.html`: pictures of what `keel bench --json` printed, in one
 * page that needs nothing else.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/cli.h"
#include "tools/commands.h"
#include "tools/report/page.h"

#define FILES_MAX 64

/* Whether it is the output of keel bench; a complaint if not. */
static json_t *load(const char *command, const char *path)
{
    json_error_t error;
    json_t *run = json_load_file(path, 0, &error);

    if (!run) {
        cli_fail(command, "%s: %s (line %d)", path, error.text, error.line);
        return NULL;
    }
    if (json_is_string(json_object_get(run, "job")) &&
        json_is_object(json_object_get(run, "result")))
        return run;
    json_decref(run);
    cli_fail(command, "%s: this is not what keel bench --json prints", path);
    return NULL;
}

static int write_page(const char *command, const char *path, json_t *const runs[],
                      const char *const names[], int count)
{
    FILE *out = fopen(path, "we");

    if (!out)
        return cli_fail(command, "%s: %s", path, strerror(errno));
    page_begin(out, (unsigned)count);
    for (int i = 0; i < count; i++)
        page_run(out, runs[i], names[i], (unsigned)i);
    page_end(out);
    bool bad = ferror(out);
    if (fclose(out) != 0 || bad)
        return cli_fail(command, "%s: could not be written: %s", path, strerror(errno));
    return CLI_OK;
}

int report_main(int argc, const char **argv)
{
    static const char *path; /* popt allocates it; kept for the life of the process */
    const char *names[FILES_MAX];
    json_t *runs[FILES_MAX];
    const struct poptOption options[] = {
        {"output", 'o', POPT_ARG_STRING, &path, 0, "the page to be written", "FILE.html"},
        POPT_AUTOHELP POPT_TABLEEND,
    };
    int status = CLI_OK, loaded = 0;

    int count = cli_parse(argc, argv, options, "FILE.json...", names, FILES_MAX);
    if (count < 0)
        return CLI_USAGE;
    if (count == 0)
        return cli_usage(argv[0], "no file given, name what keel bench --json printed");
    if (!path)
        return cli_usage(argv[0], "where to? name a file with -o");
    for (; loaded < count && status == CLI_OK; loaded++) {
        runs[loaded] = load(argv[0], names[loaded]);
        if (!runs[loaded])
            status = CLI_FAILED;
    }
    if (status == CLI_OK)
        status = write_page(argv[0], path, runs, names, count);
    for (int i = 0; i < loaded; i++)
        json_decref(runs[i]);
    return status;
}
