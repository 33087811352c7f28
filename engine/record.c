/*
 * Taking a record apart, and applying it.
 */
#include "engine/record.h"

#include <string.h>

#include "base/assert.h"

#define SPACE_ID 1u

bool record_parse(const struct keel_wal_entry *entry, uint32_t page_len, keel_pageno pages,
                  struct record *ret)
{
    const uint8_t *bytes = entry->data;

    if (entry->len < RECORD_PAGE_BYTES || load_le32(bytes + RECORD_AT_SPACE) != SPACE_ID)
        return false;
    *ret = (struct record){
        .type = (enum record_type)entry->type,
        .pageno = load_le64(bytes + RECORD_AT_PAGENO),
        .len = page_len,
    };
    if (ret->pageno >= pages)
        return false;

    if (entry->type == RECORD_ZERO)
        return entry->len == RECORD_PAGE_BYTES;
    if (entry->type == RECORD_IMAGE) {
        ret->bytes = bytes + RECORD_PAGE_BYTES;
        return entry->len == RECORD_PAGE_BYTES + page_len;
    }
    if (entry->type != RECORD_DELTA || entry->len < RECORD_DELTA_BYTES)
        return false;
    ret->offset = load_le16(bytes + RECORD_AT_OFFSET);
    ret->len = load_le16(bytes + RECORD_AT_LEN);
    ret->bytes = bytes + RECORD_DELTA_BYTES;
    return ret->len > 0 && entry->len == RECORD_DELTA_BYTES + ret->len &&
           ret->offset + ret->len <= page_len;
}

void record_apply(const struct record *record, uint8_t *user)
{
    KEEL_ASSERT((record->bytes == NULL) == (record->type == RECORD_ZERO));

    if (record->bytes)
        memcpy(user + record->offset, record->bytes, record->len);
    else
        memset(user, 0, record->len);
}
