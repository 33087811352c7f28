/*
 * keel/stats.h: what keel counts, in one table, and how it is published.
 *
 * A store in use publishes its counters ten times a second in a small object of shared memory,
 * whose format is docs/format/stats.md. `keel top` and `keel stats` read it from another process,
 * without the store's help and without slowing it: nothing on the way of a request, a commit or a
 * page takes part. From the table come the segment, the names in JSON and in Prometheus text, and
 * docs/reference/counters.md. To add a counter, add a row here and set it in
 * engine/stats_publish.c.
 *
 * A name says its unit: _bytes, _ns, _lsn; without one it is a plain count. A COUNTER only grows
 * while the store is open, and so does a BUCKET of a histogram; a GAUGE goes both ways.
 */
#ifndef KEEL_STATS_H
#define KEEL_STATS_H

#include <stdint.h>

#include <keel/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* clang-format off */
/* name, most rows, what one row is */
#define KEEL_STAT_GROUPS(X) \
X(store,   1,  "the store") \
X(log,     1,  "its write-ahead log") \
X(holder,  16, "who holds the log") \
X(cache,   1,  "its page cache") \
X(context, 64, "a context of the process; the last row has all that there is no room for") \
X(disk,    4,  "the scheduler of a disk on which the store lies") \
X(class,   32, "a class of requests on such a disk")

/* A histogram is KEEL_STAT_BUCKETS buckets and a sum: bucket k counts what took less than 1024 << k
 * nanoseconds and not less than half of that, the last one also all that took longer. */
#define KEEL_STAT_BUCKETS 24
#define KEEL_STAT_HISTOGRAM(X, group, name, meaning) \
X(group, name##_bucket_0,  BUCKET, meaning) X(group, name##_bucket_1,  BUCKET, meaning) \
X(group, name##_bucket_2,  BUCKET, meaning) X(group, name##_bucket_3,  BUCKET, meaning) \
X(group, name##_bucket_4,  BUCKET, meaning) X(group, name##_bucket_5,  BUCKET, meaning) \
X(group, name##_bucket_6,  BUCKET, meaning) X(group, name##_bucket_7,  BUCKET, meaning) \
X(group, name##_bucket_8,  BUCKET, meaning) X(group, name##_bucket_9,  BUCKET, meaning) \
X(group, name##_bucket_10, BUCKET, meaning) X(group, name##_bucket_11, BUCKET, meaning) \
X(group, name##_bucket_12, BUCKET, meaning) X(group, name##_bucket_13, BUCKET, meaning) \
X(group, name##_bucket_14, BUCKET, meaning) X(group, name##_bucket_15, BUCKET, meaning) \
X(group, name##_bucket_16, BUCKET, meaning) X(group, name##_bucket_17, BUCKET, meaning) \
X(group, name##_bucket_18, BUCKET, meaning) X(group, name##_bucket_19, BUCKET, meaning) \
X(group, name##_bucket_20, BUCKET, meaning) X(group, name##_bucket_21, BUCKET, meaning) \
X(group, name##_bucket_22, BUCKET, meaning) X(group, name##_bucket_23, BUCKET, meaning) \
X(group, name##_sum_ns, COUNTER, meaning)

/* group, name, kind, meaning; the rows of a group stand together */
#define KEEL_STATS(X) \
X(store, state,                  GAUGE,   "0 opening, 1 running, 2 read-only since a write or sync failed, 3 closed") \
X(store, poison_errno,           GAUGE,   "the first failure, as the nearest errno; 0: none") \
X(store, page_bytes,             GAUGE,   "size of a page") \
X(store, pages,                  GAUGE,   "pages that the space has") \
X(store, atomic_pages,           GAUGE,   "1: the device writes pages untorn, so the log has no images for that; 0: it has") \
X(store, pages_allocated,        GAUGE,   "of them, allocated") \
X(store, transactions_committed, COUNTER, "transactions that wrote something and were committed") \
X(store, transactions_aborted,   COUNTER, "transactions that were aborted") \
X(store, checkpoints,            COUNTER, "checkpoints that ran to their end") \
X(store, pages_scrubbed,         COUNTER, "pages that scrubbing has read and checked") \
X(store, pages_damaged,          COUNTER, "times that it found one damaged; again in each round") \
X(store, recovered_groups,       GAUGE,   "transactions that the last open redid") \
X(store, recovered_pages,        GAUGE,   "pages that the last open changed") \
X(store, open_ns,                GAUGE,   "how long the last open took") \
X(log,   redo_lsn,               GAUGE,   "recovery would begin here") \
X(log,   durable_lsn,            GAUGE,   "everything below is durable") \
X(log,   tail_lsn,               GAUGE,   "everything below is reserved") \
X(log,   ring_bytes,             GAUGE,   "size of the ring") \
X(log,   used_bytes,             GAUGE,   "of it, still needed by recovery or by a holder") \
X(log,   groups,                 COUNTER, "groups of records that were sealed; one for a transaction") \
X(log,   records,                COUNTER, "records in them") \
X(log,   payload_bytes,          COUNTER, "bytes of records with their headers") \
X(log,   padding_bytes,          COUNTER, "bytes that fill blocks up") \
X(log,   block_bytes,            COUNTER, "bytes of whole blocks, as they are written") \
X(log,   writes,                 COUNTER, "writes of the log that were handed to the kernel") \
X(log,   syncs,                  COUNTER, "syncs of the log beside those that are part of a write") \
X(log,   commits,                COUNTER, "waits for durability that were answered") \
X(holder, lsn,                   GAUGE,   "it needs the log from here on") \
X(holder, behind_bytes,          GAUGE,   "so far behind the tail") \
X(holder, cap_bytes,             GAUGE,   "and so far at most; 0: the ring") \
X(holder, failures,              COUNTER, "of an archive: its hook failed") \
X(holder, broken,                GAUGE,   "1: it got further behind, and holds nothing any more") \
X(cache, frames,                 GAUGE,   "page frames") \
X(cache, frames_max,             GAUGE,   "as many as resizing can reach") \
X(cache, leaving_frames,         GAUGE,   "frames that resizing has still to take out") \
X(cache, free_frames,            GAUGE,   "of them, free") \
X(cache, dirty_frames,           GAUGE,   "of them, changed since they were written, or being written") \
X(cache, hits,                   COUNTER, "pages that were found in memory; threads may lose a count to each other") \
X(cache, misses,                 COUNTER, "pages that had to be read or made") \
X(cache, reads,                  COUNTER, "reads of pages that were started") \
X(cache, writes,                 COUNTER, "merged writes of pages that were started") \
X(cache, pages_written,          COUNTER, "pages in them") \
X(cache, evictions,              COUNTER, "pages whose frame was taken for another") \
X(cache, checksum_errors,        COUNTER, "pages that were read and not what was written") \
X(cache, log_waits,              COUNTER, "times that writing a page waited for the log") \
X(context, enters,               COUNTER, "calls of io_uring_enter, or of read, write and sync") \
X(context, submitted,            COUNTER, "requests handed to the kernel") \
X(context, completed,            COUNTER, "requests that came back") \
X(context, reads,                COUNTER, "of them, reads") \
X(context, writes,               COUNTER, "of them, writes") \
X(context, syncs,                COUNTER, "of them, syncs") \
X(context, read_bytes,           COUNTER, "bytes that were read") \
X(context, written_bytes,        COUNTER, "bytes that were written") \
X(disk, contexts,                GAUGE,   "contexts of the process that use it") \
X(disk, profiled,                GAUGE,   "1: what a transfer costs there is from a profile of keel calibrate; 0: a guess") \
X(disk, cap_ns,                  GAUGE,   "of the disk's time, so much may be in flight below the READ class") \
X(disk, in_flight_ns,            GAUGE,   "and so much is") \
X(disk, target_ns,               GAUGE,   "median that commits, else reads, are to keep") \
X(disk, idle_ns,                 GAUGE,   "the same on the idle disk") \
X(disk, cap_ups,                 COUNTER, "times that the cap was raised") \
X(disk, cap_downs,               COUNTER, "times that it was lowered") \
X(disk, busy_ns,                 COUNTER, "time in which something was in flight") \
X(class, requests,               COUNTER, "requests that the disk completed; of a merged command each counts") \
X(class, request_bytes,          COUNTER, "their bytes") \
X(class, commands,               COUNTER, "commands handed to the method") \
X(class, errors,                 COUNTER, "commands that failed") \
X(class, merged,                 COUNTER, "requests that rode on another's command") \
X(class, split,                  COUNTER, "commands for a part of a request") \
X(class, joined,                 COUNTER, "reads that were answered with another's bytes") \
X(class, resent,                 COUNTER, "merged commands that failed, whose requests went again alone") \
X(class, promoted,               COUNTER, "requests that were lifted into this class") \
X(class, cost_ns,                COUNTER, "the disk's time that was charged") \
X(class, depth_ns,               COUNTER, "integral of the number in flight over time: its rate is the average depth") \
X(class, starved_ns,             COUNTER, "something waited and nothing was in flight") \
X(class, held_by_cap,            COUNTER, "times that a context was held back by the cap") \
X(class, held_by_budget,         COUNTER, "by the budget of all classes") \
X(class, held_by_turn,           COUNTER, "because it was another context's turn") \
X(class, held_by_limit,          COUNTER, "by the class's limit") \
X(class, queued,                 GAUGE,   "requests that wait now") \
X(class, in_flight,              GAUGE,   "commands in flight now") \
KEEL_STAT_HISTOGRAM(X, class, queue, "from when the scheduler saw a request to when it went") \
KEEL_STAT_HISTOGRAM(X, class, exec, "from when a command went to its completion")
/* clang-format on */

/* KEEL_STATS_store, ... */
enum keel_stat_group {
#define KEEL_STAT_GROUP_MEMBER(name, rows_max, meaning) KEEL_STATS_##name,
    KEEL_STAT_GROUPS(KEEL_STAT_GROUP_MEMBER)
#undef KEEL_STAT_GROUP_MEMBER
        KEEL_STATS_GROUP_COUNT
};

enum keel_stat_kind { KEEL_STAT_GAUGE = 0, KEEL_STAT_COUNTER, KEEL_STAT_BUCKET };

/* KEEL_STAT_store_state, ...: numbers of this build, not of the format. */
enum keel_stat {
#define KEEL_STAT_MEMBER(group, name, kind, meaning) KEEL_STAT_##group##_##name,
    KEEL_STATS(KEEL_STAT_MEMBER)
#undef KEEL_STAT_MEMBER
        KEEL_STAT_COUNT
};

struct keel_stat_group_info {
    const char *name;
    uint32_t rows_max;
    const char *meaning;
};

struct keel_stat_info {
    enum keel_stat_group group;
    const char *name;
    enum keel_stat_kind kind;
    const char *meaning;
};

/* The tables: pure, any thread, lent for ever. NULL beyond the end. */
KEEL_PUBLIC const struct keel_stat_group_info *keel_stat_group_info(unsigned group);
KEEL_PUBLIC const struct keel_stat_info *keel_stat_info(unsigned stat);
/* The counters of a group are those from *ret_first on; returns how many. */
KEEL_PUBLIC uint32_t keel_stat_group_range(unsigned group, unsigned *ret_first);

#ifdef __cplusplus
}
#endif
#endif
