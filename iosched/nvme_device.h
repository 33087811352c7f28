/*
 * NVMe namespaces as devices: /dev/ngXnY, with the matching block device held.
 */
#ifndef KEEL_IOSCHED_NVME_DEVICE_H
#define KEEL_IOSCHED_NVME_DEVICE_H

#include "iosched/device.h"
#include "iosched/nvme_cmd.h"

struct ios_nvme_device {
    struct ios_nvme_space space;
    int block_fd; /* of the block device, held so that nobody else writes to it */
};

/* Of a device that was opened by the files below, or of a part of one. */
static inline const struct ios_nvme_device *ios_nvme_of(const struct keel_device *device)
{
    return device->method_data;
}

/* Can keel's commands carry what the namespace holds? 0, or a code with the reason in info->op.
 * shared: one that other controllers reach may be taken. Pure. */
struct keel_nvme_info;
int ios_nvme_usable(const struct keel_nvme_info *ident, bool shared, struct keel_err_info *info);

/* Members of ios_files_nvme; see method.h. Growing a namespace is KEEL_ENOTSUP. */
int ios_nvme_open(struct keel_ctx *ctx, struct keel_device *device, const char *path,
                  const struct keel_device_options *options, struct keel_err_info *info);
void ios_nvme_close(struct keel_device *device);
int ios_nvme_grow(struct keel_ctx *ctx, struct keel_device *device, uint64_t size_bytes);

#endif
