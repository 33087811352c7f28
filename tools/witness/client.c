/*
 * Everything runs on one context of the caller's thread, which polls it.
 */
#include "tools/witness/client.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"

/* ---------------------------------------------------------------- connecting */

struct connecting {
    struct sockaddr_in address;
    int fd;
    int32_t res;
    bool over;
};

static void prepare_connect(struct keel_raw *raw, struct io_uring_sqe *sqe)
{
    struct connecting *connecting = raw->user;

    sqe->opcode = IORING_OP_CONNECT;
    sqe->fd = connecting->fd;
    sqe->addr = (uint64_t)(uintptr_t)&connecting->address;
    sqe->off = sizeof(connecting->address);
}

static void connected(struct keel_raw *raw, int32_t res, uint32_t flags, bool more)
{
    struct connecting *connecting = raw->user;

    (void)flags;
    (void)more;
    connecting->res = res;
    connecting->over = true;
}

static int connect_to(struct keel_ctx *ctx, const struct sockaddr_in *address, int *ret_fd)
{
    struct connecting connecting = {.address = *address};
    struct keel_raw raw = {.prep = prepare_connect, .done = connected, .user = &connecting};

    connecting.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connecting.fd < 0)
        return -errno;
    int rc = keel_ctx_raw(ctx, &raw);
    while (rc >= 0 && !connecting.over)
        rc = keel_ctx_poll(ctx, 0, -1);
    rc = rc < 0 ? rc : connecting.res;
    if (rc < 0) {
        close(connecting.fd);
        return rc;
    }
    *ret_fd = connecting.fd;
    return 0;
}

/* ---------------------------------------------------------------- frames */

static bool client_frame(struct socket *socket, const struct wire_frame *frame)
{
    struct witness *witness = socket->user;

    if (frame->type == WIRE_SEEN)
        witness->seen = frame->number;
    else if (frame->type == WIRE_ENTRY)
        witness->list[frame->writer] = frame->number;
    else if (frame->type == WIRE_END)
        witness->list_complete = true;
    else
        return false;
    return true;
}

static void client_ready(struct socket *socket)
{
    (void)socket; /* the caller's next turn sends what is new */
}

int witness_open(struct witness *witness, const struct sockaddr_in *address, uint64_t store)
{
    int fd = -1;

    *witness = (struct witness){0};
    witness->socket.fd = -1;
    int rc = socket_ctx_open(&witness->ctx);
    if (rc)
        return rc;
    witness->socket.ctx = witness->ctx;
    witness->socket.frame = client_frame;
    witness->socket.ready = client_ready;
    witness->socket.user = witness;
    rc = connect_to(witness->ctx, address, &fd);
    if (rc == 0)
        rc = socket_start(&witness->socket, fd);
    if (rc == 0) {
        bool room = socket_put(&witness->socket, (struct wire_frame){WIRE_HELLO, 0, store});
        KEEL_ASSERT(room);
        socket_flush(&witness->socket);
        return 0;
    }
    witness_close(witness);
    return rc;
}

bool witness_tell(struct witness *witness, const uint64_t acked[DEMO_WRITERS_MAX])
{
    struct socket *socket = &witness->socket;

    for (uint32_t w = 0; w < DEMO_WRITERS_MAX && !socket->sending; w++) {
        if (acked[w] <= witness->sent[w])
            continue;
        if (!socket_put(socket, (struct wire_frame){WIRE_ACK, w, acked[w]}))
            break;
        witness->sent[w] = acked[w];
        witness->frames++;
    }
    socket_flush(socket);
    return keel_ctx_poll(witness->ctx, 0, 0) >= 0 && !socket->over;
}

bool witness_settle(struct witness *witness, const uint64_t acked[DEMO_WRITERS_MAX])
{
    bool alive = witness_tell(witness, acked);

    for (;;) {
        bool all = witness->seen == witness->frames;
        for (uint32_t w = 0; w < DEMO_WRITERS_MAX; w++)
            all = all && acked[w] <= witness->sent[w];
        if (all || !alive)
            return all;
        alive = keel_ctx_poll(witness->ctx, 0, -1) >= 0 && witness_tell(witness, acked);
    }
}

bool witness_ask(struct witness *witness)
{
    struct socket *socket = &witness->socket;
    bool asked = false;

    witness->list_complete = false;
    while (!witness->list_complete && !socket->over) {
        if (!asked)
            asked = socket_put(socket, (struct wire_frame){WIRE_LIST, 0, 0});
        socket_flush(socket);
        if (keel_ctx_poll(witness->ctx, 0, -1) < 0)
            break;
    }
    return witness->list_complete;
}

void witness_close(struct witness *witness)
{
    struct socket *socket = &witness->socket;

    if (socket->fd >= 0)
        socket_end(socket, 0);
    while (socket->fd >= 0 && keel_ctx_poll(witness->ctx, 0, -1) >= 0)
        ;
    keel_ctx_close(witness->ctx);
    witness->ctx = NULL;
}
