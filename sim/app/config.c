/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/config.h"

#include <stdlib.h>
#include <string.h>

#include "iommu_model/arch.h"
#include "sim/app/preset.h"

#define PARAM_OWNER struct platform_config
static const struct param_def platform_params[] = { PLATFORM_PARAMS(PARAM_ROW) PARAM_END };
static const struct param_table platform_param_table = {
    "platform", "Memory and register paths", platform_params,
    sizeof(struct platform_config), NULL
};

#define MODULE(name, table)                                                                \
    {                                                                                      \
        &table, offsetof(struct config, name)                                              \
    }
static const struct {
    const struct param_table *table;
    size_t offset;
} modules[] = {
    MODULE(platform, platform_param_table),
    MODULE(cpu, cpu_param_table),
    MODULE(iommu, iommu_param_table),
    MODULE(context, context_param_table),
    MODULE(iotlb, iotlb_param_table),
    MODULE(walkcache, walkcache_param_table),
    MODULE(walker, walker_param_table),
    MODULE(memport, memport_param_table),
    MODULE(invq, invq_param_table),
    MODULE(faultq, faultq_param_table),
    MODULE(vtd, vtd_param_table),
    MODULE(riscv, riscv_param_table),
    MODULE(extension, extension_param_table),
    MODULE(link, link_param_table),
    MODULE(atc, atc_param_table),
    MODULE(kernel, linux_param_table),
    MODULE(cost, cost_param_table),
    MODULE(moves, policy_param_table),
    MODULE(blk, blk_param_table),
    MODULE(driver, driver_param_table),
    MODULE(nvme, nvme_param_table),
    MODULE(replay, replay_param_table),
    MODULE(fabric, fabric_param_table),
    MODULE(verbs, verbs_param_table),
    MODULE(umem, umem_param_table),
    MODULE(rdma, rdma_param_table),
    MODULE(wire, rdma_wire_param_table),
    MODULE(placement, placement_param_table),
    MODULE(audit, audit_param_table),
    MODULE(attacker, attacker_param_table),
    MODULE(exerciser, exerciser_param_table),
    MODULE(gen, gen_param_table),
};
enum { MODULES = sizeof modules / sizeof modules[0] };

/* Policies without parameters have no table. */
static const struct param_table *policy_params(unsigned nth, unsigned *policy)
{
    for (unsigned i = 0; flush_table[i] != NULL; i++)
        if (flush_table[i]->params != NULL && nth-- == 0) {
            *policy = i;
            return flush_table[i]->params;
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

/* The same of generators. */
static const struct param_table *generator_params(unsigned nth, unsigned *generator)
{
    for (unsigned i = 0; gen_table[i] != NULL; i++)
        if (gen_table[i]->params != NULL && nth-- == 0) {
            *generator = i;
            return gen_table[i]->params;
        }
    return NULL;
}

const struct param_table *config_table(const struct config *c, unsigned index,
                                       const void **values)
{
    unsigned policy;
    if (index < MODULES) {
        *values = c == NULL ? NULL : (const char *)c + modules[index].offset;
        return modules[index].table;
    }
    const struct param_table *table = policy_params(index - MODULES, &policy);
    if (table != NULL) {
        *values = c == NULL ? NULL : c->policy[policy];
        return table;
    }
    table = generator_params(index - MODULES - policies_with_params(), &policy);
    if (table != NULL)
        *values = c == NULL ? NULL : c->generator[policy];
    return table;
}

static bool apply_preset(struct config *c, const char *name, struct error *error)
{
    const struct preset *preset = preset_find(name);
    if (preset == NULL)
        return error_set(error, "preset '%s': not known; `iovasim presets` lists them",
                         name);
    c->preset = preset->name;
    for (const struct preset_value *v = preset->value; v->assignment != NULL; v++)
        if (!config_set(c, v->assignment, error))
            return error_in(error, "preset %s", name);
    return true;
}

void config_free(struct config *c)
{
    for (unsigned i = 0; i < CONFIG_POLICIES_MAX; i++)
        free(c->policy[i]);
    for (unsigned i = 0; i < CONFIG_GENERATORS_MAX; i++)
        free(c->generator[i]);
}

bool config_init(struct config *c, const char *preset, struct error *error)
{
    memset(c, 0, sizeof *c);
    for (unsigned i = 0; flush_table[i] != NULL; i++) {
        CHECK(i < CONFIG_POLICIES_MAX);
        if (flush_table[i]->params == NULL)
            continue;
        c->policy[i] = calloc(1, flush_table[i]->params->bytes);
        CHECK(c->policy[i] != NULL);
    }
    for (unsigned i = 0; gen_table[i] != NULL; i++) {
        CHECK(i < CONFIG_GENERATORS_MAX);
        if (gen_table[i]->params == NULL)
            continue;
        c->generator[i] = calloc(1, gen_table[i]->params->bytes);
        CHECK(c->generator[i] != NULL);
    }
    const struct param_table *table;
    const void *values;
    for (unsigned i = 0; (table = config_table(c, i, &values)) != NULL; i++)
        param_reset(table, (void *)values);
    if (preset == NULL || apply_preset(c, preset, error))
        return true;
    config_free(c);
    memset(c, 0, sizeof *c);
    return false;
}

/* ---- The IOMMU
 * ---------------------------------------------------------------------------------- */

/* The architecture's own parameters are the module that its table describes. */
static const void *arch_config(const struct config *c)
{
    const struct iommu_arch *arch = iommu_arch_find(c->iommu.arch);
    for (unsigned i = 0; i < MODULES; i++)
        if (modules[i].table == arch->params)
            return (const char *)c + modules[i].offset;
    UNREACHABLE("every architecture's parameters are a module");
}

struct iommu_settings config_settings(const struct config *c)
{
    return (struct iommu_settings){
        .iommu     = c->iommu,
        .context   = c->context,
        .iotlb     = c->iotlb,
        .walkcache = c->walkcache,
        .walker    = c->walker,
        .memport   = c->memport,
        .invq      = c->invq,
        .faultq    = c->faultq,
        .arch      = arch_config(c),
        .write_ps  = c->platform.memory_latency_ns * TIME_NS,
    };
}

/* ---- Keys
 * ----------------------------------------------------------------------------------------
 */

static size_t smallest(size_t a, size_t b, size_t c)
{
    const size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* How many letters have to be changed, added or left out. Keys are short. */
static size_t edit_distance(const char *a, const char *b)
{
    enum { LONGEST = 64 };
    size_t row[LONGEST + 1];
    const size_t n = strlen(b);
    if (n > LONGEST)
        return SIZE_MAX;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0]          = i;
        for (size_t j = 1; j <= n; j++) {
            const size_t above = row[j];
            row[j] = smallest(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[n];
}

static bool unknown_key(const char *key, struct error *error)
{
    char nearest[96] = "", candidate[96];
    size_t least     = SIZE_MAX;
    const struct param_table *table;
    const void *values;
    for (unsigned i = 0; (table = config_table(NULL, i, &values)) != NULL; i++)
        for (const struct param_def *def = table->def; def->name != NULL; def++) {
            snprintf(candidate, sizeof candidate, "%s.%s", table->prefix, def->name);
            const size_t distance = edit_distance(key, candidate);
            if (distance < least) {
                least = distance;
                memcpy(nearest, candidate, sizeof nearest);
            }
        }
    if (least > strlen(key) / 3)
        return error_set(error, "%s: no such parameter; `iovasim params` lists all", key);
    return error_set(error,
                     "%s: no such parameter; did you mean %s? `iovasim params` lists all",
                     key, nearest);
}

bool config_set(struct config *c, const char *assignment, struct error *error)
{
    char key[96];
    const char *equals = strchr(assignment, '=');
    const size_t n     = equals == NULL ? 0 : (size_t)(equals - assignment);
    if (n == 0 || n >= sizeof key)
        return error_set(error, "'%s': expected key=value", assignment);
    memcpy(key, assignment, n);
    key[n] = '\0';

    const struct param_table *table;
    const void *values;
    for (unsigned i = 0; (table = config_table(c, i, &values)) != NULL; i++) {
        const size_t prefix = strlen(table->prefix);
        if (strncmp(key, table->prefix, prefix) != 0 || key[prefix] != '.')
            continue;
        const struct param_def *def = param_find(table, key + prefix + 1);
        if (def != NULL)
            return param_set(table, def, (void *)values, equals + 1, error);
    }
    return unknown_key(key, error);
}

bool config_check(const struct config *c, struct error *error)
{
    const struct param_table *table;
    const void *values;
    for (unsigned i = 0; (table = config_table(c, i, &values)) != NULL; i++)
        if (table->check != NULL && !table->check(values, error))
            return false;
    if (c->link.posted_bytes < c->nvme.max_payload_bytes)
        return error_set(
            error,
            "link.posted_bytes: expected at least nvme.max_payload_bytes (%u), got %u",
            c->nvme.max_payload_bytes, c->link.posted_bytes);
    if (c->atc.enabled && (strcmp(c->iommu.arch, "vtd") != 0 || !c->vtd.device_tlb))
        return error_set(error, "atc.enabled: expected 0 without iommu.arch=vtd and "
                                "vtd.device_tlb=1 (nothing would translate for it), got 1");
    if (strcmp(c->iommu.arch, "riscv") == 0 && c->kernel.svnapot && !c->riscv.napot)
        return error_set(error,
                         "linux.svnapot: expected 0 with riscv.napot=0 (every 64 KiB "
                         "leaf would be a fault), got 1");
    return true;
}
