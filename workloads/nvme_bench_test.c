/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/nvme_bench.h"

#include <stdlib.h>
#include <string.h>

#include "sim/base/mmio.h"
#include "sim/host/direct.h"
#include "sim/test/shim.h"

/* ---- The fake port ------------------------------------------------------------------- */

static bool bench_ready(void *self, enum port_kind kind)
{
    struct bench *b = self;
    return !b->closed[kind] && b->in_flight[kind] < b->room[kind];
}

/* No request is larger than its limit or crosses a multiple of it. */
static bool well_cut(const struct bench *b, const struct port_request *r)
{
    const uint32_t most =
        r->kind == PORT_READ ? b->config.max_read_bytes : b->config.max_payload_bytes;
    return (r->iova & (most - 1)) + r->bytes <= most;
}

static void bench_submit(void *self, const struct port_request *r, sim_time_t now)
{
    struct bench *b = self;
    CHECK(bench_ready(b, r->kind));
    CHECK(well_cut(b, r));
    CHECK(r->requester == 0x0100);
    CHECK(b->pending_count < BENCH_PENDING_MAX);
    struct bench_pending *p = &b->pending[b->pending_count++];
    p->request              = *r;
    p->submitted            = now;
    p->due                  = now + b->latency_ps[r->kind];
    p->number               = b->submitted++;
    if (r->kind == PORT_READ && b->reorder_ps > 0)
        p->due += rng_below(&b->chance, b->reorder_ps);
    if (++b->in_flight[r->kind] > b->most_in_flight[r->kind])
        b->most_in_flight[r->kind] = b->in_flight[r->kind];
    if (b->records < BENCH_RECORDS_MAX)
        b->record[b->records++] =
            (struct bench_record){ now, r->iova, r->bytes, r->kind, r->tag };
    *b->port.device_due = time_min(*b->port.device_due, p->due);
}

static bool is_faulty(const struct bench *b, const struct port_request *r)
{
    if (r->iova >> MEM_PA_LG2 != 0)
        return true;
    for (unsigned i = 0; i < b->faults; i++)
        if (b->fault[i].kind == r->kind && r->iova >= b->fault[i].start
            && r->iova <= b->fault[i].last)
            return true;
    return false;
}

static void carry_out(struct bench *b, const struct port_request *r)
{
    const uint64_t place = r->iova - BENCH_MSI;
    uint32_t message;
    if (r->kind == PORT_READ && r->data != NULL) {
        memory_read(&b->memory, r->iova, r->data, r->bytes);
        for (uint32_t i = 0; b->garbage && i < r->bytes; i++)
            ((uint8_t *)r->data)[i] = (uint8_t)rng_next(&b->chance);
    } else if (r->kind == PORT_WRITE && r->data != NULL) {
        memory_write(&b->memory, r->iova, r->data, r->bytes);
        if (r->iova >= BENCH_MSI && place % 16 == 0 && place / 16 < BENCH_VECTORS) {
            memcpy(&message, r->data, sizeof message);
            b->messages[place / 16] += message == BENCH_MESSAGE + place / 16;
        }
    }
}

/* The first to answer; at equal times the first that was submitted. */
static struct bench_pending *earliest(struct bench *b)
{
    struct bench_pending *first = NULL;
    for (uint32_t i = 0; i < b->pending_count; i++) {
        struct bench_pending *p = &b->pending[i];
        if (first == NULL || p->due < first->due
            || (p->due == first->due && p->number < first->number))
            first = p;
    }
    return first;
}

static bool bench_take(void *self, struct port_response *response, sim_time_t now)
{
    struct bench *b         = self;
    struct bench_pending *p = earliest(b);
    if (p == NULL)
        return false;
    if (p->due > now) {
        *b->port.device_due = time_min(*b->port.device_due, p->due);
        return false;
    }
    const bool faulty =
        is_faulty(b, &p->request)
        || (b->fault_one_in != 0 && rng_below(&b->chance, b->fault_one_in) == 0);
    if (!faulty)
        carry_out(b, &p->request);
    *response = (struct port_response){
        .tag       = p->request.tag,
        .kind      = p->request.kind,
        .status    = faulty ? PORT_FAULT : PORT_OK,
        .submitted = p->submitted,
    };
    b->in_flight[p->request.kind]--;
    *p = b->pending[--b->pending_count];
    return true;
}

static const struct port_ops bench_port_ops = { bench_ready, bench_submit, bench_take,
                                                NULL };

void bench_fault_on(struct bench *b, enum port_kind kind, uint64_t start, uint64_t last)
{
    CHECK(b->faults < BENCH_FAULTS_MAX);
    b->fault[b->faults++] = (struct bench_fault){ kind, start, last };
}

/* ---- Running ------------------------------------------------------------------------- */

static void probe_step(void *self, sim_time_t now)
{
    struct bench *b = self;
    (void)now;
    *b->probe_due     = TIME_NEVER;
    b->engine.stopped = true;
}

struct bench *bench_new(void)
{
    struct bench *b = calloc(1, sizeof *b);
    CHECK(b != NULL);
    b->host = direct_host_new();
    memory_init(&b->memory);
    engine_init(&b->engine, direct_host_verbs(b->host), false);
    param_reset(&nvme_param_table, &b->config);
    b->port.ops               = &bench_port_ops;
    b->port.self              = b;
    b->latency_ps[PORT_READ]  = 500 * TIME_NS;
    b->latency_ps[PORT_WRITE] = 300 * TIME_NS;
    b->room[0] = b->room[1] = BENCH_PENDING_MAX / 2;
    b->seed                 = 1;
    b->chance               = rng_make(1, "bench");
    return b;
}

void bench_start(struct bench *b)
{
    nvme_ctrl_init(&b->n, &b->engine, &b->port, &b->config, 0x0100, b->seed);
    b->probe_due = engine_add_block(&b->engine, "probe", probe_step, b);
}

void bench_free(struct bench *b)
{
    struct error error = { "" };
    EXPECT(nvme_ctrl_check(&b->n, &error));
    EXPECT_TEXT(error.text, "");
    nvme_ctrl_free(&b->n);
    engine_free(&b->engine);
    memory_free(&b->memory);
    direct_host_free(b->host);
    free(b);
}

void bench_run(struct bench *b)
{
    b->engine.stopped = false;
    engine_run(&b->engine);
}

/* The probe's place is behind all others, so all else of that time has happened. */
void bench_run_until(struct bench *b, sim_time_t time)
{
    CHECK(time >= b->engine.now);
    *b->probe_due = time;
    bench_run(b);
    CHECK(b->engine.now == time);
}

void bench_write32(struct bench *b, uint32_t offset, uint32_t value)
{
    nvme_mmio_ops.write(&b->n, offset, value, 4, b->engine.now);
}

void bench_write64(struct bench *b, uint32_t offset, uint64_t value)
{
    nvme_mmio_ops.write(&b->n, offset, value, 8, b->engine.now);
}

uint32_t bench_read32(struct bench *b, uint32_t offset)
{
    return (uint32_t)nvme_mmio_ops.read(&b->n, offset, 4, b->engine.now);
}

/* ---- Queues -------------------------------------------------------------------------- */

static void set_vectors(struct bench *b)
{
    for (uint32_t v = 0; v < BENCH_VECTORS && v < b->config.vectors; v++) {
        const uint32_t entry =
            NVME_MSIX_TABLE + v * (uint32_t)sizeof(struct nvme_msix_entry);
        bench_write64(b, entry, BENCH_MSI + v * 16);
        bench_write32(b, entry + 8, BENCH_MESSAGE + v);
        bench_write32(b, entry + 12, 0);
    }
}

void bench_bring_up(struct bench *b, uint32_t admin_entries)
{
    bench_start(b);
    set_vectors(b);
    for (uint32_t q = 0; q < BENCH_QUEUES; q++)
        b->queue[q] = (struct bench_queue){ admin_entries, admin_entries, 0, 0, 1, 0 };
    bench_write32(b, NVME_AQA, (admin_entries - 1) | (admin_entries - 1) << 16);
    bench_write64(b, NVME_ASQ, BENCH_SQ);
    bench_write64(b, NVME_ACQ, BENCH_CQ);
    bench_write32(b, NVME_CC,
                  NVME_CC_EN | NVME_SQE_LG2 << NVME_CC_IOSQES_SHIFT
                      | NVME_CQE_LG2 << NVME_CC_IOCQES_SHIFT);
    bench_run(b);
    CHECK(bench_read32(b, NVME_CSTS) == NVME_CSTS_RDY);
}

void bench_make_queues(struct bench *b, uint32_t count, uint32_t entries)
{
    CHECK(count < BENCH_QUEUES);
    for (uint32_t q = 1; q <= count; q++) {
        const uint32_t flags = NVME_QUEUE_CONTIGUOUS | NVME_QUEUE_INTERRUPTS;
        struct nvme_sqe c    = { .opcode   = NVME_ADMIN_CREATE_CQ,
                                 .data.prp = { BENCH_CQ + q * BENCH_STRIDE },
                                 .cdw      = { q | (entries - 1) << 16, flags | q << 16 } };
        CHECK(bench_execute(b, 0, &c) == NVME_SUCCESS);
        c.opcode      = NVME_ADMIN_CREATE_SQ;
        c.data.prp[0] = BENCH_SQ + q * BENCH_STRIDE;
        c.cdw[1]      = NVME_QUEUE_CONTIGUOUS | q << 16;
        CHECK(bench_execute(b, 0, &c) == NVME_SUCCESS);
        b->queue[q].entries = b->queue[q].cq_entries = entries;
    }
    bench_forget(b);
}

struct bench *bench_with_queues(uint32_t count, uint32_t entries)
{
    struct bench *b = bench_new();
    bench_bring_up(b, 32);
    bench_make_queues(b, count, entries);
    return b;
}

void bench_put(struct bench *b, uint32_t queue, const struct nvme_sqe *sqe)
{
    struct bench_queue *q = &b->queue[queue];
    struct nvme_sqe entry = *sqe;
    entry.cid             = b->next_cid++;
    memory_write(&b->memory, BENCH_SQ + queue * BENCH_STRIDE + q->tail * sizeof entry,
                 &entry, sizeof entry);
    q->tail = (q->tail + 1) % q->entries;
}

void bench_ring(struct bench *b, uint32_t queue)
{
    bench_write32(b, nvme_sq_doorbell(queue, b->config.doorbell_stride),
                  b->queue[queue].tail);
}

bool bench_get(struct bench *b, uint32_t queue, struct nvme_cqe *cqe)
{
    struct bench_queue *q = &b->queue[queue];
    memory_read(&b->memory, BENCH_CQ + queue * BENCH_STRIDE + q->head * sizeof *cqe, cqe,
                sizeof *cqe);
    if ((cqe->status & NVME_CQE_PHASE) != q->phase)
        return false;
    q->sq_head = cqe->sq_head;
    q->head    = (q->head + 1) % q->cq_entries;
    q->phase ^= q->head == 0;
    return true;
}

void bench_done(struct bench *b, uint32_t queue)
{
    bench_write32(b, nvme_cq_doorbell(queue, b->config.doorbell_stride),
                  b->queue[queue].head);
}

uint32_t bench_execute_for(struct bench *b, uint32_t queue, const struct nvme_sqe *sqe,
                           uint32_t *result)
{
    struct nvme_cqe cqe = { 0 };
    bench_put(b, queue, sqe);
    bench_ring(b, queue);
    bench_run(b);
    EXPECT(bench_get(b, queue, &cqe));
    EXPECT_EQUAL(cqe.cid, b->next_cid - 1);
    EXPECT_EQUAL(cqe.sq_id, queue);
    bench_done(b, queue);
    bench_run(b);
    EXPECT(nvme_ctrl_idle(&b->n));
    *result = cqe.result;
    return cqe.status >> NVME_CQE_STATUS_SHIFT;
}

uint32_t bench_execute(struct bench *b, uint32_t queue, const struct nvme_sqe *sqe)
{
    uint32_t result;
    return bench_execute_for(b, queue, sqe, &result);
}

/* ---- Commands ------------------------------------------------------------------------ */

struct nvme_sqe bench_io(uint8_t opcode, uint64_t block, uint32_t bytes)
{
    const struct nvme_sqe sqe = {
        .opcode = opcode,
        .nsid   = 1,
        .cdw = { (uint32_t)block, (uint32_t)(block >> 32), (bytes >> NVME_SECTOR_LG2) - 1 },
    };
    CHECK(bytes % (1 << NVME_SECTOR_LG2) == 0);
    return sqe;
}

uint64_t bench_page(uint32_t i)
{
    return BENCH_DATA + (uint64_t)i * 2 * NVME_PAGE_BYTES;
}

/* Entry by entry; the last slot of a page goes to the next page when more are to come. */
static void write_prp_list(struct bench *b, uint64_t list, uint32_t pages)
{
    for (uint32_t i = 1; i < pages; i++) {
        if ((list & 0xfff) == 0xff8 && i + 1 < pages) {
            const uint64_t next = (list & ~UINT64_C(0xfff)) + 2 * NVME_PAGE_BYTES;
            memory_write64(&b->memory, list, next);
            list = next;
        }
        memory_write64(&b->memory, list, bench_page(i));
        list += NVME_PRP_BYTES;
    }
}

struct nvme_sqe bench_prp_io(struct bench *b, uint8_t opcode, uint32_t bytes,
                             uint32_t offset, uint32_t list_offset)
{
    struct nvme_sqe sqe  = bench_io(opcode, 0, bytes);
    const uint32_t pages = (offset + bytes + NVME_PAGE_BYTES - 1) / NVME_PAGE_BYTES;
    sqe.data.prp[0]      = bench_page(0) + offset;
    if (pages == 2)
        sqe.data.prp[1] = bench_page(1);
    if (pages > 2) {
        sqe.data.prp[1] = BENCH_LISTS + list_offset;
        write_prp_list(b, BENCH_LISTS + list_offset, pages);
    }
    return sqe;
}

/* ---- Records ------------------------------------------------------------------------- */

void bench_forget(struct bench *b)
{
    b->records = 0;
    memset(b->messages, 0, sizeof b->messages);
    b->most_in_flight[0] = b->most_in_flight[1] = 0;
}

bool bench_covered(const struct bench *b, enum port_kind kind, uint64_t iova,
                   uint32_t bytes)
{
    uint64_t next = iova;
    for (uint32_t i = 0; i < b->records; i++) {
        const struct bench_record *r = &b->record[i];
        if (r->kind != kind || r->iova + r->bytes <= iova || r->iova >= iova + bytes)
            continue;
        if (r->iova != next)
            return false;
        next += r->bytes;
    }
    return next == iova + bytes;
}

static bool is_in(const struct bench_record *r, enum port_kind kind, uint64_t start,
                  uint64_t last)
{
    return r->kind == kind && r->iova >= start && r->iova <= last;
}

uint64_t bench_bytes(const struct bench *b, enum port_kind kind, uint64_t start,
                     uint64_t last)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < b->records; i++)
        bytes += is_in(&b->record[i], kind, start, last) ? b->record[i].bytes : 0;
    return bytes;
}

uint32_t bench_count(const struct bench *b, enum port_kind kind, uint64_t start,
                     uint64_t last)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < b->records; i++)
        count += is_in(&b->record[i], kind, start, last);
    return count;
}
