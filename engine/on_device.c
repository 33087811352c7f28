/*
 * Finding and making a store on one device.
 *
 * The device is opened once and used as three parts: superblock, log, pages. Whether there is a
 * store is what the superblock says. Creation, so that a cut leaves all or nothing:
 *   - the *claim*, a block of its own, is written and synced: a creation is under way, and whatever
 *     else is on the device is rubbish. The device is open exclusively, so there is no other
 * creator
 *   - where the device may be overwritten, its first and last MiB are zeroed: nobody shall find a
 *     partition table or file system there
 *   - log and pages are written with zeroes and formatted, synced; then the superblock
 *   - the claim is zeroed and synced: the store is there
 * A device with a claim is one whose creation was cut: it is made again. Without claim and
 * superblock it must be empty, which is to say that its first and last MiB are zeroes: there each
 * partition table, file system, RAID or volume label has its mark.
 *
 * Failure modes: anything else there is KEEL_ENOTEMPTY, with its place; a superblock with too few
 * good copies is KEEL_ESUPER and never overwritten.
 */
#include "engine/on_device.h"

#include <string.h>

#include <keel/wal.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/endian.h"
#include "base/mem.h"
#include "engine/create.h"
#include "engine/device_format.h"
#include "engine/store.h"

#define LOOK_BYTES (64u << 10)

static uint64_t round_up(uint64_t bytes)
{
    return (bytes + DEVICE_UNIT - 1) / DEVICE_UNIT * DEVICE_UNIT;
}

void device_layout_make(uint64_t size_bytes, uint64_t log_bytes, uint64_t pages_bytes,
                        struct device_layout *ret)
{
    uint64_t pages_at = round_up(DEVICE_AT_LOG + log_bytes);
    uint64_t usable = size_bytes / KEEL_BLOCK_BYTES * KEEL_BLOCK_BYTES;

    *ret = (struct device_layout){
        .super = {DEVICE_AT_SUPER, DEVICE_AT_LOG, DEVICE_AT_LOG},
        .log = {DEVICE_AT_LOG, log_bytes, log_bytes},
        .pages = {pages_at, usable > pages_at ? usable - pages_at : 0, pages_bytes},
        .needed_bytes = pages_at + pages_bytes,
    };
}

/* ------------------------------------------------------------------ blocks of the head */

static int transfer(struct keel_ctx *ctx, struct keel_device *device, enum keel_op op, void *buf,
                    const struct keel_device_range *range)
{
    struct keel_io io = {.device = device,
                         .buf = buf,
                         .offset_bytes = range->offset_bytes,
                         .len_bytes = (uint32_t)range->size_bytes,
                         .op = (uint8_t)op,
                         .cls = KEEL_CLASS_READ};

    int rc = keel_io_submit(ctx, &io);
    return rc ? rc : keel_io_wait(ctx, &io);
}

static const struct keel_device_range claim_range = {DEVICE_AT_CLAIM, KEEL_BLOCK_BYTES,
                                                     KEEL_BLOCK_BYTES};

int device_claim_read(struct keel_ctx *ctx, struct keel_device *device, uint8_t *block)
{
    int rc = transfer(ctx, device, KEEL_OP_READ, block, &claim_range);
    if (rc)
        return rc;
    uint32_t crc = load_le32(block + CLAIM_AT_CRC);
    store_le32(block + CLAIM_AT_CRC, 0);
    return load_le64(block + CLAIM_AT_MAGIC) == CLAIM_MAGIC &&
           crc == crc32c(0, block, KEEL_BLOCK_BYTES);
}

static int claim_write(struct keel_ctx *ctx, struct keel_device *device, uint8_t *block,
                       bool claimed)
{
    memset(block, 0, KEEL_BLOCK_BYTES);
    if (claimed) {
        store_le64(block + CLAIM_AT_MAGIC, CLAIM_MAGIC);
        store_le32(block + CLAIM_AT_CRC, crc32c(0, block, KEEL_BLOCK_BYTES));
    }
    int rc = transfer(ctx, device, KEEL_OP_WRITE, block, &claim_range);
    return rc ? rc : store_sync_device(ctx, device);
}

/* ------------------------------------------------------------------ is it empty? */

/* Offset of the first byte in buf that is not zero, or len. */
static uint32_t first_byte(const uint8_t *buf, uint32_t len)
{
    uint32_t at = 0;

    while (at < len && buf[at] == 0)
        at++;
    return at;
}

static int look_at(struct keel_ctx *ctx, struct keel_device *device, uint64_t offset, uint8_t *buf,
                   struct keel_err_info *info)
{
    uint64_t end = offset + DEVICE_UNIT;

    for (uint64_t at = offset; at < end; at += LOOK_BYTES) {
        const struct keel_device_range range = {at, LOOK_BYTES, LOOK_BYTES};
        int rc = transfer(ctx, device, KEEL_OP_READ, buf, &range);
        if (rc)
            return rc;
        uint32_t found = first_byte(buf, LOOK_BYTES);
        if (found == LOOK_BYTES)
            continue;
        rc = store_error(info, KEEL_ENOTEMPTY, "create: it holds other data",
                         keel_device_info(device)->path);
        if (info)
            info->offset = at + found;
        return rc;
    }
    return 0;
}

static uint64_t last_unit(const struct keel_device *device)
{
    uint64_t size = keel_device_info(device)->size_bytes / KEEL_BLOCK_BYTES * KEEL_BLOCK_BYTES;

    KEEL_ASSERT(size >= DEVICE_UNIT);
    return size - DEVICE_UNIT;
}

static int expect_empty(struct keel_ctx *ctx, struct keel_device *device,
                        struct keel_err_info *info)
{
    uint8_t *buf = mem_map(LOOK_BYTES, 0);
    if (!buf)
        return -ENOMEM;

    int rc = look_at(ctx, device, 0, buf, info);
    if (rc == 0)
        rc = look_at(ctx, device, last_unit(device), buf, info);
    mem_unmap(buf, LOOK_BYTES);
    return rc;
}

/* Zeroes over the first MiB, but for the claim, and over the last one. */
static int wipe(struct keel_ctx *ctx, struct keel_device *device)
{
    const struct keel_device_range ranges[] = {
        {0, DEVICE_AT_CLAIM, 0},
        {DEVICE_AT_CLAIM + KEEL_BLOCK_BYTES, DEVICE_UNIT - DEVICE_AT_CLAIM - KEEL_BLOCK_BYTES, 0},
        {last_unit(device), DEVICE_UNIT, 0},
    };
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        struct keel_device *part;

        rc = keel_device_part(device, &ranges[i], &part);
        if (rc)
            return rc;
        rc = keel_device_grow(ctx, part, ranges[i].room_bytes); /* grows by zeroes */
        keel_device_close(part);
    }
    return rc;
}

/* ------------------------------------------------------------------ open and create */

/* Log and pages of a device whose superblock is known, or will be. */
static int open_parts(struct keel_store *store, const struct device_layout *layout)
{
    int rc = keel_device_part(store->whole_device, &layout->log, &store->wal_device);
    if (rc)
        return rc;
    rc = keel_device_part(store->whole_device, &layout->pages, &store->pages_device);
    if (rc)
        return rc;
    if (store->config.space_bytes_max > layout->pages.room_bytes)
        store->config.space_bytes_max = layout->pages.room_bytes;
    return 0;
}

static int too_small(struct keel_store *store, const struct device_layout *layout, int code,
                     struct keel_err_info *info)
{
    const struct keel_device_info *device = keel_device_info(store->whole_device);

    if (layout->needed_bytes <= device->size_bytes)
        return 0;
    int rc = store_error(info, code, "the device is too small", device->path);
    if (info) {
        info->want = layout->needed_bytes;
        info->got = device->size_bytes;
    }
    return rc;
}

static int open_found(struct keel_store *store, const char *path, struct keel_err_info *info)
{
    const struct superblock *super = &store->super;
    uint64_t size = keel_device_info(store->whole_device)->size_bytes;
    struct device_layout layout;

    if (super->log_bytes == 0)
        return store_error(info, KEEL_EFORMAT, "this is the store.keel of a folder", path);
    bool fits = super->space_pages <= size / super->page_bytes;
    device_layout_make(size, super->log_bytes,
                       fits ? super->space_pages * super->page_bytes : UINT64_MAX / 2, &layout);
    int rc = too_small(store, &layout, KEEL_EFORMAT, info);
    return rc ? rc : open_parts(store, &layout);
}

static int make_parts(struct keel_store *store, struct keel_ctx *ctx, struct device_layout *layout)
{
    uint64_t log_bytes = layout->log.size_bytes;
    uint64_t pages_bytes = layout->pages.size_bytes;

    layout->log.size_bytes = 0;
    layout->pages.size_bytes = 0;
    int rc = open_parts(store, layout);
    if (rc == 0)
        rc = keel_device_grow(ctx, store->wal_device, log_bytes);
    if (rc == 0)
        rc = keel_device_grow(ctx, store->pages_device, pages_bytes);
    return rc;
}

static int create_store(struct keel_store *store, struct keel_ctx *ctx, bool claimed,
                        struct keel_err_info *info)
{
    struct keel_device *device = store->whole_device;
    const struct store_config *config = &store->config;
    const char *path = keel_device_info(device)->path;
    struct device_layout layout;

    device_layout_make(keel_device_info(device)->size_bytes, config->log_bytes, config->space_bytes,
                       &layout);
    int rc = too_small(store, &layout, KEEL_ENOSPACE, info);
    if (rc == 0 && !claimed && !config->overwrite)
        rc = expect_empty(ctx, device, info);
    if (rc)
        return store_error(info, rc, "look at device", path);

    rc = claim_write(ctx, device, store->quad.block, true);
    if (rc == 0)
        rc = wipe(ctx, device);
    if (rc == 0)
        rc = make_parts(store, ctx, &layout);
    if (rc)
        return store_error(info, store_map_errno(rc), "create: write zeroes", path);
    store->super.log_bytes = config->log_bytes;
    rc = store_format(store, ctx, info);
    if (rc == 0)
        rc = store_choose_torn(store, info);
    if (rc == 0)
        rc = superblock_create(ctx, &store->quad, &store->super);
    if (rc == 0) /* the quad's block is free for others between its steps */
        rc = claim_write(ctx, device, store->quad.block, false);
    return rc ? store_error(info, store_map_errno(rc), "create superblock", path) : 0;
}

int store_on_device_open(struct keel_store *store, struct keel_ctx *ctx, const char *path,
                         struct keel_err_info *info)
{
    struct keel_device_options options = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct device_layout layout;
    uint64_t size;

    options.direct = KEEL_REQUIRED;
    options.shared = store->config.shared;
    int rc = store_map_errno(keel_device_open(ctx, path, &options, info, &store->whole_device));
    if (rc) {
        store->whole_device = NULL;
        return rc;
    }
    size = keel_device_info(store->whole_device)->size_bytes;
    device_layout_make(size, store->config.log_bytes, store->config.space_bytes, &layout);
    if (size < 2 * DEVICE_UNIT)
        return too_small(store, &layout, KEEL_ENOSPACE, info);
    rc = keel_device_part(store->whole_device, &layout.super, &store->super_device);
    if (rc == 0)
        rc = store_quad_init(store);
    if (rc)
        return store_error(info, rc, "open", path);

    int claimed = device_claim_read(ctx, store->whole_device, store->quad.block);
    if (claimed < 0)
        return store_error(info, KEEL_EREAD, "claim", path);
    rc = claimed ? KEEL_EFORMAT : superblock_open(ctx, &store->quad, &store->super);
    if (rc == 0)
        return open_found(store, path, info);
    if (rc != KEEL_EFORMAT)
        return store_error(info, rc, "superblock", path);
    if (store->config.create_off)
        return store_error(info, KEEL_ENOTFOUND, "open", path);
    return create_store(store, ctx, claimed, info);
}
