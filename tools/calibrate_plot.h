/*
 * The picture of a profile: what a transfer costs, by its size, on logarithmic axes, as SVG.
 */
#ifndef KEEL_TOOLS_CALIBRATE_PLOT_H
#define KEEL_TOOLS_CALIBRATE_PLOT_H

#include <stdint.h>

#define PLOT_SIZES 8

struct plot {
    double cost_ns[2][2][PLOT_SIZES]; /* read, write; random, sequential; 0: not measured */
};

/* Write it to path. 0, or -1 with errno. */
int plot_write(const struct plot *plot, const uint32_t sizes[PLOT_SIZES], const char *path);

#endif
