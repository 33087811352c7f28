/*
 * Replay: every record of every whole group between the redo LSN and X, in order, once. A reader
 * that begins at the redo LSN, in a loop.
 */
#include "wal/reader.h"

int keel_wal_replay(struct keel_ctx *ctx, struct keel_wal *wal, keel_lsn from,
                    int (*each)(void *arg, const struct keel_wal_entry *entry), void *arg)
{
    struct keel_wal_reader *reader;
    struct keel_wal_entry entry;

    KEEL_ASSERT(!wal->started);
    int rc = wal_reader_open_redo(ctx, wal, &reader);
    if (rc != 0)
        return rc;
    while ((rc = keel_wal_reader_next(reader, &entry)) > 0) {
        rc = entry.group_lsn < from ? 0 : each(arg, &entry);
        if (rc != 0)
            break;
    }
    keel_wal_reader_close(reader);
    return rc;
}
