/*
 * NVMe commands: how a step of a request becomes one, and what a status means. Pure.
 */
#ifndef KEEL_IOSCHED_NVME_CMD_H
#define KEEL_IOSCHED_NVME_CMD_H

#include <linux/nvme_ioctl.h>
#include <stdbool.h>
#include <stdint.h>

#include "iosched/request.h"

/* What commands to a namespace have to know of it; constant while it is open. */
struct ios_nvme_space {
    uint32_t nsid;
    uint32_t lba_shift;
    uint32_t transfer_bytes; /* longest command with data */
    uint32_t zeroes_bytes;   /* longest Write Zeroes; 0: the device has none */
    bool deallocate;         /* Dataset Management is there */
};

/* A range of Dataset Management, as it is transferred; little-endian. */
struct ios_nvme_range {
    uint32_t attributes, blocks;
    uint64_t first;
};

/*
 * Fill cmd (zeroed) for the step, or for as much of it from its beginning as one command can carry;
 * *ret_bytes: so much (0 for a flush). range: where the command may point to until it is complete.
 * Returns 0, or -EOPNOTSUPP when the device has no such command.
 */
int ios_nvme_fill(struct nvme_uring_cmd *cmd, const struct ios_nvme_space *space,
                  const struct ios_step *step, struct ios_nvme_range *range, uint32_t *ret_bytes);

/*
 * The code for a status as the kernel gives it (> 0: type << 8 | code, bit 14 do not retry), as the
 * block layer would name it: media errors are -ENODATA, failed protection -EILSEQ, paths -ENOLINK,
 * the rest -EIO unless it is one of the request. -EAGAIN: the device asks for it once more.
 */
int32_t ios_nvme_error(int32_t status);

#endif
