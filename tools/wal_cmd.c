/*
 * `keel wal dump|verify|stat|salvage|copy|resize LOG`. All but resize only read the log; salvage
 * and copy write another file.
 *
 * verify lets the log judge itself: it is opened by keel_wal_open with read_only, which
 * repairs nothing, and the verdict of the recovery table becomes the exit status: 0 clean, 1 torn
 * tail, 3 corrupt, 4 could not be read.
 */
#include <keel/keel.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "tools/cli.h"
#include "tools/commands.h"
#include "tools/wal_copy.h"
#include "tools/wal_dump.h"
#include "tools/wal_file.h"
#include "tools/wal_salvage.h"
#include "tools/wal_stat.h"
#include "tools/wal_verdict.h"

enum verify_exit { VERIFY_CLEAN = 0, VERIFY_TORN = 1, VERIFY_CORRUPT = 3, VERIFY_UNREADABLE = 4 };

static const char *const STATUS_NAMES[] = {
    [VERIFY_CLEAN] = "clean",
    [VERIFY_TORN] = "torn tail",
    [VERIFY_CORRUPT] = "corrupt",
    [VERIFY_UNREADABLE] = "could not be read",
};

struct verify {
    const char *command, *path;
    int rc; /* of opening */
    struct keel_err_info info;
    struct keel_wal_report report; /* valid with rc 0 */
    uint64_t ring_bytes, inflight_bytes;
    bool torn_at_end; /* the block at the end is broken: a write that was cut */
    enum verify_exit status;
};

static enum verify_exit status_of(const struct verify *verify)
{
    switch (verify->rc) {
    case 0:
        return verify->report.blocks_torn || verify->torn_at_end ? VERIFY_TORN : VERIFY_CLEAN;
    case KEEL_ECORRUPT:
    case KEEL_ESUPER:
    case KEEL_ECHECKSUM:
        return VERIFY_CORRUPT;
    default:
        return VERIFY_UNREADABLE;
    }
}

/* A last write that the crash cut leaves its place broken; nothing further need be there. */
static int look_at_end(struct verify *verify, struct wal_file *file)
{
    const uint8_t *block;
    struct wal_block_head head;
    keel_lsn end = verify->report.end_lsn;
    if (verify->report.clean)
        return 0;
    int rc = wal_file_block(file, end, &block);
    if (rc)
        return rc;
    enum wal_block_kind kind = wal_block_check(&file->seed, &file->super, block, end, &head);
    verify->torn_at_end = kind == WAL_BLOCK_BROKEN;
    return 0;
}

static void verify_log(struct verify *verify)
{
    struct wal_file file;
    struct keel_wal *wal;
    struct keel_wal_options options = KEEL_WAL_OPTIONS_DEFAULT;
    options.read_only = true;
    verify->rc = wal_file_open(&file, verify->path, &verify->info);
    if (verify->rc)
        return;
    verify->ring_bytes = file.super.ring_bytes;
    verify->inflight_bytes = file.super.inflight_bytes;
    options.method = file.method;
    verify->rc = keel_wal_open(file.ctx, file.device, &options, &verify->info, &wal);
    if (!verify->rc) {
        verify->report = *keel_wal_report(wal);
        verify->rc = look_at_end(verify, &file);
        int closed = keel_wal_close(file.ctx, wal);
        verify->rc = verify->rc ? verify->rc : closed;
    }
    wal_file_close(&file);
}

static void print_verify(const struct verify *verify)
{
    const struct keel_wal_report *report = &verify->report;
    if (verify->rc) {
        cli_error(verify->command, verify->path, verify->rc, &verify->info);
        printf("%s: %s\n", verify->path, STATUS_NAMES[verify->status]);
        return;
    }
    printf("redo lsn %" PRIu64 ", ends at %" PRIu64 ", promised up to %" PRIu64
           ", last whole group ends at %" PRIu64 "\n",
           report->redo_lsn, report->end_lsn, report->promise_lsn, report->last_group_lsn);
    printf("%" PRIu64 " blocks below the end; above it %" PRIu64 " torn, %" PRIu64
           " void; epoch %" PRIu32 "; %s\n",
           report->blocks_scanned, report->blocks_torn, report->blocks_void, report->epoch,
           report->clean ? "closed in order" : "not closed");
    printf("case %c: %s\n", report->verdict, wal_verdict_meaning(report->verdict));
    printf("%s: %s\n", verify->path, STATUS_NAMES[verify->status]);
}

static json_t *verify_json(const struct verify *verify)
{
    const struct keel_wal_report *report = &verify->report;
    json_t *object = json_pack(
        "{s:s,s:s,s:i,s:I,s:I,s:I}", "log", verify->path, "status", STATUS_NAMES[verify->status],
        "exit", (int)verify->status, "ring_offset", (json_int_t)WAL_RING_OFFSET, "ring_bytes",
        (json_int_t)verify->ring_bytes, "inflight_bytes", (json_int_t)verify->inflight_bytes);
    if (verify->rc) {
        json_t *error =
            json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:I}", "name", keel_err_name(verify->rc), "text",
                      keel_err_text(verify->rc), "op", verify->info.op ? verify->info.op : "",
                      "object", verify->info.object, "offset", (json_int_t)verify->info.offset,
                      "want", (json_int_t)verify->info.want, "got", (json_int_t)verify->info.got);
        json_object_set_new(object, "error", error);
        return object;
    }
    char letter[2] = {report->verdict, '\0'};
    json_t *found = json_pack(
        "{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:b,s:s,s:s}", "redo_lsn", (json_int_t)report->redo_lsn,
        "end_lsn", (json_int_t)report->end_lsn, "promise_lsn", (json_int_t)report->promise_lsn,
        "last_group_lsn", (json_int_t)report->last_group_lsn, "blocks_scanned",
        (json_int_t)report->blocks_scanned, "blocks_torn", (json_int_t)report->blocks_torn,
        "blocks_void", (json_int_t)report->blocks_void, "epoch", (json_int_t)report->epoch, "clean",
        (int)report->clean, "case", letter, "meaning", wal_verdict_meaning(report->verdict));
    json_object_update_missing(object, found);
    json_decref(found);
    return object;
}

static int run_verify(const char *command, const char *path, bool json)
{
    struct verify verify = {.command = command, .path = path};
    verify_log(&verify);
    verify.status = status_of(&verify);
    if (json) {
        int rc = cli_json(command, verify_json(&verify));
        return rc ? rc : (int)verify.status;
    }
    print_verify(&verify);
    return (int)verify.status;
}

static int run_dump(const char *command, const char *path, bool json)
{
    struct keel_err_info info = {0};
    struct wal_file file;
    int rc = wal_file_open(&file, path, &info);
    if (rc)
        return cli_error(command, path, rc, &info);
    rc = wal_dump(&file, json);
    wal_file_close(&file);
    return rc ? cli_error(command, path, rc, NULL) : CLI_OK;
}

static int run_stat(const char *command, const char *path, bool json)
{
    struct keel_err_info info = {0};
    struct wal_file file;
    int rc = wal_file_open_damaged(&file, path, &info);
    if (rc)
        return cli_error(command, path, rc, &info);
    int status = wal_stat(command, &file, json);
    wal_file_close(&file);
    return status;
}

static int run_salvage(const char *command, const char *path, const char *copy, bool json)
{
    struct keel_err_info info = {0};
    struct wal_file file;
    if (!copy)
        return cli_usage(command, "where to? name a file that is not there yet with -o");
    int rc = wal_file_open_damaged(&file, path, &info);
    if (rc) {
        cli_error(command, path, rc, &info);
        return SALVAGE_UNREADABLE;
    }
    int status = wal_salvage(command, &file, copy, json);
    wal_file_close(&file);
    return status;
}

static void print_help(void)
{
    printf(
        "Usage: keel wal dump|verify|stat [--json] LOG\n"
        "       keel wal salvage [--json] -o COPY LOG\n"
        "       keel wal copy [--json] [--size BYTES] -o COPY LOG\n"
        "       keel wal resize [--json] --size BYTES LOG\n\n"
        "  dump     print superblock, blocks and records\n"
        "  verify   exit 0 clean, 1 torn tail, 3 corrupt, 4 could not be read\n"
        "  stat     how full it is, and with what\n"
        "  salvage  write a copy that ends before the damage; exit 0 all that was promised is\n"
        "           in it, 3 something was given up, 4 could not be read\n"
        "  copy     write a log that recovers to the same, of another size if --size says so\n"
        "  resize   give the log itself another size, by a copy that takes its name\n\n"
        "LOG is a wal.keel, or the folder or device of a store that nobody has open. Only resize "
        "changes it.\n");
}

enum action { DUMP, VERIFY, STAT, SALVAGE, COPY, RESIZE, ACTIONS };

/* What is said beside the log has to fit the action. 0 or CLI_USAGE. */
static int check_usage(const char *command, enum action action, const char *copy, const char *size,
                       uint64_t *bytes)
{
    if (copy && action != SALVAGE && action != COPY)
        return cli_usage(command, "-o is for salvage and copy, leave it out");
    if (!copy && action == COPY)
        return cli_usage(command, "where to? name a file that is not there yet with -o");
    if (size && action != COPY && action != RESIZE)
        return cli_usage(command, "--size is for copy and resize, leave it out");
    if (!size && action == RESIZE)
        return cli_usage(command, "how large? say so with --size, as in --size 64MiB");
    if (size && (!cli_bytes(size, bytes) || *bytes == 0))
        return cli_usage(command, "'%s' is not a size, name one as 1048576 or 64MiB", size);
    return 0;
}

int wal_main(int argc, const char **argv)
{
    static const char *const actions[] = {"dump", "verify", "stat", "salvage", "copy", "resize"};
    static char command[64];
    static const char *copy, *size; /* popt allocates them; kept for the life of the process */
    const char *args[1];
    uint64_t bytes = 0;
    int json = 0;
    unsigned action = 0;
    const struct poptOption options[] = {
        {"json", 0, POPT_ARG_NONE, &json, 0, "one JSON object on stdout", NULL},
        {"output", 'o', POPT_ARG_STRING, &copy, 0, "salvage, copy: the file to be written", "COPY"},
        {"size", 0, POPT_ARG_STRING, &size, 0, "copy, resize: size of the file", "BYTES"},
        POPT_AUTOHELP POPT_TABLEEND,
    };
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0)) {
        print_help();
        return CLI_OK;
    }
    if (argc < 2)
        return cli_usage(argv[0],
                         "no action given, name dump, verify, stat, salvage, copy or resize");
    while (action < ACTIONS && strcmp(argv[1], actions[action]) != 0)
        action++;
    if (action == ACTIONS)
        return cli_usage(
            argv[0], "there is no '%s', name dump, verify, stat, salvage, copy or resize", argv[1]);

    snprintf(command, sizeof(command), "keel wal %s", argv[1]);
    argv[1] = command;
    int count = cli_parse(argc - 1, argv + 1, options, "LOG", args, 1);
    if (count < 0)
        return CLI_USAGE;
    if (count == 0)
        return cli_usage(command,
                         "no log given, name a wal.keel, or the folder or device of a store");
    if (check_usage(command, (enum action)action, copy, size, &bytes))
        return CLI_USAGE;
    switch ((enum action)action) {
    case DUMP:
        return run_dump(command, args[0], json);
    case VERIFY:
        return run_verify(command, args[0], json);
    case STAT:
        return run_stat(command, args[0], json);
    case COPY:
        return wal_copy(command, args[0], copy, bytes, json);
    case RESIZE:
        return wal_resize(command, args[0], bytes, json);
    case SALVAGE:
    case ACTIONS:
    default:
        return run_salvage(command, args[0], copy, json);
    }
}
