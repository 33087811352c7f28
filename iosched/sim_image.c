/*
 * Two levels: root, leaves of 32 blocks. A store of 600 KiB has five leaves, so copying it is five
 * increments; the first change to a copied leaf costs 32 more, later ones nothing.
 */
#include "iosched/sim_image.h"

#include <string.h>

static size_t root_bytes(uint32_t leaves)
{
    return leaves * sizeof(struct sim_leaf *);
}

static void put_leaf(struct sim_pool *pool, struct sim_leaf *leaf)
{
    if (!leaf)
        return;
    KEEL_DCHECK(leaf->refs > 0);
    if (--leaf->refs > 0)
        return;

    for (unsigned i = 0; i < SIM_LEAF_BLOCKS; i++)
        sim_block_put(pool, leaf->block[i]);
    sim_pool_free(pool, leaf, sizeof(*leaf));
}

void sim_image_copy(struct sim_pool *pool, const struct sim_image *from, struct sim_image *ret)
{
    *ret = (struct sim_image){0};
    if (from->leaves == 0)
        return;

    ret->leaf = sim_pool_alloc(pool, root_bytes(from->leaves));
    ret->leaves = from->leaves;
    for (uint32_t i = 0; i < from->leaves; i++) {
        ret->leaf[i] = from->leaf[i];
        if (ret->leaf[i])
            ret->leaf[i]->refs++;
    }
}

void sim_image_clear(struct sim_pool *pool, struct sim_image *image)
{
    for (uint32_t i = 0; i < image->leaves; i++)
        put_leaf(pool, image->leaf[i]);
    sim_pool_free(pool, image->leaf, root_bytes(image->leaves));
    *image = (struct sim_image){0};
}

static const struct sim_leaf *find_leaf(const struct sim_image *image, uint64_t index)
{
    uint64_t at = index / SIM_LEAF_BLOCKS;

    return at < image->leaves ? image->leaf[at] : NULL;
}

struct sim_block *sim_image_block(const struct sim_image *image, uint64_t index)
{
    const struct sim_leaf *leaf = find_leaf(image, index);

    return leaf ? leaf->block[index % SIM_LEAF_BLOCKS] : NULL;
}

uint64_t sim_image_seq(const struct sim_image *image, uint64_t index)
{
    const struct sim_leaf *leaf = find_leaf(image, index);

    return leaf ? leaf->seq[index % SIM_LEAF_BLOCKS] : 0;
}

static void grow_root(struct sim_pool *pool, struct sim_image *image, uint64_t at)
{
    uint32_t leaves = image->leaves ? image->leaves : 4;

    KEEL_ASSERT(at < UINT32_MAX / 2);
    while (leaves <= at)
        leaves *= 2;

    struct sim_leaf **root = sim_pool_alloc(pool, root_bytes(leaves));
    if (image->leaves > 0)
        memcpy(root, image->leaf, root_bytes(image->leaves));
    sim_pool_free(pool, image->leaf, root_bytes(image->leaves));
    image->leaf = root;
    image->leaves = leaves;
}

/* The leaf of a block, made if need be and not shared with another image. */
static struct sim_leaf *own_leaf(struct sim_pool *pool, struct sim_image *image, uint64_t index)
{
    uint64_t at = index / SIM_LEAF_BLOCKS;

    if (at >= image->leaves)
        grow_root(pool, image, at);

    struct sim_leaf *leaf = image->leaf[at];
    if (leaf && leaf->refs == 1)
        return leaf;

    struct sim_leaf *mine = sim_pool_alloc(pool, sizeof(*mine));
    if (leaf) {
        memcpy(mine, leaf, sizeof(*mine));
        for (unsigned i = 0; i < SIM_LEAF_BLOCKS; i++)
            sim_block_get(mine->block[i]);
        leaf->refs--;
    }
    mine->refs = 1;
    image->leaf[at] = mine;
    return mine;
}

void sim_image_set(struct sim_pool *pool, struct sim_image *image, uint64_t index,
                   struct sim_block *block, uint64_t seq)
{
    struct sim_leaf *leaf = own_leaf(pool, image, index);
    struct sim_block **place = &leaf->block[index % SIM_LEAF_BLOCKS];

    sim_block_get(block);
    sim_block_put(pool, *place);
    *place = block;
    leaf->seq[index % SIM_LEAF_BLOCKS] = seq;
}

struct sim_block *sim_block_merge(struct sim_pool *pool, const struct sim_block *old,
                                  const struct sim_block *block, uint8_t mask)
{
    struct sim_block *mixed = sim_block_new(pool);

    for (unsigned i = 0; i < SIM_BLOCK_SECTORS; i++) {
        const struct sim_block *from = (mask >> i & 1) ? block : old;
        uint8_t *to = mixed->data + (size_t)i * SIM_SECTOR_BYTES;

        if (from)
            memcpy(to, from->data + (size_t)i * SIM_SECTOR_BYTES, SIM_SECTOR_BYTES);
        else
            memset(to, 0, SIM_SECTOR_BYTES);
    }
    return mixed;
}

void sim_image_merge(struct sim_pool *pool, struct sim_image *image, uint64_t index,
                     struct sim_block *block, uint8_t mask, uint64_t seq)
{
    if (mask == 0)
        return;
    if (mask == SIM_MASK_ALL) {
        sim_image_set(pool, image, index, block, seq);
        return;
    }

    struct sim_block *mixed = sim_block_merge(pool, sim_image_block(image, index), block, mask);
    sim_image_set(pool, image, index, mixed, seq);
    sim_block_put(pool, mixed);
}

void sim_image_truncate(struct sim_pool *pool, struct sim_image *image, uint64_t blocks)
{
    uint64_t end = (uint64_t)image->leaves * SIM_LEAF_BLOCKS;

    for (uint64_t i = blocks; i < end; i++) {
        if (find_leaf(image, i))
            sim_image_set(pool, image, i, NULL, 0);
    }
}

void sim_image_read(const struct sim_image *image, uint64_t offset, void *buf, uint32_t len)
{
    uint8_t *to = buf;

    while (len > 0) {
        uint32_t at = (uint32_t)(offset % SIM_BLOCK_BYTES);
        uint32_t n = SIM_BLOCK_BYTES - at < len ? SIM_BLOCK_BYTES - at : len;
        const struct sim_block *block = sim_image_block(image, offset / SIM_BLOCK_BYTES);

        if (block)
            memcpy(to, block->data + at, n);
        else
            memset(to, 0, n);
        to += n;
        offset += n;
        len -= n;
    }
}

void sim_image_write(struct sim_pool *pool, struct sim_image *image, uint64_t offset,
                     const void *buf, uint32_t len, uint64_t seq)
{
    const uint8_t *from = buf;

    while (len > 0) {
        uint32_t at = (uint32_t)(offset % SIM_BLOCK_BYTES);
        uint32_t n = SIM_BLOCK_BYTES - at < len ? SIM_BLOCK_BYTES - at : len;
        uint64_t index = offset / SIM_BLOCK_BYTES;
        struct sim_block *old = sim_image_block(image, index);
        struct sim_block *mine = sim_block_merge(pool, old, NULL, 0);

        memcpy(mine->data + at, from, n);
        sim_image_set(pool, image, index, mine, seq);
        sim_block_put(pool, mine);
        from += n;
        offset += n;
        len -= n;
    }
}
