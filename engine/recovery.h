/*
 * Recovery: from the files as they were left to a store that may be written.
 */
#ifndef KEEL_ENGINE_RECOVERY_H
#define KEEL_ENGINE_RECOVERY_H

#include <keel/iosched.h>

struct keel_store;

/*
 * Flush the page file, redo every whole group of the log, open a new epoch, and end with a
 * checkpoint when there was anything to do. The log and the cache are open. Run again after a cut
 * at any point it gives the same pages (E2). Blocks. KEEL_ECHECKSUM, KEEL_EREAD, KEEL_ECORRUPT,
 * KEEL_EPOISON, -errno.
 */
int recovery_run(struct keel_store *store, struct keel_ctx *ctx, struct keel_err_info *info);

#endif
