/*
 * `keel demo`: shows that what keel acknowledges is there after a crash.
 *
 *   1. open the store (one that is there is recovered), check what it holds, make the pages
 *   2. a worker process runs durable transactions and is killed with SIGKILL in the middle
 *   3. open the store again (recovery), ask for every acknowledged transaction, check every page
 *   4. print; the last line is the verdict
 *
 * The kill takes the process away, not the power: what the disk still had in its cache survives.
 * `tests/` and the lab show the other half.
 */
#include <keel/keel.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "tools/cli.h"
#include "tools/commands.h"
#include "tools/demo_run.h"
#include "tools/demo_verify.h"

struct demo {
    const char *command, *path;
    int seconds, writers;
    int kill_after_ms; /* instead of seconds; 0: not given */
    bool json, overwrite, shared;

    struct demo_map map;
    bool found;                      /* a store was there */
    struct keel_store_info at_start; /* of the first open */
    struct demo_verdict before;
    struct demo_run run;
    struct keel_store_info recovered; /* of the open after the kill */
    uint64_t pages_checked;
    int pages_damaged;
    struct demo_verdict verdict;
};

static int parse(struct demo *demo, int argc, const char **argv)
{
    int json = 0, overwrite = 0, shared = 0;
    const struct poptOption options[] = {
        {"path", 0, POPT_ARG_STRING, &demo->path, 0, "folder or device of the store (./keel-demo)",
         "DIR|DEVICE"},
        {"seconds", 0, POPT_ARG_INT, &demo->seconds, 0, "load before the kill (5)", "N"},
        {"kill-after", 0, POPT_ARG_INT, &demo->kill_after_ms, 0, "load in milliseconds instead",
         "MS"},
        {"writers", 0, POPT_ARG_INT, &demo->writers, 0, "threads that commit (8)", "N"},
        {"overwrite", 0, POPT_ARG_NONE, &overwrite, 0,
         "destroy what else a device holds to make the store", NULL},
        {"shared", 0, POPT_ARG_NONE, &shared, 0,
         "take an NVMe namespace that other controllers reach too", NULL},
        {"json", 0, POPT_ARG_NONE, &json, 0, "one JSON object on stdout", NULL},
        POPT_AUTOHELP POPT_TABLEEND,
    };
    if (cli_parse(argc, argv, options, "", NULL, 0) < 0)
        return CLI_USAGE;
    demo->json = json;
    demo->overwrite = overwrite;
    demo->shared = shared;
    if (!demo->path[0])
        return cli_usage(demo->command, "--path is empty, name a folder");
    if (cli_range(demo->command, "--seconds", demo->seconds, 1, 86400) ||
        (demo->kill_after_ms &&
         cli_range(demo->command, "--kill-after", demo->kill_after_ms, 1, 86400000)) ||
        cli_range(demo->command, "--writers", demo->writers, 1, DEMO_WRITERS_MAX))
        return CLI_USAGE;
    return 0;
}

/* ---------------------------------------------------------------- before the load */

static int look_at_store(struct demo *demo, struct keel_ctx *ctx, struct keel_store *store)
{
    keel_store_info(store, &demo->at_start);
    int rc = demo_map_load(ctx, store, &demo->map);
    if (rc == KEEL_ENOTFOUND)
        return 0;
    if (rc == KEEL_EFORMAT)
        return cli_fail(demo->command, "%s: this store is not the demo's; name another folder",
                        demo->path);
    if (rc)
        return cli_error(demo->command, demo->path, rc, NULL);

    demo->found = true;
    cli_progress("checking the transactions of earlier runs");
    rc = demo_verify(ctx, store, &demo->map, NULL, &demo->before);
    if (rc)
        return cli_error(demo->command, demo->path, rc, NULL);
    demo->verdict = demo->before; /* the last word, should it end here */
    if (demo->before.lost || demo->before.invented)
        return cli_fail(demo->command,
                        "%s: damaged before this run: %s; remove the folder or name another one",
                        demo->path, demo->before.first);
    return 0;
}

static int prepare(struct demo *demo)
{
    struct keel_options options = demo_options(demo->path);
    struct keel_err_info info = {0};
    struct keel_ctx *ctx;
    struct keel_store *store;
    int rc = cli_ctx_open(options.method, &ctx);
    if (rc)
        return cli_error(demo->command, "opening a context", rc, NULL);
    options.overwrite = demo->overwrite;
    options.shared = demo->shared;

    cli_progress("opening %s", demo->path);
    rc = keel_open(ctx, demo->path, &options, &info, &store);
    if (rc) {
        rc = cli_error(demo->command, demo->path, rc, &info);
        goto out;
    }
    int status = look_at_store(demo, ctx, store);
    if (!status) {
        rc = demo_map_prepare(ctx, store, (uint32_t)demo->writers, &demo->map);
        if (rc)
            status = cli_error(demo->command, demo->path, rc, NULL);
    }
    /* Writers of earlier runs too: what they left must still be there afterwards. */
    for (uint32_t w = 0; !status && w < DEMO_WRITERS_MAX; w++) {
        struct demo_writer writer;
        if (!demo->map.slots[w])
            continue;
        rc = demo_writer_load(&writer, ctx, store, &demo->map, w);
        if (rc)
            status = cli_error(demo->command, demo->path, rc, NULL);
        else
            demo->run.acked[w] = writer.seq;
    }
    rc = keel_close(ctx, store);
    if (rc && !status)
        status = cli_error(demo->command, demo->path, rc, NULL);
    rc = status;
out:
    keel_ctx_close(ctx);
    cli_progress_end();
    return rc;
}

/* ---------------------------------------------------------------- after the kill */

static void show_damage(void *arg, const struct keel_err_info *info)
{
    const struct demo *demo = arg;
    cli_error(demo->command, demo->path, info->code, info);
}

static int check_all(struct demo *demo, struct keel_ctx *ctx, struct keel_store *store)
{
    struct demo_expect expect;
    for (uint32_t w = 0; w < DEMO_WRITERS_MAX; w++) {
        expect.acked[w] = demo->run.acked[w];
        expect.attempted[w] = atomic_load(&demo->run.shared->attempted[w]);
    }
    cli_progress("asking for %" PRIu64 " transactions", demo->run.acked_total);
    struct demo_map map;
    int rc = demo_map_load(ctx, store, &map);
    if (rc)
        return rc;
    rc = demo_verify(ctx, store, &map, &expect, &demo->verdict);
    if (rc)
        return rc;

    cli_progress("checking every page");
    rc = keel_check(ctx, store, show_damage, demo, &demo->pages_checked);
    if (rc < 0)
        return rc;
    demo->pages_damaged = rc;
    return 0;
}

static int recover(struct demo *demo)
{
    struct keel_options options = demo_options(demo->path);
    options.create_off = true;
    options.shared = demo->shared;
    struct keel_err_info info = {0};
    struct keel_ctx *ctx;
    struct keel_store *store;

    /* Until the opposite is seen, all of it is lost. */
    demo->verdict = (struct demo_verdict){.lost = demo->run.acked_total};
    int rc = cli_ctx_open(options.method, &ctx);
    if (rc)
        return cli_error(demo->command, "opening a context", rc, NULL);
    cli_progress("recovering");
    rc = keel_open(ctx, demo->path, &options, &info, &store);
    if (rc) {
        rc = cli_error(demo->command, demo->path, rc, &info);
        goto out;
    }
    keel_store_info(store, &demo->recovered);
    rc = check_all(demo, ctx, store);
    if (rc)
        rc = cli_error(demo->command, demo->path, rc, NULL);
    int closed = keel_close(ctx, store);
    if (closed && !rc)
        rc = cli_error(demo->command, demo->path, closed, NULL);
out:
    keel_ctx_close(ctx);
    cli_progress_end();
    return rc;
}

/* ---------------------------------------------------------------- printing */

static double per_transaction(const struct demo *demo, uint64_t before, uint64_t after)
{
    return demo->run.acked_total ? (double)(after - before) / (double)demo->run.acked_total : 0;
}

static void print_start(const struct demo *demo)
{
    char count[32], ns[16];
    const struct keel_store_info *info = &demo->at_start;
    printf("store     %s: ", demo->path);
    if (demo->found)
        printf("found, opened in %s (%" PRIu64
               " log groups redone), its %s transactions are whole\n",
               cli_ns(info->open_ns, ns), info->recovered_groups,
               cli_count(demo->before.found, count));
    else
        printf("made in %s\n", cli_ns(info->open_ns, ns));
}

static void merge_latency(const struct demo *demo, struct hist *ret)
{
    hist_init(ret);
    for (uint32_t w = 0; w < demo->run.writers; w++)
        hist_merge(ret, &demo->run.shared->latency[w]);
}

static void print_load(const struct demo *demo)
{
    const struct demo_run *run = &demo->run;
    char a[32], b[32], ns[5][16];
    static struct hist hist;
    merge_latency(demo, &hist);
    uint64_t rate = run->load_ns ? run->acked_total * 1000000000ull / run->load_ns : 0;
    printf("load      %u writers, %.1f s, then SIGKILL: %s transactions acknowledged, %s/s\n",
           run->writers, (double)run->load_ns / 1e9, cli_count(run->acked_total, a),
           cli_count(rate, b));
    printf("latency   p50 %s, p90 %s, p99 %s, p99.9 %s, max %s\n",
           cli_ns(hist_percentile(&hist, 500), ns[0]), cli_ns(hist_percentile(&hist, 900), ns[1]),
           cli_ns(hist_percentile(&hist, 990), ns[2]), cli_ns(hist_percentile(&hist, 999), ns[3]),
           cli_ns(hist_max(&hist), ns[4]));
    if (run->before.known && run->after.known)
        printf("disk      %.2f writes and %.2f flushes per transaction (all that the disk did)\n",
               per_transaction(demo, run->before.writes, run->after.writes),
               per_transaction(demo, run->before.flushes, run->after.flushes));
    uint64_t writes = atomic_load(&run->shared->log_writes);
    if (writes)
        printf("log       %.1f transactions per log write, %" PRIu64 " checkpoints\n",
               (double)run->acked_total / (double)writes, atomic_load(&run->shared->checkpoints));
}

static void print_end(const struct demo *demo)
{
    char a[32], ns[16];
    const struct keel_store_info *info = &demo->recovered;
    printf("recovery  opened in %s: %s log groups redone (%" PRIu64 " page changes)\n",
           cli_ns(info->open_ns, ns), cli_count(info->recovered_groups, a), info->recovered_pages);
    printf("pages     %s checked, %d damaged\n", cli_count(demo->pages_checked, a),
           demo->pages_damaged);
    if (demo->verdict.unacknowledged)
        printf("allowed   %" PRIu64 " transactions are there that were durable but not yet "
               "acknowledged\n",
               demo->verdict.unacknowledged);
    if (demo->verdict.first[0])
        printf("wrong     %s\n", demo->verdict.first);
}

static void print_verdict(const struct demo *demo)
{
    printf("verified %" PRIu64 " transactions: %" PRIu64 " lost, %" PRIu64 " invented\n",
           demo->run.acked_total, demo->verdict.lost, demo->verdict.invented);
}

static json_t *recovery_json(const struct demo *demo)
{
    const struct keel_store_info *info = &demo->recovered;
    return json_pack("{s:I,s:I,s:I,s:I,s:i,s:I}", "open_ns", (json_int_t)info->open_ns,
                     "recovered_groups", (json_int_t)info->recovered_groups, "recovered_pages",
                     (json_int_t)info->recovered_pages, "pages_checked",
                     (json_int_t)demo->pages_checked, "pages_damaged", demo->pages_damaged,
                     "unacknowledged", (json_int_t)demo->verdict.unacknowledged);
}

static int print_json(const struct demo *demo, bool ok)
{
    const struct demo_run *run = &demo->run;
    static struct hist hist;
    json_t *latency = json_null(), *path = json_null(), *per_op = json_null();
    double rate = run->load_ns ? (double)run->acked_total * 1e9 / (double)run->load_ns : 0;
    if (run->shared) {
        merge_latency(demo, &hist);
        latency = cli_lat_json(&hist);
        path = path_report_json(&run->shared->path);
    }
    if (run->before.known && run->after.known && run->acked_total)
        per_op = json_pack("{s:f,s:f}", "device_writes",
                           per_transaction(demo, run->before.writes, run->after.writes), "flushes",
                           per_transaction(demo, run->before.flushes, run->after.flushes));
    json_t *object = json_pack(
        "{s:b,s:b,s:I,s:I,s:I,s:s,s:s,s:b,s:{s:i,s:i},s:o,s:{s:f,s:f,s:o,s:o},s:o}", "ok", (int)ok,
        "killed", (int)run->killed, "verified", (json_int_t)run->acked_total, "lost",
        (json_int_t)demo->verdict.lost, "invented", (json_int_t)demo->verdict.invented, "wrong",
        demo->verdict.first, "store", demo->path, "store_found", (int)demo->found, "config",
        "seconds", demo->seconds, "writers", demo->writers, "path", path, "result", "seconds",
        (double)run->load_ns / 1e9, "ops_per_s", rate, "lat_ns", latency, "per_op", per_op,
        "recovery", recovery_json(demo));
    return cli_json(demo->command, object);
}

static void print_path(const struct demo *demo)
{
    struct disk disk;
    if (disk_find(demo->path, &disk))
        disk.found = false;
    printf("path\n");
    path_report_print(&demo->run.shared->path, &disk, stdout);
}

/* Returns the exit status; the verdict is printed by the caller. */
static int run_demo(struct demo *demo)
{
    int status = prepare(demo);
    if (status)
        return status;
    if (!demo->json)
        print_start(demo);
    fflush(stdout);

    demo->run.command = demo->command;
    demo->run.path = demo->path;
    demo->run.writers = (uint32_t)demo->writers;
    demo->run.shared_namespace = demo->shared;
    demo->run.load_ms =
        demo->kill_after_ms ? (uint32_t)demo->kill_after_ms : (uint32_t)demo->seconds * 1000;
    status = demo_run_load(&demo->run);
    if (status)
        return status;
    if (!demo->json)
        print_load(demo);
    fflush(stdout);

    status = recover(demo);
    if (!demo->json) {
        print_end(demo);
        print_path(demo);
    }
    bool good = demo->run.killed && demo->run.acked_total > 0 && !demo->verdict.lost &&
                !demo->verdict.invented && !demo->pages_damaged;
    return status || !good ? CLI_FAILED : CLI_OK;
}

int demo_main(int argc, const char **argv)
{
    static struct demo demo; /* too large for a stack */
    demo.command = argv[0];
    demo.path = "./keel-demo";
    demo.seconds = 5;
    demo.writers = 8;
    int status = parse(&demo, argc, argv);
    if (status)
        return status;

    status = run_demo(&demo);
    if (demo.json) {
        int printed = print_json(&demo, status == CLI_OK);
        status = status ? status : printed;
    } else {
        print_verdict(&demo);
    }
    demo_run_end(&demo.run);
    return status;
}
