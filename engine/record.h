/*
 * A record of the engine's log, taken apart (docs/format/records.md): what recovery redoes, and
 * what whoever looks at a store from outside must redo too. Pure functions over bytes.
 */
#ifndef KEEL_ENGINE_RECORD_H
#define KEEL_ENGINE_RECORD_H

#include <stdbool.h>

#include <keel/wal.h>

#include "engine/record_format.h"

struct record {
    enum record_type type;
    keel_pageno pageno;
    uint32_t offset, len; /* in the user part: what changes */
    const uint8_t *bytes; /* len of them, lent by the entry; NULL for RECORD_ZERO */
};

/* Length and place are the log's business; here: does the record say something possible, in a space
 * of `pages` pages with page_len user bytes each? False if not. */
bool record_parse(const struct keel_wal_entry *entry, uint32_t page_len, keel_pageno pages,
                  struct record *ret);

/* user: the page_len bytes of the page's user part. */
void record_apply(const struct record *record, uint8_t *user);

#endif
