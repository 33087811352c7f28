/*
 * The disk below a path, as /sys/dev/block shows it: what it is, and how much it has done. Reads
 * only; what cannot be read is said to be unknown. Values are those of the partition where the
 * kernel keeps them per partition, else of the whole disk.
 */
#ifndef KEEL_TOOLS_DISK_H
#define KEEL_TOOLS_DISK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum disk_known { DISK_UNKNOWN = -1, DISK_NO = 0, DISK_YES = 1 };

struct disk {
    bool found; /* false: no block device below (tmpfs, overlay, network); nothing else is valid */
    unsigned major, minor; /* of the partition or disk */
    char part[128];        /* /sys/dev/block/M:m */
    char whole[136];       /* that, or the disk it is a partition of */
    char name[64];         /* of the whole disk: "nvme0n1" */
    char model[64];
    enum disk_known volatile_cache, fua, io_poll, rotational;
    char scheduler[64];
};

/* path: file, folder or block device. Returns 0 or a negative errno (path cannot be looked at). */
int disk_find(const char *path, struct disk *ret);
/* The same of a block device by its number. */
void disk_find_number(unsigned major, unsigned minor, struct disk *ret);

/* Counts since the machine started. */
struct disk_counts {
    bool known;
    uint64_t reads, writes, write_bytes, flushes;
};
void disk_counts(const struct disk *disk, struct disk_counts *ret);

/* Text of one attribute of the disk's queue, "" when it is not there. Returns buf. */
const char *disk_queue_attr(const struct disk *disk, const char *name, char *buf, int size);

json_t *disk_json(const struct disk *disk);

#endif
