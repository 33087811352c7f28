/*
 * Reading the ring in LSN order: a few large reads ahead of whoever looks at the blocks.
 */
#ifndef KEEL_WAL_READER_H
#define KEEL_WAL_READER_H

#include "wal/log.h"

#define WAL_READS_MAX        8u
#define WAL_READ_BYTES_MAX   (256u * 1024u)
#define WAL_READER_BYTES_MAX (WAL_READS_MAX * WAL_READ_BYTES_MAX)

struct wal_read {
    struct keel_io io;
    keel_lsn lsn;
    uint32_t blocks;
};

struct wal_reader {
    struct keel_wal *wal;
    struct keel_ctx *ctx;
    keel_lsn ask_lsn; /* next to be asked for */
    keel_lsn end_lsn;
    uint32_t read_bytes;
    uint32_t read_count; /* that may be under way at once */
    uint32_t head, tail; /* under way: head <= n < tail, number n in reads[n % read_count] */
    uint32_t block;      /* next block of reads[head] */
    bool head_ready;
    keel_lsn failed_lsn; /* after KEEL_EREAD: the block that cannot be read */
    int failed_res;
    struct wal_read reads[WAL_READS_MAX];
};

/* Read from `from` up to `end` (both at block borders, at most a ring apart) into the log's buffer,
 * which nobody else uses before the log is started. */
void wal_reader_open(struct wal_reader *reader, struct keel_ctx *ctx, struct keel_wal *wal,
                     keel_lsn from, keel_lsn end);

/* The next block, lent until the next call. 1, 0 at the end, KEEL_EREAD, KEEL_EFULL. */
int wal_reader_next(struct wal_reader *reader, const uint8_t **ret_block, keel_lsn *ret_lsn);

/* Wait for what is under way; always call it. */
void wal_reader_close(struct wal_reader *reader);

#endif
