/*
 * The host's side: tells a witness what was acknowledged, and asks it for its list.
 */
#ifndef KEEL_TOOLS_WITNESS_CLIENT_H
#define KEEL_TOOLS_WITNESS_CLIENT_H

#include "tools/witness/socket.h"

struct witness {
    struct keel_ctx *ctx;
    struct socket socket;
    uint64_t sent[DEMO_WRITERS_MAX]; /* highest number told, of each writer */
    uint64_t frames, seen;           /* ACKs told; noted by the witness */
    uint64_t list[DEMO_WRITERS_MAX];
    bool list_complete;
};

/* Connect. store: which one it will be about. Blocks. 0, KEEL_EMETHOD (no io_uring), -errno. */
int witness_open(struct witness *witness, const struct sockaddr_in *address, uint64_t store);
/* Tell what is new of it; does not wait. False: the witness is gone (witness->socket.error). */
bool witness_tell(struct witness *witness, const uint64_t acked[DEMO_WRITERS_MAX]);
/* Until the witness has noted everything in acked. */
bool witness_settle(struct witness *witness, const uint64_t acked[DEMO_WRITERS_MAX]);
/* Ask for the list: witness->list. Blocks. False: the witness is gone. */
bool witness_ask(struct witness *witness);
void witness_close(struct witness *witness);

#endif
