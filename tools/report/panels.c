/*
 * Panels: one above the other over the same axis, a line in each. What `mixed` saw over time, and
 * what the weight of write-back trades for what.
 */
#include "tools/report/panels.h"

#include <math.h>
#include <string.h>

#include "tools/report/svg.h"

#define WIDTH     720.0
#define LEFT      80.0
#define RIGHT     20.0
#define TOP       34.0
#define PANEL     92.0
#define GAP       26.0
#define AXIS      34.0
#define POINT_MAX 2048u

struct panel {
    const char *title;
    /* of a point; 0: there is none there */
    double (*value)(const json_t *point);
    const char *(*text)(double value, char buf[24]);
};

static double number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static const char *text_bytes(double value, char buf[24])
{
    char rate[24];

    snprintf(buf, 24, "%.14sB/s", text_rate(value, rate));
    return buf;
}

static const char *text_seconds(double value, char buf[24])
{
    snprintf(buf, 24, "%g s", value);
    return buf;
}

static double mean_of(const json_t *point)
{
    return number(point, "commit_mean_ns");
}

static double p50_of(const json_t *point)
{
    return number(json_object_get(point, "lat_ns"), "p50");
}

static double p99_of(const json_t *point)
{
    return number(json_object_get(point, "lat_ns"), "p99");
}

static double written_of(const json_t *point)
{
    return number(point, "writeback_bytes_per_s");
}

static double cap_of(const json_t *point)
{
    return number(point, "cap_ns");
}

/* ---------------------------------------------------------------- one panel */

/* The line is broken where there is no value. */
static void draw_line(FILE *out, const json_t *points, const char *x_key, const struct panel *panel,
                      const struct scale *x, const struct scale *y)
{
    static double xs[POINT_MAX], ys[POINT_MAX];
    const json_t *point;
    unsigned count = 0;
    size_t i;

    json_array_foreach(points, i, point)
    {
        double value = panel->value(point);
        if (value <= 0 || count == POINT_MAX) {
            if (count > 1)
                svg_path(out, xs, ys, count, "curve keel");
            count = 0;
            continue;
        }
        xs[count] = scale_at(x, number(point, x_key));
        ys[count++] = scale_at(y, value);
    }
    if (count > 1)
        svg_path(out, xs, ys, count, "curve keel");
}

static bool draw_panel(FILE *out, const json_t *points, const char *x_key,
                       const struct panel *panel, const struct scale *x, double top)
{
    const json_t *point;
    double max = 0, ticks[TICKS_MAX];
    char text[24];
    size_t i;

    json_array_foreach(points, i, point)
    {
        max = fmax(max, panel->value(point));
    }
    if (max <= 0)
        return false;
    struct scale y = scale_linear(max, top + PANEL, top);
    svg_text(out, LEFT, top - 6, SVG_START, "dim", panel->title);
    unsigned count = scale_ticks(&y, ticks);
    for (unsigned at = 0; at < count; at++) {
        double place = scale_at(&y, ticks[at]);
        svg_line(out, LEFT, place, WIDTH - RIGHT, place, "grid");
        if (at % 2 == 0)
            svg_text(out, LEFT - 8, place + 4, SVG_END, "tick", panel->text(ticks[at], text));
    }
    draw_line(out, points, x_key, panel, x, &y);
    return true;
}

static double bottom_of(unsigned panels)
{
    return TOP + panels * (PANEL + GAP) - GAP;
}

static void draw_axis(FILE *out, const struct scale *x, double bottom,
                      const char *(*text)(double value, char buf[24]))
{
    double ticks[TICKS_MAX];
    unsigned count = scale_ticks(x, ticks);
    char buf[24];

    for (unsigned i = 0; i < count; i++)
        svg_text(out, scale_at(x, ticks[i]), bottom + 16, SVG_MIDDLE, "tick", text(ticks[i], buf));
}

/* ---------------------------------------------------------------- over time */

static void phase_name(const json_t *point, char buf[32])
{
    const char *phase = json_string_value(json_object_get(point, "phase"));
    const json_t *weight = json_object_get(point, "weight");

    if (json_is_integer(weight))
        snprintf(buf, 32, "%lld", (long long)json_integer_value(weight));
    else
        snprintf(buf, 32, "%.24s", phase ? phase : "");
}

/* A line where a phase begins, and its name above. */
static void draw_phases(FILE *out, const json_t *points, const struct scale *x, double bottom)
{
    char last[32] = "", name[32];
    const json_t *point;
    double before = 0;
    size_t i;

    json_array_foreach(points, i, point)
    {
        phase_name(point, name);
        if (strcmp(name, last) != 0) {
            double at = scale_at(x, before);
            svg_line(out, at, TOP - 18, at, bottom, "grid");
            svg_text(out, at + 3, TOP - 20, SVG_START, "tick", name);
            memcpy(last, name, sizeof(last));
        }
        before = number(point, "s");
    }
}

bool chart_series(FILE *out, const json_t *run)
{
    static const struct panel panels[] = {{"a commit takes, mean", mean_of, text_ns},
                                          {"write-back", written_of, text_bytes},
                                          {"the cap below READ", cap_of, text_ns}};
    const json_t *points = json_object_get(json_object_get(run, "result"), "series"), *point;
    double max = 0, bottom = bottom_of(3);
    size_t i;

    json_array_foreach(points, i, point)
    {
        max = fmax(max, number(point, "s"));
    }
    if (max <= 0)
        return false;
    struct scale x = {.max = max, .from = LEFT, .to = WIDTH - RIGHT};
    svg_begin(out, WIDTH, bottom + AXIS, "over time");
    draw_phases(out, points, &x, bottom);
    for (unsigned at = 0; at < 3; at++)
        draw_panel(out, points, "s", &panels[at], &x, TOP + at * (PANEL + GAP));
    draw_axis(out, &x, bottom, text_seconds);
    svg_end(out);
    return true;
}

/* ---------------------------------------------------------------- over the weight */

bool chart_weights(FILE *out, const json_t *run)
{
    static const struct panel panels[] = {{"a commit takes, median", p50_of, text_ns},
                                          {"and 99 percent", p99_of, text_ns},
                                          {"write-back", written_of, text_bytes}};
    const json_t *points = json_object_get(json_object_get(run, "result"), "weights"), *point;
    double min = INFINITY, max = 0, bottom = bottom_of(3);
    size_t i;

    json_array_foreach(points, i, point)
    {
        double weight = number(point, "weight");
        min = weight > 0 ? fmin(min, weight) : min;
        max = fmax(max, weight);
    }
    if (max <= 0)
        return false;
    struct scale x = scale_log(min, max, LEFT, WIDTH - RIGHT);
    svg_begin(out, WIDTH, bottom + AXIS, "over the weight of write-back");
    for (unsigned at = 0; at < 3; at++)
        draw_panel(out, points, "weight", &panels[at], &x, TOP + at * (PANEL + GAP));
    draw_axis(out, &x, bottom, text_rate);
    svg_end(out);
    return true;
}
