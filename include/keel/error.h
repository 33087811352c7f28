/*
 * Errors: every function of keel that can fail returns an int, 0 or a negative code.
 *
 * - -1 .. -4095 are errno values as the kernel gave them.
 * - -5000 and below are keel's own, from the one table below. To add one, add a row: the enum, the
 *   name, the text, the errno, the class and the page in docs/reference all come from it.
 *
 * The class says what a caller can do:
 *   RETRY    nothing happened; the same call may succeed later
 *   REQUEST  this call cannot succeed as it was made; nothing else is affected
 *   CORRUPT  the bytes read are not the bytes written
 *   FATAL    durability is unknown; only closing and opening again decides
 *
 * All functions here are pure, may be called from any thread and from a signal handler, and lend
 * strings that are valid for ever.
 */
#ifndef KEEL_ERROR_H
#define KEEL_ERROR_H

#include <errno.h>
#include <stdint.h>

#include <keel/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* clang-format off */
/* name, value, errno parent, class, sentence */
#define KEEL_ERRORS(X) \
X(KEEL_PENDING,     -5000, EINPROGRESS, RETRY,   "started but not finished; poll the context and call again") \
X(KEEL_EFULL,       -5001, EAGAIN,      RETRY,   "a bounded queue or pool is full; poll the context and try again") \
X(KEEL_ELOGFULL,    -5002, ENOSPC,      RETRY,   "the log has no free space; let a checkpoint finish and try again, or give the log more room") \
X(KEEL_EDEADLK,     -5003, EDEADLK,     RETRY,   "pages were asked for out of order and one is held elsewhere; abort the transaction and begin again") \
X(KEEL_ESTALE,      -5004, ESTALE,      RETRY,   "a checkpoint began after this decision was made; make it again") \
X(KEEL_EBUSY,       -5005, EBUSY,       RETRY,   "the object is in use; release it or wait, then try again") \
X(KEEL_EOPTION,     -5100, EINVAL,      REQUEST, "an option is out of its range or contradicts another; see the error's object and correct it") \
X(KEEL_EALIGN,      -5101, EINVAL,      REQUEST, "address, offset or length is not aligned as the device demands; align it to the device's geometry") \
X(KEEL_ERANGE,      -5102, ERANGE,      REQUEST, "offset or length lies outside the object; stay within its size") \
X(KEEL_ETXSIZE,     -5103, E2BIG,       REQUEST, "the transaction is larger than the log can take at once; split it or raise the limit at open") \
X(KEEL_EDIRECT,     -5104, EOPNOTSUPP,  REQUEST, "the file system has no O_DIRECT; use another one, or set direct to PREFERRED or OFF") \
X(KEEL_EMETHOD,     -5105, ENOSYS,      REQUEST, "a required method cannot be had on this kernel or device; see keel probe for why, or relax the requirement") \
X(KEEL_ENOTSUP,     -5106, EOPNOTSUPP,  REQUEST, "the device or method cannot do this operation; ask its abilities first") \
X(KEEL_EACCESS,     -5107, EACCES,      REQUEST, "no permission; give this user the right to the file or device") \
X(KEEL_ENOTEMPTY,   -5108, ENOTEMPTY,   REQUEST, "the folder or device holds something else and no store; name an empty one or an existing store, or allow a device to be overwritten") \
X(KEEL_EFORMAT,     -5109, EINVAL,      REQUEST, "this is not a keel file; check the path") \
X(KEEL_EVERSION,    -5110, EPROTO,      REQUEST, "the file was written by a newer version; open it with that version") \
X(KEEL_EINUSE,      -5111, EBUSY,       REQUEST, "another process or handle has it open; close that one first") \
X(KEEL_ENOSPACE,    -5112, ENOSPC,      REQUEST, "the file system or device is full; make room, the object kept its old size") \
X(KEEL_ENOTFOUND,   -5113, ENOENT,      REQUEST, "there is no such object; check the name") \
X(KEEL_ENOPAGE,     -5114, ENOENT,      REQUEST, "the page was never written; allocate it first") \
X(KEEL_ESPACEFULL,  -5115, ENOSPC,      REQUEST, "the space is at its largest size; raise its limit or free pages") \
X(KEEL_ECLOSED,     -5116, ESHUTDOWN,   REQUEST, "the object is closed or closing; open it again") \
X(KEEL_EPARTITIONED, -5117, EBUSY,      REQUEST, "the disk is divided into partitions; name one of them, or remove the partition table first") \
X(KEEL_EGEOMETRY,   -5118, EOPNOTSUPP,  REQUEST, "the device is formatted in a way that keel cannot use, see the error's operation; format it otherwise or name another") \
X(KEEL_ESHARED,     -5119, EBUSY,       REQUEST, "other controllers may reach this namespace; make sure that nobody else writes to it, and say that it is shared") \
X(KEEL_EGONE,       -5120, ESTALE,      REQUEST, "the log no longer holds this LSN, its space is used again; begin again from a copy, and hold the log from there on") \
X(KEEL_ELSN,        -5121, EINVAL,      REQUEST, "this LSN lies within a record; begin at one that keel gave, of a record or the end of a group") \
X(KEEL_ECHECKSUM,   -5200, EIO,         CORRUPT, "the checksum does not match; the bytes read are not the bytes written, restore them from a copy") \
X(KEEL_ECORRUPT,    -5201, EIO,         CORRUPT, "the log is damaged below a durable promise; nothing was cut off, look at it with keel wal verify") \
X(KEEL_ESUPER,      -5202, EIO,         CORRUPT, "too few good copies of a superblock; restore the file from a copy") \
X(KEEL_EREAD,       -5203, EIO,         CORRUPT, "the device could not read; this is never taken for a torn tail, check the device") \
X(KEEL_EPOISON,     -5300, EIO,         FATAL,   "a write or sync of the log failed and durability is unknown; close and open the store again") \
X(KEEL_EREADONLY,   -5301, EROFS,       FATAL,   "the store is read-only since an earlier failure; close and open it again") \
X(KEEL_EKERNEL,     -5302, EIO,         FATAL,   "the kernel broke its contract; close the store and report the kernel's version")
/* clang-format on */

/* The codes: KEEL_PENDING, KEEL_EFULL, ... */
enum keel_error {
#define KEEL_ERROR_MEMBER(name, value, parent, class_, sentence) name = (value),
    KEEL_ERRORS(KEEL_ERROR_MEMBER)
#undef KEEL_ERROR_MEMBER
};

enum keel_err_class {
    KEEL_CLASS_NONE = 0, /* not an error: 0 or positive */
    KEEL_CLASS_RETRY,
    KEEL_CLASS_REQUEST,
    KEEL_CLASS_CORRUPT,
    KEEL_CLASS_FATAL,
};

/* Where and on what the last error of a handle happened. Fields that say nothing are 0 or empty. */
struct keel_err_info {
    int code;        /* the code that was returned */
    const char *op;  /* what was being done, a constant string; may be NULL */
    char object[96]; /* on what: path, option, page or LSN as text */
    uint64_t offset; /* where in it */
    uint64_t want;   /* what was expected there */
    uint64_t got;    /* what was found */
};

/* Name of a code: "KEEL_ECHECKSUM", "EIO", "OK" for 0 and above, "UNKNOWN" for anything else. */
KEEL_PUBLIC const char *keel_err_name(int code);

/* What is wrong and, for keel's own codes, what to do about it. */
KEEL_PUBLIC const char *keel_err_text(int code);

/* The positive errno value that comes nearest; 0 for 0 and above. */
KEEL_PUBLIC int keel_err_errno(int code);

/* The class. Errno values are classed too: EAGAIN is RETRY, EIO is CORRUPT, ENODEV is FATAL. */
KEEL_PUBLIC enum keel_err_class keel_err_class(int code);

/* "retry", "request", "corrupt", "fatal", "none". */
KEEL_PUBLIC const char *keel_err_class_name(enum keel_err_class cls);

#ifdef __cplusplus
}
#endif

#endif
