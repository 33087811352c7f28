/*
 * A store on one device: what lies where. docs/format/device.md has it in words.
 */
#ifndef KEEL_ENGINE_DEVICE_FORMAT_H
#define KEEL_ENGINE_DEVICE_FORMAT_H

#include <stdint.h>

#include "engine/superblock_format.h"

#define DEVICE_UNIT (UINT64_C(1) << 20) /* log and pages begin at multiples of it */

#define DEVICE_AT_SUPER 0u               /* as store.keel */
#define DEVICE_AT_CLAIM SUPER_FILE_BYTES /* one block: a creation is under way; else 0 */
#define DEVICE_AT_LOG   DEVICE_UNIT      /* as wal.keel; its length is in the superblock */

/* The claim: magic, CRC32C over the block with this field zero, the rest 0. */
#define CLAIM_MAGIC    UINT64_C(0x6d69616c436c656b) /* "kelClaim" in memory */
#define CLAIM_AT_MAGIC 0u                           /* u64 */
#define CLAIM_AT_CRC   8u                           /* u32 */

_Static_assert(DEVICE_AT_CLAIM + 4096 <= DEVICE_AT_LOG, "they do not overlap");

#endif
