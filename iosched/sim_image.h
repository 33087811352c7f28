/*
 * Contents of one simulated file: a sparse table of 4 KiB blocks, copied on write.
 *
 * An image is a root of leaves of blocks, all counted, so that a copy costs one reference per leaf
 * and what is the same in two images is there once. A block or leaf that is not there reads as
 * zeroes. Each entry also carries the *sequence* of the write that put it there: contents that
 * become durable late must not replace what was written after them.
 *
 * Not a file: it has no size and no name, and knows nothing of what is durable.
 */
#ifndef KEEL_IOSCHED_SIM_IMAGE_H
#define KEEL_IOSCHED_SIM_IMAGE_H

#include <stdint.h>

#include "iosched/sim_pool.h"

#define SIM_LEAF_BLOCKS 32u
#define SIM_MASK_ALL    0xffu /* every sector of a block */

_Static_assert(SIM_BLOCK_SECTORS == 8, "one bit per sector in a byte");

struct sim_leaf {
    uint32_t refs;
    struct sim_block *block[SIM_LEAF_BLOCKS];
    uint64_t seq[SIM_LEAF_BLOCKS];
};

/* All zero: an image of zeroes. */
struct sim_image {
    struct sim_leaf **leaf;
    uint32_t leaves; /* slots in leaf[] */
};

/* ret: uninitialised before; from then on independent of from. */
void sim_image_copy(struct sim_pool *pool, const struct sim_image *from, struct sim_image *ret);
/* Back to an image of zeroes; nothing is held any more. */
void sim_image_clear(struct sim_pool *pool, struct sim_image *image);

/* The block at index, lent until the image changes; NULL: zeroes. */
struct sim_block *sim_image_block(const struct sim_image *image, uint64_t index);
/* Sequence of the entry, 0 when nothing was ever put there. */
uint64_t sim_image_seq(const struct sim_image *image, uint64_t index);

/* Put a block (NULL: zeroes) at index; the image takes a reference of its own. */
void sim_image_set(struct sim_pool *pool, struct sim_image *image, uint64_t index,
                   struct sim_block *block, uint64_t seq);
/* As set, but only the sectors in mask are taken from block, the others stay as they are. */
void sim_image_merge(struct sim_pool *pool, struct sim_image *image, uint64_t index,
                     struct sim_block *block, uint8_t mask, uint64_t seq);
/* Everything from block number blocks on becomes zeroes. */
void sim_image_truncate(struct sim_pool *pool, struct sim_image *image, uint64_t blocks);

/* Copy len bytes at offset out of the image, any alignment. */
void sim_image_read(const struct sim_image *image, uint64_t offset, void *buf, uint32_t len);
/* Overwrite bytes, any alignment, in blocks of the image's own. */
void sim_image_write(struct sim_pool *pool, struct sim_image *image, uint64_t offset,
                     const void *buf, uint32_t len, uint64_t seq);

/* A new block holding old's contents with the sectors in mask replaced by those of block. Both may
 * be NULL. The caller owns the reference. */
struct sim_block *sim_block_merge(struct sim_pool *pool, const struct sim_block *old,
                                  const struct sim_block *block, uint8_t mask);

#endif
