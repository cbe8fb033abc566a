/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/linux/settings.h"

#include <stdio.h>
#include <string.h>

#include "iommu_model/vtd_spec.h"

#define CAP_SAGAW (UINT64_C(0x1f) << 8)
#define CAP_MGAW  (UINT64_C(0x3f) << 16)

#define PARAM_OWNER struct recorded_config
static const struct param_def recorded_params[] = { RECORDED_PARAMS(PARAM_ROW) PARAM_END };
const struct param_table recorded_param_table = { "recorded", "The machine of a recording",
                                                  recorded_params,
                                                  sizeof(struct recorded_config), NULL };

/* ---- Names
 * ---------------------------------------------------------------------------------- */

/* What a word of the name says of the machine. Registers: the bits that it clears and sets,
 * so that words can stand together. */
static const struct {
    const char *word, *set[2];
    uint64_t cap_clear, cap_set, ecap_clear, ecap_set;
} words[] = {
    { .word = "k612", .set = { "linux.release=6.12" } },
    { .word = "k618", .set = { "linux.release=6.18" } },
    { .word = "k73", .set = { "linux.release=7.3" } },
    { .word = "strict", .set = { "recorded.policy=strict" } },
    { .word = "lazy", .set = { "recorded.policy=lazy" } },
    { .word = "cm", .cap_set = VTD_CAP_CM },
    { .word      = "aw39",
      .cap_clear = CAP_MGAW | CAP_SAGAW,
      .cap_set   = UINT64_C(38) << 16 | UINT64_C(2) << 8 },
    { .word = "aw48" }, /* As the others have. */
    { .word = "dac", .set = { "linux.forcedac=1" } },
    { .word = "forcedac", .set = { "linux.forcedac=1" } },
    { .word = "ats", .set = { "recorded.ats=1" }, .ecap_set = VTD_ECAP_DT },
    { .word = "sm", .ecap_set = VTD_ECAP_SMTS },
    { .word = "ss", .ecap_clear = VTD_ECAP_FLTS, .ecap_set = VTD_ECAP_SMTS },
    { .word = "fs", .cap_set = VTD_CAP_FL1GP, .ecap_set = VTD_ECAP_SMTS | VTD_ECAP_FLTS },
    { .word = "vnet" }, /* Virtio network cards instead of NVMe. */
    { .word = "xcpu" }, /* Completions on another CPU. */
    { .word = "vfio" }, /* A device is handed to VFIO and back. */
};
enum { WORDS = sizeof words / sizeof words[0] };

static bool apply_word(struct check_settings *s, const char *word, struct error *error)
{
    for (unsigned i = 0; i < WORDS; i++) {
        if (strcmp(words[i].word, word) != 0)
            continue;
        for (unsigned k = 0; k < 2 && words[i].set[k] != NULL; k++)
            if (!settings_set(s, words[i].set[k], error))
                return false;
        s->recorded.cap  = (s->recorded.cap & ~words[i].cap_clear) | words[i].cap_set;
        s->recorded.ecap = (s->recorded.ecap & ~words[i].ecap_clear) | words[i].ecap_set;
        return true;
    }
    return error_set(error,
                     "'%s' in the name is not known; expected a release (k612, k618, k73), "
                     "strict or lazy, and variants such as cm, aw39, sm-fs",
                     word);
}

/* Linux keeps no flush queue over second-stage tables in caching mode, whatever it was
 * told: each map invalidates anyway ("batching disallowed due to virtualization"). */
static bool may_be_lazy(const struct recorded_config *r)
{
    const uint64_t first = VTD_ECAP_SMTS | VTD_ECAP_FLTS;
    return !(r->cap & VTD_CAP_CM) || (r->ecap & first) == first;
}

bool settings_of_name(struct check_settings *s, const char *path, struct error *error)
{
    char name[128], *rest = name;
    const char *base = strrchr(path, '/');
    param_reset(&linux_param_table, &s->kernel);
    param_reset(&recorded_param_table, &s->recorded);
    snprintf(name, sizeof name, "%s", base == NULL ? path : base + 1);
    name[strcspn(name, ".")] = '\0';
    for (char *word = strsep(&rest, "-"); word != NULL; word = strsep(&rest, "-"))
        if (!apply_word(s, word, error))
            return error_in(error, "%s", path);
    return may_be_lazy(&s->recorded) || settings_set(s, "recorded.policy=strict", error);
}

/* ---- Overrides
 * ------------------------------------------------------------------------------ */

bool settings_set(struct check_settings *s, const char *assignment, struct error *error)
{
    const struct {
        const struct param_table *table;
        void *values;
    } all[]            = { { &linux_param_table, &s->kernel },
                           { &recorded_param_table, &s->recorded } };
    const char *equals = strchr(assignment, '=');
    char key[64];
    const size_t n = equals == NULL ? sizeof key : (size_t)(equals - assignment);
    if (n == 0 || n >= sizeof key)
        return error_set(error, "'%.60s': expected key=value", assignment);
    memcpy(key, assignment, n);
    key[n] = '\0';
    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++) {
        const size_t prefix = strlen(all[i].table->prefix);
        if (strncmp(key, all[i].table->prefix, prefix) != 0 || key[prefix] != '.')
            continue;
        const struct param_def *def = param_find(all[i].table, key + prefix + 1);
        if (def != NULL)
            return param_set(all[i].table, def, all[i].values, equals + 1, error);
    }
    return error_set(error,
                     "%s: not known; expected linux.release, linux.forcedac, "
                     "recorded.policy, recorded.cap, recorded.ecap or recorded.ats",
                     key);
}
