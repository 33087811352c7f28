/*
 * How much a test with many cases does unless it is told: all of it where it runs at full speed, an
 * eighth under AddressSanitizer, which is there for errors of memory and finds these in the first
 * cases or never.
 */
#ifndef KEEL_TESTS_SHARE_H
#define KEEL_TESTS_SHARE_H

#if defined(__SANITIZE_ADDRESS__)
#define TEST_SHARE(n) ((n) / 8)
#else
#define TEST_SHARE(n) (n)
#endif

#endif
