/*
 * Rows of bars and dots, a square of cells, a curve.
 */
#include "tools/report/charts.h"

#include <math.h>
#include <string.h>

#include "tools/report/svg.h"

#define WIDTH      720.0
#define LABELS     120.0 /* left of the bars */
#define VALUES     150.0 /* right of them */
#define ROW        34.0
#define TOP        14.0
#define AXIS       34.0
#define SERIES_MAX 10u

static double number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static const char *string(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

/* ---------------------------------------------------------------- series */

/* Ours and the peers, or whatever else has latencies: one row each. */
struct series {
    const char *name;
    const json_t *object; /* has ops_per_s, rounds */
    const json_t *lat;    /* percentiles */
    double ratio;         /* ours over theirs; 0: ours, or not known */
};

static unsigned collect(const json_t *run, struct series series[SERIES_MAX])
{
    const json_t *result = json_object_get(run, "result"), *peer;
    unsigned count = 0;
    size_t i;

    if (!json_is_object(result))
        return 0;
    series[count++] = (struct series){"keel", result, json_object_get(result, "lat_ns"), 0};
    json_array_foreach(json_object_get(run, "versus"), i, peer)
    {
        if (count == SERIES_MAX || number(peer, "ops_per_s") <= 0)
            continue;
        series[count++] = (struct series){string(peer, "name"), peer,
                                          json_object_get(peer, "lat_ns"), number(peer, "ratio")};
    }
    return count;
}

static const char *class_of(unsigned index, char buf[16])
{
    if (index == 0)
        return "keel";
    snprintf(buf, 16, "p%u", (index - 1) % 4 + 1);
    return buf;
}

static void axis(FILE *out, const struct scale *scale, double top, double bottom,
                 const char *(*text)(double value, char buf[24]))
{
    double ticks[TICKS_MAX];
    unsigned count = scale_ticks(scale, ticks);

    for (unsigned i = 0; i < count; i++) {
        char buf[24];
        double x = scale_at(scale, ticks[i]);
        svg_line(out, x, top, x, bottom, "grid");
        svg_text(out, x, bottom + 16, SVG_MIDDLE, "tick", text(ticks[i], buf));
    }
}

/* ---------------------------------------------------------------- rates */

static void rate_row(FILE *out, const struct series *series, unsigned index, double y,
                     const struct scale *scale)
{
    double median = number(series->object, "ops_per_s");
    char class[16], text[24], value[64], hint[96];
    const json_t *round;
    size_t i;

    class_of(index, class);
    const char *name = index == 0 ? "keel" : class;
    svg_text(out, LABELS - 10, y + 5, SVG_END, index == 0 ? "label strong" : "label", series->name);
    snprintf(hint, sizeof(hint), "%s: median %s/s", series->name, text_rate(median, text));
    svg_rect(out, scale->from, y - 9, scale_at(scale, median) - scale->from, 18, name,
             "fill-opacity:.28", hint);
    json_array_foreach(json_object_get(series->object, "rounds"), i, round)
    {
        snprintf(hint, sizeof(hint), "%s, round %zu: %s/s", series->name, i + 1,
                 text_rate(json_number_value(round), text));
        svg_dot(out, scale_at(scale, json_number_value(round)), y, 4, name, hint);
    }
    snprintf(value, sizeof(value), "%s/s", text_rate(median, text));
    svg_text(out, WIDTH - VALUES + 14, y + 5, SVG_START, index == 0 ? "label strong" : "label",
             value);
    if (series->ratio > 0) {
        snprintf(value, sizeof(value), "keel %.2f\xc3\x97", series->ratio);
        svg_text(out, WIDTH, y + 5, SVG_END, "dim", value);
    }
}

bool chart_rates(FILE *out, const json_t *run)
{
    struct series series[SERIES_MAX];
    unsigned count = collect(run, series);
    double max = 0;

    /* One bar by itself says no more than its figure. */
    if (count < 2 && json_array_size(json_object_get(series[0].object, "rounds")) < 2)
        return false;
    for (unsigned i = 0; i < count; i++) {
        const json_t *round;
        size_t at;
        max = fmax(max, number(series[i].object, "ops_per_s"));
        json_array_foreach(json_object_get(series[i].object, "rounds"), at, round)
        {
            max = fmax(max, json_number_value(round));
        }
    }
    if (max <= 0)
        return false;
    double bottom = TOP + count * ROW;
    struct scale scale = scale_linear(max, LABELS, WIDTH - VALUES);
    svg_begin(out, WIDTH, bottom + AXIS, "rates");
    axis(out, &scale, TOP, bottom, text_rate);
    for (unsigned i = 0; i < count; i++)
        rate_row(out, &series[i], i, TOP + ROW * (i + 0.5), &scale);
    svg_end(out);
    return true;
}

/* ---------------------------------------------------------------- latencies */

static const struct {
    const char *key, *name;
    double radius;
} percentiles[] = {
    {"p50", "median", 6.5}, {"p90", "90%", 4.5},     {"p99", "99%", 4.5},
    {"p999", "99.9%", 3.5}, {"max", "largest", 2.5},
};
#define PERCENTILES (sizeof(percentiles) / sizeof(percentiles[0]))

/* Further latencies of a run: those of the modes that `mixed` compares, of reads and updates. */
static unsigned collect_latencies(const json_t *run, struct series series[SERIES_MAX])
{
    static const struct {
        const char *key, *name;
    } more[] = {{"idle_lat_ns", "idle"},
                {"off_lat_ns", "sched off"},
                {"read_lat_ns", "reads"},
                {"update_lat_ns", "updates"}};
    const json_t *result = json_object_get(run, "result");
    unsigned count = collect(run, series), kept = 0;

    for (size_t i = 0; i < sizeof(more) / sizeof(more[0]) && count < SERIES_MAX; i++) {
        const json_t *lat = json_object_get(result, more[i].key);
        if (json_is_object(lat))
            series[count++] = (struct series){more[i].name, result, lat, 0};
    }
    for (unsigned i = 0; i < count; i++) {
        if (number(series[i].lat, "p50") > 0)
            series[kept++] = series[i];
    }
    return kept;
}

static void latency_row(FILE *out, const struct series *series, unsigned index, double y,
                        const struct scale *scale)
{
    char class[16], text[24], hint[96], value[64];
    const char *name = index == 0 ? "keel" : class_of(index, class);
    double first = 0, last = 0;

    svg_text(out, LABELS - 10, y + 5, SVG_END, index == 0 ? "label strong" : "label", series->name);
    for (size_t i = 0; i < PERCENTILES; i++) {
        double ns = number(series->lat, percentiles[i].key);
        if (ns <= 0)
            continue;
        first = first > 0 ? first : ns;
        last = fmax(last, ns);
    }
    snprintf(hint, sizeof(hint), "stem %s", name);
    svg_line(out, scale_at(scale, first), y, scale_at(scale, last), y, hint);
    for (size_t i = 0; i < PERCENTILES; i++) {
        double ns = number(series->lat, percentiles[i].key);
        if (ns <= 0)
            continue;
        snprintf(hint, sizeof(hint), "%s, %s: %s", series->name, percentiles[i].name,
                 text_ns(ns, text));
        svg_dot(out, scale_at(scale, ns), y, percentiles[i].radius, name, hint);
    }
    char p99[24];
    snprintf(value, sizeof(value), "%s \xc2\xb7 %s", text_ns(number(series->lat, "p50"), text),
             text_ns(number(series->lat, "p99"), p99));
    svg_text(out, WIDTH - VALUES + 14, y + 5, SVG_START, index == 0 ? "label strong" : "label",
             value);
}

bool chart_latencies(FILE *out, const json_t *run)
{
    struct series series[SERIES_MAX];
    unsigned count = collect_latencies(run, series);
    double min = INFINITY, max = 0;

    for (unsigned i = 0; i < count; i++) {
        for (size_t p = 0; p < PERCENTILES; p++) {
            double ns = number(series[i].lat, percentiles[p].key);
            min = ns > 0 ? fmin(min, ns) : min;
            max = fmax(max, ns);
        }
    }
    if (count == 0 || max <= 0)
        return false;
    double bottom = TOP + 8 + count * ROW;
    struct scale scale = scale_log(min, max, LABELS, WIDTH - VALUES);
    svg_begin(out, WIDTH, bottom + AXIS, "latencies");
    svg_text(out, WIDTH - VALUES + 14, TOP, SVG_START, "dim", "median \xc2\xb7 99%");
    axis(out, &scale, TOP + 8, bottom, text_ns);
    for (unsigned i = 0; i < count; i++)
        latency_row(out, &series[i], i, TOP + 8 + ROW * (i + 0.5), &scale);
    svg_end(out);
    return true;
}

/* ---------------------------------------------------------------- the ladder */

static void rung_row(FILE *out, const json_t *rung, double y, const struct scale *scale)
{
    const char *why = string(rung, "why_not");
    double rate = number(rung, "ops_per_s"), cpu = number(rung, "cpu_ns_per_op");
    char text[24], ns[24], value[96], hint[256];

    svg_text(out, LABELS - 10, y + 5, SVG_END, "label", string(rung, "name"));
    if (why[0]) {
        /* As much as there is room for; the rest when pointed at. */
        snprintf(value, sizeof(value), "did not run: %.60s%s", why, strlen(why) > 60 ? "..." : "");
        svg_text(out, scale->from + 6, y + 5, SVG_START, "dim", value);
        return;
    }
    snprintf(hint, sizeof(hint), "%s: %s reads/s, %s of CPU a read, %.3f calls; %.120s",
             string(rung, "name"), text_rate(rate, text), text_ns(cpu, ns),
             number(rung, "calls_per_op"), string(rung, "adds"));
    svg_rect(out, scale->from, y - 10, scale_at(scale, rate) - scale->from, 20, "keel",
             "fill-opacity:.75", hint);
    snprintf(value, sizeof(value), "%s/s", text_rate(rate, text));
    svg_text(out, WIDTH - VALUES + 14, y + 5, SVG_START, "label", value);
    snprintf(value, sizeof(value), "%s CPU", text_ns(cpu, ns));
    svg_text(out, WIDTH, y + 5, SVG_END, "dim", value);
}

bool chart_ladder(FILE *out, const json_t *run)
{
    const json_t *rungs = json_object_get(json_object_get(run, "result"), "rungs"), *rung;
    double max = 0;
    size_t i;

    json_array_foreach(rungs, i, rung)
    {
        max = fmax(max, number(rung, "ops_per_s"));
    }
    if (max <= 0)
        return false;
    double bottom = TOP + ROW * (double)json_array_size(rungs);
    struct scale scale = scale_linear(max, LABELS, WIDTH - VALUES);
    svg_begin(out, WIDTH, bottom + AXIS, "the ladder");
    axis(out, &scale, TOP, bottom, text_rate);
    json_array_foreach(rungs, i, rung)
    {
        rung_row(out, rung, TOP + ROW * ((double)i + 0.5), &scale);
    }
    svg_end(out);
    return true;
}

/* ---------------------------------------------------------------- the map */

#define CELL_W 112.0
#define CELL_H 38.0

static void map_cell(FILE *out, const json_t *cell, const char *percentile, double low, double high)
{
    double ns = number(json_object_get(cell, "read_lat_ns"), percentile);
    double x = LABELS + (number(cell, "read_percent") / 25 - 1) * (CELL_W + 3);
    double y = TOP + 22 + number(cell, "write_percent") / 25 * (CELL_H + 3);
    double part = high > low ? log(ns / low) / log(high / low) : 0;
    char style[64], text[24], value[32], rate[24], hint[160];

    snprintf(style, sizeof(style), "fill:hsl(%.0f 62%% %.0f%%)", 190 - 175 * part, 78 - 24 * part);
    snprintf(hint, sizeof(hint), "%s reads/s beside %.0f MB/s of writes: %s%s",
             text_rate(number(cell, "reads_per_s"), rate), number(cell, "write_bytes_per_s") / 1e6,
             text_ns(ns, text),
             json_is_true(json_object_get(cell, "short")) ? "; not both can be reached" : "");
    svg_rect(out, x, y, CELL_W, CELL_H, "cell", style, hint);
    snprintf(value, sizeof(value), "%s%s", text,
             json_is_true(json_object_get(cell, "short")) ? " *" : "");
    svg_text(out, x + CELL_W / 2, y + CELL_H / 2 + 5, SVG_MIDDLE, "cell-text", value);
}

bool chart_map(FILE *out, const json_t *run, const char *percentile)
{
    const json_t *map = json_object_get(json_object_get(run, "result"), "map"), *cell;
    double low = INFINITY, high = 0;
    char title[64], label[32];
    size_t i;

    json_array_foreach(map, i, cell)
    {
        double ns = number(json_object_get(cell, "read_lat_ns"), percentile);
        low = ns > 0 ? fmin(low, ns) : low;
        high = fmax(high, ns);
    }
    if (high <= 0)
        return false;
    snprintf(title, sizeof(title), "%s of reads", percentile);
    svg_begin(out, WIDTH, TOP + 22 + 5 * (CELL_H + 3) + 8, title);
    for (unsigned step = 0; step < 5; step++) {
        snprintf(label, sizeof(label), "writes %u%%", step * 25);
        svg_text(out, LABELS - 10, TOP + 22 + step * (CELL_H + 3) + CELL_H / 2 + 5, SVG_END,
                 "label", label);
        snprintf(label, sizeof(label), "reads %u%%", step * 25);
        if (step > 0)
            svg_text(out, LABELS + (step - 1) * (CELL_W + 3) + CELL_W / 2, TOP + 10, SVG_MIDDLE,
                     "label", label);
    }
    json_array_foreach(map, i, cell)
    {
        if (json_is_object(json_object_get(cell, "read_lat_ns")))
            map_cell(out, cell, percentile, low, high);
    }
    svg_end(out);
    return true;
}

/* ---------------------------------------------------------------- a curve */

#define CURVE_H   200.0
#define POINT_MAX 64u

static void curve_line(FILE *out, const json_t *curve, const char *key, const char *class,
                       const struct scale *x, const struct scale *y)
{
    double xs[POINT_MAX], ys[POINT_MAX];
    unsigned count = 0;
    const json_t *point;
    char hint[96], text[24], pages[24], line[24];
    size_t i;

    json_array_foreach(curve, i, point)
    {
        if (number(point, key) <= 0 || count == POINT_MAX)
            continue;
        xs[count] = scale_at(x, number(point, "pages"));
        ys[count++] = scale_at(y, number(point, key));
    }
    snprintf(line, sizeof(line), "curve %s", class);
    svg_path(out, xs, ys, count, line);
    json_array_foreach(curve, i, point)
    {
        if (number(point, key) <= 0)
            continue;
        snprintf(hint, sizeof(hint), "%s pages: %s", text_rate(number(point, "pages"), pages),
                 text_ns(number(point, key), text));
        svg_dot(out, scale_at(x, number(point, "pages")), scale_at(y, number(point, key)), 3.5,
                class, hint);
    }
}

bool chart_curve(FILE *out, const json_t *run)
{
    const json_t *curve = json_object_get(json_object_get(run, "result"), "curve"), *point;
    double min = INFINITY, max = 0, top = 0, ticks[TICKS_MAX];
    size_t i;

    json_array_foreach(curve, i, point)
    {
        min = fmin(min, number(point, "pages"));
        max = fmax(max, number(point, "pages"));
        top = fmax(top, fmax(number(point, "ns"), number(point, "bare_ns")));
    }
    if (max <= 0 || top <= 0)
        return false;
    struct scale x = scale_log(min, max, LABELS, WIDTH - 40);
    struct scale y = scale_linear(top, TOP + CURVE_H, TOP);
    svg_begin(out, WIDTH, TOP + CURVE_H + AXIS, "time over pages");
    axis(out, &x, TOP, TOP + CURVE_H, text_rate);
    unsigned count = scale_ticks(&y, ticks);
    for (unsigned at = 0; at < count; at++) {
        char text[24];
        double place = scale_at(&y, ticks[at]);
        svg_line(out, LABELS, place, WIDTH - 40, place, "grid");
        svg_text(out, LABELS - 10, place + 4, SVG_END, "tick", text_ns(ticks[at], text));
    }
    curve_line(out, curve, "bare_ns", "p1", &x, &y);
    curve_line(out, curve, "ns", "keel", &x, &y);
    svg_end(out);
    return true;
}
