/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings - what a TLM module is configured with: the IOMMU's tables by the keys of the
 * command line, presets by name, and its statistics by name.
 */
#ifndef SIM_TLM_SETTINGS_H
#define SIM_TLM_SETTINGS_H

#include "iommu_model/iommu.h"

#ifdef __cplusplus
extern "C" {
#endif

/* clang-format off */
#define TLM_PARAMS(P)                                                                               \
    P(u32,  outstanding,     32, 1, 1024, ANY, "transactions", "Non-blocking transactions of one port under way at most", \
      "chosen; a port that has so many holds the next request's END_REQ back")                      \
    P(flag, ordered,          0, 0,    1, ANY, "",       "A port forwards and answers in the order of its requests", \
      "chosen: the base protocol asks it for overlapping addresses only")                           \
    P(u32,  register_cycles,  1, 1, 1000, ANY, "cycles", "From a register access to its response", \
      "chosen; the way there is the platform's")                                                   \
    P(u32,  bytes_max,    65536, 1, 1048576, ANY, "bytes", "Longest transaction; a longer one is a burst error", \
      "chosen: sixteen pages")
/* clang-format on */

struct tlm_config {
    TLM_PARAMS(PARAM_FIELD)
};
extern const struct param_table tlm_param_table;

enum { SETTINGS_ARCHS_MAX = 8 };

struct settings {
    struct tlm_config tlm;
    struct iommu_config iommu;
    struct context_config context;
    struct iotlb_config iotlb;
    struct walkcache_config walkcache;
    struct walker_config walker;
    struct memport_config memport;
    struct invq_config invq;
    struct faultq_config faultq;
    void *arch[SETTINGS_ARCHS_MAX]; /* Of each architecture of the family. */
};

void settings_init(struct settings *s);
void settings_free(struct settings *s);

/* "key=value"; false with a line that names the key and what was expected. */
bool settings_set(struct settings *s, const char *assignment, struct error *error);
/* All values of the preset that concern an IOMMU; those of the software around it are of no
 * interest here. */
bool settings_preset(struct settings *s, const char *name, struct error *error);
/* The rules between parameters. */
bool settings_check(const struct settings *s, struct error *error);
/* The value of key as text, or false when there is no such key. */
bool settings_get(const struct settings *s, const char *key, char *out, size_t out_bytes);
/* The index-th key, false behind the last. */
bool settings_key(const struct settings *s, unsigned index, char *out, size_t out_bytes);

/* Points into s. */
struct iommu_settings settings_iommu(const struct settings *s);

/* A counter of the model, "iotlb.lookup_hit"; false when there is none of that name. */
bool settings_statistic(const struct iommu *m, const char *name, uint64_t *value);
bool settings_statistic_name(unsigned index, char *out, size_t out_bytes);

#ifdef __cplusplus
}
#endif

#endif
