/*
 * What `keel demo` keeps in its store, so that afterwards every single transaction can be asked
 * for.
 *
 * A transaction of a writer changes three pages at once:
 *   - a journal page of the writer: one entry {seq, hash}, in a place of its own
 *   - the writer's slot page: seq, and a chain of the hashes of all its transactions so far
 *   - the ledger, which all writers share: the writer's count, and the total
 * Sequence numbers of a writer begin at 1 and have no gaps. What a transaction writes follows from
 * the store's salt, the writer and seq, so the checker knows every byte. A writer's journal is a
 * ring of DEMO_JOURNAL_PAGES pages, made as they are needed: its last DEMO_RING transactions are
 * there one by one, those before them are covered by the chain.
 *
 * The header page is the first page that the demo allocates; it is found by its magic.
 * Numbers are in the machine's byte order: a demo store is no exchange format.
 */
#ifndef KEEL_TOOLS_DEMO_LAYOUT_H
#define KEEL_TOOLS_DEMO_LAYOUT_H

#include <keel/engine.h>

#define DEMO_WRITERS_MAX   128u
#define DEMO_PAGE_USER     (4096u - KEEL_PAGE_HEADER_BYTES)
#define DEMO_JOURNAL_PAGES 480u
#define DEMO_ENTRIES       253u
#define DEMO_RING          ((uint64_t)DEMO_JOURNAL_PAGES * DEMO_ENTRIES)

#define DEMO_HEADER_MAGIC  0x4f4d45444c45454bull /* "KEELDEMO" */
#define DEMO_LEDGER_MAGIC  0x524544454c4d4544ull /* "DEMLEDER" */
#define DEMO_SLOT_MAGIC    0x544f4c534f4d4544ull /* "DEMOSLOT" */
#define DEMO_JOURNAL_MAGIC 0x4c4e524a4f4d4544ull /* "DEMOJRNL" */

struct demo_header_page {
    uint64_t magic, salt;
    uint64_t ledger;                  /* page number */
    uint64_t slots[DEMO_WRITERS_MAX]; /* page numbers; 0: this writer was never there */
};

struct demo_ledger_page {
    uint64_t magic;
    uint64_t total;                   /* sum of count[] */
    uint64_t count[DEMO_WRITERS_MAX]; /* transactions of each writer */
};

struct demo_slot_page {
    uint64_t magic, writer;
    uint64_t seq, chain;
    uint64_t journal[DEMO_JOURNAL_PAGES]; /* page numbers; 0: not made yet */
};

struct demo_entry {
    uint64_t seq, hash; /* 0, 0: empty */
};

struct demo_journal_page {
    uint64_t magic, writer;
    struct demo_entry entries[DEMO_ENTRIES];
};

_Static_assert(sizeof(struct demo_header_page) <= DEMO_PAGE_USER, "fits a page");
_Static_assert(sizeof(struct demo_ledger_page) <= DEMO_PAGE_USER, "fits a page");
_Static_assert(sizeof(struct demo_slot_page) <= DEMO_PAGE_USER, "fits a page");
_Static_assert(sizeof(struct demo_journal_page) <= DEMO_PAGE_USER, "fits a page");

/* Where things are. */
struct demo_map {
    uint64_t salt;
    keel_pageno header, ledger;
    keel_pageno slots[DEMO_WRITERS_MAX];
};

/* Options under which demo, worker and checker open the store. */
/* path: of the store; one on /dev/ngXnY takes the nvme method. */
struct keel_options demo_options(const char *path);

/* Hash that transaction seq of writer leaves in its entry; and the chain one further. Pure. */
uint64_t demo_hash(uint64_t salt, uint32_t writer, uint64_t seq);
uint64_t demo_chain(uint64_t chain, uint64_t hash);

/* Read the map. KEEL_ENOTFOUND: there is none, and the store holds nothing else either.
 * KEEL_EFORMAT: the store belongs to somebody else. */
int demo_map_load(struct keel_ctx *ctx, struct keel_store *store, struct demo_map *ret);
/* Make what is missing for so many writers; map: as loaded, or zero to begin. */
int demo_map_prepare(struct keel_ctx *ctx, struct keel_store *store, uint32_t writers,
                     struct demo_map *map);

/* Copy the user part of a page. KEEL_ENOPAGE and the others of keel_read. */
int demo_read(struct keel_ctx *ctx, struct keel_store *store, keel_pageno pageno, void *ret,
              uint32_t len);

/* A writer at work; one thread. */
struct demo_writer {
    struct keel_ctx *ctx;     /* borrowed */
    struct keel_store *store; /* borrowed */
    const struct demo_map *map;
    uint32_t index;
    uint64_t seq, chain; /* of the last transaction */
    keel_pageno journal[DEMO_JOURNAL_PAGES];
};

int demo_writer_load(struct demo_writer *writer, struct keel_ctx *ctx, struct keel_store *store,
                     const struct demo_map *map, uint32_t index);
/* Make the journal page of the next transaction, if it is not there; durable. */
int demo_writer_room(struct demo_writer *writer);
/* The next transaction; durable when it returns 0. */
int demo_writer_commit(struct demo_writer *writer);

#endif
