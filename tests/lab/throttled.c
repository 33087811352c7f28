/*
 * A disk that is made slower while commits and write-back use it: does the tail of the commits
 * hold?
 *
 *   lab_throttled PATH adaptive|static     a block device; its content is lost
 *
 * One thread commits, one durable write behind the other, beside as much write-back as the
 * scheduler lets through. The disk takes the same few milliseconds for each request, however many
 * there are (guests.tab, "slow"), so write-back costs commits next to nothing, until `ask throttle`
 * limits the requests per second: from then on whatever is in flight above the limit is time that a
 * commit waits.
 *
 *   1. commits alone: what is idle here
 *   2. beside write-back: how many requests per second there are, all in all
 *   3. the limit, at a third of that, and five windows in which the controller finds its place
 *   4. by now the median commit takes at most what the controller aims for
 *   5. the limit goes: write-back comes back
 *
 * With `static` nobody steers, and 4 must be missed, or the limit did not bite. One line per part.
 * Exit status 1: an error, the aim was missed (static: held), or write-back did not come back.
 */
#include <keel/keel.h>

#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/hist.h"
#include "base/prng.h"

#define MS          UINT64_C(1000000)
#define BACK        32u /* requests of write-back, always queued or in flight */
#define BACK_BYTES  (128u << 10)
#define WINDOW_MS   100u /* of the controller with so few commits (iosched/sched.h) */
#define WINDOWS     5u
#define LOG_BYTES   (8u << 20) /* of the device, at its beginning */
#define ARENA_BYTES (BACK * BACK_BYTES + (1u << 20))

struct load {
    struct keel_ctx *ctx;
    struct keel_arena *arena;
    struct keel_device *device;
    struct keel_io commit, back[BACK];
    uint64_t begun_ns; /* the commit in flight */
    struct prng prng;
    bool write_back, stop;
    uint64_t backs;
    unsigned in_flight;
    struct hist commits;
    int error;
};

static void submit(struct load *load, struct keel_io *io)
{
    int rc = keel_io_submit(load->ctx, io);

    if (rc == 0)
        load->in_flight++;
    else
        load->error = rc;
}

static void commit(struct load *load)
{
    load->commit.offset_bytes = (load->commit.offset_bytes + KEEL_BLOCK_BYTES) % LOG_BYTES;
    load->begun_ns = clock_now_ns();
    submit(load, &load->commit);
}

static void commit_done(struct keel_io *io)
{
    struct load *load = io->user;

    load->in_flight--;
    if (io->res != 0)
        load->error = io->res;
    hist_record(&load->commits, clock_now_ns() - load->begun_ns);
    if (!load->stop && load->error == 0)
        commit(load);
}

/* Anywhere behind the log; two in a row never touch, or they would be merged. */
static void back(struct load *load, struct keel_io *io)
{
    uint64_t places = (keel_device_info(load->device)->size_bytes - LOG_BYTES) / BACK_BYTES / 2;

    io->offset_bytes = LOG_BYTES + prng_below(&load->prng, places) * 2 * BACK_BYTES;
    submit(load, io);
}

static void back_done(struct keel_io *io)
{
    struct load *load = io->user;

    load->in_flight--;
    load->backs++;
    if (io->res != 0)
        load->error = io->res;
    if (load->write_back && !load->stop && load->error == 0)
        back(load, io);
}

static void write_back(struct load *load)
{
    load->write_back = true;
    for (unsigned i = 0; i < BACK; i++)
        back(load, &load->back[i]);
}

/* ---------------------------------------------------------------- parts */

struct seen {
    double per_s, back_per_s;
    uint64_t p50, p90; /* of commits, ns */
    uint64_t cap_ns;
};

static bool turn(struct load *load)
{
    int rc = keel_ctx_poll(load->ctx, 0, (int64_t)MS);

    if (rc < 0 && load->error == 0)
        load->error = rc;
    return load->error == 0;
}

/* Go on for so long, and say what was seen. */
static struct seen part(struct load *load, const char *name, uint64_t ms)
{
    uint64_t begin = clock_now_ns(), backs = load->backs, now = begin;
    struct keel_sched_stats stats = {.size = sizeof(stats)};

    hist_init(&load->commits);
    while (now - begin < ms * MS && turn(load))
        now = clock_now_ns();
    int rc = keel_sched_stats(load->device, &stats);
    if (rc != 0 && load->error == 0)
        load->error = rc;

    double seconds = (double)(now - begin) / 1e9;
    struct seen seen = {
        .back_per_s = (double)(load->backs - backs) / seconds,
        .p50 = hist_percentile(&load->commits, 500),
        .p90 = hist_percentile(&load->commits, 900),
        .cap_ns = stats.cap_ns,
    };
    seen.per_s = (double)load->commits.count / seconds + seen.back_per_s;
    printf("%-22s commits p50 %6" PRIu64 " us, p90 %6" PRIu64
           " us; write-back %5.0f/s; all %5.0f/s; "
           "cap %6" PRIu64 " us (%" PRIu64 " up, %" PRIu64 " down); aim %6" PRIu64 " us\n",
           name, seen.p50 / 1000, seen.p90 / 1000, seen.back_per_s, seen.per_s, seen.cap_ns / 1000,
           stats.cap_ups, stats.cap_downs, stats.target_ns / 1000);
    fflush(stdout);
    return seen;
}

/* `ask throttle LIMIT` by a process of its own, while the load goes on. */
static void throttle(struct load *load, unsigned limit)
{
    char text[16];
    char *argv[] = {"ask", "throttle", text, NULL};
    int status;
    pid_t pid;

    snprintf(text, sizeof(text), "%u", limit);
    if (posix_spawnp(&pid, "ask", NULL, NULL, argv, NULL) != 0) {
        load->error = KEEL_ENOTFOUND;
        return;
    }
    while (waitpid(pid, &status, WNOHANG) == 0 && turn(load))
        ;
    if (load->error == 0 && status != 0)
        load->error = KEEL_EKERNEL;
}

static int open_load(struct load *load, const char *path, enum keel_sched_mode mode)
{
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_device_options device = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct keel_sched_options sched;

    prng_seed(&load->prng, 1);
    options.iopoll = KEEL_OFF; /* a thread that polls takes the processor that is the disk */
    int rc = keel_ctx_open(&options, &load->ctx);
    if (rc == 0)
        rc = keel_arena_create(ARENA_BYTES, &load->arena);
    if (rc == 0)
        rc = keel_device_open(load->ctx, path, &device, NULL, &load->device);
    if (rc != 0)
        return rc;

    keel_sched_get(load->device, &sched);
    sched.mode = mode;
    rc = keel_sched_set(load->device, &sched);
    load->commit = (struct keel_io){.device = load->device,
                                    .arena = load->arena,
                                    .buf = keel_arena_alloc(load->arena, KEEL_BLOCK_BYTES),
                                    .len_bytes = KEEL_BLOCK_BYTES,
                                    .op = KEEL_OP_WRITE,
                                    .flags = KEEL_IO_DSYNC,
                                    .cls = KEEL_CLASS_WAL,
                                    .done = commit_done,
                                    .user = load};
    for (unsigned i = 0; i < BACK; i++) {
        load->back[i] = load->commit;
        load->back[i].buf = keel_arena_alloc(load->arena, BACK_BYTES);
        load->back[i].len_bytes = BACK_BYTES;
        load->back[i].flags = 0;
        load->back[i].cls = KEEL_CLASS_WRITEBACK;
        load->back[i].done = back_done;
    }
    return rc;
}

static const char *judge(struct load *load, bool steered)
{
    struct seen idle = part(load, "commits alone", 1500);
    write_back(load);
    part(load, "beside write-back", 1000); /* it finds its place */
    struct seen free_ = part(load, "beside write-back", 1500);
    throttle(load, (unsigned)(free_.per_s / 3));
    part(load, "limited, five windows", WINDOWS * WINDOW_MS);
    struct seen limited = part(load, "limited", 2000);
    throttle(load, 0);
    part(load, "free again, a second", 1000);
    struct seen after = part(load, "free again", 1500);

    bool held = limited.p50 <= 2 * idle.p50;
    if (load->error != 0)
        return keel_err_name(load->error);
    if (steered && !held)
        return "the median commit takes more than twice of idle five windows after the change";
    if (!steered && held)
        return "nobody steers, and it holds: the limit did not bite";
    if (after.back_per_s * 2 < free_.back_per_s)
        return "write-back does not come back";
    return NULL;
}

int main(int argc, char **argv)
{
    static struct load load;
    bool steered = argc == 3 && strcmp(argv[2], "adaptive") == 0;

    if (argc != 3 || (!steered && strcmp(argv[2], "static") != 0)) {
        fprintf(stderr, "usage: lab_throttled PATH adaptive|static\n");
        return 2;
    }
    int rc = open_load(&load, argv[1], steered ? KEEL_SCHED_ADAPTIVE : KEEL_SCHED_STATIC);
    if (rc != 0) {
        printf("FAILED: open: %s\n", keel_err_name(rc));
        return 1;
    }
    commit(&load);
    const char *why = judge(&load, steered);
    load.stop = true;
    while (load.in_flight > 0 && keel_ctx_poll(load.ctx, 0, (int64_t)MS) >= 0)
        ;
    keel_device_close(load.device);
    keel_ctx_close(load.ctx);
    keel_arena_destroy(load.arena);
    if (why)
        printf("FAILED: %s\n", why);
    return why ? 1 : 0;
}
