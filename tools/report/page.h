/*
 * The page that `keel report` writes: everything in one file, nothing fetched, no scripts.
 */
#ifndef KEEL_TOOLS_REPORT_PAGE_H
#define KEEL_TOOLS_REPORT_PAGE_H

#include <jansson.h>
#include <stdio.h>

void page_begin(FILE *out, unsigned runs);
/* run: the JSON of one `keel bench`; name: of its file. index: from 0. */
void page_run(FILE *out, const json_t *run, const char *name, unsigned index);
void page_end(FILE *out);

#endif
