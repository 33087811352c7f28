/*
 * NVMe commands. See nvme_cmd.h.
 *
 * Addresses are in logical blocks from the beginning of the namespace, numbers of blocks are one
 * less than what they mean. A transfer that is longer than the device takes is cut at a block of
 * keel's, and the core goes on with the rest as after any short transfer.
 */
#include "iosched/nvme_cmd.h"

#include <endian.h>
#include <errno.h>

#include "base/assert.h"

#define CMD_FLUSH        0x00
#define CMD_WRITE        0x01
#define CMD_READ         0x02
#define CMD_WRITE_ZEROES 0x08
#define CMD_DATASET      0x09

#define RW_FUA             (1u << 30) /* dword 12 */
#define DATASET_DEALLOCATE (1u << 2)  /* dword 11 */
#define BLOCKS_MAX         65536u     /* in one command */

#define STATUS_CODE 0x00ff
#define STATUS_TYPE 0x0700
#define STATUS_DNR  0x4000

enum { TYPE_GENERIC = 0x000, TYPE_COMMAND = 0x100, TYPE_MEDIA = 0x200, TYPE_PATH = 0x300 };

/* clang-format off */
/* type and code, code of ours, meaning */
static const struct {
    uint16_t status;
    int16_t code;
} statuses[] = {
    {0x001, -EOPNOTSUPP}, /* invalid opcode */
    {0x002, -EINVAL},     /* invalid field */
    {0x00b, -ENODEV},     /* invalid namespace or format */
    {0x020, -EROFS},      /* namespace is write protected */
    {0x021, -EAGAIN},     /* command interrupted */
    {0x081, -ENOSPC},     /* capacity exceeded */
    {0x082, -EAGAIN},     /* namespace not ready */
    {0x083, -EBADE},      /* reservation conflict */
    {0x280, -ENODATA},    /* write fault */
    {0x281, -ENODATA},    /* unrecovered read error */
    {0x282, -EILSEQ},     /* guard check */
    {0x283, -EILSEQ},     /* application tag check */
    {0x284, -EILSEQ},     /* reference tag check */
    {0x286, -EACCES},     /* access denied */
    {0x287, -ENODATA},    /* deallocated or unwritten block */
};
/* clang-format on */

static uint32_t at_most(uint32_t bytes, uint32_t max)
{
    return bytes < max ? bytes : max;
}

/* Address and number of blocks, for all but the dataset command. */
static void set_extent(struct nvme_uring_cmd *cmd, const struct ios_nvme_space *space,
                       uint64_t offset_bytes, uint32_t len_bytes)
{
    uint64_t first = offset_bytes >> space->lba_shift;
    uint32_t blocks = len_bytes >> space->lba_shift;

    KEEL_ASSERT(blocks > 0 && blocks <= BLOCKS_MAX);
    cmd->cdw10 = (uint32_t)first;
    cmd->cdw11 = (uint32_t)(first >> 32);
    cmd->cdw12 = blocks - 1;
}

static uint32_t fill_transfer(struct nvme_uring_cmd *cmd, const struct ios_nvme_space *space,
                              const struct ios_step *step)
{
    bool vector = step->iov_count > 0;
    uint32_t bytes = at_most(step->len_bytes, space->transfer_bytes);

    KEEL_ASSERT(!vector || bytes == step->len_bytes); /* merging stays below the limit */
    cmd->opcode = step->op == KEEL_OP_READ ? CMD_READ : CMD_WRITE;
    cmd->addr = vector ? (uintptr_t)step->iov : (uintptr_t)step->buf;
    cmd->data_len = vector ? step->iov_count : bytes;
    set_extent(cmd, space, step->offset_bytes, bytes);
    cmd->cdw12 |= step->dsync ? RW_FUA : 0;
    return bytes;
}

static uint32_t fill_zeroes(struct nvme_uring_cmd *cmd, const struct ios_nvme_space *space,
                            const struct ios_step *step)
{
    uint64_t most = (uint64_t)BLOCKS_MAX << space->lba_shift;
    uint32_t bytes = at_most(step->len_bytes, space->zeroes_bytes);

    bytes = at_most(bytes, most < UINT32_MAX ? (uint32_t)most : UINT32_MAX);
    cmd->opcode = CMD_WRITE_ZEROES;
    set_extent(cmd, space, step->offset_bytes, bytes);
    return bytes;
}

static uint32_t fill_dataset(struct nvme_uring_cmd *cmd, const struct ios_nvme_space *space,
                             const struct ios_step *step, struct ios_nvme_range *range)
{
    *range = (struct ios_nvme_range){.blocks = htole32(step->len_bytes >> space->lba_shift),
                                     .first = htole64(step->offset_bytes >> space->lba_shift)};
    cmd->opcode = CMD_DATASET;
    cmd->addr = (uintptr_t)range;
    cmd->data_len = sizeof(*range);
    cmd->cdw10 = 0; /* one range */
    cmd->cdw11 = DATASET_DEALLOCATE;
    return step->len_bytes;
}

int ios_nvme_fill(struct nvme_uring_cmd *cmd, const struct ios_nvme_space *space,
                  const struct ios_step *step, struct ios_nvme_range *range, uint32_t *ret_bytes)
{
    _Static_assert(sizeof(struct ios_nvme_range) == 16, "as the device reads it");

    cmd->nsid = space->nsid;
    switch (step->op) {
    case KEEL_OP_READ:
    case KEEL_OP_WRITE:
        *ret_bytes = fill_transfer(cmd, space, step);
        return 0;
    case KEEL_OP_SYNC:
        cmd->opcode = CMD_FLUSH;
        *ret_bytes = 0;
        return 0;
    case KEEL_OP_WRITE_ZEROES:
        if (space->zeroes_bytes == 0)
            return -EOPNOTSUPP;
        *ret_bytes = fill_zeroes(cmd, space, step);
        return 0;
    case KEEL_OP_DEALLOCATE:
        if (!space->deallocate)
            return -EOPNOTSUPP;
        *ret_bytes = fill_dataset(cmd, space, step, range);
        return 0;
    case KEEL_OP_NOP:
        break;
    }
    KEEL_UNREACHABLE();
}

int32_t ios_nvme_error(int32_t status)
{
    uint32_t known = (uint32_t)status & (STATUS_TYPE | STATUS_CODE);

    KEEL_ASSERT(status > 0);
    for (unsigned i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        if (statuses[i].status != known)
            continue;
        bool never = statuses[i].code == -EAGAIN && (status & STATUS_DNR) != 0;
        return never ? -EIO : statuses[i].code;
    }
    return (known & STATUS_TYPE) == TYPE_PATH ? -ENOLINK : -EIO;
}
