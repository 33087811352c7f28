/*
 * Making, ending and looking at simulations: the public calls but for the cut (sim_cut.c).
 */
#include "iosched/sim_model.h"

#include <errno.h>

#define LATENCY_NS_MIN_DEFAULT 10000u
#define LATENCY_NS_MAX_DEFAULT 200000u
#define BYTES_MAX_DEFAULT      ((uint64_t)1 << 30)

int sim_options_check(const struct keel_sim_options *options, struct keel_sim_options *ret)
{
    static const struct keel_sim_options defaults = KEEL_SIM_OPTIONS_DEFAULT;

    if (!options)
        options = &defaults;
    if (options->size != sizeof(*options))
        return KEEL_EOPTION;
    if (options->latency_ns_min > options->latency_ns_max)
        return KEEL_EOPTION;

    *ret = *options;
    if (ret->latency_ns_max == 0) {
        ret->latency_ns_min = LATENCY_NS_MIN_DEFAULT;
        ret->latency_ns_max = LATENCY_NS_MAX_DEFAULT;
    }
    if (ret->bytes_max == 0)
        ret->bytes_max = BYTES_MAX_DEFAULT;
    return 0;
}

struct keel_sim *sim_new(struct sim_pool *pool, const struct keel_sim_options *options)
{
    struct keel_sim *sim = sim_pool_alloc(pool, sizeof(*sim));

    KEEL_ASSERT(options->latency_ns_min <= options->latency_ns_max);
    KEEL_ASSERT(options->bytes_max > 0);
    sim->pool = pool;
    sim->history = options->history;
    sim->latency_ns_min = options->latency_ns_min;
    sim->latency_ns_max = options->latency_ns_max;
    sim->bytes_max = options->bytes_max;
    sim->serves = options->bytes_per_s > 0;
    sim->bytes_per_s = options->bytes_per_s;
    sim->atomic_write_bytes = options->atomic_write_bytes;
    prng_seed(&sim->prng, options->seed);
    sim_pool_get(pool);
    return sim;
}

void keel_sim_set_rate(struct keel_sim *sim, uint64_t bytes_per_s)
{
    KEEL_ASSERT(sim->serves && bytes_per_s > 0);
    sim->bytes_per_s = bytes_per_s;
}

uint64_t sim_draw_latency(struct keel_sim *sim)
{
    uint64_t span = (uint64_t)sim->latency_ns_max - sim->latency_ns_min + 1;

    return sim->latency_ns_min + prng_below(&sim->prng, span);
}

int keel_sim_create(const struct keel_sim_options *options, struct keel_sim **ret)
{
    struct keel_sim_options checked;
    int rc = sim_options_check(options, &checked);
    if (rc != 0)
        return rc;

    struct sim_pool *pool = sim_pool_create();
    if (!pool)
        return -ENOMEM;

    *ret = sim_new(pool, &checked);
    sim_pool_put(pool); /* the simulation holds it now */
    return 0;
}

static void free_history(struct keel_sim *sim)
{
    struct sim_pool *pool = sim->pool;

    sim_cursor_clear(sim);
    sim_dir_clear(pool, &sim->start);
    for (uint32_t i = 0; i < sim->writes; i++) {
        if (list_linked(&sim->write[i]->link))
            list_remove(&sim->write[i]->link);
        sim_write_free(pool, sim->write[i]);
    }
    for (uint32_t i = 0; i < sim->ops; i++) {
        sim_name_put(pool, sim->op[i].from);
        sim_name_put(pool, sim->op[i].to);
    }
    sim_pool_free(pool, sim->write, sim->writes_room * sizeof(*sim->write));
    sim_pool_free(pool, sim->op, sim->ops_room * sizeof(*sim->op));
}

void keel_sim_destroy(struct keel_sim *sim)
{
    if (!sim)
        return;

    struct sim_pool *pool = sim->pool;

    KEEL_ASSERT(sim->users == 0); /* contexts borrow it */
    KEEL_ASSERT(sim->dues == 0);
    for (uint32_t i = 0; i < sim->files; i++)
        KEEL_ASSERT(sim->file[i]->opens == 0); /* so do devices */
    free_history(sim);
    while (sim->files > 0)
        sim_file_free(sim, sim->file[sim->files - 1]);
    sim_dir_clear(pool, &sim->dir);
    sim_pool_free(pool, sim->file, sim->files_room * sizeof(*sim->file));
    sim_pool_free(pool, sim->due, sim->dues_room * sizeof(*sim->due));
    sim_pool_free(pool, sim, sizeof(*sim));
    sim_pool_put(pool);
}

uint64_t keel_sim_events(const struct keel_sim *sim)
{
    return sim->events;
}

uint64_t keel_sim_now_ns(const struct keel_sim *sim)
{
    return sim->now_ns;
}

int keel_sim_fault(struct keel_sim *sim, const struct keel_fault *fault)
{
    return sim_faults_arm(&sim->faults, fault);
}

void keel_sim_fault_clear(struct keel_sim *sim)
{
    sim_faults_clear(&sim->faults);
}

static int find_range(struct keel_sim *sim, const char *path, uint64_t offset, uint32_t len,
                      struct sim_file **ret)
{
    int rc = sim_path_file(sim, path, ret);

    if (rc != 0)
        return rc;
    return offset > (*ret)->bytes || len > (*ret)->bytes - offset ? KEEL_ERANGE : 0;
}

int keel_sim_peek(struct keel_sim *sim, const char *path, uint64_t offset, void *buf, uint32_t len)
{
    struct sim_file *file;
    int rc = find_range(sim, path, offset, len, &file);

    if (rc == 0)
        sim_image_read(&file->durable, offset, buf, len);
    return rc;
}

int keel_sim_poke(struct keel_sim *sim, const char *path, uint64_t offset, const void *buf,
                  uint32_t len)
{
    struct sim_file *file;
    int rc = find_range(sim, path, offset, len, &file);

    if (rc == 0 && len > 0)
        sim_overwrite(sim, file, offset, buf, len);
    return rc;
}

void keel_sim_counts(struct keel_sim *sim, const char *path, uint64_t *ret_writes,
                     uint64_t *ret_syncs)
{
    struct sim_file *file;

    *ret_writes = 0;
    *ret_syncs = 0;
    if (sim_path_file(sim, path, &file) == 0) {
        *ret_writes = file->writes;
        *ret_syncs = file->syncs;
    }
}
