/*
 * Reading the ring in LSN order: a few large reads ahead of whoever looks at the blocks.
 */
#ifndef KEEL_WAL_READAHEAD_H
#define KEEL_WAL_READAHEAD_H

#include "wal/log.h"

#define WAL_READS_MAX           8u
#define WAL_READ_BYTES_MAX      (256u * 1024u)
#define WAL_READAHEAD_BYTES_MAX (WAL_READS_MAX * WAL_READ_BYTES_MAX)

struct wal_read {
    struct keel_io io;
    keel_lsn lsn;
    uint32_t blocks;
};

struct wal_readahead {
    /* set by begin, then constant */
    struct keel_wal *wal;
    struct keel_ctx *ctx;
    uint8_t *buffer;
    struct keel_arena *arena; /* that buffer lies in, or NULL */
    uint32_t read_bytes;
    uint32_t read_count; /* that may be under way at once */

    keel_lsn ask_lsn;    /* next to be asked for */
    uint32_t head, tail; /* under way: head <= n < tail, number n in reads[n % read_count] */
    uint32_t block;      /* next block of reads[head] */
    bool head_ready;
    keel_lsn failed_lsn; /* after KEEL_EREAD: the block that cannot be read */
    int failed_res;
    struct wal_read reads[WAL_READS_MAX];
};

/* Read from `from`, a block border, on. buffer: bytes of it, 4 KiB aligned, borrowed until end. */
void wal_readahead_begin_in(struct wal_readahead *ahead, struct keel_ctx *ctx, struct keel_wal *wal,
                            keel_lsn from, uint8_t *buffer, uint64_t bytes);
/* The same, in the log's own buffer, which nobody else uses before the log is started. */
void wal_readahead_begin(struct wal_readahead *ahead, struct keel_ctx *ctx, struct keel_wal *wal,
                         keel_lsn from);

/* The next block below `end` (a block border that may grow from call to call, at most a ring beyond
 * `from`), lent until the next call. 1, 0 at the end, KEEL_EREAD, KEEL_EFULL. */
int wal_readahead_next(struct wal_readahead *ahead, keel_lsn end, const uint8_t **ret_block,
                       keel_lsn *ret_lsn);

/* Wait for what is under way; always call it. */
void wal_readahead_end(struct wal_readahead *ahead);

#endif
