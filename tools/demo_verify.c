/*
 * One writer after the other: load its slot and journal, then go through all sequence numbers. A
 * page that cannot be read counts as a page without traces, and is named.
 */
#include "tools/demo_verify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

/* No run gets there; what claims to be above is damage, and not worth walking to. */
#define SEQ_MAX (1ull << 36)

struct check {
    struct keel_ctx *ctx;
    struct keel_store *store;
    const struct demo_map *map;
    struct demo_verdict *verdict;
    struct demo_entry *entries; /* room for DEMO_RING, of the writer being checked */
    uint64_t entry_count;       /* those of the pages that it has */
    struct demo_journal_page page;
};

/* What is known of one writer. */
struct traces {
    uint32_t writer;
    uint64_t acked, attempted;
    uint64_t slot_seq, ledger_seq, entry_seq; /* highest of each kind */
    bool chain_ok;
};

static void __attribute__((format(printf, 2, 3))) note(struct check *check, const char *format, ...)
{
    if (check->verdict->first[0])
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(check->verdict->first, sizeof(check->verdict->first), format, args);
    va_end(args);
}

static void read_journal(struct check *check, const struct demo_slot_page *slot,
                         struct traces *traces)
{
    keel_ignore(keel_page_prefetch(check->ctx, keel_store_space(check->store), slot->journal, 64),
                "a hint");
    uint32_t pages = 0;
    while (pages < DEMO_JOURNAL_PAGES && slot->journal[pages])
        pages++;
    check->entry_count = (uint64_t)pages * DEMO_ENTRIES;
    memset(check->entries, 0, check->entry_count * sizeof(*check->entries));
    for (uint32_t i = 0; i < pages; i++) {
        if (i % 64 == 0 && i + 128 <= DEMO_JOURNAL_PAGES)
            keel_ignore(keel_page_prefetch(check->ctx, keel_store_space(check->store),
                                           slot->journal + i + 64, 64),
                        "a hint");
        int rc = demo_read(check->ctx, check->store, slot->journal[i], &check->page,
                           sizeof(check->page));
        if (rc) {
            note(check, "writer %u: journal page %" PRIu64 ": %s", traces->writer, slot->journal[i],
                 keel_err_name(rc));
            continue;
        }
        if (check->page.magic != DEMO_JOURNAL_MAGIC || check->page.writer != traces->writer) {
            note(check, "writer %u: page %" PRIu64 " is not its journal page", traces->writer,
                 slot->journal[i]);
            continue;
        }
        memcpy(check->entries + (size_t)i * DEMO_ENTRIES, check->page.entries,
               sizeof(check->page.entries));
    }
    for (uint64_t i = 0; i < check->entry_count; i++) {
        if (check->entries[i].seq > traces->entry_seq)
            traces->entry_seq = check->entries[i].seq;
    }
}

static void read_slot(struct check *check, struct traces *traces)
{
    struct demo_slot_page slot = {0};
    keel_pageno pageno = check->map->slots[traces->writer];
    int rc = demo_read(check->ctx, check->store, pageno, &slot, sizeof(slot));
    if (rc || slot.magic != DEMO_SLOT_MAGIC || slot.writer != traces->writer) {
        note(check, "writer %u: slot page %" PRIu64 ": %s", traces->writer, pageno,
             rc ? keel_err_name(rc) : "is not its slot page");
        slot = (struct demo_slot_page){0};
    }
    traces->slot_seq = slot.seq;
    read_journal(check, &slot, traces);

    uint64_t chain = 0;
    for (uint64_t s = 1; s <= slot.seq && slot.seq <= SEQ_MAX; s++)
        chain = demo_chain(chain, demo_hash(check->map->salt, traces->writer, s));
    traces->chain_ok = chain == slot.chain;
    if (!traces->chain_ok)
        note(check, "writer %u: the chain up to %" PRIu64 " is wrong", traces->writer, slot.seq);
}

/* A later transaction of the ring may have taken the place: then chain and slot speak for it. */
static bool entry_has(const struct check *check, const struct traces *traces, uint64_t seq)
{
    uint64_t place = (seq - 1) % DEMO_RING;
    if (place >= check->entry_count)
        return false;
    const struct demo_entry *entry = &check->entries[place];
    bool same_place = entry->seq >= seq && (entry->seq - seq) % DEMO_RING == 0;
    return same_place && entry->hash == demo_hash(check->map->salt, traces->writer, entry->seq);
}

static void judge(struct check *check, const struct traces *traces, uint64_t seq)
{
    struct demo_verdict *verdict = check->verdict;
    bool slot = seq <= traces->slot_seq && traces->chain_ok;
    bool ledger = seq <= traces->ledger_seq;
    bool entry = entry_has(check, traces, seq);
    bool whole = slot && ledger && entry;
    bool half = !whole && (slot || ledger || entry);

    if (whole)
        verdict->found++;
    if (seq <= traces->acked) {
        if (whole)
            return;
        verdict->lost++;
        note(check,
             "writer %u: acknowledged transaction %" PRIu64 " is lost (journal %s, slot %s, "
             "ledger %s)",
             traces->writer, seq, entry ? "yes" : "no", slot ? "yes" : "no", ledger ? "yes" : "no");
    } else if (half) {
        verdict->invented++;
        note(check,
             "writer %u: half of transaction %" PRIu64 " is there (journal %s, slot %s, "
             "ledger %s)",
             traces->writer, seq, entry ? "yes" : "no", slot ? "yes" : "no", ledger ? "yes" : "no");
    } else if (whole && seq > traces->attempted) {
        verdict->invented++;
        note(check, "writer %u: transaction %" PRIu64 " was never begun", traces->writer, seq);
    } else if (whole) {
        verdict->unacknowledged++;
    }
}

static void check_writer(struct check *check, struct traces *traces)
{
    read_slot(check, traces);
    uint64_t top = traces->acked;
    if (traces->slot_seq > top)
        top = traces->slot_seq;
    if (traces->ledger_seq > top)
        top = traces->ledger_seq;
    if (traces->entry_seq > top)
        top = traces->entry_seq;
    if (top > SEQ_MAX) {
        check->verdict->invented++;
        note(check, "writer %u: sequence number %" PRIu64 " is absurd", traces->writer, top);
        top = SEQ_MAX < traces->acked + DEMO_RING ? SEQ_MAX : traces->acked + DEMO_RING;
    }
    for (uint64_t seq = 1; seq <= top; seq++)
        judge(check, traces, seq);
}

static void check_ledger(struct check *check, struct demo_ledger_page *ledger)
{
    int rc = demo_read(check->ctx, check->store, check->map->ledger, ledger, sizeof(*ledger));
    if (rc || ledger->magic != DEMO_LEDGER_MAGIC) {
        note(check, "ledger page %" PRIu64 ": %s", check->map->ledger,
             rc ? keel_err_name(rc) : "is not the ledger");
        *ledger = (struct demo_ledger_page){0};
    }
    uint64_t sum = 0;
    for (uint32_t w = 0; w < DEMO_WRITERS_MAX; w++)
        sum += ledger->count[w];
    if (sum != ledger->total) {
        check->verdict->invented++;
        note(check, "ledger: the total is %" PRIu64 ", the counts add up to %" PRIu64,
             ledger->total, sum);
    }
}

int demo_verify(struct keel_ctx *ctx, struct keel_store *store, const struct demo_map *map,
                const struct demo_expect *expect, struct demo_verdict *ret)
{
    *ret = (struct demo_verdict){0};
    struct check check = {.ctx = ctx, .store = store, .map = map, .verdict = ret};
    check.entries = mem_alloc(DEMO_RING * sizeof(*check.entries));
    if (!check.entries)
        return -ENOMEM;

    struct demo_ledger_page ledger;
    check_ledger(&check, &ledger);
    for (uint32_t w = 0; w < DEMO_WRITERS_MAX; w++) {
        struct traces traces = {.writer = w,
                                .acked = expect ? expect->acked[w] : 0,
                                .attempted = expect ? expect->attempted[w] : UINT64_MAX,
                                .ledger_seq = ledger.count[w]};
        if (map->slots[w]) {
            check_writer(&check, &traces);
        } else if (traces.acked) {
            ret->lost += traces.acked;
            note(&check, "writer %u: its slot page is gone", w);
        }
    }
    mem_free(check.entries);
    return 0;
}
