/*
 * The tables of keel/stats.h, to be asked.
 */
#include <keel/stats.h>

#include <stddef.h>

static const struct keel_stat_group_info groups[KEEL_STATS_GROUP_COUNT] = {
#define GROUP(name, rows_max, meaning) [KEEL_STATS_##name] = {#name, rows_max, meaning},
    KEEL_STAT_GROUPS(GROUP)
#undef GROUP
};

static const struct keel_stat_info infos[KEEL_STAT_COUNT] = {
#define INFO(group, name, kind, meaning) \
    [KEEL_STAT_##group##_##name] = {KEEL_STATS_##group, #name, KEEL_STAT_##kind, meaning},
    KEEL_STATS(INFO)
#undef INFO
};

const struct keel_stat_group_info *keel_stat_group_info(unsigned group)
{
    return group < KEEL_STATS_GROUP_COUNT ? &groups[group] : NULL;
}

const struct keel_stat_info *keel_stat_info(unsigned stat)
{
    return stat < KEEL_STAT_COUNT ? &infos[stat] : NULL;
}

uint32_t keel_stat_group_range(unsigned group, unsigned *ret_first)
{
    unsigned first = 0, end;

    while (first < KEEL_STAT_COUNT && infos[first].group != group)
        first++;
    for (end = first; end < KEEL_STAT_COUNT && infos[end].group == group; end++)
        ;
    *ret_first = first;
    return end - first;
}
