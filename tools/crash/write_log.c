/*
 * Reading the log of a disk's writes: the file is mapped, the entries point into it.
 */
#include "tools/crash/write_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <keel/error.h>

#include "base/endian.h"

#define MAGIC      0x6a736677736872ull
#define VERSION    1u
#define HEAD_BYTES 32u /* sector, sectors, flags, data_len */

/* Decode the entry at *at and move *at behind it. False: here the log ends. */
static bool read_entry(const struct write_log *log, uint64_t sector_bytes, uint64_t *at,
                       struct write_entry *ret)
{
    if (log->map_bytes - *at < sector_bytes)
        return false;

    const uint8_t *head = log->map + *at;
    uint64_t sector = load_le64(head), sectors = load_le64(head + 8);
    uint64_t flags = load_le64(head + 16), data = load_le64(head + 24);
    uint64_t room = log->map_bytes - *at - sector_bytes;
    if (sectors == 0 && flags == 0)
        return false;
    if (sector > (UINT64_MAX >> 1) / sector_bytes || sectors > (UINT64_MAX >> 1) / sector_bytes)
        return false;

    *ret = (struct write_entry){
        .offset = sector * sector_bytes, .len_bytes = sectors * sector_bytes, .flags = flags};
    *at += sector_bytes;
    if (flags & WRITE_LOG_MARK) {
        ret->data = head + HEAD_BYTES;
        ret->data_bytes = data < sector_bytes - HEAD_BYTES ? data : sector_bytes - HEAD_BYTES;
        return true;
    }
    if (flags & WRITE_LOG_DISCARD)
        return true;
    if (ret->len_bytes > room)
        return false; /* the recorder died while it wrote this one */
    ret->data = head + sector_bytes;
    *at += ret->len_bytes;
    return true;
}

static int read_entries(struct write_log *log)
{
    if (log->map_bytes < HEAD_BYTES || load_le64(log->map) != MAGIC)
        return KEEL_EFORMAT;
    if (load_le64(log->map + 8) != VERSION)
        return KEEL_EVERSION;

    uint64_t sector_bytes = load_le32(log->map + 24);
    if (sector_bytes < 512 || sector_bytes > 65536 || sector_bytes % 512)
        return KEEL_EFORMAT;

    uint32_t room = 0;
    struct write_entry entry;
    for (uint64_t at = sector_bytes;
         at < log->map_bytes && read_entry(log, sector_bytes, &at, &entry);) {
        if (log->count == room) {
            room = room ? room * 2 : 1024;
            struct write_entry *more = realloc(log->entry, room * sizeof(*more));
            if (!more)
                return -ENOMEM;
            log->entry = more;
        }
        log->entry[log->count++] = entry;
        if (!(entry.flags & WRITE_LOG_MARK) && entry.offset + entry.len_bytes > log->disk_bytes)
            log->disk_bytes = entry.offset + entry.len_bytes;
    }
    return 0;
}

int write_log_open(const char *path, struct write_log *ret)
{
    struct stat st;
    *ret = (struct write_log){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) != 0) {
        int rc = -errno;
        close(fd);
        return rc;
    }
    if (st.st_size == 0) {
        close(fd);
        return KEEL_EFORMAT;
    }
    void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    int rc = map == MAP_FAILED ? -errno : 0;
    close(fd);
    if (rc)
        return rc;
    ret->map = map;
    ret->map_bytes = (size_t)st.st_size;
    rc = read_entries(ret);
    if (rc)
        write_log_close(ret);
    return rc;
}

void write_log_close(struct write_log *log)
{
    union {
        const uint8_t *in;
        void *out;
    } map = {.in = log->map};
    if (map.out)
        munmap(map.out, log->map_bytes);
    free(log->entry);
    *log = (struct write_log){0};
}
