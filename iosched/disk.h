/*
 * The disk below a device: what /sys and the disk itself say of it.
 */
#ifndef KEEL_IOSCHED_DISK_H
#define KEEL_IOSCHED_DISK_H

#include <stdint.h>

#include "keel/iosched.h"
#include "keel/nvme.h"

/* Fill in info what /sys says about block device major:minor, or about the whole disk that it is a
 * part of. What cannot be found out is taken at its worst (a volatile cache, no FUA, no polling).
 */
void ios_disk_sysfs(struct keel_device_info *info, uint32_t major, uint32_t minor);

/* Ask the NVMe disk behind the open block device fd, whose numbers are in info, for what `identify`
 * in it stands for. Another kind of disk is not asked. */
void ios_disk_identify(struct keel_device_info *info, int fd);
/* The same of answers that are there. */
void ios_disk_identified(struct keel_device_info *info, const struct keel_nvme_info *ident);

/* Longest transfer that passthrough takes there, at most KEEL_IO_BYTES_MAX; and longest range of
 * zeroes, 0 for none. */
uint32_t ios_disk_passthrough_bytes(uint32_t major, uint32_t minor);
uint32_t ios_disk_zeroes_bytes(uint32_t major, uint32_t minor);

/* May a block device be written to as a whole? 0, or KEEL_EPARTITIONED or KEEL_EGEOMETRY with the
 * reason in info->op. */
int ios_disk_fit(uint32_t major, uint32_t minor, struct keel_err_info *info);

#endif
