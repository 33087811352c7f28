/*
 * Bounded text printer.
 */
#include "base/text.h"

#include <stdint.h>
#include <stdio.h>

#include "base/assert.h"

#define HEX_PER_LINE 16

void text_init(struct text *text, char *buf, size_t cap)
{
    KEEL_ASSERT(buf != NULL);
    KEEL_ASSERT(cap >= 1);

    *text = (struct text){.buf = buf, .cap = cap};
    buf[0] = '\0';
}

void text_vprintf(struct text *text, const char *format, va_list args)
{
    size_t room = text->cap - text->len; /* includes the terminator */
    int want = vsnprintf(text->buf + text->len, room, format, args);

    if (want < 0) {
        text->buf[text->len] = '\0';
        text->truncated = true;
    } else if ((size_t)want >= room) {
        text->len = text->cap - 1;
        text->truncated = true;
    } else {
        text->len += (size_t)want;
    }
}

void text_printf(struct text *text, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    text_vprintf(text, format, args);
    va_end(args);
}

static void hex_line(struct text *text, const uint8_t *bytes, size_t offset, size_t count)
{
    text_printf(text, "%08zx ", offset);
    for (size_t i = 0; i < HEX_PER_LINE; i++) {
        const char *gap = i == HEX_PER_LINE / 2 ? "  " : " ";
        if (i < count)
            text_printf(text, "%s%02x", gap, bytes[offset + i]);
        else
            text_printf(text, "%s  ", gap);
    }

    text_printf(text, "  |");
    for (size_t i = 0; i < count; i++) {
        uint8_t c = bytes[offset + i];
        text_printf(text, "%c", c >= 0x20 && c < 0x7f ? c : '.');
    }
    text_printf(text, "|\n");
}

void text_hex(struct text *text, const void *bytes, size_t len)
{
    for (size_t offset = 0; offset < len && !text->truncated; offset += HEX_PER_LINE) {
        size_t left = len - offset;
        hex_line(text, bytes, offset, left < HEX_PER_LINE ? left : HEX_PER_LINE);
    }
}
