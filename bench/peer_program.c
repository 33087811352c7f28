/*
 * Peers that are libraries: each is linked into a program of its own (bench/peers), which lies
 * beside the command and is built where its library is installed. One round is one run of it, in an
 * empty folder, with as many threads, seconds and bytes as ours.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "bench/lib/proc.h"
#include "bench/peer.h"

/* keel-peer-NAME in the folder that the command was started from. False: that cannot be found. */
static bool program_path(const char *name, char *ret, size_t size)
{
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (len <= 0)
        return false;
    self[len] = '\0';
    char *slash = strrchr(self, '/');
    KEEL_ASSERT(slash); /* the link is absolute */
    *slash = '\0';
    return snprintf(ret, size, "%s/keel-peer-%s", self, name) < (int)size;
}

static bool refuse(struct bench_series *series, const char *why)
{
    snprintf(series->note, sizeof(series->note), "%.190s", why);
    return false;
}

static void read_lat(const json_t *json, struct bench_lat *lat)
{
    *lat = (struct bench_lat){
        .p50 = (uint64_t)json_integer_value(json_object_get(json, "p50")),
        .p90 = (uint64_t)json_integer_value(json_object_get(json, "p90")),
        .p99 = (uint64_t)json_integer_value(json_object_get(json, "p99")),
        .p999 = (uint64_t)json_integer_value(json_object_get(json, "p999")),
        .max = (uint64_t)json_integer_value(json_object_get(json, "max")),
    };
}

static bool read_report(struct bench_series *series, struct proc_output *output)
{
    struct bench_round *round = &series->rounds[series->count];
    json_error_t error;
    json_t *json = json_loads(output->text, 0, &error);
    const char *note = json_string_value(json_object_get(json, "note"));

    round->ops_per_s = json_number_value(json_object_get(json, "ops_per_s"));
    round->cpu_ns_per_op = json_number_value(json_object_get(json, "cpu_ns_per_op"));
    read_lat(json_object_get(json, "lat_ns"), &round->lat);
    if (note)
        snprintf(series->note, sizeof(series->note), "%.190s", note);
    json_decref(json);
    if (!note || !(round->ops_per_s > 0))
        return refuse(series, proc_last_line(output));
    series->count++;
    return true;
}

static bool run(const struct peer_job *job, const char *name, struct bench_series *series,
                struct proc_output *output)
{
    char program[PATH_MAX + 32], folder[640], threads[16], seconds[16], bytes[16];
    const char *const argv[] = {program, folder, threads, seconds, bytes, NULL};

    if (!program_path(name, program, sizeof(program)))
        return refuse(series, "the folder of the command cannot be found");
    snprintf(folder, sizeof(folder), "%s/%s-%u", job->folder, name, series->count);
    snprintf(threads, sizeof(threads), "%u", job->threads);
    snprintf(seconds, sizeof(seconds), "%u", job->seconds);
    snprintf(bytes, sizeof(bytes), "%u", job->record_bytes);
    if (mkdir(folder, 0755) && errno != EEXIST)
        return refuse(series, strerror(errno));

    int rc = proc_run(argv, output);
    if (rc)
        return refuse(series, keel_err_text(rc));
    if (output->missing) {
        snprintf(series->note, sizeof(series->note),
                 "keel-peer-%s was not built: apt-get install lib%s-dev, then build again", name,
                 strcmp(name, "sqlite") == 0 ? "sqlite3" : name);
        return false;
    }
    if (output->exit_status)
        return refuse(series, proc_last_line(output));
    return read_report(series, output);
}

static bool round_of(struct bench_run *bench, const char *name, struct bench_series *series)
{
    struct peer_job job = peer_job_of(bench);

    KEEL_ASSERT(series->count < BENCH_ROUNDS_MAX);
    struct proc_output *output = mem_alloc(sizeof(*output));
    if (!output)
        return refuse(series, "out of memory");
    bool good = run(&job, name, series, output);
    mem_free(output);
    return good;
}

bool peer_wiredtiger_commit(struct bench_run *run, struct bench_series *series)
{
    return round_of(run, "wiredtiger", series);
}

bool peer_sqlite_commit(struct bench_run *run, struct bench_series *series)
{
    return round_of(run, "sqlite", series);
}

bool peer_lmdb_commit(struct bench_run *run, struct bench_series *series)
{
    return round_of(run, "lmdb", series);
}
