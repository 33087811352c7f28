/*
 * The arena as the files of this folder see it: a mapping, and the numbers that its chunks have in
 * the buffer table of every ring.
 *
 * A chunk is registered with IOS_CHUNK_OVERLAP bytes of its successor, so that every transfer of
 * at most KEEL_IO_BYTES_MAX lies wholly in the chunk in which it begins.
 */
#ifndef KEEL_IOSCHED_ARENA_H
#define KEEL_IOSCHED_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "keel/iosched.h"

#define IOS_CHUNK_IDS_MAX   2048u /* entries in the buffer table of a ring */
#define IOS_CHUNK_BYTES_MIN ((size_t)2 << 20)
#define IOS_CHUNK_BYTES_MAX \
    ((size_t)512 << 20) /* with the overlap below 1 GiB, the kernel's limit */
#define IOS_CHUNK_OVERLAP KEEL_IO_BYTES_MAX
#define IOS_ARENA_CHUNKS  512u /* an arena has at most that many if its size allows */

struct keel_arena {
    /* constant */
    char *base;
    size_t bytes;
    size_t chunk_bytes;   /* a power of two */
    uint32_t chunk_count; /* 0: no numbers were free */
    uint32_t chunk_first; /* number of the first chunk */

    /* under the caller's exclusion */
    size_t used;
};

/* Some of an arena's chunks, by their numbers. */
struct ios_chunks {
    const struct keel_arena *arena;
    uint32_t first, count;
};

/* Number of the chunk in which buf lies, or -1. */
int32_t ios_arena_chunk(const struct keel_arena *arena, const void *buf);

/* Address and length of chunk number id, overlap included. */
void ios_arena_chunk_range(const struct keel_arena *arena, uint32_t id, void **ret_base,
                           size_t *ret_bytes);

#endif
