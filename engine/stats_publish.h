/*
 * Publishing a store's counters (keel/stats.h) in shared memory, for other processes to look at.
 *
 * The image is made in private memory and handed over by one pwrite, ten times a second, by whoever
 * does the store's upkeep. So nothing that a reader does or that becomes of the object (cut short,
 * removed, no memory left) reaches the store: a write that fails ends the publishing, and that is
 * all. A reader that catches half of a write sees it by the checksum.
 */
#ifndef KEEL_ENGINE_STATS_PUBLISH_H
#define KEEL_ENGINE_STATS_PUBLISH_H

#include <stdatomic.h>
#include <stdint.h>

#include <keel/stats.h>

#include "engine/stats_format.h"

struct keel_store;

struct stats_segment {
    /* set at open, then constant */
    uint8_t *image; /* NULL: not publishing */
    uint32_t bytes;
    int fd;
    char name[STATS_NAME_MAX];
    uint32_t rows_at[KEEL_STATS_GROUP_COUNT];
    uint32_t columns[KEEL_STATS_GROUP_COUNT];
    uint16_t word[KEEL_STAT_COUNT]; /* of each counter in its row */

    /* whoever has set busy */
    _Atomic uint32_t busy; /* acquire and release in stats_publish_due */
    uint64_t sequence;

    _Atomic uint64_t due_ns; /* next publication */
    _Atomic int32_t rc;      /* why nothing is published; 0: it is */
};

/* Begin to publish, before other threads know the store, and remove what dead ones left behind.
 * Blocks for a moment. 0; or, where that is REQUIRED, why it cannot be done: KEEL_EINUSE (an object
 * of another user stands in its place), KEEL_ENOTSUP (a simulation), -errno. */
int stats_publish_open(struct keel_store *store, const char *path);
/* Publish if it is time to. Any thread, no lock held. A system call or two, at most. */
void stats_publish_due(struct keel_store *store);
/* Remove the object. */
void stats_publish_close(struct keel_store *store);

#endif
