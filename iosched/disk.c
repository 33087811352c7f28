/*
 * What the kernel says of a disk in /sys, and what an NVMe disk says of itself when it is asked.
 *
 * What /sys does not tell is taken at its worst, so that nothing is skipped for want of knowledge.
 * Asking the disk needs rights that not every user has; then the kernel's word stands, which has
 * most of it from the same answers, and `identify` says why.
 */
#include "iosched/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "iosched/nvme_ident.h"

#define NSFEAT_ATOMIC  (1u << 1) /* the namespace has atomic units of its own */
#define NSFEAT_OPTIMAL (1u << 4) /* and preferred sizes */

/* ------------------------------------------------------------- what /sys knows */

/* First line of /sys/dev/block/MAJ:MIN/<name>; false when it is not to be had. */
static bool sysfs_line(const char *folder, const char *name, char *buf, size_t size)
{
    char path[128];

    int len = snprintf(path, sizeof(path), "%s%s", folder, name);
    if (len < 0 || (size_t)len >= sizeof(path))
        return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, buf, size - 1);
    close(fd);
    if (n < 0)
        return false;
    buf[n] = '\0';
    buf[strcspn(buf, "\n")] = '\0';
    return true;
}

static uint32_t sysfs_number(const char *folder, const char *name, uint32_t otherwise)
{
    char line[32];

    if (!sysfs_line(folder, name, line, sizeof(line)))
        return otherwise;
    return (uint32_t)strtoul(line, NULL, 10);
}

/* /sys/dev/block/M:m/ of the disk, also where major:minor is a partition of it. */
static void disk_folder(char *folder, size_t size, uint32_t major, uint32_t minor)
{
    char line[32];

    snprintf(folder, size, "/sys/dev/block/%u:%u/", major, minor);
    if (sysfs_line(folder, "partition", line, sizeof(line)))
        snprintf(folder, size, "/sys/dev/block/%u:%u/../", major, minor);
}

/* What the kernel made of the disk's answers, or what it knows of another kind of disk. */
static void writes_sysfs(struct keel_device_info *info, const char *folder)
{
    info->write_granularity = sysfs_number(folder, "queue/minimum_io_size", 0);
    info->write_optimal = sysfs_number(folder, "queue/optimal_io_size", 0);
    info->atomic_write_power = sysfs_number(folder, "queue/atomic_write_unit_max_bytes", 0);
    info->identify = KEEL_ENOTSUP;
}

void ios_disk_sysfs(struct keel_device_info *info, uint32_t major, uint32_t minor)
{
    char folder[96];
    char line[32];

    info->dev_major = major;
    info->dev_minor = minor;
    disk_folder(folder, sizeof(folder), major, minor);

    info->volatile_cache = true;
    if (sysfs_line(folder, "queue/write_cache", line, sizeof(line)))
        info->volatile_cache = strcmp(line, "write through") != 0;
    info->fua = sysfs_number(folder, "queue/fua", 0) != 0;
    info->io_poll = sysfs_number(folder, "queue/io_poll", 0) != 0;
    info->rotational = sysfs_number(folder, "queue/rotational", 0) != 0;
    info->logical_block = sysfs_number(folder, "queue/logical_block_size", 512);
    info->physical_block = sysfs_number(folder, "queue/physical_block_size", 512);
    info->max_transfer = sysfs_number(folder, "queue/max_sectors_kb", KEEL_IO_BYTES_MAX / 1024);
    info->max_transfer *= 1024;
    uint32_t segments = sysfs_number(folder, "queue/max_segments", UINT32_MAX / KEEL_BLOCK_BYTES);
    if (info->max_transfer / KEEL_BLOCK_BYTES > segments) /* memory need not be contiguous */
        info->max_transfer = segments * KEEL_BLOCK_BYTES;
    writes_sysfs(info, folder);
}

uint32_t ios_disk_passthrough_bytes(uint32_t major, uint32_t minor)
{
    char folder[96];

    snprintf(folder, sizeof(folder), "/sys/dev/block/%u:%u/", major, minor);
    uint32_t kib = sysfs_number(folder, "queue/max_hw_sectors_kb", KEEL_BLOCK_BYTES / 1024);
    uint32_t segments = sysfs_number(folder, "queue/max_segments", 1);
    uint32_t blocks = kib / (KEEL_BLOCK_BYTES / 1024) < segments
                          ? kib / (KEEL_BLOCK_BYTES / 1024)
                          : segments; /* memory need not be contiguous */
    blocks = blocks < KEEL_IO_BYTES_MAX / KEEL_BLOCK_BYTES ? blocks
                                                           : KEEL_IO_BYTES_MAX / KEEL_BLOCK_BYTES;
    return (blocks ? blocks : 1) * KEEL_BLOCK_BYTES;
}

uint32_t ios_disk_zeroes_bytes(uint32_t major, uint32_t minor)
{
    char folder[96];
    char line[32];

    snprintf(folder, sizeof(folder), "/sys/dev/block/%u:%u/", major, minor);
    if (!sysfs_line(folder, "queue/write_zeroes_max_bytes", line, sizeof(line)))
        return 0;
    uint64_t bytes = strtoull(line, NULL, 10) / KEEL_BLOCK_BYTES * KEEL_BLOCK_BYTES;
    return bytes < KEEL_RANGE_BYTES_MAX ? (uint32_t)bytes : KEEL_RANGE_BYTES_MAX;
}

/* Does block device major:minor have partitions? */
static bool has_partitions(uint32_t major, uint32_t minor)
{
    char path[64];
    char inside[400];
    const struct dirent *entry;
    bool found = false;

    snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major, minor);
    DIR *dir = opendir(path);
    if (!dir)
        return false;
    while (!found && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(inside, sizeof(inside), "%s/%s/partition", path, entry->d_name);
        found = access(inside, F_OK) == 0;
    }
    closedir(dir);
    return found;
}

int ios_disk_fit(uint32_t major, uint32_t minor, struct keel_err_info *info)
{
    char path[64];
    char line[32];

    if (has_partitions(major, minor)) {
        info->op = "partitioned";
        return KEEL_EPARTITIONED;
    }
    snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/", major, minor);
    if (sysfs_line(path, "queue/zoned", line, sizeof(line)) && strcmp(line, "none") != 0) {
        info->op = "zoned";
        return KEEL_EGEOMETRY;
    }
    return 0;
}

/* ------------------------------------------------------------- what the disk says */

void ios_disk_identified(struct keel_device_info *info, const struct keel_nvme_info *ident)
{
    uint32_t block = ident->block_bytes;
    bool own_units = (ident->nsfeat & NSFEAT_ATOMIC) != 0;

    info->identify = 0;
    info->mdts = ident->mdts_bytes;
    info->volatile_cache = info->volatile_cache || ident->cache;
    info->atomic_write = block * ((own_units ? ident->nawun : ident->awun) + 1u);
    info->atomic_write_power = block * ((own_units ? ident->nawupf : ident->awupf) + 1u);
    info->write_granularity = 0;
    info->write_align = 0;
    info->write_optimal = 0;
    if (!(ident->nsfeat & NSFEAT_OPTIMAL))
        return;
    info->write_granularity = block * (ident->npwg + 1u);
    info->write_align = block * (ident->npwa + 1u);
    info->write_optimal = block * (ident->nows + 1u);
}

void ios_disk_identify(struct keel_device_info *info, int fd)
{
    struct keel_nvme_info ident;
    char folder[96];

    disk_folder(folder, sizeof(folder), info->dev_major, info->dev_minor);
    uint32_t nsid = sysfs_number(folder, "nsid", 0);
    if (nsid == 0)
        return;
    info->identify = ios_nvme_ident_short(fd, nsid, &ident);
    if (info->identify == 0)
        ios_disk_identified(info, &ident);
}
