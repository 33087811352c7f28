/*
 * The policy of the scheduler. See sched.h.
 */
#include "iosched/sched.h"

#include <string.h>

#include "base/assert.h"
#include "base/bug.h"

#define TAG_SHIFT     10
#define TAIL_SHIFT    10u  /* latencies are counted in units of 1024 ns */
#define WEIGHT_USUAL  200u /* of write-back: the aim is what tail_permille says */
#define TAIL_PERMILLE 900u
#define IDLE_WEIGHT   4u /* a new window counts for one part in so many */

/* ------------------------------------------------------------- options and costs */

static const struct keel_sched_options default_options = {
    .size = sizeof(struct keel_sched_options),
    .mode = KEEL_SCHED_ADAPTIVE,
    .classes =
        {
            [KEEL_CLASS_WAL] = {.weight = 2000},
            [KEEL_CLASS_READ] = {.weight = 1000, .deadline_ns = 50000000},
            [KEEL_CLASS_PREFETCH] = {.weight = 200},
            [KEEL_CLASS_WRITEBACK] = {.weight = WEIGHT_USUAL, .deadline_ns = 500000000},
            [KEEL_CLASS_SCRUB] = {.weight = 20, .deadline_ns = 5000000000},
            [KEEL_CLASS_HOST] = {.weight = 200, .deadline_ns = 500000000},
        },
    .log_permille = 600,
    .cap_ns = 4000000,
    .budget_ns = 8000000,
    .tail_permille = 2000,
};

/* A guess at a fast disk: what is wrong by a factor is wrong for everybody alike, and the cap finds
 * its place by itself. */
static const struct keel_sched_costs default_costs = {
    .size = sizeof(struct keel_sched_costs),
    .point_count = 2,
    .points = {{4096, 6000, 8000}, {512 * 1024, 200000, 250000}},
    .sync_ns = 20000,
};

static bool class_valid(const struct keel_sched_class *cls)
{
    return cls->weight >= 1 && cls->weight <= 10000 && cls->reserve_permille <= 1000 &&
           cls->limit_permille <= 1000;
}

int sched_set_options(struct sched *sched, const struct keel_sched_options *options)
{
    if (options->size != sizeof(*options) || (unsigned)options->mode > KEEL_SCHED_OFF)
        return KEEL_EOPTION;
    if (options->log_permille < 1 || options->log_permille > 1000 || options->cap_ns == 0 ||
        options->budget_ns == 0 || options->tail_permille < 1000)
        return KEEL_EOPTION;
    for (uint32_t cls = 0; cls < KEEL_CLASS_COUNT; cls++) {
        if (!class_valid(&options->classes[cls]))
            return KEEL_EOPTION;
    }
    bool same_mode = sched->options.mode == options->mode;
    sched->options = *options;
    for (uint32_t cls = 0; cls < KEEL_CLASS_COUNT; cls++)
        sched->classes[cls].inverse = (1000u << TAG_SHIFT) / options->classes[cls].weight;
    if (!same_mode || options->mode == KEEL_SCHED_STATIC || sched->cap_ns > options->cap_ns)
        sched->cap_ns = options->cap_ns;
    return 0;
}

/* On the line through the two points around bytes, or the last two. */
static uint32_t interpolate(const struct keel_sched_costs *costs, uint32_t bytes, bool write)
{
    uint32_t i = 0;

    while (i + 2 < costs->point_count && costs->points[i + 1].bytes < bytes)
        i++;
    double x0 = costs->points[i].bytes;
    double y0 = write ? costs->points[i].write_ns : costs->points[i].read_ns;
    if (costs->point_count == 1 || bytes <= x0)
        return (uint32_t)y0;
    double x1 = costs->points[i + 1].bytes;
    double y1 = write ? costs->points[i + 1].write_ns : costs->points[i + 1].read_ns;
    double y = y0 + (y1 - y0) * (bytes - x0) / (x1 - x0);
    return y < 1 ? 1 : y > UINT32_MAX / 2.0 ? UINT32_MAX / 2 : (uint32_t)y;
}

int sched_set_costs(struct sched *sched, const struct keel_sched_costs *costs)
{
    if (costs->size != sizeof(*costs) || costs->point_count < 1 ||
        costs->point_count > KEEL_SCHED_POINTS_MAX)
        return KEEL_EOPTION;
    for (uint32_t i = 0; i < costs->point_count; i++) {
        if (costs->points[i].read_ns == 0 || costs->points[i].write_ns == 0 ||
            costs->points[i].bytes <= (i == 0 ? 0 : costs->points[i - 1].bytes))
            return KEEL_EOPTION;
    }
    sched->costs = *costs;
    for (uint32_t i = 1; i < SCHED_COST_SIZES; i++) {
        __atomic_store_n(&sched->cost_ns[0][i], interpolate(costs, i * KEEL_BLOCK_BYTES, false),
                         __ATOMIC_RELAXED);
        __atomic_store_n(&sched->cost_ns[1][i], interpolate(costs, i * KEEL_BLOCK_BYTES, true),
                         __ATOMIC_RELAXED);
    }
    __atomic_store_n(&sched->sync_ns, costs->sync_ns, __ATOMIC_RELAXED);
    sched->floor_ns = SCHED_FLOOR_CHUNKS * sched->cost_ns[1][SCHED_CHUNK_BYTES / KEEL_BLOCK_BYTES];
    return 0;
}

void sched_init(struct sched *sched, uint64_t now_ns)
{
    memset(sched, 0, sizeof(*sched));
    sched->now_ns = now_ns;
    sched->window_begin_ns = now_ns;
    sched->quiet_ns = now_ns;
    int rc = sched_set_costs(sched, &default_costs);
    KEEL_ASSERT(rc == 0);
    rc = sched_set_options(sched, &default_options);
    KEEL_ASSERT(rc == 0);
    sched->cap_ns = sched->options.cap_ns;
}

uint32_t sched_cost(const struct sched *sched, enum keel_op op, uint32_t bytes, bool durable)
{
    bool transfer = op == KEEL_OP_READ || op == KEEL_OP_WRITE;
    uint32_t blocks = transfer ? bytes / KEEL_BLOCK_BYTES : 0;
    uint32_t sync_ns = __atomic_load_n(&sched->sync_ns, __ATOMIC_RELAXED);

    KEEL_DCHECK(blocks < SCHED_COST_SIZES);
    if (BUG(COST_BY_COUNT))
        return 10000;
    switch (op) {
    case KEEL_OP_READ:
        return __atomic_load_n(&sched->cost_ns[0][blocks], __ATOMIC_RELAXED);
    case KEEL_OP_WRITE:
        return __atomic_load_n(&sched->cost_ns[1][blocks], __ATOMIC_RELAXED) +
               (durable ? sync_ns : 0);
    case KEEL_OP_SYNC:
        return sync_ns + 1;
    case KEEL_OP_WRITE_ZEROES:
    case KEEL_OP_DEALLOCATE: /* they move nothing; a command is what a small write is */
        return __atomic_load_n(&sched->cost_ns[1][1], __ATOMIC_RELAXED);
    case KEEL_OP_NOP:
        return 1;
    }
    KEEL_UNREACHABLE();
}

/* ------------------------------------------------------------- the cap */

static uint32_t tail_bucket(uint64_t ns)
{
    uint64_t units = (ns >> TAIL_SHIFT) + SCHED_TAIL_STEPS;
    uint32_t power = 63u - (uint32_t)__builtin_clzll(units);
    uint32_t shift = power - 4; /* SCHED_TAIL_STEPS is 1 << 4 */
    uint32_t bucket = shift * SCHED_TAIL_STEPS + (uint32_t)(units >> shift) - SCHED_TAIL_STEPS;

    return bucket < SCHED_TAIL_BUCKETS ? bucket : SCHED_TAIL_BUCKETS - 1;
}

/* The middle of a bucket. */
static uint64_t tail_value(uint32_t bucket)
{
    uint32_t shift = bucket / SCHED_TAIL_STEPS;
    uint64_t units = (uint64_t)(SCHED_TAIL_STEPS + bucket % SCHED_TAIL_STEPS) << shift;

    return ((units - SCHED_TAIL_STEPS) << TAIL_SHIFT) + ((1ull << shift) << TAIL_SHIFT) / 2;
}

uint64_t sched_tail_percentile(const struct sched_tail *tail, uint32_t permille)
{
    uint64_t rank = ((uint64_t)tail->count * permille + 999) / 1000, seen = 0;

    for (uint32_t i = 0; i < SCHED_TAIL_BUCKETS; i++) {
        seen += tail->bucket[i];
        if (seen >= rank && seen > 0)
            return tail_value(i);
    }
    return 0;
}

void sched_sample(struct sched *sched, enum sched_signal signal, uint64_t exec_ns)
{
    struct sched_tail *tail = &sched->tails[signal];

    tail->count++;
    tail->late += sched->idle[signal].late && exec_ns > sched->idle[signal].late;
    tail->bucket[tail_bucket(exec_ns)]++;
    if (signal == SCHED_SIGNAL_READ)
        sched->read_load_ns += sched->classes[KEEL_CLASS_READ].in_flight_ns;
}

static void set_cap(struct sched *sched, uint64_t cap_ns)
{
    uint64_t floor =
        sched->floor_ns < sched->options.cap_ns ? sched->floor_ns : sched->options.cap_ns;

    if (cap_ns < floor)
        cap_ns = floor;
    if (cap_ns > sched->options.cap_ns)
        cap_ns = sched->options.cap_ns;
    if (cap_ns > sched->cap_ns)
        sched->cap_ups++;
    else if (cap_ns < sched->cap_ns)
        sched->cap_downs++;
    sched->cap_ns = cap_ns;
}

/* A window without anything below READ shows what the disk takes by itself. */
static void learn_idle(struct sched_idle *idle, uint64_t p50, uint64_t p90)
{
    if (idle->p50 == 0)
        *idle = (struct sched_idle){.p50 = p50, .p90 = p90};
    idle->p50 = (idle->p50 * (IDLE_WEIGHT - 1) + p50) / IDLE_WEIGHT;
    idle->p90 = (idle->p90 * (IDLE_WEIGHT - 1) + p90) / IDLE_WEIGHT;
}

/*
 * Cut or widen by what one signal shows. Two thirds of the way from idle to the aim is where
 * widening stops; six sevenths, where cutting begins. The tail of so few is their p90: their p99
 * would be the worst of them. own_ns: what the signal's own class had in flight,
 * for which nobody else is to blame. The cap widens with the time that the window took, so that a
 * disk with few commits is found to be fast again as soon as one with many; and also while nothing
 * is held back, since commands are cut short until it is at its end.
 */
static void steer(struct sched *sched, enum sched_signal signal, uint64_t own_ns)
{
    const struct sched_tail *tail = &sched->tails[signal];
    struct sched_idle *idle = &sched->idle[signal];
    uint64_t p50 = sched_tail_percentile(tail, 500),
             p90 = sched_tail_percentile(tail, TAIL_PERMILLE);

    /* Write-back of twice the weight may cost the others twice as much. */
    uint64_t extra = (uint64_t)(sched->options.tail_permille - 1000) *
                     sched->options.classes[KEEL_CLASS_WRITEBACK].weight / WEIGHT_USUAL;

    if (!sched->lower_seen) {
        learn_idle(idle, p50, p90);
        idle->late = idle->p50 + 2 * (idle->p50 * extra / 1000 + 2 * own_ns);
        return;
    }
    if (idle->p50 == 0 || (p50 < idle->p50 && p90 < idle->p90)) {
        /* Never seen idle: what it takes beside one chunk is the nearest there is. */
        if (idle->p50 == 0 && sched->cap_ns > sched->floor_ns) {
            set_cap(sched, 0);
            return;
        }
        learn_idle(idle, p50, p90);
    }

    uint64_t window_ns = sched->now_ns - sched->window_begin_ns;
    if (window_ns > SCHED_WINDOW_MAX) /* after a pause */
        window_ns = SCHED_WINDOW_MAX;
    uint64_t room50 = idle->p50 * extra / 1000 + 2 * own_ns;
    uint64_t room90 = idle->p90 * extra / 1000 + 2 * own_ns;
    uint64_t over50 = p50 > idle->p50 ? p50 - idle->p50 : 0;
    uint64_t over90 = p90 > idle->p90 && tail->count >= SCHED_SAMPLES_MIN ? p90 - idle->p90 : 0;
    idle->late = idle->p50 + 2 * room50;
    sched->target_ns = idle->p50 + room50;
    sched->idle_ns = idle->p50;
    if (over50 > 2 * room50)
        set_cap(sched, sched->cap_ns / 4);
    else if (over50 * 20 > room50 * 17 || over90 * 20 > room90 * 17)
        set_cap(sched, sched->cap_ns * 7 / 10);
    else if (over50 * 20 < room50 * 13 && over90 * 20 < room90 * 13)
        set_cap(sched, sched->cap_ns + sched->floor_ns * window_ns / (4 * SCHED_WINDOW_NS));
}

static bool mostly_late(const struct sched_tail *tail)
{
    return 2 * tail->late > tail->count;
}

/* Fewer are enough when most of them are late: a disk that has become slow answers few. */
static bool telling(const struct sched_tail *tail)
{
    return tail->count >= SCHED_SAMPLES_FEW || mostly_late(tail);
}

/* With commits there, reads do not count. */
static const struct sched_tail *leading_tail(const struct sched *sched)
{
    const struct sched_tail *log = &sched->tails[SCHED_SIGNAL_LOG];

    return log->count > 0 ? log : &sched->tails[SCHED_SIGNAL_READ];
}

/* Does a commit, or a read, wait for the disk? */
static bool somebody_waits(const struct sched *sched)
{
    return sched->classes[KEEL_CLASS_WAL].in_flight > 0 ||
           sched->classes[KEEL_CLASS_READ].in_flight > 0;
}

static void close_window(struct sched *sched)
{
    bool log = telling(&sched->tails[SCHED_SIGNAL_LOG]);
    bool reads = telling(&sched->tails[SCHED_SIGNAL_READ]);
    bool none = sched->tails[SCHED_SIGNAL_LOG].count + sched->tails[SCHED_SIGNAL_READ].count == 0;
    uint64_t own_ns = reads ? sched->read_load_ns / sched->tails[SCHED_SIGNAL_READ].count : 0;

    if (log || reads || (none && somebody_waits(sched)))
        sched->quiet_ns = sched->now_ns;
    if (sched->options.mode == KEEL_SCHED_ADAPTIVE && !BUG(NO_CAP)) {
        if (log)
            steer(sched, SCHED_SIGNAL_LOG, 0);
        else if (reads)
            steer(sched, SCHED_SIGNAL_READ, own_ns);
        else if (sched->now_ns - sched->quiet_ns >= SCHED_WINDOW_MAX)
            set_cap(sched, sched->cap_ns * 2);
    }
    memset(sched->tails, 0, sizeof(sched->tails));
    sched->read_load_ns = 0;
    sched->lower_seen = sched->lower_ns > 0;
    sched->window_begin_ns = sched->now_ns;
}

/* Has the window seen enough to be closed before its time? */
static bool seen_enough(const struct sched *sched)
{
    const struct sched_tail *tail = leading_tail(sched);

    return sched->tails[SCHED_SIGNAL_LOG].count >= SCHED_SAMPLES_MIN ||
           sched->tails[SCHED_SIGNAL_READ].count >= 4 * SCHED_SAMPLES_MIN ||
           (tail->late >= SCHED_SAMPLES_FEW && mostly_late(tail));
}

/* Has it taken so long that it is closed with what there is? */
static bool waited_enough(const struct sched *sched, uint64_t window_ns)
{
    const struct sched_tail *tail = leading_tail(sched);

    if (tail->count > 0 ? telling(tail) : !somebody_waits(sched))
        return window_ns >= SCHED_WINDOW_MAX;
    return window_ns >= SCHED_WINDOW_LONG;
}

void sched_advance(struct sched *sched, uint64_t now_ns)
{
    if (now_ns <= sched->now_ns)
        return;

    uint64_t passed = now_ns - sched->now_ns;
    bool busy = false;
    for (uint32_t cls = 0; cls < KEEL_CLASS_COUNT; cls++) {
        struct sched_class_state *state = &sched->classes[cls];
        state->depth_ns += passed * state->in_flight;
        if (state->in_flight > 0)
            busy = true;
        else if (state->queued > 0)
            state->starved_ns += passed;
    }
    if (busy)
        sched->busy_ns += passed;

    uint64_t paid = passed * sched->options.log_permille / 1000;
    sched->log_debt_ns -= paid < sched->log_debt_ns ? paid : sched->log_debt_ns;
    sched->now_ns = now_ns;

    uint64_t window = now_ns - sched->window_begin_ns;
    if (window >= SCHED_WINDOW_NS && (seen_enough(sched) || waited_enough(sched, window)))
        close_window(sched);
}

/* ------------------------------------------------------------- whose turn it is */

void sched_join(const struct sched *sched, struct sched_flow *flow)
{
    if (flow->start < sched->virtual && !BUG(NO_REJOIN))
        flow->start = sched->virtual;
}

static enum sched_hold hold_of(const struct sched *sched, uint32_t cls,
                               const struct sched_flow *flow, const struct sched_others *others)
{
    uint64_t cost = flow->head_cost_ns;

    if (sched->options.classes[cls].limit_permille && sched->classes[cls].limit_at > sched->now_ns)
        return SCHED_HOLD_LIMIT;
    if (sched->total_ns > 0 && sched->total_ns + cost > sched->options.budget_ns)
        return SCHED_HOLD_BUDGET;
    if (sched_is_lower(cls)) {
        if (sched->lower_ns > 0 && sched->lower_ns + cost > sched->cap_ns && !BUG(NO_CAP))
            return SCHED_HOLD_CAP;
        if (others->for_lower != UINT64_MAX && flow->start > others->for_lower + SCHED_LEAD_NS)
            return SCHED_HOLD_TURN;
    }
    if (others->for_all != UINT64_MAX && flow->start > others->for_all + SCHED_LEAD_NS)
        return SCHED_HOLD_TURN;
    return SCHED_GO;
}

static bool expired(const struct sched *sched, uint32_t cls, const struct sched_flow *flow)
{
    uint64_t deadline = sched->options.classes[cls].deadline_ns;

    return deadline && flow->head_since_ns + deadline < sched->now_ns;
}

static bool reserved(const struct sched *sched, uint32_t cls)
{
    return sched->options.classes[cls].reserve_permille &&
           sched->classes[cls].reserve_at <= sched->now_ns;
}

static uint32_t lowest(uint32_t bits)
{
    return (uint32_t)__builtin_ctz(bits);
}

/* What each class of `waiting` is held back by; returns those that are not. One that would fit into
 * what is left of the cap or the budget does not overtake one that waits there with a smaller tag:
 * else small requests would take all. */
static uint32_t find_holds(const struct sched *sched, const struct sched_flow flows[],
                           uint32_t waiting, const struct sched_others *others,
                           enum sched_hold holds[])
{
    uint64_t for_all = UINT64_MAX, for_lower = UINT64_MAX;
    uint32_t free = 0;

    for (uint32_t left = waiting; left; left &= left - 1) {
        uint32_t cls = lowest(left);
        holds[cls] = hold_of(sched, cls, &flows[cls], others);
        if (holds[cls] == SCHED_GO)
            free |= 1u << cls;
        else if (holds[cls] == SCHED_HOLD_BUDGET && flows[cls].start < for_all)
            for_all = flows[cls].start;
        else if (holds[cls] == SCHED_HOLD_CAP && flows[cls].start < for_lower)
            for_lower = flows[cls].start;
    }
    for (uint32_t left = free == waiting ? 0 : free; left; left &= left - 1) {
        uint32_t cls = lowest(left);
        const struct sched_flow *flow = &flows[cls];
        if (!expired(sched, cls, flow) && !reserved(sched, cls) &&
            (flow->start > for_all || (sched_is_lower(cls) && flow->start > for_lower))) {
            holds[cls] = SCHED_HOLD_TURN;
            free &= ~(1u << cls);
        }
    }
    return free;
}

uint32_t sched_pick(const struct sched *sched, const struct sched_flow flows[KEEL_CLASS_COUNT],
                    uint32_t waiting, const struct sched_others *others,
                    enum sched_hold holds[KEEL_CLASS_COUNT])
{
    uint32_t best = KEEL_CLASS_COUNT, best_rank = 0;
    uint64_t best_key = 0;
    bool log_over = sched->log_debt_ns > SCHED_LOG_SPAN_NS * sched->options.log_permille / 1000;

    if (waiting & 1u << KEEL_CLASS_WAL) {
        holds[KEEL_CLASS_WAL] = SCHED_GO;
        if (!log_over)
            return KEEL_CLASS_WAL;
        best = KEEL_CLASS_WAL;
        best_rank = 2;
        best_key = flows[KEEL_CLASS_WAL].start;
        waiting &= ~(1u << KEEL_CLASS_WAL);
    }
    /* Ranks: 0 has waited too long, the longest first; 1 below its reservation; 2 by tag. */
    for (uint32_t left = find_holds(sched, flows, waiting, others, holds); left; left &= left - 1) {
        uint32_t cls = lowest(left);
        const struct sched_flow *flow = &flows[cls];
        uint32_t rank = expired(sched, cls, flow) ? 0 : reserved(sched, cls) ? 1 : 2;
        uint64_t key = rank == 0   ? flow->head_since_ns
                       : rank == 1 ? sched->classes[cls].reserve_at
                                   : flow->start;
        if (best == KEEL_CLASS_COUNT || rank < best_rank || (rank == best_rank && key < best_key)) {
            best = cls;
            best_rank = rank;
            best_key = key;
        }
    }
    return best;
}

void sched_start(struct sched *sched, struct sched_flow *flow, uint32_t cls)
{
    struct sched_class_state *state = &sched->classes[cls];
    const struct keel_sched_class *options = &sched->options.classes[cls];
    uint64_t cost = flow->head_cost_ns;

    state->in_flight++;
    state->in_flight_ns += cost;
    if (cls == KEEL_CLASS_WAL) {
        /* While it goes first it is not charged by tag, or it would wait for long once it does not
         * any more. */
        bool log_over = sched->log_debt_ns > SCHED_LOG_SPAN_NS * sched->options.log_permille / 1000;
        sched->log_debt_ns += cost;
        if (!log_over)
            return;
    } else {
        sched->total_ns += cost;
        if (sched_is_lower(cls)) {
            sched->lower_ns += cost;
            sched->lower_seen = true;
        }
    }
    if (flow->start > sched->virtual)
        sched->virtual = flow->start;
    flow->start += cost * state->inverse >> TAG_SHIFT;
    if (options->reserve_permille) {
        if (state->reserve_at < sched->now_ns)
            state->reserve_at = sched->now_ns;
        state->reserve_at += cost * 1000 / options->reserve_permille;
    }
    if (options->limit_permille) {
        if (state->limit_at < sched->now_ns)
            state->limit_at = sched->now_ns;
        state->limit_at += cost * 1000 / options->limit_permille;
    }
}

void sched_finish(struct sched *sched, uint32_t cls, uint32_t count, uint64_t cost_ns)
{
    struct sched_class_state *state = &sched->classes[cls];

    KEEL_ASSERT(state->in_flight >= count && state->in_flight_ns >= cost_ns);
    state->in_flight -= count;
    state->in_flight_ns -= cost_ns;
    if (cls == KEEL_CLASS_WAL)
        return;
    sched->total_ns -= cost_ns;
    if (sched_is_lower(cls))
        sched->lower_ns -= cost_ns;
}
