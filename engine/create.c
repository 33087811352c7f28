/*
 * Finding and making store.keel, wal.keel and pages.keel.
 *
 * A folder is a store when it has a store.keel. Creation makes it appear last, by a rename:
 *   - store.keel.tmp is made first, synced with its folder, and held locked from then on: it says
 *     that a creation is under way, and keeps a second creator out
 *   - wal.keel and pages.keel are made, zeroed, formatted, synced
 *   - store.keel.tmp gets the superblock, synced; the folder is synced
 *   - store.keel.tmp becomes store.keel; the folder is synced
 * A cut before the rename leaves a store.keel.tmp, and with it whatever wal.keel and pages.keel
 * there are is rubbish that the next creation removes. Without a store.keel.tmp they are somebody's
 * data (a store that lost its superblock): KEEL_ENOTEMPTY.
 *
 * A failed creation takes its files away again, store.keel.tmp last.
 */
#include "engine/create.h"

#include <stdio.h>
#include <string.h>

#include <keel/wal.h>

#include "base/assert.h"
#include "base/mem.h"
#include "engine/on_device.h"
#include "engine/store.h"

#define PATH_BYTES_MAX 256 /* as in keel_device_info */
#define RACES_MAX      8   /* other creators and openers met in a row */

#define FOUND_STORE 1
#define LOST_RACE   2 /* a store has appeared meanwhile: open it */

struct paths {
    char folder[PATH_BYTES_MAX];
    char super[PATH_BYTES_MAX];
    char temp[PATH_BYTES_MAX];
    char wal[PATH_BYTES_MAX];
    char pages[PATH_BYTES_MAX];
};

static int join(char out[PATH_BYTES_MAX], const char *folder, const char *name)
{
    size_t len = strlen(folder);
    const char *slash = len > 0 && folder[len - 1] == '/' ? "" : "/";
    int n = snprintf(out, PATH_BYTES_MAX, "%s%s%s", folder, slash, name);

    return n < 0 || n >= PATH_BYTES_MAX ? -ENAMETOOLONG : 0;
}

static int make_paths(const char *path, struct paths *ret)
{
    if (path[0] == '\0')
        return KEEL_ENOTFOUND;
    int n = snprintf(ret->folder, PATH_BYTES_MAX, "%s", path);
    if (n < 0 || n >= PATH_BYTES_MAX)
        return -ENAMETOOLONG;

    int rc = join(ret->super, path, "store.keel");
    if (rc == 0)
        rc = join(ret->temp, path, "store.keel.tmp");
    if (rc == 0)
        rc = join(ret->wal, path, "wal.keel");
    if (rc == 0)
        rc = join(ret->pages, path, "pages.keel");
    return rc;
}

static int open_device(struct keel_ctx *ctx, const char *path, uint64_t create_bytes,
                       struct keel_err_info *info, struct keel_device **ret)
{
    struct keel_device_options options = KEEL_DEVICE_OPTIONS_DEFAULT;

    options.direct = KEEL_REQUIRED;
    options.create_bytes = create_bytes;
    int rc = store_map_errno(keel_device_open(ctx, path, &options, info, ret));
    if (rc)
        *ret = NULL;
    return rc;
}

static void close_device(struct keel_device **device)
{
    if (*device)
        keel_device_close(*device);
    *device = NULL;
}

void store_files_close(struct keel_store *store)
{
    close_device(&store->pages_device);
    close_device(&store->wal_device);
    close_device(&store->super_device);
    close_device(&store->whole_device);
    mem_free(store->quad.block);
    store->quad.block = NULL;
}

int store_quad_init(struct keel_store *store)
{
    if (!store->quad.block)
        store->quad.block = mem_alloc_aligned(KEEL_BLOCK_BYTES, KEEL_BLOCK_BYTES);
    if (!store->quad.block)
        return -ENOMEM;
    superblock_quad_init(&store->quad, store->super_device, NULL, store->quad.block);
    return 0;
}

/* ------------------------------------------------------------------ an existing store */

static int read_super(struct keel_store *store, struct keel_ctx *ctx, const struct paths *paths,
                      struct keel_err_info *info)
{
    uint64_t bytes = keel_device_info(store->super_device)->size_bytes;

    if (bytes < SUPER_FILE_BYTES)
        return store_error(info, KEEL_EFORMAT, "superblock", paths->super);
    int rc = store_quad_init(store);
    if (rc == 0)
        rc = superblock_open(ctx, &store->quad, &store->super);
    return rc ? store_error(info, rc, "superblock", paths->super) : 0;
}

static int open_existing(struct keel_store *store, struct keel_ctx *ctx, const struct paths *paths,
                         struct keel_err_info *info)
{
    int rc = open_device(ctx, paths->super, 0, info, &store->super_device);
    if (rc == 0)
        rc = read_super(store, ctx, paths, info);
    if (rc == 0)
        rc = open_device(ctx, paths->wal, 0, info, &store->wal_device);
    if (rc == 0)
        rc = open_device(ctx, paths->pages, 0, info, &store->pages_device);
    if (rc)
        return rc;

    uint64_t want = store->super.space_pages * store->super.page_bytes;
    uint64_t got = keel_device_info(store->pages_device)->size_bytes;
    if (got < want) {
        rc = store_error(info, KEEL_EFORMAT, "pages are missing at the end", paths->pages);
        if (info) {
            info->want = want;
            info->got = got;
        }
    }
    return rc;
}

/* ------------------------------------------------------------------ creation */

/* What is in the folder. */
struct listing {
    bool temp, data, foreign;
    char name[96]; /* of the first foreign one */
};

static void note_name(void *arg, const char *name)
{
    struct listing *found = arg;

    if (strcmp(name, "store.keel.tmp") == 0) {
        found->temp = true;
    } else if (strcmp(name, "wal.keel") == 0 || strcmp(name, "pages.keel") == 0) {
        found->data = true;
    } else if (strcmp(name, "store.keel") != 0 && strcmp(name, STORE_PROFILE_NAME) != 0 &&
               !found->foreign) {
        found->foreign = true;
        snprintf(found->name, sizeof(found->name), "%s", name);
    }
}

/* May a store be made here? 0, FOUND_STORE, or an error. */
static int look_at_folder(struct keel_ctx *ctx, const struct paths *paths,
                          struct keel_err_info *info)
{
    struct listing found = {0};

    int rc = keel_path_exists(ctx, paths->folder);
    if (rc <= 0)
        return rc < 0 ? store_error(info, store_map_errno(rc), "folder", paths->folder) : 0;
    rc = keel_path_list(ctx, paths->folder, note_name, &found);
    if (rc)
        return store_error(info, store_map_errno(rc), "list", paths->folder);
    if (found.foreign)
        return store_error(info, KEEL_ENOTEMPTY, "create", found.name);
    if (!found.data || found.temp)
        return 0;
    /* Data alone; unless a creation finished while we looked, it is not ours to remove. */
    rc = keel_path_exists(ctx, paths->super);
    return rc > 0 ? FOUND_STORE : store_error(info, KEEL_ENOTEMPTY, "create", paths->wal);
}

/* Hold store.keel.tmp, new or left over. 0, LOST_RACE, or an error. */
static int claim(struct keel_store *store, struct keel_ctx *ctx, const struct paths *paths,
                 struct keel_err_info *info)
{
    int rc = open_device(ctx, paths->temp, SUPER_FILE_BYTES, info, &store->super_device);

    if (rc == -EEXIST || rc == KEEL_EINUSE)
        rc = open_device(ctx, paths->temp, 0, info, &store->super_device);
    if (rc ==
        KEEL_ENOTFOUND) /* another creator has finished, or failed and taken the folder away */
        return LOST_RACE;
    if (rc)
        return rc;

    /* The name is free again once a creation has finished. Holding it we are the only creator, so
     * either there is no store, or there is one and we are late. */
    rc = keel_path_exists(ctx, paths->super);
    if (rc == 0)
        return 0;
    if (rc > 0)
        keel_ignore(keel_path_unlink(ctx, paths->temp), "the store is complete without it");
    close_device(&store->super_device);
    return rc < 0 ? store_error(info, store_map_errno(rc), "create", paths->super) : LOST_RACE;
}

static int unlink_if_there(struct keel_ctx *ctx, const char *path)
{
    int rc = keel_path_exists(ctx, path);

    if (rc > 0)
        rc = store_map_errno(keel_path_unlink(ctx, path));
    return rc;
}

int store_format(struct keel_store *store, struct keel_ctx *ctx, struct keel_err_info *info)
{
    const struct store_config *config = &store->config;
    struct keel_wal_options options;

    options_wal(config, NULL, &options);
    int rc = keel_wal_create(ctx, store->wal_device, &options, store->super.log_uuid);
    if (rc)
        return store_error(info, store_map_errno(rc), "format log",
                           keel_device_info(store->wal_device)->path);
    superblock_make_uuid(store->super.log_uuid, store->super.uuid);
    store->super.page_bytes = config->page_bytes;
    store->super.space_id = STORE_SPACE_ID;
    store->super.space_pages = config->space_bytes / config->page_bytes;
    return 0;
}

bool store_device_untorn(const struct keel_device *device, uint32_t page_bytes)
{
    const struct keel_device_info *info = keel_device_info(device);

    return info->atomic_write_max > 0 && page_bytes >= info->atomic_write_min &&
           page_bytes <= info->atomic_write_max;
}

int store_choose_torn(struct keel_store *store, struct keel_err_info *info)
{
    bool can = store_device_untorn(store->pages_device, store->config.page_bytes);
    bool atomic =
        store->config.torn == KEEL_TORN_ATOMIC || (store->config.torn == KEEL_TORN_AUTO && can);

    store->super.torn = atomic ? KEEL_TORN_ATOMIC : KEEL_TORN_IMAGES;
    if (!atomic || can)
        return 0;
    int rc = store_error(info, KEEL_ENOTSUP, "the device writes no page of this size untorn",
                         keel_device_info(store->pages_device)->path);
    if (info) {
        info->want = store->config.page_bytes;
        info->got = keel_device_info(store->pages_device)->atomic_write_max;
    }
    return rc;
}

/* The log and the pages, formatted and durable. */
static int make_data(struct keel_store *store, struct keel_ctx *ctx, const struct paths *paths,
                     struct keel_err_info *info)
{
    const struct store_config *config = &store->config;

    int rc = unlink_if_there(ctx, paths->wal);
    if (rc == 0)
        rc = unlink_if_there(ctx, paths->pages);
    if (rc == 0)
        rc = open_device(ctx, paths->wal, config->log_bytes, info, &store->wal_device);
    if (rc)
        return rc;

    rc = store_format(store, ctx, info);
    if (rc)
        return rc;
    rc = open_device(ctx, paths->pages, config->space_bytes, info, &store->pages_device);
    return rc ? rc : store_choose_torn(store, info);
}

/* The superblock, and the rename that makes the store be there. */
static int make_super(struct keel_store *store, struct keel_ctx *ctx, const struct paths *paths)
{
    int rc = store_quad_init(store);

    if (rc == 0 && keel_device_info(store->super_device)->size_bytes < SUPER_FILE_BYTES)
        rc = keel_device_grow(ctx, store->super_device, SUPER_FILE_BYTES);
    if (rc == 0)
        rc = superblock_create(ctx, &store->quad, &store->super);
    if (rc == 0)
        rc = keel_path_sync(ctx, paths->folder);
    if (rc == 0)
        rc = keel_path_rename(ctx, paths->temp, paths->super);
    if (rc == 0)
        rc = keel_path_sync(ctx, paths->folder);
    return store_map_errno(rc);
}

/* After a failure: store.keel if the rename had happened, then the data, the claim last. */
static void take_away(struct keel_store *store, struct keel_ctx *ctx, const struct paths *paths)
{
    close_device(&store->pages_device);
    close_device(&store->wal_device);

    const char *names[] = {paths->super, paths->wal, paths->pages, paths->temp};
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        keel_ignore(unlink_if_there(ctx, names[i]),
                    "the failure is reported; the next creation cleans up");
    close_device(&store->super_device);
}

/* 0: made and open; LOST_RACE; or an error. */
static int create_store(struct keel_store *store, struct keel_ctx *ctx, const struct paths *paths,
                        struct keel_err_info *info)
{
    int rc = look_at_folder(ctx, paths, info);
    if (rc)
        return rc == FOUND_STORE ? LOST_RACE : rc;
    bool there = keel_path_exists(ctx, paths->folder) == 1;
    rc = keel_path_mkdir(ctx, paths->folder);
    if (rc)
        return store_error(info, store_map_errno(rc), "mkdir", paths->folder);
    rc = claim(store, ctx, paths, info);
    if (rc)
        goto fail;

    rc = make_data(store, ctx, paths, info);
    if (rc == 0) {
        rc = make_super(store, ctx, paths);
        if (rc)
            rc = store_error(info, rc, "create superblock", paths->super);
    }
    if (rc == 0)
        return 0;
    take_away(store, ctx, paths);

fail:
    /* Only when it is empty: another creation may be at work in it. */
    if (!there && rc != LOST_RACE)
        keel_ignore(keel_path_unlink(ctx, paths->folder), "the failure is reported");
    return rc;
}

/* 0, LOST_RACE or an error. */
static int open_or_create(struct keel_store *store, struct keel_ctx *ctx, const struct paths *paths,
                          struct keel_err_info *info)
{
    int rc = keel_path_exists(ctx, paths->super);

    if (rc < 0)
        return store_error(info, store_map_errno(rc), "open", paths->super);
    if (rc > 0)
        return open_existing(store, ctx, paths, info);
    if (store->config.create_off)
        return store_error(info, KEEL_ENOTFOUND, "open", paths->super);
    return create_store(store, ctx, paths, info);
}

int store_files_open(struct keel_store *store, struct keel_ctx *ctx, const char *path,
                     struct keel_err_info *info)
{
    struct paths paths;

    int rc = make_paths(path, &paths);
    if (rc)
        return store_error(info, rc, "open", path);

    if (keel_path_exists(ctx, path) == KEEL_PATH_DEVICE) {
        rc = store_on_device_open(store, ctx, path, info);
    } else {
        rc = LOST_RACE;
        for (unsigned i = 0; i < RACES_MAX && rc == LOST_RACE; i++)
            rc = open_or_create(store, ctx, &paths, info);
        if (rc == LOST_RACE)
            rc = store_error(info, KEEL_EINUSE, "open", path);
    }
    if (rc)
        store_files_close(store);
    return rc;
}
