/*
 * The picture of a profile. See calibrate_plot.h.
 */
#include "tools/calibrate_plot.h"

#include <math.h>
#include <stdio.h>

#define WIDTH  720.0
#define HEIGHT 440.0
#define LEFT   80.0
#define TOP    20.0
#define RIGHT  150.0
#define BOTTOM 50.0

struct frame {
    double low, high; /* powers of ten of nanoseconds */
};

static double x_of(unsigned size)
{
    return LEFT + (WIDTH - LEFT - RIGHT) * size / (PLOT_SIZES - 1);
}

static double y_of(const struct frame *frame, double ns)
{
    return TOP + (HEIGHT - TOP - BOTTOM) * (frame->high - log10(ns)) / (frame->high - frame->low);
}

static struct frame frame_of(const struct plot *plot)
{
    double least = 1e12, most = 1;

    for (unsigned i = 0; i < 4 * PLOT_SIZES; i++) {
        double ns = plot->cost_ns[i / PLOT_SIZES / 2][i / PLOT_SIZES % 2][i % PLOT_SIZES];
        if (ns > 0 && ns < least)
            least = ns;
        if (ns > most)
            most = ns;
    }
    return (struct frame){floor(log10(least < most ? least : most / 10)), ceil(log10(most * 1.01))};
}

static void draw_axes(FILE *file, const struct frame *frame, const uint32_t *sizes)
{
    for (double power = frame->low; power <= frame->high; power++) {
        double y = y_of(frame, pow(10, power));
        fprintf(file,
                "<line x1='%.0f' y1='%.1f' x2='%.0f' y2='%.1f' stroke='#ccc'/>\n"
                "<text x='%.0f' y='%.1f' text-anchor='end'>%g us</text>\n",
                LEFT, y, WIDTH - RIGHT, y, LEFT - 8, y + 4, pow(10, power - 3));
    }
    for (unsigned i = 0; i < PLOT_SIZES; i++)
        fprintf(file, "<text x='%.1f' y='%.0f' text-anchor='middle'>%uK</text>\n", x_of(i),
                HEIGHT - BOTTOM + 20, sizes[i] / 1024);
}

static void draw_line(FILE *file, const struct plot *plot, const struct frame *frame, unsigned line)
{
    static const char *const names[] = {"read random", "read sequential", "write random",
                                        "write sequential"};
    static const char *const colours[] = {"#1f77b4", "#8ab8dc", "#d62728", "#eb9a9b"};
    const double *cost = plot->cost_ns[line / 2][line % 2];

    fprintf(file, "<polyline fill='none' stroke-width='2' stroke='%s' points='", colours[line]);
    for (unsigned i = 0; i < PLOT_SIZES; i++) {
        if (cost[i] > 0)
            fprintf(file, "%.1f,%.1f ", x_of(i), y_of(frame, cost[i]));
    }
    fprintf(file, "'/>\n<text x='%.0f' y='%u' fill='%s'>%s</text>\n", WIDTH - RIGHT + 12,
            40 + 20 * line, colours[line], names[line]);
}

int plot_write(const struct plot *plot, const uint32_t sizes[PLOT_SIZES], const char *path)
{
    struct frame frame = frame_of(plot);
    FILE *file = fopen(path, "we");

    if (!file)
        return -1;
    fprintf(file,
            "<svg xmlns='http://www.w3.org/2000/svg' width='%.0f' height='%.0f' "
            "font-family='sans-serif' font-size='12'>\n<rect width='100%%' height='100%%' "
            "fill='white'/>\n",
            WIDTH, HEIGHT);
    draw_axes(file, &frame, sizes);
    for (unsigned line = 0; line < 4; line++)
        draw_line(file, plot, &frame, line);
    fprintf(file,
            "<text x='%.0f' y='%.0f'>cost of a transfer by its size, saturated</text>\n</svg>\n",
            LEFT, HEIGHT - 8);
    return fclose(file);
}
