/*
 * Encoding, checking and stepping the store's superblock.
 *
 * A value is checked on its way out (assertion: ours to keep right) and on its way in (result: a
 * file may hold anything).
 */
#include "engine/superblock.h"

#include <string.h>

#include <keel/engine.h>
#include <keel/wal.h>

#include "base/assert.h"
#include "base/endian.h"
#include "base/prng.h"

#define LOG_BYTES_MAX (UINT64_C(1) << 40)

static bool valid(const struct superblock *super)
{
    uint32_t bytes = super->page_bytes;

    if (bytes < KEEL_PAGE_BYTES_MIN || bytes > KEEL_PAGE_BYTES_MAX || (bytes & (bytes - 1)) != 0)
        return false;
    if (super->log_bytes % KEEL_BLOCK_BYTES != 0 || super->log_bytes > LOG_BYTES_MAX ||
        (super->log_bytes != 0 && super->log_bytes < KEEL_WAL_BYTES_MIN))
        return false;
    if (super->torn != KEEL_TORN_IMAGES && super->torn != KEEL_TORN_ATOMIC)
        return false;
    return super->space_id == 1 && super->space_pages >= 2 &&
           super->space_pages <= UINT64_MAX / KEEL_PAGE_BYTES_MAX;
}

void superblock_encode(const struct superblock *super, uint8_t ret_bytes[SUPER_BYTES])
{
    KEEL_ASSERT(valid(super));

    memset(ret_bytes, 0, SUPER_BYTES);
    memcpy(ret_bytes + SUPER_AT_UUID, super->uuid, SUPER_UUID_BYTES);
    memcpy(ret_bytes + SUPER_AT_LOG_UUID, super->log_uuid, SUPER_UUID_BYTES);
    store_le32(ret_bytes + SUPER_AT_PAGE_BYTES, super->page_bytes);
    store_le32(ret_bytes + SUPER_AT_SPACE_ID, super->space_id);
    store_le64(ret_bytes + SUPER_AT_SPACE_PAGES, super->space_pages);
    store_le64(ret_bytes + SUPER_AT_LOG_BYTES, super->log_bytes);
    store_le32(ret_bytes + SUPER_AT_TORN, super->torn);
}

bool superblock_decode(const uint8_t *bytes, uint32_t len, struct superblock *ret)
{
    struct superblock super;

    if (len != SUPER_BYTES)
        return false;
    for (uint32_t at = SUPER_AT_RESERVED; at < SUPER_BYTES; at++) {
        if (bytes[at] != 0)
            return false;
    }

    memcpy(super.uuid, bytes + SUPER_AT_UUID, SUPER_UUID_BYTES);
    memcpy(super.log_uuid, bytes + SUPER_AT_LOG_UUID, SUPER_UUID_BYTES);
    super.page_bytes = load_le32(bytes + SUPER_AT_PAGE_BYTES);
    super.space_id = load_le32(bytes + SUPER_AT_SPACE_ID);
    super.space_pages = load_le64(bytes + SUPER_AT_SPACE_PAGES);
    super.log_bytes = load_le64(bytes + SUPER_AT_LOG_BYTES);
    super.torn = load_le32(bytes + SUPER_AT_TORN);
    if (!valid(&super))
        return false;
    *ret = super;
    return true;
}

/* The oldest that has what is in it. */
static uint32_t version_of(const struct superblock *super)
{
    return super->torn == KEEL_TORN_IMAGES ? 1 : SUPER_VERSION;
}

void superblock_quad_init(struct keel_quad *quad, struct keel_device *device,
                          struct keel_arena *arena, void *block)
{
    KEEL_ASSERT(((uintptr_t)block & (KEEL_BLOCK_BYTES - 1)) == 0);

    *quad = (struct keel_quad){
        .device = device,
        .offsets = {0, KEEL_BLOCK_BYTES, 2 * KEEL_BLOCK_BYTES, 3 * KEEL_BLOCK_BYTES},
        .magic = SUPER_MAGIC,
        .version = SUPER_VERSION,
        .arena = arena,
        .block = block,
    };
}

int superblock_create(struct keel_ctx *ctx, struct keel_quad *quad, const struct superblock *super)
{
    uint8_t bytes[SUPER_BYTES];

    superblock_encode(super, bytes);
    quad->version = version_of(super);
    return keel_quad_create(ctx, quad, bytes, sizeof(bytes));
}

int superblock_step(struct keel_ctx *ctx, struct keel_quad *quad, const struct superblock *super)
{
    uint8_t bytes[SUPER_BYTES];

    superblock_encode(super, bytes);
    quad->version = version_of(super);
    return keel_quad_step(ctx, quad, bytes, sizeof(bytes));
}

int superblock_open(struct keel_ctx *ctx, struct keel_quad *quad, struct superblock *ret)
{
    uint8_t bytes[KEEL_QUAD_PAYLOAD_MAX];
    uint32_t len = sizeof(bytes);

    int rc = keel_quad_open(ctx, quad, true, bytes, &len);
    if (rc)
        return rc;
    return superblock_decode(bytes, len, ret) ? 0 : KEEL_EFORMAT;
}

void superblock_make_uuid(const uint8_t log_uuid[SUPER_UUID_BYTES],
                          uint8_t ret_uuid[SUPER_UUID_BYTES])
{
    struct prng prng;

    prng_seed(&prng, load_le64(log_uuid) ^ load_le64(log_uuid + 8));
    store_le64(ret_uuid, prng_u64(&prng));
    store_le64(ret_uuid + 8, prng_u64(&prng));
    ret_uuid[6] = (uint8_t)((ret_uuid[6] & 0x0f) | 0x40); /* version 4, variant 1 */
    ret_uuid[8] = (uint8_t)((ret_uuid[8] & 0x3f) | 0x80);
}
