/*
 * Names: paths, and a directory changed by operations.
 */
#include "iosched/sim_names.h"

#include <errno.h>
#include <string.h>

#include "tests/support/table.h"

static const struct {
    const char *path;
    int rc;
    const char *clean;
} paths[] = {
    {"", 0, ""},
    {"/", 0, ""},
    {".", 0, ""},
    {"./", 0, ""},
    {"a", 0, "a"},
    {"/a", 0, "a"},
    {"a/", 0, "a"},
    {"a//b", 0, "a/b"},
    {"./a/./b/.", 0, "a/b"},
    {"a.b/.c", 0, "a.b/.c"},
    {"..a/b..", 0, "..a/b.."},
    {"a/../b", -EINVAL, NULL},
    {"..", -EINVAL, NULL},
};

TABLE_TEST(sim_names, cleans_paths, paths)
{
    char clean[SIM_PATH_MAX];
    int rc = sim_path_clean(row->path, clean);

    cr_assert_eq(rc, row->rc, "%s: %d", row->path, rc);
    if (row->clean)
        cr_assert_str_eq(clean, row->clean);
}

Test(sim_names, refuses_a_path_that_is_too_long)
{
    char path[SIM_PATH_MAX + 10];
    char clean[SIM_PATH_MAX];

    memset(path, 'x', sizeof(path));
    path[SIM_PATH_MAX] = '\0';
    cr_assert_eq(sim_path_clean(path, clean), -ENAMETOOLONG);
    path[SIM_PATH_MAX - 1] = '\0';
    cr_assert_eq(sim_path_clean(path, clean), -ENAMETOOLONG);
    path[SIM_PATH_MAX - 2] = '\0';
    cr_assert_eq(sim_path_clean(path, clean), 0);
}

Test(sim_names, knows_what_lies_directly_inside_a_folder)
{
    cr_assert(sim_path_inside("a", ""));
    cr_assert(sim_path_inside("a/b", "a"));
    cr_assert(sim_path_inside("a/b/c", "a/b"));
    cr_assert_not(sim_path_inside("a/b", ""));
    cr_assert_not(sim_path_inside("ab", "a"));
    cr_assert_not(sim_path_inside("a", "a"));
    cr_assert_not(sim_path_inside("ab/c", "a"));
}

static void apply(struct sim_pool *pool, struct sim_dir *dir, struct sim_op op, const char *from,
                  const char *to)
{
    op.from = from ? sim_name_new(pool, from) : NULL;
    op.to = to ? sim_name_new(pool, to) : NULL;
    sim_dir_apply(pool, dir, &op);
    sim_name_put(pool, op.from);
    sim_name_put(pool, op.to);
}

Test(sim_names, a_renamed_folder_takes_along_what_lies_below_it)
{
    struct sim_pool *pool = sim_pool_create();
    struct sim_dir dir = {0};
    struct sim_dir copy;
    struct sim_file *file = (struct sim_file *)(void *)&dir; /* only compared */

    apply(pool, &dir, (struct sim_op){.kind = SIM_OP_MKDIR}, "old", NULL);
    apply(pool, &dir, (struct sim_op){.kind = SIM_OP_CREATE, .file = file}, "old/f", NULL);
    apply(pool, &dir, (struct sim_op){.kind = SIM_OP_CREATE, .file = file}, "older", NULL);
    sim_dir_copy(pool, &dir, &copy);
    apply(pool, &dir, (struct sim_op){.kind = SIM_OP_RENAME}, "old", "new");

    cr_assert_null(sim_dir_find(&dir, "old/f"));
    cr_assert_not_null(sim_dir_find(&dir, "new/f"));
    cr_assert_not_null(sim_dir_find(&dir, "older"));
    cr_assert_not_null(sim_dir_find(&copy, "old/f"), "a copy stays as it was");
    cr_assert(sim_dir_has_parent(&dir, "new/x"));
    cr_assert_not(sim_dir_has_parent(&dir, "old/x"));
    cr_assert_not(sim_dir_has_parent(&dir, "older/x"), "a file is no folder");
    sim_dir_clear(pool, &dir);
    sim_dir_clear(pool, &copy);
    sim_pool_put(pool);
}

Test(sim_names, renaming_onto_a_file_replaces_it)
{
    struct sim_pool *pool = sim_pool_create();
    struct sim_dir dir = {0};
    struct sim_file *one = (struct sim_file *)(void *)&dir;
    struct sim_file *two = (struct sim_file *)(void *)&pool;

    apply(pool, &dir, (struct sim_op){.kind = SIM_OP_CREATE, .file = one}, "a", NULL);
    apply(pool, &dir, (struct sim_op){.kind = SIM_OP_CREATE, .file = two}, "b", NULL);
    apply(pool, &dir, (struct sim_op){.kind = SIM_OP_RENAME}, "a", "b");

    cr_assert_eq(dir.count, 1);
    cr_assert_eq(sim_dir_find(&dir, "b")->file, one);
    sim_dir_clear(pool, &dir);
    sim_pool_put(pool);
}
