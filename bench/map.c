/*
 * The job `map`: how reads and writes of one disk disturb each other. A square of cells: so much of
 * the largest read rate, beside so much of the largest write rate; in each the latency of the
 * reads.
 *
 * The two largest rates are measured first, each alone and with everything in flight. In a cell,
 * reads (of --bs) arrive at random moments at the cell's rate, and writes (128 KiB) likewise,
 * whether earlier ones are done or not: a read's latency counts from the moment at which it should
 * have begun, so a disk that stalls is not spared the requests of the meantime. A cell that reaches
 * less than 97 percent of either rate is marked: the disk cannot do both.
 *
 * One thread and one context for each side.
 */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/prng.h"
#include "bench/transfer.h"
#include "tools/cli.h"

#define STEPS         5u /* 0, 25, 50, 75, 100 percent */
#define WRITE_BYTES   (128u << 10)
#define WRITE_DEPTH   16u
#define SLOTS_SPARE   16u
#define REACHED       0.97
#define SLEEP_FROM_NS 100000 /* shorter pauses are spent polling */
#define NS_PER_SECOND 1000000000u

struct side;

struct transfer {
    struct keel_io io;
    struct side *side;
    uint64_t due_ns;
    struct transfer *next; /* idle */
};

struct side {
    const struct bench_options *options;
    struct keel_device *device;
    enum keel_op op;
    uint32_t bytes, depth;
    double per_s; /* 0: nothing; < 0: as fast as it goes */
    uint64_t ns;
    pthread_t id;

    struct keel_ctx *ctx;
    struct keel_arena *arena;
    struct transfer *transfers, *idle;
    struct prng prng;
    uint64_t blocks, done;
    int error;
    double reached_per_s;
    struct hist latency;
    struct path_report path;
};

struct cell {
    double reads_per_s, write_bytes_per_s; /* reached, last round */
    bool short_of;
    struct hist latency; /* of reads, all rounds */
};

struct job {
    struct keel_ctx *ctx;
    struct keel_device *device;
    double reads_max, writes_max; /* per second, of the last round */
    struct side sides[2];
    struct cell cells[STEPS][STEPS]; /* [writes][reads] */
};

/* ---------------------------------------------------------------- one side */

static void transfer_done(struct keel_io *io)
{
    struct transfer *transfer = io->user;
    struct side *side = transfer->side;

    hist_record(&side->latency, clock_now_ns() - transfer->due_ns);
    if (io->res)
        side->error = io->res;
    side->done++;
    transfer->next = side->idle;
    side->idle = transfer;
}

static int prepare(struct side *side)
{
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;

    options.method = side->options->method;
    options.iopoll = side->options->iopoll;
    options.depth = side->depth + SLOTS_SPARE;
    int rc = keel_ctx_open(&options, &side->ctx);
    if (rc)
        return rc;
    side->transfers = mem_alloc(side->depth * sizeof(*side->transfers));
    rc = side->transfers
             ? keel_arena_create((size_t)side->bytes * side->depth + (2u << 20), &side->arena)
             : -ENOMEM;
    for (uint32_t i = 0; rc == 0 && i < side->depth; i++) {
        struct transfer *transfer = &side->transfers[i];
        bool read = side->op == KEEL_OP_READ;
        *transfer = (struct transfer){.side = side, .next = side->idle};
        transfer->io = (struct keel_io){.device = side->device,
                                        .op = (uint8_t)side->op,
                                        .cls = read ? KEEL_CLASS_READ : KEEL_CLASS_WRITEBACK,
                                        .arena = side->arena,
                                        .buf = keel_arena_alloc(side->arena, side->bytes),
                                        .len_bytes = side->bytes,
                                        .done = transfer_done,
                                        .user = transfer};
        for (uint32_t at = 0; at < side->bytes; at += sizeof(uint64_t)) {
            uint64_t value = prng_u64(&side->prng);
            memcpy((char *)transfer->io.buf + at, &value, sizeof(value));
        }
        side->idle = transfer;
    }
    return rc;
}

/* Pause until the next arrival: exponential, so that arrivals are at random moments. */
static double pause_ns(struct side *side)
{
    double u = (double)(prng_u64(&side->prng) >> 11) * 0x1p-53;

    return side->per_s < 0 ? 0 : -log(1 - u) * NS_PER_SECOND / side->per_s;
}

static int start_one(struct side *side, uint64_t due_ns)
{
    struct transfer *transfer = side->idle;

    transfer->io.offset_bytes = prng_below(&side->prng, side->blocks) * side->bytes;
    transfer->due_ns = due_ns;
    int rc = keel_io_submit(side->ctx, &transfer->io);
    if (rc == 0)
        side->idle = transfer->next;
    return rc;
}

static int run_load(struct side *side)
{
    uint64_t begin = clock_now_ns(), now = begin;
    double due = (double)begin + pause_ns(side);
    int rc = 0;

    while (rc >= 0 && !side->error && now - begin < side->ns) {
        while (rc >= 0 && side->idle && due <= (double)now) {
            rc = start_one(side, side->per_s < 0 ? now : (uint64_t)due);
            due += pause_ns(side);
        }
        double left = due - (double)now;
        /* With nothing idle the next event is a completion; else it is the next arrival. */
        int64_t timeout = !side->idle ? -1 : left > SLEEP_FROM_NS ? (int64_t)left : 0;
        if (rc >= 0)
            rc = keel_ctx_poll(side->ctx, 0, timeout);
        now = clock_now_ns();
    }
    side->reached_per_s = (double)side->done * NS_PER_SECOND / (double)(now - begin);
    return rc < 0 ? rc : side->error;
}

static void *side_main(void *arg)
{
    struct side *side = arg;

    hist_init(&side->latency);
    side->done = 0;
    side->reached_per_s = 0;
    side->error = 0;
    side->idle = NULL;
    if (side->per_s == 0)
        return NULL;
    side->ctx = NULL;
    side->arena = NULL;
    int rc = prepare(side);
    if (rc == 0)
        rc = run_load(side);
    side->error = rc;
    if (side->ctx)
        path_report_fill(&side->path, side->ctx, NULL);
    keel_ctx_close(side->ctx);
    if (side->arena)
        keel_arena_destroy(side->arena);
    mem_free(side->transfers);
    return NULL;
}

/* Both sides at once; 0 or the first error. */
static int run_sides(struct job *job, double reads_per_s, double writes_per_s)
{
    double per_s[2] = {reads_per_s, writes_per_s};

    for (unsigned i = 0; i < 2; i++) {
        job->sides[i].per_s = per_s[i];
        int rc = pthread_create(&job->sides[i].id, NULL, side_main, &job->sides[i]);
        KEEL_ASSERT(rc == 0); /* two threads; there is no way on without one of them */
    }
    for (unsigned i = 0; i < 2; i++)
        pthread_join(job->sides[i].id, NULL);
    return job->sides[0].error ? job->sides[0].error : job->sides[1].error;
}

/* ---------------------------------------------------------------- one round */

static int measure_cell(struct job *job, unsigned w, unsigned r)
{
    struct cell *cell = &job->cells[w][r];
    double reads = job->reads_max * r / (STEPS - 1), writes = job->writes_max * w / (STEPS - 1);

    int rc = run_sides(job, reads, writes);
    if (rc)
        return rc;
    cell->reads_per_s = job->sides[0].reached_per_s;
    cell->write_bytes_per_s = job->sides[1].reached_per_s * WRITE_BYTES;
    cell->short_of =
        cell->reads_per_s < REACHED * reads || job->sides[1].reached_per_s < REACHED * writes;
    hist_merge(&cell->latency, &job->sides[0].latency);
    return 0;
}

static int measure(struct bench_run *run, struct job *job)
{
    struct bench_series *ours = &run->report->ours;
    struct bench_round *round = &ours->rounds[ours->count];

    cli_progress("the largest rate of writes");
    int rc = run_sides(job, 0, -1);
    job->writes_max = job->sides[1].reached_per_s;
    cli_progress("the largest rate of reads");
    if (rc == 0)
        rc = run_sides(job, -1, 0);
    if (rc)
        return rc;
    job->reads_max = job->sides[0].reached_per_s;
    run->report->path = job->sides[0].path;
    run->report->counts.ops += job->sides[0].done;
    *round = (struct bench_round){.ops_per_s = job->reads_max,
                                  .cpu_ns_per_op = -1,
                                  .lat = bench_lat_of(&job->sides[0].latency)};
    hist_merge(&run->report->latency, &job->sides[0].latency);
    for (unsigned cell = 1; rc == 0 && cell < STEPS * STEPS; cell++) {
        cli_progress("cell %u of %u", cell, STEPS * STEPS - 1);
        rc = measure_cell(job, cell / STEPS, cell % STEPS);
    }
    ours->count++;
    return rc;
}

static int map_round(struct bench_run *run)
{
    struct job *job = run->state;
    int rc = measure(run, job);

    return rc ? cli_error(run->options->command, run->options->path, rc, NULL) : 0;
}

/* ---------------------------------------------------------------- all rounds */

static int open_device(struct bench_run *run, struct job *job, char path[600],
                       struct keel_err_info *info)
{
    struct keel_device_options options = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct keel_ctx_options ctx = KEEL_CTX_OPTIONS_DEFAULT;

    transfer_path(run, path);
    if (run->folder[0]) {
        cli_progress("writing the file");
        int made = bench_file_create(path, run->options->data_bytes);
        if (made)
            return made;
    }
    ctx.method = run->options->method;
    int rc = keel_ctx_open(&ctx, &job->ctx);
    if (rc)
        return rc;
    rc = keel_device_open(job->ctx, path, &options, info, &job->device);
    if (rc == 0)
        return keel_device_info(job->device)->size_bytes < WRITE_BYTES ? KEEL_ERANGE : 0;
    job->device = NULL;
    return rc;
}

static void close_device(struct job *job)
{
    if (job->device)
        keel_device_close(job->device);
    keel_ctx_close(job->ctx);
    mem_free(job);
}

static int map_begin(struct bench_run *run)
{
    struct keel_err_info info = {0};
    char path[600];
    struct job *job = mem_alloc(sizeof(*job));

    if (!job)
        return cli_error(run->options->command, "job", -ENOMEM, NULL);
    int rc = open_device(run, job, path, &info);
    if (rc) {
        close_device(job);
        return cli_error(run->options->command, path, rc, &info);
    }
    for (unsigned i = 0; i < 2; i++) {
        struct side *side = &job->sides[i];
        side->options = run->options;
        side->device = job->device;
        side->op = i == 0 ? KEEL_OP_READ : KEEL_OP_WRITE;
        side->bytes = i == 0 ? (uint32_t)run->options->bs_bytes : WRITE_BYTES;
        side->depth = i == 0 ? run->options->depth : WRITE_DEPTH;
        side->blocks = keel_device_info(job->device)->size_bytes / side->bytes;
        side->ns = run->options->seconds * (uint64_t)NS_PER_SECOND;
        prng_seed(&side->prng, i + 1);
    }
    for (unsigned cell = 0; cell < STEPS * STEPS; cell++)
        hist_init(&job->cells[cell / STEPS][cell % STEPS].latency);
    run->state = job;
    return 0;
}

static json_t *cell_json(const struct cell *cell, unsigned w, unsigned r)
{
    return json_pack("{s:i,s:i,s:f,s:f,s:b,s:o}", "write_percent", (int)(100 * w / (STEPS - 1)),
                     "read_percent", (int)(100 * r / (STEPS - 1)), "reads_per_s", cell->reads_per_s,
                     "write_bytes_per_s", cell->write_bytes_per_s, "short", (int)cell->short_of,
                     "read_lat_ns", cli_lat_json(&cell->latency));
}

static void map_end(struct bench_run *run)
{
    struct job *job = run->state;
    json_t *cells = json_array();

    for (unsigned cell = 1; cell < STEPS * STEPS; cell++)
        json_array_append_new(
            cells, cell_json(&job->cells[cell / STEPS][cell % STEPS], cell / STEPS, cell % STEPS));
    run->report->extra =
        json_pack("{s:f,s:f,s:i,s:o}", "reads_per_s_max", job->reads_max, "write_bytes_per_s_max",
                  job->writes_max * WRITE_BYTES, "write_bytes", (int)WRITE_BYTES, "map", cells);
    close_device(job);
}

static void print_square(const json_t *cells, const char *percentile)
{
    printf("%s of a read; across: share of the largest read rate, down: of the largest write rate; "
           "* cannot be reached\n%6s",
           percentile, "");
    for (unsigned r = 1; r < STEPS; r++)
        printf("%12u%%", 100 * r / (STEPS - 1));
    for (unsigned w = 0; w < STEPS; w++) {
        printf("\n%5u%%", 100 * w / (STEPS - 1));
        for (unsigned r = 1; r < STEPS; r++) {
            const json_t *cell = json_array_get(cells, w * STEPS + r - 1);
            const json_t *lat = json_object_get(cell, "read_lat_ns");
            char ns[16];
            cli_ns((uint64_t)json_integer_value(json_object_get(lat, percentile)), ns);
            printf("%12s%c", json_is_object(lat) ? ns : "none",
                   json_is_true(json_object_get(cell, "short")) ? '*' : ' ');
        }
    }
    printf("\n");
}

static void map_print(const struct bench_options *options, const struct bench_report *report)
{
    const json_t *cells = json_object_get(report->extra, "map");
    char rate[32];

    printf("largest: %s reads of %u KiB/s, %.0f MB/s of writes of 128 KiB\n",
           cli_count((uint64_t)json_real_value(json_object_get(report->extra, "reads_per_s_max")),
                     rate),
           (unsigned)(options->bs_bytes >> 10),
           json_real_value(json_object_get(report->extra, "write_bytes_per_s_max")) / 1e6);
    print_square(cells, "p50");
    print_square(cells, "p99");
}

static uint64_t map_bytes(const struct bench_options *options)
{
    return options->bs_bytes;
}

const struct bench_job bench_job_map = {
    .name = "map",
    .summary = "how reads and writes disturb each other, as a square of rates",
    .unit = "read",
    .takes = BENCH_DEPTH | BENCH_BS | BENCH_DATA | BENCH_METHOD | BENCH_IOPOLL,
    .takes_device = true,
    .defaults = {.seconds = 2, .depth = 128, .bs_bytes = 4096, .data_bytes = 1ull << 30},
    .begin = map_begin,
    .round = map_round,
    .end = map_end,
    .print = map_print,
    .op_bytes = map_bytes,
};
