/*
 * The table of counters: what the segment, the metrics and the page of the documents rely on.
 */
#include <keel/stats.h>

#include <criterion/criterion.h>
#include <string.h>

#define NAME_BYTES 32u

Test(stats, rows_of_a_group_stand_together)
{
    unsigned seen = 0;

    for (unsigned group = 0; keel_stat_group_info(group); group++) {
        unsigned first;
        uint32_t count = keel_stat_group_range(group, &first);
        cr_assert_gt(count, 0, "%s has no counters", keel_stat_group_info(group)->name);
        cr_assert_eq(first, seen, "%s does not follow the group before it",
                     keel_stat_group_info(group)->name);
        seen += count;
    }
    cr_assert_eq(seen, KEEL_STAT_COUNT);
    cr_assert_null(keel_stat_info(KEEL_STAT_COUNT));
}

static bool proper(const char *name)
{
    size_t len = strlen(name);
    return len > 0 && len < NAME_BYTES &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == len;
}

Test(stats, names_are_proper_and_stand_once_in_their_group)
{
    for (unsigned a = 0; keel_stat_info(a); a++) {
        const struct keel_stat_info *info = keel_stat_info(a);
        cr_assert(proper(info->name), "%s", info->name);
        cr_assert(info->meaning[0] && !strchr(info->meaning, '|') && !strchr(info->meaning, '\n'));
        for (unsigned b = 0; b < a; b++)
            cr_assert(keel_stat_info(b)->group != info->group ||
                          strcmp(keel_stat_info(b)->name, info->name) != 0,
                      "%s stands twice", info->name);
    }
    for (unsigned group = 0; keel_stat_group_info(group); group++)
        cr_assert(proper(keel_stat_group_info(group)->name));
}
