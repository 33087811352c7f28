/*
 * `keel crash sim`: the crash proof for whoever wants to see it run here. Seeded histories of a
 * whole store on simulated disks; the power is cut after every event of the disk, in four modes,
 * recovery is cut again, and what is found is compared with a model.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <keel/sim.h>

#include "tools/cli.h"
#include "tools/commands.h"
#include "tools/sim/run.h"

static void show(uint64_t seeds, uint64_t states)
{
    char text[32];

    cli_progress("seed %" PRIu64 ", %s crash states", seeds, cli_count(states, text));
}

static json_t *coverage_json(const struct coverage *coverage)
{
    json_t *object = json_object();

#define COVERAGE_JSON(name, must, text) \
    json_object_set_new(object, #name, json_integer((json_int_t)coverage->name));
    COVERAGE(COVERAGE_JSON)
#undef COVERAGE_JSON
    return object;
}

static json_t *report_json(const struct sim_report *report, bool ok)
{
    json_t *first = json_null();

    if (report->violation[0])
        first = json_pack("{s:s,s:I,s:I,s:i}", "why", report->violation, "seed",
                          (json_int_t)report->at.seed, "event", (json_int_t)report->at.event,
                          "mode", (int)report->at.mode);
    return json_pack(
        "{s:b,s:I,s:I,s:f,s:b,s:o,s:o}", "ok", (int)ok, "states", (json_int_t)report->sum.states,
        "violations", (json_int_t)report->sum.violations, "seconds", report->seconds, "complete",
        (int)report->complete, "coverage", coverage_json(&report->sum), "first", first);
}

static int run(const char *command, const struct sim_options *options, bool json)
{
    static struct sim_report report;
    int rc = sim_run(options, &report);

    cli_progress_end();
    if (rc)
        return cli_fail(command, "%s", strerror(-rc));
    bool demanded = options->seeds >= SIM_COVERAGE_SEEDS && !options->seconds;
    bool ok = report.sum.violations == 0 && (report.complete || !demanded) && report.sum.states > 0;
    if (json) {
        int status = cli_json(command, report_json(&report, ok));
        return status ? status : ok ? CLI_OK : CLI_FAILED;
    }
    if (report.violation[0])
        printf("VIOLATION %s\n  replay: keel crash sim --seed %" PRIu64 " --event %" PRIu64
               " --mode %u\n",
               report.violation, report.at.seed, report.at.event, report.at.mode);
    sim_print_coverage(&report);
    if (demanded && !report.complete)
        return cli_fail(command, "a kind of crash that must be reached was not; give more --seeds");
    return ok ? CLI_OK : CLI_FAILED;
}

int crash_sim_main(int argc, const char **argv)
{
    long long seeds = 100, first = 0, seed = -1, event = -1, mode = -1;
    int seconds = 0, json = 0, jobs = (int)sysconf(_SC_NPROCESSORS_ONLN);
    const struct poptOption options[] = {
        {"seeds", 0, POPT_ARG_LONGLONG, &seeds, 0, "histories (100)", "N"},
        {"first", 0, POPT_ARG_LONGLONG, &first, 0, "first seed (0)", "S"},
        {"seconds", 0, POPT_ARG_INT, &seconds, 0, "stop after so long", "N"},
        {"jobs", 0, POPT_ARG_INT, &jobs, 0, "processes (one per CPU)", "N"},
        {"seed", 0, POPT_ARG_LONGLONG, &seed, 0, "this one alone", "S"},
        {"event", 0, POPT_ARG_LONGLONG, &event, 0, "cuts after this event alone", "N"},
        {"mode", 0, POPT_ARG_LONGLONG, &mode, 0, "cuts of this mode alone, 0 to 3", "M"},
        {"json", 0, POPT_ARG_NONE, &json, 0, "one JSON object on stdout", NULL},
        POPT_AUTOHELP POPT_TABLEEND,
    };

    if (cli_parse(argc, argv, options, "", NULL, 0) < 0)
        return CLI_USAGE;
    if (cli_range(argv[0], "--seeds", seeds, 1, 1000000000) ||
        cli_range(argv[0], "--first", first, 0, INT64_MAX / 2) ||
        cli_range(argv[0], "--seconds", seconds, 0, 86400 * 7) ||
        cli_range(argv[0], "--jobs", jobs, 1, SIM_JOBS_MAX) ||
        cli_range(argv[0], "--seed", seed, -1, INT64_MAX / 2) ||
        cli_range(argv[0], "--event", event, -1, INT64_MAX) ||
        cli_range(argv[0], "--mode", mode, -1, KEEL_CUT_MODES - 1))
        return CLI_USAGE;
    struct sim_options sim = {.seeds = seed < 0 ? (uint64_t)seeds : 1,
                              .first = (uint64_t)(seed < 0 ? first : seed),
                              .jobs = seed < 0 ? (uint64_t)jobs : 1,
                              .seconds = (uint64_t)seconds,
                              .event = event < 0 ? PROOF_ANY : (uint64_t)event,
                              .mode = mode < 0 ? PROOF_ANY : (uint64_t)mode,
                              .show = show};
    return run(argv[0], &sim, json);
}
