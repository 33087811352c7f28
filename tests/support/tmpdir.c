/*
 * Folders for tests.
 */
#include "tests/support/tmpdir.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

void tmpdir_create(struct tmpdir *dir)
{
    const char *parent = getenv("KEEL_TMPDIR");
    int n = snprintf(dir->path, sizeof(dir->path), "%s/keel-test-XXXXXX",
                     parent && *parent ? parent : ".");

    if (n < 0 || (size_t)n >= sizeof(dir->path) || !mkdtemp(dir->path)) {
        perror("tmpdir_create");
        exit(1);
    }
}

void tmpdir_destroy(struct tmpdir *dir)
{
    keel_ignore(nftw(dir->path, remove_entry, 16, FTW_DEPTH | FTW_PHYS),
                "what is left is harmless");
    dir->path[0] = '\0';
}

const char *tmpdir_join(const struct tmpdir *dir, const char *name, char *buf, size_t cap)
{
    int n = snprintf(buf, cap, "%s/%s", dir->path, name);

    KEEL_ASSERT(n > 0 && (size_t)n < cap);
    return buf;
}
