/*
 * CRC32C (Castagnoli), as iSCSI, ext4 and NVMe use it.
 */
#ifndef KEEL_BASE_CRC32C_H
#define KEEL_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/*
 * The checksum of len bytes, continued from crc (0 to begin):
 * crc32c(crc32c(0, a), b) equals crc32c(0, a then b). crc32c(0, "123456789", 9) is 0xE3069283.
 */
uint32_t crc32c(uint32_t crc, const void *buf, size_t len);

#endif
