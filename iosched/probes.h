/*
 * Static probes (USDT) of the scheduler, provider "keel", for bpftrace, perf and systemtap. One
 * no-op instruction each while nobody looks; nothing at all where <sys/sdt.h> is not installed.
 *
 *   queued      request, class, op, offset, bytes
 *   dispatched  request, class, op, offset, bytes of the command, nanoseconds that it waited
 *   completed   request, class, op, offset, result, nanoseconds that it took
 *   merged      request that carries the other, the other
 *   split       request, bytes of the piece, bytes that were left
 *   cap         major:minor of the disk (major << 32 | minor), cap before, cap now, in nanoseconds
 */
#ifndef KEEL_IOSCHED_PROBES_H
#define KEEL_IOSCHED_PROBES_H

#if defined(__has_include)
#if __has_include(<sys/sdt.h>)
#define KEEL_HAS_PROBES 1
#endif
#endif

#ifdef KEEL_HAS_PROBES
#include <sys/sdt.h>

/* Its macros leave the rest of their variadic arguments out, which -Wpedantic is against. */
#ifdef __clang__
#pragma clang diagnostic ignored "-Wgnu-zero-variadic-macro-arguments"
#endif

#define PROBE_QUEUED(io)                                                                \
    DTRACE_PROBE5(keel, queued, (io), (io)->private_.cls, (io)->op, (io)->offset_bytes, \
                  (io)->len_bytes)
/* Takes its fields by value: once it was pushed, the request is others'. */
#define PROBE_DISPATCHED(io, cls, op, offset, bytes, waited) \
    DTRACE_PROBE6(keel, dispatched, (io), (cls), (op), (offset), (bytes), (waited))
#define PROBE_COMPLETED(io, res, exec)                                                            \
    DTRACE_PROBE6(keel, completed, (io), (io)->private_.cls, (io)->op, (io)->offset_bytes, (res), \
                  (exec))
#define PROBE_MERGED(head, io) DTRACE_PROBE2(keel, merged, (head), (io))
#define PROBE_SPLIT(io)                                         \
    DTRACE_PROBE3(keel, split, (io), (io)->private_.step_bytes, \
                  (io)->len_bytes - (io)->private_.done_bytes)
#define PROBE_CAP(sched, was, now) \
    DTRACE_PROBE3(keel, cap, (uint64_t)(sched)->dev_major << 32 | (sched)->dev_minor, (was), (now))
#else
#define PROBE_QUEUED(io) ((void)(io))
#define PROBE_DISPATCHED(io, cls, op, offset, bytes, waited) \
    ((void)(io), (void)(cls), (void)(op), (void)(offset), (void)(bytes), (void)(waited))
#define PROBE_COMPLETED(io, res, exec) ((void)(io), (void)(res), (void)(exec))
#define PROBE_MERGED(head, io)         ((void)(head), (void)(io))
#define PROBE_SPLIT(io)                ((void)(io))
#define PROBE_CAP(sched, was, now)     ((void)(sched), (void)(was), (void)(now))
#endif

#endif
