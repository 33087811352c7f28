/*
 * keel/keel.h: all of keel, and its version.
 */
#ifndef KEEL_KEEL_H
#define KEEL_KEEL_H

#define KEEL_VERSION_MAJOR 0
#define KEEL_VERSION_MINOR 1
#define KEEL_VERSION_PATCH 0

#include <keel/engine.h>
#include <keel/error.h>
#include <keel/iosched.h>
#include <keel/pagecache.h>
#include <keel/sched.h>
#include <keel/sim.h>
#include <keel/stats.h>
#include <keel/types.h>
#include <keel/wal.h>

#ifdef __cplusplus
extern "C" {
#endif

/* "0.1.0", of the library in use. */
KEEL_PUBLIC const char *keel_version(void);

#ifdef __cplusplus
}
#endif
#endif
