/*
 * keel/nvme.h: what an NVMe controller and namespace say about themselves.
 *
 * Read through libnvme. Nothing here is needed for I/O: keel_device_open takes what it needs by
 * itself. All sizes are as the specification has them unless a name says bytes.
 */
#ifndef KEEL_NVME_H
#define KEEL_NVME_H

#include <stdbool.h>
#include <stdint.h>

#include <keel/error.h>
#include <keel/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* clang-format off */
/* What is read one by one; name, text. Kernels give an unprivileged user some of it. */
#define KEEL_NVME_PARTS(X) \
X(CONTROLLER, "Identify Controller") \
X(NAMESPACE,  "Identify Namespace") \
X(COMMANDS,   "Identify Controller, NVM command set") \
X(EFFECTS,    "Commands Supported and Effects log") \
X(HEALTH,     "SMART / Health log") \
X(CACHE,      "feature Volatile Write Cache") \
X(ATOMICITY,  "feature Write Atomicity")
/* clang-format on */

enum keel_nvme_part {
#define KEEL_NVME_MEMBER(name, text) KEEL_NVME_##name,
    KEEL_NVME_PARTS(KEEL_NVME_MEMBER)
#undef KEEL_NVME_MEMBER
        KEEL_NVME_PART_COUNT
};

struct keel_nvme_info {
    uint32_t nsid;
    /* Per part: 0, it was read; negative, the kernel's errno; positive, the device's status. The
     * fields of a part that was not read are 0. */
    int rc[KEEL_NVME_PART_COUNT];

    /* CONTROLLER */
    char model[41], serial[21], firmware[9];
    uint32_t version;    /* major << 16 | minor << 8 | tertiary */
    uint64_t mdts_bytes; /* longest transfer, with memory pages of 4 KiB; 0: no limit */
    bool cache;          /* there is a volatile write cache */
    uint16_t oncs;       /* optional commands: bit 0 Compare, 2 Dataset Management, 3 Write Zeroes,
                          * 7 Verify, 8 Copy */
    uint16_t awun, awupf, acwu; /* 0's based, in blocks */

    /* NAMESPACE */
    uint64_t blocks, capacity_blocks, used_blocks;
    uint32_t block_bytes;
    uint16_t metadata_bytes; /* per block */
    uint8_t nsfeat, nmic, dps, dlfeat;
    bool shared;                   /* other controllers may reach it */
    uint16_t nawun, nawupf, nacwu; /* 0's based; count where nsfeat has bit 1 */
    uint16_t nabsn, nabo, nabspf, noiob;
    uint16_t npwg, npwa, npdg, npda, nows; /* 0's based; count where nsfeat has bit 4 */

    /* COMMANDS */
    uint64_t write_zeroes_bytes; /* most per command; 0: no limit of its own */
    uint32_t deallocate_blocks;  /* most per range; 0: no limit */

    /* EFFECTS; bit 0: supported, bit 1: may change content */
    uint32_t effect_flush, effect_write, effect_read, effect_write_zeroes, effect_deallocate;

    /* HEALTH */
    uint8_t critical_warning, spare_percent, spare_threshold, used_percent;
    uint16_t kelvin;
    uint64_t bytes_read, bytes_written, power_on_hours, unsafe_shutdowns, media_errors;

    bool cache_on;          /* CACHE: it is switched on */
    bool atomic_unit_fixed; /* ATOMICITY: only awupf counts (bit DN) */
};

/*
 * Ask the namespace behind `path` (/dev/ngXnY or /dev/nvmeXnY; a partition too) about everything.
 * Blocks; any thread. Needs no context, opens for reading and not exclusively. A part that could
 * not be read does not make it fail. KEEL_ENOTSUP: not an NVMe namespace; KEEL_ENOTFOUND,
 * KEEL_EACCESS, -errno.
 */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_nvme_identify(const char *path, struct keel_nvme_info *ret);

/* "Identify Controller"; valid for ever. */
KEEL_PUBLIC const char *keel_nvme_part_text(enum keel_nvme_part part);

#ifdef __cplusplus
}
#endif

#endif
