/*
 * The reference model: what a store must contain after a power cut.
 *
 * It knows no keel code, only the order of the committed transactions, a hash of every page after
 * each of them, and when each was acknowledged, in events of the simulation. A recovered store is
 * right when it equals the model after a prefix of the transactions that contains all that was
 * acknowledged before the cut (E1).
 *
 * A restart is part of the model: the transactions that did not survive it are dead from then on
 * and must never come back; those that did are promised from then on.
 */
#ifndef KEEL_TOOLS_SIM_MODEL_H
#define KEEL_TOOLS_SIM_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODEL_TX_MAX      384u
#define MODEL_PAGE_MAX    192u
#define MODEL_CHANGES_MAX 8u
#define MODEL_NEVER       UINT64_MAX

#define MODEL_FREE       0u /* hash of a page that is not allocated: anything may be there */
#define MODEL_UNREADABLE 1u /* hash of a page that could not be read */

struct model_change {
    uint32_t page;
    uint64_t hash; /* of the page's user part from here on */
};

struct model_tx {
    uint64_t lsn;          /* end of its group */
    uint64_t append_event; /* not in the log before this event */
    uint64_t must_event;   /* promised from this event on, or MODEL_NEVER */
    uint64_t dead_event;   /* did not survive the restart at this event, or MODEL_NEVER */
    uint32_t allocated;    /* pages allocated after it */
    uint32_t count;
    struct model_change change[MODEL_CHANGES_MAX];
};

struct model {
    uint32_t tx_count;
    uint32_t page_count; /* one more than the highest page ever used */
    /* Largest LSN of a transaction that is there. What was given out but never reached a device
     * dies with its process, and its LSN may be given out again. */
    uint64_t lsn_max;
    struct model_tx tx[MODEL_TX_MAX];
};

/* What was found in a recovered store. */
struct model_state {
    uint32_t allocated;
    uint64_t hash[MODEL_PAGE_MAX];
};

enum model_verdict {
    MODEL_GOOD = 0,
    MODEL_LOST,  /* a prefix, but without a transaction that was acknowledged */
    MODEL_MIXED, /* no prefix at all */
};

void model_init(struct model *model);

/* Hash of a page's user part; never MODEL_FREE or MODEL_UNREADABLE. */
uint64_t model_hash(const void *bytes, size_t len);

/* Add the next transaction; returns its index. tx: copied; must_event and dead_event are set here.
 */
uint32_t model_commit(struct model *model, const struct model_tx *tx);

/* It was acknowledged when this many events had happened. */
void model_ack(struct model *model, uint32_t index, uint64_t event);

/*
 * Is state right for a cut after this event? *ret_kept: how many of the transactions that the model
 * has at this event are in it (the most that fit); *ret_owed: how many had to be.
 */
enum model_verdict model_check(const struct model *model, uint64_t event,
                               const struct model_state *state, uint32_t *ret_kept,
                               uint32_t *ret_owed);

/* Which pages a store may have after this event; the others need not be read. */
void model_pages(const struct model *model, uint64_t event, bool ret_used[MODEL_PAGE_MAX]);

/* How a state misses the prefix that comes nearest, of those that hold what is owed. */
struct model_miss {
    uint32_t position; /* the first so many transactions */
    uint32_t pages;    /* pages that are not as these left them */
    uint32_t page;     /* one of them */
    bool allocated;    /* the number of allocated pages is theirs */
};
struct model_miss model_explain(const struct model *model, uint64_t event,
                                const struct model_state *state, uint32_t owed);

/* Restart in place: it was killed at event `dead`, and kept `kept` transactions, promised from
 * event `settled` on. */
void model_restart(struct model *model, uint64_t dead, uint64_t settled, uint32_t kept);

/* Hash of each page, and how many are allocated, after all transactions that are not dead. */
void model_tip(const struct model *model, uint64_t ret_hash[MODEL_PAGE_MAX],
               uint32_t *ret_allocated);

/* A model of the store recovered from a cut of src at event: its first `kept` transactions, all
 * promised, as of event 0. */
void model_fork(struct model *dst, const struct model *src, uint64_t event, uint32_t kept);

#endif
