/*
 * keel/wal.h: the write-ahead log.
 *
 * A ring of 4 KiB blocks on one device, format in docs/format/wal.md. Records are appended in
 * groups (a group is recovered whole or not at all) from any number of threads; a group is durable
 * when every byte of the log up to its end is written and synced (W1). Whoever waits drives the
 * log's own context (I6).
 *
 * Happy path: keel_wal_create, then per start: keel_wal_open (finds the end), keel_wal_replay,
 * keel_wal_start (new epoch, appends allowed); per commit: keel_wal_credit, keel_wal_append,
 * keel_wal_commit; now and then keel_wal_cut and keel_wal_truncate; keel_wal_close.
 *
 * Failure: the first failed write or sync poisons the log for good (W4): the durable LSN is frozen
 * and every later call gets KEEL_EPOISON; what lies above it is unknown until the log is opened
 * again.
 */
#ifndef KEEL_WAL_H
#define KEEL_WAL_H

#include <sys/uio.h>

#include <keel/iosched.h>

#ifdef __cplusplus
extern "C" {
#endif

struct keel_wal;

enum keel_sync_method {
    KEEL_SYNC_AUTO = 0, /* link or dsync: measured at the first start on a device (dsync in a
                           simulation) */
    KEEL_SYNC_DSYNC,    /* RWF_DSYNC on each log write */
    KEEL_SYNC_LINK,  /* write, linked fdatasync (blocking commits; asynchronous ones use dsync) */
    KEEL_SYNC_FLUSH, /* writes are reaped, then one fdatasync for all of them */
    KEEL_SYNC_NONE,  /* device without volatile cache: refused (KEEL_EOPTION) where it has one or is
                        not known */
    /* Names of dsync and flush where the log is on the nvme method; elsewhere KEEL_EOPTION. */
    KEEL_SYNC_NVME_FUA,   /* each log write is one NVMe write with FUA */
    KEEL_SYNC_NVME_FLUSH, /* writes are reaped, then one NVMe Flush for all of them */
};
/* "auto", "dsync", "link", "flush", "none", "nvme-fua", "nvme-flush"; "?" for any other value. */
KEEL_PUBLIC const char *keel_wal_sync_name(enum keel_sync_method method);

struct keel_wal_options {
    uint32_t size;
    enum keel_sync_method sync;
    uint32_t inflight_max;    /* log writes in flight, 1 to 32; 0 = 4 */
    uint32_t batch_bytes_max; /* of one write, multiple of 4096, at most KEEL_IO_BYTES_MAX; 0 = 256
                                 KiB */
    uint32_t buffer_bytes;    /* log buffer, power of two, at least 2 batches; 0 = 4 MiB */
    uint32_t pipeline_bytes;  /* with a write in flight a further one starts once this much waits; 0
                                 = 64 KiB */
    struct keel_arena
        *arena; /* log buffers come from here (allocate before page frames); NULL = the log's own */
    enum keel_method method; /* of the log's own context */
    struct keel_sim *sim;    /* KEEL_METHOD_SIM */
    enum keel_want fixed;
    const uint8_t *
        uuid; /* create: 16 bytes instead of random ones, for runs that must repeat byte for byte */
    bool read_only;           /* open: repair nothing; keel_wal_start is refused (KEEL_EREADONLY) */
    uint64_t reserve_bytes;   /* of the ring, which only credits of the reserve may use: what the
                                 owner's checkpoint appends. Multiple of 4096, at most an eighth of
                                 the ring; 0: none */
    void (*space)(void *arg); /* called when a holder has moved or is gone, for who waits for log
                                 space; any thread, must not block. NULL: nobody */
    void *space_arg;
};
#define KEEL_WAL_OPTIONS_DEFAULT                \
    {                                           \
        .size = sizeof(struct keel_wal_options) \
    }

/* Smallest ring: 4 segments of 64 KiB. The ring is the device less superblock copies at its ends.
 */
#define KEEL_WAL_BYTES_MIN (4u * 65536u + 4u * 4096u)

/* Format a device (its contents are void afterwards): uuid, geometry, four superblock copies, first
 * epoch. Blocks. KEEL_EOPTION (too small), KEEL_ENOSPACE, -errno. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_wal_create(struct keel_ctx *ctx, struct keel_device *device,
                                                const struct keel_wal_options *options,
                                                uint8_t ret_uuid[16]);

/* How a log was found. */
struct keel_wal_report {
    uint8_t uuid[16];                                  /* of this log, as keel_wal_create gave it */
    keel_lsn redo_lsn;                                 /* scan began here */
    keel_lsn end_lsn;                                  /* X: the log ends here */
    keel_lsn promise_lsn;                              /* largest promise seen */
    keel_lsn last_group_lsn;                           /* end of the last whole group */
    uint64_t blocks_scanned, blocks_void, blocks_torn; /* torn: non-void valid blocks beyond X */
    uint32_t epoch;                                    /* of the last writer */
    bool clean;                                        /* closed in order */
    char verdict;                                      /* row letter of wal/recovery_cases.c */
};

/*
 * Open a log: flush the device, read and repair the superblocks, find the end X by the recovery
 * rules. Nothing may be appended yet. device: borrowed until close. info: what is damaged and
 * where, may be NULL. Blocks. Errors: KEEL_EFORMAT, KEEL_EVERSION, KEEL_ESUPER, KEEL_ECORRUPT
 * (damage below a promise: refused, nothing is changed), KEEL_EREAD, KEEL_EOPTION, -errno.
 */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_wal_open(struct keel_ctx *ctx, struct keel_device *device,
                                              const struct keel_wal_options *options,
                                              struct keel_err_info *info, struct keel_wal **ret);
KEEL_PUBLIC const struct keel_wal_report *keel_wal_report(const struct keel_wal *wal);

/* One record as replay gives it. */
struct keel_wal_entry {
    keel_lsn lsn;       /* of the record */
    keel_lsn group_lsn; /* of the first record of its group */
    keel_lsn end_lsn;   /* of the group: what keel_wal_append returned as end */
    const void *data;   /* lent for the call */
    uint32_t len;
    uint8_t type; /* the caller's */
    bool last;    /* of its group */
};
/* Give each record of each whole group between the redo LSN (or from, if higher) and X to each(),
 * in order. Stops at a non-zero return of each() and returns it. Between open and start. Blocks.
 * KEEL_EREAD. */
KEEL_PUBLIC KEEL_MUST_CHECK int
keel_wal_replay(struct keel_ctx *ctx, struct keel_wal *wal, keel_lsn from,
                int (*each)(void *arg, const struct keel_wal_entry *entry), void *arg);

/* ---------------------------------------------------------------- readers */

/*
 * A reader gives the records of the log in order, from an LSN up to what was durable when it was
 * opened: of a log in use (after start), or offline (opened with read_only, or before start: then
 * up to X). Groups come whole or not at all. Any number of them; each is used by one thread at a
 * time, that of ctx. It checks what recovery checks (blocks, chain, each record's own checksum),
 * and reads ahead through ctx with up to 2 MiB of its own.
 */
struct keel_wal_reader;

/*
 * from: LSN of a record, end of a group, or 0: the redo LSN. A record in the middle of its group is
 * taken for the first. info: what is wrong and where, may be NULL. wal and ctx: borrowed until
 * close. Blocks. Errors: KEEL_EGONE (below what is kept; info->want: kept is from there on),
 * KEEL_ERANGE (above what is durable; info->got), KEEL_ELSN (within a record), KEEL_ECORRUPT,
 * KEEL_EREAD, KEEL_EFULL, -ENOMEM.
 */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_wal_reader_open(struct keel_ctx *ctx, struct keel_wal *wal,
                                                     keel_lsn from, struct keel_err_info *info,
                                                     struct keel_wal_reader **ret);
/*
 * The next record: 1 and *ret (ret->data: lent until the next call, in place where the record lies
 * in one block), 0 at the end. Blocks. Errors, which are final: KEEL_EGONE (nothing held the log,
 * and its space was used again), KEEL_ECORRUPT, KEEL_EREAD; keel_wal_reader_info says which LSN and
 * what was found there. KEEL_EFULL: poll ctx, then try again.
 */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_wal_reader_next(struct keel_wal_reader *reader,
                                                     struct keel_wal_entry *ret);
/*
 * Following a log in use: after keel_wal_reader_next has returned 0, wait until more is durable
 * than the reader has seen, and let it go on. 1: there is more, though perhaps no whole group yet.
 *   timeout_ns != 0  blocks so long (-1: as long as it takes), driving the log's context (I6)
 *   timeout_ns 0     for event loops, in the thread of ctx: KEEL_PENDING, and when there is more,
 *                    keel_ctx_poll of ctx returns and its keel_ctx_fd is readable; then call it
 * again Whoever follows should hold the log (keel_wal_hold) and move the holder along; without one,
 * a reader that is too slow gets KEEL_EGONE. KEEL_PENDING: the time is up; KEEL_EPOISON: all that
 * was durable is read, and no more will be; KEEL_EBUSY: nothing will come (the log is not started;
 * in a simulation, nobody else is there); or the reader's own final error.
 */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_wal_reader_wait(struct keel_wal_reader *reader,
                                                     int64_t timeout_ns);
/* More about the last error. Lent until close. */
KEEL_PUBLIC const struct keel_err_info *keel_wal_reader_info(const struct keel_wal_reader *reader);
/* Waits for reads under way. Before the log or ctx is closed. In the thread of ctx. */
KEEL_PUBLIC void keel_wal_reader_close(struct keel_wal_reader *reader);

/* Make the new epoch durable, settle the sync method (measured, once per device, with a few
 * writes between X and the new epoch, which nobody owns), then allow appends, from X + K on.
 * Blocks. KEEL_EREADONLY; KEEL_EFULL: 128 epochs wrote since the redo LSN, keel_wal_truncate first
 * (allowed before start, up to X); anything else poisons. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_wal_start(struct keel_ctx *ctx, struct keel_wal *wal);

/* Drain, and when all is durable mark the log clean; then free. Returns what closing met (poison,
 * -errno); wal is gone in any case. The caller has no asynchronous commit outstanding. */
KEEL_PUBLIC int keel_wal_close(struct keel_ctx *ctx, struct keel_wal *wal);

/* ---------------------------------------------------------------- append */

#define KEEL_WAL_RECORD_MAX    (1u << 20) /* payload of one record */
#define KEEL_WAL_RECORD_HEADER 16u        /* and each record is padded to 8 bytes */

struct keel_wal_record {
    const struct iovec *parts; /* payload */
    uint32_t part_count;
    uint8_t type; /* the caller's, 1 to 255 */
};

/* Log space that append may use. A credit is taken where waiting is allowed (before pages are
 * latched), and covers the worst case of blocks, headers and padding, so append itself never runs
 * out. */
struct keel_wal_credit {
    bool of_reserve; /* for records without which the log cannot be truncated: may also use
                        reserve_bytes */
    uint64_t bytes_private;
    uint64_t used_private; /* given back by the next take or put */
};
/* Bytes of credit that `payload` bytes in `records` records can need. */
KEEL_PUBLIC uint64_t keel_wal_credit_bytes(uint64_t payload, uint32_t records);
/* Take or extend a credit, and give back what appends have used of it; never waits. KEEL_ELOGFULL:
 * truncate the log first, or wait for a holder that is at its cap (keel_wal_stats says who);
 * KEEL_EPOISON. Any thread. */
KEEL_PUBLIC KEEL_MUST_CHECK int
keel_wal_credit_take(struct keel_wal *wal, struct keel_wal_credit *credit, uint64_t bytes);
KEEL_PUBLIC void keel_wal_credit_put(struct keel_wal *wal, struct keel_wal_credit *credit);

/* The current cut number: changes with each keel_wal_cut. */
KEEL_PUBLIC uint32_t keel_wal_mark(const struct keel_wal *wal);

/*
 * Append one group: reserve, copy, publish. Any thread, many at once. Never waits but for buffer
 * room (by driving the log). mark: the cut number under which the group was made; if it has
 * changed, nothing is appended and KEEL_ESTALE is returned (make the group again). *ret_lsn: of the
 * first record; *ret_end: end of the group, to commit. The group is not submitted yet. On success
 * the credit is used up to what the group took, the rest stays. Errors: KEEL_ESTALE, KEEL_ELOGFULL
 * (credit too small: nothing appended), KEEL_EPOISON, KEEL_ERANGE, KEEL_EFULL (no room in the log
 * buffer, and this is a callback, where driving is not allowed).
 */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_wal_append(struct keel_wal *wal,
                                                struct keel_wal_credit *credit, uint32_t mark,
                                                const struct keel_wal_record *records,
                                                uint32_t count, keel_lsn *ret_lsn,
                                                keel_lsn *ret_end);

/* Block until everything below `lsn` is durable, driving the log. Any thread, not inside a
 * callback. KEEL_EPOISON (also for what had become durable before: once poisoned, a log
 * acknowledges nothing); KEEL_ERANGE: above the tail. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_wal_commit(struct keel_wal *wal, keel_lsn lsn);

/*
 * What a commit waits for. What each outlives (docs/design/durability.md):
 *
 *            the process is killed   the machine loses power, or its kernel crashes
 *   DURABLE  yes                     yes
 *   WRITTEN  yes                     not for certain: the device may have it in a volatile cache
 *   NONE     not for certain         not for certain
 *
 * Whatever the levels, what recovery finds is a prefix of the log: nothing is lost while something
 * above it is kept.
 */
enum keel_level {
    KEEL_LEVEL_DURABLE = 0, /* written and synced */
    KEEL_LEVEL_WRITTEN,     /* the device has taken it, nothing was synced for it */
    KEEL_LEVEL_NONE,        /* it is in the log buffer */
};
/* "durable", "written", "none"; "?" for any other value. */
KEEL_PUBLIC const char *keel_level_name(enum keel_level level);

/* As keel_wal_commit, but waits for what the level says. Many commits that are WRITTEN share a
 * sync: there is one when a DURABLE one asks for it, and when the bytes that may be in flight are
 * used up. KEEL_EPOISON at each level; KEEL_ERANGE; KEEL_EOPTION: no such level. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_wal_commit_level(struct keel_wal *wal, keel_lsn lsn,
                                                      enum keel_level level);

/* An asynchronous commit: done runs in ctx's keel_ctx_poll when everything below lsn is what level
 * says (res 0) or will never be (res KEEL_EPOISON); in LSN order for one ctx, so behind earlier
 * commits of a higher level. */
struct keel_commit {
    keel_lsn lsn;
    void (*done)(struct keel_commit *commit);
    void *user;
    int32_t res;
    enum keel_level level;
    struct keel_commit *next_private;
};
/* commit: borrowed until done. Owner thread of ctx. Starts a log write if none is in flight. lsn
 * must not be below that of an earlier outstanding commit of the same ctx, nor above the tail
 * (KEEL_ERANGE). KEEL_EOPTION: no such level. KEEL_EFULL: 128 other contexts have commits
 * outstanding. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_wal_commit_async(struct keel_ctx *ctx, struct keel_wal *wal,
                                                      struct keel_commit *commit);
/* Start writing what is appended, if a write may start, and take in what is complete; never waits.
 * Any thread. */
KEEL_PUBLIC void keel_wal_kick(struct keel_wal *wal);

/* When the log is idle and the promise of its last block does not cover that block: write an empty
 * block that does (4 KiB of log), so that damage to the last batch cannot pass for a torn tail.
 * Never waits; for the host's idle time. */
KEEL_PUBLIC void keel_wal_promise(struct keel_wal *wal);

/* Everything below is durable; never goes back (W2). / Is written, at or above that. / Is reserved.
 */
KEEL_PUBLIC keel_lsn keel_wal_durable(const struct keel_wal *wal);
KEEL_PUBLIC keel_lsn keel_wal_written(const struct keel_wal *wal);
KEEL_PUBLIC keel_lsn keel_wal_tail(const struct keel_wal *wal);
/* 0, or the first error for good. */
KEEL_PUBLIC int keel_wal_poisoned(const struct keel_wal *wal);
/* Poison it from above (a page write failed): later commits get KEEL_EPOISON, first wins. */
KEEL_PUBLIC void keel_wal_poison(struct keel_wal *wal, int error);

/* ---------------------------------------------------------------- checkpoint */

/* Begin a new cut: the mark changes and *ret is an LSN such that every group appended with the old
 * mark ends at or below it and every group with the new mark begins at or above it. One atomic
 * step. */
KEEL_PUBLIC keel_lsn keel_wal_cut(struct keel_wal *wal);
/* The log below lsn is no longer needed (lsn from keel_wal_cut, at most durable): durable in the
 * superblock first, then its space is given to appenders. Blocks. KEEL_ERANGE, KEEL_EPOISON (and
 * poisons) on failure. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_wal_truncate(struct keel_ctx *ctx, struct keel_wal *wal,
                                                  keel_lsn lsn);

/* ---------------------------------------------------------------- holders */

/*
 * A holder keeps the log from its LSN on from being used again (W5), also behind the redo LSN: for
 * a reader, a follower, an archiver. It is not written to the device: who needs the log over a
 * restart passes its LSN again between keel_wal_open and keel_wal_start, before anything is used
 * again. What an earlier run left behind the redo LSN is there as far as the ring was not used
 * again.
 */
struct keel_wal_holder;
#define KEEL_WAL_HOLDERS_MAX 16u
#define KEEL_WAL_HOLDER_NAME 32u /* bytes, with the zero */

/* What happens when the log's end would get more than the cap ahead of a holder. */
enum keel_wal_beyond {
    KEEL_WAL_BREAK = 0, /* it holds nothing any more, and is told (KEEL_EGONE) */
    KEEL_WAL_WAIT,      /* appenders are refused (KEEL_ELOGFULL) until it moves: back-pressure */
};

struct keel_wal_hold_options {
    uint32_t size;
    const char *name;   /* letters, digits, '-', '_', '.'; one holder of a name at a time */
    keel_lsn lsn;       /* 0: the redo LSN */
    uint64_t cap_bytes; /* 0, or more than the ring: the ring */
    enum keel_wal_beyond beyond;
};
#define KEEL_WAL_HOLD_OPTIONS_DEFAULT                \
    {                                                \
        .size = sizeof(struct keel_wal_hold_options) \
    }

/* Hold the log from now on. Any thread. *ret: lent until keel_wal_hold_end or close. KEEL_EOPTION,
 * KEEL_EINUSE (the name), KEEL_EFULL, KEEL_EGONE (below what is kept), KEEL_ERANGE (above what is
 * durable). */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_wal_hold(struct keel_wal *wal,
                                              const struct keel_wal_hold_options *options,
                                              struct keel_wal_holder **ret);
/* What lies below lsn is no longer needed. Any thread. KEEL_EGONE: it was broken; KEEL_ERANGE:
 * back, or above what is durable. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_wal_hold_move(struct keel_wal_holder *holder, keel_lsn lsn);
KEEL_PUBLIC bool keel_wal_hold_broken(struct keel_wal_holder *holder);
/* Any thread; nobody uses holder afterwards. */
KEEL_PUBLIC void keel_wal_hold_end(struct keel_wal_holder *holder);

struct keel_wal_holder_stats {
    char name[KEEL_WAL_HOLDER_NAME];
    keel_lsn lsn;
    uint64_t cap_bytes, behind_bytes; /* behind the tail */
    enum keel_wal_beyond beyond;
    bool broken;
    uint64_t failures; /* of an archive's hook, ever */
    int error;         /* what its last call returned */
};

struct keel_wal_stats {
    keel_lsn redo_lsn, durable_lsn, tail_lsn;
    keel_lsn kept_lsn; /* everything from here on is there: needed by recovery or a holder */
    uint64_t ring_bytes, used_bytes, free_bytes; /* used: from kept to tail */
    uint64_t groups, records;                    /* sealed */
    uint64_t payload_bytes;                      /* of blocks: records with their headers */
    uint64_t padding_bytes, block_bytes;
    uint64_t writes, syncs, batches, commits; /* commits: waits that were answered, blocking (not if
                                                 durable at the call) and asynchronous */
    enum keel_sync_method sync;               /* in force */
    char sync_why[96];
    uint64_t sync_ns_p25[7]; /* lower quartile measured at start, per method, 0 = not measured */
    uint32_t holder_count;
    struct keel_wal_holder_stats holders[KEEL_WAL_HOLDERS_MAX];
};
KEEL_PUBLIC void keel_wal_stats(struct keel_wal *wal, struct keel_wal_stats *ret);
/* ---------------------------------------------------------------- archive, copy, size */

/* A part of the log: its groups end at or below next_lsn, where the next part begins; its last
 * block ends at end_lsn. Lent for the call of the hook. */
struct keel_wal_part {
    keel_lsn begin_lsn, end_lsn, next_lsn;
    struct keel_ctx *ctx_private;
    struct keel_wal *wal_private;
};

struct keel_wal_archive_options {
    uint32_t size;
    struct keel_wal_hold_options hold; /* from hold.lsn on; its cap is the archive's */
    uint64_t part_bytes; /* a part ends at a multiple of it: of 4096, at most half the ring; 0 = 16
                            MiB, or an eighth of the ring if that is less */
    /* Put the part away, durably: 0, then it is not needed here any more; else the log keeps it,
     * and the next run hands it over again. Runs in keel_wal_archive_run; must not close the log.
     */
    int (*save)(void *arg, const struct keel_wal_part *part);
    void *arg;
};
#define KEEL_WAL_ARCHIVE_OPTIONS_DEFAULT                                           \
    {                                                                              \
        .size = sizeof(struct keel_wal_archive_options),                           \
        .hold = {.size = sizeof(struct keel_wal_hold_options), .name = "archive"}, \
    }

struct keel_wal_archive;
/* Hold the log for an archive, which has everything below hold.lsn: next_lsn of its last part.
 * Before or after start. Errors of keel_wal_hold, KEEL_EOPTION, -ENOMEM. */
KEEL_PUBLIC KEEL_MUST_CHECK int
keel_wal_archive_open(struct keel_wal *wal, const struct keel_wal_archive_options *options,
                      struct keel_wal_archive **ret);
/* Hand over each part that is finished, or with `all` also the one that is not. Every record is
 * read and checked before. How many were put away; or what the hook returned, KEEL_EGONE (the
 * holder was broken), or an error of keel_wal_reader_next. Blocks; one thread at a time, that of
 * ctx. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_wal_archive_run(struct keel_ctx *ctx,
                                                     struct keel_wal_archive *archive, bool all);
/* Holds nothing any more. Before the log is closed. */
KEEL_PUBLIC void keel_wal_archive_close(struct keel_wal_archive *archive);
/* For the hook: write the part to a new file, durably: its blocks as they are, in a log of its own
 * that was closed in order (docs/format/wal.md), so that every reader of logs reads it. On failure
 * there is no file. -EEXIST, KEEL_ENOSPACE, KEEL_ECORRUPT, KEEL_EREAD, -errno. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_wal_part_write(const struct keel_wal_part *part,
                                                    const char *path, struct keel_err_info *info);

/*
 * A copy of the log, from its redo LSN to what is durable while this runs (*ret_end, which may be
 * NULL; at least what was durable at the call): a new file of `bytes` (0: the size of this one)
 * that recovers to exactly that. Of a log in use, beside its writers, which are held at most by log
 * space; or offline, as far as recovery found it. On failure there is no file. Blocks; one copy at
 * a time. KEEL_EINUSE (another copy), KEEL_ERANGE (does not fit into bytes: info->want),
 * KEEL_EOPTION, -EEXIST, KEEL_ENOSPACE, KEEL_ECORRUPT, KEEL_EREAD, -errno.
 */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_wal_copy(struct keel_ctx *ctx, struct keel_wal *wal,
                                              const char *path, uint64_t bytes,
                                              struct keel_err_info *info, keel_lsn *ret_end);

/*
 * Give the log in a file another size, smaller or larger; nobody has it open (KEEL_EINUSE). A copy
 * of that size, path with ".resize" behind it, is written beside it and takes its name: whenever
 * power fails, there is the old log or the new one, whole. Needs room for both. bytes: multiple of
 * 4096, from KEEL_WAL_BYTES_MIN. options: of keel_wal_open. Blocks. Errors of keel_wal_open and
 * keel_wal_copy; KEEL_ENOTSUP: not a file.
 */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_wal_resize(struct keel_ctx *ctx, const char *path,
                                                uint64_t bytes,
                                                const struct keel_wal_options *options,
                                                struct keel_err_info *info);

/* The context the log runs on (path, counters). Lent until close. */
KEEL_PUBLIC struct keel_ctx *keel_wal_ctx(struct keel_wal *wal);

#ifdef __cplusplus
}
#endif
#endif
