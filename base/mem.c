/*
 * Counted heap memory and anonymous maps. The only file that calls malloc's family.
 */
#include "base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"

static _Atomic uint64_t alloc_count;
static _Thread_local unsigned seal_depth;

static void note_alloc(void)
{
    KEEL_DCHECK(seal_depth == 0);

    atomic_fetch_add_explicit(&alloc_count, 1, memory_order_relaxed);
}

static size_t round_up(size_t bytes, size_t to)
{
    return (bytes + to - 1) / to * to;
}

void *mem_alloc(size_t size)
{
    note_alloc();
    return calloc(1, size > 0 ? size : 1);
}

void *mem_alloc_aligned(size_t align, size_t size)
{
    KEEL_ASSERT(align >= sizeof(void *) && (align & (align - 1)) == 0);

    void *ptr;
    note_alloc();
    if (posix_memalign(&ptr, align, size > 0 ? size : 1) != 0)
        return NULL;
    memset(ptr, 0, size);
    return ptr;
}

void mem_free(void *ptr)
{
    free(ptr);
}

uint64_t mem_alloc_count(void)
{
    return atomic_load_explicit(&alloc_count, memory_order_relaxed);
}

static void *map_pages(size_t bytes, int extra)
{
    void *ptr =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | extra, -1, 0);

    return ptr == MAP_FAILED ? NULL : ptr;
}

/* Map with 2 MiB alignment by mapping more and cutting both ends off. */
static void *map_huge(size_t bytes)
{
    char *raw = map_pages(bytes + MEM_HUGE_PAGE, 0);
    if (!raw)
        return NULL;

    size_t head = round_up((uintptr_t)raw, MEM_HUGE_PAGE) - (uintptr_t)raw;
    if (head > 0)
        munmap(raw, head);
    if (MEM_HUGE_PAGE - head > 0)
        munmap(raw + head + bytes, MEM_HUGE_PAGE - head);

    keel_ignore(madvise(raw + head, bytes, MADV_HUGEPAGE), "advice; small pages serve as well");
    return raw + head;
}

void *mem_map(size_t bytes, unsigned flags)
{
    KEEL_ASSERT(bytes > 0);

    bytes = round_up(bytes, MEM_PAGE);
    void *ptr = (flags & MEM_MAP_HUGE) ? map_huge(bytes) : map_pages(bytes, 0);
    if (ptr && (flags & MEM_MAP_POPULATE)) {
        /* One store per page, which every kernel can do; MADV_POPULATE_WRITE came with 5.14. */
        for (size_t at = 0; at < bytes; at += MEM_PAGE)
            ((volatile char *)ptr)[at] = 0;
    }
    return ptr;
}

void *mem_reserve(size_t bytes)
{
    KEEL_ASSERT(bytes > 0);

    return map_pages(round_up(bytes, MEM_PAGE), MAP_NORESERVE);
}

void mem_unmap(void *ptr, size_t bytes)
{
    if (!ptr)
        return;

    int rc = munmap(ptr, round_up(bytes, MEM_PAGE));
    KEEL_ASSERT(rc == 0);
}

void mem_seal(void)
{
    seal_depth++;
}

void mem_unseal(void)
{
    KEEL_ASSERT(seal_depth > 0);
    seal_depth--;
}
