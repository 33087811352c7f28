/*
 * A stretch of a log, written as a log of its own.
 */
#ifndef KEEL_WAL_COPY_H
#define KEEL_WAL_COPY_H

#include "wal/log.h"

/* What is to be copied: from an LSN (the copy's redo LSN) up to a block border, all of it durable.
 */
struct wal_stretch {
    keel_lsn from, to;
    uint64_t ring_bytes; /* of the copy */
};

/* Where a stretch that would end at `to` can end: not in the gap between two epochs. */
keel_lsn wal_stretch_end(const struct wal_super *super, keel_lsn to);

/* Create path and write the stretch there, whole and durable, or leave nothing. The caller sees to
 * it that it is kept meanwhile. info may be NULL. Blocks. */
int wal_copy_stretch(struct keel_ctx *ctx, struct keel_wal *wal, const struct wal_stretch *stretch,
                     const char *path, struct keel_err_info *info);

#endif
