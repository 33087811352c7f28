/*
 * From a description to a log on a simulated device.
 */
#include "tests/fuzz/image.h"

#include <string.h>

#include "base/crc32c.h"
#include "base/endian.h"
#include "wal/block.h"
#include "wal/position.h"

#define PLACE_SUPER 255u

struct image {
    struct fuzz_device *fuzz;
    uint64_t ring_bytes;
    keel_lsn redo_lsn;
    struct wal_seed seed;
};

static void put_super(struct image *image, const uint8_t *payload, uint32_t len, unsigned from,
                      uint64_t generation)
{
    uint64_t offsets[4] = {0, WAL_BLOCK, WAL_RING_OFFSET + image->ring_bytes,
                           WAL_RING_OFFSET + image->ring_bytes + WAL_BLOCK};
    uint8_t cell[KEEL_BLOCK_BYTES];

    for (unsigned copy = from; copy < 4; copy++) {
        fuzz_cell(cell, WAL_MAGIC, generation, copy, payload, len);
        fuzz_device_put(image->fuzz, offsets[copy], cell, sizeof(cell));
    }
}

/* The LSN that a place has within the lap that begins at redo. */
static keel_lsn place_lsn(const struct image *image, uint64_t place)
{
    keel_lsn redo = lsn_block_down(image->redo_lsn);
    keel_lsn lsn = redo / image->ring_bytes * image->ring_bytes + place * WAL_BLOCK;

    return lsn < redo ? lsn + image->ring_bytes : lsn;
}

/* Checksums of the records that lie in this block from beginning to end. */
static void put_record_crcs(const struct image *image, uint8_t *block)
{
    keel_lsn lsn = load_le64(block + WAL_BLOCK_LSN);
    uint64_t at = load_le16(block + WAL_BLOCK_FIRST);
    uint8_t *payload = block + WAL_HEADER;

    while (at % WAL_RECORD_ALIGN == 0 && at + WAL_RECORD_HEADER <= WAL_PAYLOAD) {
        uint32_t len = load_le32(payload + at + WAL_RECORD_LEN);
        if (len > WAL_PAYLOAD || at + record_bytes(len) > WAL_PAYLOAD)
            return;
        uint32_t crc = crc32c(image->seed.record, payload + at + WAL_RECORD_HEADER, len);
        store_le32(payload + at + WAL_RECORD_CRC,
                   wal_record_crc(crc, payload + at, lsn + WAL_HEADER + at));
        at += record_bytes(len);
    }
}

static void put_block(struct image *image, struct fuzz_input *input)
{
    uint8_t block[WAL_BLOCK] = {0};
    uint8_t place = fuzz_u8(input);
    uint8_t flags = fuzz_u8(input);
    uint32_t len = fuzz_u16(input) % (WAL_BLOCK + 1u);

    fuzz_bytes(input, block, len);
    if (place == PLACE_SUPER) {
        put_super(image, block, len < KEEL_QUAD_PAYLOAD_MAX ? len : KEEL_QUAD_PAYLOAD_MAX, 2,
                  flags);
        return;
    }
    uint64_t index = place % (image->ring_bytes / WAL_BLOCK);
    if (flags & IMAGE_BLOCK_LSN)
        store_le64(block + WAL_BLOCK_LSN, place_lsn(image, index));
    if (flags & IMAGE_BLOCK_UUID)
        store_le32(block + WAL_BLOCK_UUID, image->seed.uuid_low);
    if (flags & IMAGE_BLOCK_RECORDS)
        put_record_crcs(image, block);
    if (flags & IMAGE_BLOCK_CRC)
        store_le32(block + WAL_BLOCK_CRC, wal_block_crc(&image->seed, block));
    fuzz_device_put(image->fuzz, WAL_RING_OFFSET + index * WAL_BLOCK, block, sizeof(block));
}

uint8_t image_open(struct fuzz_device *fuzz, const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    struct image image = {.fuzz = fuzz};
    uint8_t payload[WAL_SUPER_MAX];

    uint8_t flags = fuzz_u8(&input);
    uint32_t len = fuzz_u16(&input) % (WAL_SUPER_MAX + 1);
    memset(payload, 0, sizeof(payload));
    fuzz_bytes(&input, payload, len);
    image.ring_bytes = IMAGE_RING_SMALL * ((flags & IMAGE_LARGE) ? 2 : 1);
    if (flags & IMAGE_RING_RIGHT)
        store_le64(payload + WAL_SUPER_RING, image.ring_bytes);
    image.redo_lsn = load_le64(payload + WAL_SUPER_REDO);
    wal_seed_init(&image.seed, payload + WAL_SUPER_UUID);

    fuzz_device_open(fuzz, image.ring_bytes + WAL_SUPER_BYTES);
    put_super(&image, payload, len, 0, 1);
    while (input.left > 0)
        put_block(&image, &input);
    return flags;
}
