/*
 * What keel/sched.h offers: options, costs and counters of the scheduler of a disk.
 */
#include <string.h>

#include "base/assert.h"
#include "iosched/ctx.h"
#include "keel/sched.h"

const char *keel_class_name(unsigned cls)
{
    static const char *const names[KEEL_CLASS_COUNT] = {
        [KEEL_CLASS_WAL] = "WAL",           [KEEL_CLASS_READ] = "READ",
        [KEEL_CLASS_PREFETCH] = "PREFETCH", [KEEL_CLASS_WRITEBACK] = "WRITEBACK",
        [KEEL_CLASS_SCRUB] = "SCRUB",       [KEEL_CLASS_HOST] = "HOST",
    };

    return cls < KEEL_CLASS_COUNT ? names[cls] : "?";
}

const char *keel_sched_mode_name(enum keel_sched_mode mode)
{
    static const char *const names[] = {"adaptive", "static", "off"};

    return (unsigned)mode <= KEEL_SCHED_OFF ? names[mode] : "?";
}

void keel_sched_get(const struct keel_device *device, struct keel_sched_options *ret)
{
    struct ios_sched *sched = device->sched;

    lock_acquire(&sched->lock);
    *ret = sched->policy.options;
    lock_release(&sched->lock);
}

int keel_sched_set(struct keel_device *device, const struct keel_sched_options *options)
{
    struct ios_sched *sched = device->sched;

    lock_acquire(&sched->lock);
    int rc = sched_set_options(&sched->policy, options);
    if (rc == 0)
        atomic_store_explicit(&sched->mode, options->mode, memory_order_relaxed);
    lock_release(&sched->lock);
    return rc;
}

void keel_sched_costs_get(const struct keel_device *device, struct keel_sched_costs *ret)
{
    struct ios_sched *sched = device->sched;

    lock_acquire(&sched->lock);
    *ret = sched->policy.costs;
    lock_release(&sched->lock);
}

int keel_sched_costs_set(struct keel_device *device, const struct keel_sched_costs *costs)
{
    struct ios_sched *sched = device->sched;

    lock_acquire(&sched->lock);
    int rc = sched_set_costs(&sched->policy, costs);
    sched->profiled = sched->profiled || rc == 0;
    lock_release(&sched->lock);
    return rc;
}

int keel_sched_stats(struct keel_device *device, struct keel_sched_stats *ret)
{
    struct ios_sched *sched = device->sched;
    struct sched *policy = &sched->policy;

    if (ret->size != sizeof(*ret))
        return KEEL_EOPTION;
    lock_acquire(&sched->lock);
    *ret = (struct keel_sched_stats){
        .size = sizeof(*ret),
        .mode = policy->options.mode,
        .dev_major = sched->dev_major,
        .dev_minor = sched->dev_minor,
        .contexts = sched->lane_count,
        .profiled = sched->profiled,
        .now_ns = policy->now_ns,
        .cap_ns = policy->cap_ns,
        .in_flight_ns = policy->lower_ns,
        .cap_ups = policy->cap_ups,
        .cap_downs = policy->cap_downs,
        .target_ns = policy->target_ns,
        .idle_ns = policy->idle_ns,
        .busy_ns = policy->busy_ns,
    };
    for (uint32_t cls = 0; cls < KEEL_CLASS_COUNT; cls++) {
        struct keel_sched_class_stats *stats = &ret->classes[cls];
        *stats = sched->retired[cls];
        list_for_each (link, &sched->lanes) {
            const struct ios_lane *lane = container_of(link, struct ios_lane, link);
            ios_stats_add(stats, &lane->stats[cls]);
        }
        stats->queued = policy->classes[cls].queued;
        stats->in_flight = policy->classes[cls].in_flight;
        stats->depth_ns = policy->classes[cls].depth_ns;
        stats->starved_ns = policy->classes[cls].starved_ns;
    }
    lock_release(&sched->lock);
    return 0;
}
