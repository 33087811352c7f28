/*
 * What the scheduler promises, on a simulated disk that serves commands one after the other.
 *
 *   T1 shares by weight and cost, at any size and depth      T6 contexts beside each other
 *   T2 nothing is left idle                                  T7 merging keeps bytes and order
 *   T3 the log's tail beside write-back; FIFO must fail it   T8 errors of merged commands
 *   T4 nobody starves, whatever the log does                 T9 no request is forgotten
 *   T5 a disk that becomes slow, and fast again
 *
 * usage: sim_sched_proof. Runs them all; then, in a build with seeded bugs, each bug of the
 * scheduler, which the test named beside it must catch. Everything is in simulated time: the same
 * run everywhere.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bug.h"
#include "base/hist.h"
#include "base/prng.h"
#include "keel/keel.h"

#define RATE        2000000000ull /* bytes per second of the disk */
#define COMMAND_NS  2000u
#define LATENCY_NS  10000u
#define FILE_BYTES  (128u << 20)
#define CLIENTS_MAX 8u
#define DEPTH_MAX   128u
#define MS          1000000ull

/* One class of one context: keeps `depth` requests of `bytes` in flight, or one each `period_ns`.
 */
struct client {
    struct keel_ctx *ctx;
    enum keel_class cls;
    enum keel_op op;
    uint32_t bytes, depth;
    uint16_t flags;
    uint64_t period_ns;
    bool on;

    struct keel_io ios[DEPTH_MAX];
    uint64_t begun[DEPTH_MAX];
    bool busy[DEPTH_MAX];
    uint64_t next_ns, done, served_ns;
    uint64_t worst_ns;
    struct hist latency;
};

static struct keel_sim *sim;
static struct keel_ctx *ctxs[2];
static struct keel_device *device;
static struct keel_arena *arena;
static char *memory;
static struct client clients[CLIENTS_MAX];
static uint32_t client_count;
static struct prng prng;
static char why[200];

#define CHECK(c, ...)                                \
    do {                                             \
        if (!(c) && !why[0]) {                       \
            snprintf(why, sizeof(why), __VA_ARGS__); \
        }                                            \
    } while (0)

static void must(int rc, const char *what)
{
    if (rc) {
        fprintf(stderr, "%s: %s\n", what, keel_err_text(rc));
        exit(1);
    }
}

static uint64_t cost_of(uint32_t bytes)
{
    return COMMAND_NS + bytes * 1000000000ull / RATE;
}

/* ---------------------------------------------------------------- the world */

static void open_world(enum keel_sched_mode mode)
{
    struct keel_sim_options options = KEEL_SIM_OPTIONS_DEFAULT;
    struct keel_ctx_options ctx = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_device_options dev = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct keel_sched_costs costs = {.size = sizeof(costs), .point_count = 2, .sync_ns = 1};
    struct keel_sched_options sched;

    options.seed = 1;
    options.latency_ns_min = LATENCY_NS;
    options.latency_ns_max = LATENCY_NS + 1000;
    options.bytes_per_s = RATE;
    must(keel_sim_create(&options, &sim), "sim");
    ctx.method = KEEL_METHOD_SIM;
    ctx.sim = sim;
    for (unsigned i = 0; i < 2; i++)
        must(keel_ctx_open(&ctx, &ctxs[i]), "context");
    dev.create_bytes = FILE_BYTES;
    must(keel_device_open(ctxs[0], "file", &dev, NULL, &device), "device");
    must(keel_arena_create(FILE_BYTES, &arena), "arena");
    memory = keel_arena_alloc(arena, FILE_BYTES);
    costs.points[0].bytes = 4096;
    costs.points[1].bytes = 512 * 1024;
    for (unsigned i = 0; i < 2; i++)
        costs.points[i].read_ns = costs.points[i].write_ns =
            (uint32_t)cost_of(costs.points[i].bytes);
    must(keel_sched_costs_set(device, &costs), "costs");
    keel_sched_get(device, &sched);
    sched.mode = mode;
    must(keel_sched_set(device, &sched), "mode");
    memset(clients, 0, sizeof(clients));
    client_count = 0;
    prng_seed(&prng, 1);
}

static void close_world(void)
{
    for (unsigned i = 0; i < 2; i++)
        keel_ctx_close(ctxs[i]);
    keel_device_close(device);
    keel_arena_destroy(arena);
    keel_sim_destroy(sim);
}

static struct client *add(unsigned ctx, enum keel_class cls, enum keel_op op, uint32_t bytes,
                          uint32_t depth)
{
    struct client *client = &clients[client_count++];

    client->ctx = ctxs[ctx];
    client->cls = cls;
    client->op = op;
    client->bytes = bytes;
    client->depth = depth;
    client->on = true;
    hist_init(&client->latency);
    return client;
}

static void weigh(enum keel_class cls, uint32_t weight)
{
    struct keel_sched_options sched;

    keel_sched_get(device, &sched);
    sched.classes[cls].weight = weight;
    must(keel_sched_set(device, &sched), "weight");
}

static struct keel_sched_stats stats(void)
{
    struct keel_sched_stats now = {.size = sizeof(now)};

    must(keel_sched_stats(device, &now), "stats");
    return now;
}

/* ---------------------------------------------------------------- running */

static void done(struct keel_io *io)
{
    struct client *client = io->user;
    size_t i = (size_t)(io - client->ios);
    uint64_t took = keel_sim_now_ns(sim) - client->begun[i];

    CHECK(io->res == 0, "a request ended with %d", io->res);
    client->busy[i] = false;
    client->done++;
    client->served_ns += cost_of(client->bytes);
    hist_record(&client->latency, took);
    if (took > client->worst_ns)
        client->worst_ns = took;
}

static void submit(struct client *client, uint32_t i)
{
    struct keel_io *io = &client->ios[i];
    /* Each client has a part of the file of its own, and never the same block twice in a row. */
    uint64_t part = FILE_BYTES / CLIENTS_MAX;
    uint64_t at = (uint64_t)(client - clients) * part +
                  prng_u64(&prng) % (part / client->bytes / 2) * 2 * client->bytes;

    *io = (struct keel_io){.device = device,
                           .arena = arena,
                           .buf = memory + at,
                           .offset_bytes = at,
                           .len_bytes = client->bytes,
                           .op = (uint8_t)client->op,
                           .cls = (uint8_t)client->cls,
                           .flags = client->flags,
                           .done = done,
                           .user = client,
                           .private_ = io->private_};
    client->busy[i] = true;
    client->begun[i] = keel_sim_now_ns(sim);
    must(keel_io_submit(client->ctx, io), "submit");
}

static void feed(struct client *client)
{
    uint64_t now = keel_sim_now_ns(sim);

    for (uint32_t i = 0; i < client->depth; i++) {
        if (client->busy[i])
            continue;
        if (client->period_ns) {
            if (now < client->next_ns)
                return;
            client->next_ns = now + client->period_ns;
        }
        submit(client, i);
    }
}

static void run(uint64_t ns)
{
    uint64_t end = keel_sim_now_ns(sim) + ns;

    while (keel_sim_now_ns(sim) < end) {
        for (uint32_t i = 0; i < client_count; i++) {
            if (clients[i].on)
                feed(&clients[i]);
        }
        for (unsigned i = 0; i < 2; i++) {
            if (keel_ctx_poll(ctxs[i], 0, 0) < 0)
                exit(1);
        }
    }
}

static void forget(void)
{
    for (uint32_t i = 0; i < client_count; i++) {
        clients[i].done = clients[i].served_ns = clients[i].worst_ns = 0;
        hist_init(&clients[i].latency);
    }
}

static double share(const struct client *a, const struct client *b)
{
    return (double)a->served_ns / (double)(a->served_ns + b->served_ns);
}

/* ---------------------------------------------------------------- the tests */

/* Classes of one context, within two percent. Writes: reads of the same range would be joined, and
 * served for nothing. */
static void t1_shares(void)
{
    static const uint32_t weights[][2] = {{100, 100}, {100, 200}, {100, 1000}};
    static const uint32_t sizes[][2] = {{4096, 4096}, {4096, 65536}, {65536, 4096}};

    for (unsigned w = 0; w < 3; w++) {
        for (unsigned s = 0; s < 3; s++) {
            open_world(KEEL_SCHED_STATIC);
            weigh(KEEL_CLASS_PREFETCH, weights[w][0]);
            weigh(KEEL_CLASS_HOST, weights[w][1]);
            struct client *a = add(0, KEEL_CLASS_PREFETCH, KEEL_OP_WRITE, sizes[s][0], 128);
            struct client *b = add(0, KEEL_CLASS_HOST, KEEL_OP_WRITE, sizes[s][1], 128);
            /* Short queue, so that what is in flight at the ends is little of it. */
            struct keel_sched_options sched;
            keel_sched_get(device, &sched);
            sched.cap_ns = sched.budget_ns = 100000;
            must(keel_sched_set(device, &sched), "cap");
            run(5 * MS);
            forget();
            run(60 * MS);
            double want = (double)weights[w][0] / (double)(weights[w][0] + weights[w][1]);
            double got = share(a, b);
            CHECK(got > want - 0.02 && got < want + 0.02,
                  "weights %u:%u, sizes %u and %u: share %.3f instead of %.3f", weights[w][0],
                  weights[w][1], sizes[s][0], sizes[s][1], got, want);
            close_world();
        }
    }
}

static void t6_contexts(void)
{
    for (unsigned s = 0; s < 2; s++) {
        open_world(KEEL_SCHED_ADAPTIVE);
        struct client *a = add(0, KEEL_CLASS_WRITEBACK, KEEL_OP_WRITE, 32768, 12);
        struct client *b = add(1, KEEL_CLASS_WRITEBACK, KEEL_OP_WRITE, s ? 8192 : 32768, 120);
        struct keel_sched_options sched;
        keel_sched_get(device, &sched);
        sched.cap_ns = sched.budget_ns = 150000;
        must(keel_sched_set(device, &sched), "cap");
        run(10 * MS);
        forget();
        run(1000 * MS);
        double got = share(a, b);
        CHECK(got > 0.48 && got < 0.52, "two contexts at depth 12 and 120: share %.3f", got);
        /* A context that falls silent stops nobody. */
        b->on = false;
        a->done = 0;
        run(20 * MS);
        CHECK(a->done > 900, "beside one that left: %llu", (unsigned long long)a->done);
        close_world();
    }
}

static void t2_conservation(void)
{
    uint64_t bytes[2];

    for (unsigned mode = 0; mode < 2; mode++) {
        open_world(mode ? KEEL_SCHED_OFF : KEEL_SCHED_ADAPTIVE);
        add(0, KEEL_CLASS_WRITEBACK, KEEL_OP_WRITE, 65536, 32);
        add(0, KEEL_CLASS_SCRUB, KEEL_OP_READ, 65536, 8);
        add(1, KEEL_CLASS_PREFETCH, KEEL_OP_READ, 16384, 32);
        run(50 * MS);
        forget();
        run(200 * MS);
        bytes[mode] = 0;
        for (uint32_t i = 0; i < client_count; i++)
            bytes[mode] += clients[i].done * clients[i].bytes;
        close_world();
    }
    CHECK(bytes[0] * 100 >= bytes[1] * 98, "%llu of %llu bytes that FIFO moves",
          (unsigned long long)bytes[0], (unsigned long long)bytes[1]);
}

/* p99.9 of the log, with write-back and without, in a mode. */
static uint64_t log_tail(enum keel_sched_mode mode, bool beside, uint64_t *ret_cap)
{
    open_world(mode);
    struct client *log = add(0, KEEL_CLASS_WAL, KEEL_OP_WRITE, 4096, 4);
    log->flags = KEEL_IO_DSYNC;
    log->period_ns = 100000;
    struct client *wb = add(1, KEEL_CLASS_WRITEBACK, KEEL_OP_WRITE, 131072, 32);
    wb->on = false;
    run(200 * MS);
    wb->on = beside;
    run(200 * MS);
    forget();
    run(400 * MS);
    *ret_cap = stats().cap_ns;
    CHECK(!beside || wb->done > 200, "%llu chunks of write-back", (unsigned long long)wb->done);
    uint64_t tail = hist_percentile(&log->latency, 999);
    close_world();
    return tail;
}

static void t3_log_tail(void)
{
    uint64_t cap, unused;
    uint64_t idle = log_tail(KEEL_SCHED_ADAPTIVE, false, &unused);
    uint64_t beside = log_tail(KEEL_SCHED_ADAPTIVE, true, &cap);
    uint64_t fifo = log_tail(KEEL_SCHED_OFF, true, &unused);

    CHECK(beside <= idle + 100000, "p99.9 %llu ns beside write-back, %llu idle, cap %llu",
          (unsigned long long)beside, (unsigned long long)idle, (unsigned long long)cap);
    CHECK(fifo > 10 * idle && fifo > idle + 100000, "FIFO keeps the bound: %llu ns",
          (unsigned long long)fifo);
}

/* The log floods; every other class still gets on within its deadline. */
static void t4_no_starvation(void)
{
    open_world(KEEL_SCHED_ADAPTIVE);
    add(0, KEEL_CLASS_WAL, KEEL_OP_WRITE, 131072, 64);
    for (unsigned cls = KEEL_CLASS_READ; cls < KEEL_CLASS_COUNT; cls++)
        add(0, (enum keel_class)cls, cls == KEEL_CLASS_WRITEBACK ? KEEL_OP_WRITE : KEEL_OP_READ,
            16384, 4);
    run(400 * MS);
    for (unsigned cls = KEEL_CLASS_READ; cls < KEEL_CLASS_COUNT; cls++) {
        CHECK(clients[cls].done > 0, "%s never went", keel_class_name(cls));
        struct keel_sched_options sched;
        keel_sched_get(device, &sched);
        uint64_t deadline = sched.classes[cls].deadline_ns;
        CHECK(!deadline || clients[cls].worst_ns < deadline + 50 * MS, "%s waited %llu ns",
              keel_class_name(cls), (unsigned long long)clients[cls].worst_ns);
    }
    close_world();
}

static void t5_slow_disk(void)
{
    open_world(KEEL_SCHED_ADAPTIVE);
    struct client *log = add(0, KEEL_CLASS_WAL, KEEL_OP_WRITE, 4096, 4);
    log->flags = KEEL_IO_DSYNC;
    log->period_ns = 100000;
    struct client *wb = add(1, KEEL_CLASS_WRITEBACK, KEEL_OP_WRITE, 131072, 32);
    wb->on = false;
    run(100 * MS);
    wb->on = true;
    run(300 * MS);
    keel_sim_set_rate(sim, RATE * 35 / 100);
    run(50 * MS); /* five windows */
    forget();
    run(200 * MS);
    /* One floor of write-back at the new rate, the log's own write and latency. */
    uint64_t bound = 2 * 65536 * 1000000000ull / (RATE * 35 / 100) + 100000;
    CHECK(hist_percentile(&log->latency, 990) <= bound, "p99 %llu ns on the slow disk, bound %llu",
          (unsigned long long)hist_percentile(&log->latency, 990), (unsigned long long)bound);

    keel_sim_set_rate(sim, RATE);
    log->on = false;
    run(1000 * MS);
    forget();
    run(100 * MS);
    uint64_t full = 100 * MS / cost_of(131072);
    CHECK(wb->done * 100 >= full * 95, "write-back did not come back: %llu of %llu",
          (unsigned long long)wb->done, (unsigned long long)full);

    /* Little load for long does not move the cap down. */
    wb->depth = 1;
    wb->period_ns = 600000;
    run(1000 * MS);
    CHECK(stats().cap_ns == 4000000, "the cap fell to %llu", (unsigned long long)stats().cap_ns);
    close_world();
}

/* Who was idle takes its share when it comes back, and no more. */
static void t6_rejoin(void)
{
    open_world(KEEL_SCHED_STATIC);
    struct keel_sched_options sched;
    keel_sched_get(device, &sched);
    sched.cap_ns = sched.budget_ns = 200000;
    must(keel_sched_set(device, &sched), "cap");
    struct client *busy = add(0, KEEL_CLASS_PREFETCH, KEEL_OP_READ, 16384, 64);
    struct client *idle = add(0, KEEL_CLASS_HOST, KEEL_OP_READ, 16384, 64);
    idle->on = false;
    run(300 * MS);
    idle->on = true;
    forget();
    run(20 * MS);
    double got = share(busy, idle);
    CHECK(got > 0.4 && got < 0.6, "beside one that was idle: share %.3f", got);
    close_world();
}

/* Two lone readers lose nothing to each other, nor to a context that has gone to sleep. */
static void t6_lone_readers(void)
{
    open_world(KEEL_SCHED_ADAPTIVE);
    struct client *a = add(0, KEEL_CLASS_READ, KEEL_OP_READ, 4096, 1);
    struct client *b = add(1, KEEL_CLASS_READ, KEEL_OP_READ, 4096, 1);
    b->on = false;
    run(100 * MS);
    uint64_t alone = a->done;
    b->on = true;
    forget();
    run(100 * MS);
    CHECK(a->done * 100 >= alone * 75 && b->done * 100 >= alone * 75,
          "%llu and %llu reads, %llu alone", (unsigned long long)a->done,
          (unsigned long long)b->done, (unsigned long long)alone);
    close_world();
}

/* A context that is seldom polled, or never, costs the other one nothing but its share: what it has
 * queued is sent for it. */
static void t6_starved_context(void)
{
    for (unsigned silent = 0; silent < 2; silent++) {
        open_world(KEEL_SCHED_ADAPTIVE);
        struct client *a = add(0, KEEL_CLASS_WRITEBACK, KEEL_OP_WRITE, 32768, 32);
        struct client *b = add(1, KEEL_CLASS_WRITEBACK, KEEL_OP_WRITE, 32768, 32);
        struct keel_sched_options sched;
        keel_sched_get(device, &sched);
        sched.cap_ns = sched.budget_ns = 150000;
        must(keel_sched_set(device, &sched), "cap");
        b->on = !silent;
        feed(b);
        uint64_t end = keel_sim_now_ns(sim) + 200 * MS, next = 0;
        while (keel_sim_now_ns(sim) < end) {
            feed(a);
            if (keel_ctx_poll(ctxs[0], 0, 0) < 0)
                exit(1);
            if (b->on && keel_sim_now_ns(sim) >= next) {
                next = keel_sim_now_ns(sim) + MS;
                feed(b);
                if (keel_ctx_poll(ctxs[1], 0, 0) < 0)
                    exit(1);
            }
        }
        uint64_t all = 200 * MS / cost_of(32768);
        CHECK((a->done + b->done) * 100 >= all * 97 && a->done * 2 >= all * 95 / 100,
              "beside a context that is %s: %llu and %llu of %llu",
              silent ? "silent" : "seldom polled", (unsigned long long)a->done,
              (unsigned long long)b->done, (unsigned long long)all);
        close_world();
    }
}

/* Small reads as fast as the disk goes: the scheduler is not what limits them. */
static void t6_small_reads(void)
{
    uint64_t done_in[2];

    for (unsigned off = 0; off < 2; off++) {
        open_world(off ? KEEL_SCHED_OFF : KEEL_SCHED_ADAPTIVE);
        struct client *a = add(0, KEEL_CLASS_READ, KEEL_OP_READ, 4096, 64);
        struct client *b = add(1, KEEL_CLASS_READ, KEEL_OP_READ, 4096, 64);
        run(20 * MS);
        forget();
        run(100 * MS);
        done_in[off] = a->done + b->done;
        close_world();
    }
    CHECK(done_in[0] * 100 >= done_in[1] * 98, "%llu reads, %llu without a scheduler",
          (unsigned long long)done_in[0], (unsigned long long)done_in[1]);
}

/* p99 of a lone reader while another context, which was idle, writes back as fast as it can, from a
 * tenth of a second after it began; and what the worst read took until then. */
static uint64_t reader_tail(enum keel_sched_mode mode, bool beside, uint64_t *ret_worst)
{
    open_world(mode);
    struct client *reader = add(0, KEEL_CLASS_READ, KEEL_OP_READ, 4096, 1);
    struct client *burst = add(1, KEEL_CLASS_WRITEBACK, KEEL_OP_WRITE, 131072, 100);
    burst->on = false;
    run(300 * MS);
    burst->on = beside;
    forget();
    run(100 * MS);
    *ret_worst = reader->worst_ns;
    forget();
    run(200 * MS);
    uint64_t tail = hist_percentile(&reader->latency, 990);
    close_world();
    return tail;
}

static void t6_burst(void)
{
    uint64_t worst, unused;
    uint64_t idle = reader_tail(KEEL_SCHED_ADAPTIVE, false, &unused);
    uint64_t beside = reader_tail(KEEL_SCHED_ADAPTIVE, true, &worst);
    uint64_t fifo = reader_tail(KEEL_SCHED_OFF, true, &unused);

    /* A chunk of 128 KiB may have been cut already, two of 64 KiB go with it. */
    CHECK(beside <= idle + 3 * cost_of(131072), "p99 %llu ns beside a burst, %llu idle",
          (unsigned long long)beside, (unsigned long long)idle);
    CHECK(worst <= 5 * MS, "a read waited %llu ns for a burst", (unsigned long long)worst);
    CHECK(fifo > 10 * idle && fifo > idle + 3 * cost_of(131072), "FIFO keeps the bound: %llu ns",
          (unsigned long long)fifo);
}

static unsigned ended, failed;

static void count_end(struct keel_io *io)
{
    ended++;
    failed += io->res != 0;
}

#define PAGES 64u

/* Pages in random order go in few commands, and each comes where it belongs. */
static void t7_merging(void)
{
    static struct keel_io ios[PAGES];
    unsigned order[PAGES];

    for (unsigned round = 0; round < 2; round++) {
        open_world(KEEL_SCHED_ADAPTIVE);
        for (unsigned i = 0; i < PAGES; i++)
            order[i] = i;
        for (unsigned i = PAGES; round && i > 1; i--) {
            unsigned j = (unsigned)(prng_u64(&prng) % i), kept = order[i - 1];
            order[i - 1] = order[j];
            order[j] = kept;
        }
        ended = failed = 0;
        for (unsigned i = 0; i < PAGES; i++) {
            uint32_t page = order[i];
            memset(memory + page * 4096, (int)(page + 1), 4096);
            ios[i] = (struct keel_io){.device = device,
                                      .arena = arena,
                                      .buf = memory + page * 4096,
                                      .offset_bytes = page * 4096,
                                      .len_bytes = 4096,
                                      .op = KEEL_OP_WRITE,
                                      .cls = KEEL_CLASS_WRITEBACK,
                                      .done = count_end};
            must(keel_io_submit(ctxs[0], &ios[i]), "submit");
        }
        while (ended < PAGES) {
            if (keel_ctx_poll(ctxs[0], 0, -1) < 0)
                exit(1);
        }
        struct keel_sched_stats now = stats();
        const struct keel_sched_class_stats *wb = &now.classes[KEEL_CLASS_WRITEBACK];
        CHECK(failed == 0 && wb->requests == PAGES, "%u failed", failed);
        CHECK(wb->commands + wb->merged == PAGES, "%llu commands and %llu merged",
              (unsigned long long)wb->commands, (unsigned long long)wb->merged);
        CHECK(wb->commands <= (round ? PAGES * 9 / 10 : PAGES / 16), "%llu commands for %u pages",
              (unsigned long long)wb->commands, PAGES);
        for (unsigned page = 0; page < PAGES; page++) {
            unsigned char block[4096];
            struct keel_io io = {.device = device,
                                 .buf = memory + FILE_BYTES / 2,
                                 .arena = arena,
                                 .offset_bytes = page * 4096,
                                 .len_bytes = 4096,
                                 .op = KEEL_OP_READ,
                                 .cls = KEEL_CLASS_READ};
            must(keel_io_submit(ctxs[0], &io), "submit");
            must(keel_io_wait(ctxs[0], &io), "read");
            memcpy(block, io.buf, sizeof(block));
            CHECK(block[0] == page + 1 && block[4095] == page + 1, "page %u is another", page);
        }
        close_world();
    }
}

static int read_block(unsigned block, char *ret)
{
    struct keel_io io = {.device = device,
                         .arena = arena,
                         .buf = memory + FILE_BYTES / 2,
                         .offset_bytes = block * 4096,
                         .len_bytes = 4096,
                         .op = KEEL_OP_READ,
                         .cls = KEEL_CLASS_READ};
    int rc = keel_io_submit(ctxs[0], &io);

    rc = rc ? rc : keel_io_wait(ctxs[0], &io);
    memcpy(ret, io.buf, 4096);
    return rc;
}

/* Writes to the same block go in the order in which they were submitted, whatever is merged: this
 * disk serves in order, so the last one is the one that stays. */
static void t7_order(void)
{
    static struct keel_io ios[24];

    for (unsigned seed = 1; seed <= 50; seed++) {
        int last[4] = {0};
        open_world(KEEL_SCHED_ADAPTIVE);
        prng_seed(&prng, seed);
        ended = failed = 0;
        for (unsigned i = 0; i < 24; i++) {
            unsigned block = (unsigned)(prng_u64(&prng) % 4);
            memset(memory + i * 4096, (int)i + 1, 4096);
            ios[i] = (struct keel_io){.device = device,
                                      .arena = arena,
                                      .buf = memory + i * 4096,
                                      .offset_bytes = block * 4096,
                                      .len_bytes = 4096,
                                      .op = KEEL_OP_WRITE,
                                      .cls = KEEL_CLASS_WRITEBACK,
                                      .done = count_end};
            last[block] = (int)i + 1;
            must(keel_io_submit(ctxs[0], &ios[i]), "submit");
        }
        while (ended < 24) {
            if (keel_ctx_poll(ctxs[0], 0, -1) < 0)
                exit(1);
        }
        for (unsigned block = 0; block < 4; block++) {
            char bytes[4096];
            must(read_block(block, bytes), "look");
            CHECK(bytes[0] == last[block], "seed %u: block %u holds write %d, not %d", seed, block,
                  bytes[0], last[block]);
        }
        CHECK(failed == 0, "%u failed", failed);
        close_world();
    }
}

static void t7_joined_reads(void)
{
    static struct keel_io ios[4];

    open_world(KEEL_SCHED_ADAPTIVE);
    char *block = memory + FILE_BYTES / 2;
    memset(block, 7, 4096);
    struct keel_io write = {.device = device,
                            .arena = arena,
                            .buf = block,
                            .offset_bytes = 8192,
                            .len_bytes = 4096,
                            .op = KEEL_OP_WRITE,
                            .cls = KEEL_CLASS_READ};
    must(keel_io_submit(ctxs[0], &write), "submit");
    must(keel_io_wait(ctxs[0], &write), "write");
    ended = failed = 0;
    for (unsigned i = 0; i < 4; i++) {
        ios[i] = (struct keel_io){.device = device,
                                  .arena = arena,
                                  .buf = memory + i * 4096,
                                  .offset_bytes = 8192,
                                  .len_bytes = 4096,
                                  .op = KEEL_OP_READ,
                                  .cls = KEEL_CLASS_PREFETCH,
                                  .done = count_end};
        must(keel_io_submit(ctxs[0], &ios[i]), "submit");
    }
    while (ended < 4) {
        if (keel_ctx_poll(ctxs[0], 0, -1) < 0)
            exit(1);
    }
    for (unsigned i = 0; i < 4; i++)
        CHECK(memory[i * 4096] == 7 && memory[i * 4096 + 4095] == 7, "read %u got other bytes", i);
    CHECK(failed == 0 && stats().classes[KEEL_CLASS_PREFETCH].joined > 0, "nothing was joined");
    close_world();
}

/* A merged command fails: each goes alone, and only who fails then has failed. */
static void t8_errors(void)
{
    static struct keel_io ios[8];

    for (uint32_t repeat = 1; repeat <= 9; repeat++) {
        struct keel_fault fault = {.op = KEEL_OP_WRITE, .kind = KEEL_FAULT_ERROR, .repeat = repeat};
        open_world(KEEL_SCHED_ADAPTIVE);
        must(keel_sim_fault(sim, &fault), "fault");
        ended = failed = 0;
        for (unsigned i = 0; i < 8; i++) {
            ios[i] = (struct keel_io){.device = device,
                                      .arena = arena,
                                      .buf = memory + i * 4096,
                                      .offset_bytes = i * 4096,
                                      .len_bytes = 4096,
                                      .op = KEEL_OP_WRITE,
                                      .cls = KEEL_CLASS_WRITEBACK,
                                      .done = count_end};
            must(keel_io_submit(ctxs[0], &ios[i]), "submit");
        }
        while (ended < 8) {
            if (keel_ctx_poll(ctxs[0], 0, -1) < 0)
                exit(1);
        }
        CHECK(failed == repeat - 1 || BUG(NO_MERGE), "%u failed of a command that failed %u times",
              failed, repeat);
        close_world();
    }
}

#define FEW 6u

/* Requests of one kind: those that touch are merged where their class is. */
static void submit_few(struct keel_io *ios, uint8_t op, uint8_t cls, uint16_t flags, bool touch)
{
    ended = failed = 0;
    for (unsigned i = 0; i < FEW; i++) {
        uint64_t at = (touch ? i : 2 * i) * 131072ull;
        ios[i] = (struct keel_io){.device = device, .op = op, .cls = cls, .done = count_end};
        if (op != KEEL_OP_SYNC) {
            ios[i].arena = arena;
            ios[i].buf = memory + at;
            ios[i].offset_bytes = at;
            ios[i].len_bytes = 131072;
            ios[i].flags = flags;
        }
        must(keel_io_submit(ctxs[0], &ios[i]), "submit");
    }
}

/* Each kind of answer, for each operation and class, merged and split and linked, at each of the
 * first commands; one request is cancelled before it goes. Each ends once, and only who was told an
 * error at last has failed. */
static void t8_matrix(void)
{
    static const struct {
        uint8_t op;
        uint16_t flags;
    } kinds[] = {{KEEL_OP_READ, 0},
                 {KEEL_OP_WRITE, 0},
                 {KEEL_OP_WRITE, KEEL_IO_DSYNC},
                 {KEEL_OP_WRITE, KEEL_IO_LINK_SYNC},
                 {KEEL_OP_SYNC, 0}};
    static const struct {
        uint8_t kind;
        int32_t error;
        bool passes; /* it goes again, and nobody fails */
    } answers[] = {{KEEL_FAULT_ERROR, -EIO, false},
                   {KEEL_FAULT_ERROR, -EAGAIN, true},
                   {KEEL_FAULT_SHORT, 0, true}};
    static struct keel_io ios[FEW];

    open_world(KEEL_SCHED_ADAPTIVE);
    for (unsigned at = 0; at < 5 * 3 * KEEL_CLASS_COUNT * 2 * 4; at++) {
        unsigned kind = at % 5, answer = at / 5 % 3, cls = at / 15 % KEEL_CLASS_COUNT;
        unsigned touch = at / 15 / KEEL_CLASS_COUNT % 2, countdown = at / 30 / KEEL_CLASS_COUNT;
        struct keel_fault fault = {.op = kinds[kind].op,
                                   .kind = answers[answer].kind,
                                   .error = answers[answer].error,
                                   .countdown = countdown};
        bool sync = kinds[kind].op == KEEL_OP_SYNC;
        if (sync && answers[answer].kind == KEEL_FAULT_SHORT)
            continue;
        must(keel_sim_fault(sim, &fault), "fault");
        submit_few(ios, kinds[kind].op, (uint8_t)cls, kinds[kind].flags, touch);
        int cancelled = keel_io_cancel(ctxs[0], &ios[FEW - 1]) == 0;
        for (unsigned turn = 0; ended < FEW && turn < 10000; turn++) {
            if (keel_ctx_poll(ctxs[0], 0, -1) < 0)
                exit(1);
        }
        keel_sim_fault_clear(sim);
        /* A sync's answer is final, whatever it is (W4). Of a merged command each goes again. */
        unsigned most = (unsigned)cancelled + (!answers[answer].passes || sync ? 1 : 0);
        CHECK(ended == FEW && failed >= (unsigned)cancelled && failed <= most,
              "kind %u, answer %u, %s, %s, command %u: %u ended, %u failed, %d cancelled", kind,
              answer, keel_class_name(cls), touch ? "touching" : "apart", countdown, ended, failed,
              cancelled);
        if (ended < FEW)
            return; /* closing would wait for ever */
    }
    close_world();
}

/* A context is closed after each number of turns: everything ends before it is gone. */
static void t8_shutdown(void)
{
    static struct keel_io ios[FEW];

    for (unsigned turns = 0; turns < 12; turns++) {
        open_world(KEEL_SCHED_ADAPTIVE);
        struct keel_sched_options sched;
        keel_sched_get(device, &sched);
        sched.cap_ns = 1;
        must(keel_sched_set(device, &sched), "cap");
        submit_few(ios, KEEL_OP_WRITE, KEEL_CLASS_WRITEBACK, 0, turns % 2);
        for (unsigned turn = 0; turn < turns; turn++) {
            if (keel_ctx_poll(ctxs[0], 0, 0) < 0)
                exit(1);
        }
        keel_ctx_close(ctxs[0]);
        ctxs[0] = NULL;
        CHECK(ended == FEW && failed == 0, "closed after %u turns: %u ended, %u failed", turns,
              ended, failed);
        close_world();
    }
}

/* Random requests of all classes on both contexts, some cancelled or promoted: all end. */
static void t9_nothing_is_forgotten(void)
{
    static struct keel_io ios[64];

    for (unsigned seed = 1; seed <= 100; seed++) {
        open_world(seed % 3 == 0 ? KEEL_SCHED_OFF : KEEL_SCHED_ADAPTIVE);
        struct keel_sched_options sched;
        keel_sched_get(device, &sched);
        sched.cap_ns = sched.budget_ns = seed % 2 ? 1 : 50000;
        sched.classes[KEEL_CLASS_HOST].limit_permille = seed % 5 ? 0 : 100;
        sched.classes[KEEL_CLASS_SCRUB].reserve_permille = seed % 4 ? 0 : 50;
        must(keel_sched_set(device, &sched), "cap");
        prng_seed(&prng, seed);
        ended = failed = 0;
        unsigned cancelled = 0;
        for (unsigned i = 0; i < 64; i++) {
            uint64_t draw = prng_u64(&prng);
            struct keel_ctx *ctx = ctxs[draw & 1];
            ios[i] = (struct keel_io){.device = device,
                                      .arena = arena,
                                      .buf = memory + i * 131072,
                                      .offset_bytes = i * 131072,
                                      .len_bytes = (uint32_t)(1 + (draw >> 8) % 32) * 4096,
                                      .op = draw >> 16 & 1 ? KEEL_OP_READ : KEEL_OP_WRITE,
                                      .cls = (uint8_t)((draw >> 20) % KEEL_CLASS_COUNT),
                                      .done = count_end};
            must(keel_io_submit(ctx, &ios[i]), "submit");
            if ((draw >> 32) % 5 == 0)
                cancelled += keel_io_cancel(ctx, &ios[i]) == 0;
            else if ((draw >> 32) % 5 == 1)
                keel_ioref_promote(keel_io_ref(&ios[i]), KEEL_CLASS_READ);
            if ((draw >> 40) % 3 == 0 && keel_ctx_poll(ctx, 0, 0) < 0)
                exit(1);
        }
        for (unsigned turn = 0; ended < 64 && turn < 200000; turn++) {
            if (keel_ctx_poll(ctxs[turn % 2], 0, 0) < 0)
                exit(1);
        }
        CHECK(ended == 64, "seed %u: %u of 64 ended", seed, ended);
        CHECK(failed == cancelled, "seed %u: %u failed, %u cancelled", seed, failed, cancelled);
        if (ended < 64)
            return; /* closing would wait for ever */
        close_world();
    }
}

/* ---------------------------------------------------------------- all of them */

static const struct test {
    const char *name;
    void (*run)(void);
    enum seeded_bug catches;
} tests[] = {
    {"T1 shares", t1_shares, SEEDED_BUG_COST_BY_COUNT},
    {"T2 conservation", t2_conservation, SEEDED_BUG_NONE},
    {"T3 log tail", t3_log_tail, SEEDED_BUG_NO_CAP},
    {"T4 no starvation", t4_no_starvation, SEEDED_BUG_NONE},
    {"T5 slow disk", t5_slow_disk, SEEDED_BUG_NONE},
    {"T6 contexts", t6_contexts, SEEDED_BUG_NONE},
    {"T6 rejoin", t6_rejoin, SEEDED_BUG_NO_REJOIN},
    {"T6 lone readers", t6_lone_readers, SEEDED_BUG_NONE},
    {"T6 starved context", t6_starved_context, SEEDED_BUG_NONE},
    {"T6 small reads", t6_small_reads, SEEDED_BUG_NONE},
    {"T6 burst", t6_burst, SEEDED_BUG_NO_CAP},
    {"T7 merging", t7_merging, SEEDED_BUG_NO_MERGE},
    {"T7 order", t7_order, SEEDED_BUG_NONE},
    {"T7 joined reads", t7_joined_reads, SEEDED_BUG_NONE},
    {"T8 errors", t8_errors, SEEDED_BUG_NONE},
    {"T8 matrix", t8_matrix, SEEDED_BUG_NONE},
    {"T8 shutdown", t8_shutdown, SEEDED_BUG_NONE},
    {"T9 nothing is forgotten", t9_nothing_is_forgotten, SEEDED_BUG_NONE},
};

int main(void)
{
    int status = 0;

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        why[0] = '\0';
        tests[i].run();
        printf("%-24s %s\n", tests[i].name, why[0] ? why : "holds");
        fflush(stdout);
        if (why[0])
            status = 1;
    }
#ifdef KEEL_SEEDED_BUGS
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        if (tests[i].catches == SEEDED_BUG_NONE)
            continue;
        why[0] = '\0';
        keel_seeded_bug = tests[i].catches;
        tests[i].run();
        keel_seeded_bug = SEEDED_BUG_NONE;
        printf("bug %u: %s %s\n", (unsigned)tests[i].catches, why[0] ? "caught by" : "MISSED by",
               tests[i].name);
        if (!why[0])
            status = 1;
    }
#endif
    return status;
}
