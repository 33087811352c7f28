/*
 * A segment as JSON, as text for people and in Prometheus' text format (0.0.4).
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/cli.h"
#include "tools/stats_read.h"

/* ---------------------------------------------------------------- JSON */

static json_t *row_json(const struct stats_view *view, const struct stats_group *group,
                        uint32_t row)
{
    json_t *object = json_object();
    const char *at = stats_labels(view, group, row);

    for (; *at; at += *at == ',') {
        char key[STATS_LABEL_BYTES], value[STATS_LABEL_BYTES];
        size_t part = strcspn(at, ","), equals = strcspn(at, "=");
        snprintf(key, sizeof(key), "%.*s", (int)equals, at);
        snprintf(value, sizeof(value), "%.*s", (int)(part - equals - 1), at + equals + 1);
        json_object_set_new(object, key, json_string(value));
        at += part;
    }
    for (uint32_t i = 0; i < group->columns; i++)
        json_object_set_new(object, view->columns[group->first + i].name,
                            json_integer((json_int_t)stats_at(view, group, row, i)));
    return object;
}

json_t *stats_json(const struct stats_view *view)
{
    json_t *groups = json_object();

    for (uint32_t i = 0; i < view->group_count; i++) {
        json_t *rows = json_array();
        for (uint32_t row = 0; row < view->groups[i].rows; row++)
            json_array_append_new(rows, row_json(view, &view->groups[i], row));
        json_object_set_new(groups, view->groups[i].name, rows);
    }
    return json_pack("{s:s,s:s,s:i,s:b,s:I,s:I,s:I,s:o}", "store", view->path, "keel", view->keel,
                     "pid", (int)view->pid, "alive", (int)view->alive, "sequence",
                     (json_int_t)view->sequence, "published_ns", (json_int_t)view->realtime_ns,
                     "age_ns", (json_int_t)stats_age_ns(view), "groups", groups);
}

/* ---------------------------------------------------------------- text */

void stats_print(const struct stats_view *view)
{
    char age[16], count[32];

    printf("published %s ago by process %" PRIu32 ", keel %s%s\n", cli_ns(stats_age_ns(view), age),
           view->pid, view->keel,
           view->alive ? "" : "; THE STORE IS NOT OPEN, these are its last words");
    for (uint32_t i = 0; i < view->group_count; i++) {
        const struct stats_group *group = &view->groups[i];
        for (uint32_t row = 0; row < group->rows; row++) {
            printf("\n%s %s\n", group->name, stats_labels(view, group, row));
            for (uint32_t at = 0; at < group->columns; at++)
                printf("  %-26s %22s\n", view->columns[group->first + at].name,
                       cli_count(stats_at(view, group, row, at), count));
        }
    }
}

/* ---------------------------------------------------------------- Prometheus */

static const char *meaning_of(const char *group, const char *name)
{
    for (unsigned i = 0; keel_stat_info(i); i++) {
        const struct keel_stat_info *info = keel_stat_info(i);
        if (strcmp(keel_stat_group_info(info->group)->name, group) == 0 &&
            strcmp(info->name, name) == 0)
            return info->meaning;
    }
    return "not known to this version of the command";
}

static void print_labels(const char *labels, const char *store)
{
    printf("{store=\"");
    for (; *store; store++) {
        if (*store == '"' || *store == '\\')
            putchar('\\');
        putchar(*store);
    }
    putchar('"');
    for (; *labels; labels += *labels == ',') {
        size_t part = strcspn(labels, ","), equals = strcspn(labels, "=");
        printf(",%.*s=\"%.*s\"", (int)equals, labels, (int)(part - equals - 1),
               labels + equals + 1);
        labels += part;
    }
    putchar('}');
}

/* Seconds instead of nanoseconds, and _total for what only grows, as Prometheus has it. */
static void print_column(const struct stats_view *view, const struct stats_group *group,
                         uint32_t at)
{
    const struct stats_column *column = &view->columns[group->first + at];
    size_t len = strlen(column->name);
    bool ns = len > 3 && strcmp(column->name + len - 3, "_ns") == 0;
    char name[128];

    snprintf(name, sizeof(name), "keel_%s_%.*s%s%s", group->name, (int)(ns ? len - 3 : len),
             column->name, ns ? "_seconds" : "", column->kind == KEEL_STAT_COUNTER ? "_total" : "");
    printf("# HELP %s %s\n# TYPE %s %s\n", name, meaning_of(group->name, column->name), name,
           column->kind == KEEL_STAT_COUNTER ? "counter" : "gauge");
    for (uint32_t row = 0; row < group->rows; row++) {
        uint64_t value = stats_at(view, group, row, at);
        printf("%s", name);
        print_labels(stats_labels(view, group, row), view->path);
        if (ns)
            printf(" %" PRIu64 ".%09" PRIu64 "\n", value / 1000000000u, value % 1000000000u);
        else
            printf(" %" PRIu64 "\n", value);
    }
}

void stats_prometheus(const struct stats_view *view)
{
    uint64_t age = stats_age_ns(view);

    printf("# HELP keel_up whether the store is open\n# TYPE keel_up gauge\nkeel_up");
    print_labels("", view->path);
    printf(" %d\n# HELP keel_age_seconds since these figures were published\n"
           "# TYPE keel_age_seconds gauge\nkeel_age_seconds",
           (int)view->alive);
    print_labels("", view->path);
    printf(" %" PRIu64 ".%09" PRIu64 "\n", age / 1000000000u, age % 1000000000u);
    for (uint32_t i = 0; i < view->group_count; i++) {
        for (uint32_t at = 0; at < view->groups[i].columns; at++)
            print_column(view, &view->groups[i], at);
    }
}
