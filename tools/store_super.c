/*
 * Reads through the caller's context, block by block.
 */
#include "tools/store_super.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "engine/device_format.h"

enum keel_method store_method(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISCHR(st.st_mode) ? KEEL_METHOD_NVME : KEEL_METHOD_AUTO;
}

static int read_with(struct keel_ctx *ctx, struct keel_device *device, void *block,
                     struct store_super *ret)
{
    struct keel_quad quad;
    uint8_t bytes[KEEL_QUAD_PAYLOAD_MAX];
    uint32_t len = sizeof(bytes);

    superblock_quad_init(&quad, device, NULL, block);
    int rc = keel_quad_open(ctx, &quad, false, bytes, &len);
    if (rc)
        return rc;
    if (!superblock_decode(bytes, len, &ret->super))
        return KEEL_EFORMAT;
    ret->generation = quad.generation;
    ret->copies = (unsigned)__builtin_popcount(quad.copies_good);
    if (ret->super.log_bytes == 0)
        return 0;
    /* With a claim what is there is what was there before, and rubbish by now. */
    int claimed = device_claim_read(ctx, device, block);
    return claimed > 0 ? KEEL_EFORMAT : claimed;
}

int store_super_read(struct keel_ctx *ctx, struct keel_device *device, struct store_super *ret)
{
    if (keel_device_info(device)->size_bytes < SUPER_FILE_BYTES)
        return KEEL_EFORMAT;
    void *block = mem_alloc_aligned(KEEL_BLOCK_BYTES, KEEL_BLOCK_BYTES);
    if (!block)
        return -ENOMEM;
    int rc = read_with(ctx, device, block, ret);
    mem_free(block);
    return rc;
}

int store_super_layout(const struct store_super *store, const struct keel_device *device,
                       struct device_layout *ret)
{
    uint64_t size = keel_device_info(device)->size_bytes;
    const struct superblock *super = &store->super;

    if (super->log_bytes == 0 || super->log_bytes > size ||
        super->space_pages > size / super->page_bytes)
        return KEEL_EFORMAT;
    device_layout_make(size, super->log_bytes, super->space_pages * super->page_bytes, ret);
    return ret->needed_bytes <= size ? 0 : KEEL_EFORMAT;
}
