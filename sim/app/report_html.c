/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/html.h"
#include "sim/app/report.h"

static void write_html(const struct result *result, FILE *out)
{
    const struct html_input input = { .result = { result }, .results = 1 };
    html_write(html_view(&input), out);
}

const struct report_format report_html = {
    .name    = "html",
    .summary = "One page with charts, for a browser; needs no network",
    .write   = write_html,
};
