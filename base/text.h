/*
 * Bounded text: a printer into a buffer of the caller's, for dumps, traces and failed assertions.
 *
 * It never allocates, never overruns and always leaves a terminated string; what does not fit is
 * dropped and `truncated` says so.
 */
#ifndef KEEL_BASE_TEXT_H
#define KEEL_BASE_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct text {
    char *buf;  /* terminated at buf[len] */
    size_t cap; /* bytes in buf, at least 1 */
    size_t len; /* characters so far, less than cap */
    bool truncated;
};

/* Begin an empty text. buf: lent by the caller until the text is no longer used; cap >= 1. */
void text_init(struct text *text, char *buf, size_t cap);

/* Append. Width, precision and conversions of printf, but no %n and no floating point of width
 * > 64. */
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_vprintf(struct text *text, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/* Append a dump of len bytes: one line per 16, with offset, hex and printable characters. */
void text_hex(struct text *text, const void *bytes, size_t len);

#endif
