/*
 * The witness: remembers, for each store, the highest transaction of each writer that a host said
 * was acknowledged, and tells it when asked.
 */
#ifndef KEEL_TOOLS_WITNESS_SERVER_H
#define KEEL_TOOLS_WITNESS_SERVER_H

#include <netinet/in.h>
#include <stdint.h>

#define WITNESS_STORES_MAX 64u

struct witness_store {
    uint64_t store; /* which; 0: unused */
    uint32_t writers;
    uint64_t acked; /* sum over the writers */
};

struct witness_summary {
    uint64_t connections, frames, refused;
    uint32_t stores;
    struct witness_store store[WITNESS_STORES_MAX];
};

/* Listen at the address and serve until SIGINT or SIGTERM. listening: called once with the port.
 * Blocks. 0, KEEL_EMETHOD (no io_uring), -errno. */
int witness_serve(const struct sockaddr_in *address, void (*listening)(uint16_t port),
                  struct witness_summary *ret);

#endif
