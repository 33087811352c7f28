/*
 * The statistics segment: bytes of a small object in shared memory, docs/format/stats.md in words.
 *
 * It describes itself: a table of groups and a table of columns say where each value is, so that a
 * reader of another version finds those it knows by name, and can pass on those it does not. All
 * integers are little-endian. Offsets only.
 */
#ifndef KEEL_ENGINE_STATS_FORMAT_H
#define KEEL_ENGINE_STATS_FORMAT_H

#include <stdint.h>

#define STATS_MAGIC     UINT64_C(0x7374617453656b6b) /* "kkeStats" in memory */
#define STATS_VERSION   1u
#define STATS_BYTES_MAX (1u << 20)

/* Header. */
#define STATS_AT_MAGIC     0u  /* u64 */
#define STATS_AT_VERSION   8u  /* u32 */
#define STATS_AT_CRC       12u /* u32: CRC32C of everything from STATS_AT_BYTES to the end */
#define STATS_AT_BYTES     16u /* u32: of the segment */
#define STATS_AT_PID       20u /* u32: of the process that publishes, in its own namespace */
#define STATS_AT_SEQUENCE  24u /* u64: number of this publication, from 1 */
#define STATS_AT_MONOTONIC 32u /* u64: when, in ns of CLOCK_MONOTONIC */
#define STATS_AT_REALTIME  40u /* u64: the same in ns since 1970 */
#define STATS_AT_UUID      48u /* 16 bytes: of the store */
#define STATS_AT_GROUPS    64u /* u32: number of groups; their table is behind the header */
#define STATS_AT_COLUMNS   68u /* u32: number of columns; their table is behind the groups */
#define STATS_AT_KEEL      72u /* 24 bytes: version of keel, zero-terminated */
#define STATS_AT_PATH      96u /* 256 bytes: the store's folder, zero-terminated */
#define STATS_HEADER_BYTES 352u
#define STATS_KEEL_BYTES   24u
#define STATS_PATH_BYTES   256u

/* An entry of the table of groups. */
#define STATS_GROUP_AT_NAME     0u  /* 32 bytes, zero-terminated: [a-z0-9_] */
#define STATS_GROUP_AT_FIRST    32u /* u32: first column */
#define STATS_GROUP_AT_COLUMNS  36u /* u32: number of columns, one u64 each in a row */
#define STATS_GROUP_AT_ROWS     40u /* u32: rows that are filled */
#define STATS_GROUP_AT_ROWS_MAX 44u /* u32: rows that there is room for */
#define STATS_GROUP_AT_OFFSET   48u /* u32: of the first row in the segment, a multiple of 8 */
#define STATS_GROUP_BYTES       64u
#define STATS_NAME_BYTES        32u

/* An entry of the table of columns. */
#define STATS_COLUMN_AT_NAME 0u  /* 32 bytes, zero-terminated: [a-z0-9_] */
#define STATS_COLUMN_AT_KIND 32u /* u32: enum keel_stat_kind */
#define STATS_COLUMN_BYTES   40u

/* A row: labels, then a u64 for each column of the group. */
#define STATS_LABEL_BYTES 96u /* "key=value,key=value", zero-terminated */

_Static_assert(STATS_AT_PATH == STATS_AT_KEEL + STATS_KEEL_BYTES, "no padding");
_Static_assert(STATS_HEADER_BYTES == STATS_AT_PATH + STATS_PATH_BYTES, "no padding");
_Static_assert(STATS_HEADER_BYTES % 8 == 0 && STATS_COLUMN_BYTES % 8 == 0, "values are aligned");
_Static_assert(STATS_LABEL_BYTES % 8 == 0, "values are aligned");

/* Name of the object: device and inode of the store's store.keel, in hex. */
#define STATS_FOLDER      "/dev/shm"
#define STATS_PREFIX      "keel-stats-"
#define STATS_NAME_FORMAT STATS_FOLDER "/" STATS_PREFIX "%llx-%llx"
#define STATS_NAME_MAX    64u

#endif
