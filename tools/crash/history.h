/*
 * A recording as the history of a simulated disk, of which keel_sim_cut makes crash states.
 *
 * The log of the disk's writes has the bytes. With a trace of the guest's commands, submissions,
 * completions, flushes and FUA come from there, command by command, and the log's entries are
 * matched by place and length in their order; without one they come from the log's own flags, and a
 * write is in flight between the entry before it and its own.
 *
 * Marks of the recording program, lines "keel: ..." in the trace or in the log:
 *   begin DEVICE NSID LBA_BYTES ID  the recording begins; which device, its LBA, a word of its own
 *   ready                           states are made from here on; without it, from "begin" on
 *   region NAME FILE_BYTES FILE_OFFSET DISK_OFFSET BYTES
 *                                   these bytes of the disk are those of file NAME; with regions,
 *                                   the states hold the files and nothing else
 *   end                             the rest of the recording is not looked at
 *   anything else                   is kept with the moment at which it was made
 *
 * What was written before the recording began: a log may start earlier than the trace. Then the
 * program writes one block that starts with CRASH_COOKIE and the ID as its first write after
 * "begin"; all entries before the last such one are what the disk held. One log may so hold several
 * recordings.
 */
#ifndef KEEL_TOOLS_CRASH_HISTORY_H
#define KEEL_TOOLS_CRASH_HISTORY_H

#include <keel/sim.h>

#define CRASH_COOKIE    "keel: here begins the recording "
#define CRASH_FILES_MAX 8u
#define CRASH_NAME_MAX  64u

struct crash_mark {
    uint64_t event; /* so many events of the simulation had happened */
    const char *text;
};

struct crash_file {
    char path[CRASH_NAME_MAX + 8]; /* in the simulation */
    uint64_t bytes;
    uint32_t number; /* of keel_sim_play_file */
};

struct crash_counts {
    uint64_t writes, fua_writes, flushes, reads, others; /* commands from "begin" to "end" */
};

/* What the recording does not say of the disk. */
struct crash_disk {
    uint64_t bytes;        /* 0: as far as the log goes */
    uint32_t untorn_bytes; /* a write of a power of two up to that, at a multiple of its length, is
                            * there whole or not at all; 0: each may be torn */
};

struct crash_history {
    struct keel_sim *sim;
    struct crash_disk disk;
    uint64_t event_first, event_last; /* states: after these and those between */
    struct crash_mark *mark;
    uint32_t marks;
    struct crash_file file[CRASH_FILES_MAX]; /* one called "/disk" when there are no regions */
    uint32_t files;
    struct crash_counts counts;
    struct crash_input *input; /* what texts and data point into */
};

/* log_path, trace_path (NULL: none): of the recording. disk: borrowed for the call. Why not, as a
 * sentence, goes to why. 0 or an error; ret is to be freed in any case. */
int crash_history_open(const char *log_path, const char *trace_path, const struct crash_disk *disk,
                       struct crash_history *ret, char why[256]);
void crash_history_close(struct crash_history *history);

#endif
