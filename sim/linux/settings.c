/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/linux/settings.h"

#include <stdio.h>
#include <string.h>

#define PARAM_OWNER struct recorded_config
static const struct param_def recorded_params[] = { RECORDED_PARAMS(PARAM_ROW) PARAM_END };
const struct param_table recorded_param_table = { "recorded", "The machine of a recording",
                                                  recorded_params,
                                                  sizeof(struct recorded_config), NULL };

/* ---- Names
 * ---------------------------------------------------------------------------------- */

/* What a word of the name sets; NULL: nothing that the API could see. */
static const struct {
    const char *word, *set[2];
} words[] = {
    { "k612", { "linux.release=6.12" } },
    { "k618", { "linux.release=6.18" } },
    { "k73", { "linux.release=7.3" } },
    { "strict", { "recorded.policy=strict" } },
    { "lazy", { "recorded.policy=lazy" } },
    { "cm", { "recorded.cap=0xd2008c222f0686" } },
    { "aw39", { "recorded.cap=0xd2008c22260206" } },
    { "aw48", { NULL } }, /* As the others have. */
    { "dac", { "linux.forcedac=1" } },
    { "forcedac", { "linux.forcedac=1" } },
    { "ats", { "recorded.ecap=0xf46", "recorded.ats=1" } },
    { "ss", { "recorded.ecap=0x80000000f42" } },
    { "fs", { "recorded.cap=0x1d2008c222f0606", "recorded.ecap=0x880000000f42" } },
    { "sm", { NULL } },   /* Scalable mode; ss or fs says which stage. */
    { "vnet", { NULL } }, /* Virtio network cards instead of NVMe. */
    { "xcpu", { NULL } }, /* Completions on another CPU. */
    { "vfio", { NULL } }, /* A device is handed to VFIO and back. */
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
        return true;
    }
    return error_set(error,
                     "'%s' in the name is not known; expected a release (k612, k618, k73), "
                     "strict or lazy, and variants such as cm, aw39, sm-fs",
                     word);
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
    return true;
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
