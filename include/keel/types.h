/*
 * The small types that every public header of keel shares.
 *
 * LSNs and page numbers are plain integers, because callers and keel alike do arithmetic on them in
 * every second line; everything that has a life of its own is an opaque struct.
 */
#ifndef KEEL_TYPES_H
#define KEEL_TYPES_H

#include <stdint.h>

/* A name that leaves the library. Everything else is hidden. */
#define KEEL_PUBLIC __attribute__((visibility("default")))

/* The caller must look at the result. */
#define KEEL_MUST_CHECK __attribute__((warn_unused_result))

/* Byte offset in the log; 0: before its first byte. An LSN that reached the device is never used
 * again, not even after a torn tail; one that was handed out and lost in memory with the process
 * may be.
 */
typedef uint64_t keel_lsn;

/* Number of a page inside its space, counted from 0. */
typedef uint64_t keel_pageno;

#define KEEL_LSN_MAX     UINT64_MAX
#define KEEL_PAGENO_MAX  UINT64_MAX
#define KEEL_PAGENO_NONE KEEL_PAGENO_MAX /* no page has this number */

#endif
