/*
 * A store looked at from outside: opened with shared locks, nothing repaired, nothing written.
 *
 * What is on the disk of a store that was not closed is not yet what the store holds: recovery will
 * redo the log first. So the log is replayed here too, into memory: into the pages of the
 * allocation map, and into one note per page, whether the log makes it whole. A damaged page that
 * recovery will make anew is a torn write of the crash, and no damage.
 *
 * The sequence: check_open, check_log, check_pages, check_close. check_log may find the log damaged
 * and the pages can be looked at all the same.
 */
#ifndef KEEL_TOOLS_CHECK_STORE_H
#define KEEL_TOOLS_CHECK_STORE_H

#include <keel/keel.h>

#include "engine/superblock.h"

/* One thing that is wrong. */
struct check_damage {
    const char *file; /* "pages.keel" or "wal.keel" */
    const char *what; /* constant string: "checksum", "page number", ... */
    bool of_page;     /* space and page are valid */
    bool in_use;      /* the page is allocated; else its contents are void and nothing is lost */
    uint32_t space;
    keel_pageno page;
    keel_lsn lsn;    /* that the page names itself, or of the log */
    uint64_t offset; /* of the page in the file */
    uint64_t want, got;
};

struct check_counts {
    keel_pageno pages, done; /* of the space; looked at so far */
    keel_pageno allocated, map_pages, never_written;
    keel_pageno redo;   /* pages that recovery will change */
    keel_pageno remade; /* of them those that are torn now, and will be whole then */
    uint64_t damaged, damaged_unused;
};

struct check_store {
    char path[512];
    enum keel_method method;
    struct keel_ctx *ctx;
    struct keel_device *super_device, *wal_device, *pages_device;
    struct superblock super;
    uint64_t generation;
    unsigned copies; /* of the superblock, that are good */

    /* the log, after check_log */
    int log_rc; /* 0, or why it cannot be followed; then nothing is known of what it would redo */
    struct keel_err_info log_info;
    struct keel_wal_report log;
    uint64_t log_groups, log_records;

    /* one bit per page */
    uint8_t *in_use; /* what the map says, after redo */
    uint8_t *named;  /* the log has a record of it */
    uint8_t *whole;  /* and the first one holds all of it */

    /* pages of the map, after redo */
    uint32_t page_len; /* user part */
    uint64_t map_bits; /* pages that one describes */
    uint8_t *map;      /* map_pages pages */

    struct check_counts counts;
    void (*found)(void *arg, const struct check_damage *damage);
    void *arg;
};

/* path: the store's folder or device. found: called for each thing that is wrong, by check_log and
 * check_pages. Blocks. On failure nothing stays open. Errors: KEEL_ENOTFOUND, KEEL_EACCESS,
 * KEEL_EINUSE, KEEL_EFORMAT, KEEL_EVERSION, KEEL_ESUPER, KEEL_EREAD, -errno. */
int check_open(struct check_store *store, const char *path,
               void (*found)(void *arg, const struct check_damage *damage), void *arg,
               struct keel_err_info *info);
/* Find the end of the log and what it would redo, and with it the map. 0 (log_rc has the verdict on
 * the log), or what kept the command from looking: -ENOMEM, KEEL_EINUSE, ... */
int check_log(struct check_store *store);
/* Every page of the space. progress: called now and then. 0 or -ENOMEM. */
int check_pages(struct check_store *store, void (*progress)(const struct check_store *store));
void check_close(struct check_store *store);

/* Hand one thing to found, and count it. */
void check_report(struct check_store *store, const struct check_damage *damage);

static inline bool check_bit(const uint8_t *bits, uint64_t at)
{
    return bits[at / 8] >> at % 8 & 1;
}

#endif
