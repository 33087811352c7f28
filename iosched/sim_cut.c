/*
 * Power cuts: a new simulation with what is on the devices if power fails after some event.
 *
 * The cursor holds what was durable at the event that was asked for last: names, and for each file
 * an image and a size. Moving it forward applies what became durable in between; asking for an
 * earlier event starts again from the beginning. The new simulation copies the cursor (a reference
 * per leaf of contents) and then gets what the mode keeps of the rest:
 *
 *   names, sizes  operations are kept up to some place in their order, at least the durable ones
 *   writes        every write that was submitted and is not durable is kept, lost or torn
 *
 * "After event e" includes everything that was submitted before event e + 1: the last moment at
 * which e is still the newest event, and so the richest state.
 *
 * Contents that a later write has durably replaced do not come back (seq, see sim_image.h).
 */
#include "iosched/sim_model.h"

#include <string.h>

#include "base/trace.h"

/* A write that may or may not survive. */
struct cut_item {
    struct sim_write *write;
    uint64_t completed; /* UINT64_MAX: in flight */
    bool kept_some, kept_all;
};

struct cut {
    struct keel_sim *sim;   /* the old one */
    struct keel_sim *child; /* the new one */
    uint64_t event;
    enum keel_cut_mode mode;
    struct prng prng;
    struct cut_item *item; /* in the order of submission */
    uint32_t *order;       /* in which items are applied */
    uint32_t items;
};

/* ---------------------------------------------------------------- cursor */

void sim_cursor_clear(struct keel_sim *sim)
{
    struct sim_cursor *cursor = &sim->cursor;

    for (uint32_t i = 0; i < sim->files; i++)
        sim_image_clear(sim->pool, &sim->file[i]->at);
    sim_dir_clear(sim->pool, &cursor->dir);
    sim_pool_free(sim->pool, cursor->pending, cursor->pending_room * sizeof(*cursor->pending));
    *cursor = (struct sim_cursor){0};
}

static void cursor_restart(struct keel_sim *sim)
{
    sim_cursor_clear(sim);
    sim_dir_copy(sim->pool, &sim->start, &sim->cursor.dir);
    for (uint32_t i = 0; i < sim->files; i++) {
        struct sim_file *file = sim->file[i];

        sim_image_copy(sim->pool, &file->start, &file->at);
        file->at_bytes = file->start_bytes;
    }
}

static bool became_durable(uint64_t event_durable, uint64_t event)
{
    return event_durable != 0 && event_durable <= event;
}

static void set_size(struct sim_pool *pool, struct sim_image *image, uint64_t *bytes, uint64_t to)
{
    if (to < *bytes)
        sim_image_truncate(pool, image, (to + SIM_BLOCK_BYTES - 1) / SIM_BLOCK_BYTES);
    *bytes = to;
}

static void cursor_names(struct keel_sim *sim, uint64_t event)
{
    struct sim_cursor *cursor = &sim->cursor;

    while (cursor->ops_durable < sim->ops) {
        const struct sim_op *op = &sim->op[cursor->ops_durable];

        if (!became_durable(op->event_durable, event))
            return;
        sim_dir_apply(sim->pool, &cursor->dir, op);
        if (op->kind == SIM_OP_RESIZE)
            set_size(sim->pool, &op->file->at, &op->file->at_bytes, op->bytes);
        cursor->ops_durable++;
    }
}

/* A write reached the medium before the cursor: its blocks replace older ones. */
static void cursor_apply(struct keel_sim *sim, const struct sim_write *write)
{
    struct sim_image *image = &write->file->at;
    uint64_t seq = sim->seq_base + write->event_completed;

    for (uint32_t i = 0; i < write->blocks; i++) {
        if (sim_image_seq(image, write->first + i) < seq)
            sim_image_set(sim->pool, image, write->first + i, write->block[i], seq);
    }
}

static void cursor_writes(struct keel_sim *sim, uint64_t event)
{
    struct sim_cursor *cursor = &sim->cursor;
    uint32_t left = 0;

    while (cursor->writes_seen < sim->writes &&
           sim->write[cursor->writes_seen]->event_submitted <= event) {
        cursor->pending = sim_pool_grow(sim->pool, cursor->pending, cursor->pending_count,
                                        &cursor->pending_room, sizeof(struct sim_write *));
        cursor->pending[cursor->pending_count++] = sim->write[cursor->writes_seen++];
    }
    for (uint32_t i = 0; i < cursor->pending_count; i++) {
        struct sim_write *write = cursor->pending[i];

        if (became_durable(write->event_durable, event))
            cursor_apply(sim, write);
        else
            cursor->pending[left++] = write;
    }
    cursor->pending_count = left;
}

static void cursor_move(struct keel_sim *sim, uint64_t event)
{
    if (event < sim->cursor.event || sim->cursor.event == 0)
        cursor_restart(sim);
    cursor_names(sim, event);
    cursor_writes(sim, event);
    sim->cursor.event = event;
}

/* ---------------------------------------------------------------- names and sizes */

static void make_file(struct cut *cut, struct sim_entry *entry)
{
    struct sim_file *old = entry->file;
    struct sim_file *file = sim_file_new(cut->child, entry->name);

    KEEL_ASSERT(!old->cut);
    sim_image_copy(cut->child->pool, &old->at, &file->live);
    file->bytes = old->at_bytes;
    old->cut = file;
    entry->file = file;
}

/* How many operations of those that had happened are kept; at least the first `durable`. */
static uint32_t draw_ops(struct cut *cut, uint32_t durable)
{
    uint32_t end = durable;

    while (end < cut->sim->ops && cut->sim->op[end].event <= cut->event)
        end++;
    switch (cut->mode) {
    case KEEL_CUT_LOSE_ALL:
        return durable;
    case KEEL_CUT_KEEP_ALL:
        return end;
    default:
        return durable + (uint32_t)prng_below(&cut->prng, end - durable + 1u);
    }
}

static void cut_names(struct cut *cut)
{
    struct keel_sim *sim = cut->sim;
    struct sim_pool *pool = cut->child->pool;
    uint32_t durable = sim->cursor.ops_durable;
    uint32_t kept = draw_ops(cut, durable);

    sim_dir_copy(pool, &sim->cursor.dir, &cut->child->dir);
    for (uint32_t i = durable; i < kept; i++)
        sim_dir_apply(pool, &cut->child->dir, &sim->op[i]);
    for (uint32_t i = 0; i < cut->child->dir.count; i++) {
        if (cut->child->dir.entry[i].file)
            make_file(cut, &cut->child->dir.entry[i]);
    }
    for (uint32_t i = durable; i < sim->ops && sim->op[i].event <= cut->event; i++) {
        const struct sim_op *op = &sim->op[i];
        bool keep = i < kept || became_durable(op->event_durable, cut->event);

        if (op->kind == SIM_OP_RESIZE && keep && op->file->cut)
            set_size(pool, &op->file->cut->live, &op->file->cut->bytes, op->bytes);
    }
}

/* ---------------------------------------------------------------- writes */

static void gather(struct cut *cut, struct keel_cut_info *info)
{
    const struct sim_cursor *cursor = &cut->sim->cursor;
    struct sim_pool *pool = cut->child->pool;
    uint64_t latest = 0;

    cut->items = cursor->pending_count;
    cut->item = sim_pool_alloc(pool, cut->items * sizeof(*cut->item));
    cut->order = sim_pool_alloc(pool, cut->items * sizeof(*cut->order));
    for (uint32_t i = 0; i < cut->items; i++) {
        struct sim_write *write = cursor->pending[i];
        bool complete = write->event_completed != 0 && write->event_completed <= cut->event;
        uint64_t completed = complete ? write->event_completed : UINT64_MAX;

        KEEL_DCHECK(write->event_submitted <= cut->event);
        cut->item[i] = (struct cut_item){.write = write, .completed = completed};
        cut->order[i] = i;
        info->writes_in_flight += !complete;
        info->out_of_order |= completed < latest;
        if (completed > latest)
            latest = completed;
    }
    info->writes_pending = cut->items;
}

/* Sorted by completion. The array is nearly in order already: completions overtake each other by no
 * more than the queue is deep. */
static void sort_items(struct cut *cut)
{
    uint32_t *order = cut->order;

    for (uint32_t i = 1; i < cut->items; i++) {
        uint32_t moved = order[i];
        uint32_t at = i;

        while (at > 0 && cut->item[order[at - 1]].completed > cut->item[moved].completed) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = moved;
    }
}

static void shuffle_items(struct cut *cut)
{
    uint32_t *order = cut->order;

    for (uint32_t i = cut->items; i > 1; i--) {
        uint32_t at = (uint32_t)prng_below(&cut->prng, i);
        uint32_t swap = order[at];

        order[at] = order[i - 1];
        order[i - 1] = swap;
    }
}

/* What a mode leaves of one write, block by block. */
struct tear {
    enum { TEAR_NONE, TEAR_ALL, TEAR_PREFIX, TEAR_RANDOM } kind;
    uint32_t prefix; /* sectors, counted from the first block */
    uint64_t bits;   /* random ones, a byte per block */
};

static struct tear draw_tear(struct cut *cut, const struct sim_write *write)
{
    struct tear tear = {.kind = TEAR_ALL};

    if (cut->mode == KEEL_CUT_SUBSET) {
        tear.kind = prng_chance(&cut->prng, 1, 2) ? TEAR_ALL : TEAR_NONE;
    } else if (cut->mode == KEEL_CUT_TORN) {
        uint64_t draw = prng_below(&cut->prng, 8);

        tear.kind = draw == 0   ? TEAR_NONE
                    : draw == 1 ? TEAR_ALL
                    : draw < 4  ? TEAR_PREFIX
                                : TEAR_RANDOM;
        tear.prefix = (uint32_t)prng_below(&cut->prng, write->blocks * SIM_BLOCK_SECTORS + 1u);
        if (write->atomic)
            tear.kind = draw % 2 ? TEAR_ALL : TEAR_NONE;
    }
    return tear;
}

static uint8_t tear_mask(struct cut *cut, struct tear *tear, uint32_t block)
{
    uint32_t before = block * SIM_BLOCK_SECTORS;

    switch (tear->kind) {
    case TEAR_NONE:
        return 0;
    case TEAR_ALL:
        return SIM_MASK_ALL;
    case TEAR_PREFIX:
        if (tear->prefix >= before + SIM_BLOCK_SECTORS)
            return SIM_MASK_ALL;
        if (tear->prefix <= before)
            return 0;
        return (uint8_t)(SIM_MASK_ALL >> (SIM_BLOCK_SECTORS - (tear->prefix - before)));
    default:
        if (block % 8 == 0)
            tear->bits = prng_u64(&cut->prng);
        else
            tear->bits >>= 8;
        return (uint8_t)tear->bits;
    }
}

/* Leave on the new file what survives of one write. Entries keep the sequence of what is durable,
 * so that overlapping writes are only measured against that and not against each other. */
static void apply_item(struct cut *cut, struct cut_item *item)
{
    struct sim_write *write = item->write;
    struct sim_file *file = write->file->cut;
    struct tear tear = draw_tear(cut, write);
    bool complete = item->completed != UINT64_MAX;
    uint64_t seq = cut->sim->seq_base + write->event_completed;

    item->kept_all = true;
    for (uint32_t i = 0; i < write->blocks; i++) {
        uint64_t index = write->first + i;
        uint8_t written = complete ? SIM_MASK_ALL : sim_write_mask(write, i);
        uint8_t mask = (uint8_t)(tear_mask(cut, &tear, i) & written);
        uint64_t durable = file ? sim_image_seq(&file->live, index) : 0;

        item->kept_some |= mask != 0;
        item->kept_all &= mask == written;
        if (!file || index * SIM_BLOCK_BYTES >= file->bytes || (complete && durable > seq))
            continue;
        sim_image_merge(cut->child->pool, &file->live, index, write->block[i], mask, durable);
    }
}

static void cut_writes(struct cut *cut, struct keel_cut_info *info)
{
    bool hole = false;

    gather(cut, info);
    if (cut->mode != KEEL_CUT_LOSE_ALL) {
        if (cut->mode == KEEL_CUT_KEEP_ALL)
            sort_items(cut);
        else
            shuffle_items(cut);
        for (uint32_t i = 0; i < cut->items; i++)
            apply_item(cut, &cut->item[cut->order[i]]);
    }
    for (uint32_t i = 0; i < cut->items; i++) {
        info->hole_torn |= hole && cut->item[i].kept_some;
        hole |= !cut->item[i].kept_all;
    }
    sim_pool_free(cut->child->pool, cut->item, cut->items * sizeof(*cut->item));
    sim_pool_free(cut->child->pool, cut->order, cut->items * sizeof(*cut->order));
}

/* ---------------------------------------------------------------- the new simulation */

/* What survived is durable there, and what its own history begins with. */
static void settle(struct keel_sim *child)
{
    for (uint32_t i = 0; i < child->files; i++) {
        struct sim_file *file = child->file[i];

        sim_image_copy(child->pool, &file->live, &file->durable);
        child->bytes_used += file->bytes;
        if (!child->history)
            continue;
        sim_image_copy(child->pool, &file->live, &file->start);
        file->start_bytes = file->bytes;
    }
    if (child->history)
        sim_dir_copy(child->pool, &child->dir, &child->start);
}

int keel_sim_cut(struct keel_sim *sim, uint64_t event, enum keel_cut_mode mode, uint64_t seed,
                 const struct keel_sim_options *options, struct keel_cut_info *ret_info,
                 struct keel_sim **ret)
{
    struct keel_sim_options checked;
    int rc = sim_options_check(options, &checked);

    if (rc != 0)
        return rc;
    if (!sim->history || (unsigned)mode >= KEEL_CUT_MODES)
        return KEEL_EOPTION;
    if (event > sim->events)
        return KEEL_ERANGE;

    struct keel_cut_info info = {0};
    struct cut cut = {.sim = sim, .event = event, .mode = mode};

    cursor_move(sim, event);
    cut.child = sim_new(sim->pool, &checked);
    cut.child->seq_base = sim->seq_base + sim->events;
    prng_seed(&cut.prng, seed);
    cut_names(&cut);
    cut_writes(&cut, &info);
    for (uint32_t i = 0; i < sim->files; i++)
        sim->file[i]->cut = NULL;
    settle(cut.child);

    TRACE(SIM_POWER, trace_id(sim), "cut", event, info.writes_pending, (int64_t)mode);
    if (ret_info)
        *ret_info = info;
    *ret = cut.child;
    return 0;
}
