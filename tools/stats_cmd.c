/*
 * `keel stats [STORE]`: what a store in use counts, read from its segment in shared memory. The
 * store takes no notice. Without STORE: that of the only store in use, else a list of them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/cli.h"
#include "tools/commands.h"
#include "tools/stats_choose.h"

int stats_main(int argc, const char **argv)
{
    static struct stats_view view;
    struct stats_error error;
    const char *args[1] = {NULL};
    int json = 0, prometheus = 0;
    const struct poptOption options[] = {
        {"json", 0, POPT_ARG_NONE, &json, 0, "one JSON object on stdout", NULL},
        {"prometheus", 0, POPT_ARG_NONE, &prometheus, 0, "Prometheus' text format", NULL},
        POPT_AUTOHELP POPT_TABLEEND,
    };

    if (cli_parse(argc, argv, options, "[STORE]", args, 1) < 0)
        return CLI_USAGE;
    if (json && prometheus)
        return cli_usage(argv[0], "--json and --prometheus exclude each other");
    char name[STATS_NAME_MAX];
    int status = stats_choose(argv[0], args[0], name);
    if (status)
        return status;
    bool found =
        args[0] ? stats_read(args[0], &view, &error) : stats_read_object(name, &view, &error);
    if (!found)
        return cli_fail(argv[0], "%s: %s", args[0] ? args[0] : name, error.text);

    if (json)
        status = cli_json(argv[0], stats_json(&view));
    else if (prometheus)
        stats_prometheus(&view);
    else
        stats_print(&view);
    /* What a killed process left behind is shown, and is no success. */
    if (!view.alive && status == CLI_OK)
        status =
            cli_fail(argv[0], "%s: nobody has it open; this was left behind by process %" PRIu32,
                     args[0] ? args[0] : view.path, view.pid);
    stats_free(&view);
    return status;
}
