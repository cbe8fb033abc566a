/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/report.h"

static void write_json(const struct result *result, FILE *out)
{
    report_put_json(out, json_incref(result->document));
}

const struct report_format report_json = {
    .name    = "json",
    .summary = "Everything: schema iovasim.result/1 or iovasim.suite/1",
    .write   = write_json,
};
