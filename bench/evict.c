/*
 * The job `evict`: which share of accesses a policy finds in the cache, on traces made here. No
 * pages, no device: keel's policy is the functions that the page cache itself uses
 * (pagecache/policy.h), in batches as there; beside it a clock, LRU, and the optimum, which knows
 * the future (Belady). `stream` is keel's with the trace's scans going through a stream, which
 * keeps its pages out of the cache.
 *
 * The table is in the report, and a picture of it in eviction.svg in the folder of --path.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "bench/lib/dist.h"
#include "bench/lib/evict_sim.h"
#include "tools/cli.h"

#define PAGES    50000u
#define ACCESSES 1000000u

static const uint32_t cache_pages[] = {1000, 5000, 12500};
#define SIZES (sizeof(cache_pages) / sizeof(cache_pages[0]))

enum trace { TRACE_ZIPF, TRACE_ZIPF_SCAN, TRACE_LOOP, TRACE_SHIFT, TRACES };
static const char *const trace_names[] = {"zipf 0.99", "zipf and scans", "loop",
                                          "shifting hot set"};

struct job {
    const struct bench_options *config;
    struct bench_report *report;
    struct evict_access *trace;
    struct evict_sim *sim;
    double hits[TRACES][SIZES][EVICT_POLICIES];
};

/* ---------------------------------------------------------------- traces */

static void make_zipf(struct evict_access *trace, bool scans)
{
    struct dist dist;
    struct prng prng;
    uint32_t scan = 0;

    prng_seed(&prng, 1);
    dist_init(&dist, PAGES, 0.99);
    for (uint32_t i = 0; i < ACCESSES; i++) {
        /* A scan of everything, side by side with the rest, half of the time. */
        bool scanning = scans && i / (2 * PAGES) % 2 == 1 && i % 2 == 1;
        trace[i].page = scanning ? scan++ % PAGES : (uint32_t)dist_next(&dist, &prng);
        trace[i].scan = scanning;
    }
}

/* Round and round over 15000 pages: more than each of the caches has. */
static void make_loop(struct evict_access *trace)
{
    for (uint32_t i = 0; i < ACCESSES; i++)
        trace[i] = (struct evict_access){.page = i % 15000};
}

/* Nine of ten accesses to 4000 pages, which are others every 50000 accesses. */
static void make_shift(struct evict_access *trace)
{
    struct prng prng;

    prng_seed(&prng, 2);
    for (uint32_t i = 0; i < ACCESSES; i++) {
        uint32_t base = i / 50000 * 2000 % PAGES;
        bool hot = prng_chance(&prng, 9, 10);
        uint32_t page = (uint32_t)prng_below(&prng, hot ? 4000 : PAGES);
        trace[i] = (struct evict_access){.page = hot ? (base + page) % PAGES : page};
    }
}

static void make_trace(struct evict_access *trace, enum trace which)
{
    switch (which) {
    case TRACE_ZIPF:
        make_zipf(trace, false);
        return;
    case TRACE_ZIPF_SCAN:
        make_zipf(trace, true);
        return;
    case TRACE_LOOP:
        make_loop(trace);
        return;
    case TRACE_SHIFT:
        make_shift(trace);
        return;
    case TRACES:
        break;
    }
    KEEL_ASSERT(false);
}

/* ---------------------------------------------------------------- the run */

static int evict_round(struct bench_run *run)
{
    struct job *job = run->state;
    struct bench_series *ours = &job->report->ours;
    uint64_t accesses = 0, ns = 0;

    for (unsigned t = 0; t < TRACES; t++) {
        make_trace(job->trace, (enum trace)t);
        for (unsigned s = 0; s < SIZES; s++) {
            for (unsigned p = 0; p < EVICT_POLICIES; p++) {
                uint64_t begin_ns = clock_now_ns();
                uint64_t hits = evict_sim_run(job->sim, (enum evict_policy)p, cache_pages[s]);
                if (p == EVICT_KEEL) {
                    ns += clock_now_ns() - begin_ns;
                    accesses += ACCESSES;
                }
                job->hits[t][s][p] = (double)hits / ACCESSES;
            }
        }
    }
    ours->rounds[ours->count++] =
        (struct bench_round){.ops_per_s = (double)accesses * 1e9 / (double)ns, .cpu_ns_per_op = -1};
    job->report->counts.ops += accesses;
    return 0;
}

static int evict_begin(struct bench_run *run)
{
    struct job *job = mem_alloc(sizeof(*job));
    struct evict_access *trace = mem_alloc(ACCESSES * sizeof(*trace));
    struct evict_sim *sim = trace ? evict_sim_make(trace, ACCESSES, PAGES) : NULL;

    if (!job || !sim) {
        evict_sim_free(sim);
        mem_free(trace);
        mem_free(job);
        return cli_error(run->options->command, "job", -ENOMEM, NULL);
    }
    *job = (struct job){.config = run->options, .report = run->report, .trace = trace, .sim = sim};
    run->state = job;
    return 0;
}

/* ---------------------------------------------------------------- table and picture */

static void draw(const struct job *job, const char *path)
{
    static const char *const colours[] = {"#1b6ca8", "#7fb2d9", "#c98b2b", "#8a8a8a", "#3c3c3c"};
    FILE *file = fopen(path, "we");
    if (!file) {
        cli_fail(job->config->command, "%s: %s; the table is all there is", path, strerror(errno));
        return;
    }
    fprintf(file,
            "<svg xmlns='http://www.w3.org/2000/svg' width='980' height='%u' "
            "font-family='sans-serif' font-size='12'>\n",
            60 + (unsigned)SIZES * 190);
    for (unsigned p = 0; p < EVICT_POLICIES; p++)
        fprintf(file,
                "<rect x='%u' y='12' width='12' height='12' fill='%s'/>"
                "<text x='%u' y='23'>%s</text>\n",
                60 + p * 110, colours[p], 78 + p * 110, evict_policy_names[p]);
    for (unsigned s = 0; s < SIZES; s++) {
        unsigned base = 200 + s * 190;
        fprintf(file, "<text x='60' y='%u'>hit rate, %u pages of %u in the cache</text>\n",
                base - 145, cache_pages[s], PAGES);
        for (unsigned t = 0; t < TRACES; t++) {
            unsigned left = 60 + t * 225;
            fprintf(file, "<text x='%u' y='%u'>%s</text>\n", left, base + 15, trace_names[t]);
            for (unsigned p = 0; p < EVICT_POLICIES; p++) {
                double height = job->hits[t][s][p] * 120;
                fprintf(file,
                        "<rect x='%u' y='%.1f' width='34' height='%.1f' fill='%s'/>"
                        "<text x='%u' y='%.1f' font-size='9'>%.3f</text>\n",
                        left + p * 38, base - height, height, colours[p], left + p * 38 + 4,
                        base - height - 2, job->hits[t][s][p]);
            }
        }
    }
    fprintf(file, "</svg>\n");
    if (fclose(file))
        cli_fail(job->config->command, "%s: %s", path, strerror(errno));
}

static void evict_end(struct bench_run *run)
{
    struct job *job = run->state;
    json_t *rows = json_array();
    char path[600];

    for (unsigned t = 0; t < TRACES; t++) {
        for (unsigned s = 0; s < SIZES; s++) {
            json_t *row =
                json_pack("{s:s,s:i}", "trace", trace_names[t], "cache_pages", (int)cache_pages[s]);
            for (unsigned p = 0; p < EVICT_POLICIES; p++)
                json_object_set_new(row, evict_policy_names[p], json_real(job->hits[t][s][p]));
            json_array_append_new(rows, row);
        }
    }
    run->report->extra = json_pack("{s:o}", "hit_rates", rows);
    snprintf(path, sizeof(path), "%s/eviction.svg", run->options->path);
    if (job->report->ours.count > 0)
        draw(job, path);
    evict_sim_free(job->sim);
    mem_free(job->trace);
    mem_free(job);
}

static void evict_print(const struct bench_options *options, const struct bench_report *report)
{
    const json_t *row;
    size_t at;

    printf("%-18s %8s", "trace", "pages");
    for (unsigned p = 0; p < EVICT_POLICIES; p++)
        printf(" %8s", evict_policy_names[p]);
    printf("\n");
    json_array_foreach(json_object_get(report->extra, "hit_rates"), at, row)
    {
        printf("%-18s %8lld", json_string_value(json_object_get(row, "trace")),
               (long long)json_integer_value(json_object_get(row, "cache_pages")));
        for (unsigned p = 0; p < EVICT_POLICIES; p++)
            printf(" %8.4f", json_real_value(json_object_get(row, evict_policy_names[p])));
        printf("\n");
    }
    printf("picture: %s/eviction.svg\n", options->path);
}

const struct bench_job bench_job_evict = {
    .name = "evict",
    .summary = "hit rates of the eviction policy beside LRU, CLOCK and the optimum",
    .unit = "access",
    .defaults = {.threads = 1},
    .begin = evict_begin,
    .round = evict_round,
    .end = evict_end,
    .print = evict_print,
};
