/*
 * Counts calls into the C library's allocator by everything in this process: malloc, calloc,
 * realloc and the aligned forms, from keel, from the tool and from libraries alike. mmap is not
 * counted.
 */
#ifndef KEEL_BENCH_LIB_MALLOC_COUNT_H
#define KEEL_BENCH_LIB_MALLOC_COUNT_H

#include <stdbool.h>
#include <stdint.h>

/* False in sanitizer builds, whose allocator must not be replaced. */
bool malloc_count_known(void);
/* Calls since the process began. Any thread. */
uint64_t malloc_count(void);

#endif
