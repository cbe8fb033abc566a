/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvmf_start - how the host makes a controller ready, keeps it alive, and shuts it down:
 * the commands of Linux's host in the order in which a recording of it has them
 * (traces/samples/nvmeof-connect.txt).
 */
#include <string.h>

#include "sim/base/lg2.h"
#include "workloads/nvmf_host.h"

enum {
    LOG_EFFECTS_BYTES = 4096,
    LOG_HEALTH_BYTES  = 512,
    EVENTS            = 0x900, /* Namespaces and access to them may change. */
    BUFFER_ORDER      = 2,     /* 16 KiB, of which the largest log takes half. */
    CC_SETS           = 6,     /* All command sets that there are. */
};

static const uint32_t cc_ready = CC_SETS << NVME_CC_CSS_SHIFT
                                 | NVME_SQE_LG2 << NVME_CC_IOSQES_SHIFT
                                 | NVME_CQE_LG2 << NVME_CC_IOCQES_SHIFT;

/* A command that is waited for. */
struct call {
    struct nvmf_host *host;
    struct cpu *cpu;
    struct blk_segment buffer; /* For its data, and others' after it. */
    uint64_t result;
    uint16_t status;
    bool done;
};

static void on_done(void *arg, uint16_t status)
{
    struct call *c = arg;
    c->status      = status;
    c->done        = true;
    cpu_wake(c->cpu, cpu_this()->time);
}

/* False: it failed, or could not be sent. */
static bool call(struct call *c, struct nvmf_host_queue *q, const struct nvme_sqe *sqe,
                 uint32_t bytes)
{
    const struct blk_segment data = { c->buffer.phys, bytes };
    c->done                       = false;
    if (nvmf_host_command(q, sqe, bytes > 0 ? &data : NULL, &c->result, on_done, c) != 0)
        return false;
    cpu_sync(c->cpu);
    while (!c->done)
        cpu_wait(c->cpu, TIME_NEVER);
    return c->status == NVME_SUCCESS;
}

static uint64_t word_of(const struct call *c, uint32_t at, unsigned bytes)
{
    const uint64_t word = cpu_read64(c->cpu, c->buffer.phys + (at & ~UINT32_C(7)));
    return word >> 8 * (at & 7) & (bytes < 8 ? (UINT64_C(1) << 8 * bytes) - 1 : UINT64_MAX);
}

/* ---- Fabrics commands ------------------------------------------------------------------
 */

static bool connect_queue(struct call *c, struct nvmf_host_queue *q, uint16_t controller)
{
    struct nvmf_connect_data d = { .controller = controller,
                                   .subsystem  = "nqn.2014-08.org.nvmexpress:iovasim",
                                   .host       = "nqn.2014-08.org.nvmexpress:uuid:0" };
    const uint32_t kato        = q->id == 0 ? c->host->config.keep_alive_ms : 0;
    const struct nvme_sqe sqe  = { .opcode = NVMF_FABRICS,
                                   .nsid   = NVMF_CONNECT,
                                   .cdw = { (uint32_t)q->id << 16, q->entries - 1, kato } };
    memset(d.host_id, 0x11, sizeof d.host_id);
    nvmf_put(c->buffer.phys, &d, sizeof d);
    return call(c, q, &sqe, sizeof d);
}

static bool get_property(struct call *c, uint32_t at)
{
    const struct nvme_sqe sqe = { .opcode = NVMF_FABRICS,
                                  .nsid   = NVMF_PROPERTY_GET,
                                  .cdw    = { at == NVME_CAP ? NVMF_PROPERTY_8_BYTES : 0,
                                           at } };
    return call(c, &c->host->admin, &sqe, 0);
}

static bool set_configuration(struct call *c, uint32_t cc)
{
    const struct nvme_sqe sqe = { .opcode = NVMF_FABRICS,
                                  .nsid   = NVMF_PROPERTY_SET,
                                  .cdw    = { 0, NVME_CC, cc } };
    return call(c, &c->host->admin, &sqe, 0);
}

/* ---- Admin commands --------------------------------------------------------------------
 */

static bool identify(struct call *c, uint8_t what, uint32_t nsid)
{
    const struct nvme_sqe sqe = { .opcode = NVME_ADMIN_IDENTIFY,
                                  .nsid   = nsid,
                                  .cdw    = { what } };
    return call(c, &c->host->admin, &sqe, NVME_IDENTIFY_BYTES);
}

static bool get_log(struct call *c, uint8_t page, uint32_t nsid, uint32_t bytes)
{
    const uint32_t dwords     = bytes / 4 - 1;
    const struct nvme_sqe sqe = { .opcode = NVME_ADMIN_GET_LOG,
                                  .nsid   = nsid,
                                  .cdw    = { page | dwords << 16, dwords >> 16 } };
    return call(c, &c->host->admin, &sqe, bytes);
}

static bool set_feature(struct call *c, uint8_t feature, uint32_t value)
{
    const struct nvme_sqe sqe = { .opcode = NVME_ADMIN_SET_FEATURES,
                                  .cdw    = { feature, value } };
    return call(c, &c->host->admin, &sqe, 0);
}

/* ---- In order --------------------------------------------------------------------------
 */

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* What the controller says of itself bounds what is sent to it. */
static bool learn_controller(struct call *c)
{
    struct nvmf_host *h = c->host;
    if (!identify(c, NVME_IDENTIFY_CONTROLLER, 0))
        return false;
    const unsigned mdts   = (unsigned)word_of(c, NVME_IDCTRL_MDTS, 1);
    const uint32_t sgls   = (uint32_t)word_of(c, NVME_IDCTRL_SGLS, 4);
    const uint32_t inside = (uint32_t)word_of(c, NVME_IDCTRL_IOCCSZ, 4) * 16;
    if ((sgls & NVME_SGLS_KEYED) == 0 || inside < NVMF_COMMAND_BYTES)
        return false;
    if (mdts > 0 && mdts < 31 - NVME_PAGE_LG2)
        h->limits.max_bytes =
            smaller(h->limits.max_bytes, UINT32_C(1) << (NVME_PAGE_LG2 + mdts));
    for (unsigned i = 0; i < h->queues && (sgls & NVME_SGLS_OFFSET) != 0; i++)
        h->queue[i].inline_bytes =
            smaller(h->config.inline_kib << 10, inside - NVMF_COMMAND_BYTES);
    return true;
}

static bool learn_namespace(struct call *c)
{
    struct nvmf_host *h = c->host;
    if (!identify(c, NVME_IDENTIFY_COMMAND_SET, 0) || !identify(c, NVME_IDENTIFY_ACTIVE, 0)
        || word_of(c, 0, 4) != 1 || !identify(c, NVME_IDENTIFY_DESCRIPTORS, 1)
        || !identify(c, NVME_IDENTIFY_INDEPENDENT, 1)
        || !identify(c, NVME_IDENTIFY_NAMESPACE, 1))
        return false;
    const unsigned lg2 = (unsigned)word_of(c, NVME_IDNS_LBAF + NVME_LBAF_SHIFT / 8, 1);
    if (lg2 < NVME_SECTOR_LG2 || lg2 > 16)
        return false;
    h->limits.block_bytes = UINT32_C(1) << lg2;
    h->blocks             = word_of(c, NVME_IDNS_NSZE, 8) << (lg2 - NVME_SECTOR_LG2);
    return get_log(c, NVME_LOG_ANA, (uint32_t)NVME_NSID_ALL, NVMF_ANA_BYTES);
}

static bool connect_all(struct call *c, uint16_t controller)
{
    struct nvmf_host *h   = c->host;
    const uint32_t queues = h->queues - 1;
    if (!set_feature(c, NVME_FEATURE_QUEUES, queues | queues << 16)
        || (c->result & 0xffff) < queues)
        return false;
    for (unsigned i = 0; i < h->queues; i++)
        if (!connect_queue(c, &h->queue[i], controller))
            return false;
    return true;
}

static bool enable(struct call *c, uint16_t controller)
{
    return get_property(c, NVME_CAP) && set_configuration(c, cc_ready)
           && get_property(c, NVME_CAP) && set_configuration(c, cc_ready | NVME_CC_EN)
           && get_property(c, NVME_CSTS) && (c->result & NVME_CSTS_RDY) != 0
           && get_property(c, NVME_VS) && learn_controller(c)
           && get_log(c, NVME_LOG_EFFECTS, 0, LOG_EFFECTS_BYTES)
           && get_log(c, NVME_LOG_ANA, (uint32_t)NVME_NSID_ALL, NVMF_ANA_BYTES)
           && get_log(c, NVME_LOG_HEALTH, (uint32_t)NVME_NSID_ALL, LOG_HEALTH_BYTES)
           && connect_all(c, controller);
}

static bool start(struct call *c)
{
    struct nvmf_host *h = c->host;
    return connect_queue(c, &h->admin, NVMF_CONTROLLER_ANY)
           && enable(c, (uint16_t)c->result) && set_feature(c, NVME_FEATURE_EVENTS, EVENTS)
           && nvmf_host_await_event(h) == 0 && learn_namespace(c);
}

/* ---- Keep Alive ------------------------------------------------------------------------
 */

static void arm_keep_alive(struct nvmf_host *h)
{
    cpu_timer_arm(cpu_this(), &h->keep_alive,
                  cpu_this()->time + h->config.keep_alive_ms * (1000 * TIME_US) / 2);
}

static void on_kept_alive(void *arg, uint16_t status)
{
    struct nvmf_host *h = arg;
    (void)status; /* It is counted. */
    h->keeping_alive = false;
}

static void on_keep_alive(void *arg)
{
    static const struct nvme_sqe sqe = { .opcode = NVME_ADMIN_KEEP_ALIVE };
    struct nvmf_host *h              = arg;
    if (!h->keeping_alive)
        h->keeping_alive =
            nvmf_host_command(&h->admin, &sqe, NULL, NULL, on_kept_alive, h) == 0;
    if (h->admin.failed == RDMA_SUCCESS)
        arm_keep_alive(h);
}

/* ---- Life ------------------------------------------------------------------------------
 */

bool nvmf_host_start(struct nvmf_host *h, struct error *error)
{
    struct call c = { .host = h, .cpu = cpu_this() };
    c.buffer.phys = kernel_pages_get_zeroed(h->kernel, BUFFER_ORDER);
    if (c.buffer.phys == 0)
        return error_set(error, "nvmf: the host has no memory for a command's data");
    h->ready = start(&c);
    kernel_pages_put(h->kernel, c.buffer.phys, BUFFER_ORDER);
    if (!h->ready && c.status != NVME_SUCCESS)
        return error_set(error,
                         "nvmf: the controller could not be made ready: a command "
                         "ended with status 0x%x",
                         c.status);
    if (!h->ready)
        return error_set(error,
                         "nvmf: the controller could not be made ready: the host found no "
                         "memory for a command, or cannot use what the controller offers");
    h->keep_alive = (struct cpu_timer){ .fire = on_keep_alive, .arg = h };
    if (h->config.keep_alive_ms > 0)
        arm_keep_alive(h);
    return true;
}

void nvmf_host_stop(struct nvmf_host *h)
{
    struct call c = { .host = h, .cpu = cpu_this() };
    if (!h->ready)
        return;
    h->ready = false;
    cpu_timer_cancel(&h->keep_alive);
    while (h->keeping_alive)
        cpu_wait(c.cpu, TIME_NEVER);
    if (set_configuration(&c, cc_ready | NVME_CC_EN | 1 << NVME_CC_SHN_SHIFT))
        get_property(&c, NVME_CSTS);
}
