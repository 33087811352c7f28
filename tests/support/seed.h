/*
 * The seed of a random test: KEEL_SEED from the environment, else a fixed one.
 */
#ifndef KEEL_TESTS_SEED_H
#define KEEL_TESTS_SEED_H

#include <stdint.h>

/* The seed to use; also printed to stderr, with how to get it again, under the test's name. */
uint64_t test_seed(const char *test);

#endif
