/*
 * Rates from two samples, as lines of text or JSON.
 *
 * A row of a group is the same in both samples when its labels are; one that is new has no rates.
 */
#include "tools/top_show.h"

#include <inttypes.h>
#include <string.h>

#include "tools/cli.h"

struct span {
    const struct stats_view *before, *now;
    double seconds; /* 0: there is no before */
};

static struct span span_of(const struct stats_view *before, const struct stats_view *now)
{
    struct span span = {.before = before, .now = now};

    if (before->bytes && now->monotonic_ns > before->monotonic_ns)
        span.seconds = (double)(now->monotonic_ns - before->monotonic_ns) / 1e9;
    return span;
}

/* The row of the sample before with the same labels, or -1. */
static int row_before(const struct span *span, const char *name, uint32_t row)
{
    const struct stats_group *group = stats_group_of(span->now, name);
    const struct stats_group *old = span->seconds > 0 ? stats_group_of(span->before, name) : NULL;

    for (uint32_t i = 0; old && i < old->rows; i++) {
        if (strcmp(stats_labels(span->before, old, i), stats_labels(span->now, group, row)) == 0)
            return (int)i;
    }
    return -1;
}

/* By how much a counter grew, in a second. */
static double rate(const struct span *span, const char *group, uint32_t row, const char *column)
{
    int old = row_before(span, group, row);
    uint64_t now = stats_value(span->now, group, row, column);

    if (old < 0)
        return 0;
    uint64_t before = stats_value(span->before, group, (uint32_t)old, column);
    return now > before ? (double)(now - before) / span->seconds : 0;
}

static double share(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

static void print_store(const struct span *span, FILE *out)
{
    static const char *const states[] = {"opening", "running", "READ-ONLY", "closed"};
    const struct stats_view *now = span->now;
    uint64_t state = stats_value(now, "store", 0, "state");
    char age[16];

    fprintf(out, "keel %s  %s  process %" PRIu32 "  %s  published %s ago\n", now->keel, now->path,
            now->pid, state < 4 ? states[state] : "?", cli_ns(stats_age_ns(now), age));
    if (stats_value(now, "store", 0, "poison_errno"))
        fprintf(out, "FAILED    errno %" PRIu64 ": %s; close and open it again\n",
                stats_value(now, "store", 0, "poison_errno"),
                strerror((int)stats_value(now, "store", 0, "poison_errno")));
    fprintf(out,
            "store     %10.0f commits/s %10.0f aborts/s   pages %" PRIu64 " of %" PRIu64
            " allocated   checkpoints %" PRIu64 "\n",
            rate(span, "store", 0, "transactions_committed"),
            rate(span, "store", 0, "transactions_aborted"),
            stats_value(now, "store", 0, "pages_allocated"), stats_value(now, "store", 0, "pages"),
            stats_value(now, "store", 0, "checkpoints"));
}

static void print_log(const struct span *span, FILE *out)
{
    double writes = rate(span, "log", 0, "writes"), blocks = rate(span, "log", 0, "block_bytes");
    double used = (double)stats_value(span->now, "log", 0, "used_bytes");
    double ring = (double)stats_value(span->now, "log", 0, "ring_bytes");
    char sync[32], bar[21];

    memset(bar, '.', 20);
    memset(bar, '#', (size_t)(20 * (share(used, ring) > 1 ? 1 : share(used, ring))));
    bar[20] = '\0';
    fprintf(out,
            "log       %10.0f writes/s  %10.1f MB/s       %.1f transactions a write, %.0f%% "
            "padding, sync %s\n",
            writes, blocks / 1e6, share(rate(span, "log", 0, "groups"), writes),
            100 * share(rate(span, "log", 0, "padding_bytes"), blocks),
            stats_label(span->now, "log", 0, "sync", sync, sizeof(sync)));
    fprintf(out, "          ring [%s] %.0f%% of %.0f MiB until the next checkpoint gives it back\n",
            bar, 100 * share(used, ring), ring / 1048576);
}

static void print_cache(const struct span *span, FILE *out)
{
    double hits = rate(span, "cache", 0, "hits"), misses = rate(span, "cache", 0, "misses");
    double frames = (double)stats_value(span->now, "cache", 0, "frames");

    fprintf(out,
            "cache     %10.0f hits/s    %10.0f misses/s   %.2f%% hits   %.0f%% free, %.0f%% "
            "dirty of %.0f frames\n",
            hits, misses, 100 * share(hits, hits + misses),
            100 * share((double)stats_value(span->now, "cache", 0, "free_frames"), frames),
            100 * share((double)stats_value(span->now, "cache", 0, "dirty_frames"), frames),
            frames);
    fprintf(out,
            "          %10.0f reads/s   %10.0f pages written/s   %.1f pages a write   "
            "%.0f evictions/s   %" PRIu64 " checksum errors\n",
            rate(span, "cache", 0, "reads"), rate(span, "cache", 0, "pages_written"),
            share(rate(span, "cache", 0, "pages_written"), rate(span, "cache", 0, "writes")),
            rate(span, "cache", 0, "evictions"),
            stats_value(span->now, "cache", 0, "checksum_errors"));
}

static void print_context(const struct span *span, uint32_t row, FILE *out)
{
    char number[16], use[16], method[16];
    double enters = rate(span, "context", row, "enters");

    fprintf(out, "%-8s %-8s %-7s %9.0f %9.0f %9.0f %9.1f %9.1f %9.0f %8.1f\n",
            stats_label(span->now, "context", row, "context", number, sizeof(number)),
            stats_label(span->now, "context", row, "use", use, sizeof(use)),
            stats_label(span->now, "context", row, "method", method, sizeof(method)),
            rate(span, "context", row, "reads"), rate(span, "context", row, "writes"),
            rate(span, "context", row, "syncs"), rate(span, "context", row, "read_bytes") / 1e6,
            rate(span, "context", row, "written_bytes") / 1e6, enters,
            share(rate(span, "context", row, "submitted"), enters));
}

static void print_disk(const struct span *span, uint32_t row, FILE *out)
{
    const struct stats_view *now = span->now;
    char disk[24], mode[16], ns[4][16];

    fprintf(
        out,
        "disk %-6s %s  %3.0f%% busy  cap %s of the disk's time, %s in flight  aim %s, idle %s\n",
        stats_label(now, "disk", row, "disk", disk, sizeof(disk)),
        stats_label(now, "disk", row, "mode", mode, sizeof(mode)),
        rate(span, "disk", row, "busy_ns") / 1e7,
        cli_ns(stats_value(now, "disk", row, "cap_ns"), ns[0]),
        cli_ns(stats_value(now, "disk", row, "in_flight_ns"), ns[1]),
        cli_ns(stats_value(now, "disk", row, "target_ns"), ns[2]),
        cli_ns(stats_value(now, "disk", row, "idle_ns"), ns[3]));
}

/* Of what came since the sample before; "-" when nothing did. */
static const char *percentile(const struct span *span, uint32_t row, const char *name,
                              unsigned permille, char buf[16])
{
    int old = row_before(span, "class", row);
    uint64_t ns = stats_percentile(span->now, old < 0 ? NULL : span->before, "class", row,
                                   old < 0 ? 0 : (uint32_t)old, name, permille);

    return ns ? cli_ns(ns, buf) : "-";
}

static void print_class(const struct span *span, uint32_t row, double total_cost, FILE *out)
{
    char name[16], ns[4][16];
    double held =
        rate(span, "class", row, "held_by_cap") + rate(span, "class", row, "held_by_budget") +
        rate(span, "class", row, "held_by_turn") + rate(span, "class", row, "held_by_limit");

    fprintf(out, "%-10s %9.0f %9.1f %7.1f %9s %9s %9s %9s %6.0f%% %7.0f %7.0f %6.1f%%\n",
            stats_label(span->now, "class", row, "class", name, sizeof(name)),
            rate(span, "class", row, "requests"), rate(span, "class", row, "request_bytes") / 1e6,
            rate(span, "class", row, "depth_ns") / 1e9, percentile(span, row, "queue", 500, ns[0]),
            percentile(span, row, "queue", 990, ns[1]), percentile(span, row, "exec", 500, ns[2]),
            percentile(span, row, "exec", 990, ns[3]),
            100 * share(rate(span, "class", row, "cost_ns"), total_cost),
            rate(span, "class", row, "merged"), held, rate(span, "class", row, "starved_ns") / 1e7);
}

/* Returns the lines that it took. */
static unsigned print_disks(const struct span *span, FILE *out)
{
    uint32_t classes = stats_rows(span->now, "class"), shown = 0;
    double total = 0;

    for (uint32_t row = 0; row < stats_rows(span->now, "disk"); row++)
        print_disk(span, row, out);
    for (uint32_t row = 0; row < classes; row++)
        total += rate(span, "class", row, "cost_ns");
    fprintf(out, "\n%-10s %9s %9s %7s %9s %9s %9s %9s %7s %7s %7s %7s\n", "class", "requests/s",
            "MB/s", "depth", "queue p50", "p99", "exec p50", "p99", "share", "merged", "held",
            "starved");
    for (uint32_t row = 0; row < classes; row++) {
        if (stats_value(span->now, "class", row, "requests") == 0)
            continue;
        print_class(span, row, total, out);
        shown++;
    }
    return stats_rows(span->now, "disk") + shown + 2;
}

#define LINES_BEFORE 8u

void top_show(const struct stats_view *before, const struct stats_view *now, unsigned lines,
              FILE *out)
{
    struct span span = span_of(before, now);
    uint32_t rows = stats_rows(now, "context");

    print_store(&span, out);
    print_log(&span, out);
    print_cache(&span, out);
    unsigned used = LINES_BEFORE + print_disks(&span, out);
    fprintf(out, "\n%-8s %-8s %-7s %9s %9s %9s %9s %9s %9s %8s\n", "context", "use", "method",
            "reads/s", "writes/s", "syncs/s", "MB/s read", "written", "enters/s", "a enter");
    for (uint32_t row = 0; row < rows && row + used < lines; row++)
        print_context(&span, row, out);
}

static json_t *row_json(const struct span *span, const struct stats_group *group, uint32_t row)
{
    json_t *object = json_pack("{s:s}", "labels", stats_labels(span->now, group, row));

    for (uint32_t i = 0; i < group->columns; i++) {
        const struct stats_column *column = &span->now->columns[group->first + i];
        char name[STATS_NAME_BYTES + 8];
        bool counter = column->kind != KEEL_STAT_GAUGE;
        snprintf(name, sizeof(name), "%s%s", column->name, counter ? "_per_s" : "");
        json_object_set_new(object, name,
                            counter ? json_real(rate(span, group->name, row, column->name))
                                    : json_integer((json_int_t)stats_at(span->now, group, row, i)));
    }
    return object;
}

json_t *top_json(const struct stats_view *before, const struct stats_view *now)
{
    struct span span = span_of(before, now);
    json_t *groups = json_object();

    for (uint32_t i = 0; i < now->group_count; i++) {
        json_t *rows = json_array();
        for (uint32_t row = 0; row < now->groups[i].rows; row++)
            json_array_append_new(rows, row_json(&span, &now->groups[i], row));
        json_object_set_new(groups, now->groups[i].name, rows);
    }
    return json_pack("{s:s,s:i,s:f,s:o}", "store", now->path, "pid", (int)now->pid, "seconds",
                     span.seconds, "groups", groups);
}
