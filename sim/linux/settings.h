/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings - how a recorded machine was set up; follows from the recording's file name.
 */
#ifndef SIM_LINUX_SETTINGS_H
#define SIM_LINUX_SETTINGS_H

#include "dma_api/flush.h"
#include "dma_api/kernel.h"

/* clang-format off */
#define RECORDED_PARAMS(P)                                                                          \
    P(name, policy, strict, flush_member, 0, ANY, "policy", "The flush policy",                     \
      "the recording's name")                                                                       \
    P(u64, cap,  0xd2008c222f0606, 0, UINT64_MAX, ANY, "register", "What the IOMMU's CAP says",     \
      "the recording's name")                                                                       \
    P(u64, ecap, 0xf42, 0, UINT64_MAX, ANY, "register", "What the IOMMU's ECAP says",               \
      "the recording's name")                                                                       \
    P(flag, ats, 0, 0, 1, ANY, "", "The devices translate ahead (ATS)",                             \
      "the recording's name")
/* clang-format on */

struct recorded_config {
    RECORDED_PARAMS(PARAM_FIELD)
};
extern const struct param_table recorded_param_table;

struct check_settings {
    struct linux_config kernel;
    struct recorded_config recorded;
};

/* From a name such as k73-strict-sm-fs, with or without folders and endings. */
bool settings_of_name(struct check_settings *s, const char *path, struct error *error);

/* key=value, where key is linux.NAME or recorded.NAME. */
bool settings_set(struct check_settings *s, const char *assignment, struct error *error);

#endif
