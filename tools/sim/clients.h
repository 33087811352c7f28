/*
 * The three clients of a world: what they do in a turn. world_run and world_settle of world.h are
 * in the same file.
 */
#ifndef KEEL_TOOLS_SIM_CLIENTS_H
#define KEEL_TOOLS_SIM_CLIENTS_H

struct world;

/* Abort the open transactions. */
void clients_stop(struct world *world);

/* Poll until every asynchronous commit has an answer, whichever. */
void clients_drain(struct world *world);

#endif
