/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/nvme_driver.h"

#include <string.h>

#include "dma_api/kernel.h"
#include "sim/base/lg2.h"

#define PARAM_OWNER struct driver_config
#define STAT_OWNER  struct driver_stats
static const struct param_def driver_params[] = { DRIVER_PARAMS(PARAM_ROW) PARAM_END };
static const struct stat_def driver_stats[]   = { DRIVER_STATS(STAT_ROW) STAT_END };

const struct param_table driver_param_table = { "driver", "The NVMe driver", driver_params,
                                                sizeof(struct driver_config), NULL };
const struct stat_table driver_stat_table   = { "driver", "The NVMe driver", driver_stats,
                                                sizeof(struct driver_stats) };

/* ---- Descriptions of data: PRPs
 * ----------------------------------------------------------------- */

static struct nvme_list_page *new_list(struct nvme_request *r, bool small)
{
    struct nvme_queue *q = r->queue;
    if (r->lists == NVME_LISTS_MAX)
        return NULL;
    struct nvme_list_page *list = &r->list[r->lists];
    list->cpu_addr =
        dma_pool_alloc(small ? q->small_pool : q->page_pool, GFP_ATOMIC, &list->dma);
    if (list->cpu_addr == NULL)
        return NULL;
    r->small_list = small;
    r->lists++;
    return list;
}

static void put_entry(struct nvme_request *r, const struct nvme_list_page *list,
                      uint32_t slot, uint64_t entry)
{
    struct cpu *cpu = cpu_this();
    cpu_spend(cpu, r->queue->driver->config.prp_cycles);
    cpu_write64(cpu, virt_to_phys(list->cpu_addr) + slot * NVME_PRP_BYTES, entry);
}

/* The pages of a mapping's ranges, one after the other. */
struct page_cursor {
    const struct blk_range *range;
    uint32_t left; /* Ranges, this one included. */
    dma_addr_t addr;
    uint64_t bytes; /* Of this range from addr on. */
};

static void cursor_advance(struct page_cursor *c, uint64_t bytes)
{
    CHECK(bytes <= c->bytes);
    c->addr += bytes;
    c->bytes -= bytes;
    if (c->bytes == 0 && --c->left > 0) {
        c->range++;
        c->addr  = c->range->addr;
        c->bytes = c->range->bytes;
    }
}

/* The list goes on in another page: its last entry moves there and points to it instead. */
static int fill_lists(struct nvme_request *r, struct page_cursor *c, uint32_t pages,
                      uint64_t *first)
{
    const bool small            = pages * NVME_PRP_BYTES <= NVME_SMALL_BYTES;
    struct nvme_list_page *list = new_list(r, small);
    if (list == NULL)
        return -ENOMEM;
    *first        = list->dma;
    uint32_t slot = 0;
    for (; pages > 0; pages--) {
        if (slot == NVME_PRP_SLOTS - 1 && pages > 1) {
            struct nvme_list_page *next = new_list(r, false);
            if (next == NULL)
                return -ENOMEM;
            put_entry(r, list, slot, next->dma);
            list = next;
            slot = 0;
        }
        put_entry(r, list, slot++, c->addr);
        cursor_advance(c, c->bytes < NVME_PAGE_BYTES ? c->bytes : NVME_PAGE_BYTES);
    }
    return 0;
}

static uint32_t pages_left(const struct page_cursor *c)
{
    uint64_t pages = 0;
    for (uint32_t i = 0; i < c->left; i++) {
        const uint64_t bytes = i == 0 ? c->bytes : c->range[i].bytes;
        pages += (bytes + NVME_PAGE_BYTES - 1) >> NVME_PAGE_LG2;
    }
    return (uint32_t)pages;
}

static int describe_prp(struct nvme_request *r, union nvme_data_pointer *data)
{
    const struct blk_mapping *m = &r->mapping;
    struct page_cursor c = { m->range, m->ranges, m->range[0].addr, m->range[0].bytes };
    const uint64_t room  = NVME_PAGE_BYTES - (c.addr & (NVME_PAGE_BYTES - 1));
    data->prp[0]         = c.addr;
    cursor_advance(&c, c.bytes < room ? c.bytes : room);
    const uint32_t pages = c.left == 0 ? 0 : pages_left(&c);
    r->queue->stats.described_prp++;
    if (pages > 1)
        return fill_lists(r, &c, pages, &data->prp[1]);
    data->prp[1] = pages == 1 ? c.addr : 0;
    return 0;
}

/* ---- Descriptions of data: SGLs
 * ----------------------------------------------------------------- */

static struct nvme_sgl data_block(const struct blk_range *range)
{
    return (struct nvme_sgl){ .iova  = range->addr,
                              .bytes = range->bytes,
                              .type  = NVME_SGL_DATA };
}

static void put_descriptor(struct nvme_request *r, const struct nvme_list_page *list,
                           uint32_t slot, const struct nvme_sgl *sgl)
{
    struct cpu *cpu        = cpu_this();
    const phys_addr_t phys = virt_to_phys(list->cpu_addr) + slot * sizeof *sgl;
    uint64_t word[2];
    memcpy(word, sgl, sizeof word);
    cpu_spend(cpu, r->queue->driver->config.sgl_cycles);
    cpu_write64(cpu, phys, word[0]);
    cpu_write64(cpu, phys + 8, word[1]);
}

static int describe_sgl(struct nvme_request *r, union nvme_data_pointer *data)
{
    const struct blk_mapping *m = &r->mapping;
    const uint32_t bytes        = m->ranges * (uint32_t)sizeof(struct nvme_sgl);
    r->queue->stats.described_sgl++;
    if (m->ranges == 1) {
        data->sgl = data_block(&m->range[0]);
        return 0;
    }
    struct nvme_list_page *list = new_list(r, bytes <= NVME_SMALL_BYTES);
    if (list == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < m->ranges; i++) {
        const struct nvme_sgl sgl = data_block(&m->range[i]);
        put_descriptor(r, list, i, &sgl);
    }
    data->sgl = (struct nvme_sgl){ .iova  = list->dma,
                                   .bytes = bytes,
                                   .type  = NVME_SGL_LAST_SEGMENT };
    return 0;
}

/* ---- Which of the two
 * ------------------------------------------------------------------------------ */

/* A gap that PRPs cannot express forces SGLs. */
static bool sgl_forced(const struct nvme_request *r)
{
    return blk_has_gap(r->io.segment, r->io.segments, NVME_PAGE_BYTES - 1);
}

static bool sgl_preferred(const struct nvme_request *r)
{
    const struct nvme_driver *d = r->queue->driver;
    const struct blk_mapping *m = &r->mapping;
    const uint64_t threshold    = (uint64_t)d->config.sgl_threshold_kib << 10;
    const uint64_t average      = (m->bytes + m->ranges - 1) / m->ranges;
    if (m->kind == BLK_SINGLE) /* Two PRPs reach over two pages: no need for an SGL. */
        return (m->range[0].addr & (NVME_PAGE_BYTES - 1)) + m->bytes > 2 * NVME_PAGE_BYTES
               && threshold != 0;
    return threshold != 0 && average >= threshold;
}

static int describe(struct nvme_request *r, struct nvme_sqe *sqe)
{
    const bool forced = sgl_forced(r);
    if (forced && !r->queue->driver->has_sgl)
        return -EIO; /* The block layer would have split it at the gap. */
    if (!r->queue->driver->has_sgl || (!forced && !sgl_preferred(r)))
        return describe_prp(r, &sqe->data);
    sqe->flags = NVME_FLAGS_SGL;
    return describe_sgl(r, &sqe->data);
}

/* ---- One request
 * ------------------------------------------------------------------------------------ */

static void free_lists(struct nvme_request *r)
{
    struct nvme_queue *q = r->queue;
    for (uint32_t i = 0; i < r->lists; i++)
        dma_pool_free(r->small_list ? q->small_pool : q->page_pool, r->list[i].cpu_addr,
                      r->list[i].dma);
    r->lists = 0;
}

static void count_mapping(struct nvme_queue *q, const struct blk_mapping *m)
{
    uint64_t *const counter[] = { [BLK_UNMAPPED]  = NULL,
                                  [BLK_SINGLE]    = &q->stats.mapped_single,
                                  [BLK_COALESCED] = &q->stats.mapped_coalesced,
                                  [BLK_PIECES]    = &q->stats.mapped_pieces,
                                  [BLK_LIST]      = &q->stats.mapped_list };
    ++*counter[m->kind];
    q->stats.segment += m->segments;
    q->stats.address_bytes += blk_address_bytes(m);
}

static void free_room(struct nvme_request *r)
{
    kernel_host_free(r->queue->driver->kernel, r->mapping.range);
    kernel_host_free(r->queue->driver->kernel, r->mapping.sgl);
    kernel_host_free(r->queue->driver->kernel, r->mapping.run);
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

static int map_data(struct nvme_request *r, struct nvme_sqe *sqe)
{
    struct nvme_driver *d = r->queue->driver;
    const enum dma_data_direction dir =
        r->io.opcode == NVME_READ ? DMA_FROM_DEVICE : DMA_TO_DEVICE;
    make_room(r);
    int error =
        blk_map(d->dev, &d->blk, d->api, r->io.segment, r->io.segments, dir, &r->mapping);
    if (error != 0)
        return error;
    error = describe(r, sqe);
    if (error == 0) {
        count_mapping(r->queue, &r->mapping);
        return 0;
    }
    free_lists(r);
    blk_unmap(d->dev, &r->mapping);
    return error;
}

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
        sqe.cdw[0] = (uint32_t)io->lba;
        sqe.cdw[1] = (uint32_t)(io->lba >> 32);
        sqe.cdw[2] = (io->bytes >> NVME_BLOCK_LG2) - 1;
    }
    return sqe;
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
    const int error = io->segments == 0 ? 0 : map_data(r, &sqe);
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
    if (r->io.segments > 0) {
        free_lists(r);
        blk_unmap(d->dev, &r->mapping);
    }
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
    q->requests = q->sq.entries - 1; /* A full queue keeps one slot empty. */
    q->request  = kernel_host_alloc(q->driver->kernel, q->requests, sizeof *q->request);
    struct device *dev = q->driver->dev;
    q->small_pool      = dma_pool_create("prp list 256", dev, NVME_SMALL_BYTES, 256, 0);
    q->page_pool       = dma_pool_create("prp list page", dev, PAGE_SIZE, PAGE_SIZE, 0);
    CHECK(q->small_pool != NULL);
    CHECK(q->page_pool != NULL);
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
    d->has_sgl          = cpu_read32(cpu, page + NVME_IDCTRL_SGLS) != 0;
    uint32_t most       = d->config.max_transfer_kib << 10;
    if (mdts != 0 && (uint64_t)NVME_PAGE_BYTES << mdts < most)
        most = (uint32_t)NVME_PAGE_BYTES << mdts;
    if (dma_opt_mapping_size(d->dev) < most)
        most = (uint32_t)dma_opt_mapping_size(d->dev);
    const bool gaps  = d->has_sgl && d->kernel->release >= LINUX_7_3;
    const uint32_t n = most / NVME_PAGE_BYTES + 1;
    d->limits        = (struct nvme_limits){ .max_bytes     = most,
                                             .max_segments  = n < NVME_SGL_MAX ? n : NVME_SGL_MAX,
                                             .boundary_mask = gaps ? 0 : NVME_PAGE_BYTES - 1 };
}

static bool identify_all(struct nvme_driver *d, struct error *error)
{
    const phys_addr_t page = kernel_pages_get_zeroed(d->kernel, 0);
    bool done              = identify(d, 0, NVME_IDENTIFY_CONTROLLER, page, error);
    if (done)
        read_limits(d, page);
    done = done && identify(d, 1, NVME_IDENTIFY_NAMESPACE, page, error);
    if (done)
        d->blocks = cpu_read64(cpu_this(), page + NVME_IDNS_NSZE);
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
    for (uint32_t i = 0; i < q->requests_used; i++)
        free_room(&q->request[i]);
    kernel_host_free(d->kernel, q->request);
    dma_pool_destroy(q->small_pool);
    dma_pool_destroy(q->page_pool);
    ring_free(d, &q->sq, NVME_SQE_LG2);
    ring_free(d, &q->cq, NVME_CQE_LG2);
}

void nvme_driver_remove(struct nvme_driver *d)
{
    for (unsigned i = 0; i < d->queues; i++)
        delete_queue(d, &d->queue[i]);
    mmio_write32(d->registers, NVME_CC, 0);
    wait_ready(d, false);
    ring_free(d, &d->admin.sq, NVME_SQE_LG2);
    ring_free(d, &d->admin.cq, NVME_CQE_LG2);
}
