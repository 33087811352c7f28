/*
 * Goes once around the ring from the redo LSN. Each place has one LSN within that lap; what is not
 * the block of that LSN is shown in runs ("64 places: says another LSN"). Records are followed from
 * block to block with the log's own walker; where the chain breaks it is picked up again at the
 * next block in which a record begins.
 *
 * A log may be large, so JSON is written block by block, not built in memory.
 */
#include "tools/wal_dump.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/endian.h"
#include "base/mem.h"
#include "engine/record_format.h"
#include "tools/cli.h"
#include "wal/position.h"
#include "wal/walk.h"

struct dump {
    struct wal_file *file;
    bool json;
    bool first_block; /* JSON: no comma yet */
    json_t *records;  /* of the block being walked */
    struct wal_walk walk;
    uint8_t *assembly;
    int owner;    /* epoch index of the block before, -1: the chain is broken */
    uint64_t run; /* places without a block, in a row */
    const char *run_kind;
    keel_lsn run_lsn;
};

static void uuid_text(const uint8_t uuid[WAL_UUID_BYTES], char text[2 * WAL_UUID_BYTES + 1])
{
    for (unsigned i = 0; i < WAL_UUID_BYTES; i++)
        snprintf(text + 2 * i, 3, "%02x", uuid[i]);
}

/* ---------------------------------------------------------------- superblock */

static void print_super(const struct wal_super *super)
{
    char uuid[2 * WAL_UUID_BYTES + 1];
    uuid_text(super->uuid, uuid);
    printf("log %s, ring of %" PRIu64 " bytes, at most %" PRIu64 " in flight\n", uuid,
           super->ring_bytes, super->inflight_bytes);
    printf("redo lsn %" PRIu64 ", promise %" PRIu64, super->redo_lsn, super->promise_lsn);
    if (super->clean)
        printf(", closed in order at %" PRIu64 "\n", super->end_lsn);
    else
        printf(", not closed\n");
    for (uint32_t i = 0; i < super->epoch_count; i++)
        printf("epoch %" PRIu32 " from lsn %" PRIu64 ", the one before ends at %" PRIu64 "\n",
               super->epochs[i].number, super->epochs[i].first, super->epochs[i].prev_end);
}

static json_t *super_json(const struct wal_super *super)
{
    char uuid[2 * WAL_UUID_BYTES + 1];
    uuid_text(super->uuid, uuid);
    json_t *epochs = json_array();
    for (uint32_t i = 0; i < super->epoch_count; i++)
        json_array_append_new(epochs, json_pack("{s:I,s:I,s:I}", "epoch",
                                                (json_int_t)super->epochs[i].number, "first_lsn",
                                                (json_int_t)super->epochs[i].first, "prev_end_lsn",
                                                (json_int_t)super->epochs[i].prev_end));
    return json_pack("{s:s,s:I,s:I,s:I,s:I,s:b,s:I,s:o}", "uuid", uuid, "ring_bytes",
                     (json_int_t)super->ring_bytes, "inflight_bytes",
                     (json_int_t)super->inflight_bytes, "redo_lsn", (json_int_t)super->redo_lsn,
                     "promise_lsn", (json_int_t)super->promise_lsn, "clean", (int)super->clean,
                     "end_lsn", (json_int_t)super->end_lsn, "epochs", epochs);
}

/* ---------------------------------------------------------------- records */

/* What the engine's records are about; "" for others. */
static void describe(const struct dump *dump, const struct wal_found *found, char text[96])
{
    text[0] = '\0';
    if (!dump->file->of_store || !found->data || found->len < RECORD_PAGE_BYTES)
        return;
    uint32_t space = load_le32(found->data + RECORD_AT_SPACE);
    uint64_t pageno = load_le64(found->data + RECORD_AT_PAGENO);
    if (found->type == RECORD_IMAGE || found->type == RECORD_ZERO)
        snprintf(text, 96, "%s of space %" PRIu32 " page %" PRIu64,
                 found->type == RECORD_IMAGE ? "image" : "zero", space, pageno);
    else if (found->type == RECORD_DELTA && found->len >= RECORD_DELTA_BYTES)
        snprintf(text, 96, "delta of space %" PRIu32 " page %" PRIu64 " offset %u len %u", space,
                 pageno, load_le16(found->data + RECORD_AT_OFFSET),
                 load_le16(found->data + RECORD_AT_LEN));
}

static void dump_record(struct dump *dump, const struct wal_found *found)
{
    char text[96];
    uint32_t stored = load_le32(found->header + WAL_RECORD_CRC);
    bool good =
        !found->data || wal_record_crc(crc32c(dump->file->seed.record, found->data, found->len),
                                       found->header, found->lsn) == stored;
    describe(dump, found, text);
    if (dump->json) {
        json_array_append_new(dump->records,
                              json_pack("{s:I,s:i,s:I,s:b,s:I,s:b,s:s}", "lsn",
                                        (json_int_t)found->lsn, "type", (int)found->type, "len",
                                        (json_int_t)found->len, "last", (int)found->last,
                                        "group_end_lsn", (json_int_t)found->group_end_lsn,
                                        "crc_good", (int)good, "about", text));
        return;
    }
    printf("  record lsn %" PRIu64 " type %u len %" PRIu32 "%s%s%s%s\n", found->lsn, found->type,
           found->len, found->last ? " last" : "", text[0] ? "  " : "", text,
           good ? "" : "  CRC DOES NOT MATCH");
}

/* ---------------------------------------------------------------- blocks */

static void begin_item(struct dump *dump)
{
    if (dump->json)
        printf("%s\n", dump->first_block ? "" : ",");
    dump->first_block = false;
}

static void put_json(json_t *object)
{
    json_dumpf(object, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(object);
}

static void end_run(struct dump *dump)
{
    if (!dump->run)
        return;
    begin_item(dump);
    const char *kind = dump->run_kind;
    if (dump->json)
        put_json(json_pack("{s:I,s:I,s:s}", "lsn", (json_int_t)dump->run_lsn, "places",
                           (json_int_t)dump->run, "no_block", kind));
    else
        printf("no block in %" PRIu64 " places from lsn %" PRIu64 ": %s\n", dump->run,
               dump->run_lsn, kind);
    dump->run = 0;
}

static void add_to_run(struct dump *dump, keel_lsn lsn, const char *kind)
{
    if (dump->run && strcmp(dump->run_kind, kind) != 0)
        end_run(dump);
    if (!dump->run)
        dump->run_lsn = lsn;
    dump->run_kind = kind;
    dump->run++;
    dump->owner = -1;
}

static void dump_block(struct dump *dump, const uint8_t *block, const struct wal_block_head *head)
{
    end_run(dump);
    begin_item(dump);
    int owner = wal_super_owner(&dump->file->super, head->lsn);
    if (owner != dump->owner) {
        bool whole = dump->file->super.epochs[owner].first == head->lsn;
        wal_walk_begin(&dump->walk, head->lsn, dump->assembly, whole);
        dump->owner = owner;
    }
    if (dump->json)
        dump->records = json_array();
    else
        printf("block lsn %" PRIu64 " epoch %" PRIu32 " promise %" PRIu64 " used %u first %d\n",
               head->lsn, head->epoch, head->promise, head->used,
               head->first == WAL_FIRST_NONE ? -1 : (int)head->first);

    int rc;
    wal_walk_block(&dump->walk, block, head);
    while ((rc = wal_walk_next(&dump->walk)) > 0)
        dump_record(dump, &dump->walk.found);
    if (rc) {
        dump->owner = -1;
        if (!dump->json)
            printf("  the records do not fit together\n");
    }
    if (dump->json)
        put_json(json_pack("{s:I,s:I,s:I,s:i,s:i,s:b,s:o}", "lsn", (json_int_t)head->lsn, "epoch",
                           (json_int_t)head->epoch, "promise", (json_int_t)head->promise, "used",
                           (int)head->used, "first",
                           head->first == WAL_FIRST_NONE ? -1 : (int)head->first, "whole", rc == 0,
                           "records", dump->records));
}

static int dump_ring(struct dump *dump)
{
    const struct wal_super *super = &dump->file->super;
    keel_lsn from = lsn_block_down(super->redo_lsn);
    for (keel_lsn lsn = from; lsn < from + super->ring_bytes; lsn += WAL_BLOCK) {
        const uint8_t *block;
        struct wal_block_head head;
        int rc = wal_file_block(dump->file, lsn, &block);
        if (rc && rc != KEEL_EREAD)
            return rc;
        if (rc) {
            add_to_run(dump, lsn, "cannot be read");
            continue;
        }
        enum wal_block_kind kind = wal_block_check(&dump->file->seed, super, block, lsn, &head);
        if (kind == WAL_BLOCK_VALID)
            dump_block(dump, block, &head);
        else
            add_to_run(dump, lsn, wal_block_kind_name(kind));
    }
    end_run(dump);
    return 0;
}

int wal_dump(struct wal_file *file, bool json)
{
    struct dump dump = {.file = file, .json = json, .first_block = true, .owner = -1};
    dump.assembly = mem_alloc(WAL_WALK_ASSEMBLY);
    if (!dump.assembly)
        return -ENOMEM;
    if (json) {
        printf("{\"log\": ");
        put_json(json_string(file->path));
        printf(", \"superblock\": ");
        put_json(super_json(&file->super));
        printf(", \"blocks\": [");
    } else {
        print_super(&file->super);
    }
    int rc = dump_ring(&dump);
    if (json)
        printf("\n], \"complete\": %s}\n", rc ? "false" : "true");
    mem_free(dump.assembly);
    return rc;
}
