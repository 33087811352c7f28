/*
 * The table of trace events: name, object, what happened.
 *
 * An event is named OBJECT_VERB and belongs to the part whose prefix it carries: IO (requests), DEV
 * (devices), WAL (log), PAGE (frames), ENG (engine), SIM (simulated device). Add a row where you
 * need one; nothing else is to be changed.
 */
#ifndef KEEL_BASE_TRACE_EVENTS_H
#define KEEL_BASE_TRACE_EVENTS_H

/* clang-format off */
/* name, object, state reached or thing done */
#define TRACE_EVENTS(X) \
X(NONE,            "none",    "an empty place in the ring") \
X(TEST,            "test",    "used by tests alone") \
X(IO_MOVE,         "request", "changed its state; op is the new one") \
X(IO_SUBMIT,       "request", "handed to the device") \
X(IO_DONE,         "request", "result known") \
X(IO_RETRY,        "request", "the rest goes again") \
X(IO_CANCEL,       "request", "cancel asked for") \
X(DEV_OPEN,        "device",  "opened") \
X(DEV_SYNC,        "device",  "synced") \
X(DEV_CLOSE,       "device",  "closed") \
X(RING_ENTER,      "ring",    "io_uring_enter; len is the number submitted") \
X(WAL_RESERVE,     "log",     "range reserved") \
X(WAL_PUBLISH,     "log",     "range filled") \
X(WAL_SEAL,        "log",     "batch sealed") \
X(WAL_WRITE,       "log",     "batch written") \
X(WAL_DURABLE,     "log",     "durable LSN moved; offset is the new one") \
X(WAL_POISON,      "log",     "a write or sync failed; nothing is acknowledged from here") \
X(WAL_SEGMENT,     "segment", "changed its state; op is the new one") \
X(WAL_RECOVER,     "log",     "a decision of recovery; op is its row") \
X(PAGE_MOVE,       "frame",   "changed its state; op is the new one") \
X(PAGE_FIX,        "frame",   "fixed") \
X(PAGE_EVICT,      "frame",   "evicted") \
X(PAGE_WRITE,      "frame",   "write-back began") \
X(ENG_STATE,       "store",   "changed its state; op is the new one") \
X(ENG_COMMIT,      "store",   "transaction committed; offset is its LSN") \
X(ENG_CHECKPOINT,  "store",   "checkpoint; op is the step, offset the redo LSN") \
X(ENG_REDO,        "store",   "record redone") \
X(SIM_FAULT,       "sim",     "a fault was injected; op is its kind") \
X(SIM_POWER,       "sim",     "power cut")
/* clang-format on */

#endif
