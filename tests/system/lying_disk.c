/*
 * A library to preload: after LIE_AFTER writes to LIE_FILE by this process, such writes report
 * success and do nothing. What is acknowledged from then on is not on the disk, and the demo must
 * say so. (Only the `sync` method writes through the C library, so io_uring has to be denied.)
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static _Atomic long written;

static int lies_about(int fd)
{
    char link[64], path[512];
    const char *after = getenv("LIE_AFTER"), *file = getenv("LIE_FILE");
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof(path) - 1);
    if (len < 0 || !after || !file)
        return 0;
    path[len] = '\0';
    return strstr(path, file) && atomic_fetch_add(&written, 1) >= atol(after);
}

static ssize_t total(const struct iovec *parts, int count)
{
    ssize_t bytes = 0;
    for (int i = 0; i < count; i++)
        bytes += (ssize_t)parts[i].iov_len;
    return bytes;
}

ssize_t pwritev2(int fd, const struct iovec *parts, int count, off_t offset, int flags)
{
    static ssize_t (*real)(int, const struct iovec *, int, off_t, int);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "pwritev2");
    return lies_about(fd) ? total(parts, count) : real(fd, parts, count, offset, flags);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    return pwritev2(fd, parts, count, offset, 0);
}

ssize_t pwrite(int fd, const void *buf, size_t len, off_t offset)
{
    static ssize_t (*real)(int, const void *, size_t, off_t);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "pwrite");
    return lies_about(fd) ? (ssize_t)len : real(fd, buf, len, offset);
}
