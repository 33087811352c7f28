/*
 * What host and witness say to each other: frames of one size over TCP, little-endian.
 *
 *   host      HELLO store | ACK writer seq ... | LIST
 *   witness   SEEN count  (after ACKs: how many frames of this connection are noted)
 *             ENTRY writer seq ..., END count  (after LIST)
 *
 * Transactions of a writer are numbered from 1 without gaps, so the highest acknowledged number of
 * each writer says it all. There is no authentication: a witness is for a test, in a network of
 * one's own.
 */
#ifndef KEEL_TOOLS_WITNESS_WIRE_H
#define KEEL_TOOLS_WITNESS_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/endian.h"
#include "tools/demo_layout.h"

#define WIRE_MAGIC   0x74776b6bu /* "kkwt" */
#define WIRE_VERSION 1u
#define WIRE_BYTES   32u

enum wire_type { WIRE_HELLO = 1, WIRE_ACK, WIRE_LIST, WIRE_SEEN, WIRE_ENTRY, WIRE_END };

struct wire_frame {
    enum wire_type type;
    uint32_t writer; /* ACK, ENTRY */
    uint64_t number; /* HELLO: store; ACK, ENTRY: seq; SEEN, END: count */
};

static inline void wire_store(uint8_t *to, struct wire_frame frame)
{
    store_le32(to, WIRE_MAGIC);
    store_le16(to + 4, WIRE_VERSION);
    store_le16(to + 6, (uint16_t)frame.type);
    store_le32(to + 8, frame.writer);
    store_le32(to + 12, 0);
    store_le64(to + 16, frame.number);
    store_le64(to + 24, 0);
}

/* False: this is no frame of ours. */
static inline bool wire_load(const uint8_t *from, struct wire_frame *ret)
{
    ret->type = (enum wire_type)load_le16(from + 6);
    ret->writer = load_le32(from + 8);
    ret->number = load_le64(from + 16);
    return load_le32(from) == WIRE_MAGIC && load_le16(from + 4) == WIRE_VERSION &&
           ret->type >= WIRE_HELLO && ret->type <= WIRE_END && ret->writer < DEMO_WRITERS_MAX;
}

#endif
