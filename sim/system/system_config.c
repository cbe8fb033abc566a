/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/system/system_config.h"

#include <stdlib.h>
#include <string.h>

#include "iommu_model/arch.h"
#include "sim/base/keys.h"

#define PARAM_OWNER struct platform_config
static const struct param_def platform_params[] = { PLATFORM_PARAMS(PARAM_ROW) PARAM_END };
const struct param_table platform_param_table   = { "platform", "Memory and register paths",
                                                    platform_params,
                                                    sizeof(struct platform_config), NULL };

#define MODULE(type, name, table) { &table, offsetof(struct system_config, name) },
static const struct {
    const struct param_table *table;
    size_t offset;
} modules[] = { SYSTEM_MODULES(MODULE) };

const struct param_table *system_config_table(const void *config, unsigned index,
                                              const void **values)
{
    const struct system_config *c = config;
    if (index < SYSTEM_MODULE_COUNT) {
        *values = c == NULL ? NULL : (const char *)c + modules[index].offset;
        return modules[index].table;
    }
    index -= SYSTEM_MODULE_COUNT;
    for (unsigned i = 0; flush_table[i] != NULL; i++)
        if (flush_table[i]->params != NULL && index-- == 0) {
            *values = c == NULL ? NULL : c->policy[i];
            return flush_table[i]->params;
        }
    return NULL;
}

void system_config_init(struct system_config *c)
{
    memset(c, 0, sizeof *c);
    for (unsigned i = 0; flush_table[i] != NULL; i++) {
        CHECK(i < SYSTEM_POLICIES_MAX);
        if (flush_table[i]->params == NULL)
            continue;
        c->policy[i] = calloc(1, flush_table[i]->params->bytes);
        CHECK(c->policy[i] != NULL);
    }
    keys_reset(system_config_table, c);
}

void system_config_free(struct system_config *c)
{
    for (unsigned i = 0; i < SYSTEM_POLICIES_MAX; i++)
        free(c->policy[i]);
    memset(c, 0, sizeof *c);
}

/* The kernel's own pages are in the upper half of memory: an IOMMU that does not reach them
 * finds neither its tables nor its queue, and the driver would wait for it for ever. */
static bool reaches_memory(const char *key, unsigned lg2, struct error *error)
{
    return lg2 >= MEM_PA_LG2
           || error_set(error, "%s: expected %d (memory here has so many bits), got %u",
                        key, MEM_PA_LG2, lg2);
}

bool system_config_rules(const struct system_config *c, struct error *error)
{
    if (strcmp(c->iommu.arch, "vtd") == 0
            ? !reaches_memory("vtd.address_lg2", c->vtd.address_lg2, error)
            : !reaches_memory("riscv.pa_lg2", c->riscv.pa_lg2, error))
        return false;
    if (c->atc.enabled && (strcmp(c->iommu.arch, "vtd") != 0 || !c->vtd.device_tlb))
        return error_set(error, "atc.enabled: expected 0 without iommu.arch=vtd and "
                                "vtd.device_tlb=1 (nothing would translate for it), got 1");
    if (strcmp(c->iommu.arch, "riscv") == 0 && c->kernel.svnapot && !c->riscv.napot)
        return error_set(error,
                         "linux.svnapot: expected 0 with riscv.napot=0 (every 64 KiB "
                         "leaf would be a fault), got 1");
    return true;
}

/* ---- What the parts are made with ---------------------------------------------------- */

/* The architecture's own parameters are the module that its table describes. */
static const void *arch_config(const struct system_config *c)
{
    const struct iommu_arch *arch = iommu_arch_find(c->iommu.arch);
    for (unsigned i = 0; i < SYSTEM_MODULE_COUNT; i++)
        if (modules[i].table == arch->params)
            return (const char *)c + modules[i].offset;
    UNREACHABLE("every architecture's parameters are a module");
}

struct iommu_settings system_iommu_settings(const struct system_config *c)
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

const void *system_policy_config(const struct system_config *c,
                                 const struct flush_policy *policy)
{
    for (unsigned i = 0; flush_table[i] != NULL; i++)
        if (flush_table[i] == policy)
            return c->policy[i];
    return NULL;
}

struct mem_channel system_channel(const struct system_config *c)
{
    const struct platform_config *p = &c->platform;
    return (struct mem_channel){ .latency_ps = p->memory_latency_ns * TIME_NS,
                                 .beat_ps    = p->memory_beat_ps,
                                 .beat_bytes = p->memory_beat_bytes };
}
