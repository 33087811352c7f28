/*
 * The sweeper: a child that waits until this process and every other child of it, which may still
 * write into the folder, are gone, and then removes what is left of it. It learns that from the end
 * of a pipe whose write end all of them have, so it does not matter what ended them.
 */
#include "bench/lib/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    keel_ignore(remove(path), "the folder's removal tells");
    return 0;
}

static int remove_all(const char *path)
{
    keel_ignore(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS), "see next line");
    return access(path, F_OK) == 0 ? -EBUSY : 0;
}

/* In the child. What ends the others by the terminal must not end it, and who reads their output
 * must not wait for it. */
__attribute__((noreturn)) static void sweep(const char *path, int ended)
{
    char none;

    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++)
        dup2(null, fd);
    while (read(ended, &none, 1) < 0 && errno == EINTR)
        continue;
    _exit(remove_all(path) ? 1 : 0);
}

static int start_sweeper(struct scratch *scratch)
{
    int ends[2];

    if (pipe(ends))
        return -errno;
    scratch->sweeper = fork();
    int rc = scratch->sweeper < 0 ? -errno : 0;
    if (scratch->sweeper == 0) {
        close(ends[1]);
        sweep(scratch->path, ends[0]);
    }
    close(ends[0]);
    if (rc)
        close(ends[1]);
    scratch->alive = ends[1];
    return rc;
}

int scratch_make(struct scratch *scratch, const char *parent)
{
    int rc = 0;
    int len = snprintf(scratch->path, sizeof(scratch->path), "%s/keel-bench-XXXXXX", parent);

    if (len < 0 || (size_t)len >= sizeof(scratch->path))
        rc = -ENAMETOOLONG;
    else if (!mkdtemp(scratch->path))
        rc = -errno;
    else if ((rc = start_sweeper(scratch)) != 0)
        keel_ignore(remove(scratch->path), "it is empty");
    if (rc)
        scratch->path[0] = '\0';
    return rc;
}

int scratch_remove(struct scratch *scratch)
{
    if (scratch->path[0] == '\0')
        return 0;
    int rc = remove_all(scratch->path);
    close(scratch->alive);
    while (waitpid(scratch->sweeper, NULL, 0) < 0 && errno == EINTR)
        continue;
    return rc;
}
