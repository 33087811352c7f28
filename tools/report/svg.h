/*
 * Small pictures as SVG inside of a page: scales, ticks and the shapes that the charts of
 * `keel report` need. Colours are the page's (CSS classes and variables), so that a picture follows
 * light and dark. Text is escaped.
 */
#ifndef KEEL_TOOLS_REPORT_SVG_H
#define KEEL_TOOLS_REPORT_SVG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* From values to places. */
struct scale {
    double min, max; /* of values; log: above 0 */
    double from, to; /* of places */
    bool log;
};

/* A scale that shows 0 (linear) or whole decades (log) and everything up to max. */
struct scale scale_linear(double max, double from, double to);
struct scale scale_log(double min, double max, double from, double to);
double scale_at(const struct scale *scale, double value);

#define TICKS_MAX 12u
/* Round values to mark; returns how many. */
unsigned scale_ticks(const struct scale *scale, double ticks[TICKS_MAX]);

enum svg_anchor { SVG_START, SVG_MIDDLE, SVG_END };

void html_text(FILE *out, const char *text);

/* title: for those who cannot see it. */
void svg_begin(FILE *out, double width, double height, const char *title);
void svg_end(FILE *out);
void svg_line(FILE *out, double x1, double y1, double x2, double y2, const char *class);
/* style: CSS, or "". hint: shown when pointed at, or NULL. */
void svg_rect(FILE *out, double x, double y, double width, double height, const char *class,
              const char *style, const char *hint);
void svg_dot(FILE *out, double x, double y, double radius, const char *class, const char *hint);
void svg_text(FILE *out, double x, double y, enum svg_anchor anchor, const char *class,
              const char *text);
void svg_path(FILE *out, const double *xs, const double *ys, unsigned count, const char *class);

/* Numbers for people: "1.23 M", "45.2 k"; "730 ns", "45 us". Return buf. */
const char *text_rate(double value, char buf[24]);
const char *text_ns(double ns, char buf[24]);

#endif
