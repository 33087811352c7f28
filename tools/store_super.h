/*
 * The superblock of a store that is only looked at, and the parts of one on a device.
 */
#ifndef KEEL_TOOLS_STORE_SUPER_H
#define KEEL_TOOLS_STORE_SUPER_H

#include <keel/iosched.h>

#include "engine/on_device.h"
#include "engine/superblock.h"

struct store_super {
    struct superblock super;
    uint64_t generation;
    unsigned copies; /* that are good */
};

/* The method by which the commands open a path: nvme for a character device, else AUTO. */
enum keel_method store_method(const char *path);

/* Read it from device: a store.keel, or a whole device with a store on it. Repairs nothing. Blocks.
 * KEEL_EFORMAT: there is none, or its creation was cut; KEEL_EVERSION, KEEL_ESUPER, KEEL_EREAD,
 * -ENOMEM. */
int store_super_read(struct keel_ctx *ctx, struct keel_device *device, struct store_super *ret);

/* Where log and pages lie on a device of that superblock. KEEL_EFORMAT: it is a folder's, or does
 * not fit on the device. */
int store_super_layout(const struct store_super *store, const struct keel_device *device,
                       struct device_layout *ret);

#endif
