/*
 * Four caches. Each has one function that takes an access and says whether it was a hit; what they
 * need lies in arrays with an entry per page, per frame or per access.
 */
#include "bench/lib/evict_sim.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "pagecache/policy.h"

#define NONE  UINT32_MAX
#define BATCH 64u /* as PC_EVICT_BATCH */

const char *const evict_policy_names[EVICT_POLICIES] = {"keel", "stream", "lru", "clock",
                                                        "optimum"};

struct evict_sim {
    const struct evict_access *trace;
    uint32_t accesses, pages;

    /* of one run */
    uint32_t room, used, hand;
    uint32_t *frame_of; /* by page; NONE: not there */
    uint32_t *page_in;  /* by frame; NONE: empty */
    uint64_t *word;     /* by frame: the clock's bits */
    uint32_t *free;     /* frames */
    uint32_t free_count;

    /* keel: by page, what its word keeps while it is not there; the queue of the young, a ring of
     * frames */
    uint64_t *past;
    uint32_t *young;
    uint32_t young_head, young_count;
    uint64_t evictions;

    /* LRU: a ring through the pages, entry `pages` is its head */
    uint32_t *newer, *older;

    /* optimum: by access, when its page is asked for next; and a heap of what is in the cache, the
     * latest next use on top; entries that were overtaken are thrown away when they come up */
    uint32_t *next_use, *last_use;
    uint64_t *heap; /* next use << 32 | page */
    uint32_t heap_count;
};

struct evict_sim *evict_sim_make(const struct evict_access *trace, uint32_t accesses,
                                 uint32_t pages)
{
    struct evict_sim *sim = mem_alloc(sizeof(*sim));
    if (!sim)
        return NULL;

    *sim = (struct evict_sim){.trace = trace, .accesses = accesses, .pages = pages};
    sim->frame_of = mem_alloc(pages * sizeof(*sim->frame_of));
    sim->page_in = mem_alloc(pages * sizeof(*sim->page_in));
    sim->word = mem_alloc(pages * sizeof(*sim->word));
    sim->free = mem_alloc(pages * sizeof(*sim->free));
    sim->past = mem_alloc(pages * sizeof(*sim->past));
    sim->young = mem_alloc(pages * sizeof(*sim->young));
    sim->newer = mem_alloc((pages + 1) * sizeof(*sim->newer));
    sim->older = mem_alloc((pages + 1) * sizeof(*sim->older));
    sim->next_use = mem_alloc(accesses * sizeof(*sim->next_use));
    sim->last_use = mem_alloc(pages * sizeof(*sim->last_use));
    sim->heap = mem_alloc(accesses * sizeof(*sim->heap));
    if (sim->frame_of && sim->page_in && sim->word && sim->free && sim->past && sim->young &&
        sim->newer && sim->older && sim->next_use && sim->last_use && sim->heap)
        return sim;
    evict_sim_free(sim);
    return NULL;
}

void evict_sim_free(struct evict_sim *sim)
{
    if (!sim)
        return;
    mem_free(sim->frame_of);
    mem_free(sim->page_in);
    mem_free(sim->word);
    mem_free(sim->free);
    mem_free(sim->past);
    mem_free(sim->young);
    mem_free(sim->newer);
    mem_free(sim->older);
    mem_free(sim->next_use);
    mem_free(sim->last_use);
    mem_free(sim->heap);
    mem_free(sim);
}

/* ---------------------------------------------------------------- clocks */

static void clock_evict(struct evict_sim *sim, uint32_t frame)
{
    sim->frame_of[sim->page_in[frame]] = NONE;
    sim->page_in[frame] = NONE;
    sim->free[sim->free_count++] = frame;
}

static uint32_t free_frame(struct evict_sim *sim)
{
    return sim->free_count > 0 ? sim->free[--sim->free_count] : NONE;
}

static void young_put(struct evict_sim *sim, uint32_t frame)
{
    sim->young[(sim->young_head + sim->young_count++) % sim->room] = frame;
}

/* The turn of the first of the young. */
static void visit_young(struct evict_sim *sim)
{
    uint32_t frame = sim->young[sim->young_head++ % sim->room];

    sim->young_count--;
    if (pc_policy_visit_young(&sim->word[frame])) {
        sim->past[sim->page_in[frame]] = pc_policy_past(sim->evictions++, sim->room);
        clock_evict(sim, frame);
    } else if (sim->word[frame] & PC_WORD_YOUNG) {
        young_put(sim, frame);
    }
}

static void visit(struct evict_sim *sim)
{
    uint32_t frame = sim->hand++ % sim->room;

    if (sim->page_in[frame] == NONE || (sim->word[frame] & PC_WORD_YOUNG))
        return;
    if (pc_policy_visit(&sim->word[frame])) {
        sim->past[sim->page_in[frame]] = 0;
        sim->evictions++;
        clock_evict(sim, frame);
    }
}

/* As pc_evict. */
static void keel_evict(struct evict_sim *sim)
{
    uint32_t part = sim->room / 16;
    uint32_t want = part < BATCH ? part : BATCH;
    uint32_t visits = 2 * sim->room;

    while (sim->free_count < want) {
        if (sim->young_count > 0 &&
            (visits == 0 || pc_policy_young_first(sim->young_count, sim->room))) {
            visit_young(sim);
        } else {
            KEEL_ASSERT(visits > 0);
            visits--;
            visit(sim);
        }
    }
}

static bool keel_access(struct evict_sim *sim, uint32_t page)
{
    uint32_t frame = sim->frame_of[page];
    bool hit = frame != NONE;

    if (!hit) {
        if (sim->free_count == 0)
            keel_evict(sim);
        frame = free_frame(sim);
        KEEL_ASSERT(frame != NONE);
        sim->frame_of[page] = frame;
        sim->page_in[frame] = page;
        sim->word[frame] =
            pc_policy_loaded() | pc_policy_come(sim->past[page], sim->evictions, sim->room);
        if (sim->word[frame] & PC_WORD_YOUNG)
            young_put(sim, frame);
    }
    sim->word[frame] = pc_policy_used(sim->word[frame]);
    return hit;
}

static bool clock_access(struct evict_sim *sim, uint32_t page)
{
    uint32_t frame = sim->frame_of[page];

    if (frame != NONE) {
        sim->word[frame] = 1;
        return true;
    }
    while (sim->free_count == 0) {
        uint32_t at = sim->hand++ % sim->room;
        if (sim->word[at] == 0)
            clock_evict(sim, at);
        sim->word[at] = 0;
    }
    frame = free_frame(sim);
    sim->frame_of[page] = frame;
    sim->page_in[frame] = page;
    return false;
}

/* ---------------------------------------------------------------- LRU */

static void lru_unlink(struct evict_sim *sim, uint32_t page)
{
    sim->newer[sim->older[page]] = sim->newer[page];
    sim->older[sim->newer[page]] = sim->older[page];
}

static bool lru_access(struct evict_sim *sim, uint32_t page)
{
    uint32_t head = sim->pages;
    bool hit = sim->frame_of[page] != NONE;

    if (hit) {
        lru_unlink(sim, page);
    } else if (sim->used == sim->room) {
        uint32_t oldest = sim->newer[head];
        lru_unlink(sim, oldest);
        sim->frame_of[oldest] = NONE;
    } else {
        sim->used++;
    }
    sim->frame_of[page] = 0;
    /* Before the head: the newest. */
    sim->older[page] = sim->older[head];
    sim->newer[page] = head;
    sim->newer[sim->older[head]] = page;
    sim->older[head] = page;
    return hit;
}

/* ---------------------------------------------------------------- the optimum */

static void find_next_uses(struct evict_sim *sim)
{
    memset(sim->last_use, 0xff, sim->pages * sizeof(*sim->last_use));
    for (uint32_t i = sim->accesses; i-- > 0;) {
        uint32_t page = sim->trace[i].page;
        sim->next_use[i] = sim->last_use[page];
        sim->last_use[page] = i;
    }
}

static void heap_push(struct evict_sim *sim, uint64_t entry)
{
    uint32_t at = sim->heap_count++;

    for (; at > 0 && sim->heap[(at - 1) / 2] < entry; at = (at - 1) / 2)
        sim->heap[at] = sim->heap[(at - 1) / 2];
    sim->heap[at] = entry;
}

static uint64_t heap_pop(struct evict_sim *sim)
{
    uint64_t top = sim->heap[0], entry = sim->heap[--sim->heap_count];
    uint32_t at = 0;

    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= sim->heap_count)
            break;
        if (child + 1 < sim->heap_count && sim->heap[child + 1] > sim->heap[child])
            child++;
        if (sim->heap[child] <= entry)
            break;
        sim->heap[at] = sim->heap[child];
        at = child;
    }
    sim->heap[at] = entry;
    return top;
}

/* last_use: of a page that is there, its next use, to tell entries that were overtaken. */
static bool optimum_access(struct evict_sim *sim, uint32_t page, uint32_t next_use)
{
    bool hit = sim->frame_of[page] != NONE;

    while (!hit && sim->used == sim->room) {
        uint64_t entry = heap_pop(sim);
        uint32_t victim = (uint32_t)entry;
        if (sim->frame_of[victim] == NONE || sim->last_use[victim] != (uint32_t)(entry >> 32))
            continue;
        sim->frame_of[victim] = NONE;
        sim->used--;
    }
    sim->used += !hit;
    sim->frame_of[page] = 0;
    sim->last_use[page] = next_use;
    heap_push(sim, (uint64_t)next_use << 32 | page);
    return hit;
}

/* ---------------------------------------------------------------- a run */

static void begin(struct evict_sim *sim, uint32_t room)
{
    KEEL_ASSERT(room >= 16 && room <= sim->pages);

    sim->room = room;
    sim->used = sim->hand = sim->heap_count = 0;
    memset(sim->frame_of, 0xff, sim->pages * sizeof(*sim->frame_of));
    memset(sim->page_in, 0xff, sim->pages * sizeof(*sim->page_in));
    memset(sim->word, 0, sim->pages * sizeof(*sim->word));
    memset(sim->past, 0, sim->pages * sizeof(*sim->past));
    sim->young_head = sim->young_count = 0;
    sim->evictions = 0;
    sim->free_count = room;
    for (uint32_t i = 0; i < room; i++)
        sim->free[i] = i;
    sim->newer[sim->pages] = sim->older[sim->pages] = sim->pages;
    find_next_uses(sim);
}

static bool one_access(struct evict_sim *sim, enum evict_policy policy, uint32_t at)
{
    struct evict_access access = sim->trace[at];

    switch (policy) {
    case EVICT_STREAM:
        if (access.scan) /* into the stream's ring, unless it is there */
            return sim->frame_of[access.page] != NONE;
        return keel_access(sim, access.page);
    case EVICT_KEEL:
        return keel_access(sim, access.page);
    case EVICT_LRU:
        return lru_access(sim, access.page);
    case EVICT_CLOCK:
        return clock_access(sim, access.page);
    case EVICT_OPTIMUM:
        return optimum_access(sim, access.page, sim->next_use[at]);
    case EVICT_POLICIES:
        break;
    }
    KEEL_ASSERT(false);
    return false;
}

uint64_t evict_sim_run(struct evict_sim *sim, enum evict_policy policy, uint32_t room)
{
    uint64_t hits = 0, counted = 0;

    begin(sim, room);
    for (uint32_t i = 0; i < sim->accesses; i++) {
        bool hit = one_access(sim, policy, i);
        if (sim->trace[i].scan)
            continue;
        hits += hit;
        counted++;
    }
    return hits * sim->accesses / counted;
}
