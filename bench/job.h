/*
 * What a benchmark job is. A job is one file bench/JOB.c and a row in the table of jobs.c; options,
 * rounds, peers and the report are the same for all of them and live in rounds.c and in
 * tools/bench_cmd.c, tools/bench_report.c.
 *
 * The sequence for each job: begin, then rounds times (round, each peer's round), then end. Rounds
 * alternate because disks have slow phases of seconds. A round that fails ends the run.
 *
 * Peers are what keel's figures are put beside. Each runs one round of the same load in its own
 * way and adds it to its series. A peer that cannot run says why in the series' note and returns
 * false; it is then named in the output, never left out.
 */
#ifndef KEEL_BENCH_JOB_H
#define KEEL_BENCH_JOB_H

#include <jansson.h>

#include <keel/keel.h>

#include "base/hist.h"
#include "bench/lib/result.h"
#include "tools/disk.h"
#include "tools/path_report.h"

#define BENCH_PEERS_MAX   8u
#define BENCH_THREADS_MAX 128u

/* The options that a job may take beside --path, --seconds, --rounds, --vs and --json. */
enum {
    BENCH_THREADS = 1u << 0,
    BENCH_DEPTH = 1u << 1,
    BENCH_BS = 1u << 2,
    BENCH_BATCH = 1u << 3,
    BENCH_RECORD = 1u << 4,
    BENCH_CACHE = 1u << 5,
    BENCH_DATA = 1u << 6,
    BENCH_LOG = 1u << 7,
    BENCH_SCHED = 1u << 8,
    BENCH_METHOD = 1u << 9,
    BENCH_IOPOLL = 1u << 10,
    BENCH_SYNC = 1u << 11,
    BENCH_DIST = 1u << 12,
    BENCH_MODE = 1u << 13,
    BENCH_WORKLOAD = 1u << 14,
    BENCH_HYBRID = 1u << 15,
    BENCH_SQPOLL = 1u << 16,
    BENCH_PROFILE = 1u << 17,
    BENCH_DURABILITY = 1u << 18,
};

enum bench_sched { BENCH_SCHED_OFF, BENCH_SCHED_STATIC, BENCH_SCHED_ADAPTIVE };
enum bench_workload { BENCH_YCSB_A, BENCH_YCSB_B, BENCH_YCSB_C, BENCH_YCSB_F };
enum bench_mode { BENCH_MODE_OPTIMISTIC, BENCH_MODE_SHARED };

struct bench_options {
    const char *command; /* "keel bench JOB", for messages */
    const char *path;    /* a folder on the disk under test; where the job allows it also a file
                          * that is there or a device, which are then read or overwritten */
    uint32_t seconds, rounds, threads;
    uint32_t depth; /* requests in flight, of each thread */
    uint32_t batch; /* requests handed over at once */
    uint64_t bs_bytes, record_bytes, cache_bytes, data_bytes, log_bytes;
    enum bench_sched sched;
    const char *profile; /* of the disk, that keel calibrate wrote; NULL: none */
    enum keel_method method;
    enum keel_want iopoll, sqpoll;
    bool hybrid;
    enum keel_sync_method sync;
    enum keel_level level;
    double zipf; /* exponent of the distribution; 0: uniform */
    enum bench_mode mode;
    enum bench_workload workload;
};

/* What happened while the rounds of ours were measured, all rounds together. */
struct bench_counts {
    uint64_t ops;
    uint64_t enters, submitted_writes;
    uint64_t log_writes; /* of the submitted ones */
    uint64_t device_reads, device_writes, device_write_bytes, flushes;
    bool device_known; /* the four above are counted */
    /* may span more than the measured time, such as the warm-up */
    uint64_t allocations, allocation_ops;
};

struct bench_report {
    struct bench_series ours;
    struct hist latency; /* of ours, all rounds */
    struct bench_counts counts;
    struct path_report path;
    struct disk disk;
    json_t *extra; /* object whose keys are added to "result"; the job's, freed by the command */
    struct bench_series versus[BENCH_PEERS_MAX];
};

struct bench_run {
    const struct bench_options *options;
    struct bench_report *report;
    const char *folder; /* for everything that the job and its peers make; removed afterwards. ""
                         * where path is a file or device. */
    void *state;        /* the job's own, from begin to end */
};

struct bench_peer {
    const char *name; /* NULL: end of a job's list */
    bool (*round)(struct bench_run *run, struct bench_series *series);
};

struct bench_job {
    const char *name, *summary;
    const char *unit;              /* what one operation is: "commit", "read" */
    unsigned takes;                /* BENCH_* of the options */
    bool takes_device;             /* path may be a file or a device */
    struct bench_options defaults; /* of what it takes; seconds 0 = 5, rounds 0 = 3 beside peers */
    const struct bench_peer *peers;
    uint64_t record_max; /* with BENCH_RECORD */

    /* All block and return 0 or CLI_FAILED after a complaint. begin and end may be NULL; end runs
     * whenever begin has returned 0. round adds one round to report->ours, to report->latency and
     * to report->counts, and fills report->path. */
    int (*begin)(struct bench_run *run);
    int (*round)(struct bench_run *run);
    void (*end)(struct bench_run *run);
    /* More lines of the text report, from report->extra; may be NULL. */
    void (*print)(const struct bench_options *options, const struct bench_report *report);
    /* Bytes that an operation moves, for bytes_per_s. */
    uint64_t (*op_bytes)(const struct bench_options *options);
};

extern const struct bench_job *const bench_jobs[]; /* ends with NULL */

extern const struct bench_job bench_job_mixed;
extern const struct bench_job bench_job_nop;
extern const struct bench_job bench_job_read;
extern const struct bench_job bench_job_write;
extern const struct bench_job bench_job_commit;
extern const struct bench_job bench_job_fix;
extern const struct bench_job bench_job_lookup;
extern const struct bench_job bench_job_scan;
extern const struct bench_job bench_job_checkpoint;
extern const struct bench_job bench_job_evict;
extern const struct bench_job bench_job_acommit;
extern const struct bench_job bench_job_append;
extern const struct bench_job bench_job_sync;
extern const struct bench_job bench_job_recover;
extern const struct bench_job bench_job_ladder;
extern const struct bench_job bench_job_map;
extern const struct bench_job bench_job_ycsb;

/* Run all rounds. Returns 0 or CLI_FAILED after a complaint. report: zeroed by the caller. */
int bench_rounds(const struct bench_job *job, const struct bench_options *options,
                 const struct bench_peer *const *peers, uint32_t peer_count,
                 struct bench_report *report);

/* Put a mode in force on the disk below device. 0 or a negative code. */
int bench_sched_set(struct keel_device *device, enum bench_sched sched);
/* Put the costs of --profile in force there, if it was given. 0, or CLI_FAILED after a complaint.
 */
int bench_profile_use(const struct bench_options *options, struct keel_device *device);

/* The sync method that our log chose, for peers that sync the same way: never AUTO. */
enum keel_sync_method bench_sync_of(const struct bench_report *report);

#endif
