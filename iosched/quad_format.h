/*
 * The four-copy cell on disk; docs/format/quad.md says it in words.
 */
#ifndef KEEL_IOSCHED_QUAD_FORMAT_H
#define KEEL_IOSCHED_QUAD_FORMAT_H

#include "keel/iosched.h"

#define QUAD_COPIES    4u
#define QUAD_ALL       15u /* all of them, as bits */
#define QUAD_VALID_MIN 2u  /* copies that must be valid for an open */
#define QUAD_DURABLE   3u  /* copies that must be durable for a step to count */

#define QUAD_AT_MAGIC      0  /* u64 */
#define QUAD_AT_CRC        8  /* u32, CRC32C of the block with this field zero */
#define QUAD_AT_VERSION    12 /* u32 */
#define QUAD_AT_GENERATION 16 /* u64, from 1 */
#define QUAD_AT_COPY       24 /* u32, 0 to 3 */
#define QUAD_AT_LEN        28 /* u32, bytes of payload */
#define QUAD_AT_PAYLOAD    32

_Static_assert(QUAD_AT_PAYLOAD + KEEL_QUAD_PAYLOAD_MAX <= KEEL_BLOCK_BYTES, "a copy is one block");

#endif
