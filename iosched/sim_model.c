/*
 * Files, names and sizes of a simulation.
 *
 * An operation takes effect at once and is one event. Whether it would survive a power cut is only
 * ever asked of the history, so without history nothing of it is kept.
 */
#include "iosched/sim_model.h"

#include <errno.h>
#include <string.h>

#include <keel/iosched.h>

struct sim_file *sim_file_new(struct keel_sim *sim, struct sim_name *name)
{
    struct sim_file *file = sim_pool_alloc(sim->pool, sizeof(*file));

    sim->file = sim_pool_grow(sim->pool, sim->file, sim->files, &sim->files_room,
                              sizeof(struct sim_file *));
    file->sim = sim;
    file->index = sim->files;
    file->name = name;
    file->named = true;
    list_init(&file->pending);
    sim_name_get(name);
    sim->file[sim->files++] = file;
    return file;
}

void sim_file_free(struct keel_sim *sim, struct sim_file *file)
{
    struct sim_pool *pool = sim->pool;

    KEEL_ASSERT(sim->file[file->index] == file);
    list_for_each_safe (link, &file->pending) {
        list_remove(link);
        if (!sim->history)
            sim_write_free(pool, container_of(link, struct sim_write, link));
    }
    sim_image_clear(pool, &file->live);
    sim_image_clear(pool, &file->durable);
    sim_image_clear(pool, &file->start);
    sim_image_clear(pool, &file->at);
    sim_name_put(pool, file->name);

    struct sim_file *last = sim->file[--sim->files];
    last->index = file->index;
    sim->file[file->index] = last;
    sim_pool_free(pool, file, sizeof(*file));
}

/* A file that no name and no handle leads to is gone, but history may still lead to it. */
static void release_file(struct keel_sim *sim, struct sim_file *file)
{
    if (file->named || file->opens > 0)
        return;

    KEEL_ASSERT(sim->bytes_used >= file->bytes);
    sim->bytes_used -= file->bytes;
    file->bytes = 0;
    if (!sim->history)
        sim_file_free(sim, file);
}

/* Do an operation, and remember it. Takes the names in it. */
static void do_op(struct keel_sim *sim, struct sim_op *op)
{
    sim->now_ns += sim_draw_latency(sim);
    op->event = ++sim->events;
    sim_dir_apply(sim->pool, &sim->dir, op);

    if (!sim->history) {
        sim_name_put(sim->pool, op->from);
        sim_name_put(sim->pool, op->to);
        return;
    }
    sim->op = sim_pool_grow(sim->pool, sim->op, sim->ops, &sim->ops_room, sizeof(*sim->op));
    sim->op[sim->ops++] = *op;
}

int sim_path_file(struct keel_sim *sim, const char *path, struct sim_file **ret)
{
    char clean[SIM_PATH_MAX];
    int rc = sim_path_clean(path, clean);
    if (rc != 0)
        return rc;

    const struct sim_entry *entry = sim_dir_find(&sim->dir, clean);
    if (!entry)
        return clean[0] ? -ENOENT : -EISDIR;
    if (!entry->file)
        return -EISDIR;

    KEEL_ASSERT(entry->file->named);
    *ret = entry->file;
    return 0;
}

int sim_file_open(struct keel_sim *sim, const char *path, bool read_only, struct sim_file **ret)
{
    struct sim_file *file;
    int rc = sim_path_file(sim, path, &file);

    if (rc != 0)
        return rc;
    if (file->opens > 0 && (file->open_exclusive || !read_only))
        return KEEL_EINUSE;

    file->opens++;
    file->open_exclusive = !read_only;
    *ret = file;
    return 0;
}

/* Check that a new entry can be made at path; ret: the clean path. */
static int check_new(struct keel_sim *sim, const char *path, char ret[SIM_PATH_MAX])
{
    int rc = sim_path_clean(path, ret);

    if (rc != 0)
        return rc;
    if (ret[0] == '\0' || sim_dir_find(&sim->dir, ret))
        return -EEXIST;
    return sim_dir_has_parent(&sim->dir, ret) ? 0 : -ENOENT;
}

int sim_file_create(struct keel_sim *sim, const char *path, struct sim_file **ret)
{
    char clean[SIM_PATH_MAX];
    int rc = check_new(sim, path, clean);
    if (rc != 0)
        return rc;

    struct sim_op op = {.kind = SIM_OP_CREATE, .from = sim_name_new(sim->pool, clean)};
    struct sim_file *file = sim_file_new(sim, op.from);

    op.file = file;
    file->opens = 1;
    file->open_exclusive = true;
    do_op(sim, &op);
    *ret = file;
    return 0;
}

void sim_file_close(struct keel_sim *sim, struct sim_file *file)
{
    KEEL_ASSERT(file->opens > 0);
    for (uint32_t i = 0; i < sim->dues; i++)
        KEEL_DCHECK(sim->due[i].cmd->file != file || file->opens > 1);

    file->opens--;
    if (file->opens == 0)
        file->open_exclusive = false;
    release_file(sim, file);
}

int sim_file_resize(struct keel_sim *sim, struct sim_file *file, uint64_t bytes)
{
    KEEL_ASSERT(file->opens > 0);
    KEEL_ASSERT(sim->bytes_used >= file->bytes);
    if (bytes == file->bytes)
        return 0;

    uint64_t used = sim->bytes_used - file->bytes;
    if (bytes > sim->bytes_max || used > sim->bytes_max - bytes)
        return KEEL_ENOSPACE;

    if (bytes < file->bytes) {
        uint64_t blocks = (bytes + SIM_BLOCK_BYTES - 1) / SIM_BLOCK_BYTES;

        sim_image_truncate(sim->pool, &file->live, blocks);
        sim_image_truncate(sim->pool, &file->durable, blocks);
    }
    sim->bytes_used = used + bytes;
    file->bytes = bytes;
    file->resized = true;

    struct sim_op op = {.kind = SIM_OP_RESIZE, .file = file, .bytes = bytes};
    do_op(sim, &op);
    return 0;
}

void sim_file_sync(struct keel_sim *sim, struct sim_file *file)
{
    uint64_t before = sim->events;

    sim->now_ns += sim_draw_latency(sim);
    file->syncs++;
    sim->events++;
    sim_make_durable(sim, file, before, sim->events);
}

int sim_path_exists(struct keel_sim *sim, const char *path)
{
    char clean[SIM_PATH_MAX];
    int rc = sim_path_clean(path, clean);

    if (rc != 0)
        return rc;
    if (clean[0] == '\0')
        return KEEL_PATH_FOLDER;
    const struct sim_entry *name = sim_dir_find(&sim->dir, clean);
    if (!name)
        return KEEL_PATH_NONE;
    return name->file ? KEEL_PATH_DEVICE : KEEL_PATH_FOLDER;
}

int sim_path_mkdir(struct keel_sim *sim, const char *path)
{
    char clean[SIM_PATH_MAX];
    int rc = check_new(sim, path, clean);

    if (rc == -EEXIST) {
        const struct sim_entry *entry = sim_dir_find(&sim->dir, clean);
        return entry && entry->file ? -EEXIST : 0;
    }
    if (rc != 0)
        return rc;

    struct sim_op op = {.kind = SIM_OP_MKDIR, .from = sim_name_new(sim->pool, clean)};
    do_op(sim, &op);
    return 0;
}

/* Would every path below the folder still fit after it was renamed? */
static bool names_fit(const struct sim_dir *dir, const char *from, const char *to)
{
    size_t from_len = strlen(from);
    size_t to_len = strlen(to);

    for (uint32_t i = 0; i < dir->count; i++) {
        const struct sim_name *name = dir->entry[i].name;
        bool below = name->len > from_len && name->text[from_len] == '/' &&
                     memcmp(name->text, from, from_len) == 0;

        if (below && name->len - from_len + to_len + 1 > SIM_PATH_MAX)
            return false;
    }
    return true;
}

static int check_rename(struct keel_sim *sim, const char *from, const char *to)
{
    const struct sim_entry *source = sim_dir_find(&sim->dir, from);
    const struct sim_entry *target = sim_dir_find(&sim->dir, to);
    size_t len = strlen(from);

    if (from[0] == '\0' || to[0] == '\0')
        return -EBUSY;
    if (!source || !sim_dir_has_parent(&sim->dir, to))
        return -ENOENT;
    if (source->file)
        return target && !target->file ? -EISDIR : 0;
    if (target && target != source)
        return target->file ? -ENOTDIR : -ENOTEMPTY;
    if (strncmp(to, from, len) == 0 && to[len] == '/')
        return -EINVAL; /* into itself */
    return names_fit(&sim->dir, from, to) ? 0 : -ENAMETOOLONG;
}

int sim_path_rename(struct keel_sim *sim, const char *from, const char *to)
{
    char clean_from[SIM_PATH_MAX];
    char clean_to[SIM_PATH_MAX];
    int rc = sim_path_clean(from, clean_from);

    if (rc == 0)
        rc = sim_path_clean(to, clean_to);
    if (rc == 0)
        rc = check_rename(sim, clean_from, clean_to);
    if (rc != 0 || strcmp(clean_from, clean_to) == 0)
        return rc;

    struct sim_file *moved = sim_dir_find(&sim->dir, clean_from)->file;
    const struct sim_entry *target = sim_dir_find(&sim->dir, clean_to);
    struct sim_file *replaced = target ? target->file : NULL;
    struct sim_op op = {.kind = SIM_OP_RENAME,
                        .from = sim_name_new(sim->pool, clean_from),
                        .to = sim_name_new(sim->pool, clean_to)};

    if (moved) {
        sim_name_put(sim->pool, moved->name);
        moved->name = op.to;
        sim_name_get(op.to);
    }
    do_op(sim, &op);
    if (replaced) {
        replaced->named = false;
        release_file(sim, replaced);
    }
    return 0;
}

/* A folder goes only when nothing is in it. */
static int unlink_folder(struct keel_sim *sim, const char *path)
{
    char clean[SIM_PATH_MAX];
    int rc = sim_path_clean(path, clean);

    if (rc != 0)
        return rc;
    for (uint32_t i = 0; i < sim->dir.count; i++) {
        if (sim_path_inside(sim->dir.entry[i].name->text, clean))
            return -ENOTEMPTY;
    }
    const struct sim_entry *entry = sim_dir_find(&sim->dir, clean);
    if (!entry)
        return -EBUSY; /* the top folder */

    struct sim_op op = {.kind = SIM_OP_UNLINK, .from = entry->name};

    sim_name_get(op.from);
    do_op(sim, &op);
    return 0;
}

int sim_path_unlink(struct keel_sim *sim, const char *path)
{
    struct sim_file *file;
    int rc = sim_path_file(sim, path, &file);
    if (rc == -EISDIR)
        return unlink_folder(sim, path);
    if (rc != 0)
        return rc;

    struct sim_op op = {.kind = SIM_OP_UNLINK, .from = file->name};

    sim_name_get(op.from);
    file->named = false;
    do_op(sim, &op);
    release_file(sim, file);
    return 0;
}

/* Does a sync of the folder make this operation durable by itself? */
static bool op_touches(const struct sim_op *op, const char *folder)
{
    if (op->from && sim_path_inside(op->from->text, folder))
        return true;
    return op->to && sim_path_inside(op->to->text, folder);
}

/* Operations reach the disk in their order, as in a journal: up to the last that touches the
 * folder, all are durable. */
int sim_path_sync(struct keel_sim *sim, const char *folder)
{
    char clean[SIM_PATH_MAX];
    int rc = sim_path_clean(folder, clean);
    if (rc != 0)
        return rc;

    const struct sim_entry *entry = sim_dir_find(&sim->dir, clean);
    if (clean[0] != '\0' && !entry)
        return -ENOENT;
    if (entry && entry->file)
        return -ENOTDIR;

    uint32_t end = sim->ops;

    sim->now_ns += sim_draw_latency(sim);
    sim->events++;
    while (end > sim->ops_durable && !op_touches(&sim->op[end - 1], clean))
        end--;
    for (uint32_t i = sim->ops_durable; i < end; i++) {
        if (sim->op[i].event_durable == 0)
            sim->op[i].event_durable = sim->events;
    }
    sim->ops_durable = end;
    return 0;
}

int sim_path_list(struct keel_sim *sim, const char *folder,
                  void (*each)(void *arg, const char *name), void *arg)
{
    char clean[SIM_PATH_MAX];
    int rc = sim_path_clean(folder, clean);
    if (rc != 0)
        return rc;

    const struct sim_entry *entry = sim_dir_find(&sim->dir, clean);
    size_t skip = clean[0] ? strlen(clean) + 1 : 0;

    if (clean[0] != '\0' && !entry)
        return -ENOENT;
    if (entry && entry->file)
        return -ENOTDIR;

    for (uint32_t i = 0; i < sim->dir.count; i++) {
        const char *path = sim->dir.entry[i].name->text;

        if (sim_path_inside(path, clean))
            each(arg, path + skip);
    }
    return 0;
}
