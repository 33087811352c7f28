/*
 * The two judges of a crash state.
 *
 * A state belongs to a moment: the last one at which `event` is the newest event. All marks with
 * that event number or a smaller one were made before it.
 */
#include "tools/crash/check.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <keel/keel.h>

#include "base/assert.h"
#include "tools/demo_layout.h"
#include "tools/demo_verify.h"

#define CACHE_BYTES (1u << 20)
#define COPY_BYTES  (1u << 20)

struct crash_check {
    const struct crash_history *history;
    int (*run)(struct crash_check *check, struct keel_sim *state, uint64_t event,
               char why[CRASH_WHY_BYTES]);
    uint32_t marks_seen; /* of the history, up to the last event */
    uint64_t event;

    /* the store's */
    char store_path[CRASH_NAME_MAX + 8];
    struct demo_expect expect;

    /* the command's */
    const char *command, *folder;
    uint8_t *copy;
};

/* ---------------------------------------------------------------- a store of keel's */

static void note_mark(struct crash_check *check, const char *text)
{
    uint32_t writer;
    uint64_t seq;
    if (sscanf(text, "try %" SCNu32 " %" SCNu64, &writer, &seq) == 2) {
        if (writer < DEMO_WRITERS_MAX && seq > check->expect.attempted[writer])
            check->expect.attempted[writer] = seq;
    } else if (sscanf(text, "ack %" SCNu32 " %" SCNu64, &writer, &seq) == 2) {
        if (writer < DEMO_WRITERS_MAX && seq > check->expect.acked[writer])
            check->expect.acked[writer] = seq;
    }
}

static void move_to(struct crash_check *check, uint64_t event)
{
    const struct crash_history *history = check->history;
    if (event < check->event) {
        check->marks_seen = 0;
        check->expect = (struct demo_expect){0};
    }
    check->event = event;
    while (check->marks_seen < history->marks && history->mark[check->marks_seen].event <= event)
        note_mark(check, history->mark[check->marks_seen++].text);
}

static int judge_store(struct crash_check *check, struct keel_ctx *ctx, struct keel_store *store,
                       char why[CRASH_WHY_BYTES])
{
    struct demo_map map = {0};
    struct demo_verdict verdict;
    int rc = demo_map_load(ctx, store, &map);
    if (rc) {
        snprintf(why, CRASH_WHY_BYTES, "the demo's pages: %s", keel_err_name(rc));
        return 0;
    }
    rc = demo_verify(ctx, store, &map, &check->expect, &verdict);
    if (rc)
        return rc;
    if (verdict.lost == 0 && verdict.invented == 0 && !verdict.first[0])
        return 1;
    snprintf(why, CRASH_WHY_BYTES, "%" PRIu64 " lost, %" PRIu64 " invented: %s", verdict.lost,
             verdict.invented, verdict.first);
    return 0;
}

static int run_store(struct crash_check *check, struct keel_sim *state, uint64_t event,
                     char why[CRASH_WHY_BYTES])
{
    struct keel_ctx_options ctx_options = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_options options = KEEL_OPTIONS_DEFAULT;
    struct keel_err_info info = {0};
    struct keel_ctx *ctx;
    struct keel_store *store;

    move_to(check, event);
    ctx_options.method = KEEL_METHOD_SIM;
    ctx_options.sim = state;
    int rc = keel_ctx_open(&ctx_options, &ctx);
    if (rc)
        return rc;
    options.background = KEEL_MANUAL;
    options.method = KEEL_METHOD_SIM;
    options.sim = state;
    options.create_off = true;
    options.cache_bytes = CACHE_BYTES;
    options.tx_max = 4;
    rc = keel_open(ctx, check->store_path, &options, &info, &store);
    if (rc) {
        snprintf(why, CRASH_WHY_BYTES, "the store does not open: %s (%s %s at %" PRIu64 ")",
                 keel_err_name(rc), info.op ? info.op : "", info.object, info.offset);
        keel_ctx_close(ctx);
        return 0;
    }
    rc = judge_store(check, ctx, store, why);
    keel_wal_poison(keel_store_wal(store), -EOWNERDEAD); /* no checkpoint: it is thrown away */
    keel_ignore(keel_close(ctx, store), "closes as poisoned");
    keel_ctx_close(ctx);
    return rc;
}

int crash_check_store(const struct crash_history *history, struct crash_check **ret)
{
    bool acks = false;
    for (uint32_t i = 0; i < history->marks && !acks; i++)
        acks = strncmp(history->mark[i].text, "ack ", 4) == 0;
    if (!acks)
        return KEEL_EFORMAT;
    struct crash_check *check = calloc(1, sizeof(*check));
    if (!check)
        return -ENOMEM;
    check->history = history;
    check->run = run_store;
    /* With files, the folder that the first lies in; else the disk itself. */
    const char *path = history->file[0].path;
    const char *slash = strrchr(path, '/');
    size_t len = slash && slash != path ? (size_t)(slash - path) : strlen(path);
    memcpy(check->store_path, path, len);
    *ret = check;
    return 0;
}

/* ---------------------------------------------------------------- a command of the user's */

/* The folder that it lies in is there already: check->folder, or one below it. */
static int write_state(struct crash_check *check, struct keel_sim *state,
                       const struct crash_file *file)
{
    char path[512];
    snprintf(path, sizeof(path), "%s%s", check->folder, file->path);
    for (char *slash = strchr(path + strlen(check->folder) + 1, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            return -errno;
        *slash = '/';
    }
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int rc = ftruncate(fd, (off_t)file->bytes) == 0 ? 0 : -errno;
    for (uint64_t at = 0; at < file->bytes && !rc; at += COPY_BYTES) {
        uint64_t len = file->bytes - at < COPY_BYTES ? file->bytes - at : COPY_BYTES;
        rc = keel_sim_peek(state, file->path, at, check->copy, (uint32_t)len);
        if (rc || (check->copy[0] == 0 && memcmp(check->copy, check->copy + 1, len - 1) == 0))
            continue;
        ssize_t done = pwrite(fd, check->copy, len, (off_t)at);
        if (done != (ssize_t)len)
            rc = done < 0 ? -errno : -ENOSPC;
    }
    close(fd);
    return rc;
}

static int write_marks(const struct crash_check *check, uint64_t event)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/marks", check->folder);
    FILE *file = fopen(path, "we");
    if (!file)
        return -errno;
    for (uint32_t i = 0; i < check->history->marks && check->history->mark[i].event <= event; i++)
        fprintf(file, "%s\n", check->history->mark[i].text);
    setenv("KEEL_CRASH_MARKS", path, 1);
    return fclose(file) == 0 ? 0 : -errno;
}

static int run_command(struct crash_check *check, struct keel_sim *state, uint64_t event,
                       char why[CRASH_WHY_BYTES])
{
    const struct crash_history *history = check->history;
    char line[2048];
    int rc = write_marks(check, event);
    for (uint32_t i = 0; i < history->files && !rc; i++)
        rc = write_state(check, state, &history->file[i]);
    if (rc)
        return rc;

    bool whole = history->files == 1 && strcmp(history->file[0].path, "/disk") == 0;
    int len = snprintf(line, sizeof(line), "%s '%s%s'", check->command, check->folder,
                       whole ? "/disk" : "");
    if (len < 0 || (size_t)len >= sizeof(line))
        return -E2BIG;
    int status = system(line); /* the command is the caller's own */
    if (status == -1)
        return -errno;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 1;
    if (WIFSIGNALED(status))
        snprintf(why, CRASH_WHY_BYTES, "the command died of signal %d", WTERMSIG(status));
    else
        snprintf(why, CRASH_WHY_BYTES, "the command ended with %d", WEXITSTATUS(status));
    return 0;
}

int crash_check_command(const struct crash_history *history, const char *command,
                        const char *folder, struct crash_check **ret)
{
    struct crash_check *check = calloc(1, sizeof(*check));
    if (!check)
        return -ENOMEM;
    check->history = history;
    check->run = run_command;
    check->command = command;
    check->folder = folder;
    check->copy = malloc(COPY_BYTES);
    if (!check->copy) {
        free(check);
        return -ENOMEM;
    }
    *ret = check;
    return 0;
}

/* ---------------------------------------------------------------- both */

static void set_number(const char *name, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRIu64, value);
    setenv(name, text, 1);
}

int crash_check_run(struct crash_check *check, struct keel_sim *state, uint64_t event,
                    uint32_t mode, uint32_t draw, char why[CRASH_WHY_BYTES])
{
    KEEL_ASSERT(event <= check->history->event_last);
    why[0] = '\0';
    if (check->command) {
        set_number("KEEL_CRASH_EVENT", event);
        set_number("KEEL_CRASH_MODE", mode);
        set_number("KEEL_CRASH_DRAW", draw);
    }
    return check->run(check, state, event, why);
}

void crash_check_free(struct crash_check *check)
{
    if (!check)
        return;
    free(check->copy);
    free(check);
}
