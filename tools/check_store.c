/*
 * Opening a store read-only, its superblock, and what its log would redo.
 */
#include "tools/check_store.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "base/mem.h"
#include "engine/record.h"
#include "pagecache/page.h"
#include "tools/cli.h"
#include "tools/store_super.h"

static void set_bit(uint8_t *bits, uint64_t at)
{
    bits[at / 8] = (uint8_t)(bits[at / 8] | 1u << at % 8);
}

void check_report(struct check_store *store, const struct check_damage *damage)
{
    if (!damage->of_page || damage->in_use)
        store->counts.damaged++;
    else
        store->counts.damaged_unused++;
    store->found(store->arg, damage);
}

/* ---------------------------------------------------------------- opening */

static int open_at(struct check_store *store, const char *path, const char *name,
                   struct keel_err_info *info, struct keel_device **ret)
{
    struct keel_device_options options = KEEL_DEVICE_OPTIONS_DEFAULT;

    options.read_only = true;
    int rc = keel_device_open(store->ctx, path, &options, info, ret);
    if (rc == 0 || (info && info->object[0]))
        return rc;
    *info = (struct keel_err_info){.code = rc, .op = "open"};
    snprintf(info->object, sizeof(info->object), "%s", name);
    return rc;
}

static int open_file(struct check_store *store, const char *name, struct keel_err_info *info,
                     struct keel_device **ret)
{
    char path[600];

    snprintf(path, sizeof(path), "%s/%s", store->path, name);
    return open_at(store, path, name, info, ret);
}

static int read_super(struct check_store *store, struct keel_err_info *info)
{
    struct store_super found;

    int rc = store_super_read(store->ctx, store->super_device, &found);
    if (rc) {
        *info = (struct keel_err_info){.code = rc, .op = "superblock"};
        snprintf(info->object, sizeof(info->object), "store.keel");
        return rc;
    }
    store->super = found.super;
    store->generation = found.generation;
    store->copies = found.copies;
    return 0;
}

static int open_folder(struct check_store *store, struct keel_err_info *info)
{
    int rc = open_file(store, "store.keel", info, &store->super_device);

    if (rc == 0)
        rc = read_super(store, info);
    if (rc == 0)
        rc = open_file(store, "wal.keel", info, &store->wal_device);
    return rc ? rc : open_file(store, "pages.keel", info, &store->pages_device);
}

/* On one device the superblock is at its front, and the rest are parts of it. */
static int open_device(struct check_store *store, struct keel_err_info *info)
{
    struct device_layout layout;

    int rc = open_at(store, store->path, store->path, info, &store->super_device);
    if (rc == 0)
        rc = read_super(store, info);
    if (rc)
        return rc;
    const struct store_super super = {.super = store->super};
    rc = store_super_layout(&super, store->super_device, &layout);
    if (rc)
        *info = (struct keel_err_info){.code = rc, .op = "superblock: not of this device"};
    if (rc == 0)
        rc = keel_device_part(store->super_device, &layout.log, &store->wal_device);
    return rc ? rc : keel_device_part(store->super_device, &layout.pages, &store->pages_device);
}

static int make_notes(struct check_store *store)
{
    uint64_t pages = store->super.space_pages, bytes = pages / 8 + 1;

    store->page_len = store->super.page_bytes - KEEL_PAGE_HEADER_BYTES;
    store->map_bits = (uint64_t)store->page_len * 8;
    store->counts.pages = pages;
    store->counts.map_pages = (pages + store->map_bits - 1) / store->map_bits;
    store->in_use = mem_alloc(bytes);
    store->named = mem_alloc(bytes);
    store->whole = mem_alloc(bytes);
    store->map =
        mem_alloc_aligned(KEEL_BLOCK_BYTES, store->counts.map_pages * store->super.page_bytes);
    return store->in_use && store->named && store->whole && store->map ? 0 : -ENOMEM;
}

int check_open(struct check_store *store, const char *path,
               void (*found)(void *arg, const struct check_damage *damage), void *arg,
               struct keel_err_info *info)
{
    *store = (struct check_store){.found = found, .arg = arg};
    struct stat st;

    if (snprintf(store->path, sizeof(store->path), "%s", path) >= (int)sizeof(store->path))
        return -ENAMETOOLONG;
    bool folder = stat(path, &st) != 0 || S_ISDIR(st.st_mode);
    store->method = store_method(path);
    int rc = cli_ctx_open(store->method, &store->ctx);
    if (rc == 0)
        rc = folder ? open_folder(store, info) : open_device(store, info);
    if (rc == 0)
        rc = make_notes(store);
    if (rc)
        check_close(store);
    return rc;
}

void check_close(struct check_store *store)
{
    struct keel_device **devices[] = {&store->pages_device, &store->wal_device,
                                      &store->super_device};

    for (unsigned i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
        if (*devices[i])
            keel_device_close(*devices[i]);
        *devices[i] = NULL;
    }
    if (store->ctx)
        keel_ctx_close(store->ctx);
    store->ctx = NULL;
    mem_free(store->map);
    mem_free(store->whole);
    mem_free(store->named);
    mem_free(store->in_use);
    store->map = store->whole = store->named = store->in_use = NULL;
}

/* ---------------------------------------------------------------- the map, as it is on the disk */

static uint8_t *map_page(const struct check_store *store, keel_pageno pageno)
{
    return store->map + pageno / store->map_bits * store->super.page_bytes;
}

/* What cannot be trusted counts as "nothing is known to be allocated"; check_pages reports the page
 * itself, unless the log makes it whole. */
static void read_map(struct check_store *store)
{
    uint32_t bytes = store->super.page_bytes;

    for (keel_pageno at = 0; at < store->counts.pages; at += store->map_bits) {
        uint8_t *page = map_page(store, at);
        struct pc_page_fault fault;
        struct keel_io io = {.device = store->pages_device,
                             .buf = page,
                             .offset_bytes = at * bytes,
                             .len_bytes = bytes,
                             .op = KEEL_OP_READ,
                             .cls = KEEL_CLASS_READ};
        int rc = keel_io_submit(store->ctx, &io);
        if (rc == 0)
            rc = keel_io_wait(store->ctx, &io);
        if (rc || pc_page_check(page, bytes, store->super.space_id, at, &fault) != 0)
            memset(page, 0, bytes);
    }
}

/* ---------------------------------------------------------------- the log */

static int note_record(void *arg, const struct keel_wal_entry *entry)
{
    struct check_store *store = arg;
    struct record record;

    if (!record_parse(entry, store->page_len, store->counts.pages, &record)) {
        store->log_info = (struct keel_err_info){.code = KEEL_ECORRUPT,
                                                 .op = "redo: record is not of this store",
                                                 .offset = entry->lsn,
                                                 .got = entry->type};
        return KEEL_ECORRUPT;
    }
    bool first = !check_bit(store->named, record.pageno);
    if (first) {
        set_bit(store->named, record.pageno);
        store->counts.redo++;
        if (record.type != RECORD_DELTA)
            set_bit(store->whole, record.pageno);
    }
    store->log_records++;
    store->log_groups += entry->last;
    if (record.pageno % store->map_bits == 0) {
        uint8_t *page = map_page(store, record.pageno);
        if (record.type != RECORD_DELTA || pc_page_lsn(page) < entry->end_lsn)
            record_apply(&record, page + KEEL_PAGE_HEADER_BYTES);
    }
    return 0;
}

static void follow_log(struct check_store *store)
{
    struct keel_wal_options options = KEEL_WAL_OPTIONS_DEFAULT;
    struct keel_wal *wal;

    options.read_only = true;
    options.method = store->method;
    store->log_rc = keel_wal_open(store->ctx, store->wal_device, &options, &store->log_info, &wal);
    if (store->log_rc)
        return;
    store->log = *keel_wal_report(wal);
    if (memcmp(store->log.uuid, store->super.log_uuid, SUPER_UUID_BYTES) != 0) {
        store->log_rc = KEEL_EFORMAT;
        store->log_info =
            (struct keel_err_info){.code = KEEL_EFORMAT, .op = "log of another store"};
    } else {
        store->log_rc = keel_wal_replay(store->ctx, wal, 0, note_record, store);
    }
    int rc = keel_wal_close(store->ctx, wal);
    store->log_rc = store->log_rc ? store->log_rc : rc;
}

/* Which pages are in use; bits that no page can have are damage of the map. */
static void spread_map(struct check_store *store)
{
    keel_pageno map_end = store->counts.map_pages * store->map_bits;

    for (keel_pageno at = 0; at < map_end; at++) {
        uint8_t *page = map_page(store, at);
        if (at % store->map_bits == 0) {
            set_bit(store->in_use, at); /* the map itself; its own bit says nothing */
            continue;
        }
        if (!check_bit(page + KEEL_PAGE_HEADER_BYTES, at % store->map_bits))
            continue;
        if (at < store->counts.pages) {
            set_bit(store->in_use, at);
            store->counts.allocated++;
            continue;
        }
        keel_pageno owner = at - at % store->map_bits;
        struct check_damage damage = {.file = "pages.keel",
                                      .what = "allocation map: page beyond the end of the space",
                                      .of_page = true,
                                      .in_use = true,
                                      .space = store->super.space_id,
                                      .page = owner,
                                      .lsn = pc_page_lsn(page),
                                      .offset = owner * store->super.page_bytes,
                                      .want = store->counts.pages - 1,
                                      .got = at};
        check_report(store, &damage);
        at = owner + store->map_bits - 1; /* once for a page of the map */
    }
}

int check_log(struct check_store *store)
{
    read_map(store);
    follow_log(store);
    if (store->log_rc && keel_err_class(store->log_rc) != KEEL_CLASS_CORRUPT &&
        store->log_rc != KEEL_EFORMAT)
        return store->log_rc;
    if (store->log_rc) {
        /* Half of a redo is worse than none. */
        memset(store->named, 0, store->counts.pages / 8 + 1);
        memset(store->whole, 0, store->counts.pages / 8 + 1);
        store->counts.redo = 0;
        read_map(store);
        struct check_damage damage = {.file = "wal.keel",
                                      .what = store->log_info.op ? store->log_info.op : "log",
                                      .lsn = store->log_info.offset,
                                      .want = store->log_info.want,
                                      .got = store->log_info.got};
        check_report(store, &damage);
    }
    spread_map(store);
    return 0;
}
