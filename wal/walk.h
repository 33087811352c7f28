/*
 * From blocks to records: follows the chain of records through consecutive blocks of one epoch.
 */
#ifndef KEEL_WAL_WALK_H
#define KEEL_WAL_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "wal/block.h"

/* Room for the longest record that crosses a block's edge. */
#define WAL_WALK_ASSEMBLY (KEEL_WAL_RECORD_MAX + WAL_RECORD_ALIGN)

/* A record that was walked over. */
struct wal_found {
    keel_lsn lsn;
    keel_lsn end_lsn;       /* of the record */
    keel_lsn group_end_lsn; /* as its header says */
    const uint8_t *data;    /* NULL without assembly */
    uint8_t header[WAL_RECORD_HEADER];
    uint32_t len;
    uint8_t type;
    bool last;
};

struct wal_walk {
    keel_lsn
        base_lsn; /* any block's beginning at or below the first block: positions count from it */
    uint8_t *assembly;   /* WAL_WALK_ASSEMBLY bytes, or NULL: structure only */
    bool in_step;        /* a record's beginning was seen */
    bool in_group;       /* the record before was not the last of its group */
    uint32_t group_left; /* of that group */
    uint32_t filled;     /* bytes of this record's header and body so far */
    uint32_t body;       /* payload and padding */
    struct wal_found found;

    /* the block at hand */
    const uint8_t *block;
    struct wal_block_head head;
    uint32_t at;    /* payload bytes walked */
    uint32_t first; /* where the first record began, WAL_FIRST_NONE */
};

/* Begin at base_lsn, a block border: the first block of an epoch (whole), or anywhere. */
void wal_walk_begin(struct wal_walk *walk, keel_lsn base_lsn, uint8_t *assembly, bool whole);

/* Go on with a valid block, the one behind the last one; block: borrowed until it is walked. */
void wal_walk_block(struct wal_walk *walk, const uint8_t *block, const struct wal_block_head *head);

/* 1: walk->found is the next record that ends in the block; its data is lent until the next call.
 * 0: there is no further one. KEEL_ECORRUPT: the records do not fit together; walk->found.lsn says
 * where. */
int wal_walk_next(struct wal_walk *walk);

#endif
