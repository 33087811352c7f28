/*
 * One block: sealed before it is written, checked after it is read, by one rule.
 */
#ifndef KEEL_WAL_BLOCK_H
#define KEEL_WAL_BLOCK_H

#include <stdint.h>

#include "wal/super.h"
#include "wal/wal_format.h"

/* What every checksum of one log begins with. Constant once the uuid is known. */
struct wal_seed {
    uint32_t record;   /* CRC32C of the uuid */
    uint32_t block;    /* and of four zero bytes, which stand for the block's own CRC field */
    uint32_t uuid_low; /* as it stands in block headers */
};

void wal_seed_init(struct wal_seed *seed, const uint8_t uuid[WAL_UUID_BYTES]);

struct wal_block_head {
    keel_lsn lsn;
    keel_lsn promise;
    uint32_t epoch;
    uint16_t used;
    uint16_t first; /* WAL_FIRST_NONE */
};

/* Fill in the header, zero what is not used, set the CRC. */
void wal_block_seal(const struct wal_seed *seed, uint8_t *block, const struct wal_block_head *head);

/* The checksum that belongs into the block as it is. */
uint32_t wal_block_crc(const struct wal_seed *seed, const uint8_t *block);

enum wal_block_kind {
    WAL_BLOCK_VALID = 0,
    WAL_BLOCK_ELSEWHERE, /* says another LSN: an earlier lap, never written, or misdirected */
    WAL_BLOCK_FOREIGN,   /* of another log */
    WAL_BLOCK_VOID,      /* its epoch does not own the LSN */
    WAL_BLOCK_BROKEN,    /* the CRC does not match: torn or damaged */
    WAL_BLOCK_MALFORMED, /* the CRC matches and the fields cannot be */
};

const char *wal_block_kind_name(enum wal_block_kind kind);

/* What is in the place of lsn? *head: the fields; meaningful if VALID or MALFORMED. */
enum wal_block_kind wal_block_check(const struct wal_seed *seed, const struct wal_super *super,
                                    const uint8_t *block, keel_lsn lsn,
                                    struct wal_block_head *head);

/* CRC of a record: of its payload (begin with seed->record), then of header and LSN. */
uint32_t wal_record_crc(uint32_t payload_crc, const uint8_t *header, keel_lsn lsn);

#endif
