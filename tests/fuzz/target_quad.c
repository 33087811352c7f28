/*
 * The four-copy cell on a device: whatever lies in its blocks, it opens or says why not; once it
 * opens it opens again, the same, and takes a step.
 *
 * Input: flags, then for each copy: flags (1: a proper copy is made of what follows), generation
 * (u8), length (u16), bytes.
 */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "tests/fuzz/fuzz.h"

#define MAGIC UINT64_C(0x64617571)

static int open_cell(struct fuzz_device *fuzz, void *block, bool repair, struct keel_quad *quad,
                     uint8_t *payload, uint32_t *len)
{
    *quad = (struct keel_quad){.device = fuzz->device, .magic = MAGIC, .version = 1};
    for (unsigned i = 0; i < 4; i++)
        quad->offsets[i] = (uint64_t)i * KEEL_BLOCK_BYTES;
    quad->block = block;
    *len = KEEL_QUAD_PAYLOAD_MAX;
    return keel_quad_open(fuzz->ctx, quad, repair, payload, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t first[KEEL_QUAD_PAYLOAD_MAX], second[KEEL_QUAD_PAYLOAD_MAX];
    struct fuzz_input input = {data, size};
    struct fuzz_device fuzz;
    struct keel_quad quad;
    uint8_t copy[KEEL_BLOCK_BYTES];
    uint32_t first_len, second_len;

    void *block = mem_alloc_aligned(KEEL_BLOCK_BYTES, KEEL_BLOCK_BYTES);
    KEEL_ASSERT(block);
    fuzz_device_open(&fuzz, 4 * KEEL_BLOCK_BYTES);
    bool read_only = fuzz_u8(&input) & 1;
    for (unsigned i = 0; i < 4 && input.left > 0; i++) {
        bool proper = fuzz_u8(&input) & 1;
        uint64_t generation = fuzz_u8(&input);
        uint32_t len = fuzz_u16(&input) % (KEEL_QUAD_PAYLOAD_MAX + 1);

        memset(copy, 0, sizeof(copy));
        fuzz_bytes(&input, first, len);
        memcpy(copy, first, len);
        if (proper)
            fuzz_cell(copy, MAGIC, generation, i, first, len);
        fuzz_device_put(&fuzz, (uint64_t)i * KEEL_BLOCK_BYTES, copy, sizeof(copy));
    }

    int rc = open_cell(&fuzz, block, !read_only, &quad, first, &first_len);
    if (rc == 0) {
        uint64_t generation = quad.generation;
        KEEL_ASSERT(first_len <= KEEL_QUAD_PAYLOAD_MAX && generation > 0);
        rc = open_cell(&fuzz, block, true, &quad, second, &second_len);
        KEEL_ASSERT(rc == 0 && second_len == first_len && quad.generation == generation);
        KEEL_ASSERT(memcmp(first, second, first_len) == 0);
        rc = keel_quad_step(fuzz.ctx, &quad, "step", 4);
        KEEL_ASSERT(rc == 0);
        rc = open_cell(&fuzz, block, false, &quad, second, &second_len);
        KEEL_ASSERT(rc == 0 && second_len == 4 && memcmp(second, "step", 4) == 0);
    }
    fuzz_device_close(&fuzz);
    mem_free(block);
    return 0;
}
