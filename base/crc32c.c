/*
 * CRC32C by ISA-L, which picks the fastest form for the processor at run time.
 *
 * ISA-L wants the running register and returns it raw; the usual convention inverts it before and
 * after. It takes an int as length, so longer buffers go in parts.
 */
#include "base/crc32c.h"

#include <isa-l/crc.h>

#define PART_MAX ((size_t)1 << 30)

uint32_t crc32c(uint32_t crc, const void *buf, size_t len)
{
    /* ISA-L only reads, but its parameter is not const. */
    unsigned char *at = (unsigned char *)(uintptr_t)buf;
    uint32_t reg = ~crc;

    while (len > 0) {
        size_t part = len < PART_MAX ? len : PART_MAX;
        reg = crc32_iscsi(at, (int)part, reg);
        at += part;
        len -= part;
    }
    return ~reg;
}
