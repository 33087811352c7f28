/*
 * The program's own malloc family stands in front of the C library's, counts and passes on. One
 * relaxed increment a call: the count is compared over seconds, no order is needed.
 */
#include "bench/lib/malloc_count.h"

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTING 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define COUNTING 0
#endif
#endif
#if !defined(COUNTING)
#ifdef __GLIBC__
#define COUNTING 1
#else
#define COUNTING 0
#endif
#endif

static _Atomic uint64_t calls;

bool malloc_count_known(void)
{
    return COUNTING;
}

uint64_t malloc_count(void)
{
    return atomic_load_explicit(&calls, memory_order_relaxed);
}

#if COUNTING
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *ptr, size_t size);
void *__libc_memalign(size_t align, size_t size);

static void note_call(void)
{
    atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
}

void *malloc(size_t size)
{
    note_call();
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    note_call();
    return __libc_calloc(count, size);
}

void *realloc(void *ptr, size_t size)
{
    note_call();
    return __libc_realloc(ptr, size);
}

void *memalign(size_t align, size_t size)
{
    note_call();
    return __libc_memalign(align, size);
}

void *aligned_alloc(size_t align, size_t size)
{
    note_call();
    return __libc_memalign(align, size);
}

int posix_memalign(void **ret, size_t align, size_t size)
{
    note_call();
    if (align % sizeof(void *) != 0 || (align & (align - 1)) != 0 || align == 0)
        return EINVAL;
    void *ptr = __libc_memalign(align, size);
    if (!ptr)
        return ENOMEM;
    *ret = ptr;
    return 0;
}
#endif
