/* SPDX-License-Identifier: Apache-2.0 */
/*
 * directed - the directed experiments of the RTL, done again on the model.
 *
 * Each scenario of a file (see directed_file.h) names an experiment. The experiment is
 * carried out on a bench made from the scenario's columns alone, and what it measures is
 * held against the rows: value and note, or the accesses to memory one by one (kind of
 * table, engine, beats and cycles; not addresses, as the tables lie elsewhere).
 *
 * The RTL's plain bugs are not modelled. Rows that one of them may decide are known by a
 * rule, which looks at the columns and at what the model does; where they do not agree,
 * they are left out and counted apart.
 *
 * Inaccuracies: the register port and the device's side of the completion port are the
 * bench's, as they were the test bench's; metrics of those two (mmio_bresp,
 * cqt_reg_updated, issue_spacing, dev_response) hold whatever the model does.
 */
#ifndef SIM_RTL_DIRECTED_H
#define SIM_RTL_DIRECTED_H

#include "iommu_model/iommu.h"
#include "sim/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* clang-format off */
#define DIRECTED_RULES(R)                                                                           \
    R(flush_meets_fill,                                                                             \
      "an IOTLB invalidation in the cycle of a fill: the RTL drops the fill and the request hangs") \
    R(flush_meets_lookup,                                                                           \
      "an invalidation in the cycle of a look-up that hits: the RTL answers with address 0")        \
    R(context_flush_in_nested_walk,                                                                 \
      "a context invalidation under a walk of two stages: the RTL skips second-stage reads")        \
    R(nested_process_walk,                                                                          \
      "a process directory under a second stage: the RTL does not translate its addresses")         \
    R(nested_leaf_sizes,                                                                            \
      "a first-stage leaf below the second stage's: the RTL's address is wrong (the rest counts)")  \
    R(stray_process_walk,                                                                           \
      "a fault of a process context: the RTL reads its directory once more (the rest counts)")
/* clang-format on */

#define DIRECTED_RULE(name, text) DIRECTED_##name,
enum directed_rule { DIRECTED_RULES(DIRECTED_RULE) DIRECTED_RULE_COUNT };
#define DIRECTED_NO_RULE DIRECTED_RULE_COUNT
extern const char *const directed_rule_name[DIRECTED_RULE_COUNT];
extern const char *const directed_rule_text[DIRECTED_RULE_COUNT];

enum { DIRECTED_EXPERIMENTS_MAX = 128, DIRECTED_DISAGREEMENTS_MAX = 64 };

struct directed_tally {
    uint64_t rows, agreed, disagreed;
    uint64_t excluded[DIRECTED_RULE_COUNT]; /* Rows that do not agree, by a rule. */
    uint64_t partly[DIRECTED_RULE_COUNT];   /* Agreed, but for a part a rule leaves out. */
};

struct directed_disagreement {
    char text[320]; /* FILE, line N: what, the RTL's and the model's. */
};

/* Everything is 0 before the first file. */
struct directed_report {
    uint32_t files, experiment_count;
    struct directed_tally all;
    struct {
        char name[96];
        struct directed_tally tally;
    } experiment[DIRECTED_EXPERIMENTS_MAX];
    uint32_t shown; /* The first disagreements, in order. */
    struct directed_disagreement disagreement[DIRECTED_DISAGREEMENTS_MAX];
};

/* Whether the file is one of directed experiments. */
bool directed_is(const char *path);

/* Adds what the file's rows say to the report. settings: the preset of the RTL, resolved,
 * of architecture riscv. False, with a line that names the file and mostly the line, if the
 * file cannot be read or holds an experiment or a metric that is not known. */
bool directed_check(const char *path, const struct iommu_settings *settings,
                    struct directed_report *report, struct error *error);

#ifdef __cplusplus
}
#endif

#endif
