/*
 * One seed.
 *
 * - The history: three lives of one store on one simulation. A life ends in a kill, in a fault that
 *   poisons the store and then a kill, or in an orderly close; the next one recovers in place, from
 *   a device whose cache still holds what was never synced.
 * - The cuts: after each event (those of creation, growth and recovery too) in each of four modes,
 * a copy of the devices is made and recovered, and all its pages are compared with the model (E1,
 *   E3: a page that a checkpoint gave up too early is a lost one).
 * - Of a share of the cuts, drawn from seed, event and mode: recovery is itself cut and run again
 *   (E2); it is run twice and the page file compared byte for byte (E2); the recovered store is
 *   worked on, cut and recovered again, so that a leftover of the torn tail or an LSN used twice
 *   would show (W3).
 *
 * After a violation nothing is taken apart: the process ends, and a store that is known to be wrong
 * may not even close.
 */
#include "tools/sim/proof.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "iosched/sim_model.h"
#include "tools/sim/world.h"

#define LIVES          3u
#define FIRST_LIFE_MAX 120u /* transactions */
#define RECUT_ONE_IN   24u  /* cuts whose recovery is cut too */
#define RECUT_ALL      512u /* of all cuts: at every event of the recovery */
#define RECUT_DEPTH    3u   /* a recovery inside a recovery inside a recovery */
#define TWICE_ONE_IN   24u
#define EXTEND_ONE_IN  24u
#define EXTEND_CUTS    4u

struct proof {
    struct coverage *coverage;
    struct progress *progress;
    uint64_t only_event, only_mode;

    /* of the seed at work */
    struct settings settings;
    struct keel_sim *sim;
    uint64_t created;          /* events when creation was complete */
    struct span reopen[LIVES]; /* events of the recoveries in place; [0] unused */
    struct model model, fork;
    struct world main, cut, again; /* the history; a cut of it; a cut of that */
    struct model_state lost;       /* of the cut after lost_event that lost all */
    uint64_t lost_event;
    unsigned char *bytes[2]; /* page files, to compare */
    char text[512];
};

/* A draw that depends on nothing but where it is made, so that one cut can be replayed alone. */
static uint64_t draw_at(const struct proof *proof, uint64_t event, uint64_t mode, uint64_t what)
{
    struct prng prng;

    prng_seed(&prng, proof->settings.seed * 1000003u + event * 4099u + mode * 65537u + what);
    return prng_u64(&prng);
}

static bool fail(struct proof *proof, const char *what, const struct world *world)
{
    const struct progress *at = proof->progress;

    snprintf(proof->text, sizeof(proof->text), "seed %llu, event %llu, mode %u, %s: %s",
             (unsigned long long)at->seed, (unsigned long long)at->event, at->mode, what,
             world && world->violation[0] ? world->violation : "differs");
    return false;
}

static void set_phase(struct proof *proof, const char *phase)
{
    snprintf(proof->progress->phase, sizeof(proof->progress->phase), "%s", phase);
}

/* Does the state fit the model at this event? False: violation, noted in the world. */
static bool judge(struct world *world, const struct model *model, uint64_t event,
                  const struct model_state *state, uint32_t *ret_kept, uint32_t *ret_owed)
{
    struct model_miss miss;

    switch (model_check(model, event, state, ret_kept, ret_owed)) {
    case MODEL_GOOD:
        return true;
    case MODEL_LOST:
        world_violation(world, "acknowledged transactions lost: %u there, %u owed (E1)", *ret_kept,
                        *ret_owed);
        return false;
    case MODEL_MIXED:
        miss = model_explain(model, event, state, *ret_owed);
        world_violation(world,
                        "no prefix of the transactions: mixed, torn or invented (E1); %u owed; "
                        "nearest are the first %u, but for %u pages (one is %u%s)%s",
                        *ret_owed, miss.position, miss.pages, miss.page,
                        state->hash[miss.page] == MODEL_UNREADABLE ? ", unreadable" : "",
                        miss.allocated ? "" : " and the number of allocated ones");
        return false;
    }
    KEEL_UNREACHABLE();
}

/* ---------------------------------------------------------------- history */

/* Mostly one that poisons the store; also a short or a slow command, which must not be noticed. */
static bool arm_fault(struct proof *proof, struct prng *prng)
{
    static const uint8_t kinds[] = {KEEL_FAULT_ERROR, KEEL_FAULT_ERROR, KEEL_FAULT_ERROR,
                                    KEEL_FAULT_SHORT, KEEL_FAULT_SLOW};
    struct keel_fault fault = {
        .path = prng_chance(prng, 2, 3) ? "wal.keel" : "pages.keel",
        .op = prng_chance(prng, 1, 2) ? KEEL_OP_SYNC : KEEL_OP_WRITE,
        .kind = kinds[prng_below(prng, sizeof(kinds))],
        .error = -EIO,
        .countdown = (uint32_t)prng_below(prng, 4),
        .repeat = 1,
    };

    if (fault.kind == KEEL_FAULT_SHORT)
        fault.op = KEEL_OP_WRITE;

    proof->main.fault_expected = fault.kind == KEEL_FAULT_ERROR;
    return keel_sim_fault(proof->sim, &fault) == 0;
}

static bool end_life(struct proof *proof, struct prng *prng, unsigned life)
{
    struct world *world = &proof->main;
    struct coverage *coverage = proof->coverage;

    if (prng_chance(prng, 1, 2) && !arm_fault(proof, prng)) {
        world_violation(world, "fault cannot be armed");
        return false;
    }
    if (!world_run(world, 4))
        return false;
    keel_sim_fault_clear(proof->sim);
    coverage->faults += world->poisoned;

    bool orderly = !world->poisoned && (life + 1 == LIVES || prng_chance(prng, 1, 4));
    if (orderly) {
        coverage->closes++;
        return world_close(world);
    }
    coverage->kills++;
    world_kill(world);
    return !world->violation[0];
}

static bool begin_life(struct proof *proof, unsigned life)
{
    struct world *world = &proof->main;
    struct model_state state;
    uint64_t before = keel_sim_events(proof->sim);
    uint32_t kept, owed;

    world->fault_expected = false;
    if (world_open(world))
        return false;
    uint64_t after = keel_sim_events(proof->sim);
    proof->coverage->recoveries++;
    if (life == 0)
        proof->created = after;
    proof->reopen[life] = (struct span){before, after};

    world_read(world, before, true, &state);
    if (!judge(world, &proof->model, before, &state, &kept, &owed))
        return false;
    model_restart(&proof->model, before, after, kept);
    world_adopt(world, &proof->model);
    return true;
}

/* The first life goes on until the log has gone around. */
static bool run_life(struct proof *proof, unsigned life)
{
    static const uint32_t work[LIVES] = {24, 6, 3};
    struct world *world = &proof->main;

    if (!world_run(world, work[life]))
        return false;
    while (life == 0 && world_laps(world) == 0 && world->committed < FIRST_LIFE_MAX)
        if (!world_run(world, 4))
            return false;
    return true;
}

static bool make_history(struct proof *proof)
{
    struct keel_sim_options options = KEEL_SIM_OPTIONS_DEFAULT;
    struct world *world = &proof->main;
    struct prng prng;

    options.seed = proof->settings.seed;
    options.history = true;
    options.latency_ns_min = proof->settings.latency_ns_min;
    options.latency_ns_max = proof->settings.latency_ns_max;
    options.atomic_write_bytes = proof->settings.atomic_write_bytes;
    if (keel_sim_create(&options, &proof->sim))
        return false;

    prng_seed(&prng, proof->settings.seed + 77);
    model_init(&proof->model);
    world_init(world, &proof->settings, proof->sim, &proof->model, proof->settings.seed);
    for (unsigned life = 0; life < LIVES; life++) {
        set_phase(proof, "history");
        if (!begin_life(proof, life) || !run_life(proof, life) || !end_life(proof, &prng, life))
            return false;
    }
    return true;
}

/* ---------------------------------------------------------------- one cut */

static int cut_sim(struct proof *proof, struct keel_sim *from, uint64_t event, uint32_t mode,
                   bool history, struct keel_cut_info *info, struct keel_sim **ret)
{
    struct keel_sim_options options = KEEL_SIM_OPTIONS_DEFAULT;

    options.seed = draw_at(proof, event, mode, 1);
    options.history = history;
    options.latency_ns_min = proof->settings.latency_ns_min;
    options.latency_ns_max = proof->settings.latency_ns_max;
    options.atomic_write_bytes = proof->settings.atomic_write_bytes;
    return keel_sim_cut(from, event, (enum keel_cut_mode)mode, draw_at(proof, event, mode, 2),
                        &options, info, ret);
}

/* Recover the store on sim and read the pages that the model has at this event into *state; keep
 * them for more work. False: violation in world. */
static bool recover(struct proof *proof, struct world *world, struct keel_sim *sim,
                    struct model *model, uint64_t event, bool keep, struct model_state *state)
{
    world_init(world, &proof->settings, sim, model, proof->settings.seed);
    proof->coverage->recoveries++;
    if (world_open(world))
        return false;
    world_read(world, event, keep, state);
    return true;
}

/* The page file as it would be read after a power cut; returns its length. */
static size_t page_file(struct keel_sim *sim, unsigned char *bytes)
{
    size_t len = 0;

    while (len < (size_t)MODEL_PAGE_MAX * 4096u &&
           keel_sim_peek(sim, WORLD_FOLDER "/pages.keel", len, bytes + len, 4096) == 0)
        len += 4096;
    return len;
}

static bool same_state(const struct model_state *a, const struct model_state *b)
{
    return a->allocated == b->allocated && memcmp(a->hash, b->hash, sizeof(a->hash)) == 0;
}

/* Both recoveries of one state must have found the same: pages, bytes, end of the log. */
static bool compare_again(struct proof *proof, const struct model_state *first,
                          const struct model_state *second, size_t len)
{
    const struct keel_wal_report *a = &proof->cut.report;
    const struct keel_wal_report *b = &proof->again.report;

    if (!same_state(first, second))
        world_violation(&proof->again, "the second recovery found other pages (E2)");
    if (b->end_lsn < a->end_lsn) /* the new epoch, once durable, begins behind the old end */
        world_violation(&proof->again, "the second recovery ends the log at %llu, before %llu (E2)",
                        (unsigned long long)b->end_lsn, (unsigned long long)a->end_lsn);
    if (page_file(proof->again.sim, proof->bytes[1]) != len ||
        memcmp(proof->bytes[0], proof->bytes[1], len) != 0)
        world_violation(&proof->again, "the second recovery left other bytes (E2)");
    return !proof->again.violation[0];
}

/* Cut the recovery that ran on sim after one of its events, and recover again; `depth` more times
 * inside that recovery. */
static bool recut_at(struct proof *proof, struct keel_sim *sim, uint64_t event, unsigned depth,
                     const struct model_state *first)
{
    uint64_t cut_event = proof->progress->event;
    struct model_state second;
    struct keel_sim *copy;
    uint32_t mode = (uint32_t)(draw_at(proof, event, 7, 3) % KEEL_CUT_MODES);

    if (cut_sim(proof, sim, event, mode, depth > 0, NULL, &copy))
        return fail(proof, "recovery cannot be cut", NULL);
    proof->coverage->in_recovery++;
    proof->coverage->states++;

    size_t len = page_file(sim, proof->bytes[0]);
    bool good = recover(proof, &proof->again, copy, &proof->model, cut_event, false, &second) &&
                compare_again(proof, first, &second, len);
    if (!good)
        return fail(proof, "cut inside recovery", &proof->again);
    uint64_t events = keel_sim_events(copy);
    world_kill(&proof->again);
    if (depth > 0 &&
        !recut_at(proof, copy, draw_at(proof, event, depth, 4) % (events + 1), depth - 1, first))
        return false;
    keel_sim_destroy(copy);
    return true;
}

static bool recut(struct proof *proof, struct keel_sim *sim, uint64_t events, uint64_t draw,
                  const struct model_state *first)
{
    set_phase(proof, "recovery cut");
    if (draw % RECUT_ALL == 0) {
        for (uint64_t event = 0; event <= events; event++)
            if (!recut_at(proof, sim, event, 0, first))
                return false;
        return true;
    }
    return recut_at(proof, sim, draw / RECUT_ALL % (events + 1), draw % (RECUT_DEPTH + 1), first);
}

/* Work on the recovered store; cut that; what comes back must fit a model that begins with what the
 * first recovery kept. */
static bool extend(struct proof *proof, struct keel_sim *sim, uint64_t cut_event, uint32_t kept,
                   uint64_t draw)
{
    struct world *world = &proof->cut;

    set_phase(proof, "extension");
    proof->coverage->extended++;
    model_fork(&proof->fork, &proof->model, cut_event, kept);
    world_adopt(world, &proof->fork);
    uint64_t first = keel_sim_events(sim);
    if (!world_run(world, 2 + (uint32_t)(draw % 5)) || (draw % 2 == 0 && !world_settle(world)))
        return fail(proof, "work after recovery", world);

    uint64_t last = keel_sim_events(sim);
    for (uint64_t i = 0; i <= EXTEND_CUTS; i++) {
        struct model_state state;
        struct keel_sim *copy;
        uint32_t owed;
        uint64_t event = first + (last - first) * i / EXTEND_CUTS;
        uint32_t mode = (uint32_t)(draw_at(proof, event, 9, i) % KEEL_CUT_MODES);
        if (cut_sim(proof, sim, event, mode, false, NULL, &copy))
            return fail(proof, "extension cannot be cut", NULL);
        proof->coverage->states++;
        bool good = recover(proof, &proof->again, copy, &proof->fork, event, false, &state) &&
                    judge(&proof->again, &proof->fork, event, &state, &kept, &owed);
        if (!good)
            return fail(proof, "cut after more work", &proof->again);
        world_kill(&proof->again);
        keel_sim_destroy(copy);
    }
    return true;
}

/* Kill the recovered store and recover once more in place. */
static bool twice(struct proof *proof, struct keel_sim *sim, const struct model_state *first)
{
    uint64_t event = proof->progress->event;
    struct model_state second;

    set_phase(proof, "twice");
    proof->coverage->twice++;
    size_t len = page_file(sim, proof->bytes[0]);
    world_kill(&proof->cut);
    bool good = recover(proof, &proof->again, sim, &proof->model, event, false, &second) &&
                compare_again(proof, first, &second, len);
    if (!good)
        return fail(proof, "recovery run twice", &proof->again);
    world_kill(&proof->again);
    return true;
}

/* Writes of the log that were at the device after this event. The public call counts those of all
 * files together, so this looks at the history itself. */
static uint32_t log_writes_in_flight(const struct keel_sim *sim, uint64_t event)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < sim->writes; i++) {
        const struct sim_write *write = sim->write[i];
        bool complete = write->event_completed != 0 && write->event_completed <= event;
        if (write->event_submitted <= event && !complete)
            count += strstr(write->file->name->text, "wal.keel") != NULL;
    }
    return count;
}

static bool inside(const struct span *span, uint64_t event)
{
    return event > span->first && event < span->last;
}

static void count_cut(struct proof *proof, uint64_t event, const struct keel_cut_info *info)
{
    struct coverage *coverage = proof->coverage;

    coverage->states++;
    coverage->in_flight +=
        info->writes_in_flight >= 2 && log_writes_in_flight(proof->sim, event) >= 2;
    coverage->out_of_order += info->out_of_order;
    coverage->hole_torn += info->hole_torn;
    coverage->in_creation += event < proof->created;
    for (uint32_t i = 0; i < proof->main.growths; i++)
        coverage->in_growth += inside(&proof->main.growth[i], event);
    for (unsigned life = 1; life < LIVES; life++)
        coverage->in_reopen += inside(&proof->reopen[life], event);
}

static void count_kept(struct proof *proof, uint64_t event, uint32_t kept, uint32_t owed)
{
    uint32_t seen = 0;

    for (uint32_t i = 0; i < proof->model.tx_count; i++)
        seen += proof->model.tx[i].append_event <= event && proof->model.tx[i].dead_event > event;
    proof->coverage->unacked_kept += kept > owed;
    proof->coverage->unacked_lost += kept < seen;
}

/* What a share of the cuts undergoes after the plain comparison. */
static bool check_deeper(struct proof *proof, struct keel_sim *sim, uint64_t event, uint32_t kept,
                         const struct model_state *state, uint64_t draw)
{
    uint64_t recovered = keel_sim_events(sim);

    if (draw % RECUT_ONE_IN == 0 && !recut(proof, sim, recovered, draw / RECUT_ONE_IN, state))
        return false;
    if (draw % EXTEND_ONE_IN == 1 && !extend(proof, sim, event, kept, draw / EXTEND_ONE_IN))
        return false;
    return draw % TWICE_ONE_IN != 2 || twice(proof, sim, state);
}

/* Did the event put nothing on the medium for good? Then a cut that loses all the rest leaves the
 * very bytes that it left an event earlier. */
static bool nothing_durable(const struct keel_sim *sim, uint64_t event)
{
    for (uint32_t i = 0; i < sim->writes; i++)
        if (sim->write[i]->event_durable == event)
            return false;
    for (uint32_t i = 0; i < sim->ops; i++)
        if (sim->op[i].event_durable == event)
            return false;
    return true;
}

/* Bytes that were recovered already are only judged again: more may be owed by now. */
static bool judge_same(struct proof *proof, uint64_t event)
{
    uint32_t kept, owed;

    proof->coverage->same++;
    if (!judge(&proof->cut, &proof->model, event, &proof->lost, &kept, &owed))
        return fail(proof, "recovery", &proof->cut);
    count_kept(proof, event, kept, owed);
    return true;
}

static bool check_cut(struct proof *proof, uint64_t event, uint32_t mode)
{
    struct world *world = &proof->cut;
    struct keel_cut_info info;
    struct model_state state;
    struct keel_sim *sim;
    uint64_t draw = draw_at(proof, event, mode, 0);
    bool deeper = draw % RECUT_ONE_IN < 3;
    uint32_t kept = 0, owed = 0;

    proof->progress->event = event;
    proof->progress->mode = mode;
    set_phase(proof, "cut");
    if (cut_sim(proof, proof->sim, event, mode, deeper, &info, &sim))
        return fail(proof, "cannot be cut", NULL);
    count_cut(proof, event, &info);
    if (mode == KEEL_CUT_LOSE_ALL && !deeper && proof->lost_event + 1 == event &&
        nothing_durable(proof->sim, event)) {
        keel_sim_destroy(sim);
        proof->lost_event = event;
        return judge_same(proof, event);
    }

    bool good = recover(proof, world, sim, &proof->model, event, deeper, &state) &&
                judge(world, &proof->model, event, &state, &kept, &owed);
    if (!good)
        return fail(proof, "recovery", world);
    count_kept(proof, event, kept, owed);
    if (mode == KEEL_CUT_LOSE_ALL) {
        proof->lost_event = event;
        proof->lost = state;
    }
    if (deeper && !check_deeper(proof, sim, event, kept, &state, draw))
        return false;
    world_kill(world);
    keel_sim_destroy(sim);
    return true;
}

/* ---------------------------------------------------------------- the seed */

struct proof *proof_create(struct coverage *coverage, struct progress *progress)
{
    struct proof *proof = calloc(1, sizeof(*proof));

    KEEL_ASSERT(proof);
    proof->coverage = coverage;
    proof->progress = progress;
    proof->only_event = proof->only_mode = PROOF_ANY;
    for (unsigned i = 0; i < 2; i++) {
        proof->bytes[i] = malloc((size_t)MODEL_PAGE_MAX * 4096u);
        KEEL_ASSERT(proof->bytes[i]);
    }
    return proof;
}

void proof_destroy(struct proof *proof)
{
    free(proof->bytes[0]);
    free(proof->bytes[1]);
    free(proof);
}

void proof_restrict(struct proof *proof, uint64_t event, uint64_t mode)
{
    proof->only_event = event;
    proof->only_mode = mode;
}

static void count_history(struct proof *proof)
{
    struct coverage *coverage = proof->coverage;

    coverage->seeds++;
    coverage->untorn += proof->settings.atomic_write_bytes > 0;
    coverage->events += keel_sim_events(proof->sim);
    coverage->transactions += proof->model.tx_count;
    coverage->blocking += proof->main.blocking;
    coverage->laps += proof->main.laps > 0;
    coverage->checkpoints += proof->main.checkpoints;
    coverage->aborts += proof->main.aborted;
}

bool proof_seed(struct proof *proof, uint64_t seed, const char **ret_text)
{
    bool good;

    proof->progress->seed = seed;
    proof->progress->event = proof->progress->mode = 0;
    proof->sim = NULL;
    proof->lost_event = PROOF_ANY - 1;
    *ret_text = proof->text;
    settings_draw(&proof->settings, seed);

    good = make_history(proof);
    if (good)
        count_history(proof);
    else
        fail(proof, "history", &proof->main);
    uint64_t events = good ? keel_sim_events(proof->sim) : 0;
    for (uint64_t event = 0; good && event <= events; event++)
        for (uint32_t mode = 0; good && mode < KEEL_CUT_MODES; mode++)
            if ((proof->only_event == PROOF_ANY || proof->only_event == event) &&
                (proof->only_mode == PROOF_ANY || proof->only_mode == mode))
                good = check_cut(proof, event, mode);

    if (!good)
        return false;
    world_kill(&proof->main);
    keel_sim_destroy(proof->sim);
    return true;
}
