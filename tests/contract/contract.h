/*
 * The contract suite: what every method promises, in tests that do not know which one they run on.
 *
 * CONTRACT_TEST(name) is one Criterion test per method, and per way of submitting. It begins with
 * an open context, a folder and an arena, and ends with everything closed. A method that cannot run
 * here is skipped, and says why on stderr. A test that needs something which only some methods have
 * asks for it and skips.
 *
 * KEEL_TEST_DEVICE=PATH gives the methods that work on block devices that disk instead of files:
 * the devices of a test are parts of it. Its content is lost; one test at a time then (-j1).
 * KEEL_TEST_NVME=/dev/ngXnY does the same for the nvme method, which does not run without it.
 */
#ifndef KEEL_TESTS_CONTRACT_H
#define KEEL_TESTS_CONTRACT_H

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdbool.h>
#include <stdint.h>

#include <keel/iosched.h>
#include <keel/sim.h>

#include "tests/support/tmpdir.h"

#define BLOCK         KEEL_BLOCK_BYTES
#define DEVICE_BLOCKS 512u
#define ARENA_BYTES   (8u << 20)

#define CONTRACT_PARTS_MAX 4

struct contract {
    const char *label; /* of the row */
    enum keel_method method;
    enum keel_want sqpoll;
    struct keel_ctx *ctx;
    struct keel_arena *arena;
    struct keel_sim *sim; /* NULL on real devices */
    struct tmpdir dir;    /* "" under sim and on a disk */
    char folder[600];     /* "" on a disk */
    const char *disk;     /* or NULL */
    struct keel_device *whole;
    struct {
        char name[16];
        struct keel_device_range range;
    } parts[CONTRACT_PARTS_MAX];
    unsigned part_count;
};

struct contract_row {
    const char *label; /* the method's name, and perhaps more behind it */
    enum keel_method method;
    enum keel_want sqpoll;
};

/* Open everything; false: this method cannot run here, and why was printed. */
bool contract_begin(struct contract *c, const struct contract_row *row, const char *test);
void contract_end(struct contract *c);

/* Another context of the same method, on the same simulation. options: more than the method, may be
 * NULL. */
struct keel_ctx *contract_ctx(const struct contract *c, const struct keel_ctx_options *options);

/* Path of a name in the folder, in one of four static buffers. */
const char *contract_path(const struct contract *c, const char *name);

/* Create a device of `blocks` blocks. Stops the test when that fails. */
struct keel_device *contract_create(struct contract *c, const char *name, uint32_t blocks);
/* Open it again. */
struct keel_device *contract_open(struct contract *c, const char *name);

/* Zeroed, block-aligned memory from the arena. */
uint8_t *contract_alloc(struct contract *c, uint32_t blocks);

/* A request, ready to be submitted. */
struct keel_io contract_io(struct contract *c, struct keel_device *device, enum keel_op op,
                           void *buf, uint32_t block, uint32_t blocks);
/* Submit and wait. */
int contract_run(struct contract *c, struct keel_io *io);

/* Blocks of a byte: write them, and demand that they are there. */
void contract_write(struct contract *c, struct keel_device *device, uint32_t block, uint32_t blocks,
                    uint8_t fill);
void contract_expect(struct contract *c, struct keel_device *device, uint32_t block,
                     uint32_t blocks, uint8_t fill);

/* Print why this test means nothing here, and end it as skipped. */
#define CONTRACT_SKIP(c, why)                                                \
    do {                                                                     \
        fprintf(stderr, "contract: skipped on %s: %s\n", (c)->label, (why)); \
        contract_end(c);                                                     \
        cr_skip("%s", (why));                                                \
    } while (0)

/* For tests of what only files have. */
#define CONTRACT_NEEDS_FILES(c)                                         \
    do {                                                                \
        if ((c)->disk)                                                  \
            CONTRACT_SKIP(c, "a disk is one device, and has no names"); \
    } while (0)

#define CONTRACT_METHODS 6

/* Fill in the numbers of the methods that are to be run; how many there are. */
size_t contract_choose(size_t *numbers);
const struct contract_row *contract_method(size_t number);

#define CONTRACT_TEST(name)                                                    \
    static void name##_body(struct contract *c);                               \
    ParameterizedTestParameters(contract, name)                                \
    {                                                                          \
        static size_t numbers[CONTRACT_METHODS];                               \
        return cr_make_param_array(size_t, numbers, contract_choose(numbers)); \
    }                                                                          \
    ParameterizedTest(size_t *number, contract, name)                          \
    {                                                                          \
        struct contract c;                                                     \
                                                                               \
        if (!contract_begin(&c, contract_method(*number), #name))              \
            cr_skip("%s cannot run here", contract_method(*number)->label);    \
        name##_body(&c);                                                       \
        contract_end(&c);                                                      \
    }                                                                          \
    static void name##_body(struct contract *c)

#endif
