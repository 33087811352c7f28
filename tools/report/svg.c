/*
 * Scales, and shapes as text.
 */
#include "tools/report/svg.h"

#include <math.h>

#include "base/assert.h"

/* ---------------------------------------------------------------- scales */

struct scale scale_linear(double max, double from, double to)
{
    double step = pow(10, floor(log10(max > 0 ? max : 1)));
    double top = step;

    while (top < max)
        top += max / step > 5 ? step : step / 2;
    return (struct scale){.max = top, .from = from, .to = to};
}

struct scale scale_log(double min, double max, double from, double to)
{
    double low = pow(10, floor(log10(min > 0 ? min : 1)));
    double high = pow(10, ceil(log10(max > low ? max : low * 10)));

    return (struct scale){.min = low, .max = high, .from = from, .to = to, .log = true};
}

double scale_at(const struct scale *scale, double value)
{
    double part;

    if (scale->log)
        part = value <= scale->min ? 0 : log(value / scale->min) / log(scale->max / scale->min);
    else
        part = (value - scale->min) / (scale->max - scale->min);
    return scale->from + part * (scale->to - scale->from);
}

unsigned scale_ticks(const struct scale *scale, double ticks[TICKS_MAX])
{
    unsigned count = 0;

    if (scale->log) {
        for (double at = scale->min; at <= scale->max * 1.001 && count < TICKS_MAX; at *= 10)
            ticks[count++] = at;
        return count;
    }
    double step = pow(10, floor(log10(scale->max)));
    while (scale->max / step < 3)
        step /= 2;
    while (scale->max / step > 8)
        step *= 2;
    for (double at = 0; at <= scale->max * 1.001 && count < TICKS_MAX; at += step)
        ticks[count++] = at;
    return count;
}

/* ---------------------------------------------------------------- text */

void html_text(FILE *out, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        default:
            fputc(*text, out);
        }
    }
}

static const char *with_unit(double value, const char *unit, char buf[24])
{
    snprintf(buf, 24, "%.3g%s", value >= 999.5 ? 999 : value, unit);
    return buf;
}

const char *text_rate(double value, char buf[24])
{
    if (value >= 1e9)
        return with_unit(value / 1e9, " G", buf);
    if (value >= 1e6)
        return with_unit(value / 1e6, " M", buf);
    if (value >= 1e4)
        return with_unit(value / 1e3, " k", buf);
    snprintf(buf, 24, value == floor(value) || value >= 100 ? "%.0f" : "%.2f", value);
    return buf;
}

const char *text_ns(double ns, char buf[24])
{
    if (ns >= 1e9)
        return with_unit(ns / 1e9, " s", buf);
    if (ns >= 1e6)
        return with_unit(ns / 1e6, " ms", buf);
    if (ns >= 1e3)
        return with_unit(ns / 1e3, " \xc2\xb5s", buf);
    return with_unit(ns, " ns", buf);
}

/* ---------------------------------------------------------------- shapes */

void svg_begin(FILE *out, double width, double height, const char *title)
{
    fprintf(out, "<svg viewBox=\"0 0 %g %g\" role=\"img\" aria-label=\"", width, height);
    html_text(out, title);
    fprintf(out, "\">\n");
}

void svg_end(FILE *out)
{
    fprintf(out, "</svg>\n");
}

void svg_line(FILE *out, double x1, double y1, double x2, double y2, const char *class)
{
    fprintf(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"%s\"/>\n", x1, y1,
            x2, y2, class);
}

/* What is shown when something is pointed at, and the end of its element. */
static void end_with_hint(FILE *out, const char *element, const char *hint)
{
    if (!hint) {
        fprintf(out, "/>\n");
        return;
    }
    fprintf(out, "><title>");
    html_text(out, hint);
    fprintf(out, "</title></%s>\n", element);
}

void svg_rect(FILE *out, double x, double y, double width, double height, const char *class,
              const char *style, const char *hint)
{
    KEEL_ASSERT(width >= 0 && height >= 0);
    fprintf(out,
            "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"2\" class=\"%s\" "
            "style=\"%s\"",
            x, y, width, height, class, style);
    end_with_hint(out, "rect", hint);
}

void svg_dot(FILE *out, double x, double y, double radius, const char *class, const char *hint)
{
    fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" class=\"%s\"", x, y, radius, class);
    end_with_hint(out, "circle", hint);
}

void svg_text(FILE *out, double x, double y, enum svg_anchor anchor, const char *class,
              const char *text)
{
    static const char *const anchors[] = {"start", "middle", "end"};

    fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" class=\"%s\">", x, y,
            anchors[anchor], class);
    html_text(out, text);
    fprintf(out, "</text>\n");
}

void svg_path(FILE *out, const double *xs, const double *ys, unsigned count, const char *class)
{
    fprintf(out, "<polyline class=\"%s\" points=\"", class);
    for (unsigned i = 0; i < count; i++)
        fprintf(out, "%s%.1f,%.1f", i ? " " : "", xs[i], ys[i]);
    fprintf(out, "\"/>\n");
}
