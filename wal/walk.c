/*
 * The chain of records.
 *
 * Records are laid end to end through the used payload of consecutive blocks, so one cursor that
 * knows how much of the current record is still to come follows them across edges. What blocks and
 * headers say about the chain twice (first record, length of the group, last flag) must agree.
 *
 * With an assembly buffer the payload is given out in one piece: in place where it lies in one
 * block, else copied together.
 */
#include "wal/walk.h"

#include <string.h>

#include "base/assert.h"
#include "base/endian.h"
#include "wal/position.h"

void wal_walk_begin(struct wal_walk *walk, keel_lsn base_lsn, uint8_t *assembly, bool whole)
{
    memset(walk, 0, sizeof(*walk));
    walk->base_lsn = base_lsn;
    walk->assembly = assembly;
    walk->in_step = whole;
}

/* A whole header is there: does it fit to what came before it? */
static bool header_read(struct wal_walk *walk)
{
    struct wal_found *found = &walk->found;
    uint32_t group = load_le32(found->header + WAL_RECORD_GROUP);
    uint8_t flags = found->header[WAL_RECORD_FLAGS];

    found->len = load_le32(found->header + WAL_RECORD_LEN);
    found->type = found->header[WAL_RECORD_TYPE];
    found->last = (flags & WAL_FLAG_LAST) != 0;
    found->data = NULL;
    if (found->len > KEEL_WAL_RECORD_MAX || found->type == 0 || (flags & ~WAL_FLAG_LAST) != 0)
        return false;
    if (load_le16(found->header + WAL_RECORD_RESERVED) != 0)
        return false;

    uint64_t bytes = record_bytes(found->len);
    if (walk->in_group && walk->group_left != group)
        return false;
    if (found->last ? group != bytes : group <= bytes)
        return false;
    walk->body = (uint32_t)bytes - WAL_RECORD_HEADER;
    walk->group_left = group - (uint32_t)bytes;

    /* The record's LSN as a position, the group's length added, and back. */
    uint64_t block = (found->lsn - walk->base_lsn) / WAL_BLOCK;
    uint64_t offset = (found->lsn - walk->base_lsn) % WAL_BLOCK - WAL_HEADER;
    found->group_end_lsn = position_end(walk->base_lsn, block * WAL_PAYLOAD + offset + group);
    return true;
}

/* Take bytes of the header from the block; how many. */
static uint32_t take_header(struct wal_walk *walk, const uint8_t *at, uint32_t left)
{
    uint32_t want = WAL_RECORD_HEADER - walk->filled;
    uint32_t take = want < left ? want : left;

    memcpy(walk->found.header + walk->filled, at, take);
    walk->filled += take;
    return take;
}

/* Take bytes of payload and padding; how many. */
static uint32_t take_body(struct wal_walk *walk, const uint8_t *at, uint32_t left)
{
    uint32_t done = walk->filled - WAL_RECORD_HEADER;
    uint32_t want = walk->body - done;
    uint32_t take = want < left ? want : left;

    if (done == 0 && take == walk->body) {
        walk->found.data = walk->assembly ? at : NULL;
    } else if (walk->assembly) {
        memcpy(walk->assembly + done, at, take);
        walk->found.data = walk->assembly;
    }
    walk->filled += take;
    return take;
}

void wal_walk_block(struct wal_walk *walk, const uint8_t *block, const struct wal_block_head *head)
{
    walk->block = block;
    walk->head = *head;
    walk->first = WAL_FIRST_NONE;
    walk->at = 0;
    if (!walk->in_step)
        walk->at = head->first == WAL_FIRST_NONE ? head->used : head->first;
}

/* All of the block is walked: does it say of itself what was found in it? */
static int block_through(struct wal_walk *walk)
{
    if (!walk->in_step)
        return 0;
    /* A block is closed early only between two groups. */
    if (walk->head.used < WAL_PAYLOAD && (walk->filled != 0 || walk->in_group))
        return KEEL_ECORRUPT;
    return walk->first == walk->head.first ? 0 : KEEL_ECORRUPT;
}

int wal_walk_next(struct wal_walk *walk)
{
    const uint8_t *payload = walk->block + WAL_HEADER;
    const struct wal_block_head *head = &walk->head;
    struct wal_found *found = &walk->found;

    while (walk->at < head->used) {
        walk->in_step = true;
        if (walk->filled == 0) {
            found->lsn = head->lsn + WAL_HEADER + walk->at;
            walk->first = walk->first == WAL_FIRST_NONE ? walk->at : walk->first;
        }
        if (walk->filled < WAL_RECORD_HEADER) {
            walk->at += take_header(walk, payload + walk->at, head->used - walk->at);
            if (walk->filled < WAL_RECORD_HEADER)
                break;
            if (!header_read(walk))
                return KEEL_ECORRUPT;
        }
        if (walk->at < head->used || walk->body == 0)
            walk->at += take_body(walk, payload + walk->at, head->used - walk->at);
        if (walk->filled < WAL_RECORD_HEADER + walk->body)
            break;

        KEEL_ASSERT(walk->at <= head->used);
        found->end_lsn = head->lsn + WAL_HEADER + walk->at;
        walk->filled = 0;
        walk->in_group = !found->last;
        return 1;
    }
    return block_through(walk);
}
