/*
 * Little-endian loads and stores at any alignment. All on-disk formats go through these.
 */
#ifndef KEEL_BASE_ENDIAN_H
#define KEEL_BASE_ENDIAN_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t load_le16(const void *at)
{
    uint16_t raw;

    memcpy(&raw, at, sizeof(raw));
    return le16toh(raw);
}

static inline uint32_t load_le32(const void *at)
{
    uint32_t raw;

    memcpy(&raw, at, sizeof(raw));
    return le32toh(raw);
}

static inline uint64_t load_le64(const void *at)
{
    uint64_t raw;

    memcpy(&raw, at, sizeof(raw));
    return le64toh(raw);
}

static inline void store_le16(void *at, uint16_t value)
{
    uint16_t raw = htole16(value);

    memcpy(at, &raw, sizeof(raw));
}

static inline void store_le32(void *at, uint32_t value)
{
    uint32_t raw = htole32(value);

    memcpy(at, &raw, sizeof(raw));
}

static inline void store_le64(void *at, uint64_t value)
{
    uint64_t raw = htole64(value);

    memcpy(at, &raw, sizeof(raw));
}

#endif
