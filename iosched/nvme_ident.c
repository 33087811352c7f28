/*
 * What an NVMe device says about itself: Identify, logs and features, through libnvme.
 *
 * Each part is one command. What the kernel does not let this user send, or the device does not
 * know, is noted in rc[part], and the rest is read all the same. Decoding is apart from reading, so
 * that it can be tried on recorded bytes.
 *
 * Compiled against libnvme 1.3 and later; fields that came or went since are not used.
 */
#include "iosched/nvme_ident.h"

#include <errno.h>
#include <fcntl.h>
#include <libnvme.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "iosched/path.h"

#define PAGE_SHIFT_MIN 12 /* memory pages as Linux sets them up on x86 */

const char *keel_nvme_part_text(enum keel_nvme_part part)
{
    static const char *const texts[] = {
#define PART_TEXT(name, text) [KEEL_NVME_##name] = text,
        KEEL_NVME_PARTS(PART_TEXT)
#undef PART_TEXT
    };

    return (unsigned)part < KEEL_NVME_PART_COUNT ? texts[part] : "?";
}

/* ------------------------------------------------------------- decoding */

/* Text padded with blanks, cut at its end. */
static void copy_text(char *to, const char *from, size_t len)
{
    while (len > 0 && (from[len - 1] == ' ' || from[len - 1] == '\0'))
        len--;
    memcpy(to, from, len);
    to[len] = '\0';
}

/* A number of 16 bytes, as much of it as fits. */
static uint64_t low64(const uint8_t bytes[16])
{
    uint64_t low, high;

    memcpy(&low, bytes, sizeof(low));
    memcpy(&high, bytes + 8, sizeof(high));
    return high ? UINT64_MAX : le64toh(low);
}

/* Data units are thousands of 512 bytes. */
static uint64_t units_bytes(const uint8_t bytes[16])
{
    uint64_t units = low64(bytes);

    return units > UINT64_MAX / 512000 ? UINT64_MAX : units * 512000;
}

static void decode_controller(const struct nvme_id_ctrl *id, struct keel_nvme_info *info)
{
    copy_text(info->model, id->mn, sizeof(id->mn));
    copy_text(info->serial, id->sn, sizeof(id->sn));
    copy_text(info->firmware, id->fr, sizeof(id->fr));
    info->version = le32toh(id->ver);
    info->mdts_bytes = id->mdts ? UINT64_C(1) << (PAGE_SHIFT_MIN + (id->mdts & 31)) : 0;
    info->cache = (id->vwc & 1) != 0;
    info->oncs = le16toh(id->oncs);
    info->awun = le16toh(id->awun);
    info->awupf = le16toh(id->awupf);
    info->acwu = le16toh(id->acwu);
}

static void decode_namespace(const struct nvme_id_ns *id, struct keel_nvme_info *info)
{
    /* Formats from 16 on have the upper bits of their number apart. */
    unsigned format = (id->flbas & 0xfu) | (id->flbas >> 1 & 0x30u);
    const struct nvme_lbaf *lbaf = &id->lbaf[id->nlbaf < 16 ? format & 0xfu : format];

    info->blocks = le64toh(id->nsze);
    info->capacity_blocks = le64toh(id->ncap);
    info->used_blocks = le64toh(id->nuse);
    info->block_bytes = lbaf->ds >= 9 && lbaf->ds < 32 ? 1u << lbaf->ds : 0;
    info->metadata_bytes = le16toh(lbaf->ms);
    info->nsfeat = id->nsfeat;
    info->nmic = id->nmic;
    info->shared = (id->nmic & 1) != 0;
    info->dps = id->dps;
    info->dlfeat = id->dlfeat;
    info->nawun = le16toh(id->nawun);
    info->nawupf = le16toh(id->nawupf);
    info->nacwu = le16toh(id->nacwu);
    info->nabsn = le16toh(id->nabsn);
    info->nabo = le16toh(id->nabo);
    info->nabspf = le16toh(id->nabspf);
    info->noiob = le16toh(id->noiob);
    info->npwg = le16toh(id->npwg);
    info->npwa = le16toh(id->npwa);
    info->npdg = le16toh(id->npdg);
    info->npda = le16toh(id->npda);
    info->nows = le16toh(id->nows);
}

static void decode_health(const struct nvme_smart_log *log, struct keel_nvme_info *info)
{
    info->critical_warning = log->critical_warning;
    info->kelvin = (uint16_t)(log->temperature[0] | log->temperature[1] << 8);
    info->spare_percent = log->avail_spare;
    info->spare_threshold = log->spare_thresh;
    info->used_percent = log->percent_used;
    info->bytes_read = units_bytes(log->data_units_read);
    info->bytes_written = units_bytes(log->data_units_written);
    info->power_on_hours = low64(log->power_on_hours);
    info->unsafe_shutdowns = low64(log->unsafe_shutdowns);
    info->media_errors = low64(log->media_errors);
}

static void decode_effects(const struct nvme_cmd_effects_log *log, struct keel_nvme_info *info)
{
    info->effect_flush = le32toh(log->iocs[nvme_cmd_flush]);
    info->effect_write = le32toh(log->iocs[nvme_cmd_write]);
    info->effect_read = le32toh(log->iocs[nvme_cmd_read]);
    info->effect_write_zeroes = le32toh(log->iocs[nvme_cmd_write_zeroes]);
    info->effect_deallocate = le32toh(log->iocs[nvme_cmd_dsm]);
}

static void decode_commands(const struct nvme_id_ctrl_nvm *id, struct keel_nvme_info *info)
{
    info->write_zeroes_bytes = id->wzsl ? UINT64_C(1) << (PAGE_SHIFT_MIN + (id->wzsl & 31)) : 0;
    info->deallocate_blocks = le32toh(id->dmrsl);
}

/* A feature's value: the completion's dword 0. */
static uint32_t feature_value(const void *bytes)
{
    uint32_t value;

    memcpy(&value, bytes, sizeof(value));
    return value;
}

void ios_nvme_decode(enum keel_nvme_part part, const void *bytes, struct keel_nvme_info *info)
{
    _Static_assert(sizeof(struct nvme_id_ctrl) == NVME_IDENT_BYTES &&
                       sizeof(struct nvme_id_ns) == NVME_IDENT_BYTES &&
                       sizeof(struct nvme_id_ctrl_nvm) == NVME_IDENT_BYTES &&
                       sizeof(struct nvme_cmd_effects_log) == NVME_IDENT_BYTES &&
                       sizeof(struct nvme_smart_log) == NVME_SMART_BYTES,
                   "as the specification has them");

    switch (part) {
    case KEEL_NVME_CONTROLLER:
        decode_controller(bytes, info);
        return;
    case KEEL_NVME_NAMESPACE:
        decode_namespace(bytes, info);
        return;
    case KEEL_NVME_COMMANDS:
        decode_commands(bytes, info);
        return;
    case KEEL_NVME_EFFECTS:
        decode_effects(bytes, info);
        return;
    case KEEL_NVME_HEALTH:
        decode_health(bytes, info);
        return;
    case KEEL_NVME_CACHE:
        info->cache_on = (feature_value(bytes) & 1) != 0;
        return;
    case KEEL_NVME_ATOMICITY:
        info->atomic_unit_fixed = (feature_value(bytes) & 1) != 0;
        return;
    case KEEL_NVME_PART_COUNT:
        break;
    }
    KEEL_UNREACHABLE();
}

/* ------------------------------------------------------------- reading */

/* One part into buf. libnvme: 0, the device's status, or -1 with errno. */
static int read_part(int fd, uint32_t nsid, enum keel_nvme_part part, void *buf)
{
    switch (part) {
    case KEEL_NVME_CONTROLLER:
        return nvme_identify_ctrl(fd, buf);
    case KEEL_NVME_NAMESPACE:
        return nvme_identify_ns(fd, nsid, buf);
    case KEEL_NVME_COMMANDS:
        return nvme_nvm_identify_ctrl(fd, buf);
    case KEEL_NVME_EFFECTS:
        return nvme_get_log_cmd_effects(fd, NVME_CSI_NVM, buf);
    case KEEL_NVME_HEALTH:
        return nvme_get_log_smart(fd, NVME_NSID_ALL, true, buf);
    case KEEL_NVME_CACHE:
        return nvme_get_features_volatile_wc(fd, NVME_GET_FEATURES_SEL_CURRENT, buf);
    case KEEL_NVME_ATOMICITY:
        return nvme_get_features_write_atomic(fd, NVME_GET_FEATURES_SEL_CURRENT, buf);
    case KEEL_NVME_PART_COUNT:
        break;
    }
    KEEL_UNREACHABLE();
}

static void take_part(int fd, enum keel_nvme_part part, void *buf, struct keel_nvme_info *info)
{
    memset(buf, 0, NVME_IDENT_BYTES);
    errno = 0;
    int rc = read_part(fd, info->nsid, part, buf);
    if (rc == 0)
        ios_nvme_decode(part, buf, info);
    info->rc[part] = rc < 0 ? -(errno ? errno : EIO) : rc;
}

int ios_nvme_ident_short(int fd, uint32_t nsid, struct keel_nvme_info *ret)
{
    void *buf = mem_alloc_aligned(MEM_PAGE, NVME_IDENT_BYTES);

    if (!buf)
        return -ENOMEM;
    *ret = (struct keel_nvme_info){.nsid = nsid};
    take_part(fd, KEEL_NVME_NAMESPACE, buf, ret);
    take_part(fd, KEEL_NVME_CONTROLLER, buf, ret);
    mem_free(buf);

    int rc =
        ret->rc[KEEL_NVME_NAMESPACE] ? ret->rc[KEEL_NVME_NAMESPACE] : ret->rc[KEEL_NVME_CONTROLLER];
    return rc > 0 ? -EIO : rc;
}

int keel_nvme_identify(const char *path, struct keel_nvme_info *ret)
{
    *ret = (struct keel_nvme_info){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ios_path_error(errno);
    if (nvme_get_nsid(fd, &ret->nsid) != 0) {
        close(fd);
        return KEEL_ENOTSUP;
    }

    void *buf = mem_alloc_aligned(MEM_PAGE, NVME_IDENT_BYTES);
    if (buf) {
        for (unsigned part = 0; part < KEEL_NVME_PART_COUNT; part++)
            take_part(fd, (enum keel_nvme_part)part, buf, ret);
        mem_free(buf);
    }
    close(fd);
    return buf ? 0 : -ENOMEM;
}
