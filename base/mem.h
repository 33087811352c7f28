/*
 * Memory. All of keel's heap use goes through here, so that it can be counted and, after open,
 * forbidden.
 */
#ifndef KEEL_BASE_MEM_H
#define KEEL_BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

#define MEM_CACHE_LINE 64
#define MEM_PAGE       4096              /* alignment that mem_map() promises */
#define MEM_HUGE_PAGE  ((size_t)2 << 20) /* alignment with MEM_MAP_HUGE */

enum mem_map_flag {
    MEM_MAP_HUGE = 1 << 0, /* align to 2 MiB and ask for huge pages; served without if need be */
    MEM_MAP_POPULATE = 1 << 1, /* touch every page now, so that later use does not fault */
};

/* Zeroed memory aligned for anything, or NULL. Owned by the caller until mem_free(). */
void *mem_alloc(size_t size);

/* As mem_alloc(), aligned to a power of two that is at least sizeof(void *). */
void *mem_alloc_aligned(size_t align, size_t size);

/* NULL is allowed. */
void mem_free(void *ptr);

/* Allocations of the whole process through this file, ever. */
uint64_t mem_alloc_count(void);

/*
 * Zeroed anonymous memory in whole pages, or NULL. flags: enum mem_map_flag.
 * Owned by the caller until mem_unmap() with the same size.
 */
void *mem_map(size_t bytes, unsigned flags);
void mem_unmap(void *ptr, size_t bytes);

/*
 * Address space that costs memory only where it is touched and is not counted against the commit
 * limit, or NULL. Reads as zero. Owned by the caller until mem_unmap() with the same size.
 */
void *mem_reserve(size_t bytes);

/*
 * Between these two, allocation by this thread traps in debug builds. They nest. Freeing is
 * allowed.
 */
void mem_seal(void);
void mem_unseal(void);

#endif
