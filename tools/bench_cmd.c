/*
 * `keel bench JOB`: options, and the report as text or JSON. What is measured, and how, is in
 * bench/.
 */
#include <keel/keel.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/assert.h"
#include "bench/commit.h"
#include "bench/lib/malloc_count.h"
#include "tools/cli.h"
#include "tools/commands.h"

static const struct peer PEERS[] = {
    {"fio", peer_fio_commit},
    {"rocksdb", peer_rocksdb_commit},
    {"bare", peer_bare_commit},
};
#define PEER_COUNT (sizeof(PEERS) / sizeof(PEERS[0]))

/* The options as they stand on the command line. */
struct flags {
    int threads, seconds, rounds, json;
    const char *path, *record, *sync, *method, *versus, *log, *cache;
};

/* ---------------------------------------------------------------- options */

static int parse_peers(struct commit_config *config, const char *list)
{
    while (*list) {
        size_t len = strcspn(list, ",");
        const struct peer *found = NULL;
        for (size_t i = 0; i < PEER_COUNT; i++) {
            if (strlen(PEERS[i].name) == len && strncmp(PEERS[i].name, list, len) == 0)
                found = &PEERS[i];
        }
        if (!found)
            return cli_usage(config->command,
                             "--vs: there is no peer '%.*s', name some of fio, "
                             "rocksdb, bare",
                             (int)len, list);
        for (uint32_t i = 0; i < config->peer_count; i++) {
            if (config->peers[i] == found)
                return cli_usage(config->command, "--vs names %s twice, name it once", found->name);
        }
        KEEL_ASSERT(config->peer_count < COMMIT_PEERS_MAX);
        config->peers[config->peer_count++] = found;
        list += len + (list[len] == ',');
    }
    return 0;
}

static int parse_bytes(const char *command, const char *option, const char *text, uint64_t min,
                       uint64_t max, uint64_t *ret)
{
    if (!cli_bytes(text, ret))
        return cli_usage(command, "%s '%s' is not a size, give bytes as 128, 4k or 64m", option,
                         text);
    return cli_range(command, option, *ret > INT64_MAX ? INT64_MAX : (long long)*ret,
                     (long long)min, (long long)max);
}

static int check_flags(const struct flags *flags, struct commit_config *config)
{
    uint64_t record;
    struct stat st;
    if (cli_range(config->command, "--threads", flags->threads, 1, COMMIT_THREADS_MAX) ||
        cli_range(config->command, "--seconds", flags->seconds, 1, 3600) ||
        parse_bytes(config->command, "--record", flags->record, 1, COMMIT_RECORD_MAX, &record) ||
        parse_bytes(config->command, "--log", flags->log, KEEL_WAL_BYTES_MIN, 1ull << 40,
                    &config->log_bytes) ||
        parse_bytes(config->command, "--cache", flags->cache, 1u << 20, 1ull << 40,
                    &config->cache_bytes) ||
        parse_peers(config, flags->versus))
        return CLI_USAGE;
    if (!path_sync_parse(flags->sync, &config->sync))
        return cli_usage(config->command,
                         "--sync: there is no '%s', give auto, dsync, link, flush or none",
                         flags->sync);
    if (!path_method_parse(flags->method, &config->method))
        return cli_usage(config->command, "--method: there is no '%s', give auto, uring or sync",
                         flags->method);
    if (stat(flags->path, &st) || !S_ISDIR(st.st_mode))
        return cli_usage(config->command,
                         "--path %s is not a folder, name one on the disk to "
                         "measure",
                         flags->path);
    int rounds = flags->rounds ? flags->rounds : config->peer_count ? 3 : 1;
    if (cli_range(config->command, "--rounds", rounds, 1, BENCH_ROUNDS_MAX))
        return CLI_USAGE;

    config->path = flags->path;
    config->threads = (uint32_t)flags->threads;
    config->seconds = (uint32_t)flags->seconds;
    config->rounds = (uint32_t)rounds;
    config->record_bytes = (uint32_t)record;
    return 0;
}

static int parse(int argc, const char **argv, struct flags *flags, struct commit_config *config)
{
    const struct poptOption options[] = {
        {"threads", 0, POPT_ARG_INT, &flags->threads, 0, "blocking writers (8)", "T"},
        {"seconds", 0, POPT_ARG_INT, &flags->seconds, 0, "of each round (5)", "N"},
        {"rounds", 0, POPT_ARG_INT, &flags->rounds, 0, "3 beside peers, else 1", "N"},
        {"path", 0, POPT_ARG_STRING, &flags->path, 0, "folder on the disk to measure (.)", "P"},
        {"record", 0, POPT_ARG_STRING, &flags->record, 0, "bytes that a transaction writes (128)",
         "BYTES"},
        {"sync", 0, POPT_ARG_STRING, &flags->sync, 0, "auto, dsync, link, flush, none (auto)",
         "METHOD"},
        {"method", 0, POPT_ARG_STRING, &flags->method, 0, "auto, uring, sync (auto)", "METHOD"},
        {"log", 0, POPT_ARG_STRING, &flags->log, 0, "size of the log (256m)", "BYTES"},
        {"cache", 0, POPT_ARG_STRING, &flags->cache, 0, "size of the page cache (64m)", "BYTES"},
        {"vs", 0, POPT_ARG_STRING, &flags->versus, 0, "peers to run in turn: fio, rocksdb, bare",
         "PEER,..."},
        {"json", 0, POPT_ARG_NONE, &flags->json, 0, "one JSON object on stdout", NULL},
        POPT_AUTOHELP POPT_TABLEEND,
    };
    if (cli_parse(argc, argv, options, "", NULL, 0) < 0)
        return CLI_USAGE;
    return check_flags(flags, config);
}

/* ---------------------------------------------------------------- report */

static json_t *machine_json(const struct commit_config *config, const struct disk *disk)
{
    struct utsname uts = {0};
    struct statfs fs;
    char cpu[128] = "", line[256];
    uname(&uts);
    FILE *file = fopen("/proc/cpuinfo", "re");
    while (file && fgets(line, sizeof(line), file)) {
        if (sscanf(line, "model name : %127[^\n]", cpu) == 1)
            break;
    }
    if (file)
        fclose(file);
    json_t *magic = statfs(config->path, &fs) ? json_null() : json_integer(fs.f_type);
    return json_pack("{s:s,s:s,s:s,s:i,s:o,s:o}", "kernel", uts.release, "arch", uts.machine, "cpu",
                     cpu, "cpus", (int)sysconf(_SC_NPROCESSORS_ONLN), "file_system_magic", magic,
                     "disk", disk_json(disk));
}

static json_t *per_op(uint64_t count, uint64_t ops, bool known)
{
    return known && ops ? json_real((double)count / (double)ops) : json_null();
}

static json_t *per_op_json(const struct commit_counts *counts)
{
    uint64_t ops = counts->ops;
    return json_pack(
        "{s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "enters", per_op(counts->enters, ops, true),
        "device_reads", per_op(counts->device_reads, ops, counts->device_known), "device_writes",
        per_op(counts->device_writes, ops, counts->device_known), "device_write_bytes",
        per_op(counts->device_write_bytes, ops, counts->device_known), "flushes",
        per_op(counts->flushes, ops, counts->device_known), "allocations",
        per_op(counts->allocations, counts->allocation_ops, malloc_count_known()),
        "submitted_writes", per_op(counts->log_writes + counts->page_writes, ops, true));
}

static json_t *result_json(const struct commit_config *config, const struct commit_report *report)
{
    double ops = bench_median_ops(&report->ours);
    json_t *rounds = json_array();
    for (unsigned i = 0; i < report->ours.count; i++)
        json_array_append_new(rounds, json_real(report->ours.rounds[i].ops_per_s));
    return json_pack("{s:f,s:f,s:o,s:f,s:o,s:I,s:o}", "ops_per_s", ops, "bytes_per_s",
                     ops * config->record_bytes, "lat_ns", cli_lat_json(&report->latency),
                     "cpu_ns_per_op", bench_median_cpu(&report->ours), "per_op",
                     per_op_json(&report->counts), "ops", (json_int_t)report->counts.ops, "rounds",
                     rounds);
}

static const char *method_name(enum keel_method method)
{
    return method == KEEL_METHOD_URING ? "uring" : method == KEEL_METHOD_SYNC ? "sync" : "auto";
}

static int print_json(const struct commit_config *config, const struct commit_report *report)
{
    double ours = bench_median_ops(&report->ours);
    json_t *versus = json_array();
    for (uint32_t i = 0; i < config->peer_count; i++)
        json_array_append_new(versus, bench_series_json(&report->versus[i], ours));
    json_t *settings =
        json_pack("{s:i,s:i,s:i,s:i,s:s,s:s,s:s,s:I,s:I}", "threads", (int)config->threads,
                  "seconds", (int)config->seconds, "rounds", (int)config->rounds, "record",
                  (int)config->record_bytes, "sync", path_sync_name(config->sync), "method",
                  method_name(config->method), "path", config->path, "log",
                  (json_int_t)config->log_bytes, "cache", (json_int_t)config->cache_bytes);
    return cli_json(config->command, json_pack("{s:s,s:s,s:o,s:o,s:o,s:o,s:o}", "job", "commit",
                                               "version", keel_version(), "config", settings,
                                               "machine", machine_json(config, &report->disk),
                                               "path", path_report_json(&report->path), "result",
                                               result_json(config, report), "versus", versus));
}

static void print_per_op(const struct commit_counts *counts)
{
    double ops = counts->ops ? (double)counts->ops : 1;
    printf("per commit: %.2f enters, %.3f log writes, %.3f page writes",
           (double)counts->enters / ops, (double)counts->log_writes / ops,
           (double)counts->page_writes / ops);
    if (malloc_count_known() && counts->allocation_ops)
        printf(", %.4f allocations", (double)counts->allocations / (double)counts->allocation_ops);
    printf("\n");
    if (counts->device_known)
        printf("disk, per commit: %.3f writes, %.0f bytes, %.3f flushes, %.3f reads (all that it "
               "did; the kernel counts a flush among the writes too)\n",
               (double)counts->device_writes / ops, (double)counts->device_write_bytes / ops,
               (double)counts->flushes / ops, (double)counts->device_reads / ops);
    else
        printf("disk: not counted, the kernel shows no disk below the folder\n");
}

static void print_row(const struct bench_series *series, double ours)
{
    char ns[4][16], rate[32];
    if (!series->count) {
        printf("%-8s did not run: %s\n", series->name, series->note);
        return;
    }
    struct bench_lat lat = bench_median_lat(series);
    double ops = bench_median_ops(series), cpu = bench_median_cpu(series);
    printf("%-8s %10s/s  p50 %-9s p99 %-9s p99.9 %-9s cpu/op %-9s", series->name,
           cli_count((uint64_t)ops, rate), cli_ns(lat.p50, ns[0]), cli_ns(lat.p99, ns[1]),
           cli_ns(lat.p999, ns[2]), cpu < 0 ? "?" : cli_ns((uint64_t)cpu, ns[3]));
    if (ours > 0 && ops > 0)
        printf(" keel is %.2fx", ours / ops);
    printf("\n");
}

static void print_text(const struct commit_config *config, const struct commit_report *report)
{
    printf("commit: %u threads, %u bytes, %u rounds of %u s\n", config->threads,
           config->record_bytes, config->rounds, config->seconds);
    print_row(&report->ours, 0);
    for (uint32_t i = 0; i < config->peer_count; i++)
        print_row(&report->versus[i], bench_median_ops(&report->ours));
    print_per_op(&report->counts);
    printf("path\n");
    path_report_print(&report->path, &report->disk, stdout);
}

static int run_commit(int argc, const char **argv)
{
    static struct commit_report report;
    static struct flags flags = {.threads = 8,
                                 .seconds = 5,
                                 .path = ".",
                                 .record = "128",
                                 .sync = "auto",
                                 .method = "auto",
                                 .versus = "",
                                 .log = "256m",
                                 .cache = "64m"};
    static struct commit_config config;
    config.command = argv[0];
    int status = parse(argc, argv, &flags, &config);
    if (status)
        return status;
    status = commit_run(&config, &report);
    if (status)
        return status;
    if (flags.json)
        return print_json(&config, &report);
    print_text(&config, &report);
    return CLI_OK;
}

int bench_main(int argc, const char **argv)
{
    if (argc >= 2 && strcmp(argv[1], "commit") == 0) {
        argv[1] = "keel bench commit";
        return run_commit(argc - 1, argv + 1);
    }
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0)) {
        printf("Usage: keel bench JOB [OPTION...]\n\n"
               "  commit  blocking writers; keel bench commit --help\n");
        return CLI_OK;
    }
    if (argc >= 2)
        return cli_usage(argv[0], "there is no job '%s', name commit", argv[1]);
    return cli_usage(argv[0], "no job given, name commit");
}
