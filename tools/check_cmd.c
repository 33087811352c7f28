/*
 * `keel check STORE`: superblock, log and every page of a store that nobody has open. Changes
 * nothing. Exit status: 0 sound, 3 damaged, 1 when it could not look.
 */
#include <keel/keel.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "tools/check_store.h"
#include "tools/cli.h"
#include "tools/commands.h"
#include "tools/wal_verdict.h"

#define CHECK_DAMAGED 3
#define LISTED_MAX    100000u /* in the JSON; the counts have them all */

struct check {
    const char *command, *path;
    int json;
    json_t *list;
    struct check_store store;
};

static void found(void *arg, const struct check_damage *damage)
{
    struct check *check = arg;

    if (!check->json) {
        cli_progress_end();
        printf("%s: ", damage->file);
        if (damage->of_page)
            printf("space %" PRIu32 " page %" PRIu64 ", offset %" PRIu64 ", ", damage->space,
                   damage->page, damage->offset);
        printf("lsn %" PRIu64 ": %s", damage->lsn, damage->what);
        if (damage->want || damage->got)
            printf(" (wanted %" PRIu64 ", found %" PRIu64 ")", damage->want, damage->got);
        printf("%s\n", damage->of_page && !damage->in_use ? "; not in use" : "");
        return;
    }
    if (json_array_size(check->list) == LISTED_MAX)
        return;
    json_t *object = json_pack("{s:s,s:s,s:I,s:I,s:I}", "file", damage->file, "what", damage->what,
                               "lsn", (json_int_t)damage->lsn, "want", (json_int_t)damage->want,
                               "got", (json_int_t)damage->got);
    if (damage->of_page) {
        json_object_set_new(object, "space", json_integer(damage->space));
        json_object_set_new(object, "page", json_integer((json_int_t)damage->page));
        json_object_set_new(object, "offset", json_integer((json_int_t)damage->offset));
        json_object_set_new(object, "in_use", json_boolean(damage->in_use));
    }
    json_array_append_new(check->list, object);
}

static void progress(const struct check_store *store)
{
    static uint64_t shown_ns;
    uint64_t now = clock_now_ns();

    if (now - shown_ns < 100u * 1000 * 1000)
        return;
    shown_ns = now;
    cli_progress("page %" PRIu64 " of %" PRIu64 ", %" PRIu64 " damaged", store->counts.done,
                 store->counts.pages, store->counts.damaged);
}

/* ---------------------------------------------------------------- what was found */

static const char *log_state(const struct check_store *store)
{
    if (store->log_rc)
        return keel_err_name(store->log_rc);
    return store->log.clean ? "closed in order" : "not closed";
}

static void print_check(const struct check *check, uint64_t ns)
{
    const struct check_store *store = &check->store;
    const struct check_counts *counts = &store->counts;
    char time[16];

    printf("superblock: %u of 4 copies are good, generation %" PRIu64 "%s\n", store->copies,
           store->generation, store->copies < 4 ? "; opening the store repairs the others" : "");
    printf("log: %s", log_state(store));
    if (store->log_rc)
        printf(": %s\n", keel_err_text(store->log_rc));
    else
        printf(", redo lsn %" PRIu64 ", ends at %" PRIu64 ", case %c: %s\n", store->log.redo_lsn,
               store->log.end_lsn, store->log.verdict, wal_verdict_meaning(store->log.verdict));
    if (counts->redo)
        printf("recovery will redo %" PRIu64 " transactions on %" PRIu64 " pages; %" PRIu64
               " of these are torn now and will be whole\n",
               store->log_groups, counts->redo, counts->remade);
    printf("pages: %" PRIu64 " of %" PRIu32 " bytes, %" PRIu64 " allocated, %" PRIu64
           " of the map, %" PRIu64 " never written; %" PRIu64 " looked at in %s\n",
           counts->pages, store->super.page_bytes, counts->allocated, counts->map_pages,
           counts->never_written, counts->done, cli_ns(ns, time));
    if (counts->damaged_unused)
        printf("damaged, but not in use: %" PRIu64 " pages, nothing is lost with them\n",
               counts->damaged_unused);
    if (counts->damaged)
        printf("%s: DAMAGED in %" PRIu64 " places\n", check->path, counts->damaged);
    else
        printf("%s: sound\n", check->path);
}

static json_t *log_json(const struct check_store *store)
{
    if (store->log_rc)
        return json_pack("{s:s,s:s}", "status", keel_err_name(store->log_rc), "text",
                         keel_err_text(store->log_rc));
    char letter[2] = {store->log.verdict, '\0'};
    return json_pack(
        "{s:s,s:b,s:s,s:s,s:I,s:I,s:I,s:I}", "status", "ok", "clean", (int)store->log.clean, "case",
        letter, "meaning", wal_verdict_meaning(store->log.verdict), "redo_lsn",
        (json_int_t)store->log.redo_lsn, "end_lsn", (json_int_t)store->log.end_lsn, "groups",
        (json_int_t)store->log_groups, "records", (json_int_t)store->log_records);
}

static json_t *check_json(struct check *check, int status, uint64_t ns)
{
    const struct check_store *store = &check->store;
    const struct check_counts *counts = &store->counts;
    json_t *pages =
        json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "total", (json_int_t)counts->pages,
                  "page_bytes", (json_int_t)store->super.page_bytes, "checked",
                  (json_int_t)counts->done, "allocated", (json_int_t)counts->allocated, "map",
                  (json_int_t)counts->map_pages, "never_written", (json_int_t)counts->never_written,
                  "to_be_redone", (json_int_t)counts->redo, "torn_and_remade",
                  (json_int_t)counts->remade, "damaged_unused", (json_int_t)counts->damaged_unused);
    return json_pack("{s:s,s:s,s:i,s:{s:i,s:I},s:o,s:o,s:I,s:O,s:f}", "store", check->path,
                     "status", status ? "damaged" : "sound", "exit", status, "superblock",
                     "copies_good", (int)store->copies, "generation", (json_int_t)store->generation,
                     "log", log_json(store), "pages", pages, "damaged", (json_int_t)counts->damaged,
                     "damage", check->list, "seconds", (double)ns / 1e9);
}

/* ---------------------------------------------------------------- the command */

static int run_check(struct check *check)
{
    struct keel_err_info info = {0};
    uint64_t begun = clock_now_ns();
    int rc = check_open(&check->store, check->path, found, check, &info);
    if (rc == KEEL_ESUPER) {
        cli_error(check->command, check->path, rc, &info);
        return CHECK_DAMAGED;
    }
    if (rc)
        return cli_error(check->command, check->path, rc, &info);

    cli_progress("reading the log");
    rc = check_log(&check->store);
    if (rc == 0)
        rc = check_pages(&check->store, progress);
    cli_progress_end();
    if (rc) {
        cli_error(check->command, check->path, rc, &check->store.log_info);
        check_close(&check->store);
        return CLI_FAILED;
    }
    int status = check->store.counts.damaged ? CHECK_DAMAGED : CLI_OK;
    uint64_t ns = clock_now_ns() - begun;
    if (!check->json) {
        print_check(check, ns);
    } else if (cli_json(check->command, check_json(check, status, ns))) {
        status = CLI_FAILED;
    }
    check_close(&check->store);
    return status;
}

int check_main(int argc, const char **argv)
{
    static struct check check;
    const char *args[1];
    const struct poptOption options[] = {
        {"json", 0, POPT_ARG_NONE, &check.json, 0, "one JSON object on stdout", NULL},
        POPT_AUTOHELP POPT_TABLEEND,
    };

    int count = cli_parse(argc, argv, options, "STORE", args, 1);
    if (count < 0)
        return CLI_USAGE;
    if (count == 0)
        return cli_usage(argv[0], "no store given, name its folder or device");
    check.command = argv[0];
    check.path = args[0];
    check.list = json_array();
    int status = run_check(&check);
    json_decref(check.list);
    return status;
}
