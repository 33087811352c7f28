/*
 * Requests of the kernel's network on a ring of keel's. Each socket has at most one receive and one
 * send in flight; it is closed when both are over, so no answer comes to memory that is gone.
 */
#include "tools/witness/socket.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"

int socket_ctx_open(struct keel_ctx **ret)
{
    static const uint8_t ops[] = {IORING_OP_ACCEPT, IORING_OP_CONNECT, IORING_OP_RECV,
                                  IORING_OP_SEND, IORING_OP_ASYNC_CANCEL};
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;

    options.method = KEEL_METHOD_URING;
    options.iopoll = KEEL_OFF;
    options.raw_ops = ops;
    options.raw_ops_count = sizeof(ops);
    return keel_ctx_open(&options, ret);
}

static void settle(struct socket *socket)
{
    if (!socket->over || socket->receiving || socket->sending || socket->fd < 0)
        return;
    close(socket->fd);
    socket->fd = -1;
    if (socket->closed)
        socket->closed(socket);
}

void socket_end(struct socket *socket, int error)
{
    if (socket->over)
        return;
    socket->over = true;
    socket->error = error;
    /* A receive in flight ends with 0. */
    shutdown(socket->fd, SHUT_RDWR);
    settle(socket);
}

/* ---------------------------------------------------------------- receiving */

static void receive(struct socket *socket);

static void prepare_recv(struct keel_raw *raw, struct io_uring_sqe *sqe)
{
    struct socket *socket = raw->user;

    sqe->opcode = IORING_OP_RECV;
    sqe->fd = socket->fd;
    sqe->addr = (uint64_t)(uintptr_t)(socket->in + socket->in_len);
    sqe->len = (uint32_t)sizeof(socket->in) - socket->in_len;
}

static bool take_frames(struct socket *socket)
{
    uint32_t at = 0;

    for (; socket->in_len - at >= WIRE_BYTES; at += WIRE_BYTES) {
        struct wire_frame frame;
        if (!wire_load(socket->in + at, &frame) || !socket->frame(socket, &frame))
            return false;
    }
    socket->in_len -= at;
    memmove(socket->in, socket->in + at, socket->in_len);
    return true;
}

static void received(struct keel_raw *raw, int32_t res, uint32_t flags, bool more)
{
    struct socket *socket = raw->user;

    (void)flags;
    KEEL_ASSERT(!more);
    socket->receiving = false;
    if (res > 0)
        socket->in_len += (uint32_t)res;
    if (res <= 0)
        socket_end(socket, res);
    else if (!take_frames(socket))
        socket_end(socket, -EPROTO);
    if (socket->over)
        settle(socket);
    else
        receive(socket);
}

static void receive(struct socket *socket)
{
    socket->receiving = true;
    socket->recv_raw = (struct keel_raw){.prep = prepare_recv, .done = received, .user = socket};
    int rc = keel_ctx_raw(socket->ctx, &socket->recv_raw);
    if (rc) {
        socket->receiving = false;
        socket_end(socket, rc);
    }
}

/* ---------------------------------------------------------------- sending */

static void prepare_send(struct keel_raw *raw, struct io_uring_sqe *sqe)
{
    struct socket *socket = raw->user;

    sqe->opcode = IORING_OP_SEND;
    sqe->fd = socket->fd;
    sqe->addr = (uint64_t)(uintptr_t)(socket->out + socket->out_done);
    sqe->len = socket->out_len - socket->out_done;
    sqe->msg_flags = MSG_NOSIGNAL;
}

static void sent(struct keel_raw *raw, int32_t res, uint32_t flags, bool more)
{
    struct socket *socket = raw->user;

    (void)flags;
    KEEL_ASSERT(!more);
    socket->sending = false;
    if (res < 0) {
        socket_end(socket, res);
        settle(socket);
        return;
    }
    socket->out_done += (uint32_t)res;
    if (socket->out_done == socket->out_len)
        socket->out_done = socket->out_len = 0;
    if (socket->over)
        settle(socket);
    else if (socket->out_len > 0)
        socket_flush(socket);
    else
        socket->ready(socket);
}

void socket_flush(struct socket *socket)
{
    if (socket->sending || socket->over || socket->out_len == 0)
        return;
    socket->sending = true;
    socket->send_raw = (struct keel_raw){.prep = prepare_send, .done = sent, .user = socket};
    int rc = keel_ctx_raw(socket->ctx, &socket->send_raw);
    if (rc) {
        socket->sending = false;
        socket_end(socket, rc);
    }
}

bool socket_put(struct socket *socket, struct wire_frame frame)
{
    /* What is being sent is the kernel's. */
    if (socket->sending || socket->out_len + WIRE_BYTES > sizeof(socket->out))
        return false;
    wire_store(socket->out + socket->out_len, frame);
    socket->out_len += WIRE_BYTES;
    return true;
}

/* ---------------------------------------------------------------- starting */

int socket_start(struct socket *socket, int fd)
{
    socket->fd = fd;
    socket->error = 0;
    socket->over = socket->receiving = socket->sending = false;
    socket->in_len = socket->out_len = socket->out_done = 0;
    receive(socket);
    return socket->over ? socket->error : 0;
}

bool socket_address(const char *text, struct sockaddr_in *ret)
{
    const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    const char *colon = strrchr(text, ':');
    struct addrinfo *found;
    char host[256];

    if (!colon || (size_t)(colon - text) >= sizeof(host))
        return false;
    snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0)
        return false;
    memcpy(ret, found->ai_addr, sizeof(*ret));
    freeaddrinfo(found);
    return true;
}
