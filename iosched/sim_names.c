/*
 * A directory is searched from one end to the other: it holds a handful of names.
 */
#include "iosched/sim_names.h"

#include <errno.h>
#include <string.h>

int sim_path_clean(const char *path, char ret[SIM_PATH_MAX])
{
    size_t len = 0;

    KEEL_ASSERT(path != NULL);
    while (*path) {
        size_t part = strcspn(path, "/");

        if (part == 2 && path[0] == '.' && path[1] == '.')
            return -EINVAL;
        if (part > 0 && !(part == 1 && path[0] == '.')) {
            if (len + part + 2 > SIM_PATH_MAX)
                return -ENAMETOOLONG;
            if (len > 0)
                ret[len++] = '/';
            memcpy(ret + len, path, part);
            len += part;
        }
        path += part;
        path += strspn(path, "/");
    }
    ret[len] = '\0';
    return 0;
}

/* Length of the folder part: 0 for the top. */
static size_t parent_len(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? (size_t)(slash - path) : 0;
}

bool sim_path_inside(const char *path, const char *folder)
{
    size_t len = parent_len(path);

    return path[0] != '\0' && strlen(folder) == len && memcmp(path, folder, len) == 0;
}

struct sim_name *sim_name_new(struct sim_pool *pool, const char *path)
{
    size_t len = strlen(path);
    struct sim_name *name = sim_pool_alloc(pool, sizeof(*name) + len + 1);

    KEEL_ASSERT(len > 0 && len < SIM_PATH_MAX);
    name->refs = 1;
    name->len = (uint32_t)len;
    memcpy(name->text, path, len + 1);
    return name;
}

void sim_name_get(struct sim_name *name)
{
    KEEL_DCHECK(name->refs > 0);
    name->refs++;
}

void sim_name_put(struct sim_pool *pool, struct sim_name *name)
{
    if (!name)
        return;
    KEEL_DCHECK(name->refs > 0);
    if (--name->refs == 0)
        sim_pool_free(pool, name, sizeof(*name) + name->len + 1);
}

void sim_dir_copy(struct sim_pool *pool, const struct sim_dir *from, struct sim_dir *ret)
{
    *ret = (struct sim_dir){0};
    if (from->count == 0)
        return;

    ret->entry = sim_pool_alloc(pool, from->room * sizeof(*ret->entry));
    ret->room = from->room;
    ret->count = from->count;
    memcpy(ret->entry, from->entry, from->count * sizeof(*ret->entry));
    for (uint32_t i = 0; i < ret->count; i++)
        sim_name_get(ret->entry[i].name);
}

void sim_dir_clear(struct sim_pool *pool, struct sim_dir *dir)
{
    for (uint32_t i = 0; i < dir->count; i++)
        sim_name_put(pool, dir->entry[i].name);
    sim_pool_free(pool, dir->entry, dir->room * sizeof(*dir->entry));
    *dir = (struct sim_dir){0};
}

struct sim_entry *sim_dir_find(const struct sim_dir *dir, const char *path)
{
    size_t len = strlen(path);

    for (uint32_t i = 0; i < dir->count; i++) {
        const struct sim_name *name = dir->entry[i].name;

        if (name->len == len && memcmp(name->text, path, len) == 0)
            return &dir->entry[i];
    }
    return NULL;
}

bool sim_dir_has_parent(const struct sim_dir *dir, const char *path)
{
    char folder[SIM_PATH_MAX];
    size_t len = parent_len(path);

    if (len == 0)
        return true;
    KEEL_ASSERT(len < sizeof(folder));
    memcpy(folder, path, len);
    folder[len] = '\0';

    const struct sim_entry *entry = sim_dir_find(dir, folder);
    return entry && !entry->file;
}

static void add_entry(struct sim_pool *pool, struct sim_dir *dir, struct sim_name *name,
                      struct sim_file *file)
{
    KEEL_ASSERT(!sim_dir_find(dir, name->text));
    dir->entry = sim_pool_grow(pool, dir->entry, dir->count, &dir->room, sizeof(*dir->entry));
    dir->entry[dir->count++] = (struct sim_entry){.name = name, .file = file};
    sim_name_get(name);
}

static void remove_entry(struct sim_pool *pool, struct sim_dir *dir, const char *path)
{
    struct sim_entry *entry = sim_dir_find(dir, path);
    KEEL_ASSERT(entry != NULL);

    size_t behind = (size_t)(dir->entry + dir->count - (entry + 1));

    sim_name_put(pool, entry->name);
    memmove(entry, entry + 1, behind * sizeof(*entry));
    dir->count--;
}

/* What lies below a folder that was renamed follows it. */
static void rename_below(struct sim_pool *pool, struct sim_dir *dir, const struct sim_name *from,
                         const struct sim_name *to)
{
    for (uint32_t i = 0; i < dir->count; i++) {
        struct sim_name *name = dir->entry[i].name;

        if (name->len <= from->len || name->text[from->len] != '/' ||
            memcmp(name->text, from->text, from->len) != 0)
            continue;

        char path[2 * SIM_PATH_MAX];
        size_t below = name->len - from->len + 1;

        memcpy(path, to->text, to->len);
        memcpy(path + to->len, name->text + from->len, below);
        KEEL_ASSERT(to->len + below <= SIM_PATH_MAX);
        dir->entry[i].name = sim_name_new(pool, path);
        sim_name_put(pool, name);
    }
}

static void rename_entry(struct sim_pool *pool, struct sim_dir *dir, const struct sim_name *from,
                         struct sim_name *to)
{
    if (strcmp(from->text, to->text) == 0)
        return;
    if (sim_dir_find(dir, to->text))
        remove_entry(pool, dir, to->text);

    struct sim_entry *entry = sim_dir_find(dir, from->text);
    KEEL_ASSERT(entry != NULL);

    struct sim_name *old = entry->name;

    sim_name_get(to);
    entry->name = to;
    if (!entry->file)
        rename_below(pool, dir, from, to);
    sim_name_put(pool, old);
}

void sim_dir_apply(struct sim_pool *pool, struct sim_dir *dir, const struct sim_op *op)
{
    switch (op->kind) {
    case SIM_OP_CREATE:
        KEEL_ASSERT(op->file != NULL);
        add_entry(pool, dir, op->from, op->file);
        return;
    case SIM_OP_MKDIR:
        add_entry(pool, dir, op->from, NULL);
        return;
    case SIM_OP_RENAME:
        rename_entry(pool, dir, op->from, op->to);
        return;
    case SIM_OP_UNLINK:
        remove_entry(pool, dir, op->from->text);
        return;
    case SIM_OP_RESIZE:
        return;
    }
    KEEL_UNREACHABLE();
}
