/*
 * Reading and decoding what an NVMe device says about itself. The only user of libnvme.
 */
#ifndef KEEL_IOSCHED_NVME_IDENT_H
#define KEEL_IOSCHED_NVME_IDENT_H

#include <stdint.h>

#include <keel/nvme.h>

#define NVME_IDENT_BYTES 4096u /* of each Identify structure, and of the effects log */
#define NVME_SMART_BYTES 512u

/* Decode one structure as the device sent it into the fields of its part; pure. NAMESPACE also
 * gives block and metadata size of the format in use. */
void ios_nvme_decode(enum keel_nvme_part part, const void *bytes, struct keel_nvme_info *info);

/* Identify Namespace and Controller alone, through an open descriptor. 0 or -errno; a device's
 * status is -EIO. */
int ios_nvme_ident_short(int fd, uint32_t nsid, struct keel_nvme_info *ret);

#endif
