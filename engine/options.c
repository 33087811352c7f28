/*
 * Checking the options of keel_open before anything is touched.
 *
 * One table of ranges, then the few rules that join two options. What an option means is in
 * keel/engine.h and keel/wal.h.
 */
#include "engine/options.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define TIB (UINT64_C(1) << 40)

#define DEFAULT_LOG_BYTES       (256 * MIB)
#define DEFAULT_SPACE_BYTES     (16 * MIB)
#define DEFAULT_SPACE_BYTES_MAX TIB
#define DEFAULT_CACHE_BYTES     (64 * MIB)
#define DEFAULT_BATCH_BYTES     (256 * KIB)
#define DEFAULT_BUFFER_BYTES    (4 * MIB)
#define DEFAULT_TX_MAX          256u

#define CACHE_PAGES_MIN 16u
#define SPACE_PAGES_MIN 2u
#define INFLIGHT_MAX    32u
#define TX_MAX          65536u

static int refuse(struct keel_err_info *info, const char *option, uint64_t got)
{
    if (info) {
        *info = (struct keel_err_info){.code = KEEL_EOPTION, .op = "keel_open", .got = got};
        snprintf(info->object, sizeof(info->object), "%s", option);
    }
    return KEEL_EOPTION;
}

static bool power_of_two(uint64_t value)
{
    return value > 0 && (value & (value - 1)) == 0;
}

struct range {
    const char *option;
    uint64_t value, min, max, multiple;
};

static int check_ranges(const struct range *ranges, unsigned count, struct keel_err_info *info)
{
    for (unsigned i = 0; i < count; i++) {
        const struct range *range = &ranges[i];

        KEEL_ASSERT(range->min <= range->max && range->multiple > 0);
        if (range->value < range->min || range->value > range->max ||
            range->value % range->multiple != 0)
            return refuse(info, range->option, range->value);
    }
    return 0;
}

static uint64_t or_default(uint64_t value, uint64_t fallback)
{
    return value ? value : fallback;
}

static void fill(const struct keel_options *options, struct store_config *config)
{
    *config = (struct store_config){
        .background = options->background,
        .method = options->method,
        .sim = options->sim,
        .sync = options->sync,
        .fixed = options->fixed,
        .create_off = options->create_off,
        .overwrite = options->overwrite,
        .shared = options->shared,
        .page_bytes = (uint32_t)or_default(options->page_bytes, KEEL_PAGE_BYTES_MIN),
        .torn = options->torn,
        .log_bytes = or_default(options->log_bytes, DEFAULT_LOG_BYTES),
        .space_bytes = or_default(options->space_bytes, DEFAULT_SPACE_BYTES),
        .space_bytes_max = or_default(options->space_bytes_max, DEFAULT_SPACE_BYTES_MAX),
        .cache_bytes = or_default(options->cache_bytes, DEFAULT_CACHE_BYTES),
        .cache_bytes_max = options->cache_bytes_max,
        .scrub_bytes_per_s = options->scrub_bytes_per_s,
        .damaged = options->damaged,
        .damaged_arg = options->damaged_arg,
        .tx_bytes = options->tx_bytes,
        .checkpoint_bytes = options->checkpoint_bytes,
        .inflight_max = options->inflight_max,
        .batch_bytes_max = options->batch_bytes_max,
        .pipeline_bytes = options->pipeline_bytes,
        .log_buffer_bytes = (uint32_t)or_default(options->log_buffer_bytes, DEFAULT_BUFFER_BYTES),
        .tx_max = (uint32_t)or_default(options->tx_max, DEFAULT_TX_MAX),
        .stats = options->stats,
        .profile = options->profile,
    };
}

static int check_values(const struct store_config *config, struct keel_err_info *info)
{
    if (!power_of_two(config->page_bytes))
        return refuse(info, "page_bytes", config->page_bytes);
    if (!power_of_two(config->log_buffer_bytes))
        return refuse(info, "log_buffer_bytes", config->log_buffer_bytes);

    uint64_t page = config->page_bytes;
    uint64_t batch = or_default(config->batch_bytes_max, DEFAULT_BATCH_BYTES);
    /* clang-format off */
    const struct range ranges[] = {
        {"background", config->background, KEEL_THREADS, KEEL_MANUAL, 1},
        {"method", config->method, KEEL_METHOD_AUTO, KEEL_METHOD_SIM, 1},
        {"sync", config->sync, KEEL_SYNC_AUTO, KEEL_SYNC_NVME_FLUSH, 1},
        {"fixed", config->fixed, KEEL_PREFERRED, KEEL_OFF, 1},
        {"page_bytes", page, KEEL_PAGE_BYTES_MIN, KEEL_PAGE_BYTES_MAX, KEEL_PAGE_BYTES_MIN},
        {"torn", config->torn, KEEL_TORN_IMAGES, KEEL_TORN_AUTO, 1},
        {"log_bytes", config->log_bytes, KEEL_WAL_BYTES_MIN, TIB, KEEL_BLOCK_BYTES},
        {"space_bytes", config->space_bytes, SPACE_PAGES_MIN * page, TIB * 1024, page},
        {"space_bytes_max", config->space_bytes_max, config->space_bytes, TIB * 1024, page},
        {"cache_bytes", config->cache_bytes, CACHE_PAGES_MIN * page, TIB * 16, 1},
        {"cache_bytes_max", config->cache_bytes_max, 0, TIB * 16, 1},
        {"tx_bytes", config->tx_bytes, 0, config->log_bytes / 2, 1},
        {"checkpoint_bytes", config->checkpoint_bytes, 0, config->log_bytes, 1},
        {"inflight_max", config->inflight_max, 0, INFLIGHT_MAX, 1},
        {"batch_bytes_max", batch, KEEL_BLOCK_BYTES, KEEL_IO_BYTES_MAX, KEEL_BLOCK_BYTES},
        {"pipeline_bytes", config->pipeline_bytes, 0, UINT32_MAX, 1},
        {"log_buffer_bytes", config->log_buffer_bytes, 2 * KEEL_BLOCK_BYTES, KIB * MIB, 1},
        {"tx_max", config->tx_max, 1, TX_MAX, 1},
        {"stats", config->stats, KEEL_PREFERRED, KEEL_OFF, 1},
    };
    /* clang-format on */

    return check_ranges(ranges, sizeof(ranges) / sizeof(ranges[0]), info);
}

/* The rules that join two options. */
static int check_pairs(struct store_config *config, struct keel_err_info *info)
{
    /* A default follows the option that was given; what was given must fit by itself. */
    if (config->batch_bytes_max == 0 && config->log_buffer_bytes < 2 * DEFAULT_BATCH_BYTES)
        config->batch_bytes_max = config->log_buffer_bytes / 2;
    if (config->batch_bytes_max > config->log_buffer_bytes / 2)
        return refuse(info, "batch_bytes_max", config->batch_bytes_max);

    if (config->cache_bytes_max > 0 && config->cache_bytes_max < config->cache_bytes)
        return refuse(info, "cache_bytes_max", config->cache_bytes_max);
    if ((config->method == KEEL_METHOD_SIM) != (config->sim != NULL))
        return refuse(info, "sim", config->method);
    if (config->sim && config->background != KEEL_MANUAL)
        return refuse(info, "background", config->background); /* a simulation has one thread */
    return 0;
}

int options_check(const struct keel_options *options, struct keel_err_info *info,
                  struct store_config *ret)
{
    struct keel_options given = KEEL_OPTIONS_DEFAULT;

    if (options) {
        if (options->size < sizeof(uint32_t) || options->size > sizeof(given))
            return refuse(info, "size", options->size);
        memcpy(&given, options, options->size); /* an older, shorter struct has the rest as 0 */
    }
    fill(&given, ret);

    int rc = check_values(ret, info);
    return rc ? rc : check_pairs(ret, info);
}

int options_method(struct store_config *config, const char *callers, struct keel_err_info *info)
{
    bool nvme = strcmp(callers, "nvme") == 0;

    if (nvme && config->method == KEEL_METHOD_AUTO)
        config->method = KEEL_METHOD_NVME;
    return nvme == (config->method == KEEL_METHOD_NVME) ? 0
                                                        : refuse(info, "method", config->method);
}

void options_wal(const struct store_config *config, struct keel_arena *arena,
                 struct keel_wal_options *ret)
{
    *ret = (struct keel_wal_options){
        .size = sizeof(*ret),
        .sync = config->sync,
        .inflight_max = config->inflight_max,
        .batch_bytes_max = config->batch_bytes_max,
        .buffer_bytes = config->log_buffer_bytes,
        .pipeline_bytes = config->pipeline_bytes,
        .arena = arena,
        .method = config->method,
        .sim = config->sim,
        .fixed = config->fixed,
    };
}
