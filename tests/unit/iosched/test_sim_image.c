/*
 * Images: contents that are shared between copies until one of them changes.
 */
#include "iosched/sim_image.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

static struct sim_pool *pool;

static void setup(void)
{
    pool = sim_pool_create();
    cr_assert_not_null(pool);
}

/* Also proves that nothing was lost: the pool traps when something was not given back. */
static void teardown(void)
{
    sim_pool_put(pool);
}

TestSuite(sim_image, .init = setup, .fini = teardown);

static struct sim_block *filled(uint8_t fill)
{
    struct sim_block *block = sim_block_new(pool);

    memset(block->data, fill, SIM_BLOCK_BYTES);
    return block;
}

static void put(struct sim_image *image, uint64_t index, uint8_t fill, uint8_t mask, uint64_t seq)
{
    struct sim_block *block = filled(fill);

    sim_image_merge(pool, image, index, block, mask, seq);
    sim_block_put(pool, block);
}

static uint8_t byte_at(const struct sim_image *image, uint64_t offset)
{
    uint8_t byte;

    sim_image_read(image, offset, &byte, 1);
    return byte;
}

Test(sim_image, reads_zeroes_where_nothing_was_written)
{
    struct sim_image image = {0};
    uint8_t data[100];

    memset(data, 1, sizeof(data));
    sim_image_read(&image, 123456789, data, sizeof(data));

    for (size_t i = 0; i < sizeof(data); i++)
        cr_assert_eq(data[i], 0);
    cr_assert_null(sim_image_block(&image, 7));
    cr_assert_eq(sim_image_seq(&image, 7), 0);
}

Test(sim_image, a_copy_and_its_original_change_apart)
{
    struct sim_image image = {0};
    struct sim_image copy;

    put(&image, 3, 'a', SIM_MASK_ALL, 1);
    put(&image, 100, 'b', SIM_MASK_ALL, 2);
    sim_image_copy(pool, &image, &copy);
    cr_assert_eq(sim_image_block(&copy, 3), sim_image_block(&image, 3), "shared, not copied");
    put(&copy, 3, 'c', SIM_MASK_ALL, 3);
    put(&image, 100, 'd', SIM_MASK_ALL, 4);

    cr_assert_eq(byte_at(&image, 3 * 4096), 'a');
    cr_assert_eq(byte_at(&copy, 3 * 4096), 'c');
    cr_assert_eq(byte_at(&image, 100 * 4096), 'd');
    cr_assert_eq(byte_at(&copy, 100 * 4096), 'b');
    cr_assert_eq(sim_image_seq(&copy, 3), 3);
    cr_assert_eq(sim_image_seq(&image, 3), 1);
    sim_image_clear(pool, &image);
    cr_assert_eq(byte_at(&copy, 100 * 4096), 'b', "a copy outlives its original");
    sim_image_clear(pool, &copy);
}

Test(sim_image, merges_any_set_of_sectors)
{
    for (unsigned mask = 0; mask < 256; mask++) {
        struct sim_image image = {0};

        put(&image, 5, 'o', SIM_MASK_ALL, 1);
        put(&image, 5, 'n', (uint8_t)mask, 2);

        for (unsigned i = 0; i < SIM_BLOCK_SECTORS; i++)
            cr_assert_eq(byte_at(&image, 5 * 4096 + i * 512 + 511), mask >> i & 1 ? 'n' : 'o',
                         "mask %x, sector %u", mask, i);
        sim_image_clear(pool, &image);
    }
}

Test(sim_image, merging_does_not_change_a_block_that_others_hold)
{
    struct sim_image image = {0};
    struct sim_image copy;

    put(&image, 0, 'a', SIM_MASK_ALL, 1);
    sim_image_copy(pool, &image, &copy);
    put(&image, 0, 'b', 0x0f, 2);

    cr_assert_eq(byte_at(&copy, 0), 'a');
    cr_assert_eq(byte_at(&image, 0), 'b');
    cr_assert_eq(byte_at(&image, 4095), 'a');
    sim_image_clear(pool, &image);
    sim_image_clear(pool, &copy);
}

Test(sim_image, writes_and_reads_across_blocks_at_any_alignment)
{
    struct sim_image image = {0};
    uint8_t in[10000];
    uint8_t out[10000];

    for (size_t i = 0; i < sizeof(in); i++)
        in[i] = (uint8_t)(i * 7 + 1);
    sim_image_write(pool, &image, 4000, in, sizeof(in), 9);
    sim_image_read(&image, 4000, out, sizeof(out));

    cr_assert_arr_eq(in, out, sizeof(in));
    cr_assert_eq(byte_at(&image, 3999), 0);
    cr_assert_eq(byte_at(&image, 14000), 0);
    sim_image_clear(pool, &image);
}

Test(sim_image, truncating_leaves_zeroes)
{
    struct sim_image image = {0};

    for (uint64_t i = 0; i < 70; i++)
        put(&image, i, 'x', SIM_MASK_ALL, i + 1);
    sim_image_truncate(pool, &image, 33);

    cr_assert_eq(byte_at(&image, 33 * 4096 - 1), 'x');
    cr_assert_eq(byte_at(&image, 33 * 4096), 0);
    cr_assert_eq(byte_at(&image, 69 * 4096), 0);
    cr_assert_eq(sim_image_seq(&image, 69), 0);
    sim_image_clear(pool, &image);
}

Test(sim_image, the_pool_traps_when_a_block_was_not_given_back, .signal = SIGILL)
{
    sim_block_new(pool);
    sim_pool_put(pool);
}

Test(sim_pool, vectors_keep_their_elements_when_they_grow)
{
    struct sim_pool *mine = sim_pool_create();
    uint32_t room = 0;
    uint64_t *vector = NULL;

    for (uint32_t i = 0; i < 100000; i++) {
        vector = sim_pool_grow(mine, vector, i, &room, sizeof(*vector));
        vector[i] = i;
    }

    for (uint32_t i = 0; i < 100000; i++)
        cr_assert_eq(vector[i], i);
    sim_pool_free(mine, vector, room * sizeof(*vector));
    cr_assert_eq(sim_pool_used(mine), 0);
    sim_pool_put(mine);
}

Test(sim_pool, memory_is_zeroed_when_it_is_used_again)
{
    struct sim_pool *mine = sim_pool_create();
    uint8_t *first = sim_pool_alloc(mine, 1000);

    memset(first, 0xff, 1000);
    sim_pool_free(mine, first, 1000);
    uint8_t *second = sim_pool_alloc(mine, 1000);

    cr_assert_eq(second, first, "it is the same memory");
    for (size_t i = 0; i < 1000; i++)
        cr_assert_eq(second[i], 0);
    sim_pool_free(mine, second, 1000);
    sim_pool_put(mine);
}
