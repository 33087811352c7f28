/*
 * Follows the log from the redo LSN as recovery does, but goes on behind whatever stops recovery,
 * so that it can be said what lies there. The records are checked one by one; a record that is not
 * as it was appended ends the log before the block in which that shows; its group is void then.
 */
#include "tools/wal_survey.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/endian.h"
#include "base/mem.h"
#include "wal/position.h"
#include "wal/walk.h"

struct surveyor {
    struct wal_file *file;
    struct wal_survey *survey;
    struct wal_walk walk;
    bool ended;                /* end_lsn is known */
    int owner;                 /* epoch of the block before, -1: the chain is broken */
    keel_lsn group_lsn;        /* first record of the group at hand, 0 between groups */
    struct survey_tally group; /* of it so far */
    uint64_t types[256];       /* of the records of that group */
    struct survey_tally block; /* groups that end in the block at hand */
    uint64_t block_types[256];
};

static void end_here(struct surveyor *surveyor, keel_lsn lsn, const char *reason)
{
    if (surveyor->ended)
        return;
    surveyor->ended = true;
    surveyor->survey->end_lsn = lsn;
    surveyor->survey->reason = reason;
}

static void begin_group(struct surveyor *surveyor)
{
    surveyor->group_lsn = 0;
    surveyor->group = (struct survey_tally){0};
    memset(surveyor->types, 0, sizeof(surveyor->types));
}

static int survey_record(struct surveyor *surveyor, const struct wal_found *found)
{
    struct survey_tally *group = &surveyor->group;

    if (found->lsn < surveyor->file->super.redo_lsn)
        return 0;
    if (surveyor->group_lsn == 0)
        surveyor->group_lsn = found->lsn;
    uint32_t crc = crc32c(surveyor->file->seed.record, found->data, found->len);
    if (wal_record_crc(crc, found->header, found->lsn) != load_le32(found->header + WAL_RECORD_CRC))
        return KEEL_ECORRUPT;
    group->records++;
    group->record_bytes += found->len;
    surveyor->types[found->type]++;
    if (!found->last)
        return 0;

    surveyor->block.groups++;
    surveyor->block.records += group->records;
    surveyor->block.record_bytes += group->record_bytes;
    for (uint32_t i = 0; i < 256; i++)
        surveyor->block_types[i] += surveyor->types[i];
    begin_group(surveyor);
    return 0;
}

/* Count a block, now that it is known on which side of the end it lies. */
static void count_block(struct surveyor *surveyor, const struct wal_block_head *head)
{
    struct survey_tally *tally =
        surveyor->ended ? &surveyor->survey->beyond : &surveyor->survey->kept;

    tally->blocks++;
    tally->used_bytes += head->used;
    tally->padding_bytes += WAL_PAYLOAD - head->used;
    tally->groups += surveyor->block.groups;
    tally->records += surveyor->block.records;
    tally->record_bytes += surveyor->block.record_bytes;
    for (uint32_t i = 0; i < 256 && !surveyor->ended; i++)
        surveyor->survey->records_of_type[i] += surveyor->block_types[i];
}

static void survey_valid(struct surveyor *surveyor, const uint8_t *block,
                         const struct wal_block_head *head)
{
    const struct wal_super *super = &surveyor->file->super;
    struct wal_survey *survey = surveyor->survey;
    int owner = wal_super_owner(super, head->lsn);

    KEEL_ASSERT(owner >= 0);
    if (owner != surveyor->owner) {
        wal_walk_begin(&surveyor->walk, head->lsn, surveyor->walk.assembly,
                       super->epochs[owner].first == head->lsn);
        begin_group(surveyor);
        surveyor->owner = owner;
    }
    if (head->promise > survey->promise_lsn)
        survey->promise_lsn = head->promise;
    surveyor->block = (struct survey_tally){0};
    memset(surveyor->block_types, 0, sizeof(surveyor->block_types));
    int rc;
    wal_walk_block(&surveyor->walk, block, head);
    while ((rc = wal_walk_next(&surveyor->walk)) > 0) {
        rc = survey_record(surveyor, &surveyor->walk.found);
        if (rc)
            break;
    }
    if (rc) {
        end_here(surveyor, head->lsn, "records that do not fit together");
        surveyor->owner = -1;
    }
    if (survey->highest_lsn < head->lsn + WAL_BLOCK)
        survey->highest_lsn = head->lsn + WAL_BLOCK;
    count_block(surveyor, head);
}

static void survey_place(struct surveyor *surveyor, keel_lsn lsn)
{
    struct wal_survey *survey = surveyor->survey;
    struct wal_file *file = surveyor->file;
    enum wal_block_kind kind = WAL_BLOCK_BROKEN;
    struct wal_block_head head;
    const uint8_t *block;

    int rc = wal_file_block(file, lsn, &block);
    if (rc != 0) {
        if (survey->unreadable_count < SURVEY_UNREADABLE_MAX)
            survey->unreadable[survey->unreadable_count] = lsn;
        survey->unreadable_count++;
    } else {
        kind = wal_block_check(&file->seed, &file->super, block, lsn, &head);
    }
    if (rc == 0 && kind == WAL_BLOCK_VALID) {
        survey_valid(surveyor, block, &head);
        return;
    }
    survey->blocks_void += rc == 0 && kind == WAL_BLOCK_VOID;
    if (wal_super_owner(&file->super, lsn) < 0)
        return;
    end_here(surveyor, lsn, rc ? "a block that cannot be read" : wal_block_kind_name(kind));
    surveyor->owner = -1;
}

int wal_survey(struct wal_file *file, struct wal_survey *survey)
{
    const struct wal_super *super = &file->super;
    struct surveyor surveyor = {.file = file, .survey = survey, .owner = -1};
    keel_lsn last_first = super->epochs[super->epoch_count - 1].first;

    memset(survey, 0, sizeof(*survey));
    survey->begin_lsn = lsn_block_down(super->redo_lsn);
    survey->promise_lsn = super->promise_lsn;
    keel_lsn end = survey->begin_lsn + super->ring_bytes;
    surveyor.walk.assembly = mem_alloc(WAL_WALK_ASSEMBLY);
    if (!surveyor.walk.assembly)
        return -ENOMEM;
    for (keel_lsn lsn = survey->begin_lsn; lsn < end; lsn += WAL_BLOCK)
        survey_place(&surveyor, lsn);
    end_here(&surveyor, end > last_first ? end : last_first, "the end of the ring");
    mem_free(surveyor.walk.assembly);
    return 0;
}

bool wal_survey_damaged(const struct wal_file *file, const struct wal_survey *survey)
{
    const struct wal_super *super = &file->super;

    if (survey->end_lsn < survey->promise_lsn || survey->unreadable_count > 0)
        return true;
    if (super->clean)
        return survey->end_lsn != super->end_lsn;
    return survey->highest_lsn > survey->end_lsn + super->inflight_bytes;
}
