/*
 * A whole log as a short description, so that a fuzzer need not find 256 KiB of image and its
 * checksums.
 *
 *   u8   flags: 1 ring of 512 KiB, 2 open read only, 4 the ring's size is put right
 *   u16  length of the superblock's payload, then the payload; all four copies get it
 *   then, until the input ends, one block:
 *   u8   place in the ring; 255: the payload of superblock copies 2 and 3 instead
 *   u8   flags: 1 CRC put right, 2 LSN that of the place in the lap from redo, 4 uuid,
 *        8 CRCs of the records that begin and end in it
 *   u16  length, then that many bytes from the block's beginning; the rest is zero
 */
#ifndef KEEL_TESTS_FUZZ_IMAGE_H
#define KEEL_TESTS_FUZZ_IMAGE_H

#include "tests/fuzz/fuzz.h"

#define IMAGE_RING_SMALL 0x40000u
#define IMAGE_LARGE      1u
#define IMAGE_READ_ONLY  2u
#define IMAGE_RING_RIGHT 4u

#define IMAGE_BLOCK_CRC     1u
#define IMAGE_BLOCK_LSN     2u
#define IMAGE_BLOCK_UUID    4u
#define IMAGE_BLOCK_RECORDS 8u

/* Lay the described log out on a device that is made for it. Returns the flags. */
uint8_t image_open(struct fuzz_device *fuzz, const uint8_t *data, size_t size);

#endif
