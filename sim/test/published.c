/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/test/published.h"

#include "dma_api/dma-mapping.h"
#include "sim/test/kernel_rig.h"

enum { PAGES = 10, ROUNDS = 200 };

struct contention {
    sim_time_t work, unmapping, ended;
};

static void contend(struct kernel_rig *r, void *state)
{
    struct contention *c   = state;
    const sim_time_t begin = cpu_this()->time;
    for (unsigned i = 0; i < ROUNDS; i++) {
        const dma_addr_t iova =
            dma_map_phys(&r->device, 0x40000000, PAGES * 4096, DMA_FROM_DEVICE, 0);
        cpu_spend(cpu_this(), c->work / r->cpu_config.period_ps);
        cpu_sync(cpu_this());
        const sim_time_t from = cpu_this()->time;
        dma_unmap_phys(&r->device, iova, PAGES * 4096, DMA_FROM_DEVICE, 0);
        c->unmapping += cpu_this()->time - from;
    }
    if (cpu_this()->time - begin > c->ended)
        c->ended = cpu_this()->time - begin;
}

struct published_contention published_contend(unsigned cpus, double work_us)
{
    struct contention c  = { .work = (sim_time_t)(work_us * TIME_US) };
    struct kernel_rig *r = kernel_rig_new(RIG_VTD);
    const double all     = (double)cpus * ROUNDS;
    r->cpus              = cpus;
    kernel_rig_run(r, contend, &c);
    kernel_rig_free(r);
    return (struct published_contention){ all / ((double)c.ended / TIME_US),
                                          (double)c.unmapping / TIME_US / all };
}
