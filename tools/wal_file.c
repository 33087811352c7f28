/*
 * Reads through a context of its own, a window of blocks at a time, because a dump asks for one
 * block after the other.
 */
#include "tools/wal_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/endian.h"
#include "base/mem.h"
#include "engine/device_format.h"
#include "iosched/quad_format.h"
#include "tools/cli.h"
#include "tools/store_super.h"
#include "wal/position.h"

#define WINDOW_BYTES (256u * 1024u)

static int find_log(struct wal_file *file, const char *path)
{
    struct stat st;
    if (stat(path, &st))
        return errno == ENOENT ? KEEL_ENOTFOUND : -errno;
    bool folder = S_ISDIR(st.st_mode);
    file->method = store_method(path);
    int len = snprintf(file->path, sizeof(file->path), "%s%s", path, folder ? "/wal.keel" : "");
    if (len >= (int)sizeof(file->path))
        return -ENAMETOOLONG;

    char store[sizeof(file->path) + 16];
    const char *slash = strrchr(file->path, '/');
    snprintf(store, sizeof(store), "%.*sstore.keel", slash ? (int)(slash - file->path + 1) : 0,
             file->path);
    file->of_store = access(store, F_OK) == 0;
    return 0;
}

static int read_block(struct wal_file *file, uint64_t offset, void *buf, uint32_t len)
{
    struct keel_io io = {.device = file->device,
                         .buf = buf,
                         .offset_bytes = offset,
                         .len_bytes = len,
                         .op = KEEL_OP_READ,
                         .cls = KEEL_CLASS_READ};
    int rc = keel_io_submit(file->ctx, &io);
    return rc ? rc : keel_io_wait(file->ctx, &io);
}

/* The newest copy that is valid by itself. False: there is none. */
static bool read_single_copy(struct wal_file *file, struct keel_quad *quad, uint8_t *payload,
                             uint32_t *len)
{
    char *block = file->cell;
    quad->generation = 0;
    for (unsigned copy = 0; copy < QUAD_COPIES; copy++) {
        if (read_block(file, quad->offsets[copy], block, WAL_BLOCK) != 0)
            continue;
        uint64_t generation = load_le64(block + QUAD_AT_GENERATION);
        uint32_t crc = load_le32(block + QUAD_AT_CRC);
        uint32_t bytes = load_le32(block + QUAD_AT_LEN);
        store_le32(block + QUAD_AT_CRC, 0);
        if (load_le64(block + QUAD_AT_MAGIC) != WAL_MAGIC || crc != crc32c(0, block, WAL_BLOCK) ||
            load_le32(block + QUAD_AT_VERSION) > WAL_VERSION ||
            load_le32(block + QUAD_AT_COPY) != copy || generation <= quad->generation ||
            bytes > WAL_SUPER_MAX)
            continue;
        quad->generation = generation;
        *len = bytes;
        memcpy(payload, block + QUAD_AT_PAYLOAD, bytes);
    }
    return quad->generation > 0;
}

static int read_super(struct wal_file *file, bool damaged)
{
    struct keel_quad quad;
    uint8_t payload[WAL_SUPER_MAX];
    uint32_t len = sizeof(payload);
    if (keel_device_info(file->device)->size_bytes < KEEL_WAL_BYTES_MIN)
        return KEEL_EFORMAT;
    wal_super_cell(&quad, file->device, NULL, file->cell);
    file->copies_valid = 2;
    int rc = keel_quad_open(file->ctx, &quad, false, payload, &len);
    if (damaged && (rc == KEEL_ESUPER || rc == KEEL_EREAD) &&
        read_single_copy(file, &quad, payload, &len)) {
        file->copies_valid = 1;
        rc = 0;
    }
    if (rc)
        return rc;
    file->generation = quad.generation;
    rc = wal_super_decode(&file->super, payload, len);
    if (rc)
        return rc;
    if (file->super.ring_bytes + WAL_SUPER_BYTES > keel_device_info(file->device)->size_bytes)
        return KEEL_ESUPER;
    wal_seed_init(&file->seed, file->super.uuid);
    return 0;
}

static int use_part(struct wal_file *file, uint64_t log_bytes)
{
    const struct keel_device_range range = {DEVICE_AT_LOG, log_bytes, log_bytes};

    if (file->device != file->whole)
        keel_device_close(file->device);
    file->device = NULL;
    return keel_device_part(file->whole, &range, &file->device);
}

/*
 * The device holds a store: its log is a part of it, as long as the superblock says. Where that
 * cannot be read, the log's own superblock says it, whose first two copies are at its front: from
 * there to the end of the device is looked at first.
 */
static int read_in_store(struct wal_file *file, bool damaged)
{
    struct device_layout layout;
    struct store_super store;
    uint64_t size = keel_device_info(file->device)->size_bytes / WAL_BLOCK * WAL_BLOCK;

    file->whole = file->device;
    file->of_store = true;
    int rc = store_super_read(file->ctx, file->whole, &store);
    if (rc == 0)
        rc = store_super_layout(&store, file->whole, &layout);
    if (rc == 0)
        rc = use_part(file, store.super.log_bytes);
    if (rc == 0)
        return read_super(file, damaged);
    if (!damaged || (rc != KEEL_ESUPER && rc != KEEL_EREAD) || size <= DEVICE_AT_LOG)
        return rc;
    rc = use_part(file, size - DEVICE_AT_LOG);
    if (rc == 0)
        rc = read_super(file, true);
    if (rc == 0)
        rc = use_part(file, file->super.ring_bytes + WAL_SUPER_BYTES);
    return rc ? rc : read_super(file, true);
}

static int open_file(struct wal_file *file, const char *path, bool damaged,
                     struct keel_err_info *info)
{
    struct keel_device_options options = KEEL_DEVICE_OPTIONS_DEFAULT;
    options.read_only = true;
    *file = (struct wal_file){0};
    int rc = find_log(file, path);
    if (rc)
        goto fail;
    rc = cli_ctx_open(file->method, &file->ctx);
    if (rc)
        goto fail;
    rc = keel_device_open(file->ctx, file->path, &options, info, &file->device);
    if (rc)
        goto fail;
    file->cell = mem_alloc_aligned(WAL_BLOCK, WAL_BLOCK);
    file->window = mem_alloc_aligned(WAL_BLOCK, WINDOW_BYTES);
    rc = file->cell && file->window ? read_super(file, damaged) : -ENOMEM;
    if (rc == KEEL_EFORMAT)
        rc = read_in_store(file, damaged);
    if (rc)
        goto fail;
    return 0;
fail:
    wal_file_close(file);
    return rc;
}

int wal_file_open(struct wal_file *file, const char *path, struct keel_err_info *info)
{
    return open_file(file, path, false, info);
}

int wal_file_open_damaged(struct wal_file *file, const char *path, struct keel_err_info *info)
{
    return open_file(file, path, true, info);
}

void wal_file_close(struct wal_file *file)
{
    if (file->whole == file->device)
        file->whole = NULL;
    if (file->device)
        keel_device_close(file->device);
    if (file->whole)
        keel_device_close(file->whole);
    if (file->ctx)
        keel_ctx_close(file->ctx);
    mem_free(file->window);
    mem_free(file->cell);
    file->device = NULL;
    file->whole = NULL;
    file->ctx = NULL;
    file->window = file->cell = NULL;
}

int wal_file_block(struct wal_file *file, keel_lsn lsn, const uint8_t **ret)
{
    uint64_t offset = lsn_offset(file->super.ring_bytes, lsn);
    if (offset < file->window_offset || offset >= file->window_offset + file->window_bytes) {
        uint64_t left = WAL_RING_OFFSET + file->super.ring_bytes - offset;
        uint32_t len = left < WINDOW_BYTES ? (uint32_t)left : WINDOW_BYTES;
        file->window_bytes = 0;
        /* A window that cannot be read whole is read block by block as they are asked for. */
        if (read_block(file, offset, file->window, len) != 0) {
            len = WAL_BLOCK;
            if (read_block(file, offset, file->window, len) != 0)
                return KEEL_EREAD;
        }
        file->window_offset = offset;
        file->window_bytes = len;
    }
    KEEL_ASSERT((offset - file->window_offset) % WAL_BLOCK == 0);
    *ret = file->window + (offset - file->window_offset);
    return 0;
}
