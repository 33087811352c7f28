/*
 * Where the lab's programs work: a folder, /dev/nvmeXnY, or /dev/ngXnY with method nvme.
 */
#ifndef KEEL_TESTS_LAB_PLACES_H
#define KEEL_TESTS_LAB_PLACES_H

#include <stdbool.h>

#include <keel/keel.h>

/* A context for a store at path. The caller owns it; errors of keel_ctx_open. */
int place_ctx_open(const char *path, struct keel_ctx **ret);
/* Options of a store at path: its method, and that a disk may be overwritten. */
struct keel_options place_options(const char *path);

/* "dsync", "link", ...; false: there is no such method. */
bool sync_method_parse(const char *name, enum keel_sync_method *ret);

#endif
