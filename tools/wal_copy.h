/*
 * `keel wal copy` and `keel wal resize`: the log as another file, or with another size.
 */
#ifndef KEEL_TOOLS_WAL_COPY_H
#define KEEL_TOOLS_WAL_COPY_H

#include <stdbool.h>
#include <stdint.h>

/* Write copy, which must not be there; bytes: its size, 0 the same. Exit status. */
int wal_copy(const char *command, const char *path, const char *copy, uint64_t bytes, bool json);
/* Give the log itself another size. Exit status. */
int wal_resize(const char *command, const char *path, uint64_t bytes, bool json);

#endif
