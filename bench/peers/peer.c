/*
 * The main of a peer program: arguments, threads, one measured round, JSON. The threads are a crew
 * as those of our own jobs are, so warming up, counting and the clock are the same.
 */
#include "bench/peers/peer.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/hist.h"
#include "base/mem.h"
#include "bench/lib/crew.h"

#define SECONDS_MAX 3600
#define VALUE_MAX   (1u << 20)

struct thread {
    struct peer *peer;
    pthread_t id;
    uint32_t number;
    _Atomic uint64_t ops;
    struct hist latency; /* of what began while measuring */
};

struct peer {
    struct peer_config config;
    struct peer_db *db;
    uint32_t seconds;
    struct bench_crew crew;
    struct thread *threads;
};

static int work(struct thread *thread, void *session, unsigned char *value)
{
    struct peer *peer = thread->peer;

    for (uint32_t i = 0; bench_crew_running(&peer->crew); i++) {
        bool measured = bench_crew_measuring(&peer->crew);
        uint64_t begin = clock_now_ns();

        value[0] = (unsigned char)i;
        int rc = peer_commit(session, peer_key(thread->number, i % PEER_KEYS), value,
                             peer->config.value_bytes);
        if (rc)
            return rc;
        if (measured)
            hist_record(&thread->latency, clock_now_ns() - begin);
        atomic_fetch_add_explicit(&thread->ops, 1, memory_order_relaxed);
    }
    return 0;
}

static void *thread_main(void *arg)
{
    struct thread *thread = arg;
    struct peer *peer = thread->peer;
    unsigned char *value = mem_alloc(peer->config.value_bytes);
    void *session = NULL;
    int rc = value ? peer_enter(peer->db, thread->number, &session) : ENOMEM;

    if (value)
        memset(value, (int)thread->number, peer->config.value_bytes);
    bench_crew_begin(&peer->crew);
    if (rc == 0)
        rc = work(thread, session, value);
    bench_crew_end(&peer->crew, rc);
    if (session)
        peer_leave(session);
    mem_free(value);
    return NULL;
}

static void take_reading(void *arg, struct bench_reading *ret)
{
    const struct peer *peer = arg;

    for (uint32_t i = 0; i < peer->config.threads; i++)
        ret->ops += atomic_load_explicit(&peer->threads[i].ops, memory_order_relaxed);
}

static int run_threads(struct peer *peer, struct bench_report *report)
{
    uint32_t count = peer->config.threads;

    bench_crew_init(&peer->crew, count);
    for (uint32_t i = 0; i < count; i++) {
        struct thread *thread = &peer->threads[i];

        thread->peer = peer;
        thread->number = i;
        hist_init(&thread->latency);
        int rc = pthread_create(&thread->id, NULL, thread_main, thread);
        KEEL_ASSERT(rc == 0); /* there is no way on without one of them */
    }
    bench_crew_measure(&peer->crew, peer->seconds, report, take_reading, peer);
    hist_init(&report->latency);
    for (uint32_t i = 0; i < count; i++) {
        pthread_join(peer->threads[i].id, NULL);
        hist_merge(&report->latency, &peer->threads[i].latency);
    }
    return bench_crew_fini(&peer->crew);
}

static void print(const struct bench_report *report)
{
    const struct bench_round *round = &report->ours.rounds[0];
    struct bench_lat lat = bench_lat_of(&report->latency);
    json_t *json =
        json_pack("{s:f,s:f,s:o,s:s}", "ops_per_s", round->ops_per_s, "cpu_ns_per_op",
                  round->cpu_ns_per_op, "lat_ns", bench_lat_json(&lat), "note", peer_note());

    json_dumpf(json, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(json);
}

static int complain(const char *what, int error)
{
    fprintf(stderr, "%s: %s\n", what, peer_error(error));
    return 1;
}

static int run(struct peer *peer)
{
    struct bench_report *report = mem_alloc(sizeof(*report));

    peer->threads = mem_alloc(peer->config.threads * sizeof(*peer->threads));
    if (!report || !peer->threads)
        return complain("threads", ENOMEM);
    int rc = peer_open(&peer->config, &peer->db);
    if (rc)
        return complain("opening", rc);
    rc = run_threads(peer, report);
    peer_close(peer->db);
    if (rc)
        return complain("commit", rc);
    print(report);
    mem_free(peer->threads);
    mem_free(report);
    return 0;
}

static bool number(const char *text, unsigned long max, unsigned long *ret)
{
    char *end;

    errno = 0;
    *ret = strtoul(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && *ret >= 1 && *ret <= max;
}

int main(int argc, char **argv)
{
    struct peer peer = {0};
    unsigned long threads, seconds, bytes;

    if (argc != 5 || !number(argv[2], PEER_THREADS_MAX, &threads) ||
        !number(argv[3], SECONDS_MAX, &seconds) || !number(argv[4], VALUE_MAX, &bytes)) {
        fprintf(stderr, "usage: %s FOLDER THREADS SECONDS VALUE-BYTES (%s)\n", argv[0],
                peer_note());
        return 2;
    }
    peer.config = (struct peer_config){argv[1], (uint32_t)threads, bytes};
    peer.seconds = (uint32_t)seconds;
    return run(&peer);
}
