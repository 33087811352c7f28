/*
 * The files of a store: finding them, or making them so that a cut leaves all or nothing.
 */
#ifndef KEEL_ENGINE_CREATE_H
#define KEEL_ENGINE_CREATE_H

#include <keel/iosched.h>

struct keel_store;

/*
 * Open the three devices of the store in folder path, or on the device at path (on_device.h), and
 * read its superblock; makes folder and store when there is none, unless create_off. On failure no
 * device is open, and nothing that was there has changed. Blocks. Errors: those of keel_open that
 * concern files.
 */
int store_files_open(struct keel_store *store, struct keel_ctx *ctx, const char *path,
                     struct keel_err_info *info);
void store_files_close(struct keel_store *store);

/* For creators. The quad on super_device, and its block. */
int store_quad_init(struct keel_store *store);
/* Format the log in wal_device, and fill in what store->super says of both. */
int store_format(struct keel_store *store, struct keel_ctx *ctx, struct keel_err_info *info);

/* Does the device write pages of this size whole or not at all? */
bool store_device_untorn(const struct keel_device *device, uint32_t page_bytes);

/* In a creation, with the pages' device open: what the superblock is to say of torn pages. 0 or
 * KEEL_ENOTSUP. */
int store_choose_torn(struct keel_store *store, struct keel_err_info *info);

#endif
