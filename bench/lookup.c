/*
 * The job `lookup`: point look-ups through a static index of three levels of pages, with data 8
 * times the cache, by one thread that has D of them under way.
 *
 * The index: leaves of sorted {key, value} pairs, one page after the other; above them inner pages
 * with the first key of each child; above those the root. A look-up descends from the root by
 * binary search; it reads root and inner pages optimistically and the leaf as well if it is there.
 * Look-ups take their steps in turn, and each step ends with a hint of what the next one will look
 * at, so that the processor waits for its memory while it does something else: first the page, then
 * the ends of its parts, then one part. Where a page is missing, the look-up is put aside
 * (KEEL_FIX_NOWAIT gave KEEL_PENDING: the read is under way) and taken up again after
 * keel_ctx_poll. Every value that is found is checked.
 *
 * The peer `fio` reads 4 KiB at random from the same file; its rate is divided by the reads that a
 * look-up of ours needed, so it is the number of look-ups that such a rate would allow. The peer
 * `blocking` is the same index and the same cache with one look-up at a time that waits.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "bench/lib/dist.h"
#include "bench/lib/fio_load.h"
#include "bench/lib/malloc_count.h"
#include "bench/lib/proc.h"
#include "bench/lib/scene.h"
#include "tools/cli.h"

#define NS_PER_SECOND UINT64_C(1000000000)
#define WARM_NS       (NS_PER_SECOND / 2)
#define DEPTH_MAX     4096u
#define PAGE          4096u
#define LEAF_PAIRS    ((PAGE - KEEL_PAGE_HEADER_BYTES - 16) / 16) /* pairs of a leaf */
#define FANOUT        ((PAGE - KEEL_PAGE_HEADER_BYTES - 16) / 8)  /* children of an inner page */
#define TOGETHER      16u  /* look-ups that take their steps in turn */
#define PART_BYTES    256u /* of a node's keys: a search finds the part, then looks into it */
#define FOUND         1    /* what a step comes to */
#define KEY_STEP      3u   /* keys are multiples, so that a look-up is a search */

/* User part of a page. The children of an inner page lie one after the other. */
struct node {
    uint64_t count;
    uint64_t first_child; /* page number; of a leaf: 0 */
    union {
        uint64_t keys[FANOUT];
        struct pair {
            uint64_t key, value;
        } pairs[LEAF_PAIRS];
    };
};
_Static_assert(sizeof(struct node) <= PAGE - KEEL_PAGE_HEADER_BYTES, "it is a user part");

/* How far a look-up is in its page. */
enum stage {
    ARRIVES = 0, /* not yet looked */
    PEEKED,      /* it is there */
    NARROWED,    /* it is known in which part */
};

/* One look-up under way. */
struct op {
    uint64_t key;
    keel_pageno pageno; /* where it is */
    uint32_t level;     /* 2 root, 1 inner, 0 leaf */
    enum stage stage;
    struct keel_peek peek; /* of the page, unless stage is ARRIVES */
    uint64_t first, count; /* NARROWED: keys of the part */
    uint64_t begin_ns;
};

struct job {
    const struct bench_options *config;
    struct bench_report *report;
    struct scene scene;
    struct dist dist;
    struct prng prng;
    keel_pageno leaves, inners, root;
    uint64_t reads, ops; /* of all rounds of ours, measured */
    uint64_t blocking_ops;

    /* one round */
    uint64_t finished;
    struct hist latency;
    uint32_t pending[DEPTH_MAX]; /* a queue of ops that wait for a read */
    uint32_t head, waiting;
    struct op op[DEPTH_MAX];
};

/* ---------------------------------------------------------------- the index */

static uint64_t value_of(uint64_t key)
{
    return key * UINT64_C(0x9E3779B97F4A7C15) + 1;
}

static void fill_leaf(struct node *node, keel_pageno leaf)
{
    node->count = LEAF_PAIRS;
    for (uint64_t i = 0; i < LEAF_PAIRS; i++) {
        uint64_t key = (leaf * LEAF_PAIRS + i) * KEY_STEP;
        node->pairs[i] = (struct pair){.key = key, .value = value_of(key)};
    }
}

/* Children first_child to first_child + count - 1, each with `span` leaves below it. */
static void fill_inner(struct node *node, keel_pageno first_child, uint64_t count,
                       keel_pageno first_leaf, uint64_t span)
{
    node->count = count;
    node->first_child = first_child;
    for (uint64_t i = 0; i < count; i++)
        node->keys[i] = (first_leaf + i * span) * LEAF_PAIRS * KEY_STEP;
}

static void fill_node(const void *arg, void *data, keel_pageno pageno)
{
    const struct job *job = arg;
    struct node *node = data;

    if (pageno < job->leaves) {
        fill_leaf(node, pageno);
    } else if (pageno < job->root) {
        keel_pageno first = (pageno - job->leaves) * FANOUT;
        uint64_t left = job->leaves - first;
        fill_inner(node, first, left < FANOUT ? left : FANOUT, first, 1);
    } else {
        fill_inner(node, job->leaves, job->inners, 0, FANOUT);
    }
}

static int make_index(struct job *job)
{
    int rc = scene_make_pages(&job->scene, job->root + 1, fill_node, job);

    return rc ? cli_error(job->config->command, "making the index", rc, NULL) : 0;
}

/* ---------------------------------------------------------------- one look-up */

/* Words of a node, out of a page that is fixed or only looked at. */
static inline uint64_t word_at(const void *data, size_t offset)
{
    uint64_t word;

    keel_page_copy(&word, (const char *)data + offset, sizeof(word));
    return word;
}

static size_t stride_of(const struct op *op)
{
    return op->level > 0 ? sizeof(uint64_t) : sizeof(struct pair);
}

/* Where key number i is in a page. */
static size_t key_offset(const struct op *op, uint64_t i)
{
    return offsetof(struct node, keys) + i * stride_of(op);
}

/* The last of n keys, `stride` bytes apart, that is not above key; the first, at offset, is not. */
static uint64_t search(const void *data, size_t offset, uint64_t n, size_t stride, uint64_t key)
{
    uint64_t low = 0, high = n;

    while (high - low > 1) {
        uint64_t middle = (low + high) / 2;
        if (word_at(data, offset + middle * stride) <= key)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* The same among count keys of a page from number first on. */
static uint64_t search_keys(const struct op *op, const void *data, uint64_t first, uint64_t count)
{
    return first + search(data, key_offset(op, first), count, stride_of(op), op->key);
}

/* Keys in the page; 0: it is none of ours, as an optimistic read that will not be valid may be. */
static uint64_t keys_in(const struct op *op, const void *data)
{
    uint64_t n = word_at(data, offsetof(struct node, count));

    return n <= (op->level > 0 ? FANOUT : LEAF_PAIRS) ? n : 0;
}

/* What a look-up found in a page, at number i: the child, or the value. */
static uint64_t found_at(const struct op *op, const void *data, uint64_t i)
{
    if (op->level > 0)
        return word_at(data, offsetof(struct node, first_child)) + i;
    return word_at(data, key_offset(op, i) + offsetof(struct pair, value));
}

/* The places that a search looks at first: where the parts begin. */
static void fetch_ends(const struct op *op)
{
    const char *node = op->peek.data;

    __builtin_prefetch(node);
    for (size_t at = PART_BYTES; at < sizeof(((struct node *)0)->keys); at += PART_BYTES)
        __builtin_prefetch(node + offsetof(struct node, keys) + at);
}

/* In which part is it? And fetch that. */
static void narrow(struct op *op)
{
    const char *node = op->peek.data;
    uint64_t n = keys_in(op, node), step = PART_BYTES / stride_of(op);

    op->first = step * search(node, key_offset(op, 0), (n + step - 1) / step, PART_BYTES, op->key);
    op->count = n - op->first < step ? n - op->first : step;
    for (size_t at = 0; at < PART_BYTES; at += 64)
        __builtin_prefetch(node + key_offset(op, op->first) + at);
}

/* Look at the page where op is, which could not be done without a latch. 0 and *ret, or as
 * keel_page_fix. */
static int look_latched(struct job *job, const struct op *op, unsigned flags, uint64_t *ret)
{
    struct keel_page page;

    int rc = keel_page_fix(job->scene.ctx, job->scene.space, op->pageno, KEEL_FIX_SHARED, flags,
                           NULL, &page);
    if (rc)
        return rc;
    *ret = found_at(op, page.data, search_keys(op, page.data, 0, keys_in(op, page.data)));
    keel_page_unfix(&page);
    return 0;
}

/* The next step of a look-up. What the one after it needs is fetched when it returns, so it is best
 * to take a step of other look-ups first. 0: there are more; FOUND; or as keel_page_fix. */
static int step(struct job *job, struct op *op, unsigned flags)
{
    uint64_t found = 0;
    bool known = false;

    switch (op->stage) {
    case ARRIVES:
        if (!keel_page_peek(job->scene.space, op->pageno, &op->peek))
            break;
        fetch_ends(op);
        op->stage = PEEKED;
        return 0;
    case PEEKED:
        narrow(op);
        op->stage = NARROWED;
        return 0;
    case NARROWED:
        op->stage = ARRIVES;
        found = found_at(op, op->peek.data, search_keys(op, op->peek.data, op->first, op->count));
        known = keel_peek_valid(&op->peek);
        break;
    }
    if (!known) {
        int rc = look_latched(job, op, flags, &found);
        if (rc)
            return rc;
    }
    if (op->level == 0) {
        KEEL_ASSERT(found == value_of(op->key)); /* or the cache gave wrong bytes */
        return FOUND;
    }
    op->pageno = found;
    op->level--;
    keel_page_hint(job->scene.space, op->pageno);
    return 0;
}

static void begin(struct job *job, struct op *op, uint64_t now_ns)
{
    keel_pageno leaf = dist_next(&job->dist, &job->prng);

    *op = (struct op){.key = (leaf * LEAF_PAIRS + prng_below(&job->prng, LEAF_PAIRS)) * KEY_STEP,
                      .pageno = job->root,
                      .level = 2,
                      .begin_ns = now_ns};
}

/* ---------------------------------------------------------------- many look-ups */

static void put_aside(struct job *job, uint32_t index)
{
    job->pending[(job->head + job->waiting++) % DEPTH_MAX] = index;
}

/* One is found, and the next one begins in its place. Returns the time. */
static uint64_t next(struct job *job, struct op *op)
{
    uint64_t now = clock_now_ns();

    hist_record(&job->latency, now - op->begin_ns);
    job->finished++;
    begin(job, op, now);
    return now;
}

/* Take so many of those that waited on, a step of each in turn, until all of them wait again, or
 * the time is over. */
static int run_some(struct job *job, uint32_t count, uint64_t until)
{
    uint32_t live[TOGETHER];

    for (uint32_t i = 0; i < count; i++)
        live[i] = job->pending[job->head++ % DEPTH_MAX];
    job->waiting -= count;
    while (count > 0) {
        for (uint32_t i = 0; i < count;) {
            int rc = step(job, &job->op[live[i]], KEEL_FIX_NOWAIT);
            bool over = rc == FOUND && next(job, &job->op[live[i]]) >= until;
            if (rc == KEEL_PENDING || over) {
                put_aside(job, live[i]);
                live[i] = live[--count];
                continue;
            }
            if (rc < 0)
                return rc;
            i++;
        }
    }
    return 0;
}

/* Until the time is over; *ret: look-ups and reads and time between the warm-up and then. */
static int run_many(struct job *job, uint64_t run_ns)
{
    uint64_t until = clock_now_ns() + run_ns;
    int rc = 0;

    while (!rc && clock_now_ns() < until) {
        for (uint32_t left = job->waiting; !rc && left > 0;) {
            uint32_t count = left < TOGETHER ? left : TOGETHER;
            rc = run_some(job, count, until);
            left -= count;
        }
        if (!rc)
            rc = keel_ctx_poll(job->scene.ctx, 0, -1);
        rc = rc > 0 ? 0 : rc;
    }
    return rc;
}

static int run_blocking(struct job *job, uint64_t run_ns)
{
    uint64_t now = clock_now_ns(), until = now + run_ns;
    struct op *op = &job->op[0];
    int rc = 0;

    begin(job, op, now);
    while (!rc && now < until) {
        while ((rc = step(job, op, 0)) == 0)
            continue;
        if (rc == FOUND) {
            rc = 0;
            now = next(job, op);
        }
    }
    return rc;
}

/* ---------------------------------------------------------------- rounds */

/* Warm up, then measure. */
static int run_round(struct job *job, int (*run)(struct job *job, uint64_t run_ns),
                     struct bench_round *ret)
{
    struct keel_pagecache_stats before, after;
    struct keel_ctx_stats ctx_before, ctx_after;

    hist_init(&job->latency);
    int rc = run(job, WARM_NS);
    keel_pagecache_stats(job->scene.cache, &before);
    keel_ctx_stats(job->scene.ctx, &ctx_before);
    uint64_t cpu = proc_cpu_ns(), begin_ns = clock_now_ns(), allocations = malloc_count();
    hist_init(&job->latency);
    job->finished = 0;
    if (!rc)
        rc = run(job, job->config->seconds * NS_PER_SECOND);
    uint64_t ns = clock_now_ns() - begin_ns;
    cpu = proc_cpu_ns() - cpu;
    allocations = malloc_count() - allocations;
    keel_ctx_stats(job->scene.ctx, &ctx_after);
    keel_pagecache_stats(job->scene.cache, &after);
    if (rc)
        return rc;

    *ret = (struct bench_round){.ops_per_s = (double)job->finished * 1e9 / (double)ns,
                                .cpu_ns_per_op = (double)cpu / (double)job->finished,
                                .lat = bench_lat_of(&job->latency)};
    if (run == run_many) {
        struct bench_counts *counts = &job->report->counts;
        counts->ops += job->finished;
        counts->enters += ctx_after.enters - ctx_before.enters;
        counts->allocations += allocations;
        counts->allocation_ops += job->finished;
        job->ops += job->finished;
        job->reads += after.reads - before.reads;
        hist_merge(&job->report->latency, &job->latency);
    }
    return 0;
}

static int lookup_round(struct bench_run *run)
{
    struct job *job = run->state;
    struct bench_series *ours = &job->report->ours;

    job->head = job->waiting = 0;
    for (uint32_t i = 0; i < job->config->depth; i++) {
        begin(job, &job->op[i], clock_now_ns());
        put_aside(job, i);
    }
    int rc = run_round(job, run_many, &ours->rounds[ours->count]);
    if (rc)
        return cli_error(job->config->command, "look-up", rc, NULL);
    ours->count++;
    scene_path(&job->scene, &job->report->path);
    /* Reads that are under way end before a peer begins. */
    while (keel_ctx_poll(job->scene.ctx, 0, 1000000) > 0)
        ;
    return 0;
}

static bool blocking_round(struct bench_run *run, struct bench_series *series)
{
    struct job *job = run->state;
    int rc = run_round(job, run_blocking, &series->rounds[series->count]);

    snprintf(series->note, sizeof(series->note), "%s",
             rc ? keel_err_text(rc) : "the same, one look-up at a time, which waits for its reads");
    series->count += rc == 0;
    return rc == 0;
}

static bool fio_reads_round(struct bench_run *run, struct bench_series *series)
{
    struct job *job = run->state;
    double reads_per_op = (double)job->reads / (double)job->ops;
    struct fio_load load = {.path = job->scene.path,
                            .rw = "randread",
                            .bs_bytes = PAGE,
                            .depth = 64,
                            .batch = 16,
                            .threads = 1};

    if (!fio_load_round(run, &load, series))
        return false;
    struct bench_round *round = &series->rounds[series->count - 1];
    round->ops_per_s /= reads_per_op;
    round->cpu_ns_per_op *= reads_per_op;
    return true;
}

/* ---------------------------------------------------------------- all rounds */

static int lookup_begin(struct bench_run *run)
{
    struct job *job = mem_alloc(sizeof(*job));

    if (!job)
        return cli_error(run->options->command, "job", -ENOMEM, NULL);
    job->config = run->options;
    job->report = run->report;
    job->leaves = run->options->data_bytes / PAGE;
    job->inners = (job->leaves + FANOUT - 1) / FANOUT;
    job->root = job->leaves + job->inners;
    if (job->inners > FANOUT) {
        mem_free(job);
        return cli_fail(run->options->command, "--data is too large for three levels: at most %llu",
                        (unsigned long long)FANOUT * FANOUT * PAGE);
    }
    prng_seed(&job->prng, 1);
    dist_init(&job->dist, job->leaves, run->options->zipf);
    int rc = scene_open(run, (job->root + 1) * PAGE, run->options->cache_bytes, job->root + 1, NULL,
                        &job->scene);
    if (!rc)
        rc = make_index(job);
    if (rc) {
        scene_close(&job->scene);
        mem_free(job);
        return rc;
    }
    run->state = job;
    return 0;
}

static void lookup_end(struct bench_run *run)
{
    struct job *job = run->state;

    run->report->extra = json_pack("{s:f}", "reads_per_lookup",
                                   job->ops ? (double)job->reads / (double)job->ops : 0);
    scene_close(&job->scene);
    mem_free(job);
}

static void lookup_print(const struct bench_options *options, const struct bench_report *report)
{
    (void)options;
    printf("reads per look-up: %.3f\n",
           json_number_value(json_object_get(report->extra, "reads_per_lookup")));
}

static uint64_t lookup_bytes(const struct bench_options *options)
{
    (void)options;
    return PAGE;
}

static const struct bench_peer peers[] = {
    {"fio", fio_reads_round},
    {"blocking", blocking_round},
    {NULL, NULL},
};

const struct bench_job bench_job_lookup = {
    .name = "lookup",
    .summary = "point look-ups past memory, one thread, many under way",
    .unit = "look-up",
    .takes = BENCH_DEPTH | BENCH_CACHE | BENCH_DATA | BENCH_DIST | BENCH_METHOD | BENCH_IOPOLL |
             BENCH_SCHED,
    .defaults = {.threads = 1,
                 .sched = BENCH_SCHED_ADAPTIVE,
                 .depth = 256,
                 .cache_bytes = UINT64_C(64) << 20,
                 .data_bytes = UINT64_C(512) << 20},
    .peers = peers,
    .begin = lookup_begin,
    .round = lookup_round,
    .end = lookup_end,
    .print = lookup_print,
    .op_bytes = lookup_bytes,
};
