/*
 * `keel top [STORE]`: what a store in use is doing, a line or two for each part, renewed every
 * second. On a terminal through ncurses (q ends, space holds still); else as plain text, once or as
 * often as --count says. The store takes no notice: its segment is read (tools/stats_read.h).
 */
#include <errno.h>
#include <inttypes.h>
#include <ncurses.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "tools/cli.h"
#include "tools/commands.h"
#include "tools/stats_choose.h"
#include "tools/top_show.h"

struct top {
    const char *command, *store;
    char object[STATS_NAME_MAX];
    int interval_ms, count, json;
    struct stats_view views[2]; /* in turn */
    unsigned newest;
};

/* Read the next sample. 0, or the exit status when there is none. */
static int sample(struct top *top)
{
    struct stats_view *view = &top->views[top->newest ^ 1];
    struct stats_error error;

    stats_free(view);
    bool ok = top->store ? stats_read(top->store, view, &error)
                         : stats_read_object(top->object, view, &error);
    if (!ok)
        return cli_fail(top->command, "%s: %s", top->store ? top->store : top->object, error.text);
    if (!view->alive)
        return cli_fail(top->command, "%s: the process %" PRIu32 " that had it open is gone",
                        view->path, view->pid);
    top->newest ^= 1;
    return 0;
}

static void pause_ms(int ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

    while (nanosleep(&time, &time) != 0 && errno == EINTR)
        ;
}

static int run_plain(struct top *top)
{
    int status = 0;

    for (int i = 0; i < top->count && !status; i++) {
        pause_ms(top->interval_ms);
        status = sample(top);
        if (status)
            break;
        const struct stats_view *now = &top->views[top->newest];
        const struct stats_view *before = &top->views[top->newest ^ 1];
        if (top->json)
            return cli_json(top->command, top_json(before, now));
        if (i > 0)
            putchar('\n');
        top_show(before, now, 1000, stdout);
        fflush(stdout);
    }
    return status;
}

/* ---------------------------------------------------------------- the terminal */

static void draw(const struct top *top, bool held)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return;
    top_show(&top->views[top->newest ^ 1], &top->views[top->newest], (unsigned)LINES - 1, out);
    fclose(out);
    erase();
    int row = 0;
    for (char *line = text; line && *line && row < LINES - 1; row++) {
        char *end = strchrnul(line, '\n');
        bool head = strncmp(line, "context", 7) == 0 || strncmp(line, "class", 5) == 0 || row == 0;
        if (head)
            attron(A_REVERSE);
        mvaddnstr(row, 0, line, (int)(end - line) < COLS ? (int)(end - line) : COLS);
        if (head)
            attroff(A_REVERSE);
        line = *end ? end + 1 : end;
    }
    mvaddnstr(LINES - 1, 0, held ? "HELD; space goes on, q ends" : "q ends, space holds", COLS);
    refresh();
    free(text);
}

static int run_screen(struct top *top)
{
    bool held = false;
    int status = 0;
    uint64_t due = clock_now_ns() + (uint64_t)top->interval_ms * 1000000;

    if (!initscr())
        return cli_fail(top->command, "this terminal cannot be drawn on; pipe into cat");
    cbreak();
    noecho();
    curs_set(0);
    timeout(100);
    draw(top, held);
    for (int key = ERR; key != 'q' && key != 'Q'; key = getch()) {
        if (key == ' ')
            held = !held;
        if (key != ERR)
            draw(top, held);
        if (held || clock_now_ns() < due)
            continue;
        due = clock_now_ns() + (uint64_t)top->interval_ms * 1000000;
        /* What is said about the end must not be wiped by curses. */
        unsigned before = top->newest;
        endwin();
        status = sample(top);
        if (status)
            return status;
        refresh();
        if (top->newest != before)
            draw(top, held);
    }
    endwin();
    return status;
}

int top_main(int argc, const char **argv)
{
    static struct top top = {.interval_ms = 1000, .count = 1};
    const char *args[1] = {NULL};
    const struct poptOption options[] = {
        {"interval", 0, POPT_ARG_INT, &top.interval_ms, 0, "between samples (1000)", "MS"},
        {"count", 0, POPT_ARG_INT, &top.count, 0, "samples, when not on a terminal (1)", "N"},
        {"json", 0, POPT_ARG_NONE, &top.json, 0, "one JSON object on stdout", NULL},
        POPT_AUTOHELP POPT_TABLEEND,
    };

    if (cli_parse(argc, argv, options, "[STORE]", args, 1) < 0)
        return CLI_USAGE;
    top.command = argv[0];
    top.store = args[0];
    if (cli_range(argv[0], "--interval", top.interval_ms, 100, 3600000) ||
        cli_range(argv[0], "--count", top.count, 1, INT32_MAX))
        return CLI_USAGE;
    int status = stats_choose(argv[0], top.store, top.object);
    if (!status)
        status = sample(&top);
    if (!status)
        status = !top.json && isatty(STDOUT_FILENO) ? run_screen(&top) : run_plain(&top);
    stats_free(&top.views[0]);
    stats_free(&top.views[1]);
    return status;
}
