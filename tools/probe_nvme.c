/*
 * Prints what keel_nvme_identify found, part by part, and which parts could not be read and why.
 */
#include "tools/probe_nvme.h"

#include <inttypes.h>
#include <string.h>

#include "tools/cli.h"

#define ONCS_DATASET (1u << 2)
#define ONCS_ZEROES  (1u << 3)
#define FEAT_NATOMIC (1u << 1)
#define FEAT_OPTIMAL (1u << 4)

void probe_nvme_ask(const char *path, struct probe_nvme *ret)
{
    *ret = (struct probe_nvme){.rc = KEEL_ENOTSUP};
    if (!path || !path[0])
        return;
    ret->rc = keel_nvme_identify(path, &ret->info);
    ret->found = ret->rc == 0;
}

static bool have(const struct probe_nvme *nvme, enum keel_nvme_part part)
{
    return nvme->info.rc[part] == 0;
}

static void print_controller(const struct keel_nvme_info *info, FILE *out)
{
    fprintf(out, "  %-14s %s, firmware %s, serial %s, NVMe %u.%u\n", "controller", info->model,
            info->firmware, info->serial, info->version >> 16, info->version >> 8 & 0xff);
    if (info->mdts_bytes)
        fprintf(out, "  %-14s %" PRIu64 " bytes\n", "MDTS", info->mdts_bytes);
    else
        fprintf(out, "  %-14s no limit\n", "MDTS");
    fprintf(out, "  %-14s write zeroes %s, deallocate %s (ONCS 0x%x)\n", "commands",
            info->oncs & ONCS_ZEROES ? "yes" : "no", info->oncs & ONCS_DATASET ? "yes" : "no",
            info->oncs);
    fprintf(out, "  %-14s %s\n", "VWC", info->cache ? "there is a volatile cache" : "none");
    fprintf(out, "  %-14s AWUN %u, AWUPF %u, ACWU %u blocks\n", "atomicity", info->awun + 1,
            info->awupf + 1, info->acwu + 1);
}

static void print_namespace(const struct keel_nvme_info *info, FILE *out)
{
    fprintf(out, "  %-14s %u: %" PRIu64 " blocks of %u bytes, %u of metadata%s\n", "namespace",
            info->nsid, info->blocks, info->block_bytes, info->metadata_bytes,
            info->shared ? ", shared with other controllers" : "");
    if (info->nsfeat & FEAT_NATOMIC)
        fprintf(out, "  %-14s NAWUN %u, NAWUPF %u, NACWU %u, NABSPF %u, NABO %u blocks\n", "",
                info->nawun + 1, info->nawupf + 1, info->nacwu + 1, info->nabspf + 1, info->nabo);
    if (info->nsfeat & FEAT_OPTIMAL)
        fprintf(out, "  %-14s NPWG %u, NPWA %u, NPDG %u, NPDA %u, NOWS %u blocks\n", "preferred",
                info->npwg + 1, info->npwa + 1, info->npdg + 1, info->npda + 1, info->nows + 1);
    if (info->noiob)
        fprintf(out, "  %-14s %u blocks\n", "NOIOB", info->noiob);
}

static void print_health(const struct keel_nvme_info *info, FILE *out)
{
    fprintf(out,
            "  %-14s warning 0x%x, spare %u%% (threshold %u%%), used %u%%, %d C, "
            "%" PRIu64 " media errors, %" PRIu64 " unsafe shutdowns\n",
            "health", info->critical_warning, info->spare_percent, info->spare_threshold,
            info->used_percent, info->kelvin - 273, info->media_errors, info->unsafe_shutdowns);
    fprintf(out, "  %-14s %" PRIu64 " bytes read, %" PRIu64 " written, %" PRIu64 " h on\n", "",
            info->bytes_read, info->bytes_written, info->power_on_hours);
}

static void print_rest(const struct probe_nvme *nvme, FILE *out)
{
    const struct keel_nvme_info *info = &nvme->info;

    if (have(nvme, KEEL_NVME_COMMANDS))
        fprintf(out, "  %-14s write zeroes %" PRIu64 " bytes, deallocate %u blocks (0: no limit)\n",
                "most at once", info->write_zeroes_bytes, info->deallocate_blocks);
    if (have(nvme, KEEL_NVME_EFFECTS))
        fprintf(out, "  %-14s flush %x, write %x, read %x, write zeroes %x, deallocate %x\n",
                "effects", info->effect_flush, info->effect_write, info->effect_read,
                info->effect_write_zeroes, info->effect_deallocate);
    if (have(nvme, KEEL_NVME_CACHE))
        fprintf(out, "  %-14s %s\n", "cache is", info->cache_on ? "on" : "off");
    if (have(nvme, KEEL_NVME_ATOMICITY))
        fprintf(out, "  %-14s %s\n", "atomic writes",
                info->atomic_unit_fixed ? "AWUPF alone counts (DN)" : "AWUN counts too");
}

static const char *reason(int rc, char buf[32])
{
    if (rc < 0)
        return strerror(-rc);
    snprintf(buf, 32, "status 0x%x", (unsigned)rc);
    return buf;
}

void probe_nvme_print(const struct probe_nvme *nvme, FILE *out)
{
    char buf[32];

    if (!nvme->found && nvme->rc == KEEL_ENOTSUP)
        return;
    fprintf(out, "NVMe\n");
    if (!nvme->found) {
        fprintf(out, "  %-14s %s: %s\n", "not read", keel_err_name(nvme->rc),
                keel_err_text(nvme->rc));
        return;
    }
    if (have(nvme, KEEL_NVME_CONTROLLER))
        print_controller(&nvme->info, out);
    if (have(nvme, KEEL_NVME_NAMESPACE))
        print_namespace(&nvme->info, out);
    print_rest(nvme, out);
    if (have(nvme, KEEL_NVME_HEALTH))
        print_health(&nvme->info, out);
    for (unsigned part = 0; part < KEEL_NVME_PART_COUNT; part++) {
        int rc = nvme->info.rc[part];
        if (rc)
            fprintf(out, "  %-14s %s: %s\n", "not read",
                    keel_nvme_part_text((enum keel_nvme_part)part), reason(rc, buf));
    }
}

/* ------------------------------------------------------------- JSON */

static json_t *number(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static json_t *controller_json(const struct keel_nvme_info *info)
{
    return json_pack("{s:s,s:s,s:s,s:i,s:o,s:b,s:i,s:i,s:i,s:i}", "model", info->model, "serial",
                     info->serial, "firmware", info->firmware, "version", (int)info->version,
                     "mdts_bytes", number(info->mdts_bytes), "vwc", (int)info->cache, "oncs",
                     info->oncs, "awun", info->awun, "awupf", info->awupf, "acwu", info->acwu);
}

static json_t *namespace_json(const struct keel_nvme_info *info)
{
    return json_pack(
        "{s:i,s:o,s:o,s:i,s:i,s:b,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i}", "nsid",
        (int)info->nsid, "blocks", number(info->blocks), "used_blocks", number(info->used_blocks),
        "block_bytes", (int)info->block_bytes, "metadata_bytes", info->metadata_bytes, "shared",
        (int)info->shared, "nsfeat", info->nsfeat, "dlfeat", info->dlfeat, "nawun", info->nawun,
        "nawupf", info->nawupf, "nacwu", info->nacwu, "nabsn", info->nabsn, "nabspf", info->nabspf,
        "nabo", info->nabo, "noiob", info->noiob, "npwg", info->npwg, "npwa", info->npwa, "npdg",
        info->npdg, "npda", info->npda, "nows", info->nows);
}

static json_t *health_json(const struct keel_nvme_info *info)
{
    return json_pack("{s:i,s:i,s:i,s:i,s:i,s:o,s:o,s:o,s:o,s:o}", "critical_warning",
                     info->critical_warning, "spare_percent", info->spare_percent,
                     "spare_threshold", info->spare_threshold, "used_percent", info->used_percent,
                     "kelvin", info->kelvin, "bytes_read", number(info->bytes_read),
                     "bytes_written", number(info->bytes_written), "power_on_hours",
                     number(info->power_on_hours), "unsafe_shutdowns",
                     number(info->unsafe_shutdowns), "media_errors", number(info->media_errors));
}

static json_t *commands_json(const struct keel_nvme_info *info)
{
    return json_pack("{s:o,s:i}", "write_zeroes_bytes", number(info->write_zeroes_bytes),
                     "deallocate_blocks", (int)info->deallocate_blocks);
}

static json_t *effects_json(const struct keel_nvme_info *info)
{
    return json_pack("{s:i,s:i,s:i,s:i,s:i}", "flush", (int)info->effect_flush, "write",
                     (int)info->effect_write, "read", (int)info->effect_read, "write_zeroes",
                     (int)info->effect_write_zeroes, "deallocate", (int)info->effect_deallocate);
}

static json_t *part_json(const struct probe_nvme *nvme, enum keel_nvme_part part)
{
    const struct keel_nvme_info *info = &nvme->info;

    if (!have(nvme, part))
        return json_null();
    switch (part) {
    case KEEL_NVME_CONTROLLER:
        return controller_json(info);
    case KEEL_NVME_NAMESPACE:
        return namespace_json(info);
    case KEEL_NVME_COMMANDS:
        return commands_json(info);
    case KEEL_NVME_EFFECTS:
        return effects_json(info);
    case KEEL_NVME_HEALTH:
        return health_json(info);
    case KEEL_NVME_CACHE:
        return json_pack("{s:b}", "on", (int)info->cache_on);
    case KEEL_NVME_ATOMICITY:
        return json_pack("{s:b}", "awupf_alone", (int)info->atomic_unit_fixed);
    case KEEL_NVME_PART_COUNT:
        break;
    }
    return json_null();
}

json_t *probe_nvme_json(const struct probe_nvme *nvme)
{
    static const char *const keys[KEEL_NVME_PART_COUNT] = {
        [KEEL_NVME_CONTROLLER] = "controller", [KEEL_NVME_NAMESPACE] = "namespace",
        [KEEL_NVME_COMMANDS] = "commands",     [KEEL_NVME_EFFECTS] = "effects",
        [KEEL_NVME_HEALTH] = "health",         [KEEL_NVME_CACHE] = "cache",
        [KEEL_NVME_ATOMICITY] = "atomicity",
    };
    char buf[32];

    if (!nvme->found)
        return nvme->rc == KEEL_ENOTSUP ? json_null()
                                        : json_pack("{s:s}", "error", keel_err_name(nvme->rc));
    json_t *object = json_object();
    json_t *unread = json_object();
    for (unsigned i = 0; i < KEEL_NVME_PART_COUNT; i++) {
        enum keel_nvme_part part = (enum keel_nvme_part)i;

        json_object_set_new(object, keys[i], part_json(nvme, part));
        if (!have(nvme, part))
            json_object_set_new(unread, keys[i], json_string(reason(nvme->info.rc[part], buf)));
    }
    json_object_set_new(object, "unread", unread);
    return object;
}
