/* SPDX-License-Identifier: Apache-2.0 */
/* rtl_report - how far the model agrees with recorded runs, as lines and as JSON. */
#ifndef SIM_APP_RTL_REPORT_H
#define SIM_APP_RTL_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "sim/rtl/compare.h"
#include "sim/rtl/directed.h"

struct rtl_totals {
    struct rtl_tally requests, commands, faults;
    struct directed_tally directed;
};

void rtl_totals_add(struct rtl_totals *totals, const struct rtl_report *report);
void rtl_totals_add_directed(struct rtl_totals *totals, const struct directed_tally *tally);
bool rtl_totals_agree(const struct rtl_totals *totals);

/* One line, and one more for each rule that was applied. */
void rtl_report_heading(FILE *out);
void rtl_report_print(FILE *out, const char *name, const struct rtl_totals *t);
json_t *rtl_report_json(const char *name, const struct rtl_totals *t);

#endif
