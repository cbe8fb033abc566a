/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/storage.h"

#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "sim/app/sampler.h"

enum { NVME_REQUESTER = 5 << 3 }; /* Bus 0, device 5, function 0: beside the NIC. */

bool storage_check_run(const struct config *config, const struct machine_run *run,
                       struct error *error)
{
    if (config->fabric.hosts != STORAGE_HOSTS)
        return error_set(error, "fabric.hosts: expected 2 with nvmf.remote, got %u",
                         config->fabric.hosts);
    if (replay_devices(&config->replay) != REPLAY_one)
        return error_set(error, "replay.devices: expected one with nvmf.remote");
    if (strcmp(config->replay.polled, "none") != 0)
        return error_set(error, "replay.polled: expected none with nvmf.remote, got %s",
                         config->replay.polled);
    if (strcmp(config->replay.buffers, "premapped") == 0)
        return error_set(error, "replay.buffers: expected any or registered with "
                                "nvmf.remote, got premapped");
    for (unsigned i = 0; i < run->sources; i++)
        CHECK(run->source[i].reader != NULL);
    return true;
}

/* ---- The drive -------------------------------------------------------------------------
 */

/* As much address space as the namespace is large: pages come with the first write. */
static bool alloc_medium(struct storage *s, struct error *error)
{
    const uint64_t blocks = s->config->nvme.blocks;
    const size_t bytes    = (size_t)blocks << NVME_SECTOR_LG2;
    void *medium          = MAP_FAILED;
    if (blocks <= SIZE_MAX >> NVME_SECTOR_LG2)
        medium = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (medium == MAP_FAILED)
        return error_set(error,
                         "nvme.blocks: the host has no address space for the contents of "
                         "%" PRIu64 " blocks (fabric.check=1): expected fewer",
                         blocks);
    s->medium       = medium;
    s->medium_bytes = bytes;
    return true;
}

/* It looks like the drive to the server's IOMMU. The NICs' have the seeds before. */
static void build_attacker(struct storage *s, struct system *server)
{
    hostile_build(&s->hostile, server, s->config, NVME_REQUESTER,
                  s->run->seed + STORAGE_HOSTS);
    s->nvme.data_moved      = hostile_learn;
    s->nvme.data_moved_self = &s->hostile;
}

bool storage_build(struct storage *s, const struct config *config,
                   const struct machine_run *run, struct system *server,
                   struct error *error)
{
    s->config = config;
    s->run    = run;
    s->checks = config->fabric.check;
    slot_build(&s->slot, server, NVME_REQUESTER, system_has_device_tlb(server),
               "nvme registers", &nvme_mmio_ops, &s->nvme);
    nvme_ctrl_init(&s->nvme, server->engine, slot_port(&s->slot), &config->nvme,
                   NVME_REQUESTER, run->seed);
    if (run->attacker)
        build_attacker(s, server);
    if (!s->checks)
        return true;
    if (!alloc_medium(s, error))
        return false;
    s->nvme.medium = s->medium;
    return true;
}

void storage_destroy(struct storage *s)
{
    if (s->replay.cpu != NULL)
        replay_free(&s->replay);
    if (s->verify.lba != NULL)
        nvmf_verify_free(&s->verify);
    hostile_destroy(&s->hostile);
    nvme_ctrl_free(&s->nvme);
    slot_destroy(&s->slot);
    if (s->medium != NULL)
        munmap(s->medium, s->medium_bytes);
}

bool storage_bring_up(struct storage *s, struct error *error)
{
    if (!slot_attach(&s->slot, "nvme0", NULL))
        return error_set(error, "the drive could not be attached to the IOMMU");
    return nvme_driver_probe(&s->driver, &s->slot.device, &s->slot.window,
                             &s->config->driver, &s->config->blk, s->run->api, 0, error);
}

void storage_take_down(struct storage *s)
{
    nvme_driver_remove(&s->driver);
    CHECK(slot_detach(&s->slot, false) == 0);
}

/* ---- The two ends ----------------------------------------------------------------------
 */

bool storage_probe(struct storage *s, unsigned host, struct verbs_device *verbs,
                   struct error *error)
{
    const struct config *c = s->config;
    if (host == STORAGE_CLIENT)
        return nvmf_host_probe(&s->host, verbs, &c->nvmf, &c->blk, error);
    return nvmf_target_probe(&s->target, verbs, &s->driver, &c->nvmf, &c->blk, error);
}

bool storage_connect(struct storage *s, unsigned host, struct error *error)
{
    struct nvmf_private_data wants[1 + ENGINE_CPUS_MAX];
    uint32_t qp[1 + ENGINE_CPUS_MAX];
    const bool client = host == STORAGE_CLIENT;
    qp[0]             = client ? s->target.admin.qp->id : s->host.admin.qp->id;
    for (unsigned i = 0; i < s->host.queues; i++)
        qp[1 + i] = client ? s->target.queue[i].qp->id : s->host.queue[i].qp->id;
    if (client)
        return nvmf_host_connect(&s->host, STORAGE_SERVER, qp, error);
    for (unsigned i = 0; i <= s->host.queues; i++)
        wants[i] = nvmf_host_private_data(&s->host, i);
    return nvmf_target_connect(&s->target, STORAGE_CLIENT, qp, wants, error);
}

bool storage_start(struct storage *s, unsigned host, struct error *error)
{
    if (host == STORAGE_SERVER) {
        nvmf_target_run(&s->target);
        return true;
    }
    if (cpu_this()->id != 0)
        return true;
    const bool ready = nvmf_host_start(&s->host, error);
    cpu_sync(cpu_this());
    nvmf_target_end(&s->target);
    return ready;
}

void storage_stop(struct storage *s, unsigned host)
{
    if (host == STORAGE_SERVER) {
        nvmf_target_run(&s->target);
    } else if (cpu_this()->id == 0) {
        nvmf_host_stop(&s->host);
        cpu_sync(cpu_this());
        nvmf_target_end(&s->target);
    }
}

void storage_again(struct storage *s)
{
    nvmf_target_again(&s->target);
}

void storage_remove(struct storage *s, unsigned host)
{
    if (host == STORAGE_CLIENT) {
        replay_end(&s->replay);
        nvmf_host_remove(&s->host);
    } else
        nvmf_target_remove(&s->target);
}

static int submit(void *self, const struct nvme_io *io)
{
    return nvmf_host_submit(self, io);
}

bool storage_begin(struct storage *s, struct system *client, struct error *error)
{
    const struct machine_run *run = s->run;
    const struct config *c        = s->config;
    struct replay_disk disk       = { submit, &s->host, &s->host.limits, &s->host.blocks };
    replay_init(&s->replay, &c->replay, &c->placement, run->source, run->sources,
                run->limit, run->seed, NULL, client->cpus, run->cpus);
    if (s->checks) {
        nvmf_verify_init(&s->verify, &client->memory, &disk, &s->host.stats);
        disk.submit = nvmf_verify_submit;
        disk.self   = &s->verify;
    }
    replay_use(&s->replay, &disk);
    s->replay.progress      = run->progress;
    s->replay.progress_self = run->progress_self;
    return replay_begin(&s->replay, error);
}

void storage_run(struct storage *s, unsigned host)
{
    if (host == STORAGE_SERVER) {
        nvmf_target_run(&s->target);
        return;
    }
    replay_run(&s->replay, 1);
    cpu_sync(cpu_this());
    if (++s->finished == s->run->cpus)
        nvmf_target_end(&s->target);
}

void storage_end(struct storage *s)
{
    if (s->checks)
        nvmf_verify_medium(&s->verify, s->medium);
}

/* ---- Results ---------------------------------------------------------------------------
 */

void storage_count(const struct storage *s, unsigned host, struct machine_counters *c)
{
    if (host == STORAGE_CLIENT) {
        c->replay = s->replay.stats;
        c->nvmf   = s->host.stats;
        return;
    }
    c->nvmf = s->target.stats;
    c->nvme = s->nvme.stats;
    slot_count(&s->slot, &c->system);
    slot_count_domain(&s->slot, &c->system);
    system_add_stats(&attacker_stat_table, &c->attacker, &s->hostile.attacker.stats);
    for (unsigned q = 0; q < s->driver.queues; q++)
        system_add_stats(&driver_stat_table, &c->driver, &s->driver.queue[q].stats);
}

void storage_look(const struct storage *s, uint64_t *value)
{
    value[SERIES_ID_record] = s->replay.stats.record;
    sampler_add_dma(value, &s->slot.port.stats);
}

bool storage_check(struct storage *s, struct error *error)
{
    if (s->host.admin.failed != RDMA_SUCCESS)
        return error_set(error, "the admin queue of the nvmf host ended with status %u",
                         s->host.admin.failed);
    for (unsigned i = 0; i < s->host.queues; i++)
        if (s->host.queue[i].failed != RDMA_SUCCESS)
            return error_set(error, "queue %u of the nvmf host ended with status %u", i,
                             s->host.queue[i].failed);
    if (!slot_idle(&s->slot) || !nvme_ctrl_idle(&s->nvme))
        return error_set(error, "transactions of the drive were still under way");
    if (!hostile_idle(&s->hostile))
        return error_set(error, "transactions of the attacker were still under way");
    if (!nvme_ctrl_check(&s->nvme, error))
        return false;
    if (s->host.stats.mismatched == 0)
        return true;
    return error_set(error,
                     "%" PRIu64 " reads or blocks of the medium are not what was "
                     "written",
                     s->host.stats.mismatched);
}
