/*
 * Inputs and devices of the fuzz targets.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/endian.h"
#include "iosched/quad_format.h"

#define PATH "fuzz.keel"

uint8_t fuzz_u8(struct fuzz_input *input)
{
    uint8_t byte;

    fuzz_bytes(input, &byte, 1);
    return byte;
}

uint16_t fuzz_u16(struct fuzz_input *input)
{
    uint8_t bytes[2];

    fuzz_bytes(input, bytes, sizeof(bytes));
    return load_le16(bytes);
}

void fuzz_bytes(struct fuzz_input *input, void *buf, size_t len)
{
    size_t take = len < input->left ? len : input->left;

    if (take > 0)
        memcpy(buf, input->at, take);
    memset((uint8_t *)buf + take, 0, len - take);
    input->at += take;
    input->left -= take;
}

void fuzz_device_open(struct fuzz_device *fuzz, uint64_t bytes)
{
    struct keel_sim_options sim = KEEL_SIM_OPTIONS_DEFAULT;
    struct keel_ctx_options ctx = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_device_options device = KEEL_DEVICE_OPTIONS_DEFAULT;

    sim.seed = 1;
    int rc = keel_sim_create(&sim, &fuzz->sim);
    KEEL_ASSERT(rc == 0);
    ctx.method = KEEL_METHOD_SIM;
    ctx.sim = fuzz->sim;
    rc = keel_ctx_open(&ctx, &fuzz->ctx);
    KEEL_ASSERT(rc == 0);
    device.create_bytes = bytes;
    rc = keel_device_open(fuzz->ctx, PATH, &device, NULL, &fuzz->device);
    KEEL_ASSERT(rc == 0);
}

void fuzz_device_put(struct fuzz_device *fuzz, uint64_t offset, const void *bytes, uint32_t len)
{
    int rc = keel_sim_poke(fuzz->sim, PATH, offset, bytes, len);

    KEEL_ASSERT(rc == 0);
}

void fuzz_device_close(struct fuzz_device *fuzz)
{
    keel_device_close(fuzz->device);
    keel_ctx_close(fuzz->ctx);
    keel_sim_destroy(fuzz->sim);
}

void fuzz_cell(uint8_t block[KEEL_BLOCK_BYTES], uint64_t magic, uint64_t generation, unsigned copy,
               const void *payload, uint32_t len)
{
    KEEL_ASSERT(len <= KEEL_QUAD_PAYLOAD_MAX);
    memset(block, 0, KEEL_BLOCK_BYTES);
    store_le64(block + QUAD_AT_MAGIC, magic);
    store_le32(block + QUAD_AT_VERSION, 1);
    store_le64(block + QUAD_AT_GENERATION, generation);
    store_le32(block + QUAD_AT_COPY, copy);
    store_le32(block + QUAD_AT_LEN, len);
    memcpy(block + QUAD_AT_PAYLOAD, payload, len);
    store_le32(block + QUAD_AT_CRC, crc32c(0, block, KEEL_BLOCK_BYTES));
}

uint32_t fuzz_touch(const void *bytes, size_t len)
{
    return crc32c(0, bytes, len);
}
