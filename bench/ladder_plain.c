/*
 * The lower rungs of `ladder`: pread, and Linux' first asynchronous I/O.
 */
#include <errno.h>
#include <libaio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/prng.h"
#include "bench/ladder.h"

bool ladder_pread(const struct ladder_load *load, struct ladder_round *round,
                  char why[LADDER_WHY_BYTES])
{
    uint64_t bytes = load->options->bs_bytes, begin = clock_now_ns(), now = begin;
    struct prng prng;

    prng_seed(&prng, 1);
    while (now - begin < load->ns) {
        uint64_t offset = prng_u64(&prng) % load->blocks * bytes, before = now;
        ssize_t got = pread(load->fd, load->buffers, bytes, (off_t)offset);
        if (got != (ssize_t)bytes)
            return ladder_fail(why, "pread", got < 0 ? errno : EIO);
        now = clock_now_ns();
        hist_record(&round->latency, now - before);
        round->ops++;
    }
    round->ns = now - begin;
    round->calls = round->ops;
    return true;
}

/* ---------------------------------------------------------------- libaio */

struct aio {
    const struct ladder_load *load;
    io_context_t context;
    struct iocb *iocbs;
    struct iocb **idle, **batch;
    uint64_t *begun_ns;
    struct io_event *events;
    uint32_t idle_count, in_flight;
    struct prng prng;
};

static int aio_submit(struct aio *aio, struct ladder_round *round)
{
    const struct bench_options *options = aio->load->options;
    uint32_t count = 0;
    uint64_t now = clock_now_ns();

    while (count < options->batch && aio->idle_count > 0) {
        struct iocb *iocb = aio->idle[--aio->idle_count];
        uint32_t slot = (uint32_t)(iocb - aio->iocbs);
        uint64_t offset = prng_u64(&aio->prng) % aio->load->blocks * options->bs_bytes;
        io_prep_pread(iocb, aio->load->fd, aio->load->buffers + slot * options->bs_bytes,
                      options->bs_bytes, (long long)offset);
        aio->begun_ns[slot] = now;
        aio->batch[count++] = iocb;
    }
    for (uint32_t at = 0; at < count;) {
        int rc = io_submit(aio->context, (long)(count - at), aio->batch + at);
        round->calls++;
        if (rc < 0)
            return rc;
        at += (uint32_t)rc;
        aio->in_flight += (uint32_t)rc;
    }
    return 0;
}

static int aio_reap(struct aio *aio, uint32_t least, struct ladder_round *round)
{
    int got = io_getevents(aio->context, least, aio->load->options->depth, aio->events, NULL);
    uint64_t now = clock_now_ns();

    round->calls++;
    if (got < 0)
        return got;
    for (int i = 0; i < got; i++) {
        struct iocb *iocb = aio->events[i].obj;
        if (aio->events[i].res != aio->load->options->bs_bytes)
            return (int)(long)aio->events[i].res < 0 ? (int)(long)aio->events[i].res : -EIO;
        hist_record(&round->latency, now - aio->begun_ns[iocb - aio->iocbs]);
        aio->idle[aio->idle_count++] = iocb;
    }
    aio->in_flight -= (uint32_t)got;
    round->ops += (uint64_t)got;
    return 0;
}

static int aio_loop(struct aio *aio, struct ladder_round *round)
{
    const struct bench_options *options = aio->load->options;
    uint64_t begin = clock_now_ns();
    int rc = 0;

    while (rc == 0 && clock_now_ns() - begin < aio->load->ns) {
        rc = aio_submit(aio, round);
        bool full = aio->idle_count == 0;
        uint32_t least = options->batch < aio->in_flight ? options->batch : aio->in_flight;
        if (rc == 0)
            rc = aio_reap(aio, full ? least : 0, round);
    }
    round->ns = clock_now_ns() - begin;
    while (aio->in_flight > 0) {
        struct ladder_round rest = {0};
        hist_init(&rest.latency);
        if (aio_reap(aio, aio->in_flight, &rest) != 0)
            break; /* io_destroy waits for what is left */
    }
    return rc;
}

bool ladder_libaio(const struct ladder_load *load, struct ladder_round *round,
                   char why[LADDER_WHY_BYTES])
{
    uint32_t depth = load->options->depth;
    struct aio aio = {.load = load, .idle_count = depth};
    int rc = io_queue_init((int)depth, &aio.context);

    if (rc)
        return ladder_fail(why, "io_setup", rc);
    prng_seed(&aio.prng, 1);
    aio.iocbs = mem_alloc(depth * sizeof(*aio.iocbs));
    aio.idle = mem_alloc(depth * sizeof(struct iocb *));
    aio.batch = mem_alloc(depth * sizeof(struct iocb *));
    aio.begun_ns = mem_alloc(depth * sizeof(*aio.begun_ns));
    aio.events = mem_alloc(depth * sizeof(*aio.events));
    bool ok = aio.iocbs && aio.idle && aio.batch && aio.begun_ns && aio.events;
    for (uint32_t i = 0; ok && i < depth; i++)
        aio.idle[i] = &aio.iocbs[i];
    rc = ok ? aio_loop(&aio, round) : -ENOMEM;
    io_queue_release(aio.context);
    mem_free(aio.events);
    mem_free(aio.begun_ns);
    mem_free(aio.batch);
    mem_free(aio.idle);
    mem_free(aio.iocbs);
    return rc == 0 || ladder_fail(why, "libaio", rc);
}
