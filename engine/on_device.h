/*
 * A store on one device: a block device, an NVMe namespace or a file, instead of a folder.
 */
#ifndef KEEL_ENGINE_ON_DEVICE_H
#define KEEL_ENGINE_ON_DEVICE_H

#include <stdint.h>

#include <keel/iosched.h>

struct keel_store;

/* Where log and pages lie on a device of size_bytes. */
struct device_layout {
    struct keel_device_range super, log, pages;
    uint64_t needed_bytes; /* with the first size of the pages; more than the device has: no room */
};
void device_layout_make(uint64_t size_bytes, uint64_t log_bytes, uint64_t pages_bytes,
                        struct device_layout *ret);

/* Was a creation on the device begun and not ended? 1, 0 or an error. block: one aligned block, for
 * the call. Blocks. */
int device_claim_read(struct keel_ctx *ctx, struct keel_device *device, uint8_t *block);

/*
 * Open the store on the device at path as three parts of it; makes one when the device holds
 * nothing (or options say that it may be overwritten), unless create_off. On failure no device is
 * open. Blocks.
 */
int store_on_device_open(struct keel_store *store, struct keel_ctx *ctx, const char *path,
                         struct keel_err_info *info);

#endif
