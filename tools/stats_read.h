/*
 * The statistics segment of a store in use (docs/format/stats.md), read from another process.
 *
 * Nothing in it is trusted: it is copied into private memory first, must have the store's owner,
 * its checksum must fit, and every offset, count, name and label is checked before it is used. What
 * passed cannot lead a reader out of the copy, nor put control characters on a terminal.
 */
#ifndef KEEL_TOOLS_STATS_READ_H
#define KEEL_TOOLS_STATS_READ_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include <keel/stats.h>

#include "engine/stats_format.h"

#define STATS_GROUPS_MAX  32u
#define STATS_COLUMNS_MAX 1024u

struct stats_column {
    const char *name;
    enum keel_stat_kind kind;
};

struct stats_group {
    const char *name;
    uint32_t first, columns; /* of view->columns */
    uint32_t rows;
    uint32_t offset;
};

struct stats_view {
    char name[STATS_NAME_MAX]; /* of the object */
    uint8_t *bytes;            /* the copy; strings below point into it */
    uint32_t len;
    bool alive; /* its writer has the store open; else it was left behind by a kill */
    uint32_t pid;
    uint64_t sequence, monotonic_ns, realtime_ns;
    const char *keel, *path;
    uint32_t group_count, column_count;
    struct stats_group groups[STATS_GROUPS_MAX];
    struct stats_column columns[STATS_COLUMNS_MAX];
};

/* What is wrong with a segment, as text for people: valid until the next call. */
struct stats_error {
    char text[256];
};

/* Read the segment of the store at path (a folder or a device) into view. False and error if there
 * is none or it cannot be used. Waits a few milliseconds at most for a writer in the middle. */
bool stats_read(const char *path, struct stats_view *view, struct stats_error *error);
/* The same for an object by its name, as stats_find gives it. */
bool stats_read_object(const char *name, struct stats_view *view, struct stats_error *error);
void stats_free(struct stats_view *view);

/* Parse the bytes of a segment; view->bytes and len are set by the caller. For tests and fuzzing.
 */
bool stats_parse(struct stats_view *view, struct stats_error *error);

/* Call each for every segment that this user may read and whose writer lives; returns how many. */
unsigned stats_find(void (*each)(void *arg, const struct stats_view *view), void *arg);

/* A value; 0 when the writer does not have it. */
uint64_t stats_value(const struct stats_view *view, const char *group, uint32_t row,
                     const char *column);
uint32_t stats_rows(const struct stats_view *view, const char *group);
const struct stats_group *stats_group_of(const struct stats_view *view, const char *group);
uint64_t stats_at(const struct stats_view *view, const struct stats_group *group, uint32_t row,
                  uint32_t column);
/* Of a histogram whose first bucket is this column: how many buckets, and behind them its sum in
 * ns. 0: the column is none. */
uint32_t stats_histogram(const struct stats_view *view, const struct stats_group *group,
                         uint32_t column);
/* The time in ns that permille of the observations of a row do not exceed, less those of an earlier
 * sample (NULL: none); those of one bucket count as spread evenly over it. 0 when there are none.
 */
uint64_t stats_percentile(const struct stats_view *view, const struct stats_view *before,
                          const char *group, uint32_t row, uint32_t row_before, const char *name,
                          unsigned permille);
/* "key=value,key=value", or "". */
const char *stats_labels(const struct stats_view *view, const struct stats_group *group,
                         uint32_t row);
/* Value of one label, "" when it is not there. Returns buf. */
const char *stats_label(const struct stats_view *view, const char *group, uint32_t row,
                        const char *key, char *buf, size_t size);
/* Nanoseconds since it was published. */
uint64_t stats_age_ns(const struct stats_view *view);

/* Output. */
json_t *stats_json(const struct stats_view *view);
void stats_print(const struct stats_view *view);
void stats_prometheus(const struct stats_view *view);

#endif
