/*
 * `keel crash witness serve|load|check`: durability as the outside world sees it. One machine runs
 * a load and tells another one, over the network, each transaction that was acknowledged. Then the
 * first loses power. Whatever the witness was told must be in the store afterwards.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <keel/keel.h>

#include "base/assert.h"
#include "tools/cli.h"
#include "tools/commands.h"
#include "tools/demo_run.h"
#include "tools/demo_verify.h"
#include "tools/witness/client.h"
#include "tools/witness/server.h"

#define DEFAULT_ADDRESS "127.0.0.1:7450"

struct witness_args {
    const char *command, *path, *to, *listen;
    int writers, seconds, json;
};

static uint64_t sum(const uint64_t numbers[DEMO_WRITERS_MAX])
{
    uint64_t total = 0;

    for (uint32_t w = 0; w < DEMO_WRITERS_MAX; w++)
        total += numbers[w];
    return total;
}

static int gone(const struct witness_args *args, const struct witness *witness)
{
    int error = witness->socket.error;

    return cli_fail(args->command, "%s: the witness is gone: %s", args->to,
                    error ? strerror(-error) : "it closed the connection");
}

static int connect_witness(const struct witness_args *args, uint64_t store, struct witness *ret)
{
    struct sockaddr_in address;

    if (!socket_address(args->to, &address))
        return cli_usage(args->command, "--to '%s' is not HOST:PORT of a witness", args->to);
    int rc = witness_open(ret, &address, store);
    if (rc == KEEL_EMETHOD)
        return cli_error(args->command, "a ring for the network", rc, NULL);
    return rc ? cli_fail(args->command, "%s: %s; is keel crash witness serve running there?",
                         args->to, keel_err_text(rc))
              : 0;
}

/* ---------------------------------------------------------------- serve */

static void listening(uint16_t port)
{
    printf("listening on port %u\n", port);
    fflush(stdout);
}

static void listening_quietly(uint16_t port)
{
    fprintf(stderr, "listening on port %u\n", port);
}

static int serve(const struct witness_args *args)
{
    static struct witness_summary summary;
    struct sockaddr_in address;

    if (!socket_address(args->listen, &address))
        return cli_usage(args->command, "--listen '%s' is not ADDRESS:PORT", args->listen);
    int rc = witness_serve(&address, args->json ? listening_quietly : listening, &summary);
    if (rc)
        return cli_error(args->command, args->listen, rc, NULL);
    json_t *stores = json_array();
    for (uint32_t i = 0; i < summary.stores; i++) {
        const struct witness_store *store = &summary.store[i];
        json_array_append_new(stores, json_pack("{s:o,s:i,s:I}", "store",
                                                json_sprintf("%016" PRIx64, store->store),
                                                "writers", (int)store->writers, "acknowledged",
                                                (json_int_t)store->acked));
        if (!args->json)
            printf("store %016" PRIx64 ": %" PRIu64 " transactions of %" PRIu32
                   " writers were acknowledged\n",
                   store->store, store->acked, store->writers);
    }
    json_t *object = json_pack("{s:I,s:I,s:I,s:o}", "connections", (json_int_t)summary.connections,
                               "frames", (json_int_t)summary.frames, "refused",
                               (json_int_t)summary.refused, "stores", stores);
    if (args->json)
        return cli_json(args->command, object);
    json_decref(object);
    return CLI_OK;
}

/* ---------------------------------------------------------------- load */

/* Open (make, recover) the store for its map and what each writer has done; close it again. */
static int prepare(const struct witness_args *args, struct demo_map *map,
                   uint64_t acked[DEMO_WRITERS_MAX])
{
    struct keel_options options = demo_options(args->path);
    struct keel_err_info info = {0};
    struct keel_ctx *ctx;
    struct keel_store *store;
    int rc = cli_ctx_open(options.method, &ctx);

    if (rc)
        return cli_error(args->command, "opening a context", rc, NULL);
    rc = keel_open(ctx, args->path, &options, &info, &store);
    if (rc) {
        keel_ctx_close(ctx);
        return cli_error(args->command, args->path, rc, &info);
    }
    rc = demo_map_load(ctx, store, map);
    if (rc == 0 || rc == KEEL_ENOTFOUND)
        rc = demo_map_prepare(ctx, store, (uint32_t)args->writers, map);
    for (uint32_t w = 0; rc == 0 && w < DEMO_WRITERS_MAX; w++) {
        struct demo_writer writer;
        if (!map->slots[w])
            continue;
        rc = demo_writer_load(&writer, ctx, store, map, w);
        acked[w] = rc ? 0 : writer.seq;
    }
    int closed = keel_close(ctx, store);
    keel_ctx_close(ctx);
    rc = rc ? rc : closed;
    return rc ? cli_error(args->command, args->path, rc, NULL) : 0;
}

static bool tell(void *arg, const uint64_t acked[DEMO_WRITERS_MAX])
{
    return witness_tell(arg, acked);
}

static int report_load(const struct witness_args *args, const struct demo_run *run,
                       const struct witness *witness)
{
    if (args->json)
        return cli_json(args->command,
                        json_pack("{s:I,s:I,s:I}", "acknowledged", (json_int_t)run->acked_total,
                                  "told", (json_int_t)sum(witness->sent), "frames",
                                  (json_int_t)witness->frames));
    printf("%" PRIu64 " transactions acknowledged, and the witness has noted them all\n",
           run->acked_total);
    return CLI_OK;
}

static int load(const struct witness_args *args)
{
    static struct demo_run run;
    static struct witness witness;
    struct demo_map map = {0};

    run.command = args->command;
    run.path = args->path;
    run.writers = (uint32_t)args->writers;
    run.load_ms = (uint32_t)args->seconds * 1000;
    int status = prepare(args, &map, run.acked);
    if (!status)
        status = connect_witness(args, map.salt, &witness);
    if (status)
        return status;
    if (!witness_ask(&witness)) {
        status = gone(args, &witness);
        goto out;
    }
    for (uint32_t w = 0; w < DEMO_WRITERS_MAX && !status; w++) {
        if (witness.list[w] > run.acked[w])
            status = cli_fail(args->command,
                              "writer %u: the witness knows %" PRIu64
                              " transactions, the store has %" PRIu64 "; see witness check",
                              w, witness.list[w], run.acked[w]);
    }
    if (status)
        goto out;
    run.turn = tell;
    run.turn_arg = &witness;
    status = demo_run_load(&run);
    if (!status && witness.socket.over)
        status = gone(args, &witness);
    if (!status && !run.killed)
        status = CLI_FAILED; /* it has been said why */
    if (!status && !witness_settle(&witness, run.acked))
        status = gone(args, &witness);
    if (!status)
        status = report_load(args, &run, &witness);
    demo_run_end(&run);
out:
    witness_close(&witness);
    return status;
}

/* ---------------------------------------------------------------- check */

struct checked {
    struct demo_verdict verdict;
    int damaged; /* pages */
};

static int ask_store(const struct witness_args *args, struct keel_ctx *ctx,
                     struct keel_store *store, struct witness *witness, struct checked *ret)
{
    static struct demo_expect expect;
    struct demo_map map;
    int rc = demo_map_load(ctx, store, &map);

    if (rc)
        return cli_error(args->command, args->path, rc, NULL);
    int status = connect_witness(args, map.salt, witness);
    if (status)
        return status;
    if (!witness_ask(witness)) {
        witness_close(witness);
        return gone(args, witness);
    }
    witness_close(witness);
    for (uint32_t w = 0; w < DEMO_WRITERS_MAX; w++) {
        expect.acked[w] = witness->list[w];
        expect.attempted[w] = UINT64_MAX;
    }
    rc = demo_verify(ctx, store, &map, &expect, &ret->verdict);
    if (rc == 0)
        ret->damaged = keel_check(ctx, store, NULL, NULL, NULL);
    if (rc == 0 && ret->damaged < 0)
        rc = ret->damaged;
    return rc ? cli_error(args->command, args->path, rc, NULL) : 0;
}

static int report_check(const struct witness_args *args, const struct checked *checked,
                        uint64_t known)
{
    const struct demo_verdict *verdict = &checked->verdict;
    bool ok = known > 0 && !verdict->lost && !verdict->invented && !checked->damaged;

    if (args->json) {
        int status = cli_json(args->command,
                              json_pack("{s:b,s:I,s:I,s:I,s:I,s:i,s:s}", "ok", (int)ok, "verified",
                                        (json_int_t)known, "lost", (json_int_t)verdict->lost,
                                        "invented", (json_int_t)verdict->invented, "unacknowledged",
                                        (json_int_t)verdict->unacknowledged, "pages_damaged",
                                        checked->damaged, "wrong", verdict->first));
        return status ? status : ok ? CLI_OK : CLI_FAILED;
    }
    if (verdict->first[0])
        printf("wrong: %s\n", verdict->first);
    if (checked->damaged)
        printf("%d pages are damaged\n", checked->damaged);
    printf("verified %" PRIu64 " transactions: %" PRIu64 " lost, %" PRIu64 " invented\n", known,
           verdict->lost, verdict->invented);
    return ok ? CLI_OK : CLI_FAILED;
}

static int check(const struct witness_args *args)
{
    static struct witness witness;
    struct keel_options options = demo_options(args->path);
    struct keel_err_info info = {0};
    struct checked checked = {0};
    struct keel_ctx *ctx;
    struct keel_store *store;
    int rc = cli_ctx_open(options.method, &ctx);

    if (rc)
        return cli_error(args->command, "opening a context", rc, NULL);
    options.create_off = true;
    rc = keel_open(ctx, args->path, &options, &info, &store);
    if (rc) {
        keel_ctx_close(ctx);
        return cli_error(args->command, args->path, rc, &info);
    }
    int status = ask_store(args, ctx, store, &witness, &checked);
    rc = keel_close(ctx, store);
    keel_ctx_close(ctx);
    if (rc && !status)
        status = cli_error(args->command, args->path, rc, NULL);
    return status ? status : report_check(args, &checked, sum(witness.list));
}

/* ---------------------------------------------------------------- the command */

static void print_help(void)
{
    printf("Usage: keel crash witness serve [--listen ADDRESS:PORT] [--json]\n"
           "       keel crash witness load [--path DIR] [--to HOST:PORT] [--writers N]\n"
           "                               [--seconds N] [--json]\n"
           "       keel crash witness check [--path DIR] [--to HOST:PORT] [--json]\n\n"
           "  serve  remembers what hosts say was acknowledged, until SIGINT or SIGTERM\n"
           "  load   runs transactions and tells the witness each that was acknowledged\n"
           "  check  after the crash: is everything that the witness was told in the store?\n\n"
           "Defaults: " DEFAULT_ADDRESS ", ./keel-demo, 8 writers, 60 seconds. There is no "
           "authentication.\n");
}

int crash_witness_main(int argc, const char **argv)
{
    static struct witness_args args = {.path = "./keel-demo",
                                       .to = DEFAULT_ADDRESS,
                                       .listen = DEFAULT_ADDRESS,
                                       .writers = 8,
                                       .seconds = 60}; /* popt allocates; kept */
    static const struct {
        const char *name;
        int (*run)(const struct witness_args *args);
    } roles[] = {{"serve", serve}, {"load", load}, {"check", check}};
    static char command[48];
    const struct poptOption options[] = {
        {"listen", 0, POPT_ARG_STRING, &args.listen, 0, "serve: where", "ADDRESS:PORT"},
        {"to", 0, POPT_ARG_STRING, &args.to, 0, "load, check: the witness", "HOST:PORT"},
        {"path", 0, POPT_ARG_STRING, &args.path, 0, "load, check: folder or device of the store",
         "DIR"},
        {"writers", 0, POPT_ARG_INT, &args.writers, 0, "load: threads that commit (8)", "N"},
        {"seconds", 0, POPT_ARG_INT, &args.seconds, 0, "load: how long (60)", "N"},
        {"json", 0, POPT_ARG_NONE, &args.json, 0, "one JSON object on stdout", NULL},
        POPT_AUTOHELP POPT_TABLEEND,
    };

    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0)) {
        print_help();
        return CLI_OK;
    }
    if (argc < 2)
        return cli_usage(argv[0], "who are you? name serve, load or check");
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        if (strcmp(argv[1], roles[i].name) != 0)
            continue;
        snprintf(command, sizeof(command), "keel crash witness %s", roles[i].name);
        args.command = argv[1] = command;
        if (cli_parse(argc - 1, argv + 1, options, "", NULL, 0) < 0)
            return CLI_USAGE;
        if (cli_range(command, "--writers", args.writers, 1, DEMO_WRITERS_MAX) ||
            cli_range(command, "--seconds", args.seconds, 1, 86400))
            return CLI_USAGE;
        return roles[i].run(&args);
    }
    return cli_usage(argv[0], "there is no '%s', name serve, load or check", argv[1]);
}
