/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/verbs.h"

#include <string.h>

#include "workloads/verbs_core.h"

#define PARAM_OWNER struct verbs_config
#define STAT_OWNER  struct verbs_stats
static const struct param_def verbs_params[]  = { VERBS_PARAMS(PARAM_ROW) PARAM_END };
static const struct stat_def verbs_counters[] = { VERBS_STATS(STAT_ROW) STAT_END };
const struct param_table verbs_param_table    = {
       .prefix = "verbs",
       .text   = "The driver of an RDMA NIC",
       .def    = verbs_params,
       .bytes  = sizeof(struct verbs_config),
};
const struct stat_table verbs_stat_table = {
    .prefix = "verbs",
    .text   = "The drivers of RDMA NICs",
    .def    = verbs_counters,
    .bytes  = sizeof(struct verbs_stats),
};

enum { EVENT_ENTRIES = 1024 };

/* ---- Memory ----------------------------------------------------------------------------
 */

bool verbs_memory_alloc(struct verbs_device *d, struct verbs_memory *m, size_t bytes)
{
    m->bytes    = bytes;
    m->cpu_addr = dma_alloc_coherent(d->dev, bytes, &m->dma, GFP_KERNEL);
    return m->cpu_addr != NULL;
}

void verbs_memory_free(struct verbs_device *d, struct verbs_memory *m)
{
    if (m->cpu_addr != NULL)
        dma_free_coherent(d->dev, m->bytes, m->cpu_addr, m->dma);
    m->cpu_addr = NULL;
}

void verbs_write(const struct verbs_memory *m, size_t offset, uint64_t value)
{
    CHECK(offset + sizeof value <= m->bytes);
    cpu_write64(cpu_this(), virt_to_phys(m->cpu_addr) + offset, value);
}

void verbs_write_bytes(const struct verbs_memory *m, size_t offset, const void *data,
                       size_t bytes)
{
    uint64_t word;
    for (size_t i = 0; i < bytes; i += sizeof word) {
        memcpy(&word, (const char *)data + i, sizeof word);
        verbs_write(m, offset + i, word);
    }
}

void verbs_read_bytes(const struct verbs_memory *m, size_t offset, void *data, size_t bytes)
{
    struct cpu *cpu = cpu_this();
    CHECK(offset + bytes <= m->bytes);
    for (size_t i = 0; i < bytes; i += sizeof(uint64_t)) {
        const uint64_t word = cpu_read64(cpu, virt_to_phys(m->cpu_addr) + offset + i);
        memcpy((char *)data + i, &word, sizeof word);
    }
}

bool verbs_ring_alloc(struct verbs_device *d, struct verbs_ring *r, uint32_t entries,
                      uint32_t lg2)
{
    memset(r, 0, sizeof *r);
    r->entries = entries;
    r->lg2     = lg2;
    r->context = kernel_host_alloc(d->kernel, entries, sizeof *r->context);
    r->bytes   = kernel_host_alloc(d->kernel, entries, sizeof *r->bytes);
    return verbs_memory_alloc(d, &r->memory, (size_t)entries << lg2);
}

void verbs_ring_free(struct verbs_device *d, struct verbs_ring *r)
{
    verbs_memory_free(d, &r->memory);
    kernel_host_free(d->kernel, r->context);
    kernel_host_free(d->kernel, r->bytes);
    r->context = NULL;
    r->bytes   = NULL;
}

/* ---- Commands --------------------------------------------------------------------------
 */

uint32_t verbs_command(struct verbs_device *d, const uint64_t *word, unsigned words)
{
    struct cpu *cpu = cpu_this();
    lock_take(cpu, &d->command_lock);
    d->stats.command++;
    for (unsigned i = 0; i < words; i++)
        verbs_write(&d->mailbox, 8 * i, word[i]);
    verbs_write(&d->mailbox, 8 * RDMA_MAILBOX_STATUS, 0);
    mmio_write32(d->registers, RDMA_REG_COMMAND, 1);
    uint64_t status;
    const uint64_t at = virt_to_phys(d->mailbox.cpu_addr) + 8 * RDMA_MAILBOX_STATUS;
    while (((status = cpu_read64(cpu, at)) & RDMA_DONE) == 0)
        cpu_relax(cpu);
    lock_release(cpu, &d->command_lock);
    return (uint32_t)status;
}

static void must(struct verbs_device *d, const uint64_t *word, unsigned words)
{
    const uint32_t error = verbs_command(d, word, words);
    CHECK(error == RDMA_CMD_OK);
}

/* ---- Events ----------------------------------------------------------------------------
 */

/* The next entry of a ring of the NIC's, when that is there: the last of its bytes say
 * whose turn it was written in. */
static bool take_entry(const struct verbs_memory *ring, uint32_t *taken, uint32_t entries,
                       void *entry, size_t bytes)
{
    const size_t at      = (size_t)(*taken & (entries - 1)) * bytes;
    const uint32_t owner = (*taken & entries) == 0;
    const uint64_t last =
        cpu_read64(cpu_this(), virt_to_phys(ring->cpu_addr) + at + bytes - 8);
    if ((uint32_t)(last >> 32) != owner)
        return false;
    verbs_read_bytes(ring, at, entry, bytes);
    (*taken)++;
    return true;
}

static bool take_event(struct verbs_event_queue *q, struct rdma_eqe *e)
{
    return take_entry(&q->ring, &q->taken, q->entries, e, sizeof *e);
}

static void on_error(struct verbs_device *d, const struct rdma_eqe *e)
{
    const bool overflow = e->type == RDMA_EVENT_CQ_ERROR;
    d->stats.event_overflow += overflow;
    d->stats.event_error += !overflow; /* Its completions say what was wrong. */
    if (overflow && e->number < d->cqs && d->cq[e->number] != NULL)
        d->cq[e->number]->failed = true;
    if (d->on_error != NULL)
        d->on_error(d->on_error_self, e->type, e->number);
}

static void on_event(struct verbs_device *d, const struct rdma_eqe *e)
{
    d->stats.event++;
    cpu_spend(cpu_this(), d->config.event_cycles);
    switch (e->type) {
    case RDMA_EVENT_COMPLETION:
        d->stats.event_completion++;
        if (e->number < d->cqs && d->cq[e->number] != NULL)
            verbs_cq_drain(d->cq[e->number]);
        return;
    case RDMA_EVENT_PAGE_FAULT:
        d->stats.event_fault++;
        verbs_note_fault(d, e->key, e->address, e->bytes);
        return;
    default:
        on_error(d, e);
    }
}

static void on_interrupt(void *arg)
{
    struct verbs_event_queue *q = arg;
    struct rdma_eqe e;
    while (take_event(q, &e))
        on_event(q->device, &e);
    mmio_write64(q->device->registers, RDMA_REG_EVENT, (uint64_t)q->cpu << 32 | q->taken);
    dma_unmap_batch_end(q->device->dev);
}

static bool create_eq(struct verbs_device *d, unsigned cpu)
{
    struct verbs_event_queue *q = &d->eq[cpu];
    *q = (struct verbs_event_queue){ .device = d, .entries = EVENT_ENTRIES, .cpu = cpu };
    if (!verbs_memory_alloc(d, &q->ring, (size_t)EVENT_ENTRIES * RDMA_EQE_BYTES))
        return false;
    const uint64_t word[] = {
        RDMA_CMD_CREATE_EQ,      cpu,         q->ring.dma, EVENT_ENTRIES,
        0xfee00000u | cpu << 12, VERBS_VECTOR
    };
    cpu_handle(d->kernel->cpu[cpu], VERBS_VECTOR, on_interrupt, q);
    d->eqs = cpu + 1;
    must(d, word, 6);
    mmio_write64(d->registers, RDMA_REG_EVENT, (uint64_t)cpu << 32);
    return true;
}

/* ---- Completion queues
 * ------------------------------------------------------------------- */

/* The first that is free, taken; limit: none is. */
static uint32_t take_id(bool *taken, uint32_t limit)
{
    for (uint32_t i = 0; i < limit; i++)
        if (!taken[i]) {
            taken[i] = true;
            return i;
        }
    return limit;
}

static void arm(struct verbs_cq *cq)
{
    cq->told = cq->taken;
    mmio_write64(cq->device->registers, RDMA_REG_ARM, (uint64_t)cq->id << 32 | cq->taken);
}

struct verbs_cq *verbs_create_cq(struct verbs_device *d, uint32_t entries, unsigned cpu,
                                 verbs_done_fn *done, void *self)
{
    const uint32_t id = take_id(d->cq_taken, d->cqs);
    if (id == d->cqs)
        return NULL;
    struct verbs_cq *cq = kernel_host_alloc(d->kernel, 1, sizeof *cq);
    *cq                 = (struct verbs_cq){ .device    = d,
                                             .id        = id,
                                             .entries   = entries,
                                             .cpu       = cpu,
                                             .done      = done,
                                             .done_self = self };
    CHECK(is_pow2(entries));
    if (!verbs_memory_alloc(d, &cq->ring, (size_t)entries * RDMA_CQE_BYTES)) {
        d->cq_taken[id] = false;
        kernel_host_free(d->kernel, cq);
        return NULL;
    }
    const uint64_t word[] = { RDMA_CMD_CREATE_CQ, id, cq->ring.dma, entries, cpu };
    d->cq[id]             = cq;
    must(d, word, 5);
    if (done != NULL)
        arm(cq);
    return cq;
}

void verbs_destroy_cq(struct verbs_cq *cq)
{
    struct verbs_device *d = cq->device;
    const uint64_t word[]  = { RDMA_CMD_DESTROY_CQ, cq->id };
    must(d, word, 2);
    verbs_memory_free(d, &cq->ring);
    d->cq[cq->id]       = NULL;
    d->cq_taken[cq->id] = false;
    kernel_host_free(d->kernel, cq);
}

static bool take_cqe(struct verbs_cq *cq, struct rdma_cqe *e)
{
    const struct verbs_watcher *w = cq->device->watcher;
    if (!take_entry(&cq->ring, &cq->taken, cq->entries, e, sizeof *e))
        return false;
    if (w != NULL)
        w->found(w->self, cq->id, cq->taken - 1, cpu_this()->id, cpu_this()->time);
    if ((cq->taken - cq->told) * 8 < cq->entries)
        return true;
    cq->told = cq->taken;
    mmio_write64(cq->device->registers, RDMA_REG_TAKEN, (uint64_t)cq->id << 32 | cq->taken);
    return true;
}

/* All up to this entry are over: those in between asked for no completion. */
static uint64_t ring_complete(struct verbs_device *d, struct verbs_ring *r, uint32_t index,
                              bool good)
{
    const uint32_t at = index & (r->entries - 1);
    CHECK(index - r->completed < r->entries);
    for (; r->completed != index + 1; r->completed++) {
        const bool failed = r->completed == index && !good;
        d->stats.completed++;
        d->stats.failed += failed;
        if (!failed)
            d->stats.bytes += r->bytes[r->completed & (r->entries - 1)];
    }
    return r->context[at];
}

bool verbs_poll_cq(struct verbs_cq *cq, struct verbs_wc *wc)
{
    struct verbs_device *d = cq->device;
    struct rdma_cqe e;
    if (!take_cqe(cq, &e))
        return false;
    cpu_spend(cpu_this(), d->config.poll_cycles);
    d->stats.completion++;
    CHECK(e.qp < d->qps);
    CHECK(d->qp[e.qp] != NULL);
    struct verbs_qp *qp = d->qp[e.qp];
    const bool receive  = e.opcode == RDMA_RECEIVE;
    *wc                 = (struct verbs_wc){ .qp              = e.qp,
                                             .bytes           = e.bytes,
                                             .immediate       = e.immediate,
                                             .source_qp       = e.source_qp,
                                             .opcode          = e.opcode,
                                             .status          = e.status,
                                             .has_immediate   = e.has_immediate,
                                             .has_invalidated = e.has_invalidated };
    wc->context         = ring_complete(d, receive ? &qp->rq->ring : &qp->ring, e.index,
                                        e.status == RDMA_SUCCESS);
    return true;
}

void verbs_cq_drain(struct verbs_cq *cq)
{
    struct verbs_wc wc;
    if (cq->done == NULL)
        return;
    while (verbs_poll_cq(cq, &wc))
        cq->done(cq->done_self, &wc);
    arm(cq);
}

/* ---- Queue pairs -----------------------------------------------------------------------
 */

static unsigned lg2_of(uint32_t pow2)
{
    return (unsigned)__builtin_ctz(pow2);
}

struct verbs_rq *verbs_create_rq(struct verbs_device *d, uint32_t pd, uint32_t entries)
{
    const uint32_t id = take_id(d->rq_taken, d->cqs);
    if (id == d->cqs)
        return NULL;
    struct verbs_rq *rq = kernel_host_alloc(d->kernel, 1, sizeof *rq);
    const unsigned lg2  = lg2_of(d->config.receive_bytes);
    *rq                 = (struct verbs_rq){ .device = d, .id = id };
    if (!verbs_ring_alloc(d, &rq->ring, entries, lg2)
        || !verbs_memory_alloc(d, &rq->record, PAGE_SIZE)) {
        verbs_ring_free(d, &rq->ring);
        d->rq_taken[id] = false;
        kernel_host_free(d->kernel, rq);
        return NULL;
    }
    const uint64_t word[] = { RDMA_CMD_CREATE_RQ, id, rq->ring.memory.dma, entries, lg2,
                              rq->record.dma,     pd };
    must(d, word, 7);
    return rq;
}

void verbs_destroy_rq(struct verbs_rq *rq)
{
    struct verbs_device *d = rq->device;
    const uint64_t word[]  = { RDMA_CMD_DESTROY_RQ, rq->id };
    must(d, word, 2);
    verbs_memory_free(d, &rq->record);
    verbs_ring_free(d, &rq->ring);
    d->rq_taken[rq->id] = false;
    kernel_host_free(d->kernel, rq);
}

static void tell_nic_of_qp(struct verbs_qp *qp)
{
    const uint64_t word[] = { RDMA_CMD_CREATE_QP,
                              qp->id,
                              qp->type,
                              qp->pd,
                              qp->ring.memory.dma,
                              qp->ring.entries,
                              qp->ring.lg2,
                              qp->send_cq->id,
                              qp->receive_cq->id,
                              qp->rq->id,
                              qp->shared ? RDMA_QP_SHARED : 0 };
    must(qp->device, word, 11);
}

struct verbs_qp *verbs_create_qp(struct verbs_device *d, uint8_t type, uint32_t pd,
                                 struct verbs_cq *send_cq, struct verbs_cq *receive_cq,
                                 struct verbs_rq *rq)
{
    const uint32_t id = take_id(d->qp_taken, d->qps);
    if (id == d->qps)
        return NULL;
    struct verbs_qp *qp = kernel_host_alloc(d->kernel, 1, sizeof *qp);
    *qp                 = (struct verbs_qp){ .device     = d,
                                             .id         = id,
                                             .pd         = pd,
                                             .type       = type,
                                             .send_cq    = send_cq,
                                             .receive_cq = receive_cq,
                                             .shared     = rq != NULL };
    qp->rq              = rq != NULL ? rq : verbs_create_rq(d, pd, d->config.queue_entries);
    if (qp->rq == NULL
        || !verbs_ring_alloc(d, &qp->ring, d->config.queue_entries,
                             lg2_of(d->config.wqe_bytes))) {
        verbs_ring_free(d, &qp->ring);
        if (qp->rq != NULL && !qp->shared)
            verbs_destroy_rq(qp->rq);
        d->qp_taken[id] = false;
        kernel_host_free(d->kernel, qp);
        return NULL;
    }
    d->qp[id] = qp;
    tell_nic_of_qp(qp);
    return qp;
}

uint32_t verbs_connect_qp(struct verbs_qp *qp, unsigned remote_nic, uint32_t remote_qp,
                          uint32_t qkey)
{
    const struct verbs_config *c = &qp->device->config;
    const uint64_t word[]        = { RDMA_CMD_CONNECT_QP,
                                     qp->id,
                                     remote_nic,
                                     remote_qp,
                                     c->mtu,
                                     0,
                                     0,
                                     c->reads,
                                     qkey,
                                     (uint64_t)c->retries << 8 | c->rnr_retries };
    return verbs_command(qp->device, word, 10);
}

void verbs_destroy_qp(struct verbs_qp *qp)
{
    struct verbs_device *d = qp->device;
    const uint64_t word[]  = { RDMA_CMD_DESTROY_QP, qp->id };
    must(d, word, 2);
    verbs_ring_free(d, &qp->ring);
    if (!qp->shared)
        verbs_destroy_rq(qp->rq);
    d->qp[qp->id]       = NULL;
    d->qp_taken[qp->id] = false;
    kernel_host_free(d->kernel, qp);
}

uint32_t verbs_alloc_pd(struct verbs_device *d)
{
    return ++d->pds;
}

/* ---- Posting
 * ----------------------------------------------------------------------------- */

/* The entry's bytes, or 0 when it does not fit. */
static uint32_t build(const struct verbs_wr *wr, struct rdma_wqe *w, uint32_t room)
{
    const bool atomic  = wr->opcode == RDMA_COMPARE_SWAP || wr->opcode == RDMA_FETCH_ADD;
    uint32_t head      = (uint32_t)offsetof(struct rdma_wqe, sge);
    const bool inlined = (wr->flags & RDMA_FLAG_INLINE) != 0;
    memset(w, 0, sizeof *w);
    w->opcode         = wr->opcode;
    w->flags          = wr->flags;
    w->immediate      = wr->immediate;
    w->remote.address = wr->address;
    w->remote.key     = wr->key;
    w->remote.qp      = wr->qp;
    if (atomic) {
        w->atomic.swap_add = wr->swap_add;
        w->atomic.compare  = wr->compare;
        head += RDMA_SGE_BYTES;
    }
    const uint32_t bytes = inlined ? wr->bytes : wr->sges * RDMA_SGE_BYTES;
    if (bytes > room - head)
        return 0;
    if (inlined) {
        w->inline_bytes = wr->bytes;
        memcpy(w->data, wr->data, wr->bytes);
    } else {
        w->sges = (uint8_t)wr->sges;
        if (bytes > 0)
            memcpy((char *)w + head, wr->sge, bytes);
    }
    return (head + bytes + 15) & ~15u;
}

/* A region or a window that comes. */
static uint32_t build_region(const struct verbs_wr *wr, struct rdma_wqe *w)
{
    const struct verbs_mr *mr = wr->region;
    const bool binds          = wr->opcode == RDMA_BIND_MW;
    memset(w, 0, sizeof *w);
    w->opcode          = wr->opcode;
    w->flags           = wr->flags;
    w->region.key      = binds ? wr->key : mr->key;
    w->region.parent   = wr->parent;
    w->region.access   = binds ? wr->access : mr->access;
    w->region.page_lg2 = mr->page_lg2;
    w->range.first     = binds ? wr->address : mr->address;
    w->range.bytes     = binds ? wr->length : mr->bytes;
    w->range.pages     = mr->pages.dma;
    return 64;
}

static uint32_t message_bytes(const struct verbs_wr *wr)
{
    uint32_t bytes = wr->flags & RDMA_FLAG_INLINE ? wr->bytes : 0;
    for (uint32_t i = 0; i < wr->sges; i++)
        bytes += wr->sge[i].bytes;
    return bytes;
}

/* Writes the entry of a request, for which there is room; its bytes, or 0: it does not fit.
 */
static uint32_t build_any(const struct verbs_qp *qp, const struct verbs_wr *wr,
                          struct rdma_wqe *w)
{
    const bool region = wr->opcode == RDMA_REG_MR || wr->opcode == RDMA_BIND_MW;
    return region ? build_region(wr, w) : build(wr, w, qp->device->config.wqe_bytes);
}

static void post_one(struct verbs_qp *qp, const struct verbs_wr *wr, struct rdma_wqe *w,
                     uint32_t bytes)
{
    struct verbs_device *d = qp->device;
    struct verbs_ring *r   = &qp->ring;
    const uint32_t at      = r->posted & (r->entries - 1);
    cpu_spend(cpu_this(), d->config.post_cycles);
    w->index       = r->posted++;
    r->context[at] = wr->context;
    r->bytes[at]   = message_bytes(wr);
    verbs_write_bytes(&r->memory, (size_t)at << r->lg2, w, bytes);
    d->stats.posted++;
}

static void tell_posted(const struct verbs_qp *qp, uint32_t count, const struct cpu *cpu)
{
    const struct verbs_watcher *w = qp->device->watcher;
    for (uint32_t i = 0; w != NULL && i < count; i++)
        w->posted(w->self, qp->id, qp->ring.posted - count + i, qp->ring.entries, cpu->id,
                  cpu->time);
}

int verbs_post_sends(struct verbs_qp *qp, const struct verbs_wr *wr, uint32_t count)
{
    struct verbs_ring *r = &qp->ring;
    struct cpu *cpu      = cpu_this();
    struct rdma_wqe w;
    for (uint32_t i = 0; i < count; i++)
        if (build_any(qp, &wr[i], &w) == 0)
            return -EINVAL;
    lock_take(cpu, &r->lock);
    if (r->entries - (r->posted - r->completed) < count) {
        lock_release(cpu, &r->lock);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < count; i++)
        post_one(qp, &wr[i], &w, build_any(qp, &wr[i], &w));
    mmio_write64(qp->device->registers, RDMA_REG_SEND, (uint64_t)qp->id << 32 | r->posted);
    tell_posted(qp, count, cpu);
    lock_release(cpu, &r->lock);
    return 0;
}

int verbs_post_send(struct verbs_qp *qp, const struct verbs_wr *wr)
{
    return verbs_post_sends(qp, wr, 1);
}

int verbs_post_receive(struct verbs_rq *rq, const struct rdma_sge *sge, uint32_t sges,
                       uint64_t context)
{
    struct verbs_device *d     = rq->device;
    struct verbs_ring *r       = &rq->ring;
    struct cpu *cpu            = cpu_this();
    const struct rdma_sge none = { 0, RDMA_KEY_NONE, 0 };
    if (sges > 1u << r->lg2 >> 4)
        return -EINVAL;
    lock_take(cpu, &r->lock);
    if (r->posted - r->completed == r->entries) {
        lock_release(cpu, &r->lock);
        return -ENOMEM;
    }
    const uint32_t at = r->posted & (r->entries - 1);
    cpu_spend(cpu, d->config.post_cycles);
    r->context[at] = context;
    r->bytes[at]   = 0; /* Counted by who sends. */
    verbs_write_bytes(&r->memory, (size_t)at << r->lg2, sge, sges * sizeof *sge);
    if (sges < 1u << r->lg2 >> 4)
        verbs_write_bytes(&r->memory, ((size_t)at << r->lg2) + sges * sizeof *sge, &none,
                          sizeof none);
    r->posted++;
    verbs_write(&rq->record, 0, r->posted);
    d->stats.posted_receive++;
    lock_release(cpu, &r->lock);
    return 0;
}

/* ---- Bring-up
 * ---------------------------------------------------------------------------- */

static void alloc_arrays(struct verbs_device *d)
{
    struct kernel *k = d->kernel;
    d->cq_taken      = kernel_host_alloc(k, d->cqs, sizeof *d->cq_taken);
    d->rq_taken      = kernel_host_alloc(k, d->cqs, sizeof *d->rq_taken);
    d->qp_taken      = kernel_host_alloc(k, d->qps, sizeof *d->qp_taken);
    d->cq            = kernel_host_alloc(k, d->cqs, sizeof(struct verbs_cq *));
    d->qp            = kernel_host_alloc(k, d->qps, sizeof(struct verbs_qp *));
    d->free_key      = kernel_host_alloc(k, d->keys, sizeof *d->free_key);
    for (uint32_t key = d->keys; key-- > 2;) /* The first two are nobody's. */
        d->free_key[d->free_keys++] = key << RDMA_KEY_VARIANT_BITS;
}

static bool set_up(struct verbs_device *d, struct error *error)
{
    const uint64_t cap  = mmio_read64(d->registers, RDMA_REG_CAP);
    const uint32_t most = (uint32_t)(cap >> RDMA_CAP_MPT_SHIFT) & 0xff;
    const uint32_t lg2  = most < d->config.keys_lg2 ? most : d->config.keys_lg2;
    d->qps              = 1u << (cap >> RDMA_CAP_QPS_SHIFT & 0xff);
    d->cqs              = 1u << (cap >> RDMA_CAP_CQS_SHIFT & 0xff);
    d->keys             = 1u << lg2;
    alloc_arrays(d);
    if (!verbs_memory_alloc(d, &d->mailbox, PAGE_SIZE)
        || !verbs_memory_alloc(d, &d->table, (size_t)d->keys * RDMA_MPT_BYTES))
        return error_set(error, "verbs: no memory for the NIC's tables");
    mmio_write64(d->registers, RDMA_REG_MAILBOX, d->mailbox.dma);
    const uint64_t word[] = { RDMA_CMD_INIT, d->table.dma, lg2 };
    must(d, word, 3);
    for (unsigned cpu = 0; cpu < d->kernel->cpus; cpu++)
        if (!create_eq(d, cpu))
            return error_set(error, "verbs: no memory for event queue %u", cpu);
    return true;
}

bool verbs_probe(struct verbs_device *d, struct device *dev, struct mmio_window *registers,
                 const struct verbs_config *config, const struct umem_config *umem,
                 enum blk_api api, unsigned nic, struct error *error)
{
    memset(d, 0, sizeof *d);
    d->dev       = dev;
    d->kernel    = dev->kernel;
    d->registers = registers;
    d->config    = *config;
    d->umem      = *umem;
    d->api       = api;
    d->nic       = nic;
    dma_set_mask_and_coherent(dev, DMA_BIT_MASK(64));
    dma_set_max_seg_size(dev, 1u << 30);
    return set_up(d, error);
}

void verbs_remove(struct verbs_device *d)
{
    struct kernel *k = d->kernel;
    for (unsigned cpu = 0; cpu < d->eqs; cpu++) {
        const uint64_t word[] = { RDMA_CMD_DESTROY_EQ, cpu };
        must(d, word, 2);
        verbs_memory_free(d, &d->eq[cpu].ring);
    }
    verbs_memory_free(d, &d->table);
    verbs_memory_free(d, &d->mailbox);
    kernel_host_free(k, d->cq_taken);
    kernel_host_free(k, d->rq_taken);
    kernel_host_free(k, d->qp_taken);
    kernel_host_free(k, d->cq);
    kernel_host_free(k, d->qp);
    kernel_host_free(k, d->free_key);
}
