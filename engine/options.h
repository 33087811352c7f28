/*
 * Options of keel_open, checked and with the defaults filled in. Pure; touches no file.
 */
#ifndef KEEL_ENGINE_OPTIONS_H
#define KEEL_ENGINE_OPTIONS_H

#include <keel/engine.h>

struct store_config {
    enum keel_background background;
    enum keel_method method;
    struct keel_sim *sim;
    enum keel_sync_method sync;
    enum keel_want fixed;
    bool create_off;
    bool overwrite;
    bool shared;
    uint32_t page_bytes; /* of a store to be created; then of the one that was opened */
    uint64_t log_bytes;
    uint64_t space_bytes;
    uint64_t space_bytes_max;
    uint64_t cache_bytes, cache_bytes_max;
    uint64_t scrub_bytes_per_s;
    void (*damaged)(void *arg, const struct keel_err_info *info);
    void *damaged_arg;
    enum keel_torn torn;
    uint64_t tx_bytes;         /* 0: to be derived from the log that is found */
    uint64_t checkpoint_bytes; /* 0: likewise */
    uint32_t inflight_max, batch_bytes_max, pipeline_bytes, log_buffer_bytes;
    uint32_t tx_max;
    enum keel_want stats;
    const char *profile; /* the caller's; valid while the store is opened */
};

/* 0, or KEEL_EOPTION with the option's name in info->object. options: NULL = all defaults. */
int options_check(const struct keel_options *options, struct keel_err_info *info,
                  struct store_config *ret);

/*
 * The method of the store's own contexts against that of the caller's, by name. Namespaces are
 * devices of the nvme method alone, so either all are, or none; AUTO follows. KEEL_EOPTION.
 */
int options_method(struct store_config *config, const char *callers, struct keel_err_info *info);

/* Options of the log, for creating and opening it. */
void options_wal(const struct store_config *config, struct keel_arena *arena,
                 struct keel_wal_options *ret);

#endif
