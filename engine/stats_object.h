/*
 * The object in shared memory that a store's counters are published in: its name, and who may make
 * and remove it.
 *
 * Objects of all users lie in one folder. An OFD lock on an object says that its writer lives; the
 * kernel lets go of it however the process ends. What bears a name is removed only by who holds its
 * lock, so nobody takes away what another has just made.
 */
#ifndef KEEL_ENGINE_STATS_OBJECT_H
#define KEEL_ENGINE_STATS_OBJECT_H

#include "engine/stats_format.h"

/* Name of the object of the store at path, a folder or a device. 0 or -errno. */
int stats_object_name(const char *path, char ret_name[STATS_NAME_MAX]);

/*
 * Make an empty object of this name, mode 0600, locked, in the place of what a dead writer left
 * there. *ret_fd: the caller owns it; closing it is letting go of the lock. Blocks for a moment.
 * KEEL_EINUSE: something stands in its place that is another user's, or that is in use; -errno.
 */
int stats_object_make(const char *name, int *ret_fd);

/*
 * Remove objects of this user whose writers are dead and which nobody needs: their store is not
 * where it was, or was not opened again for an hour. Others keep the last words of a store that was
 * killed, for `keel stats STORE`. Any thread; blocks for a moment; never fails.
 */
void stats_object_sweep(void);

#endif
