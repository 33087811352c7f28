/*
 * A library to preload: reads of FAIL_FILE that touch the byte FAIL_AT fail with EIO. (Only the
 * `sync` method reads through the C library, so io_uring has to be denied.)
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static int fails(int fd, off_t offset, size_t len)
{
    char link[64], path[512];
    const char *at = getenv("FAIL_AT"), *file = getenv("FAIL_FILE");
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t got = readlink(link, path, sizeof(path) - 1);
    if (got < 0 || !at || !file)
        return 0;
    path[got] = '\0';
    return strstr(path, file) && atoll(at) >= offset && atoll(at) < offset + (off_t)len;
}

static size_t total(const struct iovec *parts, int count)
{
    size_t bytes = 0;
    for (int i = 0; i < count; i++)
        bytes += parts[i].iov_len;
    return bytes;
}

ssize_t preadv2(int fd, const struct iovec *parts, int count, off_t offset, int flags)
{
    static ssize_t (*real)(int, const struct iovec *, int, off_t, int);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "preadv2");
    if (!fails(fd, offset, total(parts, count)))
        return real(fd, parts, count, offset, flags);
    errno = EIO;
    return -1;
}

ssize_t preadv(int fd, const struct iovec *parts, int count, off_t offset)
{
    return preadv2(fd, parts, count, offset, 0);
}

ssize_t pread(int fd, void *buf, size_t len, off_t offset)
{
    struct iovec part = {buf, len};
    return preadv2(fd, &part, 1, offset, 0);
}
