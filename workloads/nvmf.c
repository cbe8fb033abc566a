/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/nvmf.h"

#include <string.h>

#include "sim/base/lg2.h"

#define PARAM_OWNER struct nvmf_config
#define STAT_OWNER  struct nvmf_stats
static const struct param_def nvmf_params[]  = { NVMF_PARAMS(PARAM_ROW) PARAM_END };
static const struct stat_def nvmf_counters[] = { NVMF_STATS(STAT_ROW) STAT_END };

static bool check_config(const void *config, struct error *error)
{
    const struct nvmf_config *c = config;
    if (c->inline_kib % 4 != 0)
        return error_set(error, "nvmf.inline_kib: expected a multiple of 4, got %u",
                         c->inline_kib);
    return true;
}

const struct param_table nvmf_param_table = {
    .prefix = "nvmf",
    .text   = "NVMe over RDMA",
    .def    = nvmf_params,
    .bytes  = sizeof(struct nvmf_config),
    .check  = check_config,
};
const struct stat_table nvmf_stat_table = {
    .prefix = "nvmf",
    .text   = "NVMe over RDMA, both ends",
    .def    = nvmf_counters,
    .bytes  = sizeof(struct nvmf_stats),
};

static uint32_t at_least(uint32_t value, uint32_t least)
{
    const uint32_t pow2 = UINT32_C(1) << lg2_ceil(least);
    return value < pow2 ? pow2 : value;
}

struct verbs_config nvmf_verbs_config(const struct verbs_config *verbs,
                                      const struct nvmf_config *config)
{
    struct verbs_config c = *verbs;
    const uint32_t head   = (uint32_t)offsetof(struct rdma_wqe, sge);
    c.wqe_bytes = at_least(c.wqe_bytes, head + (1 + NVMF_INLINE_PAGES) * RDMA_SGE_BYTES);
    const uint32_t sges = (c.wqe_bytes - head) / RDMA_SGE_BYTES;
    /* Registration, command and invalidation; the command and what it carries. */
    c.queue_entries = at_least(c.queue_entries, 3 * config->queue_entries + 1);
    /* One command's data, page by page, and its response: less would never be enough. */
    c.queue_entries = at_least(c.queue_entries, (NVMF_PAGES_MAX + sges - 1) / sges + 1);
    c.receive_bytes =
        at_least(c.receive_bytes, (1 + config->inline_kib / 4) * RDMA_SGE_BYTES);
    return c;
}

void nvmf_put(phys_addr_t phys, const void *from, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i += 8) {
        uint64_t word;
        memcpy(&word, (const char *)from + i, sizeof word);
        cpu_write64(cpu_this(), phys + i, word);
    }
}

void nvmf_get(phys_addr_t phys, void *to, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i += 8) {
        const uint64_t word = cpu_read64(cpu_this(), phys + i);
        memcpy((char *)to + i, &word, sizeof word);
    }
}
