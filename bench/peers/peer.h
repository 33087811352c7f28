/*
 * A peer program: another storage library under the load of `keel bench commit`, in a process of
 * its own. T threads overwrite values of one size under keys of their own, each a transaction that
 * is durable before the thread goes on. The program makes a database in an empty folder, measures
 * one round and prints it as JSON:
 *
 *   keel-peer-NAME FOLDER THREADS SECONDS VALUE-BYTES
 *   {"ops_per_s":N, "cpu_ns_per_op":N, "lat_ns":{"p50":..,"p90":..,"p99":..,"p999":..,"max":..},
 *    "note":"version and settings"}
 *
 * Exit status 1 and a line on standard error when it cannot. What a library needs beside the calls
 * below is in its own file; peer.c has the main, the threads and the measuring.
 */
#ifndef KEEL_BENCH_PEERS_PEER_H
#define KEEL_BENCH_PEERS_PEER_H

#include <stddef.h>
#include <stdint.h>

#define PEER_THREADS_MAX 128u
#define PEER_KEYS        32u /* of each thread */

struct peer_db; /* a library's own */

/* What is asked for. Constant while the load runs. */
struct peer_config {
    const char *folder; /* empty, on the disk under test */
    uint32_t threads;
    size_t value_bytes;
};

/*
 * Each returns 0 or an error of the library's, which peer_error puts into words. open makes the
 * database with settings under which a commit is durable when it returns; enter and leave run in
 * the thread that works. note: what was run, for the report.
 */
int peer_open(const struct peer_config *config, struct peer_db **ret);
int peer_enter(struct peer_db *db, uint32_t thread, void **ret_session);
/* One transaction: the value of a key of this thread is replaced. */
int peer_commit(void *session, uint32_t key, const void *value, size_t bytes);
void peer_leave(void *session);
void peer_close(struct peer_db *db);
const char *peer_error(int error);
const char *peer_note(void);

/* The key in the database: below THREADS * PEER_KEYS. */
static inline uint32_t peer_key(uint32_t thread, uint32_t key)
{
    return thread * PEER_KEYS + key;
}

#endif
