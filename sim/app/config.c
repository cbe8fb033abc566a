/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/config.h"

#include <stdlib.h>
#include <string.h>

#include "sim/app/preset.h"
#include "sim/base/keys.h"
#include "sim/base/near.h"

#define MODULE(name, table)                                                                \
    {                                                                                      \
        &table, offsetof(struct config, name)                                              \
    }
static const struct {
    const struct param_table *table;
    size_t offset;
} workloads[] = {
    MODULE(blk, blk_param_table),
    MODULE(driver, driver_param_table),
    MODULE(nvme, nvme_param_table),
    MODULE(replay, replay_param_table),
    MODULE(fabric, fabric_param_table),
    MODULE(verbs, verbs_param_table),
    MODULE(umem, umem_param_table),
    MODULE(rdma, rdma_param_table),
    MODULE(wire, rdma_wire_param_table),
    MODULE(nvmf, nvmf_param_table),
    MODULE(placement, placement_param_table),
    MODULE(attacker, attacker_param_table),
    MODULE(exerciser, exerciser_param_table),
    MODULE(gen, gen_param_table),
};
enum { WORKLOADS = sizeof workloads / sizeof workloads[0] };

/* Generators without parameters have no table. */
static const struct param_table *generator_params(unsigned nth, unsigned *generator)
{
    for (unsigned i = 0; gen_table[i] != NULL; i++)
        if (gen_table[i]->params != NULL && nth-- == 0) {
            *generator = i;
            return gen_table[i]->params;
        }
    return NULL;
}

static unsigned policies_with_params(void)
{
    unsigned count = 0;
    for (unsigned i = 0; flush_table[i] != NULL; i++)
        count += flush_table[i]->params != NULL;
    return count;
}

/* The system's modules, the workloads, the policies, the generators. */
const struct param_table *config_table(const struct config *c, unsigned index,
                                       const void **values)
{
    const struct system_config *system = c == NULL ? NULL : &c->system;
    unsigned generator;
    if (index < SYSTEM_MODULE_COUNT)
        return system_config_table(system, index, values);
    if (index < SYSTEM_MODULE_COUNT + WORKLOADS) {
        index -= SYSTEM_MODULE_COUNT;
        *values = c == NULL ? NULL : (const char *)c + workloads[index].offset;
        return workloads[index].table;
    }
    index -= WORKLOADS;
    const struct param_table *table = system_config_table(system, index, values);
    if (table != NULL)
        return table;
    table =
        generator_params(index - SYSTEM_MODULE_COUNT - policies_with_params(), &generator);
    if (table != NULL)
        *values = c == NULL ? NULL : c->generator[generator];
    return table;
}

static const struct param_table *tables(const void *of, unsigned index, const void **values)
{
    return config_table(of, index, values);
}

static bool apply_preset(struct config *c, const char *name, struct error *error)
{
    const struct preset *preset = preset_find(name);
    struct near near            = near_begin(name);
    for (unsigned i = 0; preset == NULL && preset_table[i] != NULL; i++)
        near_offer(&near, preset_table[i]->name);
    if (preset == NULL)
        return error_set(error, "preset '%s': not known;%s `iovasim presets` lists them",
                         name, near_hint(&near));
    c->preset = preset->name;
    for (const struct preset_value *v = preset->value; v->assignment != NULL; v++)
        if (!config_set(c, v->assignment, error))
            return error_in(error, "preset %s", name);
    return true;
}

void config_free(struct config *c)
{
    system_config_free(&c->system);
    for (unsigned i = 0; i < CONFIG_GENERATORS_MAX; i++)
        free(c->generator[i]);
}

bool config_init(struct config *c, const char *preset, struct error *error)
{
    memset(c, 0, sizeof *c);
    system_config_init(&c->system);
    for (unsigned i = 0; gen_table[i] != NULL; i++) {
        CHECK(i < CONFIG_GENERATORS_MAX);
        if (gen_table[i]->params == NULL)
            continue;
        c->generator[i] = calloc(1, gen_table[i]->params->bytes);
        CHECK(c->generator[i] != NULL);
    }
    keys_reset(tables, c);
    if (preset == NULL || apply_preset(c, preset, error))
        return true;
    config_free(c);
    memset(c, 0, sizeof *c);
    return false;
}

bool config_set(struct config *c, const char *assignment, struct error *error)
{
    return keys_assign(tables, c, assignment, error);
}

bool config_knows(const char *assignment, struct error *error)
{
    char key[KEYS_BYTES_MAX];
    return keys_split(assignment, key, error) != NULL && keys_known(tables, key, error);
}

bool config_check(const struct config *c, struct error *error)
{
    if (!keys_check(tables, c, error))
        return false;
    if (c->link.posted_bytes < c->nvme.max_payload_bytes)
        return error_set(
            error,
            "link.posted_bytes: expected at least nvme.max_payload_bytes (%u), got %u",
            c->nvme.max_payload_bytes, c->link.posted_bytes);
    return system_config_rules(&c->system, error);
}
