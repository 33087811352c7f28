/*
 * The guest's part of a recording for `keel crash replay`: the trace of NVMe commands with marks in
 * it, and what the replay has to know of a store's files. tools/crash/history.h has the marks.
 *
 *   recording_start; recording_begin; work, with recording_mark; recording_stop
 *
 * One recording per process. Every function prints what went wrong and returns false.
 */
#ifndef KEEL_TESTS_LAB_RECORDING_H
#define KEEL_TESTS_LAB_RECORDING_H

#include <stdbool.h>
#include <stdint.h>

/* Empty the kernel's trace and start it: NVMe commands and marks, in one total order. */
bool recording_start(void);

/* The recording begins here. path: a closed store in a folder, of whose files the replay has to
 * know where they lie on the disk; or a whole disk, whose first block is overwritten. The block by
 * which the replay finds this place in the log of writes is written, beside the store. */
bool recording_begin(const char *path);

/* "keel: " and a line of text into the trace. Any thread; traps when the kernel does not take it.
 */
void recording_mark(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The end: stop the trace. False also when the kernel dropped some of it. */
bool recording_stop(void);
/* Copy the trace to path ("-": stdout). */
bool recording_save(const char *path);

#endif
