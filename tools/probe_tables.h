/*
 * Operations, set-up flags and features of io_uring, each with the first kernel that has it. The
 * values are the kernel's ABI, written out because the headers of the build machine may be older
 * than the kernel it runs on.
 */
#ifndef KEEL_TOOLS_PROBE_TABLES_H
#define KEEL_TOOLS_PROBE_TABLES_H

/* clang-format off */
/* name, opcode, first kernel */
#define PROBE_OPS(X) \
X("NOP", 0, "5.1") \
X("READV", 1, "5.1") \
X("WRITEV", 2, "5.1") \
X("FSYNC", 3, "5.1") \
X("READ_FIXED", 4, "5.1") \
X("WRITE_FIXED", 5, "5.1") \
X("POLL_ADD", 6, "5.1") \
X("POLL_REMOVE", 7, "5.1") \
X("SYNC_FILE_RANGE", 8, "5.2") \
X("SENDMSG", 9, "5.3") \
X("RECVMSG", 10, "5.3") \
X("TIMEOUT", 11, "5.4") \
X("TIMEOUT_REMOVE", 12, "5.5") \
X("ACCEPT", 13, "5.5") \
X("ASYNC_CANCEL", 14, "5.5") \
X("LINK_TIMEOUT", 15, "5.5") \
X("CONNECT", 16, "5.5") \
X("FALLOCATE", 17, "5.6") \
X("OPENAT", 18, "5.6") \
X("CLOSE", 19, "5.6") \
X("FILES_UPDATE", 20, "5.6") \
X("STATX", 21, "5.6") \
X("READ", 22, "5.6") \
X("WRITE", 23, "5.6") \
X("FADVISE", 24, "5.6") \
X("MADVISE", 25, "5.6") \
X("SEND", 26, "5.6") \
X("RECV", 27, "5.6") \
X("OPENAT2", 28, "5.6") \
X("EPOLL_CTL", 29, "5.6") \
X("SPLICE", 30, "5.7") \
X("PROVIDE_BUFFERS", 31, "5.7") \
X("REMOVE_BUFFERS", 32, "5.7") \
X("TEE", 33, "5.8") \
X("SHUTDOWN", 34, "5.11") \
X("RENAMEAT", 35, "5.11") \
X("UNLINKAT", 36, "5.11") \
X("MKDIRAT", 37, "5.15") \
X("SYMLINKAT", 38, "5.15") \
X("LINKAT", 39, "5.15") \
X("MSG_RING", 40, "5.18") \
X("FSETXATTR", 41, "5.19") \
X("SETXATTR", 42, "5.19") \
X("FGETXATTR", 43, "5.19") \
X("GETXATTR", 44, "5.19") \
X("SOCKET", 45, "5.19") \
X("URING_CMD", 46, "5.19") \
X("SEND_ZC", 47, "6.0") \
X("SENDMSG_ZC", 48, "6.1") \
X("READ_MULTISHOT", 49, "6.7") \
X("WAITID", 50, "6.7") \
X("FUTEX_WAIT", 51, "6.7") \
X("FUTEX_WAKE", 52, "6.7") \
X("FUTEX_WAITV", 53, "6.7") \
X("FIXED_FD_INSTALL", 54, "6.8") \
X("FTRUNCATE", 55, "6.9") \
X("BIND", 56, "6.11") \
X("LISTEN", 57, "6.11") \
X("RECV_ZC", 58, "6.15") \
X("EPOLL_WAIT", 59, "6.15") \
X("READV_FIXED", 60, "6.15") \
X("WRITEV_FIXED", 61, "6.15") \
X("PIPE", 62, "6.16") \
X("NOP128", 63, "6.19") \
X("URING_CMD128", 64, "6.19")

/* name, flag, first kernel */
#define PROBE_SETUP_FLAGS(X) \
X("IOPOLL", 1u << 0, "5.1") \
X("SQPOLL", 1u << 1, "5.1") \
X("SQ_AFF", 1u << 2, "5.1") \
X("CQSIZE", 1u << 3, "5.5") \
X("CLAMP", 1u << 4, "5.6") \
X("ATTACH_WQ", 1u << 5, "5.6") \
X("R_DISABLED", 1u << 6, "5.10") \
X("SUBMIT_ALL", 1u << 7, "5.18") \
X("COOP_TASKRUN", 1u << 8, "5.19") \
X("TASKRUN_FLAG", 1u << 9, "5.19") \
X("SQE128", 1u << 10, "5.19") \
X("CQE32", 1u << 11, "5.19") \
X("SINGLE_ISSUER", 1u << 12, "6.0") \
X("DEFER_TASKRUN", 1u << 13, "6.1") \
X("NO_MMAP", 1u << 14, "6.5") \
X("REGISTERED_FD_ONLY", 1u << 15, "6.5") \
X("NO_SQARRAY", 1u << 16, "6.6") \
X("HYBRID_IOPOLL", 1u << 17, "6.13") \
X("CQE_MIXED", 1u << 18, "6.18") \
X("SQE_MIXED", 1u << 19, "6.19") \
X("SQ_REWIND", 1u << 20, "7.0")

/* name, flag, first kernel */
#define PROBE_FEATURES(X) \
X("SINGLE_MMAP", 1u << 0, "5.4") \
X("NODROP", 1u << 1, "5.5") \
X("SUBMIT_STABLE", 1u << 2, "5.5") \
X("RW_CUR_POS", 1u << 3, "5.6") \
X("CUR_PERSONALITY", 1u << 4, "5.6") \
X("FAST_POLL", 1u << 5, "5.7") \
X("POLL_32BITS", 1u << 6, "5.9") \
X("SQPOLL_NONFIXED", 1u << 7, "5.11") \
X("EXT_ARG", 1u << 8, "5.11") \
X("NATIVE_WORKERS", 1u << 9, "5.12") \
X("RSRC_TAGS", 1u << 10, "5.13") \
X("CQE_SKIP", 1u << 11, "5.17") \
X("LINKED_FILE", 1u << 12, "5.17") \
X("REG_REG_RING", 1u << 13, "6.3") \
X("RECVSEND_BUNDLE", 1u << 14, "6.10") \
X("MIN_TIMEOUT", 1u << 15, "6.12") \
X("RW_ATTR", 1u << 16, "6.14") \
X("NO_IOWAIT", 1u << 17, "6.15")
/* clang-format on */

#endif
