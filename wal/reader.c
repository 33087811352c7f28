/*
 * Reading ahead through the ring.
 *
 * The log's own buffer is cut into up to eight parts, each with one read in flight; blocks are
 * given out in LSN order while the later reads go on. A read that fails is repeated block by block,
 * so that the error names the block; reading twice is harmless, unlike syncing twice.
 */
#include "wal/reader.h"

#include <string.h>

#include "base/assert.h"

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void wal_reader_open(struct wal_reader *reader, struct keel_ctx *ctx, struct keel_wal *wal,
                     keel_lsn from, keel_lsn end)
{
    uint64_t bytes = wal->frame_count * WAL_BLOCK;

    KEEL_ASSERT(!wal->started);
    KEEL_ASSERT(from % WAL_BLOCK == 0 && end % WAL_BLOCK == 0);
    KEEL_ASSERT(end <= from || end - from <= wal->ring_bytes);
    memset(reader, 0, sizeof(*reader));
    reader->wal = wal;
    reader->ctx = ctx;
    reader->ask_lsn = from;
    reader->end_lsn = end;
    reader->read_bytes = (uint32_t)min_u64(WAL_READ_BYTES_MAX, bytes / 2);
    reader->read_count = (uint32_t)min_u64(WAL_READS_MAX, bytes / reader->read_bytes);
}

/* Ask for what comes next, as far as there is room. */
static int read_ahead(struct wal_reader *reader)
{
    const struct keel_wal *wal = reader->wal;

    while (reader->tail - reader->head < reader->read_count && reader->ask_lsn < reader->end_lsn) {
        uint32_t part = reader->tail % reader->read_count;
        struct wal_read *read = &reader->reads[part];
        uint64_t to_wrap = wal->ring_bytes - reader->ask_lsn % wal->ring_bytes;
        uint64_t len = min_u64(reader->read_bytes, reader->end_lsn - reader->ask_lsn);

        len = min_u64(len, to_wrap);
        read->lsn = reader->ask_lsn;
        read->blocks = (uint32_t)(len / WAL_BLOCK);
        read->io = (struct keel_io){
            .device = wal->device,
            .arena = wal->arena,
            .buf = wal->buffer + (uint64_t)part * reader->read_bytes,
            .offset_bytes = lsn_offset(wal->ring_bytes, read->lsn),
            .len_bytes = (uint32_t)len,
            .op = KEEL_OP_READ,
            .cls = KEEL_CLASS_READ,
        };
        int rc = keel_io_submit(reader->ctx, &read->io);
        if (rc != 0)
            return rc;
        reader->tail++;
        reader->ask_lsn += len;
    }
    return 0;
}

/* Each block by itself; the first that fails is named. */
static int read_singly(struct wal_reader *reader, const struct wal_read *read)
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
        int rc = keel_io_submit(reader->ctx, &io);
        if (rc != 0)
            return rc;
        rc = keel_io_wait(reader->ctx, &io);
        if (rc != 0) {
            reader->failed_lsn = read->lsn + (uint64_t)i * WAL_BLOCK;
            reader->failed_res = rc;
            return KEEL_EREAD;
        }
    }
    return 0;
}

int wal_reader_next(struct wal_reader *reader, const uint8_t **ret_block, keel_lsn *ret_lsn)
{
    struct wal_read *read = &reader->reads[reader->head % reader->read_count];

    if (reader->head_ready && reader->block == read->blocks) {
        reader->head++;
        reader->block = 0;
        reader->head_ready = false;
        read = &reader->reads[reader->head % reader->read_count];
    }
    if (!reader->head_ready) {
        int rc = read_ahead(reader);
        if (rc != 0)
            return rc;
        if (reader->head == reader->tail)
            return 0;
        rc = keel_io_wait(reader->ctx, &read->io);
        if (rc != 0)
            rc = read_singly(reader, read);
        reader->head_ready = true;
        if (rc != 0)
            return rc;
    }
    *ret_block = (const uint8_t *)read->io.buf + (uint64_t)reader->block * WAL_BLOCK;
    *ret_lsn = read->lsn + (uint64_t)reader->block * WAL_BLOCK;
    reader->block++;
    return 1;
}

void wal_reader_close(struct wal_reader *reader)
{
    if (reader->head_ready)
        reader->head++;
    for (; reader->head != reader->tail; reader->head++) {
        struct wal_read *read = &reader->reads[reader->head % reader->read_count];
        keel_ignore(keel_io_wait(reader->ctx, &read->io), "nobody wants these bytes");
    }
}
