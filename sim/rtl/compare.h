/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compare - a recorded run against what the model made of it.
 *
 * A request agrees when its cycle of completion, its result, and its cause or physical
 * address, its hit flags (those that were recorded) and its number of reads do. A command
 * agrees when the cycles of its fetch, of its effect and of the new head do; a fault record
 * when the tail moved in the same cycle. What does not agree is looked at by the rules of
 * rules.h, and is excluded under one of them or disagrees.
 */
#ifndef SIM_RTL_COMPARE_H
#define SIM_RTL_COMPARE_H

#include "sim/rtl/replay.h"
#include "sim/rtl/rules.h"

#ifdef __cplusplus
extern "C" {
#endif

/* By verdict; they sum to the number of rows. */
struct rtl_tally {
    uint64_t rows, verdict[RTL_VERDICTS];
};

enum rtl_row_kind { RTL_ROW_REQUEST, RTL_ROW_COMMAND, RTL_ROW_FAULT };

/* A fault record may be missing on either side: the index is then SIZE_MAX. */
struct rtl_row {
    enum rtl_row_kind kind;
    size_t recorded, modelled;
};

enum { RTL_SHOWN_MAX = 1000 };

struct rtl_report {
    struct rtl_tally requests, commands, faults;
    size_t shown; /* The first rows that disagree, requests first. */
    struct rtl_row row[RTL_SHOWN_MAX];
};

struct rtl_check {
    const struct rtl_run *run;
    const struct iommu_settings *settings;
    bool (*go_on)(void *self, uint64_t requests); /* As of struct rtl_replay. */
    void *self;
};

/* Replays and compares. False when go_on said so. result (what the model did, in the end)
 * is to be freed in any case. */
bool rtl_check_run(const struct rtl_check *check, struct rtl_result *result,
                   struct rtl_report *report);

/* Whether two rows of requests say the same. */
bool rtl_same(const struct rtl_request *recorded, const struct rtl_answer *modelled);

#ifdef __cplusplus
}
#endif

#endif
