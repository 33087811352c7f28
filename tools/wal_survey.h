/*
 * One look at everything a log holds, damaged or not: what `keel wal stat` prints and
 * `keel wal salvage` goes by.
 */
#ifndef KEEL_TOOLS_WAL_SURVEY_H
#define KEEL_TOOLS_WAL_SURVEY_H

#include "tools/wal_file.h"

#define SURVEY_UNREADABLE_MAX 64u /* places that are named; all are counted */

struct survey_tally {
    uint64_t blocks;
    uint64_t groups, records; /* whole ones, with the right checksums */
    uint64_t record_bytes;    /* their payload */
    uint64_t used_bytes;      /* of blocks: records with headers and padding to 8 */
    uint64_t padding_bytes;   /* of blocks: not used */
};

struct wal_survey {
    keel_lsn begin_lsn;            /* of the block of the redo LSN */
    keel_lsn end_lsn;              /* the log can be followed up to here */
    keel_lsn promise_lsn;          /* largest promise seen, the superblock's included */
    keel_lsn highest_lsn;          /* end of the highest block seen that an epoch owns */
    const char *reason;            /* what is at end_lsn instead of a block */
    struct survey_tally kept;      /* below end_lsn */
    struct survey_tally beyond;    /* valid blocks behind it */
    uint64_t records_of_type[256]; /* below end_lsn */
    uint64_t blocks_void;
    uint64_t unreadable_count;
    keel_lsn unreadable[SURVEY_UNREADABLE_MAX];
};

/* Go once around the ring. A block that cannot be read is noted, not an error. Blocks. -ENOMEM. */
int wal_survey(struct wal_file *file, struct wal_survey *survey);

/* Was anything above end_lsn promised to be durable? */
bool wal_survey_damaged(const struct wal_file *file, const struct wal_survey *survey);

#endif
