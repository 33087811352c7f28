/*
 * Scrubbing: reading what is on the device, at a low rate and in the background class, to find what
 * has gone bad before it is needed.
 *
 *   keel_scrub_step, again and again -> read_run: the next pages, side by side in one request
 *   -> the next step finds it complete -> check_run; a page that is not what it should be is a
 * suspect -> read_suspect: that page alone once more -> judge
 *
 * It uses no frames, so nothing leaves the cache for it; a page that is being written right now may
 * come as a mixture of two. So damage is what two reads have found alike, with no write of the page
 * in flight or to come before and after the second: a page in between differs from read to read,
 * and a frame that is being written is WRITING or REDIRTIED until it is done.
 *
 * - Failure: a request that fails is made again page by page; a page that cannot be read twice is
 *   damaged as well. A full queue is tried again at the next step.
 * - One thread at a time is inside; who is late finds it busy.
 */
#include <errno.h>

#include "base/mem.h"
#include "pagecache/cache.h"

#define RUN_BYTES (256u << 10)
#define NS_PER_S  UINT64_C(1000000000)

enum step { STEP_IDLE = 0, STEP_RUN, STEP_SUSPECT };

struct keel_scrub {
    /* set at open, then constant */
    struct keel_pagecache *cache;
    struct keel_space *space;
    uint64_t bytes_per_s;
    void (*damaged)(void *arg, struct keel_ctx *ctx, const struct keel_err_info *info);
    void *arg;
    char *buf; /* RUN_BYTES */

    _Atomic bool busy; /* acquire, release: somebody is inside; the rest is theirs */
    enum step step;
    struct keel_io io;
    struct keel_ioref ref;
    uint64_t due_ns;
    keel_pageno next;   /* page that is read next */
    keel_pageno single; /* up to here page by page: a request for several failed */
    keel_pageno first;  /* of what is being read */
    uint32_t count;
    struct pc_page_fault fault; /* of the suspect, at the first read */
    int fault_code;

    /* atomic, relaxed */
    _Atomic uint64_t pages, damages, rounds;
};

static void read_done(struct keel_io *io)
{
    (void)io; /* the next step looks at it */
}

int keel_scrub_open(struct keel_pagecache *cache, const struct keel_scrub_options *options,
                    struct keel_scrub **ret)
{
    if (!options || options->size != sizeof(*options) || !options->space ||
        options->bytes_per_s == 0)
        return KEEL_EOPTION;

    struct keel_scrub *scrub = mem_alloc_aligned(_Alignof(struct keel_scrub), sizeof(*scrub));
    char *buf = mem_map(RUN_BYTES, 0);
    if (!scrub || !buf) {
        mem_free(scrub);
        if (buf)
            mem_unmap(buf, RUN_BYTES);
        return -ENOMEM;
    }
    scrub->cache = cache;
    scrub->space = options->space;
    scrub->bytes_per_s = options->bytes_per_s;
    scrub->damaged = options->damaged;
    scrub->arg = options->arg;
    scrub->buf = buf;
    *ret = scrub;
    return 0;
}

void keel_scrub_close(struct keel_scrub *scrub)
{
    if (!scrub)
        return;
    if (scrub->step != STEP_IDLE)
        keel_ioref_wait(scrub->ref);
    mem_unmap(scrub->buf, RUN_BYTES);
    mem_free(scrub);
}

void keel_scrub_stats(const struct keel_scrub *scrub, struct keel_scrub_stats *ret)
{
    *ret = (struct keel_scrub_stats){
        .pages = atomic_load_explicit(&scrub->pages, memory_order_relaxed),
        .damaged = atomic_load_explicit(&scrub->damages, memory_order_relaxed),
        .rounds = atomic_load_explicit(&scrub->rounds, memory_order_relaxed),
    };
}

/* ---------------------------------------------------------------- reading */

static int start(struct keel_ctx *ctx, struct keel_scrub *scrub, enum step step)
{
    struct keel_space *space = scrub->space;

    scrub->io.device = space->device;
    scrub->io.buf = scrub->buf;
    scrub->io.offset_bytes = scrub->first << space->page_shift;
    scrub->io.len_bytes = scrub->count << space->page_shift;
    scrub->io.op = KEEL_OP_READ;
    scrub->io.cls = KEEL_CLASS_SCRUB;
    scrub->io.flags = KEEL_IO_ANY_THREAD;
    scrub->io.done = read_done;
    int rc = keel_io_submit(ctx, &scrub->io);
    if (rc != 0)
        return rc;
    scrub->ref = keel_io_ref(&scrub->io);
    scrub->step = step;
    keel_ctx_kick(ctx);
    return 0;
}

/* The next pages. */
static int read_run(struct keel_ctx *ctx, struct keel_scrub *scrub)
{
    keel_pageno limit = keel_space_pages(scrub->space);
    uint32_t most = scrub->next < scrub->single ? 1 : RUN_BYTES >> scrub->space->page_shift;

    if (scrub->next >= limit) {
        pc_count(&scrub->rounds, scrub->next > 0);
        scrub->next = scrub->single = 0;
    }
    if (limit == 0)
        return 0;
    scrub->first = scrub->next;
    scrub->count = limit - scrub->next < most ? (uint32_t)(limit - scrub->next) : most;
    int rc = start(ctx, scrub, STEP_RUN);
    return rc == KEEL_EFULL || rc == KEEL_ERANGE ? 0 : rc; /* full; or it was just truncated */
}

/* ---------------------------------------------------------------- judging */

/* Is no write of the page under way, nor waiting to be made? */
static bool quiet(const struct keel_scrub *scrub, keel_pageno pageno)
{
    const struct keel_space *space = scrub->space;
    /* acquire: who finds the word finds the frame's state */
    uint64_t value = atomic_load_explicit(&space->table.words[pageno], memory_order_acquire);

    if (!pc_word_resident(value))
        return true;
    const struct keel_frame *frame = &scrub->cache->frames[pc_word_index(value)];
    enum pc_frame_state state = pc_frame_state(frame);
    return state != PC_FRAME_DIRTY && !pc_frame_being_written(state);
}

/* What is wrong with page i of what was read: 0 or a code. A page never written is as it should be.
 */
static int check(const struct keel_scrub *scrub, uint32_t i, struct pc_page_fault *fault)
{
    uint32_t page_bytes = pc_page_bytes(scrub->space);

    *fault = (struct pc_page_fault){.what = "device"};
    if (scrub->io.res != 0)
        return scrub->io.res == KEEL_ERANGE ? 0 : KEEL_EREAD;
    int rc = pc_page_check(scrub->buf + (size_t)i * page_bytes, page_bytes, scrub->space->id,
                           scrub->first + i, fault);
    return rc == KEEL_ENOPAGE ? 0 : rc;
}

static void report(struct keel_ctx *ctx, struct keel_scrub *scrub)
{
    keel_pageno pageno = scrub->first;
    struct keel_err_info info = {
        .code = scrub->fault_code,
        .op = scrub->fault.what,
        .offset = pageno << scrub->space->page_shift,
        .want = scrub->fault.want,
        .got = scrub->fault.got,
    };
    keel_lsn lsn = scrub->fault_code == KEEL_EREAD ? KEEL_LSN_MAX : pc_page_lsn(scrub->buf);

    pc_page_name(&info, scrub->space->id, pageno, lsn);
    pc_count(&scrub->damages, 1);
    if (scrub->damaged)
        scrub->damaged(scrub->arg, ctx, &info);
}

/* The run is there: count what is good up to the first suspect, which is read once more. */
static int check_run(struct keel_ctx *ctx, struct keel_scrub *scrub)
{
    for (uint32_t i = 0; i < scrub->count; i++) {
        scrub->fault_code = check(scrub, i, &scrub->fault);
        if (scrub->fault_code == 0)
            continue;
        scrub->next = scrub->first + i;
        pc_count(&scrub->pages, i);
        if (scrub->io.res != 0 && scrub->count > 1) { /* which of them is it? */
            scrub->single = scrub->first + scrub->count;
            scrub->step = STEP_IDLE;
            return 0;
        }
        scrub->first = scrub->next;
        scrub->count = 1;
        scrub->step = STEP_IDLE;
        /* Not to be read again now: this page comes in the next round. */
        if (!quiet(scrub, scrub->first) || start(ctx, scrub, STEP_SUSPECT) != 0)
            scrub->next++;
        return 0;
    }
    pc_count(&scrub->pages, scrub->count);
    scrub->next = scrub->first + scrub->count;
    scrub->step = STEP_IDLE;
    return 0;
}

static void judge(struct keel_ctx *ctx, struct keel_scrub *scrub)
{
    struct pc_page_fault fault;
    int code = check(scrub, 0, &fault);

    if (code != 0 && code == scrub->fault_code && fault.want == scrub->fault.want &&
        fault.got == scrub->fault.got && quiet(scrub, scrub->first))
        report(ctx, scrub);
    pc_count(&scrub->pages, 1);
    scrub->next = scrub->first + 1;
    scrub->step = STEP_IDLE;
}

/* ---------------------------------------------------------------- a step */

static int step(struct keel_ctx *ctx, struct keel_scrub *scrub, uint64_t now_ns)
{
    if (scrub->step != STEP_IDLE) {
        if (!keel_ioref_done(scrub->ref)) {
            keel_ioref_kick(ctx, scrub->ref);
            return 0;
        }
        if (scrub->step == STEP_SUSPECT)
            judge(ctx, scrub);
        else
            return check_run(ctx, scrub);
        return 0;
    }
    if (now_ns < scrub->due_ns)
        return 0;
    int rc = read_run(ctx, scrub);
    uint64_t bytes = (uint64_t)scrub->count << scrub->space->page_shift;
    scrub->due_ns = now_ns + bytes * NS_PER_S / scrub->bytes_per_s;
    return rc;
}

int keel_scrub_step(struct keel_ctx *ctx, struct keel_scrub *scrub, uint64_t now_ns)
{
    bool idle = false;

    if (!atomic_compare_exchange_strong_explicit(&scrub->busy, &idle, true, memory_order_acquire,
                                                 memory_order_relaxed))
        return 0;
    int rc = step(ctx, scrub, now_ns);
    atomic_store_explicit(&scrub->busy, false, memory_order_release);
    return rc;
}
