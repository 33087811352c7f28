/*
 * Objects that stores publish in: who makes them, and which a sweep removes.
 *
 * Every store that any test opens meanwhile sweeps too, as it would on a real machine.
 */
#include "engine/stats_object.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <keel/error.h>

#include "base/endian.h"
#include "tests/support/table.h"
#include "tests/support/tmpdir.h"

#define MAKES    4000
#define SWEEPERS 3

struct fixture {
    struct tmpdir dir;
    char super[600];
    char name[STATS_NAME_MAX];
    int fd;
};

/* A folder that looks like a store's, and a locked object for it. False: there is no such folder as
 * objects lie in. */
static bool begin(struct fixture *f, const char *label)
{
    uint8_t header[STATS_HEADER_BYTES] = {0};

    if (access(STATS_FOLDER, W_OK) != 0) {
        fprintf(stderr, "%s: skipped: no %s\n", label, STATS_FOLDER);
        return false;
    }
    tmpdir_create(&f->dir);
    tmpdir_join(&f->dir, "store.keel", f->super, sizeof(f->super));
    int super = open(f->super, O_CREAT | O_WRONLY, 0600);
    cr_assert_geq(super, 0);
    close(super);
    cr_assert_eq(stats_object_name(f->dir.path, f->name), 0);
    cr_assert_eq(stats_object_make(f->name, &f->fd), 0);
    store_le64(header + STATS_AT_MAGIC, STATS_MAGIC);
    snprintf((char *)header + STATS_AT_PATH, STATS_PATH_BYTES, "%.255s", f->dir.path);
    cr_assert_eq(pwrite(f->fd, header, sizeof(header), 0), sizeof(header));
    return true;
}

static void end(struct fixture *f)
{
    unlink(f->name);
    tmpdir_destroy(&f->dir);
}

static bool is_there(const struct fixture *f)
{
    return access(f->name, F_OK) == 0;
}

enum { ALIVE = 1, GONE = 2, OLD = 4, EMPTY = 8 };

static const struct {
    const char *label;
    unsigned what;
    bool stays;
} objects[] = {
    {"of a store in use", ALIVE, true},
    {"in use, and its folder was removed", ALIVE | GONE, true},
    {"in use, and written long ago", ALIVE | OLD, true},
    {"of a store that was killed just now", 0, true},
    {"of a store that was killed long ago", OLD, false},
    {"of a store that was killed and removed", GONE, false},
    {"of a process that was killed before it wrote", EMPTY, false},
};

TABLE_TEST(stats_object, a_sweep_removes_what_nobody_needs, objects)
{
    const struct timespec long_ago[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    struct fixture f;

    if (!begin(&f, row->label))
        return;
    if (row->what & EMPTY)
        cr_assert_eq(ftruncate(f.fd, 0), 0);
    if (row->what & GONE)
        cr_assert_eq(unlink(f.super), 0);
    if (row->what & OLD)
        cr_assert_eq(futimens(f.fd, long_ago), 0);
    if (!(row->what & ALIVE))
        close(f.fd); /* as the end of a process does */

    stats_object_sweep();
    cr_assert_eq(is_there(&f), row->stays, "%s", row->label);
    end(&f);
}

Test(stats_object, one_in_use_is_not_taken_and_one_left_behind_is)
{
    struct fixture f;
    struct stat old, new;
    int fd;

    if (!begin(&f, "taken"))
        return;
    cr_assert_eq(fstat(f.fd, &old), 0);
    cr_assert_eq(stats_object_make(f.name, &fd), KEEL_EINUSE);
    cr_assert(is_there(&f));
    close(f.fd);
    cr_assert_eq(stats_object_make(f.name, &fd), 0);
    cr_assert(fstat(fd, &new) == 0 && new.st_ino != old.st_ino &&new.st_size == 0);
    cr_assert_eq(new.st_mode & 0777, 0600);
    close(fd);
    end(&f);
}

Test(stats_object, a_link_in_its_place_is_removed_and_not_followed)
{
    struct fixture f;
    struct stat st;
    int fd;

    if (!begin(&f, "link"))
        return;
    cr_assert(unlink(f.name) == 0 && symlink(f.super, f.name) == 0);
    close(f.fd);
    stats_object_sweep();
    cr_assert_eq(lstat(f.name, &st), 0, "a sweep leaves what is no object");
    cr_assert_eq(stats_object_make(f.name, &fd), 0);
    cr_assert(lstat(f.name, &st) == 0 && S_ISREG(st.st_mode));
    cr_assert_eq(access(f.super, F_OK), 0);
    close(fd);
    end(&f);
}

/* Until the test ends, also by an assertion. */
static void sweep_for_ever(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;)
        stats_object_sweep();
}

/* Between making and locking an object looks dead: who makes one must end up with one that bears
 * the name, whoever sweeps meanwhile. */
Test(stats_object, one_that_is_made_beside_a_sweep_is_there, .timeout = 60)
{
    struct fixture f;
    struct stat ours, named;
    pid_t sweepers[SWEEPERS];

    if (!begin(&f, "beside"))
        return;
    close(f.fd);
    for (unsigned i = 0; i < SWEEPERS; i++) {
        sweepers[i] = fork();
        cr_assert_geq(sweepers[i], 0);
        if (sweepers[i] == 0)
            sweep_for_ever();
    }
    for (unsigned i = 0; i < MAKES; i++) {
        int fd;
        cr_assert_eq(stats_object_make(f.name, &fd), 0);
        cr_assert(fstat(fd, &ours) == 0 && stat(f.name, &named) == 0 &&
                  ours.st_ino == named.st_ino);
        close(fd);
    }
    for (unsigned i = 0; i < SWEEPERS; i++) {
        kill(sweepers[i], SIGKILL);
        waitpid(sweepers[i], NULL, 0);
    }
    end(&f);
}
