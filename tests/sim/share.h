/*
 * How much a simulation does unless it is told: all of it where it runs at full speed, a quarter
 * under AddressSanitizer, which is there for errors of memory and finds these in the first seeds or
 * never.
 */
#ifndef KEEL_TESTS_SIM_SHARE_H
#define KEEL_TESTS_SIM_SHARE_H

#if defined(__SANITIZE_ADDRESS__)
#define SIM_SHARE(n) ((n) / 4)
#else
#define SIM_SHARE(n) (n)
#endif

#endif
