/*
 * A log, opened to be looked at: shared lock, nothing repaired, nothing written. Works below
 * keel_wal_open, so that damage can be walked around instead of being refused.
 */
#ifndef KEEL_TOOLS_WAL_FILE_H
#define KEEL_TOOLS_WAL_FILE_H

#include <keel/wal.h>

#include "wal/block.h"

struct wal_file {
    char path[512];          /* of the log itself */
    bool of_store;           /* it is a store's: its records are the engine's */
    enum keel_method method; /* of ctx, and of whoever else opens the log */
    struct keel_ctx *ctx;
    struct keel_device *device; /* the log */
    struct keel_device *whole; /* that it is a part of, where a store lies on one device; or NULL */
    struct wal_super super;
    struct wal_seed seed;
    uint64_t generation;   /* of the superblock */
    unsigned copies_valid; /* 1: the only one left; else 2, which says two or more */
    void *cell;            /* one block, for the superblock */

    /* the window of blocks that was read last */
    uint8_t *window;
    uint64_t window_offset, window_bytes;
};

/* path: a log, the folder of a store, or a device with a store on it. Blocks. On failure nothing
 * stays open. Errors: KEEL_ENOTFOUND, KEEL_EACCESS, KEEL_EINUSE, KEEL_EFORMAT, KEEL_EVERSION,
 * KEEL_ESUPER, KEEL_EREAD, -errno. */
int wal_file_open(struct wal_file *file, const char *path, struct keel_err_info *info);
/* The same, but one valid copy of the superblock is enough. */
int wal_file_open_damaged(struct wal_file *file, const char *path, struct keel_err_info *info);
void wal_file_close(struct wal_file *file);

/* What lies in the place of the block with this LSN: lent until the next call. KEEL_EREAD: this
 * very block cannot be read, others may. Blocks. */
int wal_file_block(struct wal_file *file, keel_lsn lsn, const uint8_t **ret);

#endif
