/*
 * Reads /sys/dev/block. Counts come from the `stat` file: fields 1 (reads), 5 (writes), 7 (sectors
 * written, of 512 bytes) of the partition, and 16 (flushes, since Linux 5.5) of the whole disk,
 * because the kernel books flushes there and not to partitions.
 */
#include "tools/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/assert.h"

/* No stdio here: this is called while allocations are counted. */
static bool read_text(const char *path, char *buf, size_t size)
{
    buf[0] = '\0';
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t len = read(fd, buf, size - 1);
    close(fd);
    if (len < 0)
        return false;
    while (len > 0 && (buf[len - 1] == '\n' || buf[len - 1] == ' '))
        len--;
    buf[len] = '\0';
    return true;
}

const char *disk_queue_attr(const struct disk *disk, const char *name, char *buf, int size)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/queue/%s", disk->whole, name);
    read_text(path, buf, (size_t)size);
    return buf;
}

static enum disk_known attr_flag(const struct disk *disk, const char *name, const char *yes)
{
    char buf[64];
    disk_queue_attr(disk, name, buf, sizeof(buf));
    if (!buf[0])
        return DISK_UNKNOWN;
    return strcmp(buf, yes) == 0 ? DISK_YES : DISK_NO;
}

/* The scheduler in force is the one in brackets. */
static void fill_scheduler(struct disk *disk)
{
    char buf[128];
    disk_queue_attr(disk, "scheduler", buf, sizeof(buf));
    const char *open = strchr(buf, '[');
    const char *close = open ? strchr(open, ']') : NULL;
    if (close)
        snprintf(disk->scheduler, sizeof(disk->scheduler), "%.*s", (int)(close - open - 1),
                 open + 1);
}

static void fill_names(struct disk *disk)
{
    char path[PATH_MAX], real[PATH_MAX];
    snprintf(path, sizeof(path), "%s/partition", disk->part);
    bool partition = access(path, F_OK) == 0;
    snprintf(disk->whole, sizeof(disk->whole), "%s%s", disk->part, partition ? "/.." : "");
    if (realpath(disk->whole, real)) {
        const char *slash = strrchr(real, '/');
        snprintf(disk->name, sizeof(disk->name), "%.63s", slash ? slash + 1 : real);
        if (partition)
            snprintf(disk->whole, sizeof(disk->whole), "%.135s", real);
    }
    snprintf(path, sizeof(path), "%s/device/model", disk->whole);
    read_text(path, disk->model, sizeof(disk->model));
}

void disk_find_number(unsigned major, unsigned minor, struct disk *ret)
{
    *ret = (struct disk){.major = major,
                         .minor = minor,
                         .volatile_cache = DISK_UNKNOWN,
                         .fua = DISK_UNKNOWN,
                         .io_poll = DISK_UNKNOWN,
                         .rotational = DISK_UNKNOWN};
    snprintf(ret->part, sizeof(ret->part), "/sys/dev/block/%u:%u", ret->major, ret->minor);
    ret->found = access(ret->part, F_OK) == 0;
    if (!ret->found)
        return;

    fill_names(ret);
    fill_scheduler(ret);
    ret->volatile_cache = attr_flag(ret, "write_cache", "write back");
    ret->fua = attr_flag(ret, "fua", "1");
    ret->io_poll = attr_flag(ret, "io_poll", "1");
    ret->rotational = attr_flag(ret, "rotational", "1");
}

int disk_find(const char *path, struct disk *ret)
{
    struct stat st;

    if (stat(path, &st)) {
        int error = errno;
        disk_find_number(0, 0, ret);
        return -error;
    }
    dev_t dev = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
    disk_find_number(major(dev), minor(dev), ret);
    return 0;
}

/* Field numbers count from 1. Returns false when the line has fewer. */
static bool stat_field(const char *line, int field, uint64_t *ret)
{
    for (int i = 1;; i++) {
        while (*line == ' ')
            line++;
        if (!*line)
            return false;
        if (i == field) {
            *ret = strtoull(line, NULL, 10);
            return true;
        }
        while (*line && *line != ' ')
            line++;
    }
}

void disk_counts(const struct disk *disk, struct disk_counts *ret)
{
    char path[256], part[512], whole[512];
    uint64_t sectors = 0;
    *ret = (struct disk_counts){.known = false};
    if (!disk->found)
        return;
    snprintf(path, sizeof(path), "%s/stat", disk->part);
    if (!read_text(path, part, sizeof(part)))
        return;
    snprintf(path, sizeof(path), "%s/stat", disk->whole);
    if (!read_text(path, whole, sizeof(whole)))
        return;
    ret->known = stat_field(part, 1, &ret->reads) && stat_field(part, 5, &ret->writes) &&
                 stat_field(part, 7, &sectors) && stat_field(whole, 16, &ret->flushes);
    ret->write_bytes = sectors * 512;
}

static json_t *known_json(enum disk_known known)
{
    return known == DISK_UNKNOWN ? json_null() : json_boolean(known == DISK_YES);
}

json_t *disk_json(const struct disk *disk)
{
    if (!disk->found)
        return json_null();
    return json_pack("{s:s,s:s*,s:i,s:i,s:o,s:o,s:o,s:o,s:s}", "name", disk->name, "model",
                     disk->model[0] ? disk->model : NULL, "major", (int)disk->major, "minor",
                     (int)disk->minor, "volatile_cache", known_json(disk->volatile_cache), "fua",
                     known_json(disk->fua), "io_poll", known_json(disk->io_poll), "rotational",
                     known_json(disk->rotational), "scheduler", disk->scheduler);
}
