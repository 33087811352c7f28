/*
 * Decoding what an NVMe device says: structures as bytes, with the fields at the specification's
 * offsets, so that neither libnvme's declarations nor ours can be wrong alone. Values of the lab's
 * disk (QEMU 10.0.2) where it has one.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/endian.h"
#include "iosched/disk.h"
#include "iosched/nvme_ident.h"
#include "tests/support/table.h"

static uint8_t bytes[NVME_IDENT_BYTES];

static void put16(unsigned at, uint16_t value)
{
    bytes[at] = (uint8_t)value;
    bytes[at + 1] = (uint8_t)(value >> 8);
}

static void begin(void)
{
    memset(bytes, 0, sizeof(bytes));
}

Test(nvme_ident, a_controller)
{
    struct keel_nvme_info info = {0};

    begin();
    memcpy(bytes + 4, "keel0               ", 20);
    memcpy(bytes + 24, "QEMU NVMe Ctrl                          ", 40);
    memcpy(bytes + 64, "10.0.2  ", 8);
    bytes[77] = 7; /* mdts: 2^7 pages */
    store_le32(bytes + 80, 0x00010400);
    put16(520, 0x75d); /* oncs */
    bytes[525] = 7;    /* vwc */
    put16(526, 15);    /* awun */
    put16(528, 3);     /* awupf */
    put16(532, 1);     /* acwu */
    ios_nvme_decode(KEEL_NVME_CONTROLLER, bytes, &info);

    cr_assert_str_eq(info.serial, "keel0");
    cr_assert_str_eq(info.model, "QEMU NVMe Ctrl");
    cr_assert_str_eq(info.firmware, "10.0.2");
    cr_assert_eq(info.version, 0x00010400);
    cr_assert_eq(info.mdts_bytes, 512u * 1024u);
    cr_assert_eq(info.oncs, 0x75d);
    cr_assert(info.cache);
    cr_assert_eq(info.awun, 15);
    cr_assert_eq(info.awupf, 3);
    cr_assert_eq(info.acwu, 1);
    bytes[77] = 0;
    bytes[525] = 6;
    ios_nvme_decode(KEEL_NVME_CONTROLLER, bytes, &info);
    cr_assert_eq(info.mdts_bytes, 0, "no limit");
    cr_assert_not(info.cache, "how Flush treats all namespaces is no cache");
}

Test(nvme_ident, a_namespace)
{
    struct keel_nvme_info info = {0};

    begin();
    store_le64(bytes, 1u << 20);                    /* nsze */
    store_le64(bytes + 8, 1u << 19);                /* ncap */
    store_le64(bytes + 16, 100);                    /* nuse */
    bytes[24] = 0x12;                               /* nsfeat */
    bytes[25] = 7;                                  /* nlbaf */
    bytes[26] = 4;                                  /* flbas: format 4 */
    bytes[29] = 1;                                  /* dps */
    bytes[30] = 1;                                  /* nmic */
    bytes[33] = 9;                                  /* dlfeat */
    put16(34, 7);                                   /* nawun */
    put16(36, 6);                                   /* nawupf */
    put16(38, 5);                                   /* nacwu */
    put16(40, 4);                                   /* nabsn */
    put16(42, 3);                                   /* nabo */
    put16(44, 2);                                   /* nabspf */
    put16(46, 1);                                   /* noiob */
    put16(64, 11);                                  /* npwg */
    put16(66, 12);                                  /* npwa */
    put16(68, 13);                                  /* npdg */
    put16(70, 14);                                  /* npda */
    put16(72, 15);                                  /* nows */
    store_le32(bytes + 128 + 4 * 4, 12u << 16 | 8); /* format 4: 4096 and 8 of metadata */
    ios_nvme_decode(KEEL_NVME_NAMESPACE, bytes, &info);

    cr_assert_eq(info.blocks, 1u << 20);
    cr_assert_eq(info.capacity_blocks, 1u << 19);
    cr_assert_eq(info.used_blocks, 100);
    cr_assert_eq(info.block_bytes, 4096);
    cr_assert_eq(info.metadata_bytes, 8);
    cr_assert_eq(info.nsfeat, 0x12);
    cr_assert_eq(info.dps, 1);
    cr_assert(info.shared);
    cr_assert_eq(info.dlfeat, 9);
    cr_assert(info.nawun == 7 && info.nawupf == 6 && info.nacwu == 5);
    cr_assert(info.nabsn == 4 && info.nabo == 3 && info.nabspf == 2 && info.noiob == 1);
    cr_assert(info.npwg == 11 && info.npwa == 12 && info.npdg == 13 && info.npda == 14);
    cr_assert_eq(info.nows, 15);
}

Test(nvme_ident, a_format_above_fifteen_has_its_upper_bits_apart)
{
    struct keel_nvme_info info = {0};

    begin();
    bytes[25] = 17;          /* nlbaf: 18 formats */
    bytes[26] = 1 | 1u << 5; /* format 17 */
    store_le32(bytes + 128 + 4 * 17, 9u << 16);
    store_le32(bytes + 128 + 4 * 1, 12u << 16);
    ios_nvme_decode(KEEL_NVME_NAMESPACE, bytes, &info);
    cr_assert_eq(info.block_bytes, 512);
    bytes[25] = 1; /* few formats: those bits are nothing */
    ios_nvme_decode(KEEL_NVME_NAMESPACE, bytes, &info);
    cr_assert_eq(info.block_bytes, 4096);
    store_le32(bytes + 128 + 4 * 1, 40u << 16);
    ios_nvme_decode(KEEL_NVME_NAMESPACE, bytes, &info);
    cr_assert_eq(info.block_bytes, 0, "a size that cannot be");
}

Test(nvme_ident, logs_commands_and_features)
{
    struct keel_nvme_info info = {0};

    begin();
    bytes[0] = 2;
    put16(1, 323);
    bytes[3] = 90;
    bytes[4] = 10;
    bytes[5] = 1;
    store_le64(bytes + 32, 3);
    store_le64(bytes + 48, 4);
    store_le64(bytes + 128, 77);
    store_le64(bytes + 144, 5);
    store_le64(bytes + 160, 6);
    ios_nvme_decode(KEEL_NVME_HEALTH, bytes, &info);
    cr_assert(info.critical_warning == 2 && info.kelvin == 323 && info.spare_percent == 90);
    cr_assert(info.spare_threshold == 10 && info.used_percent == 1);
    cr_assert(info.bytes_read == 3 * 512000 && info.bytes_written == 4 * 512000);
    cr_assert(info.power_on_hours == 77 && info.unsafe_shutdowns == 5 && info.media_errors == 6);
    bytes[56] = 1; /* beyond 64 bits */
    ios_nvme_decode(KEEL_NVME_HEALTH, bytes, &info);
    cr_assert_eq(info.bytes_written, UINT64_MAX);

    begin();
    store_le32(bytes + 1024, 1);
    store_le32(bytes + 1024 + 4, 3);
    store_le32(bytes + 1024 + 8, 5);
    store_le32(bytes + 1024 + 32, 7);
    store_le32(bytes + 1024 + 36, 9);
    ios_nvme_decode(KEEL_NVME_EFFECTS, bytes, &info);
    cr_assert(info.effect_flush == 1 && info.effect_write == 3 && info.effect_read == 5);
    cr_assert(info.effect_write_zeroes == 7 && info.effect_deallocate == 9);

    begin();
    bytes[1] = 5; /* wzsl */
    store_le32(bytes + 4, 1234);
    ios_nvme_decode(KEEL_NVME_COMMANDS, bytes, &info);
    cr_assert_eq(info.write_zeroes_bytes, 128u * 1024u);
    cr_assert_eq(info.deallocate_blocks, 1234);

    begin();
    ios_nvme_decode(KEEL_NVME_CACHE, bytes, &info);
    cr_assert_not(info.cache_on);
    bytes[0] = 1;
    ios_nvme_decode(KEEL_NVME_CACHE, bytes, &info);
    ios_nvme_decode(KEEL_NVME_ATOMICITY, bytes, &info);
    cr_assert(info.cache_on && info.atomic_unit_fixed);
}

static const struct {
    const char *label;
    uint8_t nsfeat;
    uint32_t granularity, align, optimal, atomic, power;
} geometries[] = {
    {"neither units of its own nor preferred sizes", 0, 0, 0, 0, 8 * 4096, 2 * 4096},
    {"units of its own", 1 << 1, 0, 0, 0, 16 * 4096, 4 * 4096},
    {"preferred sizes", 1 << 4, 4 * 4096, 2 * 4096, 32 * 4096, 8 * 4096, 2 * 4096},
    {"both", 1 << 4 | 1 << 1, 4 * 4096, 2 * 4096, 32 * 4096, 16 * 4096, 4 * 4096},
};

/* The geometry that everybody sees, out of the answers of the disk. */
TABLE_TEST(nvme_ident, geometry_has_the_disks_own_sizes_in_bytes, geometries)
{
    const struct keel_nvme_info ident = {.block_bytes = 4096,
                                         .nsfeat = row->nsfeat,
                                         .mdts_bytes = 1 << 17,
                                         .cache = true,
                                         .awun = 7,
                                         .awupf = 1,
                                         .nawun = 15,
                                         .nawupf = 3,
                                         .npwg = 3,
                                         .npwa = 1,
                                         .nows = 31};
    struct keel_device_info info = {
        .identify = -EACCES, .write_granularity = 1, .write_optimal = 1};

    ios_disk_identified(&info, &ident);
    cr_assert_eq(info.identify, 0);
    cr_assert_eq(info.mdts, 1 << 17);
    cr_assert(info.volatile_cache, "the kernel may have been told otherwise");
    cr_assert_eq(info.write_granularity, row->granularity, "%s", row->label);
    cr_assert_eq(info.write_align, row->align, "%s", row->label);
    cr_assert_eq(info.write_optimal, row->optimal, "%s", row->label);
    cr_assert_eq(info.atomic_write, row->atomic, "%s", row->label);
    cr_assert_eq(info.atomic_write_power, row->power, "%s", row->label);
}

Test(nvme_ident, what_is_no_namespace_is_refused)
{
    struct keel_nvme_info info;

    cr_assert_eq(keel_nvme_identify("/dev/null", &info), KEEL_ENOTSUP);
    cr_assert_eq(keel_nvme_identify("/dev/there-is-none", &info), KEEL_ENOTFOUND);
    cr_assert_str_eq(keel_nvme_part_text(KEEL_NVME_CONTROLLER), "Identify Controller");
}
