/*
 * Text, tables and style around the pictures. Everything that comes out of a file is escaped.
 */
#include "tools/report/page.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "keel/keel.h"
#include "tools/report/charts.h"
#include "tools/report/panels.h"
#include "tools/report/svg.h"

static const char style[] =
    ":root{--bg:#fbfcfd;--card:#fff;--fg:#1b2631;--dim:#6a7785;--line:#e2e8ee;--keel:#0b7a9e;"
    "--p1:#d67a1f;--p2:#7a5fc0;--p3:#37934a;--p4:#c24d6b}\n"
    "@media(prefers-color-scheme:dark){:root{--bg:#12171c;--card:#1a2129;--fg:#e6ebf0;--dim:#"
    "93a1b0;"
    "--line:#2c3641;--keel:#39b3d7;--p1:#f0a050;--p2:#a58fe8;--p3:#6cc47e;--p4:#e67f99}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,-apple-system,"
    "'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif}\n"
    "main{max-width:860px;margin:0 auto;padding:40px 24px 80px}\n"
    "h1{font-size:30px;margin:0 0 4px;letter-spacing:-.02em}\n"
    "h2{font-size:22px;margin:0;letter-spacing:-.01em}\n"
    "h3{font-size:13px;font-weight:600;margin:26px 0 6px;color:var(--dim);text-transform:uppercase;"
    "letter-spacing:.06em}\n"
    "section{background:var(--card);border:1px solid var(--line);border-radius:12px;"
    "padding:26px 30px 22px;margin-top:28px}\n"
    ".sub{color:var(--dim);margin:2px 0 0}\n"
    ".figures{display:flex;flex-wrap:wrap;gap:12px 30px;margin:18px 0 4px}\n"
    ".figure b{display:block;font-size:21px;font-weight:650;line-height:1.2;letter-spacing:-.02em;"
    "font-variant-numeric:tabular-nums}\n"
    ".figure span{color:var(--dim);font-size:13px}\n"
    "svg{display:block;width:100%;height:auto;overflow:visible;font-size:13px}\n"
    "svg text{fill:var(--fg)}\n"
    "svg .dim,svg .tick{fill:var(--dim);font-size:12px}\n"
    "svg .strong{font-weight:650}\n"
    ".grid{stroke:var(--line);stroke-width:1}\n"
    ".keel{fill:var(--keel);stroke:none}.p1{fill:var(--p1)}.p2{fill:var(--p2)}.p3{fill:var(--p3)}"
    ".p4{fill:var(--p4)}\n"
    ".stem{stroke-width:2;stroke-opacity:.45}.stem.keel,.curve.keel{stroke:var(--keel)}"
    ".stem.p1,.curve.p1{stroke:var(--p1)}.stem.p2{stroke:var(--p2)}.stem.p3{stroke:var(--p3)}"
    ".stem.p4{stroke:var(--p4)}\n"
    "polyline.curve{fill:none;stroke-width:2}\n"
    "svg .cell-text{fill:#14202b;font-weight:600}\n"
    "table{border-collapse:collapse;width:100%;font-size:13px;font-variant-numeric:tabular-nums}\n"
    "td,th{padding:5px 12px 5px 0;border-bottom:1px solid var(--line);text-align:left;"
    "vertical-align:top;overflow-wrap:anywhere}\n"
    "th{color:var(--dim);font-weight:500;white-space:nowrap}\n"
    "details{margin-top:18px}summary{color:var(--dim);cursor:pointer;font-size:13px}\n"
    ".note{color:var(--dim);font-size:13px;margin:6px 0 0}\n"
    "footer{color:var(--dim);font-size:13px;margin-top:28px}\n"
    "@media print{section{break-inside:avoid}}\n";

static const char *string(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

void page_begin(FILE *out, unsigned runs)
{
    fprintf(out,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
            "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
            "<title>keel report</title>\n<style>\n%s</style>\n</head>\n<body>\n<main>\n"
            "<h1>keel report</h1>\n<p class=\"sub\">%u run%s of keel bench</p>\n",
            style, runs, runs == 1 ? "" : "s");
}

void page_end(FILE *out)
{
    fprintf(out,
            "<footer>Bars are medians of the rounds, dots single rounds; rounds of keel and of "
            "peers alternate. Latencies: all rounds together for keel, medians of the rounds for "
            "peers. Written by keel %s.</footer>\n</main>\n</body>\n</html>\n",
            keel_version());
}

/* ---------------------------------------------------------------- text */

static void figure(FILE *out, const char *value, const char *name)
{
    fprintf(out, "<div class=\"figure\"><b>");
    html_text(out, value);
    fprintf(out, "</b><span>");
    html_text(out, name);
    fprintf(out, "</span></div>\n");
}

static void figures(FILE *out, const json_t *run)
{
    const json_t *result = json_object_get(run, "result");
    const json_t *lat = json_object_get(result, "lat_ns");
    const json_t *cpu = json_object_get(result, "cpu_ns_per_op");
    char text[24], rate[32];

    fprintf(out, "<div class=\"figures\">\n");
    snprintf(rate, sizeof(rate), "%s/s",
             text_rate(json_number_value(json_object_get(result, "ops_per_s")), text));
    figure(out, rate, "operations, median");
    double bytes = json_number_value(json_object_get(result, "bytes_per_s"));
    if (bytes > 0) {
        snprintf(rate, sizeof(rate), "%sB/s", text_rate(bytes, text));
        figure(out, rate, "of payload");
    }
    if (json_is_object(lat)) {
        figure(out, text_ns(json_number_value(json_object_get(lat, "p50")), text),
               "median latency");
        figure(out, text_ns(json_number_value(json_object_get(lat, "p99")), text), "99%");
        figure(out, text_ns(json_number_value(json_object_get(lat, "p999")), text), "99.9%");
    }
    if (json_is_number(cpu))
        figure(out, text_ns(json_number_value(cpu), text), "CPU an operation");
    fprintf(out, "</div>\n");
}

/* One line about where: kernel, processor, disk. */
static void machine(FILE *out, const json_t *run)
{
    const json_t *machine = json_object_get(run, "machine");
    const json_t *disk = json_object_get(machine, "disk");

    fprintf(out, "<p class=\"sub\">");
    html_text(out, string(machine, "cpu"));
    fprintf(out, ", %lld CPUs \xc2\xb7 Linux ",
            (long long)json_integer_value(json_object_get(machine, "cpus")));
    html_text(out, string(machine, "kernel"));
    const char *name = string(disk, "name"), *model = string(disk, "model");
    if (name[0]) {
        fprintf(out, " \xc2\xb7 disk ");
        html_text(out, name);
        fprintf(out, " ");
        html_text(out, model);
    }
    fprintf(out, "</p>\n");
}

static void value_text(FILE *out, const json_t *value)
{
    char *dump;

    switch (json_typeof(value)) {
    case JSON_STRING:
        html_text(out, json_string_value(value));
        break;
    case JSON_REAL:
        fprintf(out, fabs(json_real_value(value)) >= 1000 ? "%.0f" : "%.4g",
                json_real_value(value));
        break;
    case JSON_NULL:
        fprintf(out, "\xe2\x80\x93");
        break;
    case JSON_OBJECT:
    case JSON_ARRAY:
    case JSON_INTEGER:
    case JSON_TRUE:
    case JSON_FALSE:
        dump = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(4));
        html_text(out, dump ? dump : "");
        free(dump);
        break;
    }
}

/* An array of objects: a table of its own. */
static bool is_list(const json_t *value)
{
    return json_is_object(json_array_get(value, 0));
}

static void cells(FILE *out, const json_t *keys, const json_t *object)
{
    const char *key;
    json_t *unused;

    fprintf(out, "<tr>");
    json_object_foreach((json_t *)(uintptr_t)keys, key, unused)
    {
        fprintf(out, object ? "<td>" : "<th>");
        if (object && json_object_get(object, key))
            value_text(out, json_object_get(object, key));
        else if (!object)
            html_text(out, key);
        fprintf(out, object ? "</td>" : "</th>");
    }
    fprintf(out, "</tr>\n");
}

/* Tables for what in object is a list; columns: what its first element has. */
static void lists(FILE *out, const json_t *object)
{
    const char *key;
    json_t *value, *element;
    size_t i;

    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        if (!is_list(value))
            continue;
        fprintf(out, "<h3>");
        html_text(out, key);
        fprintf(out, "</h3>\n<table>\n");
        cells(out, json_array_get(value, 0), NULL);
        json_array_foreach(value, i, element)
        {
            cells(out, json_array_get(value, 0), element);
        }
        fprintf(out, "</table>\n");
    }
}

static void rows(FILE *out, const json_t *object)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        if (json_is_null(value) || is_list(value))
            continue;
        fprintf(out, "<tr><th>");
        html_text(out, key);
        fprintf(out, "</th><td>");
        value_text(out, value);
        fprintf(out, "</td></tr>\n");
    }
}

static void table(FILE *out, const char *title, const json_t *object)
{
    if (!json_is_object(object) || json_object_size(object) == 0)
        return;
    fprintf(out, "<h3>%s</h3>\n<table>\n", title);
    rows(out, object);
    fprintf(out, "</table>\n");
}

/* ---------------------------------------------------------------- one run */

/* title in front of a picture that is drawn into memory first, since there may be none. */
static void picture(FILE *out, const char *title, const char *text, const char *note)
{
    if (!text[0])
        return;
    fprintf(out, "<h3>%s</h3>\n%s", title, text);
    if (note[0])
        fprintf(out, "<p class=\"note\">%s</p>\n", note);
}

static bool draw_map_p50(FILE *out, const json_t *run)
{
    return chart_map(out, run, "p50");
}

static bool draw_map_p99(FILE *out, const json_t *run)
{
    return chart_map(out, run, "p99");
}

static const struct {
    const char *title, *note;
    bool (*draw)(FILE *out, const json_t *run);
} pictures[] = {
    {"Rate", "", chart_rates},
    {"Latency", "From the left: median, 90%, 99%, 99.9%, largest. Logarithmic.", chart_latencies},
    {"Each step up", "Reads a second, and CPU time for one. Point at a bar for more.",
     chart_ladder},
    {"Median of a read beside writes",
     "Shares of the largest rates that each had alone. * the disk cannot do both.", draw_map_p50},
    {"99% of a read beside writes", "", draw_map_p99},
    {"One access over the number of pages", "The other line: the same memory without a cache.",
     chart_curve},
    {"Over time",
     "A phase begins at each line; a number is the weight of write-back, which is adaptive then.",
     chart_series},
    {"Over the weight of write-back", "What it gains, commits pay. Logarithmic.", chart_weights},
};

static void notes(FILE *out, const json_t *run)
{
    const json_t *peer;
    size_t i;

    json_array_foreach(json_object_get(run, "versus"), i, peer)
    {
        const char *note = string(peer, "note");
        if (!note[0])
            continue;
        fprintf(out, "<p class=\"note\"><b>");
        html_text(out, string(peer, "name"));
        fprintf(out, "</b>%s: ",
                json_number_value(json_object_get(peer, "ops_per_s")) > 0 ? "" : " did not run");
        html_text(out, note);
        fprintf(out, "</p>\n");
    }
}

void page_run(FILE *out, const json_t *run, const char *name, unsigned index)
{
    fprintf(out, "<section id=\"run%u\">\n<h2>", index + 1);
    html_text(out, string(run, "job"));
    fprintf(out, "</h2>\n");
    machine(out, run);
    figures(out, run);
    for (size_t i = 0; i < sizeof(pictures) / sizeof(pictures[0]); i++) {
        char *text = NULL;
        size_t size;
        FILE *memory = open_memstream(&text, &size);
        if (!memory)
            continue;
        bool drawn = pictures[i].draw(memory, run);
        fclose(memory);
        picture(out, pictures[i].title, drawn ? text : "", pictures[i].note);
        free(text);
        if (i == 0)
            notes(out, run);
    }
    table(out, "For one operation", json_object_get(json_object_get(run, "result"), "per_op"));
    fprintf(out, "<details><summary>Configuration, path, machine: ");
    html_text(out, name);
    fprintf(out, "</summary>\n");
    table(out, "Configuration", json_object_get(run, "config"));
    table(out, "Path of the requests", json_object_get(run, "path"));
    table(out, "Machine", json_object_get(run, "machine"));
    table(out, "Result", json_object_get(run, "result"));
    lists(out, json_object_get(run, "result"));
    fprintf(out, "</details>\n</section>\n");
}
