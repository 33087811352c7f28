/*
 * Asks a demo store for every transaction. Reads only.
 *
 * For each sequence number of each writer there are three traces: journal entry, slot and ledger.
 * Acknowledged: all three must be there, else it is LOST. Not acknowledged: all three, if it was
 * attempted, or none; anything else is INVENTED (half a transaction, or one that nobody began).
 */
#ifndef KEEL_TOOLS_DEMO_VERIFY_H
#define KEEL_TOOLS_DEMO_VERIFY_H

#include "tools/demo_layout.h"

struct demo_expect {
    uint64_t acked[DEMO_WRITERS_MAX];     /* highest acknowledged sequence number */
    uint64_t attempted[DEMO_WRITERS_MAX]; /* highest begun; UINT64_MAX: not known */
};

struct demo_verdict {
    uint64_t lost, invented;
    uint64_t found;          /* transactions that are there whole */
    uint64_t unacknowledged; /* of them, never acknowledged: allowed */
    char first[160];         /* the first thing found wrong, "" if nothing */
};

/* expect: NULL when nothing is known (a store as it was found). Returns 0 when the question was
 * answered, whatever the answer; -ENOMEM. */
int demo_verify(struct keel_ctx *ctx, struct keel_store *store, const struct demo_map *map,
                const struct demo_expect *expect, struct demo_verdict *ret);

#endif
