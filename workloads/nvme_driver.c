/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/nvme_driver.h"

#include <string.h>

#include "dma_api/kernel.h"
#include "sim/base/lg2.h"
#include "workloads/blk_integrity.h"
#include "workloads/nvme_describe.h"

#define PARAM_OWNER struct driver_config
#define STAT_OWNER  struct driver_stats
static const struct param_def driver_params[] = { DRIVER_PARAMS(PARAM_ROW) PARAM_END };
static const struct stat_def driver_stats[]   = { DRIVER_STATS(STAT_ROW) STAT_END };

static bool driver_check(const void *values, struct error *error)
{
    const struct driver_config *c = values;
    return c->coalesce_entries == 1 || c->coalesce_100us > 0
           || error_set(error,
                        "driver.coalesce_100us: expected at least 1 with "
                        "driver.coalesce_entries=%u (no time means no coalescing), got 0",
                        c->coalesce_entries);
}

const struct param_table driver_param_table = { "driver", "The NVMe driver", driver_params,
                                                sizeof(struct driver_config),
                                                driver_check };
const struct stat_table driver_stat_table   = { "driver", "The NVMe driver", driver_stats,
                                                sizeof(struct driver_stats) };

/* ---- One request
 * ------------------------------------------------------------------------------------ */

static void count_mapping(struct nvme_request *r)
{
    struct nvme_queue *q        = r->queue;
    const struct blk_mapping *m = &r->mapping;
    uint64_t *const counter[]   = { [BLK_UNMAPPED]  = NULL,
                                    [BLK_SINGLE]    = &q->stats.mapped_single,
                                    [BLK_COALESCED] = &q->stats.mapped_coalesced,
                                    [BLK_PIECES]    = &q->stats.mapped_pieces,
                                    [BLK_LIST]      = &q->stats.mapped_list,
                                    [BLK_PREMAPPED] = &q->stats.premapped };
    ++*counter[m->kind];
    q->stats.segment += m->segments;
    q->stats.address_bytes += blk_address_bytes(m);
    if (r->metadata_segments == 0)
        return;
    q->stats.metadata++;
    q->stats.metadata_piece += r->metadata_segments;
    q->stats.address_bytes += blk_address_bytes(&r->metadata);
}

static void free_room(struct nvme_request *r)
{
    kernel_host_free(r->queue->driver->kernel, r->mapping.range);
    kernel_host_free(r->queue->driver->kernel, r->mapping.sgl);
    kernel_host_free(r->queue->driver->kernel, r->mapping.run);
}

static void free_metadata_room(struct nvme_request *r)
{
    struct kernel *k = r->queue->driver->kernel;
    kernel_host_free(k, r->metadata_segment);
    kernel_host_free(k, r->metadata.range);
    kernel_host_free(k, r->metadata.sgl);
    kernel_host_free(k, r->metadata.run);
}

/* For the segments of this request: most have few. */
static void make_room(struct nvme_request *r)
{
    if (r->io.segments <= r->room)
        return;
    struct kernel *k = r->queue->driver->kernel;
    free_room(r);
    r->room          = UINT32_C(1) << lg2_ceil(r->io.segments);
    r->mapping.range = kernel_host_alloc(k, r->room, sizeof *r->mapping.range);
    r->mapping.sgl   = kernel_host_alloc(k, r->room, sizeof *r->mapping.sgl);
    r->mapping.run   = kernel_host_alloc(k, r->room, sizeof *r->mapping.run);
}

static enum dma_data_direction direction_of(const struct nvme_request *r)
{
    return r->io.opcode == NVME_READ ? DMA_FROM_DEVICE : DMA_TO_DEVICE;
}

/* The pages' addresses are read, a line for each eight. */
static void borrow_buffer(struct nvme_request *r)
{
    struct nvme_driver *d = r->queue->driver;
    const uint32_t first  = r->io.buffer_offset >> (NVME_PAGE_LG2 + 3);
    const uint32_t last   = (r->io.buffer_offset + r->io.bytes - 1) >> (NVME_PAGE_LG2 + 3);
    for (uint32_t i = first; i <= last; i++)
        cpu_load(cpu_this(), &r->io.buffer->line[i]);
    blk_borrow(d->dev, &d->blk, &r->io.buffer->mapping, r->io.buffer_offset, r->io.bytes,
               r->io.segments, direction_of(r), &r->mapping);
}

static int map_data(struct nvme_request *r, struct nvme_sqe *sqe)
{
    struct nvme_driver *d = r->queue->driver;
    make_room(r);
    if (r->io.buffer != NULL) {
        borrow_buffer(r);
        return nvme_describe(r, sqe);
    }
    r->mapping.general = !nvme_describes_single(r);
    const int error    = blk_map(d->dev, &d->blk, d->api, r->io.segment, r->io.segments,
                                 direction_of(r), &r->mapping);
    return error != 0 ? error : nvme_describe(r, sqe);
}

/* ---- Metadata
 * -----------------------------------------------------------------------------------------
 */

static void make_metadata_room(struct nvme_request *r)
{
    struct kernel *k = r->queue->driver->kernel;
    if (r->metadata_segment != NULL)
        return;
    r->metadata_segment =
        kernel_host_alloc(k, NVME_METADATA_MAX, sizeof *r->metadata_segment);
    r->metadata.range = kernel_host_alloc(k, NVME_METADATA_MAX, sizeof *r->metadata.range);
    r->metadata.sgl   = kernel_host_alloc(k, NVME_METADATA_MAX, sizeof *r->metadata.sgl);
    r->metadata.run   = kernel_host_alloc(k, NVME_METADATA_MAX, sizeof *r->metadata.run);
}

static bool get_metadata(struct nvme_request *r)
{
    struct nvme_driver *d = r->queue->driver;
    if (d->format.metadata_bytes == 0
        || (r->io.opcode != NVME_READ && r->io.opcode != NVME_WRITE))
        return true;
    make_metadata_room(r);
    r->metadata_segments = integrity_get(&r->queue->integrity, &d->format, r->io.bytes,
                                         d->blk.bio_kib << 10, r->io.opcode == NVME_WRITE,
                                         r->metadata_segment, d->limits.metadata_segments);
    return r->metadata_segments > 0;
}

static int map_metadata(struct nvme_request *r, struct nvme_sqe *sqe)
{
    struct nvme_driver *d = r->queue->driver;
    if (r->metadata_segments == 0)
        return 0;
    const int error = blk_map(d->dev, &d->blk, d->api, r->metadata_segment,
                              r->metadata_segments, direction_of(r), &r->metadata);
    return error != 0 ? error : nvme_describe_metadata(r, sqe);
}

/* The list has room for all the ranges that there could be, as some drives read them all.
 */
static bool get_ranges(struct nvme_request *r)
{
    struct nvme_driver *d = r->queue->driver;
    struct cpu *cpu       = cpu_this();
    if (r->io.opcode != NVME_DATASET)
        return true;
    const phys_addr_t page = kernel_pages_get_zeroed(d->kernel, 0);
    if (page == 0)
        return false;
    const uint32_t block          = d->format.block_bytes;
    const struct nvme_range range = {
        .blocks = (uint32_t)((r->io.bytes + (uint64_t)block - 1) / block),
        .first  = r->io.lba / (block >> NVME_SECTOR_LG2),
    };
    uint64_t word[2];
    memcpy(word, &range, sizeof word);
    cpu_write64(cpu, page, word[0]);
    cpu_write64(cpu, page + 8, word[1]);
    r->ranges      = (struct blk_segment){ page, PAGE_SIZE };
    r->io.segment  = &r->ranges;
    r->io.segments = 1;
    return true;
}

static void put_ranges(struct nvme_request *r)
{
    if (r->io.opcode == NVME_DATASET && r->io.segments > 0)
        kernel_pages_put(r->queue->driver->kernel, r->ranges.phys, 0);
}

/* Whatever of a request has been mapped and taken so far, metadata before data. */
static void unmap_request(struct nvme_request *r)
{
    struct device *dev = r->queue->driver->dev;
    nvme_undescribe(r);
    if (r->metadata_segments > 0) {
        blk_unmap(dev, &r->metadata);
        integrity_put(&r->queue->integrity, r->metadata_segment, r->metadata_segments);
        r->metadata_segments = 0;
    }
    blk_unmap(dev, &r->mapping);
    put_ranges(r);
}

static int map_request(struct nvme_request *r, struct nvme_sqe *sqe)
{
    if (!get_ranges(r))
        return -ENOMEM;
    if (r->io.segments == 0)
        return 0;
    int error = get_metadata(r) ? map_data(r, sqe) : -ENOMEM;
    if (error == 0)
        error = map_metadata(r, sqe);
    if (error != 0)
        unmap_request(r);
    else
        count_mapping(r);
    return error;
}

/* ---- Buffers that stay mapped
 * -------------------------------------------------------------------------- */

int nvme_driver_map_buffer(struct nvme_driver *d, const struct blk_segment *segment,
                           uint32_t segments, struct nvme_buffer *b)
{
    struct kernel *k = d->kernel;
    *b               = (struct nvme_buffer){ .line = NULL };
    b->mapping.range = kernel_host_alloc(k, segments, sizeof *b->mapping.range);
    b->mapping.sgl   = kernel_host_alloc(k, segments, sizeof *b->mapping.sgl);
    b->mapping.run   = kernel_host_alloc(k, segments, sizeof *b->mapping.run);
    const int error =
        blk_map(d->dev, &d->blk, d->api, segment, segments, DMA_BIDIRECTIONAL, &b->mapping);
    if (error != 0) {
        nvme_driver_unmap_buffer(d, b);
        return error;
    }
    for (uint32_t i = 0; i < segments; i++)
        CHECK(((segment[i].phys | segment[i].bytes) & (NVME_PAGE_BYTES - 1)) == 0);
    b->line = kernel_host_alloc(k, (b->mapping.bytes >> (NVME_PAGE_LG2 + 3)) + 1,
                                sizeof *b->line);
    return 0;
}

void nvme_driver_unmap_buffer(struct nvme_driver *d, struct nvme_buffer *b)
{
    blk_unmap(d->dev, &b->mapping);
    kernel_host_free(d->kernel, b->mapping.range);
    kernel_host_free(d->kernel, b->mapping.sgl);
    kernel_host_free(d->kernel, b->mapping.run);
    kernel_host_free(d->kernel, b->line);
    *b = (struct nvme_buffer){ .line = NULL };
}

/* ---- Submission
 * ---------------------------------------------------------------------------------------
 */

static uint32_t doorbell(const struct nvme_driver *d, uint32_t queue, bool completion)
{
    return completion ? nvme_cq_doorbell(queue, d->stride)
                      : nvme_sq_doorbell(queue, d->stride);
}

static void write_sqe(struct nvme_queue *q, const struct nvme_sqe *sqe)
{
    struct cpu *cpu = cpu_this();
    uint64_t word[sizeof *sqe / 8];
    memcpy(word, sqe, sizeof word);
    lock_take(cpu, &q->sq_lock);
    const phys_addr_t slot =
        virt_to_phys(q->sq.cpu_addr) + ((uint64_t)q->sq_tail << NVME_SQE_LG2);
    for (unsigned i = 0; i < sizeof word / sizeof word[0]; i++)
        cpu_write64(cpu, slot + 8 * i, word[i]);
    q->sq_tail = (q->sq_tail + 1) % q->sq.entries;
    mmio_write32(q->driver->registers, doorbell(q->driver, q->id, false), q->sq_tail);
    const struct driver_watcher *w = q->driver->watcher;
    if (w != NULL)
        w->submitted(w->self, q->id, sqe->cid, cpu->id, cpu->time);
    lock_release(cpu, &q->sq_lock);
}

static struct nvme_request *take_request(struct nvme_queue *q)
{
    struct nvme_request *r = q->free;
    if (r != NULL) {
        q->free = r->next;
    } else if (q->requests_used < q->requests) {
        r        = &q->request[q->requests_used];
        r->queue = q;
        r->cid   = (uint16_t)q->requests_used++;
    }
    return r;
}

static void give_request(struct nvme_request *r)
{
    r->next        = r->queue->free;
    r->queue->free = r;
}

static struct nvme_sqe command_of(const struct nvme_request *r)
{
    const struct nvme_io *io = &r->io;
    struct nvme_sqe sqe      = { .opcode = (uint8_t)io->opcode, .cid = r->cid, .nsid = 1 };
    if (io->opcode == NVME_READ || io->opcode == NVME_WRITE
        || io->opcode == NVME_WRITE_ZEROES) {
        const uint32_t block = r->queue->driver->format.block_bytes;
        const uint64_t lba   = io->lba / (block >> NVME_SECTOR_LG2);
        const uint32_t count = (io->bytes + block - 1) / block;
        sqe.cdw[0]           = (uint32_t)lba;
        sqe.cdw[1]           = (uint32_t)(lba >> 32);
        sqe.cdw[2]           = count - 1;
    }
    if (io->opcode == NVME_DATASET)
        sqe.cdw[1] = NVME_DATASET_DEALLOCATE; /* Of one range: dword 10 is 0. */
    return sqe;
}

/* Neighbours share one when there are fewer than CPUs. */
static struct nvme_queue *polled_queue(struct nvme_driver *d, const struct cpu *cpu)
{
    const unsigned cpus = d->kernel->cpus;
    CHECK(d->polled_queues > 0);
    return &d->queue[cpus + cpu->id * d->polled_queues / cpus];
}

int nvme_driver_submit(struct nvme_driver *d, const struct nvme_io *io)
{
    struct cpu *cpu        = cpu_this();
    struct nvme_queue *q   = io->polled ? polled_queue(d, cpu) : &d->queue[cpu->id];
    struct nvme_request *r = take_request(q);
    if (r == NULL)
        return -EBUSY;
    r->io               = *io;
    struct nvme_sqe sqe = command_of(r);
    cpu_spend(cpu, d->config.submit_cycles);
    const int error = map_request(r, &sqe);
    if (error != 0) {
        q->stats.retried++;
        give_request(r);
        return error;
    }
    write_sqe(q, &sqe);
    return 0;
}

/* ---- Completion
 * -------------------------------------------------------------------------------------- */

static void count_done(struct nvme_queue *q, const struct nvme_io *io, uint16_t status)
{
    q->stats.request++;
    q->stats.polled += io->polled;
    if (io->opcode == NVME_READ)
        q->stats.request_read++;
    else if (io->opcode == NVME_WRITE)
        q->stats.request_write++;
    else
        q->stats.request_other++;
    const bool data = io->opcode == NVME_READ || io->opcode == NVME_WRITE;
    q->stats.bytes += data && io->segments > 0 ? io->bytes : 0;
    q->stats.failed += status != NVME_SUCCESS;
}

static void complete(struct nvme_request *r)
{
    struct nvme_queue *q = r->queue;
    cpu_spend(cpu_this(), q->driver->config.complete_cycles);
    if (r->io.segments > 0)
        unmap_request(r);
    count_done(q, &r->io, r->status);
    const struct nvme_io io = r->io;
    const uint16_t status   = r->status;
    give_request(r);
    io.done(io.arg, status);
}

/* The one that the entry is about. */
static struct nvme_request *request_of(struct nvme_queue *q, const struct nvme_cqe *cqe)
{
    CHECK(cqe->cid < q->requests_used);
    struct nvme_request *r = &q->request[cqe->cid];
    r->status              = (cqe->status >> NVME_CQE_STATUS_SHIFT) & NVME_STATUS_CODE_MASK;
    return r;
}

/* The entry at the head, if the controller has written it: its phase says so. */
static bool take_cqe(struct nvme_queue *q, struct nvme_cqe *cqe)
{
    struct cpu *cpu = cpu_this();
    const phys_addr_t slot =
        virt_to_phys(q->cq.cpu_addr) + ((uint64_t)q->cq_head << NVME_CQE_LG2);
    uint64_t word[2];
    word[1] = cpu_read64(cpu, slot + 8);
    word[0] = cpu_read64(cpu, slot);
    memcpy(cqe, word, sizeof *cqe);
    if ((cqe->status & NVME_CQE_PHASE) != q->phase)
        return false;
    if (++q->cq_head == q->cq.entries) {
        q->cq_head = 0;
        q->phase ^= 1;
    }
    const struct driver_watcher *w = q->driver->watcher;
    if (w != NULL)
        w->found(w->self, q->id, cqe->cid, cpu->id, cpu->time);
    return true;
}

static void ring_cq(struct nvme_queue *q)
{
    mmio_write32(q->driver->registers, doorbell(q->driver, q->id, true), q->cq_head);
}

static void on_interrupt(void *arg)
{
    struct nvme_queue *q = arg;
    struct nvme_cqe cqe;
    bool any = false;
    while (take_cqe(q, &cqe)) {
        complete(request_of(q, &cqe));
        any = true;
    }
    if (!any)
        return;
    ring_cq(q);
    dma_unmap_batch_end(q->driver->dev);
}

/* ---- Polling
 * ---------------------------------------------------------------------------------------
 */

/* Without the lock, and nothing is taken. */
static bool cqe_pending(const struct nvme_queue *q)
{
    const phys_addr_t slot =
        virt_to_phys(q->cq.cpu_addr) + ((uint64_t)q->cq_head << NVME_CQE_LG2);
    return (cpu_read64(cpu_this(), slot + 8) >> 48 & NVME_CQE_PHASE) == q->phase;
}

/* All entries that are there, as a list in their order. */
static struct nvme_request *take_batch(struct nvme_queue *q)
{
    struct nvme_request *first = NULL, **link = &first;
    struct cpu *cpu = cpu_this();
    struct nvme_cqe cqe;
    lock_take(cpu, &q->cq_lock);
    while (take_cqe(q, &cqe)) {
        *link = request_of(q, &cqe);
        link  = &(*link)->next;
    }
    *link = NULL;
    if (first != NULL) /* Else another CPU was faster. */
        ring_cq(q);
    lock_release(cpu, &q->cq_lock);
    return first;
}

unsigned nvme_driver_poll(struct nvme_driver *d)
{
    struct cpu *cpu             = cpu_this();
    struct nvme_queue *q        = polled_queue(d, cpu);
    const enum cpu_owner before = cpu_own(cpu, OWNER_io_poll);
    struct nvme_request *batch  = NULL;
    unsigned found              = 0;
    q->stats.poll_turn++;
    cpu_spend(cpu, d->config.poll_cycles);
    if (cqe_pending(q))
        batch = take_batch(q);
    else
        cpu_relax(cpu);
    cpu_own(cpu, OWNER_driver);
    for (; batch != NULL; found++) {
        struct nvme_request *next = batch->next;
        complete(batch);
        batch = next;
    }
    if (found > 0)
        dma_unmap_batch_end(d->dev);
    q->stats.poll_found += found > 0;
    cpu_own(cpu, before);
    return found;
}

/* ---- Bring-up
 * ------------------------------------------------------------------------------------------
 */

static bool ring_alloc(struct nvme_driver *d, struct nvme_ring *ring, uint32_t entries,
                       unsigned entry_lg2)
{
    ring->entries = entries;
    ring->cpu_addr =
        dma_alloc_coherent(d->dev, (size_t)entries << entry_lg2, &ring->dma, GFP_KERNEL);
    return ring->cpu_addr != NULL;
}

static void ring_free(struct nvme_driver *d, struct nvme_ring *ring, unsigned entry_lg2)
{
    if (ring->cpu_addr != NULL)
        dma_free_coherent(d->dev, (size_t)ring->entries << entry_lg2, ring->cpu_addr,
                          ring->dma);
}

static bool queue_alloc(struct nvme_driver *d, struct nvme_queue *q, uint32_t id,
                        uint32_t entries)
{
    *q = (struct nvme_queue){ .driver = d, .id = id, .phase = 1 };
    return ring_alloc(d, &q->cq, entries, NVME_CQE_LG2)
           && ring_alloc(d, &q->sq, entries, NVME_SQE_LG2);
}

static void requests_alloc(struct nvme_queue *q)
{
    integrity_pool_init(&q->integrity, q->driver->kernel);
    q->requests = q->sq.entries - 1; /* A full queue keeps one slot empty. */
    q->request  = kernel_host_alloc(q->driver->kernel, q->requests, sizeof *q->request);
}

static void pools_create(struct nvme_driver *d)
{
    d->small_pool = dma_pool_create("prp list 256", d->dev, NVME_SMALL_BYTES, 256, 0);
    d->page_pool  = dma_pool_create("prp list page", d->dev, PAGE_SIZE, PAGE_SIZE, 0);
    CHECK(d->small_pool != NULL);
    CHECK(d->page_pool != NULL);
}

/* An admin command, polled for; one at a time. *result is its own, if it has one. */
static uint16_t admin_result(struct nvme_driver *d, struct nvme_sqe *sqe, uint32_t *result)
{
    struct nvme_queue *q = &d->admin;
    struct nvme_cqe cqe;
    write_sqe(q, sqe);
    while (!take_cqe(q, &cqe))
        cpu_relax(cpu_this());
    ring_cq(q);
    *result = cqe.result;
    return (cqe.status >> NVME_CQE_STATUS_SHIFT) & NVME_STATUS_CODE_MASK;
}

static uint16_t admin(struct nvme_driver *d, struct nvme_sqe *sqe)
{
    uint32_t result;
    return admin_result(d, sqe, &result);
}

static bool wait_ready(struct nvme_driver *d, bool ready)
{
    struct cpu *cpu = cpu_this();
    for (unsigned turn = 0; turn < 40000000; turn++) {
        const uint32_t csts = mmio_read32(d->registers, NVME_CSTS);
        if (csts & NVME_CSTS_CFS)
            return false;
        if (!(csts & NVME_CSTS_RDY) == !ready)
            return true;
        cpu_wait(cpu, cpu->time + TIME_US);
    }
    return false;
}

static bool enable(struct nvme_driver *d, struct error *error)
{
    const uint32_t last = d->admin.sq.entries - 1;
    mmio_write32(d->registers, NVME_AQA, last << 16 | last);
    mmio_write64(d->registers, NVME_ASQ, d->admin.sq.dma);
    mmio_write64(d->registers, NVME_ACQ, d->admin.cq.dma);
    mmio_write32(d->registers, NVME_CC,
                 NVME_CC_EN | NVME_SQE_LG2 << NVME_CC_IOSQES_SHIFT
                     | NVME_CQE_LG2 << NVME_CC_IOCQES_SHIFT);
    if (!wait_ready(d, true))
        return error_set(error, "nvme: the controller did not become ready");
    return true;
}

/* One of the identify structures, in a page that is mapped for just that. */
static bool identify(struct nvme_driver *d, uint32_t nsid, uint32_t which, phys_addr_t page,
                     struct error *error)
{
    const dma_addr_t dma =
        dma_map_page(d->dev, phys_to_page(page), 0, PAGE_SIZE, DMA_FROM_DEVICE);
    if (dma_mapping_error(d->dev, dma))
        return error_set(error, "nvme: no room to identify the controller");
    struct nvme_sqe sqe = {
        .opcode = NVME_ADMIN_IDENTIFY, .nsid = nsid, .data.prp = { dma }, .cdw = { which }
    };
    const uint16_t status = admin(d, &sqe);
    dma_unmap_page(d->dev, dma, PAGE_SIZE, DMA_FROM_DEVICE);
    if (status != NVME_SUCCESS)
        return error_set(error, "nvme: identify failed with status 0x%x", status);
    return true;
}

static void read_limits(struct nvme_driver *d, phys_addr_t page)
{
    struct cpu *cpu     = cpu_this();
    const uint32_t word = cpu_read32(cpu, page + (NVME_IDCTRL_MDTS & ~3u));
    const uint32_t mdts = word >> 8 * (NVME_IDCTRL_MDTS & 3) & 0xff;
    const uint32_t sgls = cpu_read32(cpu, page + NVME_IDCTRL_SGLS);
    d->has_sgl          = (sgls & 3) != 0;
    d->metadata_sgl     = (sgls & NVME_SGLS_METADATA) != 0;
    uint32_t most       = d->config.max_transfer_kib << 10;
    if (mdts != 0 && (uint64_t)NVME_PAGE_BYTES << mdts < most)
        most = (uint32_t)NVME_PAGE_BYTES << mdts;
    if (dma_opt_mapping_size(d->dev) < most)
        most = (uint32_t)dma_opt_mapping_size(d->dev);
    const bool gaps  = d->has_sgl && d->kernel->release >= LINUX_7_3;
    const uint32_t n = most / NVME_PAGE_BYTES + 1;
    d->limits        = (struct nvme_limits){ .max_bytes     = most,
                                             .max_segments  = n < NVME_SGL_MAX ? n : NVME_SGL_MAX,
                                             .boundary_mask = gaps ? 0 : NVME_PAGE_BYTES - 1,
                                             .metadata_segments = gaps && sgls & NVME_SGLS_METADATA
                                                                      ? NVME_METADATA_MAX
                                                                      : 1 };
}

/* The format in use, and what it makes of the limits: of as many bios as there may be
 * pieces of metadata, a request is merged. Read past the caches: what set-up takes is not
 * reported, but when it ends is in every figure behind it. */
static bool read_format(struct nvme_driver *d, phys_addr_t page, struct error *error)
{
    struct cpu *cpu       = cpu_this();
    const uint32_t format = memory_read32(cpu->memory, page + NVME_IDNS_LBAF);
    const uint32_t lg2    = format >> NVME_LBAF_SHIFT & 0xff;
    if (lg2 < NVME_SECTOR_LG2 || lg2 > NVME_PAGE_LG2)
        return error_set(error, "nvme: expected blocks of 512 to 4096 bytes, got 2^%u",
                         lg2);
    d->format = (struct integrity_format){ 1u << lg2, format & 0xffff };
    d->blocks = cpu_read64(cpu, page + NVME_IDNS_NSZE) << (lg2 - NVME_SECTOR_LG2);
    d->limits.block_bytes = d->format.block_bytes;
    if (d->format.metadata_bytes == 0 || d->blk.bio_kib == 0)
        return true;
    if (d->blk.bio_kib << 10 < d->format.block_bytes)
        return error_set(error,
                         "blk.bio_kib: expected at least a block of %u bytes, got %u",
                         d->format.block_bytes, d->blk.bio_kib);
    const uint64_t most = ((uint64_t)d->blk.bio_kib << 10) * d->limits.metadata_segments;
    if (most < d->limits.max_bytes)
        d->limits.max_bytes = (uint32_t)most;
    return true;
}

static bool identify_all(struct nvme_driver *d, struct error *error)
{
    const phys_addr_t page = kernel_pages_get_zeroed(d->kernel, 0);
    bool done              = identify(d, 0, NVME_IDENTIFY_CONTROLLER, page, error);
    if (done)
        read_limits(d, page);
    done = done && identify(d, 1, NVME_IDENTIFY_NAMESPACE, page, error);
    done = done && read_format(d, page, error);
    kernel_pages_put(d->kernel, page, 0);
    return done;
}

/* MSI-X: vector n goes to the CPU of queue n (the admin queue's, which is polled, to none).
 */
static void set_vector(struct nvme_driver *d, uint32_t vector, unsigned cpu)
{
    const uint32_t entry =
        NVME_MSIX_TABLE + vector * (uint32_t)sizeof(struct nvme_msix_entry);
    mmio_write32(d->registers, entry, 0xfee00000u | cpu << 12);
    mmio_write32(d->registers, entry + 4, 0);
    mmio_write32(d->registers, entry + 8, d->vector);
    mmio_write32(d->registers, entry + 12, 0);
}

/* A CPU's, or one behind them that is polled. */
static bool create_queue(struct nvme_driver *d, unsigned index, uint32_t entries,
                         struct error *error)
{
    struct nvme_queue *q = &d->queue[index];
    const uint32_t id    = index + 1;
    const bool polled    = index >= d->kernel->cpus;
    if (!queue_alloc(d, q, id, entries))
        return error_set(error, "nvme: no memory for queue %u", id);
    requests_alloc(q);
    if (!polled)
        set_vector(d, id, index);
    struct nvme_sqe cq = { .opcode = NVME_ADMIN_CREATE_CQ, .data.prp = { q->cq.dma } };
    cq.cdw[0]          = id | (entries - 1) << 16;
    cq.cdw[1]          = NVME_QUEUE_CONTIGUOUS;
    if (!polled)
        cq.cdw[1] |= NVME_QUEUE_INTERRUPTS | id << 16;
    struct nvme_sqe sq = { .opcode = NVME_ADMIN_CREATE_SQ, .data.prp = { q->sq.dma } };
    sq.cdw[0]          = id | (entries - 1) << 16;
    sq.cdw[1]          = NVME_QUEUE_CONTIGUOUS | id << 16;
    uint16_t status    = admin(d, &cq);
    if (status == NVME_SUCCESS)
        status = admin(d, &sq);
    if (status == NVME_VECTOR_INVALID)
        return error_set(error,
                         "nvme.vectors: expected at least %u, one for the admin queue and "
                         "one for each CPU (--cpus), got %u",
                         d->kernel->cpus + 1, id);
    if (status != NVME_SUCCESS)
        return error_set(error, "nvme: creating queue %u failed with status 0x%x", id,
                         status);
    if (!polled)
        cpu_handle(d->kernel->cpu[index], d->vector, on_interrupt, q);
    d->queues = index + 1;
    return true;
}

/* A queue pair for each CPU, and those that are polled. */
static bool ask_for_queues(struct nvme_driver *d, struct error *error)
{
    const uint32_t less_1 = d->kernel->cpus + d->config.poll_queues - 1;
    uint32_t granted;
    struct nvme_sqe features = { .opcode = NVME_ADMIN_SET_FEATURES,
                                 .cdw    = { NVME_FEATURE_QUEUES, less_1 << 16 | less_1 } };
    if (admin_result(d, &features, &granted) != NVME_SUCCESS)
        return error_set(error, "nvme: the number of queues was refused");
    if ((granted & 0xffff) < less_1 || granted >> 16 < less_1)
        return error_set(
            error, "nvme.queues: expected at least %u, one for each CPU (--cpus)%s, got %u",
            less_1 + 1, d->config.poll_queues > 0 ? " and driver.poll_queues" : "",
            (granted & 0xffff) + 1);
    return true;
}

/* Of all vectors, and those that are excepted: these need their queues first. */
static bool set_coalescing(struct nvme_driver *d, struct error *error)
{
    const struct driver_config *c = &d->config;
    struct nvme_sqe all           = { .opcode = NVME_ADMIN_SET_FEATURES,
                                      .cdw    = { NVME_FEATURE_COALESCING,
                                                  c->coalesce_100us << 8 | (c->coalesce_entries - 1) } };
    if (c->coalesce_entries == 1)
        return true;
    uint16_t status = admin(d, &all);
    for (unsigned i = 0; i < c->coalesce_except && i < d->kernel->cpus; i++) {
        struct nvme_sqe one = { .opcode = NVME_ADMIN_SET_FEATURES,
                                .cdw    = { NVME_FEATURE_VECTOR,
                                            (i + 1) | NVME_VECTOR_DIRECT } };
        status              = status != NVME_SUCCESS ? status : admin(d, &one);
    }
    return status == NVME_SUCCESS
           || error_set(error, "nvme: coalescing was refused with status 0x%x", status);
}

static bool set_up(struct nvme_driver *d, struct error *error)
{
    const uint64_t cap     = mmio_read64(d->registers, NVME_CAP);
    const uint32_t largest = (uint32_t)(cap & 0xffff) + 1;
    const uint32_t entries =
        d->config.queue_entries < largest ? d->config.queue_entries : largest;
    d->stride = (uint32_t)(cap >> NVME_CAP_DSTRD_SHIFT) & 0xf;
    if (!queue_alloc(d, &d->admin, 0, 32))
        return error_set(error, "nvme: no memory for the admin queue");
    if (!enable(d, error) || !identify_all(d, error) || !ask_for_queues(d, error))
        return false;
    pools_create(d);
    for (unsigned i = 0; i < d->kernel->cpus + d->config.poll_queues; i++)
        if (!create_queue(d, i, entries, error))
            return false;
    d->polled_queues = d->config.poll_queues;
    return set_coalescing(d, error);
}

bool nvme_driver_probe(struct nvme_driver *d, struct device *dev,
                       struct mmio_window *registers, const struct driver_config *config,
                       const struct blk_config *blk, enum blk_api api, unsigned nth,
                       struct error *error)
{
    memset(d, 0, sizeof *d);
    d->dev       = dev;
    d->registers = registers;
    d->kernel    = dev->kernel;
    d->config    = *config;
    d->blk       = *blk;
    d->api       = api;
    d->vector    = NVME_FIRST_VECTOR + nth;
    dma_set_mask_and_coherent(dev, DMA_BIT_MASK(64));
    dma_set_min_align_mask(dev, NVME_PAGE_BYTES - 1);
    dma_set_max_seg_size(dev, UINT32_MAX);
    return set_up(d, error);
}

static void delete_queue(struct nvme_driver *d, struct nvme_queue *q)
{
    struct nvme_sqe sq = { .opcode = NVME_ADMIN_DELETE_SQ, .cdw = { q->id } };
    struct nvme_sqe cq = { .opcode = NVME_ADMIN_DELETE_CQ, .cdw = { q->id } };
    CHECK(admin(d, &sq) == NVME_SUCCESS);
    CHECK(admin(d, &cq) == NVME_SUCCESS);
    for (uint32_t i = 0; i < q->requests_used; i++) {
        free_room(&q->request[i]);
        free_metadata_room(&q->request[i]);
    }
    integrity_pool_free(&q->integrity);
    kernel_host_free(d->kernel, q->request);
    ring_free(d, &q->sq, NVME_SQE_LG2);
    ring_free(d, &q->cq, NVME_CQE_LG2);
}

void nvme_driver_remove(struct nvme_driver *d)
{
    for (unsigned i = 0; i < d->queues; i++)
        delete_queue(d, &d->queue[i]);
    dma_pool_destroy(d->small_pool);
    dma_pool_destroy(d->page_pool);
    mmio_write32(d->registers, NVME_CC, 0);
    wait_ready(d, false);
    ring_free(d, &d->admin.sq, NVME_SQE_LG2);
    ring_free(d, &d->admin.cq, NVME_CQE_LG2);
}
