/*
 * Reading ahead through the ring.
 *
 * The buffer is cut into up to eight parts, each with one read in flight; blocks are
 * given out in LSN order while the later reads go on. A read that fails is repeated block by block,
 * so that the error names the block; reading twice is harmless, unlike syncing twice.
 */
#include "wal/readahead.h"

#include <string.h>

#include "base/assert.h"

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void wal_readahead_begin_in(struct wal_readahead *ahead, struct keel_ctx *ctx, struct keel_wal *wal,
                            keel_lsn from, uint8_t *buffer, uint64_t bytes)
{
    KEEL_ASSERT(from % WAL_BLOCK == 0);
    KEEL_ASSERT(bytes >= 2 * WAL_BLOCK);
    memset(ahead, 0, sizeof(*ahead));
    ahead->wal = wal;
    ahead->ctx = ctx;
    ahead->buffer = buffer;
    ahead->ask_lsn = from;
    ahead->read_bytes = (uint32_t)min_u64(WAL_READ_BYTES_MAX, bytes / 2);
    ahead->read_count = (uint32_t)min_u64(WAL_READS_MAX, bytes / ahead->read_bytes);
}

void wal_readahead_begin(struct wal_readahead *ahead, struct keel_ctx *ctx, struct keel_wal *wal,
                         keel_lsn from)
{
    KEEL_ASSERT(!wal->started);
    wal_readahead_begin_in(ahead, ctx, wal, from, wal->buffer, wal->frame_count * WAL_BLOCK);
    ahead->arena = wal->arena;
}

/* Ask for what comes next, as far as there is room. */
static int read_ahead(struct wal_readahead *ahead, keel_lsn end)
{
    const struct keel_wal *wal = ahead->wal;

    while (ahead->tail - ahead->head < ahead->read_count && ahead->ask_lsn < end) {
        uint32_t part = ahead->tail % ahead->read_count;
        struct wal_read *read = &ahead->reads[part];
        uint64_t to_wrap = wal->ring_bytes - ahead->ask_lsn % wal->ring_bytes;
        uint64_t len = min_u64(ahead->read_bytes, end - ahead->ask_lsn);

        len = min_u64(len, to_wrap);
        read->lsn = ahead->ask_lsn;
        read->blocks = (uint32_t)(len / WAL_BLOCK);
        read->io = (struct keel_io){
            .device = wal->device,
            .arena = ahead->arena,
            .buf = ahead->buffer + (uint64_t)part * ahead->read_bytes,
            .offset_bytes = lsn_offset(wal->ring_bytes, read->lsn),
            .len_bytes = (uint32_t)len,
            .op = KEEL_OP_READ,
            .cls = KEEL_CLASS_READ,
        };
        int rc = keel_io_submit(ahead->ctx, &read->io);
        if (rc != 0)
            return rc;
        ahead->tail++;
        ahead->ask_lsn += len;
    }
    return 0;
}

/* Each block by itself; the first that fails is named. */
static int read_singly(struct wal_readahead *ahead, const struct wal_read *read)
{
    for (uint32_t i = 0; i < read->blocks; i++) {
        struct keel_io io = {
            .device = read->io.device,
            .arena = read->io.arena,
            .buf = (uint8_t *)read->io.buf + (uint64_t)i * WAL_BLOCK,
            .offset_bytes = read->io.offset_bytes + (uint64_t)i * WAL_BLOCK,
            .len_bytes = WAL_BLOCK,
            .op = KEEL_OP_READ,
            .cls = KEEL_CLASS_READ,
        };
        int rc = keel_io_submit(ahead->ctx, &io);
        if (rc != 0)
            return rc;
        rc = keel_io_wait(ahead->ctx, &io);
        if (rc != 0) {
            ahead->failed_lsn = read->lsn + (uint64_t)i * WAL_BLOCK;
            ahead->failed_res = rc;
            return KEEL_EREAD;
        }
    }
    return 0;
}

int wal_readahead_next(struct wal_readahead *ahead, keel_lsn end, const uint8_t **ret_block,
                       keel_lsn *ret_lsn)
{
    struct wal_read *read = &ahead->reads[ahead->head % ahead->read_count];

    if (ahead->head_ready && ahead->block == read->blocks) {
        ahead->head++;
        ahead->block = 0;
        ahead->head_ready = false;
        read = &ahead->reads[ahead->head % ahead->read_count];
    }
    if (!ahead->head_ready) {
        int rc = read_ahead(ahead, end);
        if (rc != 0)
            return rc;
        if (ahead->head == ahead->tail)
            return 0;
        rc = keel_io_wait(ahead->ctx, &read->io);
        if (rc != 0)
            rc = read_singly(ahead, read);
        ahead->head_ready = true;
        if (rc != 0)
            return rc;
    }
    *ret_block = (const uint8_t *)read->io.buf + (uint64_t)ahead->block * WAL_BLOCK;
    *ret_lsn = read->lsn + (uint64_t)ahead->block * WAL_BLOCK;
    ahead->block++;
    return 1;
}

void wal_readahead_end(struct wal_readahead *ahead)
{
    if (ahead->head_ready)
        ahead->head++;
    for (; ahead->head != ahead->tail; ahead->head++) {
        struct wal_read *read = &ahead->reads[ahead->head % ahead->read_count];
        keel_ignore(keel_io_wait(ahead->ctx, &read->io), "nobody wants these bytes");
    }
}
