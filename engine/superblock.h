/*
 * The store's superblock: what is true of a store for good, and the size of its space.
 */
#ifndef KEEL_ENGINE_SUPERBLOCK_H
#define KEEL_ENGINE_SUPERBLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include <keel/iosched.h>

#include "engine/superblock_format.h"

struct superblock {
    uint8_t uuid[SUPER_UUID_BYTES];
    uint8_t log_uuid[SUPER_UUID_BYTES];
    uint32_t page_bytes;
    uint32_t space_id;
    uint64_t space_pages;
    uint64_t log_bytes; /* on one device: room of the log; 0 in a folder */
    uint32_t torn;      /* enum keel_torn: IMAGES or ATOMIC */
};

/* To and from SUPER_BYTES bytes. Decoding checks every field: false when one is out of range. */
void superblock_encode(const struct superblock *super, uint8_t ret_bytes[SUPER_BYTES]);
bool superblock_decode(const uint8_t *bytes, uint32_t len, struct superblock *ret);

/* Point quad at the copies in device. block: one aligned block, the caller's while quad is used. */
void superblock_quad_init(struct keel_quad *quad, struct keel_device *device,
                          struct keel_arena *arena, void *block);

/* First step of a fresh file, further steps, and reading with repair. They block. */
int superblock_create(struct keel_ctx *ctx, struct keel_quad *quad, const struct superblock *super);
int superblock_step(struct keel_ctx *ctx, struct keel_quad *quad, const struct superblock *super);
int superblock_open(struct keel_ctx *ctx, struct keel_quad *quad, struct superblock *ret);

/* The uuid of a store whose log has log_uuid: made from it, so that a seeded run gives the same
 * bytes every time. */
void superblock_make_uuid(const uint8_t log_uuid[SUPER_UUID_BYTES],
                          uint8_t ret_uuid[SUPER_UUID_BYTES]);

#endif
