/*
 * Names of a simulated folder tree: which path is which file.
 *
 * A *directory* here is one flat list of all paths, folders among them. It is small (a store has
 * three files), copied whole, and changed by *operations*, so that a power cut can apply any prefix
 * of what was done to what was durable.
 *
 * Not here: what is durable (sim_model.h).
 */
#ifndef KEEL_IOSCHED_SIM_NAMES_H
#define KEEL_IOSCHED_SIM_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "iosched/sim_pool.h"

#define SIM_PATH_MAX 256u

struct sim_file;

/* A path, constant and counted. */
struct sim_name {
    uint32_t refs;
    uint32_t len; /* without the terminating zero */
    char text[];
};

struct sim_entry {
    struct sim_name *name;
    struct sim_file *file; /* NULL: a folder */
};

struct sim_dir {
    struct sim_entry *entry; /* in the order of creation */
    uint32_t count, room;
};

enum sim_op_kind {
    SIM_OP_CREATE = 1, /* from, file */
    SIM_OP_MKDIR,      /* from */
    SIM_OP_RENAME,     /* from, to */
    SIM_OP_UNLINK,     /* from */
    SIM_OP_RESIZE,     /* file, bytes */
};

/* One operation on names or sizes, as it stands in the log. */
struct sim_op {
    enum sim_op_kind kind;
    struct sim_name *from, *to;
    struct sim_file *file;
    uint64_t bytes;
    uint64_t event;         /* its number */
    uint64_t event_durable; /* number of the event that made it durable; 0: none yet */
};

/* Path without doubled and trailing slashes and without "./"; "" is the top folder.
 * -ENAMETOOLONG, -EINVAL (".."). */
int sim_path_clean(const char *path, char ret[SIM_PATH_MAX]);
/* Is path directly inside folder? Both are clean. */
bool sim_path_inside(const char *path, const char *folder);

struct sim_name *sim_name_new(struct sim_pool *pool, const char *path);
void sim_name_get(struct sim_name *name);
void sim_name_put(struct sim_pool *pool, struct sim_name *name);

/* All zero: an empty directory, which has only the top folder. */
void sim_dir_copy(struct sim_pool *pool, const struct sim_dir *from, struct sim_dir *ret);
void sim_dir_clear(struct sim_pool *pool, struct sim_dir *dir);

/* The entry with this clean path, lent until the directory changes; NULL: there is none. */
struct sim_entry *sim_dir_find(const struct sim_dir *dir, const char *path);
/* Is the folder that path lies in there? */
bool sim_dir_has_parent(const struct sim_dir *dir, const char *path);

/* Do op. It must be possible: what it names is there, and what it makes is not. SIM_OP_RESIZE
 * changes nothing here. */
void sim_dir_apply(struct sim_pool *pool, struct sim_dir *dir, const struct sim_op *op);

#endif
