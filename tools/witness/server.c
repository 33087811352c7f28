/*
 * Accepts on keel's loop and notes what comes. One thread, everything bounded; a host that says
 * what no host says is cut off.
 */
#include "tools/witness/server.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "tools/witness/socket.h"

#define HOSTS_MAX 16u

struct list {
    uint64_t store;
    uint64_t acked[DEMO_WRITERS_MAX];
};

struct server;

struct host {
    struct server *server;
    struct socket socket;
    struct list *list; /* of its store; NULL until HELLO */
    uint64_t noted;    /* ACKs */
    bool told;         /* SEEN is not owed */
    bool list_wanted;
    bool used;
};

struct server {
    struct keel_ctx *ctx;
    int fd;
    struct keel_raw accept_raw;
    bool accepting, over;
    int error;
    struct witness_summary *summary;
    struct host hosts[HOSTS_MAX];
    struct list lists[WITNESS_STORES_MAX];
};

/* The one server of the process, for the signal handler. Atomic: set before the handler is. */
static struct keel_ctx *_Atomic signalled_ctx;
static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
    if (signalled_ctx)
        keel_ctx_wake(signalled_ctx);
}

/* ---------------------------------------------------------------- one host */

/* What is owed, once the last is sent: first the list, then how much is noted. */
static void answer(struct host *host)
{
    struct socket *socket = &host->socket;

    if (socket->sending || socket->over)
        return;
    if (host->list_wanted) {
        uint64_t count = 0;
        host->list_wanted = false;
        for (uint32_t w = 0; w < DEMO_WRITERS_MAX; w++) {
            if (host->list->acked[w] == 0)
                continue;
            bool room =
                socket_put(socket, (struct wire_frame){WIRE_ENTRY, w, host->list->acked[w]});
            KEEL_ASSERT(room);
            count++;
        }
        bool room = socket_put(socket, (struct wire_frame){WIRE_END, 0, count});
        KEEL_ASSERT(room);
        host->told = true;
    } else if (!host->told) {
        host->told = socket_put(socket, (struct wire_frame){WIRE_SEEN, 0, host->noted});
    }
    socket_flush(socket);
}

static void host_ready(struct socket *socket)
{
    answer(socket->user);
}

static struct list *list_of(struct server *server, uint64_t store)
{
    for (uint32_t i = 0; store != 0 && i < WITNESS_STORES_MAX; i++) {
        struct list *list = &server->lists[i];
        if (list->store == 0)
            list->store = store;
        if (list->store == store)
            return list;
    }
    return NULL;
}

static bool host_frame(struct socket *socket, const struct wire_frame *frame)
{
    struct host *host = socket->user;
    struct server *server = host->server;

    server->summary->frames++;
    if (frame->type == WIRE_HELLO && !host->list)
        host->list = list_of(server, frame->number);
    else if (frame->type == WIRE_ACK && host->list) {
        if (frame->number > host->list->acked[frame->writer])
            host->list->acked[frame->writer] = frame->number;
        host->noted++;
        host->told = false;
    } else if (frame->type == WIRE_LIST && host->list)
        host->list_wanted = true;
    else
        server->summary->refused++, host->list = NULL;
    if (host->list)
        answer(host);
    return host->list != NULL;
}

static void host_closed(struct socket *socket)
{
    struct host *host = socket->user;

    host->used = false;
}

/* ---------------------------------------------------------------- accepting */

static void accept_next(struct server *server);

static void prepare_accept(struct keel_raw *raw, struct io_uring_sqe *sqe)
{
    struct server *server = raw->user;

    sqe->opcode = IORING_OP_ACCEPT;
    sqe->fd = server->fd;
    sqe->accept_flags = SOCK_CLOEXEC;
}

static void take_host(struct server *server, int fd)
{
    for (uint32_t i = 0; i < HOSTS_MAX; i++) {
        struct host *host = &server->hosts[i];
        if (host->used)
            continue;
        *host = (struct host){.server = server, .used = true, .told = true};
        host->socket.ctx = server->ctx;
        host->socket.frame = host_frame;
        host->socket.ready = host_ready;
        host->socket.closed = host_closed;
        host->socket.user = host;
        server->summary->connections++;
        keel_ignore(socket_start(&host->socket, fd), "then it is closed");
        return;
    }
    server->summary->refused++;
    close(fd);
}

static void accepted(struct keel_raw *raw, int32_t res, uint32_t flags, bool more)
{
    struct server *server = raw->user;

    (void)flags;
    (void)more;
    server->accepting = false;
    if (res >= 0)
        take_host(server, res);
    bool passing = res >= 0 || res == -ECONNABORTED || res == -EINTR || res == -EAGAIN;
    if (!server->over && passing)
        accept_next(server);
    else if (!server->over)
        server->error = res; /* no more descriptors, no network: the end */
}

static void accept_next(struct server *server)
{
    server->accept_raw =
        (struct keel_raw){.prep = prepare_accept, .done = accepted, .user = server};
    server->accepting = keel_ctx_raw(server->ctx, &server->accept_raw) == 0;
}

/* ---------------------------------------------------------------- the loop */

static void sum_up(struct server *server)
{
    struct witness_summary *summary = server->summary;

    for (uint32_t i = 0; i < WITNESS_STORES_MAX && server->lists[i].store; i++) {
        struct witness_store *store = &summary->store[summary->stores++];
        store->store = server->lists[i].store;
        for (uint32_t w = 0; w < DEMO_WRITERS_MAX; w++) {
            store->writers += server->lists[i].acked[w] > 0;
            store->acked += server->lists[i].acked[w];
        }
    }
}

static bool busy(const struct server *server)
{
    bool any = server->accepting;

    for (uint32_t i = 0; i < HOSTS_MAX; i++)
        any |= server->hosts[i].used;
    return any;
}

static int run(struct server *server)
{
    int rc = 0;

    accept_next(server);
    while (!stop && rc >= 0 && server->accepting)
        rc = keel_ctx_poll(server->ctx, 0, -1);
    server->over = true;
    shutdown(server->fd, SHUT_RDWR); /* ends the accept */
    for (uint32_t i = 0; i < HOSTS_MAX; i++) {
        if (server->hosts[i].used)
            socket_end(&server->hosts[i].socket, 0);
    }
    while (rc >= 0 && busy(server))
        rc = keel_ctx_poll(server->ctx, 0, -1);
    return rc < 0 ? rc : server->error;
}

static int listen_at(struct server *server, const struct sockaddr_in *address, uint16_t *ret_port)
{
    struct sockaddr_in bound;
    socklen_t len = sizeof(bound);
    int one = 1;

    server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (server->fd < 0 ||
        setsockopt(server->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        bind(server->fd, (const struct sockaddr *)address, sizeof(*address)) != 0 ||
        listen(server->fd, HOSTS_MAX) != 0 ||
        getsockname(server->fd, (struct sockaddr *)&bound, &len) != 0)
        return -errno;
    *ret_port = ntohs(bound.sin_port);
    return 0;
}

int witness_serve(const struct sockaddr_in *address, void (*listening)(uint16_t port),
                  struct witness_summary *ret)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct server *server = mem_alloc(sizeof(*server));
    uint16_t port = 0;

    if (!server)
        return -ENOMEM;
    *ret = (struct witness_summary){0};
    server->summary = ret;
    server->fd = -1;
    int rc = socket_ctx_open(&server->ctx);
    if (rc == 0) {
        signalled_ctx = server->ctx;
        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
        rc = listen_at(server, address, &port);
    }
    if (rc == 0) {
        listening(port);
        rc = run(server);
        sum_up(server);
    }
    signalled_ctx = NULL;
    if (server->fd >= 0)
        close(server->fd);
    keel_ctx_close(server->ctx);
    mem_free(server);
    return rc;
}
