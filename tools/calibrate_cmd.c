/*
 * `keel calibrate PATH|DEVICE`: measures a disk and writes its profile as JSON, and a picture
 * beside it.
 *
 * In a folder a file is made, written and removed afterwards; a file or device is overwritten,
 * which has to be allowed (--overwrite). Everything goes through keel's own contexts with the
 * scheduler off. What is measured, each for a fixed time:
 *   - reads and writes, random and sequential, at each size: the rate of a saturated disk, whose
 *     inverse is the cost, and percentiles with one in flight
 *   - mixes of reads and writes of 4 KiB
 *   - each sync method with one in flight, on an idle disk and beside write-back
 * Without --quick each takes longer, and writes begin after the disk has been written to for
 * SUSTAIN_S seconds: many disks slow down when a buffer of theirs is full.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/hist.h"
#include "base/mem.h"
#include "base/prng.h"
#include "bench/lib/result.h"
#include "keel/keel.h"
#include "tools/calibrate_plot.h"
#include "tools/cli.h"
#include "tools/commands.h"
#include "tools/disk.h"

#define DEPTH_MAX     64u
#define IN_FLIGHT_MAX (8u << 20)
#define FILE_BYTES    (1ull << 30)
#define SUSTAIN_S     30u
#define BESIDE_DEPTH  8u
#define BESIDE_BYTES  131072u
#define TOO_FAST_NS   4000u /* a sync that is faster reached no medium behind a cache */

static const char *const COMMAND = "keel calibrate";

enum { OP_READ, OP_WRITE, OP_MIX };

/* What one cell asks for. */
struct load {
    int op;
    unsigned write_percent; /* of a mix */
    bool sequential;
    uint32_t bytes, depth;
    uint16_t flags;
    bool sync_behind; /* each write is followed by a SYNC of its own */
    bool beside;      /* write-back beside it */
    uint64_t ns;
};

struct transfer {
    struct keel_io io;
    struct cell *cell;
    uint64_t begun_ns;
    bool syncing;
    struct transfer *next;
};

/* What came of it. */
struct cell {
    const struct load *load;
    struct transfer *idle;
    uint64_t ops, begin_ns, end_ns;
    bool stop;
    int error;
    struct hist latency;
};

struct calibration {
    struct keel_ctx *ctx;
    struct keel_device *device;
    struct keel_arena *arena;
    char *memory; /* IN_FLIGHT_MAX, then that of write-back */
    struct prng prng;
    uint64_t at; /* next place of a sequential load */
    unsigned cells, cells_done;
    bool quick;
    uint64_t began_ns;
    struct transfer transfers[DEPTH_MAX + BESIDE_DEPTH];
    struct cell cell, beside;
};

/* ---------------------------------------------------------------- one cell */

static void transfer_done(struct keel_io *io)
{
    struct transfer *transfer = io->user;
    struct cell *cell = transfer->cell;
    uint64_t now = clock_now_ns();

    if (io->res)
        cell->error = io->res;
    if (cell->load->sync_behind && !transfer->syncing) {
        transfer->syncing = true;
    } else {
        transfer->syncing = false;
        cell->ops++;
        hist_record(&cell->latency, now - transfer->begun_ns);
    }
    transfer->next = cell->idle;
    cell->idle = transfer;
}

static uint64_t place(struct calibration *all, const struct load *load)
{
    uint64_t size = keel_device_info(all->device)->size_bytes / load->bytes * load->bytes;

    if (!load->sequential)
        return prng_u64(&all->prng) % (size / load->bytes) * load->bytes;
    if (all->at + load->bytes > size)
        all->at = 0;
    all->at = all->at / load->bytes * load->bytes + load->bytes;
    return all->at - load->bytes;
}

static int submit(struct calibration *all, struct transfer *transfer)
{
    const struct load *load = transfer->cell->load;
    struct keel_io *io = &transfer->io;
    bool write = load->op == OP_WRITE ||
                 (load->op == OP_MIX && prng_u64(&all->prng) % 100 < load->write_percent);

    if (transfer->syncing) {
        io->op = KEEL_OP_SYNC;
        io->len_bytes = 0;
        return keel_io_submit(all->ctx, io);
    }
    io->op = write ? KEEL_OP_WRITE : KEEL_OP_READ;
    io->flags = load->flags;
    io->len_bytes = load->bytes;
    io->offset_bytes = place(all, load);
    transfer->begun_ns = clock_now_ns();
    return keel_io_submit(all->ctx, io);
}

static void begin_cell(struct calibration *all, struct cell *cell, const struct load *load,
                       uint32_t first)
{
    *cell = (struct cell){.load = load};
    hist_init(&cell->latency);
    for (uint32_t i = 0; i < load->depth; i++) {
        struct transfer *transfer = &all->transfers[first + i];
        char *buf = all->memory + (first ? IN_FLIGHT_MAX : 0) + (size_t)i * load->bytes;
        *transfer = (struct transfer){.cell = cell, .next = cell->idle};
        transfer->io = (struct keel_io){.device = all->device,
                                        .arena = all->arena,
                                        .buf = buf,
                                        .cls = first ? KEEL_CLASS_WRITEBACK : KEEL_CLASS_READ,
                                        .done = transfer_done,
                                        .user = transfer};
        cell->idle = transfer;
    }
}

/* Hand over what is idle; returns how much stays behind because the cell has stopped. */
static int feed(struct calibration *all, struct cell *cell)
{
    while (cell->idle && !cell->stop && !cell->error) {
        struct transfer *transfer = cell->idle;
        cell->idle = transfer->next;
        int rc = submit(all, transfer);
        if (rc) {
            cell->error = rc;
            return rc;
        }
    }
    return 0;
}

/* Run it; its rate is in *ret_rate, its latencies in all->cell. */
static int run_cell(struct calibration *all, const struct load *load, double *ret_rate)
{
    static const struct load beside = {
        .op = OP_WRITE, .bytes = BESIDE_BYTES, .depth = BESIDE_DEPTH};
    struct cell *cell = &all->cell;
    int rc = 0;

    begin_cell(all, cell, load, 0);
    begin_cell(all, &all->beside, &beside, DEPTH_MAX);
    all->beside.stop = !load->beside;
    cell->begin_ns = clock_now_ns();
    for (uint64_t now = cell->begin_ns; rc >= 0 && now - cell->begin_ns < load->ns;
         now = clock_now_ns()) {
        rc = feed(all, cell);
        if (rc == 0)
            rc = feed(all, &all->beside);
        if (rc == 0)
            rc = keel_ctx_poll(all->ctx, 0, -1);
        if (cell->error || all->beside.error)
            rc = cell->error ? cell->error : all->beside.error;
    }
    cell->end_ns = clock_now_ns();
    *ret_rate = (double)cell->ops * 1e9 / (double)(cell->end_ns - cell->begin_ns);
    cell->stop = all->beside.stop = true;
    for (int more = 1; more > 0;)
        more = keel_ctx_poll(all->ctx, 0, -1);
    all->cells_done++;
    cli_progress("%u of %u, %u s", all->cells_done, all->cells,
                 (unsigned)((clock_now_ns() - all->began_ns) / 1000000000u));
    return rc < 0 ? rc : cell->error;
}

static uint64_t time_of(const struct calibration *all, uint64_t ms)
{
    return ms * 1000000 * (all->quick ? 1 : 10);
}

/* ---------------------------------------------------------------- what is measured */

static const uint32_t SIZES[] = {4096, 8192, 16384, 32768, 65536, 131072, 262144, 524288};
#define SIZE_COUNT (sizeof(SIZES) / sizeof(SIZES[0]))
_Static_assert(SIZE_COUNT == PLOT_SIZES, "the picture has them all");

/* One size, direction and pattern. */
static int measure_point(struct calibration *all, int op, bool sequential, size_t size,
                         json_t *points, struct plot *plot)
{
    struct load load = {.op = op, .sequential = sequential, .bytes = SIZES[size]};
    double rate, lone;

    load.depth = IN_FLIGHT_MAX / load.bytes < DEPTH_MAX ? IN_FLIGHT_MAX / load.bytes : DEPTH_MAX;
    load.ns = time_of(all, 250);
    int rc = run_cell(all, &load, &rate);
    uint32_t depth = load.depth;
    load.depth = 1;
    load.ns = time_of(all, 100);
    rc = rc ? rc : run_cell(all, &load, &lone);
    if (rc)
        return rc;
    double cost = rate > 0 ? 1e9 / rate : 0;
    plot->cost_ns[op][sequential][size] = cost;
    json_array_append_new(
        points,
        json_pack("{s:s,s:s,s:I,s:i,s:f,s:f,s:f,s:o}", "op", op ? "write" : "read", "pattern",
                  sequential ? "sequential" : "random", "bytes", (json_int_t)load.bytes, "depth",
                  (int)depth, "ops_per_s", rate, "bytes_per_s", rate * load.bytes, "cost_ns", cost,
                  "lone_lat_ns", cli_lat_json(&all->cell.latency)));
    return 0;
}

static int measure_points(struct calibration *all, json_t *points, struct plot *plot)
{
    int rc = 0;

    for (int op = OP_READ; op <= OP_WRITE; op++) {
        if (op == OP_WRITE && !all->quick) {
            struct load sustain = {.op = OP_WRITE,
                                   .sequential = true,
                                   .bytes = 524288,
                                   .depth = 16,
                                   .ns = SUSTAIN_S * 1000000000ull};
            double rate;
            rc = run_cell(all, &sustain, &rate);
        }
        for (unsigned pattern = 0; pattern < 2; pattern++) {
            for (size_t size = 0; rc == 0 && size < SIZE_COUNT; size++)
                rc = measure_point(all, op, pattern == 1, size, points, plot);
        }
    }
    return rc;
}

/* Costs of the pure loads say what a mix would do; the slowdown is how far it stays behind. */
static int measure_mixes(struct calibration *all, json_t *mixes, const struct plot *plot)
{
    int rc = 0;

    for (unsigned percent = 25; rc == 0 && percent <= 75; percent += 25) {
        struct load load = {.op = OP_MIX,
                            .write_percent = percent,
                            .bytes = 4096,
                            .depth = DEPTH_MAX,
                            .ns = time_of(all, 300)};
        double rate;
        rc = run_cell(all, &load, &rate);
        double pure = (plot->cost_ns[OP_WRITE][0][0] * percent +
                       plot->cost_ns[OP_READ][0][0] * (100 - percent)) /
                      100;
        json_array_append_new(mixes, json_pack("{s:i,s:f,s:f}", "write_percent", (int)percent,
                                               "ops_per_s", rate, "slowdown",
                                               rate > 0 && pure > 0 ? 1e9 / rate / pure : 0));
    }
    return rc;
}

static int measure_syncs(struct calibration *all, json_t *syncs, uint32_t *ret_sync_ns)
{
    static const struct {
        const char *name;
        uint16_t flags;
        bool sync_behind;
    } methods[] = {{"none", 0, false},
                   {"dsync", KEEL_IO_DSYNC, false},
                   {"link", KEEL_IO_LINK_SYNC, false},
                   {"flush", 0, true}};
    uint64_t plain = 0, best = UINT64_MAX;

    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        for (unsigned beside = 0; beside < 2; beside++) {
            struct load load = {.op = OP_WRITE,
                                .sequential = true,
                                .bytes = 4096,
                                .depth = 1,
                                .flags = methods[i].flags,
                                .sync_behind = methods[i].sync_behind,
                                .beside = beside == 1,
                                .ns = time_of(all, 300)};
            double rate;
            int rc = run_cell(all, &load, &rate);
            if (rc)
                return rc;
            uint64_t p50 = hist_percentile(&all->cell.latency, 500);
            if (!beside && i == 0)
                plain = p50;
            else if (!beside && p50 < best)
                best = p50;
            json_array_append_new(syncs,
                                  json_pack("{s:s,s:b,s:f,s:b,s:o}", "method", methods[i].name,
                                            "beside_writeback", (int)beside, "ops_per_s", rate,
                                            "too_fast", (int)(i > 0 && p50 < TOO_FAST_NS), "lat_ns",
                                            cli_lat_json(&all->cell.latency)));
        }
    }
    *ret_sync_ns = (uint32_t)(best > plain ? best - plain : 1);
    return 0;
}

/* ---------------------------------------------------------------- the profile */

/* What the scheduler takes from it. */
static json_t *costs_json(const struct plot *plot, uint32_t sync_ns)
{
    json_t *points = json_array();

    for (size_t i = 0; i < SIZE_COUNT; i++)
        json_array_append_new(points,
                              json_pack("{s:I,s:I,s:I}", "bytes", (json_int_t)SIZES[i], "read_ns",
                                        (json_int_t)(plot->cost_ns[OP_READ][0][i] + 1), "write_ns",
                                        (json_int_t)(plot->cost_ns[OP_WRITE][0][i] + 1)));
    return json_pack("{s:I,s:o}", "sync_ns", (json_int_t)sync_ns, "points", points);
}

static int measure(struct calibration *all, const struct disk *disk, const char *path,
                   struct plot *plot, json_t **ret)
{
    json_t *points = json_array(), *mixes = json_array(), *syncs = json_array();
    uint32_t sync_ns = 1;

    all->began_ns = clock_now_ns();
    all->cells = (unsigned)(2 * 2 * 2 * SIZE_COUNT) + 3 + 8 + !all->quick;
    int rc = measure_points(all, points, plot);
    rc = rc ? rc : measure_mixes(all, mixes, plot);
    rc = rc ? rc : measure_syncs(all, syncs, &sync_ns);
    cli_progress_end();
    *ret = json_pack("{s:i,s:s,s:o,s:b,s:f,s:o,s:o,s:o,s:o}", "profile", 1, "path", path, "disk",
                     disk_json(disk), "sustained", (int)!all->quick, "seconds",
                     (double)(clock_now_ns() - all->began_ns) / 1e9, "costs",
                     costs_json(plot, sync_ns), "points", points, "mixes", mixes, "syncs", syncs);
    return rc;
}

/* ---------------------------------------------------------------- the command */

static int open_all(struct calibration *all, const char *path)
{
    struct keel_ctx_options ctx = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_sched_options sched;
    struct keel_err_info info = {0};
    size_t bytes = IN_FLIGHT_MAX + BESIDE_DEPTH * BESIDE_BYTES;

    ctx.depth = 2 * DEPTH_MAX;
    int rc = keel_ctx_open(&ctx, &all->ctx);
    if (rc)
        return cli_error(COMMAND, "opening a context", rc, NULL);
    rc = keel_device_open(all->ctx, path, NULL, &info, &all->device);
    if (rc)
        return cli_error(COMMAND, path, rc, &info);
    if (keel_device_info(all->device)->size_bytes < IN_FLIGHT_MAX)
        return cli_fail(COMMAND, "%s is smaller than %u MiB; name a larger one", path,
                        IN_FLIGHT_MAX >> 20);
    keel_sched_get(all->device, &sched);
    sched.mode = KEEL_SCHED_OFF;
    rc = keel_sched_set(all->device, &sched);
    rc = rc ? rc : keel_arena_create(bytes, &all->arena);
    if (rc)
        return cli_error(COMMAND, "memory for transfers", rc, NULL);
    all->memory = keel_arena_alloc(all->arena, bytes);
    memset(all->memory, 0x5a, bytes);
    prng_seed(&all->prng, 1);
    return 0;
}

static void close_all(struct calibration *all)
{
    keel_ctx_close(all->ctx);
    if (all->device)
        keel_device_close(all->device);
    if (all->arena)
        keel_arena_destroy(all->arena);
    mem_free(all);
}

static int write_out(json_t *profile, const struct plot *plot, const char *out)
{
    char picture[600];

    if (json_dump_file(profile, out, JSON_INDENT(1)))
        return cli_fail(COMMAND, "%s could not be written: %s", out, strerror(errno));
    snprintf(picture, sizeof(picture), "%s.svg", out);
    if (plot_write(plot, SIZES, picture))
        return cli_fail(COMMAND, "%s could not be written: %s", picture, strerror(errno));
    printf("profile: %s\npicture: %s\n", out, picture);
    return CLI_OK;
}

static int calibrate(const char *path, const char *out, bool quick)
{
    struct calibration *all = mem_alloc(sizeof(*all));
    struct plot *plot = mem_alloc(sizeof(*plot));
    struct disk disk = {0};
    json_t *profile = NULL;

    if (!all || !plot)
        return cli_error(COMMAND, "memory", -ENOMEM, NULL);
    all->quick = quick;
    if (disk_find(path, &disk))
        disk.found = false;
    int status = open_all(all, path);
    if (status == 0) {
        int rc = measure(all, &disk, path, plot, &profile);
        status = rc ? cli_error(COMMAND, path, rc, NULL) : write_out(profile, plot, out);
    }
    json_decref(profile);
    mem_free(plot);
    close_all(all);
    return status;
}

static int in_folder(const char *folder, const char *out, bool quick)
{
    char path[600];

    snprintf(path, sizeof(path), "%s/keel-calibrate-XXXXXX", folder);
    int fd = mkstemp(path);
    if (fd < 0)
        return cli_fail(COMMAND, "%s: %s; name a folder that can be written to", folder,
                        strerror(errno));
    close(fd);
    keel_ignore(unlink(path), "made again with zeroes");
    cli_progress("writing a file of %llu MiB", FILE_BYTES >> 20);
    int rc = bench_file_create(path, FILE_BYTES);
    int status = rc ? cli_error(COMMAND, path, rc, NULL) : calibrate(path, out, quick);
    keel_ignore(unlink(path), "a scratch file");
    return status;
}

int calibrate_main(int argc, const char **argv)
{
    static int quick, overwrite;
    static const char *out;
    const struct poptOption options[] = {
        {"quick", 0, POPT_ARG_NONE, &quick, 0, "under five minutes, not sustained", NULL},
        {"output", 'o', POPT_ARG_STRING, &out, 0, "the profile to write", "PROFILE"},
        {"overwrite", 0, POPT_ARG_NONE, &overwrite, 0, "a file or device loses what it holds",
         NULL},
        POPT_AUTOHELP POPT_TABLEEND,
    };
    const char *path;
    struct stat st;

    int count = cli_parse(argc, argv, options, "PATH|DEVICE", &path, 1);
    if (count < 0)
        return CLI_USAGE;
    if (count == 0)
        return cli_usage(COMMAND, "name a folder on the disk, a file or a device");
    if (!out)
        return cli_usage(COMMAND, "name the profile to write, as in -o disk.json");
    if (stat(path, &st))
        return cli_usage(COMMAND, "%s: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return in_folder(path, out, quick);
    if (!overwrite)
        return cli_usage(COMMAND, "%s would be overwritten; allow it with --overwrite", path);
    return calibrate(path, out, quick);
}
