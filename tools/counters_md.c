/*
 * Prints docs/reference/counters.md from the table of keel/stats.h.
 */
#include <stdio.h>
#include <string.h>

#include <keel/stats.h>

static void print_metric(const char *group, const struct keel_stat_info *info)
{
    size_t len = strlen(info->name);
    int ns = len > 3 && strcmp(info->name + len - 3, "_ns") == 0;

    printf("| `%s` | %s | `keel_%s_%.*s%s%s` | %s |\n", info->name,
           info->kind == KEEL_STAT_COUNTER ? "counter" : "gauge", group, (int)(ns ? len - 3 : len),
           info->name, ns ? "_seconds" : "", info->kind == KEEL_STAT_COUNTER ? "_total" : "",
           info->meaning);
}

/* info: of its first bucket. */
static void print_histogram(const char *group, const struct keel_stat_info *info)
{
    int len = (int)(strlen(info->name) - strlen("_bucket_0"));

    printf(
        "| `%.*s_bucket_0` to `_%d`, `%.*s_sum_ns` | histogram | `keel_%s_%.*s_seconds` | %s |\n",
        len, info->name, KEEL_STAT_BUCKETS - 1, len, info->name, group, len, info->name,
        info->meaning);
}

int main(void)
{
    printf("# Counters\n\n"
           "For whoever reads `keel stats`, `keel top` or the metrics of a store. Written by\n"
           "`tools/counters_md.c` from the table in `include/keel/stats.h`; a test compares the "
           "two.\n\n"
           "A name says its unit: `_bytes`, `_ns`, `_lsn`; without one it is a plain count. A "
           "counter only\ngrows while the store is open. In Prometheus' text nanoseconds become "
           "seconds, and each line\nbears the labels `store` and those of its row. Bucket k of a "
           "histogram counts what took\nless than "
           "1024 << k nanoseconds and not less than half of that; the last one also all that took\n"
           "longer.\n");
    for (unsigned g = 0; keel_stat_group_info(g); g++) {
        const struct keel_stat_group_info *group = keel_stat_group_info(g);
        unsigned first;
        uint32_t count = keel_stat_group_range(g, &first);
        printf(
            "\n## %s\n\nA row is %s%s.\n\n| name | kind | metric | meaning |\n|---|---|---|---|\n",
            group->name, group->meaning, group->rows_max > 1 ? "; there may be several" : "");
        for (uint32_t i = 0; i < count; i++) {
            const struct keel_stat_info *info = keel_stat_info(first + i);
            if (info->kind != KEEL_STAT_BUCKET) {
                print_metric(group->name, info);
                continue;
            }
            print_histogram(group->name, info);
            i += KEEL_STAT_BUCKETS; /* and the sum */
        }
    }
    return 0;
}
