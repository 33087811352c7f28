/*
 * The smallest use of keel: open a store, change a page durably, read it back.
 *
 *   example_first FOLDER
 */
#include <keel/keel.h>

#include <stdio.h>

/* Put a greeting on a new page; when this returns 0, it survives a power cut. */
static int store_greeting(struct keel_ctx *ctx, struct keel_store *store, keel_pageno *ret_page)
{
    struct keel_tx *tx;
    int rc = keel_tx_begin(ctx, store, NULL, &tx);
    if (rc)
        return rc;

    rc = keel_tx_alloc(tx, ret_page);
    if (!rc)
        rc = keel_tx_write(tx, *ret_page, 0, "hello", 5);
    if (!rc)
        return keel_tx_commit(tx, NULL);
    keel_tx_abort(tx);
    return rc;
}

static int read_greeting(struct keel_ctx *ctx, struct keel_store *store, keel_pageno pageno)
{
    struct keel_page page;
    int rc = keel_read(ctx, store, pageno, 0, &page);
    if (rc)
        return rc;

    printf("page %llu says %.5s\n", (unsigned long long)pageno, (const char *)page.data);
    keel_page_unfix(&page);
    return 0;
}

int main(int argc, char **argv)
{
    struct keel_ctx *ctx = NULL;
    struct keel_store *store = NULL;
    struct keel_err_info info = {0};
    keel_pageno page;

    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }

    int rc = keel_ctx_open(NULL, &ctx);
    if (!rc)
        rc = keel_open(ctx, argv[1], NULL, &info, &store);
    if (!rc)
        rc = store_greeting(ctx, store, &page);
    if (!rc)
        rc = read_greeting(ctx, store, page);
    if (store) {
        int closed = keel_close(ctx, store);
        rc = rc ? rc : closed;
    }
    keel_ctx_close(ctx);

    if (rc)
        fprintf(stderr, "%s: %s: %s\n", keel_err_name(rc), info.object, keel_err_text(rc));
    return rc ? 1 : 0;
}
