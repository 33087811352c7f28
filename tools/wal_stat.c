/*
 * Figures of one log: room, groups, records by type, padding, epochs, and where it ends.
 */
#include "tools/wal_stat.h"

#include <inttypes.h>
#include <stdio.h>

#include "tools/cli.h"
#include "tools/wal_survey.h"

static uint64_t used_of(const struct wal_file *file, const struct wal_survey *survey)
{
    uint64_t used = survey->end_lsn - survey->begin_lsn;

    return used < file->super.ring_bytes ? used : file->super.ring_bytes;
}

static double padding_share(const struct survey_tally *tally)
{
    uint64_t bytes = tally->used_bytes + tally->padding_bytes;

    return bytes ? 100.0 * (double)tally->padding_bytes / (double)bytes : 0;
}

static void print(const struct wal_file *file, const struct wal_survey *survey)
{
    const struct wal_super *super = &file->super;
    const struct survey_tally *kept = &survey->kept;
    uint64_t used = used_of(file, survey);

    printf("ring of %" PRIu64 " bytes, %" PRIu64 " in use, %" PRIu64 " free\n", super->ring_bytes,
           used, super->ring_bytes - used);
    printf("redo lsn %" PRIu64 ", ends at %" PRIu64 " (%s), promised up to %" PRIu64 "; %s\n",
           super->redo_lsn, survey->end_lsn, survey->reason, survey->promise_lsn,
           super->clean ? "closed in order" : "not closed");
    printf("%" PRIu32 " epochs, the last one is %" PRIu32 "\n", super->epoch_count,
           super->epochs[super->epoch_count - 1].number);
    printf("%" PRIu64 " blocks, %" PRIu64 " groups, %" PRIu64 " records with %" PRIu64
           " bytes; %.1f percent of the blocks is padding\n",
           kept->blocks, kept->groups, kept->records, kept->record_bytes, padding_share(kept));
    for (unsigned i = 0; i < 256; i++) {
        if (survey->records_of_type[i])
            printf("type %u: %" PRIu64 " records\n", i, survey->records_of_type[i]);
    }
    printf("behind the end: %" PRIu64 " valid blocks, %" PRIu64 " void, %" PRIu64 " unreadable\n",
           survey->beyond.blocks, survey->blocks_void, survey->unreadable_count);
}

static json_t *tally_json(const struct survey_tally *tally)
{
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I}", "blocks", (json_int_t)tally->blocks, "groups",
                     (json_int_t)tally->groups, "records", (json_int_t)tally->records,
                     "record_bytes", (json_int_t)tally->record_bytes, "used_bytes",
                     (json_int_t)tally->used_bytes, "padding_bytes",
                     (json_int_t)tally->padding_bytes);
}

static json_t *to_json(const struct wal_file *file, const struct wal_survey *survey)
{
    const struct wal_super *super = &file->super;
    uint64_t used = used_of(file, survey);
    json_t *types = json_object();
    char name[8];

    for (unsigned i = 0; i < 256; i++) {
        snprintf(name, sizeof(name), "%u", i);
        if (survey->records_of_type[i])
            json_object_set_new(types, name, json_integer((json_int_t)survey->records_of_type[i]));
    }
    return json_pack(
        "{s:s,s:I,s:I,s:I,s:I,s:I,s:s,s:I,s:b,s:I,s:I,s:o,s:o,s:o,s:I,s:I,s:b}", "log", file->path,
        "ring_bytes", (json_int_t)super->ring_bytes, "used_bytes", (json_int_t)used, "free_bytes",
        (json_int_t)(super->ring_bytes - used), "redo_lsn", (json_int_t)super->redo_lsn, "end_lsn",
        (json_int_t)survey->end_lsn, "at_end", survey->reason, "promise_lsn",
        (json_int_t)survey->promise_lsn, "clean", (int)super->clean, "epochs",
        (json_int_t)super->epoch_count, "epoch",
        (json_int_t)super->epochs[super->epoch_count - 1].number, "below",
        tally_json(&survey->kept), "beyond", tally_json(&survey->beyond), "records_by_type", types,
        "blocks_void", (json_int_t)survey->blocks_void, "blocks_unreadable",
        (json_int_t)survey->unreadable_count, "damaged", (int)wal_survey_damaged(file, survey));
}

int wal_stat(const char *command, struct wal_file *file, bool json)
{
    struct wal_survey survey;

    int rc = wal_survey(file, &survey);
    if (rc)
        return cli_error(command, file->path, rc, NULL);
    if (json)
        return cli_json(command, to_json(file, &survey));
    print(file, &survey);
    return CLI_OK;
}
