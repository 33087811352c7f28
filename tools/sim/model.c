/*
 * How a state is compared with all prefixes at once: position p stands for "the first p
 * transactions are there". Each version of a page is right for an interval of positions; a page
 * found in another version rules that interval out. One pass over all changes marks where ruled-out
 * intervals begin and end, a running sum says which positions are left.
 */
#include "tools/sim/model.h"

#include <string.h>

#include "base/assert.h"

void model_init(struct model *model)
{
    model->tx_count = 0;
    model->page_count = 0;
    model->lsn_max = 0;
}

uint64_t model_hash(const void *bytes, size_t len)
{
    enum { LANES = 8 }; /* independent chains, so that multiplications overlap */
    const unsigned char *at = bytes;
    uint64_t lane[LANES] = {len, 1, 2, 3, 4, 5, 6, 7};
    uint64_t word[LANES];

    for (; len >= sizeof(word); len -= sizeof(word), at += sizeof(word)) {
        memcpy(word, at, sizeof(word));
        for (unsigned i = 0; i < LANES; i++) {
            lane[i] = (lane[i] ^ word[i]) * 0xff51afd7ed558ccdu;
            lane[i] ^= lane[i] >> 32;
        }
    }
    memset(word, 0, sizeof(word));
    memcpy(word, at, len);

    uint64_t hash = 0;
    for (unsigned i = 0; i < LANES; i++)
        hash = (hash ^ lane[i] ^ word[i]) * 0xc4ceb9fe1a85ec53u + (hash >> 29);
    return hash > MODEL_UNREADABLE ? hash : hash + 2;
}

uint32_t model_commit(struct model *model, const struct model_tx *tx)
{
    KEEL_ASSERT(model->tx_count < MODEL_TX_MAX);
    KEEL_ASSERT(tx->count <= MODEL_CHANGES_MAX);

    uint32_t index = model->tx_count++;
    model->tx[index] = *tx;
    model->tx[index].must_event = MODEL_NEVER;
    model->tx[index].dead_event = MODEL_NEVER;
    if (tx->lsn > model->lsn_max)
        model->lsn_max = tx->lsn;
    for (uint32_t i = 0; i < tx->count; i++) {
        KEEL_ASSERT(tx->change[i].page < MODEL_PAGE_MAX);
        if (tx->change[i].page >= model->page_count)
            model->page_count = tx->change[i].page + 1;
    }
    return index;
}

void model_ack(struct model *model, uint32_t index, uint64_t event)
{
    KEEL_ASSERT(index < model->tx_count);
    KEEL_ASSERT(event >= model->tx[index].append_event);

    if (event < model->tx[index].must_event)
        model->tx[index].must_event = event;
}

/* Is the transaction part of the history that a cut after this event sees? */
static int is_seen(const struct model_tx *tx, uint64_t event)
{
    return tx->append_event <= event && tx->dead_event > event;
}

void model_pages(const struct model *model, uint64_t event, bool ret_used[MODEL_PAGE_MAX])
{
    memset(ret_used, 0, MODEL_PAGE_MAX * sizeof(ret_used[0]));
    for (uint32_t i = 0; i < model->tx_count; i++) {
        const struct model_tx *tx = &model->tx[i];
        if (!is_seen(tx, event))
            continue;
        for (uint32_t k = 0; k < tx->count; k++)
            ret_used[tx->change[k].page] = true;
    }
}

/* While pages are walked: the version reached of each page, and from which position on. */
struct walk {
    int32_t *bad; /* +1 where a ruled-out interval begins, -1 behind its end */
    const struct model_state *state;
    uint64_t hash[MODEL_PAGE_MAX];
    uint32_t begin[MODEL_PAGE_MAX];
};

static void close_version(struct walk *walk, uint32_t page, uint32_t end)
{
    uint64_t hash = walk->hash[page];

    if (hash == MODEL_FREE || hash == walk->state->hash[page])
        return;
    walk->bad[walk->begin[page]]++;
    walk->bad[end]--;
}

static void apply(struct walk *walk, const struct model_tx *tx, uint32_t position)
{
    for (uint32_t i = 0; i < tx->count; i++) {
        uint32_t page = tx->change[i].page;
        close_version(walk, page, position);
        walk->hash[page] = tx->change[i].hash;
        walk->begin[page] = position;
    }
}

enum model_verdict model_check(const struct model *model, uint64_t event,
                               const struct model_state *state, uint32_t *ret_kept,
                               uint32_t *ret_owed)
{
    int32_t bad[MODEL_TX_MAX + 2] = {0};
    struct walk walk = {.bad = bad, .state = state};
    uint32_t positions = 0; /* the highest */
    uint32_t owed = 0;

    if (state->allocated != 0)
        bad[0]++, bad[1]--;
    for (uint32_t i = 0; i < model->tx_count; i++) {
        const struct model_tx *tx = &model->tx[i];
        if (!is_seen(tx, event))
            continue;
        positions++;
        apply(&walk, tx, positions);
        if (state->allocated != tx->allocated)
            bad[positions]++, bad[positions + 1]--;
        if (tx->must_event <= event)
            owed = positions;
    }
    for (uint32_t page = 0; page < model->page_count; page++)
        close_version(&walk, page, positions + 1);

    int32_t sum = 0;
    uint32_t kept = UINT32_MAX;
    for (uint32_t p = 0; p <= positions; p++) {
        sum += bad[p];
        KEEL_ASSERT(sum >= 0);
        if (sum == 0)
            kept = p;
    }

    *ret_kept = kept;
    *ret_owed = owed;
    if (kept == UINT32_MAX)
        return MODEL_MIXED;
    return kept >= owed ? MODEL_GOOD : MODEL_LOST;
}

/* Compare with the first `position` transactions alone. */
static struct model_miss miss_at(const struct model *model, uint64_t event,
                                 const struct model_state *state, uint32_t position)
{
    struct model_miss miss = {.position = position};
    uint64_t hash[MODEL_PAGE_MAX] = {0};
    uint32_t allocated = 0;

    for (uint32_t i = 0; i < model->tx_count && position > 0; i++) {
        const struct model_tx *tx = &model->tx[i];
        if (!is_seen(tx, event))
            continue;
        position--;
        allocated = tx->allocated;
        for (uint32_t k = 0; k < tx->count; k++)
            hash[tx->change[k].page] = tx->change[k].hash;
    }
    miss.allocated = allocated == state->allocated;
    for (uint32_t page = 0; page < model->page_count; page++) {
        if (hash[page] == MODEL_FREE || hash[page] == state->hash[page])
            continue;
        miss.page = page;
        miss.pages++;
    }
    return miss;
}

struct model_miss model_explain(const struct model *model, uint64_t event,
                                const struct model_state *state, uint32_t owed)
{
    struct model_miss best = miss_at(model, event, state, owed);
    uint32_t positions = 0;

    for (uint32_t i = 0; i < model->tx_count; i++)
        positions += is_seen(&model->tx[i], event);
    for (uint32_t p = owed + 1; p <= positions; p++) {
        struct model_miss miss = miss_at(model, event, state, p);
        if (miss.pages + !miss.allocated <= best.pages + !best.allocated)
            best = miss;
    }
    return best;
}

void model_restart(struct model *model, uint64_t dead, uint64_t settled, uint32_t kept)
{
    uint32_t position = 0;

    KEEL_ASSERT(dead <= settled);
    model->lsn_max = 0;
    for (uint32_t i = 0; i < model->tx_count; i++) {
        struct model_tx *tx = &model->tx[i];
        if (tx->dead_event != MODEL_NEVER)
            continue;
        if (position++ < kept) {
            model_ack(model, i, settled);
            model->lsn_max = tx->lsn;
        } else {
            tx->dead_event = dead;
        }
    }
    KEEL_ASSERT(kept <= position);
}

void model_tip(const struct model *model, uint64_t ret_hash[MODEL_PAGE_MAX],
               uint32_t *ret_allocated)
{
    *ret_allocated = 0;
    memset(ret_hash, 0, MODEL_PAGE_MAX * sizeof(ret_hash[0]));
    _Static_assert(MODEL_FREE == 0, "zero is a free page");
    for (uint32_t i = 0; i < model->tx_count; i++) {
        const struct model_tx *tx = &model->tx[i];
        if (tx->dead_event != MODEL_NEVER)
            continue;
        *ret_allocated = tx->allocated;
        for (uint32_t k = 0; k < tx->count; k++)
            ret_hash[tx->change[k].page] = tx->change[k].hash;
    }
}

void model_fork(struct model *dst, const struct model *src, uint64_t event, uint32_t kept)
{
    model_init(dst);
    for (uint32_t i = 0; i < src->tx_count; i++) {
        const struct model_tx *tx = &src->tx[i];
        if (!is_seen(tx, event) || dst->tx_count == kept)
            continue;
        uint32_t index = model_commit(dst, tx);
        dst->tx[index].append_event = 0;
        dst->tx[index].must_event = 0;
    }
    KEEL_ASSERT(dst->tx_count == kept);
}
