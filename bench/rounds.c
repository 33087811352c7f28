/*
 * Rounds: ours, then each peer, then ours again, in a scratch folder that is gone afterwards.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "bench/job.h"
#include "bench/lib/scratch.h"
#include "tools/cli.h"

enum keel_sync_method bench_sync_of(const struct bench_report *report)
{
    enum keel_sync_method sync;

    if (!path_sync_parse(report->path.sync_method, &sync) || sync == KEEL_SYNC_AUTO)
        return KEEL_SYNC_FLUSH;
    return sync;
}

int bench_sched_set(struct keel_device *device, enum bench_sched sched)
{
    static const enum keel_sched_mode modes[] = {
        [BENCH_SCHED_OFF] = KEEL_SCHED_OFF,
        [BENCH_SCHED_STATIC] = KEEL_SCHED_STATIC,
        [BENCH_SCHED_ADAPTIVE] = KEEL_SCHED_ADAPTIVE,
    };
    struct keel_sched_options options;

    keel_sched_get(device, &options);
    options.mode = modes[sched];
    return keel_sched_set(device, &options);
}

int bench_profile_use(const struct bench_options *options, struct keel_device *device)
{
    struct keel_sched_costs costs;

    if (!options->profile)
        return 0;
    int rc = keel_sched_costs_load(options->profile, &costs);
    if (rc == 0)
        rc = keel_sched_costs_set(device, &costs);
    return rc ? cli_error(options->command, options->profile, rc, NULL) : 0;
}

static int make_folder(const struct bench_options *options, struct scratch *scratch)
{
    struct stat st;

    if (stat(options->path, &st) == 0 && !S_ISDIR(st.st_mode))
        return 0;
    int rc = scratch_make(scratch, options->path);
    if (rc == -ENAMETOOLONG)
        return cli_fail(options->command, "--path is too long; name a shorter one");
    if (rc)
        return cli_fail(options->command, "%s: %s; name a folder that can be written to",
                        options->path, strerror(-rc));
    return 0;
}

static void peer_round(struct bench_run *run, const struct bench_peer *peer,
                       struct bench_series *series)
{
    KEEL_ASSERT(series->count < BENCH_ROUNDS_MAX);
    if (!peer->round(run, series))
        cli_fail(run->options->command, "%s: %s", peer->name, series->note);
}

static int run_all(const struct bench_job *job, struct bench_run *run,
                   const struct bench_peer *const *peers, uint32_t peer_count)
{
    const struct bench_options *options = run->options;

    for (uint32_t round = 0; round < options->rounds; round++) {
        cli_progress("round %u of %u: keel", round + 1, options->rounds);
        int rc = job->round(run);
        if (rc)
            return rc;
        for (uint32_t i = 0; i < peer_count; i++) {
            struct bench_series *series = &run->report->versus[i];
            /* One that could not run will not run in the next round either. */
            if (round > 0 && series->count == 0)
                continue;
            cli_progress("round %u of %u: %s", round + 1, options->rounds, peers[i]->name);
            peer_round(run, peers[i], series);
        }
    }
    return 0;
}

int bench_rounds(const struct bench_job *job, const struct bench_options *options,
                 const struct bench_peer *const *peers, uint32_t peer_count,
                 struct bench_report *report)
{
    struct scratch scratch = {0};
    struct bench_run run = {.options = options, .report = report, .folder = scratch.path};

    KEEL_ASSERT(options->rounds >= 1 && options->rounds <= BENCH_ROUNDS_MAX);
    KEEL_ASSERT(peer_count <= BENCH_PEERS_MAX);
    report->ours.name = "keel";
    hist_init(&report->latency);
    for (uint32_t i = 0; i < peer_count; i++)
        report->versus[i].name = peers[i]->name;
    if (disk_find(options->path, &report->disk))
        report->disk.found = false;

    int rc = make_folder(options, &scratch);
    if (rc)
        return rc;
    rc = job->begin ? job->begin(&run) : 0;
    if (rc == 0) {
        rc = run_all(job, &run, peers, peer_count);
        if (job->end)
            job->end(&run);
    }
    cli_progress_end();
    if (scratch_remove(&scratch))
        cli_fail(options->command, "%s could not be removed; remove it", scratch.path);
    return rc;
}
