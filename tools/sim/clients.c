/*
 * Three clients in one thread.
 *
 * A client's transaction: begin -> its steps, one after another, each of which may answer "not yet"
 * and is then asked again in a later turn -> commit_async (or, sometimes, abort) -> the next one,
 * while the commit is still on its way. A refused lock order or too large a transaction is aborted
 * and planned anew.
 *
 * A turn: every client goes as far as it can, the store's upkeep is ticked, the context polled. The
 * clock of the simulation moves only in polls that wait.
 */
#include "tools/sim/clients.h"

#include <string.h>

#include "base/assert.h"
#include "tools/sim/world.h"

#define TURNS_MAX  20000u /* without a commit: the store is stuck */
#define HOT_PAGES  6u     /* the first ones, changed more often than others */
#define STALLS_MAX 400u   /* then a transaction is aborted and planned anew */

static bool is_allocated(const struct world *world, keel_pageno page)
{
    return page < MODEL_PAGE_MAX && world->tip_hash[page] != MODEL_FREE;
}

/* A random allocated page above `above`, or 0. Page 0 is the store's own. */
static keel_pageno draw_page(struct world *world, keel_pageno above)
{
    uint32_t count = world->model->page_count;

    if (count <= above + 1)
        return 0;
    if (above < HOT_PAGES && count > HOT_PAGES && prng_chance(&world->prng, 1, 2))
        count = HOT_PAGES + 1;
    keel_pageno first = above + 1 + prng_below(&world->prng, count - above - 1);
    for (keel_pageno p = first; p < count; p++)
        if (is_allocated(world, p))
            return p;
    return 0;
}

static void draw_bytes(struct world *world, struct step *step)
{
    static const uint32_t sizes[] = {8, 400, 2000, 3600};

    step->len = sizes[prng_below(&world->prng, 4)];
    step->offset = (uint32_t)prng_below(&world->prng, WORLD_PAGE_USER - step->len);
    step->fill = prng_u64(&world->prng) | 1;
}

static void add_step(struct world *world, struct client *client, enum step_kind kind,
                     keel_pageno page)
{
    struct step *step = &client->step[client->steps++];

    KEEL_ASSERT(client->steps <= WORLD_STEPS_MAX);
    *step = (struct step){.kind = kind, .page = page};
    draw_bytes(world, step);
}

/* Pages in ascending order, mostly: the order that cannot deadlock. Now and then not. */
static void plan(struct world *world, struct client *client)
{
    struct prng *prng = &world->prng;
    bool room = world->allocated < world->settings->target_pages;
    uint32_t writes = 2u + (uint32_t)prng_below(prng, 3);
    keel_pageno last = 0;

    client->steps = client->at = client->stalls = 0;
    if (room) {
        add_step(world, client, STEP_ALLOC, 0);
        add_step(world, client, STEP_ALLOC, 0);
        writes = prng_chance(prng, 1, 4) ? 1 : 0;
    }
    for (uint32_t i = 0; i < writes; i++) {
        keel_pageno page = draw_page(world, prng_chance(prng, 1, 8) ? 0 : last);
        if (!page)
            break;
        add_step(world, client, STEP_WRITE, page);
        last = page;
    }
    if (!room && prng_chance(prng, 1, 4)) {
        keel_pageno page = draw_page(world, last);
        if (page)
            add_step(world, client, prng_chance(prng, 1, 2) ? STEP_FREE : STEP_ALLOC, page);
    }
}

static void fill_bytes(unsigned char *bytes, const struct step *step)
{
    uint64_t x = step->fill;

    for (uint32_t i = 0; i < step->len; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        bytes[i] = (unsigned char)(x >> 56);
    }
}

/* The store must show the page as the model has it. */
static void check_visible(struct world *world, const struct step *step, const void *bytes)
{
    uint64_t hash = model_hash(bytes, WORLD_PAGE_USER);

    if (hash != world->tip_hash[step->page])
        world_violation(world, "page %llu is not as the last commit left it",
                        (unsigned long long)step->page);
}

/* Is the page part of this transaction through an earlier step? */
static bool is_own(const struct client *client, keel_pageno page)
{
    for (uint32_t i = 0; i < client->at; i++)
        if (client->step[i].fixed && client->step[i].page == page)
            return true;
    return false;
}

static int step_alloc(struct world *world, struct client *client, struct step *step)
{
    int rc = step->fixed ? 0 : keel_tx_alloc(client->tx, &step->page);
    if (rc)
        return rc;
    if (!step->fixed && (step->page == 0 || step->page >= MODEL_PAGE_MAX ||
                         is_allocated(world, step->page) || is_own(client, step->page)))
        world_violation(world, "page %llu was given out twice", (unsigned long long)step->page);
    step->fixed = true;
    return 0;
}

static int step_page(struct world *world, struct client *client, struct step *step)
{
    const void *bytes = NULL;

    if (step->fixed)
        return 0;
    int rc = keel_tx_page(client->tx, step->page, &bytes);
    if (rc)
        return rc;
    if (!is_own(client, step->page))
        check_visible(world, step, bytes);
    step->fixed = true;
    return 0;
}

/* Did the page file grow since there were this many pages and events? */
static void watch_growth(struct world *world, keel_pageno pages, uint64_t events)
{
    uint64_t now = keel_sim_events(world->sim);

    if (keel_space_pages(keel_store_space(world->store)) > pages && now > events &&
        world->growths < WORLD_SPANS_MAX)
        world->growth[world->growths++] = (struct span){events, now};
}

static int do_step(struct world *world, struct client *client, struct step *step)
{
    unsigned char bytes[WORLD_PAGE_USER];

    if (step->kind == STEP_ALLOC) {
        int rc = step_alloc(world, client, step);
        if (rc)
            return rc;
    } else {
        if (!step->fixed && !is_allocated(world, step->page))
            return 0; /* freed since it was planned */
        int rc = step_page(world, client, step);
        if (rc)
            return rc;
    }
    if (step->kind == STEP_FREE)
        return is_own(client, step->page) ? 0 : keel_tx_free(client->tx, step->page);

    fill_bytes(bytes, step);
    return keel_tx_write(client->tx, step->page, step->offset, bytes, step->len);
}

/* Put a committed transaction's steps into the tip and into *tx. */
static void apply_steps(struct world *world, const struct client *client, struct model_tx *tx)
{
    for (uint32_t i = 0; i < client->steps; i++) {
        const struct step *step = &client->step[i];
        unsigned char *tip = world->tip[step->page];
        if (!step->fixed)
            continue;

        if (step->kind == STEP_FREE) {
            bool own = false;
            for (uint32_t k = 0; k < i; k++)
                own |= client->step[k].fixed && client->step[k].page == step->page;
            if (own)
                continue;
            world->tip_hash[step->page] = MODEL_FREE;
            world->allocated--;
        } else {
            if (step->kind == STEP_ALLOC) {
                memset(tip, 0, WORLD_PAGE_USER);
                world->allocated++;
            }
            fill_bytes(tip + step->offset, step);
            world->tip_hash[step->page] = model_hash(tip, WORLD_PAGE_USER);
        }
        KEEL_ASSERT(tx->count < MODEL_CHANGES_MAX);
        tx->change[tx->count++] =
            (struct model_change){(uint32_t)step->page, world->tip_hash[step->page]};
    }
    tx->allocated = world->allocated;
}

static void committed_cb(struct keel_commit *commit)
{
    struct commit_slot *slot = commit->user;
    struct world *world = slot->world;

    KEEL_ASSERT(slot->busy);
    slot->busy = false;
    world->outstanding--;
    if (commit->res) {
        world->poisoned = true;
        return;
    }
    if (commit->lsn < world->acked_lsn)
        world_violation(world, "acknowledged LSN %llu after %llu (W2)",
                        (unsigned long long)commit->lsn, (unsigned long long)world->acked_lsn);
    world->acked_lsn = commit->lsn;
    model_ack(world->model, slot->index, keel_sim_events(world->sim));
}

static struct commit_slot *free_slot(struct client *client)
{
    for (unsigned i = 0; i < WORLD_COMMITS; i++)
        if (!client->slot[i].busy)
            return &client->slot[i];
    return NULL;
}

/* The transaction is in the log, or may be: from here on the model has it. Returns its index. */
static uint32_t committed(struct world *world, const struct client *client, uint64_t append_event,
                          keel_lsn lsn)
{
    struct model_tx tx = {.append_event = append_event, .lsn = lsn};

    if (lsn <= world->model->lsn_max)
        world_violation(world, "LSN %llu was given out again: %llu was seen before",
                        (unsigned long long)lsn, (unsigned long long)world->model->lsn_max);
    apply_steps(world, client, &tx);
    world->committed++;
    return model_commit(world->model, &tx);
}

static int commit_async(struct world *world, struct client *client, struct commit_slot *slot)
{
    uint64_t event = keel_sim_events(world->sim);

    slot->world = world;
    slot->commit = (struct keel_commit){.done = committed_cb, .user = slot};
    int rc = keel_tx_commit_async(client->tx, &slot->commit);
    if (rc == KEEL_PENDING)
        return rc; /* it goes on, and is asked again */
    client->tx = NULL;
    client->state = CLIENT_IDLE;
    if (rc)
        return rc;
    slot->index = committed(world, client, event, slot->commit.lsn);
    slot->busy = true;
    world->outstanding++;
    return 0;
}

static int commit_blocking(struct world *world, struct client *client)
{
    uint64_t event = keel_sim_events(world->sim);
    keel_lsn lsn = 0;

    int rc = keel_tx_commit(client->tx, &lsn);
    if (rc == KEEL_PENDING)
        return rc;
    client->tx = NULL;
    client->state = CLIENT_IDLE;
    if (rc == 0) {
        uint32_t index = committed(world, client, event, lsn);
        model_ack(world->model, index, keel_sim_events(world->sim));
        world->blocking++;
    } else if (rc == KEEL_EPOISON) {
        /* Nobody knows whether it will be there. It is the last one of this life. */
        committed(world, client, event, keel_wal_tail(keel_store_wal(world->store)) + 1);
    }
    return rc;
}

static void give_up(struct world *world, struct client *client)
{
    if (client->tx)
        keel_tx_abort(client->tx);
    client->tx = NULL;
    client->state = CLIENT_IDLE;
    world->aborted++;
}

/* "Not yet" waits, an order conflict begins anew, poison stops all; anything else is wrong. */
static void handle(struct world *world, struct client *client, int rc, const char *what)
{
    switch (rc) {
    case KEEL_PENDING:
    case KEEL_EFULL:
    case KEEL_ELOGFULL:
        if (++client->stalls > STALLS_MAX)
            give_up(world, client);
        return;
    case KEEL_EDEADLK:
    case KEEL_ETXSIZE:
    case KEEL_ESPACEFULL:
        world->conflicts++;
        give_up(world, client);
        return;
    case KEEL_EPOISON:
    case KEEL_EREADONLY:
        world->poisoned = true;
        give_up(world, client);
        return;
    default:
        if (world->fault_expected)
            world->poisoned = true;
        else
            world_violation(world, "%s: %s", what, keel_err_name(rc));
        give_up(world, client);
    }
}

static bool any_fixed(const struct client *client)
{
    for (uint32_t i = 0; i < client->steps; i++)
        if (client->step[i].fixed)
            return true;
    return false;
}

static void client_finish(struct world *world, struct client *client)
{
    struct commit_slot *slot = free_slot(client);

    if (!any_fixed(client) || prng_chance(&world->prng, 1, 16)) {
        give_up(world, client);
        return;
    }
    if (!slot || world->model->tx_count == MODEL_TX_MAX)
        return;
    int rc = prng_chance(&world->prng, 1, 8) ? commit_blocking(world, client)
                                             : commit_async(world, client, slot);
    if (rc)
        handle(world, client, rc, "commit");
}

/* One move of one client. */
static void client_step(struct world *world, struct client *client)
{
    static const struct keel_tx_options options = {.size = sizeof(options), .nowait = true};
    keel_pageno pages;
    uint64_t events;
    int rc = 0;

    switch (client->state) {
    case CLIENT_IDLE:
        plan(world, client);
        client->state = client->steps ? CLIENT_BEGIN : CLIENT_IDLE;
        return;
    case CLIENT_BEGIN:
        rc = keel_tx_begin(world->ctx, world->store, &options, &client->tx);
        if (rc == 0)
            client->state = CLIENT_WORK;
        else
            handle(world, client, rc, "begin");
        return;
    case CLIENT_WORK:
        if (client->at == client->steps) {
            client->state = CLIENT_COMMIT;
            return;
        }
        pages = keel_space_pages(keel_store_space(world->store));
        events = keel_sim_events(world->sim);
        rc = do_step(world, client, &client->step[client->at]);
        watch_growth(world, pages, events);
        if (rc == 0)
            client->at++;
        else
            handle(world, client, rc, "step");
        return;
    case CLIENT_COMMIT:
        client_finish(world, client);
        return;
    }
}

static void upkeep(struct world *world)
{
    for (unsigned i = 0; i < 4; i++) {
        keel_pageno pages = keel_space_pages(keel_store_space(world->store));
        uint64_t events = keel_sim_events(world->sim);
        int rc = keel_tick(world->ctx, world->store);
        watch_growth(world, pages, events);
        if (rc == 0)
            return;
        if (rc < 0 && keel_err_class(rc) != KEEL_CLASS_RETRY) {
            if (rc == KEEL_EPOISON || rc == KEEL_EREADONLY || world->fault_expected)
                world->poisoned = true;
            else
                world_violation(world, "tick: %s", keel_err_name(rc));
            return;
        }
    }
}

static void poll_once(struct world *world, int64_t timeout_ns)
{
    int rc = keel_ctx_poll(world->ctx, 0, timeout_ns);

    if (rc < 0)
        world_violation(world, "poll: %s", keel_err_name(rc));
}

bool world_run(struct world *world, uint32_t count)
{
    struct prng *prng = &world->prng;
    uint32_t target = world->committed + count;
    uint32_t turns = 0;

    while (world->committed < target && !world->poisoned && !world->violation[0] &&
           world->model->tx_count < MODEL_TX_MAX) {
        uint32_t before = world->committed;
        for (unsigned i = 0; i < WORLD_CLIENTS; i++) {
            struct client *client = &world->client[prng_below(prng, WORLD_CLIENTS)];
            for (uint64_t moves = 1 + prng_below(prng, 6); moves > 0; moves--)
                client_step(world, client);
        }
        if (prng_chance(prng, 1, 2))
            upkeep(world);
        poll_once(world, prng_chance(prng, 1, 3) ? 0 : -1);
        turns = world->committed > before ? 0 : turns + 1;
        if (turns > TURNS_MAX)
            world_violation(world, "stuck: %u turns without a commit", turns);
    }
    if (world->poisoned && !world->fault_expected)
        world_violation(world, "poisoned without a fault");
    return !world->violation[0];
}

void clients_stop(struct world *world)
{
    for (unsigned i = 0; i < WORLD_CLIENTS; i++) {
        struct client *client = &world->client[i];
        if (client->tx)
            keel_tx_abort(client->tx);
        client->tx = NULL;
        client->state = CLIENT_IDLE;
    }
}

void clients_drain(struct world *world)
{
    for (uint32_t turns = 0; world->outstanding > 0 && turns < TURNS_MAX; turns++)
        poll_once(world, -1);
    if (world->outstanding > 0)
        world_violation(world, "stuck: %u commits without an answer", world->outstanding);
}

bool world_settle(struct world *world)
{
    clients_drain(world);
    return !world->violation[0];
}
