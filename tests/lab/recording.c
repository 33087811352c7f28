/*
 * tracefs, FIEMAP and a cookie.
 */
#include "tests/lab/recording.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "tools/crash/history.h"

#define TRACING      "/sys/kernel/tracing"
#define BUFFER_KB    "32768" /* per CPU */
#define EXTENTS_MAX  64u
#define COOKIE_NAME  "recording"
#define COOKIE_BYTES 4096

static int marker = -1;

static bool __attribute__((format(printf, 1, 2))) complain(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("FAILED: recording: ");
    vprintf(format, args);
    printf(" (%s)\n", strerror(errno));
    va_end(args);
    return false;
}

static bool set(const char *name, const char *value)
{
    char path[128];
    snprintf(path, sizeof(path), TRACING "/%s", name);
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_TRUNC);
    bool good = fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value);
    if (fd >= 0)
        close(fd);
    return good || complain("%s = %s", path, value);
}

bool recording_start(void)
{
    if (access(TRACING "/trace", F_OK) != 0 && mount("tracefs", TRACING, "tracefs", 0, NULL) != 0)
        return complain("tracefs");
    if (!set("tracing_on", "0") || !set("trace_clock", "counter") ||
        !set("buffer_size_kb", BUFFER_KB) || !set("trace", "") ||
        !set("events/nvme/nvme_setup_cmd/enable", "1") ||
        !set("events/nvme/nvme_complete_rq/enable", "1") || !set("tracing_on", "1"))
        return false;
    marker = open(TRACING "/trace_marker", O_WRONLY | O_CLOEXEC);
    return marker >= 0 || complain("trace_marker");
}

void recording_mark(const char *format, ...)
{
    char text[256] = "keel: ";
    size_t len = strlen(text);
    va_list args;
    va_start(args, format);
    int more = vsnprintf(text + len, sizeof(text) - len, format, args);
    va_end(args);
    KEEL_ASSERT(more > 0 && (size_t)more < sizeof(text) - len);
    len += (size_t)more;
    KEEL_ASSERT(write(marker, text, len) == (ssize_t)len);
}

/* ---------------------------------------------------------------- where the bytes lie */

static bool read_line(char *ret, size_t room, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static bool read_line(char *ret, size_t room, const char *format, ...)
{
    char path[256];
    va_list args;
    va_start(args, format);
    vsnprintf(path, sizeof(path), format, args);
    va_end(args);
    FILE *file = fopen(path, "re");
    bool good = file && fgets(ret, (int)room, file);
    if (file)
        fclose(file);
    if (!good)
        return complain("%s", path);
    ret[strcspn(ret, "\n")] = '\0';
    return true;
}

/* "begin DEVICE NSID LBA_BYTES ID" of the disk with this number. */
static bool mark_begin(dev_t device, const char *id)
{
    char link[256], folder[64], nsid[16], lba[16];
    snprintf(folder, sizeof(folder), "/sys/dev/block/%u:%u", major(device), minor(device));
    ssize_t len = readlink(folder, link, sizeof(link) - 1);
    if (len < 0)
        return complain("%s", folder);
    link[len] = '\0';
    const char *name = strrchr(link, '/') + 1; /* nvme0n1 */
    const char *end = strchr(name + 4, 'n');
    if (strncmp(name, "nvme", 4) != 0 || !end)
        return complain("%s is no NVMe disk", name);
    if (!read_line(nsid, sizeof(nsid), "%s/nsid", folder) ||
        !read_line(lba, sizeof(lba), "%s/queue/logical_block_size", folder))
        return false;
    recording_mark("begin %.*s %s %s %s", (int)(end - name), name, nsid, lba, id);
    return true;
}

static bool mark_regions(const char *folder, const char *name)
{
    static union {
        struct fiemap map;
        char bytes[sizeof(struct fiemap) + EXTENTS_MAX * sizeof(struct fiemap_extent)];
    } answer;
    char path[512];
    struct stat st;
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0)
        return complain("%s", path);
    memset(&answer, 0, sizeof(answer));
    answer.map.fm_length = FIEMAP_MAX_OFFSET;
    answer.map.fm_flags = FIEMAP_FLAG_SYNC;
    answer.map.fm_extent_count = EXTENTS_MAX;
    int rc = ioctl(fd, FS_IOC_FIEMAP, &answer);
    close(fd);
    if (rc != 0)
        return complain("extents of %s", path);

    uint64_t covered = 0;
    for (uint32_t i = 0; i < answer.map.fm_mapped_extents; i++) {
        const struct fiemap_extent *extent = &answer.map.fm_extents[i];
        uint64_t len = extent->fe_length;
        if (extent->fe_logical + len > (uint64_t)st.st_size)
            len = (uint64_t)st.st_size - extent->fe_logical;
        recording_mark("region store/%s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, name,
                       (uint64_t)st.st_size, (uint64_t)extent->fe_logical,
                       (uint64_t)extent->fe_physical, len);
        covered += len;
    }
    errno = ENODATA;
    return covered == (uint64_t)st.st_size || complain("%s has holes, or too many extents", path);
}

/* ---------------------------------------------------------------- begin, end */

/* The block's place: on a disk its first, else a file of its own beside the store, which is written
 * once before, so that writing it again is one command. -1: complained. */
static int open_cookie(const char *path, bool disk, void *block)
{
    char name[512];
    snprintf(name, sizeof(name), "%s/../" COOKIE_NAME, path);
    int fd = open(disk ? path : name, O_RDWR | O_DIRECT | O_CLOEXEC | (disk ? 0 : O_CREAT), 0600);
    memset(block, 1, COOKIE_BYTES);
    if (fd >= 0 && pwrite(fd, block, COOKIE_BYTES, 0) == COOKIE_BYTES && fsync(fd) == 0 &&
        (disk || syncfs(fd) == 0))
        return fd;
    complain("the cookie");
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool mark_disk(int fd)
{
    uint64_t bytes;
    if (ioctl(fd, BLKGETSIZE64, &bytes) != 0)
        return complain("the disk's size");
    recording_mark("region disk %" PRIu64 " 0 0 %" PRIu64, bytes, bytes);
    return true;
}

/* The disk of /dev/ngXnY, which takes no ordinary writes. */
static const char *disk_of(const char *path, char ret[64])
{
    if (strncmp(path, "/dev/ng", 7) != 0)
        return path;
    snprintf(ret, 64, "/dev/nvme%s", path + 7);
    return ret;
}

bool recording_begin(const char *path)
{
    static _Alignas(COOKIE_BYTES) char block[COOKIE_BYTES];
    struct stat st;
    char id[20], name[64];
    path = disk_of(path, name);
    if (stat(path, &st) != 0)
        return complain("%s", path);
    bool disk = S_ISBLK(st.st_mode);
    int fd = open_cookie(path, disk, block);
    if (fd < 0)
        return false;
    bool good = disk ? mark_disk(fd)
                     : mark_regions(path, "store.keel") && mark_regions(path, "wal.keel") &&
                           mark_regions(path, "pages.keel");
    snprintf(id, sizeof(id), "%" PRIx64, clock_now_ns());
    good = good && mark_begin(disk ? st.st_rdev : st.st_dev, id);
    memset(block, 0, sizeof(block));
    snprintf(block, sizeof(block), CRASH_COOKIE "%s\n", id);
    if (good && (pwrite(fd, block, COOKIE_BYTES, 0) != COOKIE_BYTES || fsync(fd) != 0))
        good = complain("the cookie");
    close(fd);
    return good;
}

bool recording_stop(void)
{
    char line[256];
    recording_mark("end");
    if (!set("tracing_on", "0"))
        return false;
    close(marker);
    FILE *file = fopen(TRACING "/trace", "re");
    uint64_t kept = 0, all = 1;
    while (file && fgets(line, sizeof(line), file)) {
        if (sscanf(line, "# entries-in-buffer/entries-written: %" SCNu64 "/%" SCNu64, &kept,
                   &all) == 2)
            break;
    }
    if (file)
        fclose(file);
    errno = ENOBUFS;
    return kept == all || complain("the kernel kept %" PRIu64 " of %" PRIu64 " lines", kept, all);
}

bool recording_save(const char *path)
{
    static char buf[65536];
    bool own = strcmp(path, "-") == 0;
    int from = open(TRACING "/trace", O_RDONLY | O_CLOEXEC);
    int to = own ? STDOUT_FILENO : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ssize_t len = -1;
    fflush(stdout);
    while (from >= 0 && to >= 0 && (len = read(from, buf, sizeof(buf))) > 0) {
        for (ssize_t at = 0, done; at < len; at += done) {
            done = write(to, buf + at, (size_t)(len - at));
            if (done <= 0)
                return complain("%s", path);
        }
    }
    if (from >= 0)
        close(from);
    if (to >= 0 && !own)
        close(to);
    return len == 0 || complain("%s", path);
}
