/*
 * Arenas: cutting them up, and the numbers of their chunks.
 */
#include "iosched/arena.h"

#include <criterion/criterion.h>
#include <stdint.h>

TestSuite(arena, .timeout = 20);

Test(arena, gives_out_aligned_zeroed_memory_until_it_is_spent)
{
    struct keel_arena *arena;

    cr_assert_eq(keel_arena_create(5 * KEEL_BLOCK_BYTES - 1, &arena), 0);
    char *first = keel_arena_alloc(arena, 1);
    char *second = keel_arena_alloc(arena, 4 * KEEL_BLOCK_BYTES);
    cr_assert_eq((uintptr_t)first % KEEL_BLOCK_BYTES, 0);
    cr_assert_eq(second - first, KEEL_BLOCK_BYTES);
    cr_assert_eq(second[4 * KEEL_BLOCK_BYTES - 1], 0);
    cr_assert_null(keel_arena_alloc(arena, 1));
    cr_assert_null(keel_arena_alloc(arena, SIZE_MAX));
    keel_arena_destroy(arena);
    cr_assert_eq(keel_arena_create(0, &arena), KEEL_EOPTION);
}

/* Every transfer of the largest size lies in the chunk in which it begins. */
Test(arena, a_transfer_never_leaves_its_chunk)
{
    struct keel_arena *arena;
    void *base;
    size_t bytes;

    cr_assert_eq(keel_arena_create(9u << 20, &arena), 0);
    cr_assert_eq(arena->chunk_count, 5);
    for (size_t at = 0; at + KEEL_IO_BYTES_MAX <= arena->bytes; at += KEEL_BLOCK_BYTES) {
        int32_t id = ios_arena_chunk(arena, arena->base + at);
        cr_assert_geq(id, 0);
        ios_arena_chunk_range(arena, (uint32_t)id, &base, &bytes);
        cr_assert((char *)base <= arena->base + at);
        cr_assert(arena->base + at + KEEL_IO_BYTES_MAX <= (char *)base + bytes);
        cr_assert((char *)base + bytes <= arena->base + arena->bytes);
    }
    keel_arena_destroy(arena);
}

Test(arena, numbers_are_used_again_and_when_none_are_left_it_works_without)
{
    struct keel_arena *arenas[6];

    /* 512 chunks or more each: four of them take all the numbers. */
    for (unsigned i = 0; i < 6; i++)
        cr_assert_eq(keel_arena_create((size_t)1 << 30, &arenas[i]), 0);
    cr_assert_eq(arenas[3]->chunk_count, 512);
    cr_assert_eq(arenas[4]->chunk_count, 0);
    cr_assert_eq(ios_arena_chunk(arenas[4], arenas[4]->base), -1);

    uint32_t first = arenas[1]->chunk_first;
    keel_arena_destroy(arenas[1]);
    cr_assert_eq(keel_arena_create((size_t)1 << 30, &arenas[1]), 0);
    cr_assert_eq(arenas[1]->chunk_first, first);
    for (unsigned i = 0; i < 6; i++)
        keel_arena_destroy(arenas[i]);
}
