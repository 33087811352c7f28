/*
 * NVMe commands and statuses: the bytes that go to a device, without one.
 */
#include <criterion/criterion.h>
#include <endian.h>
#include <errno.h>

#include "iosched/nvme_cmd.h"
#include "iosched/nvme_device.h"
#include "keel/nvme.h"
#include "tests/support/table.h"

#define KIB 1024u

static const struct ios_nvme_space small_blocks = {.nsid = 7,
                                                   .lba_shift = 9,
                                                   .transfer_bytes = 128 * KIB,
                                                   .zeroes_bytes = 1u << 30,
                                                   .deallocate = true};
static const struct ios_nvme_space large_blocks = {.nsid = 7,
                                                   .lba_shift = 12,
                                                   .transfer_bytes = 512 * KIB,
                                                   .zeroes_bytes = 64 * KIB,
                                                   .deallocate = true};

struct row {
    const char *label;
    const struct ios_nvme_space *space;
    struct ios_step step;
    /* want */
    uint32_t bytes;
    uint8_t opcode;
    uint32_t cdw10, cdw11, cdw12;
};

static uint8_t memory[4096];

/* clang-format off */
static const struct row rows[] = {
    {"read one block of 512", &small_blocks,
     {.op = KEEL_OP_READ, .buf = memory, .offset_bytes = 4096, .len_bytes = 4096},
     4096, 0x02, 8, 0, 7},
    {"read one block of 4096", &large_blocks,
     {.op = KEEL_OP_READ, .buf = memory, .offset_bytes = 4096, .len_bytes = 4096},
     4096, 0x02, 1, 0, 0},
    {"a block above 2^32", &small_blocks,
     {.op = KEEL_OP_WRITE, .buf = memory, .offset_bytes = UINT64_C(5) << 41, .len_bytes = 4096},
     4096, 0x01, 0, 5, 7},
    {"a durable write", &small_blocks,
     {.op = KEEL_OP_WRITE, .dsync = true, .buf = memory, .offset_bytes = 0, .len_bytes = 8192},
     8192, 0x01, 0, 0, 15 | 1u << 30},
    {"a write whose sync is apart", &small_blocks,
     {.op = KEEL_OP_WRITE, .link_sync = true, .buf = memory, .offset_bytes = 0, .len_bytes = 4096},
     4096, 0x01, 0, 0, 7},
    {"just what the device takes", &small_blocks,
     {.op = KEEL_OP_WRITE, .buf = memory, .offset_bytes = 0, .len_bytes = 128 * KIB},
     128 * KIB, 0x01, 0, 0, 255},
    {"more than the device takes", &small_blocks,
     {.op = KEEL_OP_WRITE, .dsync = true, .buf = memory, .offset_bytes = 512, .len_bytes = 132 * KIB},
     128 * KIB, 0x01, 1, 0, 255 | 1u << 30},
    {"a flush", &small_blocks, {.op = KEEL_OP_SYNC}, 0, 0x00, 0, 0, 0},
    {"zeroes: as many blocks as a command has", &small_blocks,
     {.op = KEEL_OP_WRITE_ZEROES, .offset_bytes = 0, .len_bytes = 1u << 30},
     65536 * 512, 0x08, 0, 0, 65535},
    {"zeroes: as much as the device takes", &large_blocks,
     {.op = KEEL_OP_WRITE_ZEROES, .offset_bytes = 8192, .len_bytes = 1u << 30},
     64 * KIB, 0x08, 2, 0, 15},
};
/* clang-format on */

TABLE_TEST(nvme_cmd, a_step_becomes_a_command, rows)
{
    struct nvme_uring_cmd cmd = {0};
    struct ios_nvme_range range = {0};
    uint32_t bytes = 1;

    cr_assert_eq(ios_nvme_fill(&cmd, row->space, &row->step, &range, &bytes), 0);
    cr_assert_eq(bytes, row->bytes, "%s: %u bytes", row->label, bytes);
    cr_assert_eq(cmd.opcode, row->opcode, "%s", row->label);
    cr_assert_eq(cmd.nsid, 7);
    cr_assert_eq(cmd.cdw10, row->cdw10, "%s: %u", row->label, cmd.cdw10);
    cr_assert_eq(cmd.cdw11, row->cdw11, "%s: %u", row->label, cmd.cdw11);
    cr_assert_eq(cmd.cdw12, row->cdw12, "%s: %x", row->label, cmd.cdw12);
    cr_assert_eq(cmd.addr, (uintptr_t)row->step.buf);
    cr_assert_eq(cmd.data_len, row->step.buf ? bytes : 0);
    cr_assert_eq(cmd.metadata, 0);
    cr_assert_eq(cmd.flags, 0);
}

Test(nvme_cmd, deallocating_is_one_range_in_memory_of_its_own)
{
    struct ios_step step = {
        .op = KEEL_OP_DEALLOCATE, .offset_bytes = UINT64_C(3) << 41, .len_bytes = 1u << 30};
    struct nvme_uring_cmd cmd = {0};
    struct ios_nvme_range range;
    uint32_t bytes;

    cr_assert_eq(ios_nvme_fill(&cmd, &small_blocks, &step, &range, &bytes), 0);
    cr_assert_eq(bytes, 1u << 30);
    cr_assert_eq(cmd.opcode, 0x09);
    cr_assert_eq(cmd.addr, (uintptr_t)&range);
    cr_assert_eq(cmd.data_len, 16);
    cr_assert_eq(cmd.cdw10, 0, "one range");
    cr_assert_eq(cmd.cdw11, 4, "deallocate");
    cr_assert_eq(le64toh(range.first), UINT64_C(3) << 32);
    cr_assert_eq(le32toh(range.blocks), 1u << 21);
    cr_assert_eq(range.attributes, 0);
}

Test(nvme_cmd, a_device_without_a_command_is_not_asked)
{
    const struct ios_nvme_space bare = {.nsid = 1, .lba_shift = 9, .transfer_bytes = 4096};
    struct ios_step zeroes = {.op = KEEL_OP_WRITE_ZEROES, .len_bytes = 4096};
    struct ios_step gone = {.op = KEEL_OP_DEALLOCATE, .len_bytes = 4096};
    struct nvme_uring_cmd cmd = {0};
    struct ios_nvme_range range;
    uint32_t bytes;

    cr_assert_eq(ios_nvme_fill(&cmd, &bare, &zeroes, &range, &bytes), -EOPNOTSUPP);
    cr_assert_eq(ios_nvme_fill(&cmd, &bare, &gone, &range, &bytes), -EOPNOTSUPP);
}

/* ------------------------------------------------------------- statuses */

struct status {
    int32_t status, code;
};

static const struct status statuses[] = {
    {0x280, -ENODATA},     {0x4280, -ENODATA}, /* write fault, as recorded in the lab: 640 */
    {0x281, -ENODATA},     {0x4281, -ENODATA}, /* unrecovered read: 641 */
    {0x4001, -EOPNOTSUPP},                     /* bad opcode, as recorded */
    {0x4002, -EINVAL},                         /* a block behind the end on QEMU, as recorded */
    {0x080, -EIO},         {0x4080, -EIO},     /* the same by the specification */
    {0x081, -ENOSPC},      {0x082, -EAGAIN},
    {0x4082, -EIO}, /* not ready, and it will not be */
    {0x021, -EAGAIN},      {0x4021, -EIO},
    {0x020, -EROFS},       {0x083, -EBADE},
    {0x282, -EILSEQ},      {0x284, -EILSEQ},
    {0x286, -EACCES},      {0x287, -ENODATA},
    {0x300, -ENOLINK},     {0x370, -ENOLINK},
    {0x006, -EIO},         {0x400f, -EIO},
    {0x7ff, -EIO},         {0x1800 | 0x281, -ENODATA}, /* with a delay for retries */
};

TABLE_TEST(nvme_cmd, a_status_has_a_code, statuses)
{
    cr_assert_eq(ios_nvme_error(row->status), row->code, "0x%x: %d", row->status,
                 ios_nvme_error(row->status));
}

/* ------------------------------------------------------------- namespaces that are refused */

Test(nvme_cmd, a_namespace_that_commands_cannot_serve_is_refused_with_the_reason)
{
    struct keel_nvme_info good = {.nsid = 1, .block_bytes = 512};
    struct keel_nvme_info bad;
    struct keel_err_info info = {0};

    cr_assert_eq(ios_nvme_usable(&good, false, &info), 0);
    bad = good;
    bad.metadata_bytes = 8;
    cr_assert_eq(ios_nvme_usable(&bad, true, &info), KEEL_EGEOMETRY);
    cr_assert_str_eq(info.op, "metadata in each block");
    bad = good;
    bad.block_bytes = 8192;
    cr_assert_eq(ios_nvme_usable(&bad, true, &info), KEEL_EGEOMETRY);
    cr_assert_str_eq(info.op, "block size");
    bad = good;
    bad.shared = true;
    cr_assert_eq(ios_nvme_usable(&bad, false, &info), KEEL_ESHARED);
    cr_assert_eq(ios_nvme_usable(&bad, true, &info), 0);
}
