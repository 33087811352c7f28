/*
 * The log's superblock: what it says, and its four copies on the device.
 *
 * The list of epochs says who may have written which LSN: epoch i owns what lies from its first LSN
 * up to where its successor says that it ended; what lies between belongs to nobody. A block of an
 * epoch that does not own its LSN is void.
 */
#ifndef KEEL_WAL_SUPER_H
#define KEEL_WAL_SUPER_H

#include <stdbool.h>
#include <stdint.h>

#include "keel/iosched.h"
#include "wal/wal_format.h"

struct wal_epoch {
    uint32_t number;
    keel_lsn first;
    keel_lsn prev_end; /* of the epoch before it */
};

/* What the sync method was found to be, and on which device. method 0: not measured. */
struct wal_choice {
    uint32_t method; /* enum keel_sync_method */
    bool write_inline;
    uint32_t device;
};

struct wal_super {
    uint8_t uuid[WAL_UUID_BYTES];
    uint64_t ring_bytes;
    uint64_t inflight_bytes; /* K */
    keel_lsn redo_lsn;
    keel_lsn promise_lsn;
    keel_lsn end_lsn; /* 0 unless clean */
    bool clean;
    struct wal_choice choice;
    uint32_t epoch_count;
    struct wal_epoch epochs[WAL_EPOCHS_MAX];
};

/* Index of the epoch that owns this LSN, or -1. */
int wal_super_owner(const struct wal_super *super, keel_lsn lsn);

/* Where epoch `index` ends: KEEL_LSN_MAX for the last one. */
keel_lsn wal_super_epoch_end(const struct wal_super *super, uint32_t index);

/* Drop the epochs of which nothing from lsn on is. */
void wal_super_trim(struct wal_super *super, keel_lsn lsn);

/* Let a new epoch begin at `first`, the last one having ended at end. wrote: the last one has valid
 * blocks; if not it is replaced, so that the list does not grow by starts alone. KEEL_EFULL. */
int wal_super_add_epoch(struct wal_super *super, bool wrote, keel_lsn end, keel_lsn first);

/* Bytes of the payload; buf has room for WAL_SUPER_MAX. */
uint32_t wal_super_encode(const struct wal_super *super, uint8_t *buf);

/* Versions 1 and 2, which their lengths tell apart. KEEL_ESUPER when it says what keel never
 * writes.
 */
int wal_super_decode(struct wal_super *super, const uint8_t *buf, uint32_t len);

/* The cell of a log on this device. block: one 4 KiB buffer, borrowed for as long as quad is used.
 */
void wal_super_cell(struct keel_quad *quad, struct keel_device *device, struct keel_arena *arena,
                    void *block);

#endif
