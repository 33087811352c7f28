/*
 * A world: one store on one simulation, with the model beside it and three clients at work in it.
 *
 * The clients are state machines in one thread: transactions that never wait, over a few pages
 * each, committed asynchronously, several outstanding. Everything that is drawn comes from the
 * seed, so a world can be run again to the same event.
 */
#ifndef KEEL_TOOLS_SIM_WORLD_H
#define KEEL_TOOLS_SIM_WORLD_H

#include <stdbool.h>

#include <keel/keel.h>

#include "base/prng.h"
#include "tools/sim/model.h"

#define WORLD_CLIENTS   3u
#define WORLD_STEPS_MAX 6u
#define WORLD_COMMITS   8u /* outstanding, per client */
#define WORLD_PAGE_USER (4096u - KEEL_PAGE_HEADER_BYTES)
#define WORLD_SPANS_MAX 16u
#define WORLD_FOLDER    "/store"

/* What a seed draws once. */
struct settings {
    uint64_t seed;
    enum keel_sync_method sync;
    uint32_t inflight_max, batch_bytes_max, pipeline_bytes;
    uint32_t frames;
    uint32_t space_pages;  /* at creation */
    uint32_t target_pages; /* how many pages the clients allocate before they free some */
    uint32_t latency_ns_min, latency_ns_max;
    uint32_t atomic_write_bytes; /* of the devices; 0: they tear pages */
};

enum step_kind { STEP_WRITE = 0, STEP_ALLOC, STEP_FREE };

struct step {
    enum step_kind kind;
    bool fixed; /* the page is part of the transaction */
    keel_pageno page;
    uint32_t offset, len;
    uint64_t fill; /* seed of the bytes */
};

enum client_state { CLIENT_IDLE = 0, CLIENT_BEGIN, CLIENT_WORK, CLIENT_COMMIT };

struct world;

struct commit_slot {
    struct keel_commit commit;
    struct world *world;
    uint32_t index; /* of the transaction in the model */
    bool busy;
};

struct client {
    enum client_state state;
    struct keel_tx *tx;
    struct step step[WORLD_STEPS_MAX];
    uint32_t steps, at;
    uint32_t stalls; /* turns without progress in this transaction */
    struct commit_slot slot[WORLD_COMMITS];
};

/* Events from `first` to `last` happened inside one call. */
struct span {
    uint64_t first, last;
};

struct world {
    /* set by world_init, then constant */
    const struct settings *settings;
    struct keel_sim *sim;
    struct model *model;

    /* between world_open and world_kill or world_close */
    struct keel_ctx *ctx;
    struct keel_store *store;
    struct keel_wal_report report;

    struct prng prng;
    struct client client[WORLD_CLIENTS];
    uint32_t outstanding; /* commits without an answer */
    uint32_t committed;   /* in this life */
    bool poisoned;        /* the store answered that it is */
    bool fault_expected;  /* a fault is armed: being poisoned is no violation */
    keel_lsn acked_lsn;   /* of this life: acknowledgements come in LSN order */

    /* what the pages hold after all committed transactions */
    uint32_t allocated;
    uint64_t tip_hash[MODEL_PAGE_MAX];
    unsigned char tip[MODEL_PAGE_MAX][WORLD_PAGE_USER];

    /* what happened, for coverage */
    struct span growth[WORLD_SPANS_MAX];
    uint32_t growths;
    uint64_t checkpoints, laps, aborted, conflicts, blocking;

    char violation[256]; /* "" while all is well */
};

void settings_draw(struct settings *settings, uint64_t seed);

/* sim, settings and model: borrowed until the world is no longer used. */
void world_init(struct world *world, const struct settings *settings, struct keel_sim *sim,
                struct model *model, uint64_t seed);

/* Open (create, recover) the store. 0, or the error with world->violation set. */
int world_open(struct world *world);

/* Read every page that the model has at this event, and how many are allocated. With keep, the
 * contents stay for world_adopt. */
void world_read(struct world *world, uint64_t event, bool keep, struct model_state *ret);

/* The contents just read, which the model was found to agree with, are what clients go on from. */
void world_adopt(struct world *world, struct model *model);

/* Let the clients work until `count` more transactions are committed or the store is poisoned.
 * False: violation. */
bool world_run(struct world *world, uint32_t count);

/* How often the log has gone around; it begins in its first lap. */
uint64_t world_laps(const struct world *world);

/* Let what is committed become durable. False: violation. */
bool world_settle(struct world *world);

/* The process dies: open transactions and dirty pages are gone, requests in flight reach the
 * device, nothing is synced. */
void world_kill(struct world *world);

/* An orderly end. False: violation. */
bool world_close(struct world *world);

/* Note a violation; the first one stays. */
void world_violation(struct world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
