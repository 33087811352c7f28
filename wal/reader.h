/*
 * The reader's insides, for replay: which is a reader that begins at the redo LSN, in the log's own
 * buffer.
 */
#ifndef KEEL_WAL_READER_H
#define KEEL_WAL_READER_H

#include "wal/readahead.h"
#include "wal/walk.h"

/* One thread at a time. */
struct keel_wal_reader {
    /* set at open, then constant */
    struct keel_wal *wal;
    struct wal_super super; /* whose epochs are all there will be until the log is opened again */
    keel_lsn from;          /* nothing below it is given */
    uint8_t *assembly;
    uint8_t *buffer; /* own, or NULL */

    struct wal_readahead ahead;
    struct wal_walk walk;
    keel_lsn end;       /* read up to here: a block border, everything below is durable */
    int owner;          /* epoch of the block at hand, -1 before the first */
    keel_lsn group_lsn; /* of the group at hand, 0 between groups */
    keel_lsn passed;    /* end of the last record seen that began below `from` */
    bool in_block;      /* there may be more in the block at hand */
    bool have;          /* walk.found was not given yet */
    int error;          /* sticky */

    /* waiting for more in an event loop (tail.c); owner thread, next_armed under tail_lock */
    struct keel_ctx *ctx;
    struct keel_poller poller;
    bool armed;
    struct keel_wal_reader *next_armed;

    struct keel_err_info info;
};

/* As keel_wal_reader_open, but at the redo LSN, wherever that lies, and before start. */
int wal_reader_open_redo(struct keel_ctx *ctx, struct keel_wal *wal, struct keel_wal_reader **ret);

#endif
