/* SPDX-License-Identifier: Apache-2.0 */
/* setup - a machine before it runs. */
#include <stdlib.h>
#include <string.h>

#include "sim/app/preset.h"
#include "sim/base/keys.h"
#include "sim/lib/inside.h"

#define TEXT_OF(number) #number
#define TEXT(number)    TEXT_OF(number)

/* The project's version is what the headers say. */
static_assert(IOVASIM_VERSION_MAJOR == PROJECT_MAJOR, "see CMakeLists.txt");
static_assert(IOVASIM_VERSION_MINOR == PROJECT_MINOR, "see CMakeLists.txt");
static_assert(IOVASIM_VERSION_PATCH == PROJECT_PATCH, "see CMakeLists.txt");

const char *iovasim_version(void)
{
    return TEXT(IOVASIM_VERSION_MAJOR) "." TEXT(IOVASIM_VERSION_MINOR) "." TEXT(
        IOVASIM_VERSION_PATCH);
}

/* Keeps the first mistake; what was wrong is returned as false. */
static bool note(struct iovasim_machine *m, bool good, const struct error *error)
{
    if (!good && m->mistake.text[0] == '\0')
        m->mistake = *error;
    return good;
}

/* What a preset says of workloads is of no interest here. */
static bool apply_preset(struct iovasim_machine *m, const char *name, struct error *error)
{
    const struct preset *preset = preset_find(name);
    const struct param_table *table;
    const void *values;
    char key[KEYS_BYTES_MAX];
    if (preset == NULL)
        return error_set(error, "preset '%s': not known; `iovasim presets` lists them",
                         name);
    for (const struct preset_value *v = preset->value; v->assignment != NULL; v++) {
        const char *value = keys_split(v->assignment, key, error);
        if (value == NULL)
            return false;
        if (keys_find(system_config_table, &m->config, key, &table, &values) != NULL
            && !keys_set(system_config_table, &m->config, key, value, error))
            return error_in(error, "preset %s", name);
    }
    return true;
}

struct iovasim_machine *iovasim_new(const char *preset)
{
    struct error error        = { "" };
    struct iovasim_machine *m = calloc(1, sizeof *m);
    CHECK(m != NULL);
    system_config_init(&m->config);
    m->policy = &flush_strict;
    m->cpus   = 1;
    m->seed   = 1;
    if (preset != NULL)
        note(m, apply_preset(m, preset, &error), &error);
    return m;
}

void iovasim_free(struct iovasim_machine *m)
{
    if (m == NULL)
        return;
    CHECK(!m->running); /* Not from inside of a run. */
    for (unsigned i = 0; i < m->slots; i++) {
        free(m->slot[i]->name);
        free(m->slot[i]);
    }
    system_config_free(&m->config);
    free(m);
}

bool iovasim_set(struct iovasim_machine *m, const char *key, const char *value)
{
    struct error error = { "" };
    CHECK(!m->running); /* Settings are made between runs. */
    return note(m, keys_set(system_config_table, &m->config, key, value, &error), &error);
}

bool iovasim_set_policy(struct iovasim_machine *m, const char *name)
{
    struct error error                = { "" };
    const struct flush_policy *policy = flush_find(name);
    CHECK(!m->running);
    if (policy == NULL)
        return note(m,
                    error_set(&error,
                              "policy '%s': not known; `iovasim policies` lists them",
                              name),
                    &error);
    m->policy = policy;
    return true;
}

bool iovasim_set_cpus(struct iovasim_machine *m, unsigned cpus)
{
    struct error error = { "" };
    CHECK(!m->running);
    if (cpus < 1 || cpus > ENGINE_CPUS_MAX)
        return note(m,
                    error_set(&error, "CPUs: expected 1 .. %u, got %u",
                              (unsigned)ENGINE_CPUS_MAX, cpus),
                    &error);
    m->cpus = cpus;
    return true;
}

bool iovasim_set_seed(struct iovasim_machine *m, uint64_t seed)
{
    CHECK(!m->running);
    m->seed = seed;
    return true;
}

bool iovasim_set_time_limit(struct iovasim_machine *m, sim_time_t limit)
{
    CHECK(!m->running);
    m->limit = limit;
    return true;
}

bool iovasim_set_interrupt(struct iovasim_machine *m, const volatile sig_atomic_t *flag)
{
    CHECK(!m->running);
    m->interrupted = flag;
    return true;
}

bool iovasim_set_host(struct iovasim_machine *m, const struct sim_host *host)
{
    CHECK(!m->running);
    m->host = host;
    return true;
}

void iovasim_watch(struct iovasim_machine *m,
                   void (*told)(void *self, const struct iovasim_event *event), void *self)
{
    CHECK(!m->running);
    m->told      = told;
    m->told_self = self;
}

const char *iovasim_error(const struct iovasim_machine *m)
{
    return m->mistake.text[0] != '\0' ? m->mistake.text : m->error.text;
}

static void reset_nothing(void *self, struct iovasim_slot *slot)
{
    (void)self;
    (void)slot;
}

static void step_nothing(void *self, sim_time_t now)
{
    (void)self;
    (void)now;
}

static const struct iovasim_device_ops does_nothing = { .reset = reset_nothing,
                                                        .step  = step_nothing };

struct iovasim_slot *iovasim_add_device(struct iovasim_machine *m, const char *name,
                                        const struct iovasim_device_ops *ops, void *self)
{
    struct error error = { "" };
    CHECK(!m->running);
    if (ops == NULL)
        ops = &does_nothing;
    if (ops->reset == NULL || ops->step == NULL)
        error_set(&error, "device %s: expected a function for reset and one for step",
                  name);
    else if (m->slots == IOVASIM_DEVICES_MAX)
        error_set(&error, "device %s: expected at most %u devices", name,
                  (unsigned)IOVASIM_DEVICES_MAX);
    if (!note(m, error.text[0] == '\0', &error))
        return NULL;
    struct iovasim_slot *slot = calloc(1, sizeof *slot);
    CHECK(slot != NULL);
    slot->machine = m;
    slot->name    = strdup(name);
    slot->ops     = *ops;
    slot->self    = self;
    CHECK(slot->name != NULL);
    m->slot[m->slots++] = slot;
    return slot;
}
