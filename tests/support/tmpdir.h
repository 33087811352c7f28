/*
 * Folders for tests that need real files.
 *
 * They are made in KEEL_TMPDIR if that is set, else in the current folder, which is the build
 * folder under ctest: a file system with O_DIRECT, which /tmp often is not.
 */
#ifndef KEEL_TESTS_TMPDIR_H
#define KEEL_TESTS_TMPDIR_H

#include <stddef.h>

struct tmpdir {
    char path[512];
};

/* Make an empty folder; stops the program when it cannot. */
void tmpdir_create(struct tmpdir *dir);

/* Remove the folder and all that is in it. */
void tmpdir_destroy(struct tmpdir *dir);

/* Write "folder/name" into buf and return buf. */
const char *tmpdir_join(const struct tmpdir *dir, const char *name, char *buf, size_t cap);

#endif
