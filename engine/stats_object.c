/*
 * Objects in /dev/shm. The folder is everybody's, so a name may be taken, by a link too: nothing is
 * followed, and what is another user's is left alone.
 *
 * Making is: lock what is there and remove it, make anew with O_EXCL, lock, and look whether it
 * still bears the name, for between making and locking somebody who sweeps may have found it
 * without a writer. Then it is done again. Progress: who sweeps holds a lock for a few system
 * calls, and no object twice.
 */
#include "engine/stats_object.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <keel/error.h>

#include "base/endian.h"

#define TRIES_MAX  1000
#define KEPT_S     3600 /* last words of a store that is still there */
#define OPEN_FLAGS (O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)

int stats_object_name(const char *path, char ret_name[STATS_NAME_MAX])
{
    char super[STATS_PATH_BYTES + 16];
    struct stat st;

    if (stat(path, &st) != 0)
        return -errno;
    if (S_ISDIR(st.st_mode)) {
        int len = snprintf(super, sizeof(super), "%s/store.keel", path);
        if (len < 0 || (size_t)len >= sizeof(super))
            return -ENAMETOOLONG;
        if (stat(super, &st) != 0)
            return -errno;
    }
    snprintf(ret_name, STATS_NAME_MAX, STATS_NAME_FORMAT, (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino);
    return 0;
}

static bool lock(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

/* Is the open file still what bears the name? */
static bool is_named(int fd, const char *name)
{
    struct stat ours, named;

    return fstat(fd, &ours) == 0 && lstat(name, &named) == 0 && ours.st_dev == named.st_dev &&
           ours.st_ino == named.st_ino;
}

/* Open and lock what bears the name: nobody else removes it then. fd; KEEL_EINUSE: somebody has the
 * lock; -errno, -ENOENT also when it went away meanwhile. */
static int hold(const char *name)
{
    int fd = open(name, OPEN_FLAGS);

    if (fd < 0)
        return -errno;
    int rc = lock(fd) ? 0 : KEEL_EINUSE;
    if (rc == 0 && !is_named(fd, name))
        rc = -ENOENT;
    if (rc == 0)
        return fd;
    close(fd);
    return rc;
}

/* ------------------------------------------------------------------ making */

/* What is no object of a store's (a link, a folder, what may not be opened) is removed as it is,
 * where it can be. */
static int remove_old(const char *name)
{
    int fd = hold(name);

    if (fd == -ENOENT || fd == KEEL_EINUSE)
        return fd == -ENOENT ? 0 : fd;
    int rc = unlink(name) == 0 || errno == ENOENT ? 0 : -errno;
    if (fd >= 0)
        close(fd);
    return rc == -EPERM || rc == -EACCES ? KEEL_EINUSE : rc;
}

/* One try. KEEL_EINUSE may be somebody who sweeps. */
static int make_once(const char *name, int *ret_fd)
{
    int rc = remove_old(name);
    if (rc)
        return rc;
    int fd = open(name, OPEN_FLAGS | O_CREAT | O_EXCL, 0600);
    if (fd < 0)
        return errno == EEXIST ? KEEL_EINUSE : -errno;
    if (lock(fd) && is_named(fd, name)) {
        *ret_fd = fd;
        return 0;
    }
    close(fd);
    return KEEL_EINUSE;
}

int stats_object_make(const char *name, int *ret_fd)
{
    int rc = KEEL_EINUSE;

    for (unsigned i = 0; i < TRIES_MAX && rc == KEEL_EINUSE; i++) {
        rc = make_once(name, ret_fd);
        if (rc == KEEL_EINUSE)
            sched_yield();
    }
    return rc;
}

/* ------------------------------------------------------------------ sweeping */

/* Is the store still where it says, and was it in use not long ago? */
static bool is_needed(int fd, const char *name)
{
    uint8_t header[STATS_HEADER_BYTES];
    const char *path = (const char *)header + STATS_AT_PATH;
    char now[STATS_NAME_MAX];
    struct stat st;

    if (pread(fd, header, sizeof(header), 0) != (ssize_t)sizeof(header) || fstat(fd, &st) != 0 ||
        load_le64(header + STATS_AT_MAGIC) != STATS_MAGIC ||
        strnlen(path, STATS_PATH_BYTES) == STATS_PATH_BYTES)
        return false;
    return stats_object_name(path, now) == 0 && strcmp(now, name) == 0 &&
           time(NULL) - st.st_mtime < KEPT_S;
}

static void sweep(const char *name)
{
    struct stat st;

    if (lstat(name, &st) != 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid())
        return;
    int fd = hold(name);
    if (fd < 0)
        return;
    if (!is_needed(fd, name))
        unlink(name);
    close(fd);
}

void stats_object_sweep(void)
{
    const struct dirent *entry;
    char name[STATS_NAME_MAX];
    DIR *folder = opendir(STATS_FOLDER);

    while (folder && (entry = readdir(folder)) != NULL) {
        if (strncmp(entry->d_name, STATS_PREFIX, strlen(STATS_PREFIX)) == 0 &&
            snprintf(name, sizeof(name), STATS_FOLDER "/%s", entry->d_name) < (int)sizeof(name))
            sweep(name);
    }
    if (folder)
        closedir(folder);
}
