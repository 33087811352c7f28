/*
 * The log of a disk's writes, as dm-log-writes and QEMU's blklogwrites keep it (one format): a
 * superblock, then for each command a header sector and its data.
 *
 * A recorder that was killed leaves a count in the superblock that lags; entries are read up to the
 * first header that is all zero, or the end of the file.
 */
#ifndef KEEL_TOOLS_CRASH_WRITE_LOG_H
#define KEEL_TOOLS_CRASH_WRITE_LOG_H

#include <stddef.h>
#include <stdint.h>

#define WRITE_LOG_FLUSH   1u
#define WRITE_LOG_FUA     2u
#define WRITE_LOG_DISCARD 4u
#define WRITE_LOG_MARK    8u

struct write_entry {
    uint64_t offset, len_bytes; /* on the disk */
    uint64_t flags;
    const uint8_t *data; /* len_bytes; with MARK data_bytes of text; NULL with DISCARD */
    uint64_t data_bytes;
};

struct write_log {
    const uint8_t *map;
    size_t map_bytes;
    struct write_entry *entry;
    uint32_t count;
    uint64_t disk_bytes; /* end of the highest entry */
};

/* Read path. ret: lends the entries until write_log_close. -errno, or KEEL_EFORMAT when it is no
 * such log, KEEL_EVERSION. */
int write_log_open(const char *path, struct write_log *ret);
void write_log_close(struct write_log *log);

#endif
