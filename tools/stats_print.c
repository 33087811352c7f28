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
            for (uint32_t at = 0; at < group->columns; at++) {
                uint64_t value = stats_at(view, group, row, at);
                /* Of a histogram, what is in it. */
                if (view->columns[group->first + at].kind != KEEL_STAT_BUCKET || value)
                    printf("  %-26s %22s\n", view->columns[group->first + at].name,
                           cli_count(value, count));
            }
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

/* le: of a bucket, or NULL. */
static void print_labels(const char *labels, const char *store, const char *le)
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
    if (le)
        printf(",le=\"%s\"", le);
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
        print_labels(stats_labels(view, group, row), view->path, NULL);
        if (ns)
            printf(" %" PRIu64 ".%09" PRIu64 "\n", value / 1000000000u, value % 1000000000u);
        else
            printf(" %" PRIu64 "\n", value);
    }
}

/* Buckets become cumulative, with their upper ends in seconds; the last one has none. */
static void print_histogram(const struct stats_view *view, const struct stats_group *group,
                            uint32_t first, uint32_t buckets)
{
    const char *column = view->columns[group->first + first].name;
    char name[96];

    snprintf(name, sizeof(name), "keel_%s_%.*s_seconds", group->name,
             (int)(strlen(column) - strlen("_bucket_0")), column);
    printf("# HELP %s %s\n# TYPE %s histogram\n", name, meaning_of(group->name, column), name);
    for (uint32_t row = 0; row < group->rows; row++) {
        const char *labels = stats_labels(view, group, row);
        uint64_t total = 0;
        for (uint32_t i = 0; i < buckets; i++) {
            total += stats_at(view, group, row, first + i);
            char le[48] = "+Inf";
            if (i + 1 < buckets)
                snprintf(le, sizeof(le), "%.9g", 1024e-9 * (double)(UINT64_C(1) << i));
            printf("%s_bucket", name);
            print_labels(labels, view->path, le);
            printf(" %" PRIu64 "\n", total);
        }
        uint64_t sum = stats_at(view, group, row, first + buckets);
        printf("%s_sum", name);
        print_labels(labels, view->path, NULL);
        printf(" %" PRIu64 ".%09" PRIu64 "\n%s_count", sum / 1000000000u, sum % 1000000000u, name);
        print_labels(labels, view->path, NULL);
        printf(" %" PRIu64 "\n", total);
    }
}

void stats_prometheus(const struct stats_view *view)
{
    uint64_t age = stats_age_ns(view);

    printf("# HELP keel_up whether the store is open\n# TYPE keel_up gauge\nkeel_up");
    print_labels("", view->path, NULL);
    printf(" %d\n# HELP keel_age_seconds since these figures were published\n"
           "# TYPE keel_age_seconds gauge\nkeel_age_seconds",
           (int)view->alive);
    print_labels("", view->path, NULL);
    printf(" %" PRIu64 ".%09" PRIu64 "\n", age / 1000000000u, age % 1000000000u);
    for (uint32_t i = 0; i < view->group_count; i++) {
        const struct stats_group *group = &view->groups[i];
        for (uint32_t at = 0; at < group->columns; at++) {
            uint32_t buckets = stats_histogram(view, group, at);
            if (buckets == 0) {
                print_column(view, group, at);
                continue;
            }
            print_histogram(view, group, at, buckets);
            at += buckets;
        }
    }
}
