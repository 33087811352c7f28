#include "base/mem.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

TestSuite(mem, .timeout = 20);

static int all_zero(const void *ptr, size_t len)
{
    const unsigned char *bytes = ptr;

    for (size_t i = 0; i < len; i++) {
        if (bytes[i])
            return 0;
    }
    return 1;
}

Test(mem, gives_zeroed_memory_and_counts_it)
{
    uint64_t before = mem_alloc_count();

    void *p = mem_alloc(1000);
    void *q = mem_alloc_aligned(256, 1000);

    cr_assert(p && all_zero(p, 1000));
    cr_assert(q && all_zero(q, 1000));
    cr_assert_eq((uintptr_t)q % 256, 0);
    cr_assert_eq(mem_alloc_count() - before, 2);
    mem_free(p);
    mem_free(q);
    mem_free(NULL);
    cr_assert_eq(mem_alloc_count() - before, 2);
}

Test(mem, gives_something_for_nothing)
{
    void *p = mem_alloc(0);

    cr_assert_not_null(p);
    mem_free(p);
}

Test(mem, gives_null_when_there_is_not_that_much)
{
    cr_assert_null(mem_map(SIZE_MAX / 4, 0));
}

Test(mem, maps_zeroed_whole_pages)
{
    char *p = mem_map(5000, MEM_MAP_POPULATE);

    cr_assert(p && all_zero(p, 2 * MEM_PAGE));
    cr_assert_eq((uintptr_t)p % MEM_PAGE, 0);
    memset(p, 0xff, 2 * MEM_PAGE);
    mem_unmap(p, 5000);
}

Test(mem, aligns_maps_for_huge_pages)
{
    size_t bytes = MEM_HUGE_PAGE + 3 * MEM_PAGE;
    char *p = mem_map(bytes, MEM_MAP_HUGE);

    cr_assert_not_null(p);
    cr_assert_eq((uintptr_t)p % MEM_HUGE_PAGE, 0);
    p[0] = 1;
    p[bytes - 1] = 1;
    mem_unmap(p, bytes);
    mem_unmap(NULL, bytes);
}

Test(mem, reserves_more_than_there_is)
{
    size_t bytes = (size_t)1 << 40;
    char *p = mem_reserve(bytes);

    cr_assert_not_null(p);
    cr_assert_eq(p[bytes / 2], 0);
    p[bytes - 1] = 1;
    mem_unmap(p, bytes);
}

Test(mem, allows_allocation_again_after_the_last_seal_is_undone)
{
    mem_seal();
    mem_seal();
    mem_unseal();
    mem_unseal();

    void *p = mem_alloc(10);
    cr_assert_not_null(p);
    mem_free(p);
}

Test(mem, allows_freeing_while_sealed)
{
    void *p = mem_alloc(10);

    mem_seal();
    mem_free(p);
    mem_unseal();
}

Test(mem, traps_when_unsealed_too_often, .signal = SIGILL)
{
    mem_unseal();
}

#ifndef NDEBUG
Test(mem, traps_when_allocating_while_sealed, .signal = SIGILL)
{
    mem_seal();
    mem_seal();
    mem_unseal();
    mem_free(mem_alloc(10));
}
#endif
