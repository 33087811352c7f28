/*
 * The four-copy cell: a small record that survives a torn write and a lost block.
 *
 * A step writes copy 0, waits until it is durable, then copy 1 and so on, so that at any instant at
 * most one copy is torn, and the others are of this step or the one before. It counts when three
 * are durable. Opening takes the newest valid copy and writes it over those that are not it, before
 * anything else, so that a step which a crash cut off is either undone or done in full. Copies that
 * were found good are left alone: an orderly close leaves four, and opening then writes nothing.
 *
 * Failure modes: a copy that cannot be read counts as invalid; a copy that cannot be written is
 * skipped as long as three can.
 */
#include "iosched/quad_format.h"

#include <string.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/endian.h"
#include "keel/iosched.h"

static int transfer(struct keel_ctx *ctx, const struct keel_quad *quad, enum keel_op op,
                    unsigned copy)
{
    struct keel_io io = {
        .device = quad->device,
        .arena = quad->arena,
        .buf = quad->block,
        .offset_bytes = quad->offsets[copy],
        .len_bytes = KEEL_BLOCK_BYTES,
        .op = (uint8_t)op,
        .cls = KEEL_CLASS_WAL,
        .flags = op == KEEL_OP_WRITE ? KEEL_IO_DSYNC : 0,
    };

    int rc = keel_io_submit(ctx, &io);
    return rc ? rc : keel_io_wait(ctx, &io);
}

static uint32_t block_crc(void *block)
{
    uint32_t stored = load_le32((char *)block + QUAD_AT_CRC);

    store_le32((char *)block + QUAD_AT_CRC, 0);
    uint32_t crc = crc32c(0, block, KEEL_BLOCK_BYTES);
    store_le32((char *)block + QUAD_AT_CRC, stored);
    return crc;
}

static void encode(const struct keel_quad *quad, unsigned copy, const void *payload, uint32_t len)
{
    char *block = quad->block;

    KEEL_ASSERT(len <= KEEL_QUAD_PAYLOAD_MAX);
    memset(block, 0, KEEL_BLOCK_BYTES);
    store_le64(block + QUAD_AT_MAGIC, quad->magic);
    store_le32(block + QUAD_AT_VERSION, quad->version);
    store_le64(block + QUAD_AT_GENERATION, quad->generation);
    store_le32(block + QUAD_AT_COPY, copy);
    store_le32(block + QUAD_AT_LEN, len);
    memcpy(block + QUAD_AT_PAYLOAD, payload, len);
    store_le32(block + QUAD_AT_CRC, block_crc(block));
}

/* Write the copies one after another with the present generation, but those that hold it already
 * (bit 1 << copy of good). */
static int write_copies(struct keel_ctx *ctx, struct keel_quad *quad, unsigned good,
                        const void *payload, uint32_t len)
{
    unsigned durable = 0;
    int first_error = 0;

    for (unsigned copy = 0; copy < QUAD_COPIES; copy++) {
        if (good & 1u << copy) {
            durable++;
            continue;
        }
        encode(quad, copy, payload, len);
        KEEL_DCHECK(block_crc(quad->block) == load_le32((char *)quad->block + QUAD_AT_CRC));
        int rc = transfer(ctx, quad, KEEL_OP_WRITE, copy);
        if (rc == 0)
            durable++;
        else if (first_error == 0)
            first_error = rc;
    }
    if (durable >= QUAD_DURABLE) {
        quad->steps_written += good != QUAD_ALL;
        return 0;
    }
    return first_error;
}

int keel_quad_create(struct keel_ctx *ctx, struct keel_quad *quad, const void *payload,
                     uint32_t len)
{
    if (len > KEEL_QUAD_PAYLOAD_MAX)
        return KEEL_ERANGE;
    quad->generation = 1;
    return write_copies(ctx, quad, 0, payload, len);
}

int keel_quad_step(struct keel_ctx *ctx, struct keel_quad *quad, const void *payload, uint32_t len)
{
    KEEL_ASSERT(quad->generation > 0);
    if (len > KEEL_QUAD_PAYLOAD_MAX)
        return KEEL_ERANGE;
    quad->generation++;
    return write_copies(ctx, quad, 0, payload, len);
}

/* What reading the copies showed. */
struct choice {
    unsigned valid;
    unsigned with_magic;
    unsigned unreadable;
    uint64_t generation; /* newest valid one */
    uint32_t version;    /* highest of the valid ones */
    unsigned copy;       /* where the newest is */
    uint32_t content;    /* checksum of what is the same in all its copies */
    unsigned good;       /* the copies that hold just that, as bits */
};

static uint32_t content_crc(const void *block)
{
    const char *bytes = block;
    uint32_t crc = crc32c(0, bytes + QUAD_AT_VERSION, QUAD_AT_COPY - QUAD_AT_VERSION);

    return crc32c(crc, bytes + QUAD_AT_LEN, KEEL_BLOCK_BYTES - QUAD_AT_LEN);
}

static bool is_valid(const struct keel_quad *quad, unsigned copy)
{
    const char *block = quad->block;

    return load_le64(block + QUAD_AT_MAGIC) == quad->magic &&
           load_le32(block + QUAD_AT_CRC) == block_crc(quad->block) &&
           load_le32(block + QUAD_AT_COPY) == copy && load_le64(block + QUAD_AT_GENERATION) > 0 &&
           load_le32(block + QUAD_AT_LEN) <= KEEL_QUAD_PAYLOAD_MAX;
}

/* Read all four and look at them. */
static void look(struct keel_ctx *ctx, struct keel_quad *quad, struct choice *ret)
{
    *ret = (struct choice){0};
    for (unsigned copy = 0; copy < QUAD_COPIES; copy++) {
        const char *block = quad->block;

        if (transfer(ctx, quad, KEEL_OP_READ, copy) != 0) {
            ret->unreadable++;
            continue;
        }
        if (load_le64(block + QUAD_AT_MAGIC) == quad->magic)
            ret->with_magic++;
        if (!is_valid(quad, copy))
            continue;
        ret->valid++;
        if (load_le32(block + QUAD_AT_VERSION) > ret->version)
            ret->version = load_le32(block + QUAD_AT_VERSION);
        if (load_le64(block + QUAD_AT_GENERATION) > ret->generation) {
            ret->generation = load_le64(block + QUAD_AT_GENERATION);
            ret->copy = copy;
            ret->content = content_crc(block);
            ret->good = 0;
        }
        if (content_crc(block) == ret->content)
            ret->good |= 1u << copy;
    }
}

static int judge(const struct keel_quad *quad, const struct choice *choice)
{
    if (choice->valid < QUAD_VALID_MIN && choice->unreadable > 0)
        return KEEL_EREAD;
    if (choice->with_magic == 0)
        return KEEL_EFORMAT;
    if (choice->valid < QUAD_VALID_MIN)
        return KEEL_ESUPER;
    if (choice->version > quad->version)
        return KEEL_EVERSION;
    return 0;
}

int keel_quad_open(struct keel_ctx *ctx, struct keel_quad *quad, bool repair, void *ret,
                   uint32_t *len)
{
    struct choice choice;

    look(ctx, quad, &choice);
    int rc = judge(quad, &choice);
    if (rc)
        return rc;

    rc = transfer(ctx, quad, KEEL_OP_READ, choice.copy);
    if (rc)
        return KEEL_EREAD;
    if (!is_valid(quad, choice.copy)) /* it was, a moment ago */
        return KEEL_ESUPER;
    uint32_t bytes = load_le32((char *)quad->block + QUAD_AT_LEN);
    if (bytes > *len)
        return KEEL_ERANGE;
    memcpy(ret, (char *)quad->block + QUAD_AT_PAYLOAD, bytes);
    *len = bytes;
    quad->generation = choice.generation;
    quad->copies_good = choice.good;
    return repair ? write_copies(ctx, quad, choice.good, ret, bytes) : 0;
}
