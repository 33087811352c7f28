/*
 * Filling the segment in. The object that it is written to is stats_object.c's.
 */
#include "engine/stats_publish.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <keel/keel.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "base/endian.h"
#include "base/mem.h"
#include "engine/stats_object.h"
#include "engine/store.h"

#define PERIOD_NS UINT64_C(100000000)

/* ------------------------------------------------------------------ layout */

static uint32_t row_bytes(const struct stats_segment *seg, unsigned group)
{
    return STATS_LABEL_BYTES + 8 * seg->columns[group];
}

/* What is asked of the tables once, instead of for each counter. */
static void index_columns(struct stats_segment *seg)
{
    for (unsigned group = 0; group < KEEL_STATS_GROUP_COUNT; group++) {
        unsigned first;
        seg->columns[group] = keel_stat_group_range(group, &first);
        for (uint32_t i = 0; i < seg->columns[group]; i++)
            seg->word[first + i] = (uint16_t)i;
    }
}

static uint8_t *group_entry(const struct stats_segment *seg, unsigned group)
{
    return seg->image + STATS_HEADER_BYTES + (size_t)group * STATS_GROUP_BYTES;
}

static void lay_out_group(struct stats_segment *seg, unsigned group, uint32_t *at)
{
    const struct keel_stat_group_info *info = keel_stat_group_info(group);
    uint8_t *entry = group_entry(seg, group);
    unsigned first;
    uint32_t columns = keel_stat_group_range(group, &first);

    snprintf((char *)entry + STATS_GROUP_AT_NAME, STATS_NAME_BYTES, "%s", info->name);
    store_le32(entry + STATS_GROUP_AT_FIRST, first);
    store_le32(entry + STATS_GROUP_AT_COLUMNS, columns);
    store_le32(entry + STATS_GROUP_AT_ROWS_MAX, info->rows_max);
    store_le32(entry + STATS_GROUP_AT_OFFSET, *at);
    seg->rows_at[group] = *at;
    *at += info->rows_max * row_bytes(seg, group);
}

static uint32_t tables_bytes(void)
{
    return STATS_HEADER_BYTES + KEEL_STATS_GROUP_COUNT * STATS_GROUP_BYTES +
           KEEL_STAT_COUNT * STATS_COLUMN_BYTES;
}

static uint32_t segment_bytes(const struct stats_segment *seg)
{
    uint32_t bytes = tables_bytes();

    for (unsigned group = 0; group < KEEL_STATS_GROUP_COUNT; group++)
        bytes += keel_stat_group_info(group)->rows_max * row_bytes(seg, group);
    return bytes;
}

static void lay_out(struct keel_store *store, const char *path)
{
    struct stats_segment *seg = &store->stats;
    uint8_t *image = seg->image;
    uint32_t at = tables_bytes();
    char whole[PATH_MAX];

    store_le64(image + STATS_AT_MAGIC, STATS_MAGIC);
    store_le32(image + STATS_AT_VERSION, STATS_VERSION);
    store_le32(image + STATS_AT_BYTES, seg->bytes);
    store_le32(image + STATS_AT_PID, (uint32_t)getpid());
    memcpy(image + STATS_AT_UUID, store->super.uuid, SUPER_UUID_BYTES);
    store_le32(image + STATS_AT_GROUPS, KEEL_STATS_GROUP_COUNT);
    store_le32(image + STATS_AT_COLUMNS, KEEL_STAT_COUNT);
    snprintf((char *)image + STATS_AT_KEEL, STATS_KEEL_BYTES, "%s", keel_version());
    snprintf((char *)image + STATS_AT_PATH, STATS_PATH_BYTES, "%.255s",
             realpath(path, whole) ? whole : path);

    for (unsigned group = 0; group < KEEL_STATS_GROUP_COUNT; group++)
        lay_out_group(seg, group, &at);
    KEEL_ASSERT(at == seg->bytes);
    uint8_t *entry = group_entry(seg, KEEL_STATS_GROUP_COUNT);
    for (unsigned stat = 0; stat < KEEL_STAT_COUNT; stat++, entry += STATS_COLUMN_BYTES) {
        const struct keel_stat_info *info = keel_stat_info(stat);
        snprintf((char *)entry + STATS_COLUMN_AT_NAME, STATS_NAME_BYTES, "%s", info->name);
        store_le32(entry + STATS_COLUMN_AT_KIND, info->kind);
    }
}

/* ------------------------------------------------------------------ filling in */

struct row {
    const struct stats_segment *seg;
    uint8_t *at; /* its labels */
};

static struct row row_of(const struct stats_segment *seg, unsigned group, uint32_t row)
{
    KEEL_ASSERT(row < keel_stat_group_info(group)->rows_max);
    return (struct row){seg,
                        seg->image + seg->rows_at[group] + (size_t)row * row_bytes(seg, group)};
}

static void set_rows(struct stats_segment *seg, unsigned group, uint32_t rows)
{
    store_le32(group_entry(seg, group) + STATS_GROUP_AT_ROWS, rows);
}

static void set(struct row row, enum keel_stat stat, uint64_t value)
{
    store_le64(row.at + STATS_LABEL_BYTES + 8 * (size_t)row.seg->word[stat], value);
}

static void fill_store(struct keel_store *store)
{
    struct keel_store_info info;
    struct row row = row_of(&store->stats, KEEL_STATS_store, 0);

    keel_store_info(store, &info);
    set(row, KEEL_STAT_store_state, info.state);
    set(row, KEEL_STAT_store_poison_errno, (uint64_t)keel_err_errno(info.poison));
    set(row, KEEL_STAT_store_page_bytes, info.page_bytes);
    set(row, KEEL_STAT_store_pages, info.pages);
    set(row, KEEL_STAT_store_atomic_pages, info.torn == KEEL_TORN_ATOMIC);
    set(row, KEEL_STAT_store_pages_scrubbed, info.pages_scrubbed);
    set(row, KEEL_STAT_store_pages_damaged, info.pages_damaged);
    set(row, KEEL_STAT_store_pages_allocated, info.pages_allocated);
    set(row, KEEL_STAT_store_transactions_committed, info.tx_committed);
    set(row, KEEL_STAT_store_transactions_aborted, info.tx_aborted);
    set(row, KEEL_STAT_store_checkpoints, info.checkpoints);
    set(row, KEEL_STAT_store_recovered_groups, info.recovered_groups);
    set(row, KEEL_STAT_store_recovered_pages, info.recovered_pages);
    set(row, KEEL_STAT_store_open_ns, info.open_ns);
    set_rows(&store->stats, KEEL_STATS_store, 1);
}

static void fill_holders(struct keel_store *store, const struct keel_wal_stats *wal)
{
    for (uint32_t i = 0; i < wal->holder_count; i++) {
        const struct keel_wal_holder_stats *holder = &wal->holders[i];
        struct row row = row_of(&store->stats, KEEL_STATS_holder, i);

        snprintf((char *)row.at, STATS_LABEL_BYTES, "holder=%s,beyond=%s", holder->name,
                 holder->beyond == KEEL_WAL_WAIT ? "wait" : "break");
        set(row, KEEL_STAT_holder_lsn, holder->lsn);
        set(row, KEEL_STAT_holder_behind_bytes, holder->behind_bytes);
        set(row, KEEL_STAT_holder_cap_bytes, holder->cap_bytes);
        set(row, KEEL_STAT_holder_failures, holder->failures);
        set(row, KEEL_STAT_holder_broken, holder->broken);
    }
    set_rows(&store->stats, KEEL_STATS_holder, wal->holder_count);
}

static void fill_log(struct keel_store *store)
{
    struct keel_wal_stats wal;
    struct row row = row_of(&store->stats, KEEL_STATS_log, 0);

    keel_wal_stats(store->wal, &wal);
    snprintf((char *)row.at, STATS_LABEL_BYTES, "sync=%s", keel_wal_sync_name(wal.sync));
    set(row, KEEL_STAT_log_redo_lsn, wal.redo_lsn);
    set(row, KEEL_STAT_log_durable_lsn, wal.durable_lsn);
    set(row, KEEL_STAT_log_tail_lsn, wal.tail_lsn);
    set(row, KEEL_STAT_log_ring_bytes, wal.ring_bytes);
    set(row, KEEL_STAT_log_used_bytes, wal.used_bytes);
    set(row, KEEL_STAT_log_groups, wal.groups);
    set(row, KEEL_STAT_log_records, wal.records);
    set(row, KEEL_STAT_log_payload_bytes, wal.payload_bytes);
    set(row, KEEL_STAT_log_padding_bytes, wal.padding_bytes);
    set(row, KEEL_STAT_log_block_bytes, wal.block_bytes);
    set(row, KEEL_STAT_log_writes, wal.writes);
    set(row, KEEL_STAT_log_syncs, wal.syncs);
    set(row, KEEL_STAT_log_commits, wal.commits);
    set_rows(&store->stats, KEEL_STATS_log, 1);
    fill_holders(store, &wal);
}

static void fill_cache(struct keel_store *store)
{
    struct keel_pagecache_stats cache;
    struct row row = row_of(&store->stats, KEEL_STATS_cache, 0);

    keel_pagecache_counters(store->cache, &cache);
    set(row, KEEL_STAT_cache_frames, cache.frames);
    set(row, KEEL_STAT_cache_frames_max, cache.frames_max);
    set(row, KEEL_STAT_cache_leaving_frames, cache.leaving);
    set(row, KEEL_STAT_cache_free_frames, cache.free);
    set(row, KEEL_STAT_cache_dirty_frames, cache.dirty);
    set(row, KEEL_STAT_cache_hits, cache.hits);
    set(row, KEEL_STAT_cache_misses, cache.misses);
    set(row, KEEL_STAT_cache_reads, cache.reads);
    set(row, KEEL_STAT_cache_writes, cache.writes);
    set(row, KEEL_STAT_cache_pages_written, cache.pages_written);
    set(row, KEEL_STAT_cache_evictions, cache.evictions);
    set(row, KEEL_STAT_cache_checksum_errors, cache.checksum_errors);
    set(row, KEEL_STAT_cache_log_waits, cache.log_waits);
    set_rows(&store->stats, KEEL_STATS_cache, 1);
}

struct contexts {
    struct keel_store *store;
    uint32_t rows;
    struct keel_ctx_stats sum; /* of the last row */
};

static void add_context(void *arg, struct keel_ctx *ctx)
{
    struct contexts *contexts = arg;
    struct keel_store *store = contexts->store;
    const struct keel_ctx_path *path = keel_ctx_path(ctx);
    uint32_t last = keel_stat_group_info(KEEL_STATS_context)->rows_max - 1;
    uint32_t index = contexts->rows < last ? contexts->rows : last;
    struct row row = row_of(&store->stats, KEEL_STATS_context, index);
    struct keel_ctx_stats *sum = &contexts->sum, stats;

    keel_ctx_stats(ctx, &stats);
    if (index < last) {
        *sum = (struct keel_ctx_stats){0};
        const char *use = ctx == keel_wal_ctx(store->wal) ? "log" : "host";
        snprintf((char *)row.at, STATS_LABEL_BYTES,
                 "context=%" PRIu64 ",use=%s,method=%s,iopoll=%d", stats.number,
                 ctx == store->background.ctx ? "upkeep" : use, path->method, (int)path->iopoll);
    } else if (contexts->rows == last) {
        *sum = (struct keel_ctx_stats){0};
        snprintf((char *)row.at, STATS_LABEL_BYTES, "context=others");
    }
    contexts->rows = index + 1;
    set(row, KEEL_STAT_context_enters, sum->enters += stats.enters);
    set(row, KEEL_STAT_context_submitted, sum->submitted += stats.submitted);
    set(row, KEEL_STAT_context_completed, sum->completed += stats.completed);
    set(row, KEEL_STAT_context_reads, sum->reads += stats.reads);
    set(row, KEEL_STAT_context_writes, sum->writes += stats.writes);
    set(row, KEEL_STAT_context_syncs, sum->syncs += stats.syncs);
    set(row, KEEL_STAT_context_read_bytes, sum->bytes_read += stats.bytes_read);
    set(row, KEEL_STAT_context_written_bytes, sum->bytes_written += stats.bytes_written);
}

static void fill_contexts(struct keel_store *store)
{
    struct contexts contexts = {.store = store};

    keel_ctx_each(add_context, &contexts);
    set_rows(&store->stats, KEEL_STATS_context, contexts.rows);
}

static void set_histogram(struct row row, enum keel_stat first, const struct keel_sched_hist *hist)
{
    _Static_assert(KEEL_SCHED_BUCKETS == KEEL_STAT_BUCKETS, "one for one");
    for (unsigned i = 0; i < KEEL_STAT_BUCKETS; i++)
        set(row, (enum keel_stat)(first + i), hist->bucket[i]);
    set(row, (enum keel_stat)(first + KEEL_STAT_BUCKETS), hist->sum_ns);
}

static void fill_class(struct row row, const struct keel_sched_class_stats *stats)
{
    set(row, KEEL_STAT_class_requests, stats->requests);
    set(row, KEEL_STAT_class_request_bytes, stats->bytes);
    set(row, KEEL_STAT_class_commands, stats->commands);
    set(row, KEEL_STAT_class_errors, stats->errors);
    set(row, KEEL_STAT_class_merged, stats->merged);
    set(row, KEEL_STAT_class_split, stats->split);
    set(row, KEEL_STAT_class_joined, stats->joined);
    set(row, KEEL_STAT_class_resent, stats->resent);
    set(row, KEEL_STAT_class_promoted, stats->promoted);
    set(row, KEEL_STAT_class_cost_ns, stats->cost_ns);
    set(row, KEEL_STAT_class_depth_ns, stats->depth_ns);
    set(row, KEEL_STAT_class_starved_ns, stats->starved_ns);
    set(row, KEEL_STAT_class_held_by_cap, stats->held_cap);
    set(row, KEEL_STAT_class_held_by_budget, stats->held_budget);
    set(row, KEEL_STAT_class_held_by_turn, stats->held_turn);
    set(row, KEEL_STAT_class_held_by_limit, stats->held_limit);
    set(row, KEEL_STAT_class_queued, stats->queued);
    set(row, KEEL_STAT_class_in_flight, stats->in_flight);
    set_histogram(row, KEEL_STAT_class_queue_bucket_0, &stats->queue);
    set_histogram(row, KEEL_STAT_class_exec_bucket_0, &stats->exec);
}

static void fill_disk(struct keel_store *store, uint32_t disk, const struct keel_sched_stats *stats)
{
    struct row row = row_of(&store->stats, KEEL_STATS_disk, disk);

    snprintf((char *)row.at, STATS_LABEL_BYTES, "disk=%u:%u,mode=%s", stats->dev_major,
             stats->dev_minor, keel_sched_mode_name(stats->mode));
    set(row, KEEL_STAT_disk_contexts, stats->contexts);
    set(row, KEEL_STAT_disk_profiled, stats->profiled);
    set(row, KEEL_STAT_disk_cap_ns, stats->cap_ns);
    set(row, KEEL_STAT_disk_in_flight_ns, stats->in_flight_ns);
    set(row, KEEL_STAT_disk_target_ns, stats->target_ns);
    set(row, KEEL_STAT_disk_idle_ns, stats->idle_ns);
    set(row, KEEL_STAT_disk_cap_ups, stats->cap_ups);
    set(row, KEEL_STAT_disk_cap_downs, stats->cap_downs);
    set(row, KEEL_STAT_disk_busy_ns, stats->busy_ns);
    for (uint32_t cls = 0; cls < KEEL_CLASS_COUNT; cls++) {
        row = row_of(&store->stats, KEEL_STATS_class, disk * KEEL_CLASS_COUNT + cls);
        snprintf((char *)row.at, STATS_LABEL_BYTES, "disk=%u:%u,class=%s", stats->dev_major,
                 stats->dev_minor, keel_class_name(cls));
        fill_class(row, &stats->classes[cls]);
    }
}

/* Log and pages may lie on one disk or on two. */
static void fill_disks(struct keel_store *store)
{
    struct keel_device *devices[] = {store->wal_device, store->pages_device};
    struct keel_sched_stats stats = {.size = sizeof(stats)};
    uint32_t count = 0, major = 0, minor = 0;

    for (unsigned i = 0; i < 2; i++) {
        if (keel_sched_stats(devices[i], &stats) != 0 ||
            (count > 0 && stats.dev_major == major && stats.dev_minor == minor))
            continue;
        fill_disk(store, count++, &stats);
        major = stats.dev_major;
        minor = stats.dev_minor;
    }
    set_rows(&store->stats, KEEL_STATS_disk, count);
    set_rows(&store->stats, KEEL_STATS_class, count * KEEL_CLASS_COUNT);
}

/* ------------------------------------------------------------------ handing over */

static int write_image(const struct stats_segment *seg)
{
    ssize_t done;

    do
        done = pwrite(seg->fd, seg->image, seg->bytes, 0);
    while (done < 0 && errno == EINTR);
    if (done < 0)
        return -errno;
    return (uint32_t)done == seg->bytes ? 0 : -ENOSPC;
}

static int publish(struct keel_store *store)
{
    struct stats_segment *seg = &store->stats;
    struct timespec now;

    fill_store(store);
    fill_log(store);
    fill_cache(store);
    fill_contexts(store);
    fill_disks(store);
    clock_gettime(CLOCK_REALTIME, &now);
    store_le64(seg->image + STATS_AT_SEQUENCE, ++seg->sequence);
    store_le64(seg->image + STATS_AT_MONOTONIC, clock_now_ns());
    store_le64(seg->image + STATS_AT_REALTIME,
               (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
    store_le32(seg->image + STATS_AT_CRC,
               crc32c(0, seg->image + STATS_AT_BYTES, seg->bytes - STATS_AT_BYTES));
    return write_image(seg);
}

/* Relaxed: a publication too many or one a little late does no harm. */
void stats_publish_due(struct keel_store *store)
{
    struct stats_segment *seg = &store->stats;

    if (!seg->image || atomic_load_explicit(&seg->rc, memory_order_relaxed) != 0)
        return;
    uint64_t now = clock_now_ns();
    if (now < atomic_load_explicit(&seg->due_ns, memory_order_relaxed))
        return;
    /* Pairs with the release below: what the last one left in image and sequence is seen. */
    if (atomic_exchange_explicit(&seg->busy, 1, memory_order_acquire) != 0)
        return;
    atomic_store_explicit(&seg->due_ns, now + PERIOD_NS, memory_order_relaxed);
    atomic_store_explicit(&seg->rc, publish(store), memory_order_relaxed);
    atomic_store_explicit(&seg->busy, 0, memory_order_release);
}

/* ------------------------------------------------------------------ the object */

static int open_segment(struct keel_store *store, const char *path)
{
    struct stats_segment *seg = &store->stats;

    stats_object_sweep();
    int rc = stats_object_name(path, seg->name);
    if (rc)
        return rc;
    index_columns(seg);
    seg->bytes = segment_bytes(seg);
    KEEL_ASSERT(seg->bytes <= STATS_BYTES_MAX);
    uint8_t *image = mem_alloc(seg->bytes);
    if (!image)
        return -ENOMEM;
    rc = stats_object_make(seg->name, &seg->fd);
    if (rc) {
        mem_free(image);
        return rc;
    }
    seg->image = image;
    lay_out(store, path);
    rc = publish(store);
    if (rc)
        stats_publish_close(store);
    return rc;
}

int stats_publish_open(struct keel_store *store, const char *path)
{
    if (store->config.stats == KEEL_OFF)
        return 0;
    /* A simulation's stores are nobody's to watch, and have no folder. */
    int rc = store->config.sim ? KEEL_ENOTSUP : open_segment(store, path);
    atomic_store_explicit(&store->stats.rc, rc, memory_order_relaxed);
    return store->config.stats == KEEL_REQUIRED ? rc : 0;
}

void stats_publish_close(struct keel_store *store)
{
    struct stats_segment *seg = &store->stats;

    if (!seg->image)
        return;
    unlink(seg->name);
    close(seg->fd);
    mem_free(seg->image);
    seg->image = NULL;
}
