/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/machine.h"

#include <stdio.h>
#include <string.h>

#include "sim/app/drives.h"
#include "sim/app/fabric.h"

/* Whether any of the traces begins with a bare access. They are read from their starts
 * afterwards. */
static bool look_for_accesses(const struct machine_run *run, struct machine_result *result,
                              struct error *error)
{
    for (unsigned i = 0; i < run->sources; i++) {
        struct trace_reader *reader = run->source[i].reader;
        struct trace_record record;
        const int got = trace_next(reader, &record, error);
        result->exerciser |=
            got == 1 && (record.op == TRACE_ACCESS_READ || record.op == TRACE_ACCESS_WRITE);
        if (got < 0 || !trace_rewind(reader, error))
            return false;
    }
    return true;
}

/* Drivers give back what their devices are done with: it takes a hostile one to notice. */
static void find_leaks(const struct config *config, char *leak, size_t bytes)
{
    const bool riscv = strcmp(config->iommu.arch, "riscv") == 0;
    const struct {
        const char *parameter;
        bool has;
    } known[] = {
        { "riscv.fence_drains=0", riscv && !config->riscv.fence_drains },
        { "invq.early_head=1", riscv && config->invq.early_head },
    };
    size_t used = 0;
    leak[0]     = '\0';
    for (unsigned i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (!known[i].has)
            continue;
        used += (size_t)snprintf(leak + used, bytes - used, "%s%s", used == 0 ? "" : ", ",
                                 known[i].parameter);
        CHECK(used < bytes);
    }
}

enum machine_outcome machine_run(const struct config *config, const struct machine_run *run,
                                 const struct sim_host *host, struct machine_result *result,
                                 struct error *error)
{
    const bool remote = config->nvmf.remote && !run->rdma;
    CHECK(run->cpus > 0);
    CHECK(run->cpus <= ENGINE_CPUS_MAX);
    memset(result, 0, sizeof *result);
    result->preset          = config->preset;
    result->api             = blk_api_name[run->api];
    result->policy          = run->policy->name;
    result->translates      = run->policy->translates;
    result->negative        = run->policy->negative;
    result->attacker        = run->attacker;
    result->rdma            = run->rdma;
    result->nvmf            = remote;
    result->cpus            = run->cpus;
    result->seed            = run->seed;
    result->iommu_period_ps = config->iommu.period_ps;
    find_leaks(config, result->leak, sizeof result->leak);
    result->drives = replay_devices(&config->replay) == REPLAY_one ? 1 : run->sources;

    enum machine_outcome outcome = MACHINE_REFUSED;
    if (result->drives > MACHINE_DRIVES_MAX)
        error_set(error, "replay.devices: expected at most %u traces, got %u",
                  MACHINE_DRIVES_MAX, result->drives);
    else if (config->atc.enabled && run->policy->translates && run->policy->needs != 0)
        error_set(
            error,
            "policy %s: expected atc.enabled=0, as the hardware that it needs does not "
            "reach a device's TLB",
            run->policy->name);
    else if (!look_for_accesses(run, result, error))
        outcome = MACHINE_TRACE;
    else if (run->rdma && config->nvmf.remote)
        error_set(error, "nvmf.remote: expected a block trace, got one of RDMA work");
    else if (backend_find(config->iommu.arch) != NULL)
        outcome = run->rdma || remote ? fabric_run(config, run, host, result, error)
                                      : drives_run(config, run, host, result, error);
    else
        error_set(error, "iommu.arch: a replay needs a driver, and there is none for %s",
                  config->iommu.arch);
    return outcome;
}
