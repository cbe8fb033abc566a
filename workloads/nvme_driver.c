/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/nvme_driver.h"

#include <string.h>

#include "dma_api/kernel.h"
#include "sim/base/lg2.h"
#include "workloads/blk_integrity.h"
#include "workloads/nvme_describe.h"
#include "workloads/nvme_discard.h"

#define PARAM_OWNER struct driver_config
#define STAT_OWNER  struct driver_stats
static const struct param_def driver_params[] = { DRIVER_PARAMS(PARAM_ROW) PARAM_END };
static const struct stat_def driver_stats[]   = { DRIVER_STATS(STAT_ROW) STAT_END };

const struct param_table driver_param_table = { "driver", "The NVMe driver", driver_params,
                                                sizeof(struct driver_config), NULL };
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
                                    [BLK_LIST]      = &q->stats.mapped_list };
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

static int map_data(struct nvme_request *r, struct nvme_sqe *sqe)
{
    struct nvme_driver *d = r->queue->driver;
    make_room(r);
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
}

static int map_request(struct nvme_request *r, struct nvme_sqe *sqe)
{
    int error = get_metadata(r) ? map_data(r, sqe) : -ENOMEM;
    if (error == 0)
        error = map_metadata(r, sqe);
    if (error != 0)
        unmap_request(r);
    else
        count_mapping(r);
    return error;
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
        sqe.cdw[1] = NVME_DATASET_DEALLOCATE; /* One range. */
    return sqe;
}

/* What the device is to read or write of the request, if anything. */
static int map_io(struct nvme_request *r, struct nvme_sqe *sqe)
{
    const bool discards = r->io.opcode == NVME_DATASET;
    if (discards && !nvme_discard_get(r))
        return -ENOMEM;
    const int error = r->io.segments == 0 ? 0 : map_request(r, sqe);
    if (error != 0 && discards)
        nvme_discard_put(r);
    return error;
}

int nvme_driver_submit(struct nvme_driver *d, const struct nvme_io *io)
{
    struct cpu *cpu        = cpu_this();
    struct nvme_queue *q   = &d->queue[cpu->id];
    struct nvme_request *r = take_request(q);
    if (r == NULL)
        return -EBUSY;
    r->io               = *io;
    struct nvme_sqe sqe = command_of(r);
    cpu_spend(cpu, d->config.submit_cycles);
    const int error = map_io(r, &sqe);
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
    if (io->opcode == NVME_READ)
        q->stats.request_read++;
    else if (io->opcode == NVME_WRITE)
        q->stats.request_write++;
    else
        q->stats.request_other++;
    q->stats.bytes += io->segments > 0 ? io->bytes : 0;
    q->stats.failed += status != NVME_SUCCESS;
}

static void complete(struct nvme_queue *q, uint16_t cid, uint16_t status)
{
    struct nvme_driver *d = q->driver;
    CHECK(cid < q->requests_used);
    struct nvme_request *r = &q->request[cid];
    cpu_spend(cpu_this(), d->config.complete_cycles);
    if (r->io.segments > 0)
        unmap_request(r);
    if (r->io.opcode == NVME_DATASET)
        nvme_discard_put(r);
    count_done(q, &r->io, status);
    const struct nvme_io io = r->io;
    give_request(r);
    io.done(io.arg, status);
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
        complete(q, cqe.cid, (cqe.status >> NVME_CQE_STATUS_SHIFT) & NVME_STATUS_CODE_MASK);
        any = true;
    }
    if (!any)
        return;
    ring_cq(q);
    dma_unmap_batch_end(q->driver->dev);
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

static bool create_queue(struct nvme_driver *d, unsigned cpu, uint32_t entries,
                         struct error *error)
{
    struct nvme_queue *q = &d->queue[cpu];
    const uint32_t id    = cpu + 1;
    if (!queue_alloc(d, q, id, entries))
        return error_set(error, "nvme: no memory for queue %u", id);
    requests_alloc(q);
    set_vector(d, id, cpu);
    struct nvme_sqe cq = { .opcode = NVME_ADMIN_CREATE_CQ, .data.prp = { q->cq.dma } };
    cq.cdw[0]          = id | (entries - 1) << 16;
    cq.cdw[1]          = NVME_QUEUE_CONTIGUOUS | NVME_QUEUE_INTERRUPTS | id << 16;
    struct nvme_sqe sq = { .opcode = NVME_ADMIN_CREATE_SQ, .data.prp = { q->sq.dma } };
    sq.cdw[0]          = id | (entries - 1) << 16;
    sq.cdw[1]          = NVME_QUEUE_CONTIGUOUS | id << 16;
    uint16_t status    = admin(d, &cq);
    if (status == NVME_SUCCESS)
        status = admin(d, &sq);
    if (status != NVME_SUCCESS)
        return error_set(error, "nvme: creating queue %u failed with status 0x%x", id,
                         status);
    cpu_handle(d->kernel->cpu[cpu], d->vector, on_interrupt, q);
    d->queues = cpu + 1;
    return true;
}

/* A queue pair for each CPU. */
static bool ask_for_queues(struct nvme_driver *d, struct error *error)
{
    const uint32_t less_1 = d->kernel->cpus - 1;
    uint32_t granted;
    struct nvme_sqe features = { .opcode = NVME_ADMIN_SET_FEATURES,
                                 .cdw    = { NVME_FEATURE_QUEUES, less_1 << 16 | less_1 } };
    if (admin_result(d, &features, &granted) != NVME_SUCCESS)
        return error_set(error, "nvme: the number of queues was refused");
    if ((granted & 0xffff) < less_1 || granted >> 16 < less_1)
        return error_set(
            error, "nvme.queues: expected at least %u, one for each CPU (--cpus), got %u",
            d->kernel->cpus, (granted & 0xffff) + 1);
    return true;
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
    for (unsigned cpu = 0; cpu < d->kernel->cpus; cpu++)
        if (!create_queue(d, cpu, entries, error))
            return false;
    return true;
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
