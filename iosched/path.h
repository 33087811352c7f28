/*
 * What device.c and path.c share: the kernel's file systems.
 */
#ifndef KEEL_IOSCHED_PATH_H
#define KEEL_IOSCHED_PATH_H

#include <stdint.h>

#include "keel/iosched.h"

/* The code for a positive errno of a call on a name: keel's own where there is one. */
int ios_path_error(int error);

/* Make the name `path` durable: sync the folder it stands in. */
int ios_path_sync_folder_of(const char *path);

/* Members of ios_files_posix; see method.h (device.c). */
int ios_posix_open(struct keel_ctx *ctx, struct keel_device *device, const char *path,
                   const struct keel_device_options *options, struct keel_err_info *info);
/* open(2) of a file or block device that is there, the latter with O_EXCL, waited for as
 * keel_device_open says. The descriptor or a negative code. */
int ios_posix_open_existing(const char *path, int flags);
void ios_posix_close(struct keel_device *device);
int ios_posix_grow(struct keel_ctx *ctx, struct keel_device *device, uint64_t size_bytes);

#endif
