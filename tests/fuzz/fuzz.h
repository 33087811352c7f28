/*
 * What the fuzz targets share: taking an input apart, and devices that hold it.
 *
 * A target is one file with LLVMFuzzerTestOneInput. It never fails by returning: what must not
 * happen traps in an assertion, or is found by a sanitizer. Checksums are what a fuzzer cannot
 * guess, so inputs carry flags that have them put right.
 */
#ifndef KEEL_TESTS_FUZZ_H
#define KEEL_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include <keel/iosched.h>
#include <keel/sim.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An input, eaten from the front. What is missing at the end reads as zero. */
struct fuzz_input {
    const uint8_t *at;
    size_t left;
};

uint8_t fuzz_u8(struct fuzz_input *input);
uint16_t fuzz_u16(struct fuzz_input *input);
/* Fill buf with len bytes. */
void fuzz_bytes(struct fuzz_input *input, void *buf, size_t len);

/* A simulated device of this size, all zero. One at a time; a failure to make it traps. */
struct fuzz_device {
    struct keel_sim *sim;
    struct keel_ctx *ctx;
    struct keel_device *device;
};

void fuzz_device_open(struct fuzz_device *fuzz, uint64_t bytes);
void fuzz_device_put(struct fuzz_device *fuzz, uint64_t offset, const void *bytes, uint32_t len);
void fuzz_device_close(struct fuzz_device *fuzz);

/* Make a copy of a four-copy cell out of a payload: magic, version 1, this generation, checksum. */
void fuzz_cell(uint8_t block[KEEL_BLOCK_BYTES], uint64_t magic, uint64_t generation, unsigned copy,
               const void *payload, uint32_t len);

/* Read every byte, so that a sanitizer sees what may not be read. */
uint32_t fuzz_touch(const void *bytes, size_t len);

#endif
