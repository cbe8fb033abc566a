/* SPDX-License-Identifier: Apache-2.0 */
/*
 * html - results as one page that needs nothing but a browser: no network, no other file.
 *
 * What the page shows is made here (html_view) and written into it as JSON; the page's own
 * script (sim/app/html/page.js) makes headings, tables and charts of it. Names come from
 * files of others: none of them is ever read as markup, and the page allows only the
 * scripts that it was written with. The same results give the same bytes.
 */
#ifndef SIM_APP_HTML_H
#define SIM_APP_HTML_H

#include <stdio.h>

#include "sim/app/gate.h"
#include "sim/app/result.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Beyond these a run has no distributions and series, or is a point of a chart only, or is
 * left out; the page says so. They keep it below 2 MB. */
enum {
    HTML_DETAILED_MOST = 40,
    HTML_RUNS_MOST     = 400,
    HTML_POINTS_MOST   = 4000,
    HTML_RESULTS_MOST  = 16
};

struct html_input {
    const struct result *result[HTML_RESULTS_MOST];
    const json_t *labels[HTML_RESULTS_MOST]; /* What tells the runs of a sweep apart: an
                                                array of strings; NULL: their names do. */
    unsigned results;
    const struct gate *gate; /* Of a baseline with result[0]; NULL: there is none. */
};

/* What the page is to show; to be released with json_decref. */
json_t *html_view(const struct html_input *input);

/* Takes over the view. */
void html_write(json_t *view, FILE *out);

/*
 * The runs of a sweep's database that were done as a result, and a label for each with the
 * values of the axes. False with one line for anything else; then there is nothing to free.
 */
bool html_load_sweep(struct result *result, json_t **labels, const char *path,
                     struct error *error);

#ifdef __cplusplus
}
#endif

#endif
