/*
 * One TCP connection on keel's loop, for host and witness: accept, connect, recv and send go
 * through keel_ctx_raw, beside whatever else the context does.
 */
#ifndef KEEL_TOOLS_WITNESS_SOCKET_H
#define KEEL_TOOLS_WITNESS_SOCKET_H

#include <netinet/in.h>

#include <keel/iosched.h>

#include "tools/witness/wire.h"

#define SOCKET_FRAMES (DEMO_WRITERS_MAX + 1u) /* room for a whole list, each way */

struct socket {
    struct keel_ctx *ctx;
    int fd;    /* -1: closed */
    int error; /* negative errno that ended it; 0: the other side did */
    bool over; /* nothing comes any more; closed once nothing is in flight */
    bool receiving, sending;
    struct keel_raw recv_raw, send_raw;
    uint8_t in[SOCKET_FRAMES * WIRE_BYTES], out[SOCKET_FRAMES * WIRE_BYTES];
    uint32_t in_len, out_len, out_done;
    /* A frame has come; false ends the connection. */
    bool (*frame)(struct socket *socket, const struct wire_frame *frame);
    void (*ready)(struct socket *socket);  /* what was to be sent is sent */
    void (*closed)(struct socket *socket); /* nothing is in flight, fd is closed; may be NULL */
    void *user;
};

/* A context that may do what sockets need. KEEL_EMETHOD where there is no io_uring, -errno. */
int socket_ctx_open(struct keel_ctx **ret);

/* Begin to receive on a connected descriptor (taken). ctx, frame, ready, closed, user: set by the
 * caller. Owner thread of ctx. */
int socket_start(struct socket *socket, int fd);
/* Append a frame; false: no room, wait for ready. */
bool socket_put(struct socket *socket, struct wire_frame frame);
/* Send what was appended, if nothing is being sent. */
void socket_flush(struct socket *socket);
void socket_end(struct socket *socket, int error);

/* "HOST:PORT", IPv4 or a name. False when it is not one. Blocks for the name. */
bool socket_address(const char *text, struct sockaddr_in *ret);

#endif
