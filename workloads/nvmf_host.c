/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/nvmf_host.h"

#include <string.h>

#include "sim/base/lg2.h"

/* In the low bits of a work request's context; above them a request's or a response's
 * index. */
enum { TAG_SENT, TAG_RESPONSE, TAG_INVALIDATED, TAG_BITS = 2 };

/* ---- Memory ----------------------------------------------------------------------------
 */

static struct verbs_mr *take_region(struct nvmf_host_queue *q)
{
    struct verbs_mr *mr = q->regions;
    if (mr != NULL)
        q->regions = mr->next;
    return mr;
}

static void give_region(struct nvmf_host_queue *q, struct verbs_mr *mr)
{
    mr->next   = q->regions;
    q->regions = mr;
}

static void free_room(struct nvmf_request *r)
{
    struct kernel *k = r->queue->host->kernel;
    kernel_host_free(k, r->mapping.range);
    kernel_host_free(k, r->mapping.sgl);
    kernel_host_free(k, r->mapping.run);
}

static void make_room(struct nvmf_request *r)
{
    struct kernel *k = r->queue->host->kernel;
    if (r->io.segments <= r->room)
        return;
    free_room(r);
    r->room          = UINT32_C(1) << lg2_ceil(r->io.segments);
    r->mapping.range = kernel_host_alloc(k, r->room, sizeof *r->mapping.range);
    r->mapping.sgl   = kernel_host_alloc(k, r->room, sizeof *r->mapping.sgl);
    r->mapping.run   = kernel_host_alloc(k, r->room, sizeof *r->mapping.run);
}

static enum dma_data_direction direction_of(const struct nvmf_request *r)
{
    return nvmf_way_of(&r->sqe) == NVMF_TO_HOST ? DMA_FROM_DEVICE : DMA_TO_DEVICE;
}

static bool is_discard(const struct nvmf_request *r)
{
    return !r->admin && r->io.opcode == NVME_DATASET;
}

/* ---- Submission ------------------------------------------------------------------------
 */

/* The work requests that a capsule takes. */
struct capsule {
    struct rdma_sge sge[1 + NVMF_INLINE_PAGES];
    struct verbs_wr wr[2];
    uint32_t wrs;
};

/* Without data the descriptor is that of no memory. */
static void set_descriptor(struct nvmf_request *r, uint64_t address, uint32_t bytes,
                           uint32_t key, uint8_t type)
{
    const struct nvmf_keyed_sgl sgl = {
        .address = address,
        .bytes   = { (uint8_t)bytes, (uint8_t)(bytes >> 8), (uint8_t)(bytes >> 16) },
        .key     = { (uint8_t)key, (uint8_t)(key >> 8), (uint8_t)(key >> 16),
                     (uint8_t)(key >> 24) },
        .type    = type,
    };
    memcpy(&r->sqe.data, &sgl, sizeof sgl);
}

static void set_command(struct nvmf_request *r)
{
    const struct nvme_io *io = &r->io;
    r->sqe = (struct nvme_sqe){ .opcode = (uint8_t)io->opcode, .nsid = 1 };
    if (io->opcode == NVME_DATASET)
        r->sqe.cdw[1] = NVME_DATASET_DEALLOCATE; /* Of one range: dword 10 is 0. */
    if (io->opcode == NVME_FLUSH || io->opcode == NVME_DATASET)
        return;
    const uint32_t block = r->queue->host->limits.block_bytes;
    const uint64_t lba   = io->lba / (block >> NVME_SECTOR_LG2);
    r->sqe.cdw[0]        = (uint32_t)lba;
    r->sqe.cdw[1]        = (uint32_t)(lba >> 32);
    r->sqe.cdw[2]        = (io->bytes + block - 1) / block - 1;
}

static bool goes_inline(const struct nvmf_request *r)
{
    return direction_of(r) == DMA_TO_DEVICE && r->bytes <= r->queue->inline_bytes
           && r->mapping.ranges <= NVMF_INLINE_PAGES;
}

static void put_inline(struct nvmf_request *r, struct capsule *c)
{
    r->sqe.data.sgl = (struct nvme_sgl){ .bytes = r->bytes, .type = NVMF_SGL_OFFSET };
    for (uint32_t i = 0; i < r->mapping.ranges; i++)
        c->sge[1 + i] = (struct rdma_sge){ r->mapping.range[i].bytes, RDMA_KEY_DMA,
                                           r->mapping.range[i].addr };
    r->queue->host->stats.inlined += !r->admin;
}

static int put_region(struct nvmf_request *r, struct capsule *c)
{
    struct nvmf_host_queue *q = r->queue;
    struct verbs_mr *mr       = take_region(q);
    if (mr == NULL)
        return -ENOMEM;
    if (verbs_list_fast(mr, r->mapping.range, r->mapping.ranges,
                        RDMA_LOCAL_WRITE | RDMA_REMOTE_READ | RDMA_REMOTE_WRITE)
        != 0) {
        give_region(q, mr);
        return -EIO;
    }
    set_descriptor(r, mr->address, (uint32_t)mr->bytes, mr->key, NVMF_SGL_KEYED_GIVEN);
    c->wr[c->wrs++] = (struct verbs_wr){ .opcode = RDMA_REG_MR, .region = mr };
    r->mr           = mr;
    q->host->stats.registered++;
    return 0;
}

/* A discard's list, with room for all the ranges that there could be. */
static bool get_ranges(struct nvmf_request *r)
{
    struct nvmf_host *h = r->queue->host;
    r->bytes            = r->io.bytes;
    if (!is_discard(r))
        return true;
    const phys_addr_t page = kernel_pages_get_zeroed(h->kernel, 0);
    if (page == 0)
        return false;
    const uint32_t block          = h->limits.block_bytes;
    const struct nvme_range range = {
        .blocks = (uint32_t)((r->io.bytes + (uint64_t)block - 1) / block),
        .first  = r->io.lba / (block >> NVME_SECTOR_LG2),
    };
    nvmf_put(page, &range, sizeof range);
    r->bytes       = (uint32_t)PAGE_SIZE;
    r->ranges      = (struct blk_segment){ page, r->bytes };
    r->io.segment  = &r->ranges;
    r->io.segments = 1;
    return true;
}

static void put_ranges(struct nvmf_request *r)
{
    if (is_discard(r) && r->io.segments > 0)
        kernel_pages_put(r->queue->host->kernel, r->ranges.phys, 0);
}

static int map_data(struct nvmf_request *r, struct capsule *c)
{
    struct nvmf_host *h = r->queue->host;
    make_room(r);
    int error = blk_map(h->dev, &h->blk, h->api, r->io.segment, r->io.segments,
                        direction_of(r), &r->mapping);
    if (error != 0)
        return error;
    if (goes_inline(r)) {
        put_inline(r, c);
        return 0;
    }
    error = put_region(r, c);
    if (error != 0)
        blk_unmap(h->dev, &r->mapping);
    return error;
}

static void unmap(struct nvmf_request *r)
{
    struct nvmf_host *h = r->queue->host;
    if (r->mr != NULL) {
        verbs_unlist_fast(r->mr);
        give_region(r->queue, r->mr);
        r->mr = NULL;
    }
    if (r->io.segments > 0)
        blk_unmap(h->dev, &r->mapping);
    put_ranges(r);
    dma_unmap_single(h->dev, r->capsule.dma, NVMF_COMMAND_BYTES, DMA_TO_DEVICE);
}

static struct nvmf_request *take_request(struct nvmf_host_queue *q)
{
    struct nvmf_request *r = q->free;
    if (r != NULL)
        q->free = r->next;
    return r;
}

static void give_request(struct nvmf_request *r)
{
    r->busy        = false;
    r->next        = r->queue->free;
    r->queue->free = r;
}

/* The capsule's bytes, and what is sent of them. */
static int send_capsule(struct nvmf_request *r, struct capsule *c)
{
    struct nvmf_host_queue *q = r->queue;
    const bool carries        = r->io.segments > 0 && r->mr == NULL;
    dma_sync_single_for_cpu(q->host->dev, r->capsule.dma, NVMF_COMMAND_BYTES,
                            DMA_TO_DEVICE);
    nvmf_put(r->capsule.phys, &r->sqe, sizeof r->sqe);
    dma_sync_single_for_device(q->host->dev, r->capsule.dma, NVMF_COMMAND_BYTES,
                               DMA_TO_DEVICE);
    c->sge[0]       = (struct rdma_sge){ NVMF_COMMAND_BYTES, RDMA_KEY_DMA, r->capsule.dma };
    c->wr[c->wrs++] = (struct verbs_wr){ .opcode  = RDMA_SEND,
                                         .flags   = RDMA_FLAG_SIGNALED,
                                         .context = (uint64_t)r->cid << TAG_BITS | TAG_SENT,
                                         .sge     = c->sge,
                                         .sges    = 1 + (carries ? r->mapping.ranges : 0) };
    r->left         = 2; /* It is sent, and answered. */
    r->busy         = true;
    return verbs_post_sends(q->qp, c->wr, c->wrs);
}

static int begin(struct nvmf_request *r)
{
    struct nvmf_host *h = r->queue->host;
    struct capsule c    = { .wrs = 0 };
    r->sqe.flags        = NVME_FLAGS_SGL;
    r->sqe.cid          = r->cid;
    set_descriptor(r, 0, 0, 0, NVMF_SGL_KEYED);
    r->capsule.dma = dma_map_single(h->dev, phys_to_virt(r->capsule.phys),
                                    NVMF_COMMAND_BYTES, DMA_TO_DEVICE);
    if (dma_mapping_error(h->dev, r->capsule.dma))
        return -ENOMEM;
    int error = get_ranges(r) ? 0 : -ENOMEM;
    if (error == 0 && r->io.segments > 0)
        error = map_data(r, &c);
    if (error != 0) {
        put_ranges(r);
        dma_unmap_single(h->dev, r->capsule.dma, NVMF_COMMAND_BYTES, DMA_TO_DEVICE);
        return error;
    }
    error = send_capsule(r, &c);
    if (error != 0)
        unmap(r);
    return error;
}

/* r->io, r->sqe and what else is of the command are set. */
static int submit(struct nvmf_request *r)
{
    struct nvmf_host *h = r->queue->host;
    r->status           = NVME_SUCCESS;
    r->mr               = NULL;
    cpu_spend(cpu_this(), h->config.submit_cycles);
    const int error = begin(r);
    if (error != 0) {
        h->stats.retried++;
        give_request(r);
    }
    return error;
}

int nvmf_host_submit(struct nvmf_host *h, const struct nvme_io *io)
{
    struct nvmf_host_queue *q = &h->queue[cpu_this()->id];
    if (q->failed != RDMA_SUCCESS)
        return -EIO;
    struct nvmf_request *r = take_request(q);
    if (r == NULL)
        return -EBUSY;
    r->io     = *io;
    r->admin  = false;
    r->result = NULL;
    set_command(r);
    return submit(r);
}

int nvmf_host_command(struct nvmf_host_queue *q, const struct nvme_sqe *sqe,
                      const struct blk_segment *data, uint64_t *result,
                      void (*done)(void *arg, uint16_t status), void *arg)
{
    if (q->failed != RDMA_SUCCESS)
        return -EIO;
    struct nvmf_request *r = take_request(q);
    if (r == NULL)
        return -EBUSY;
    r->io     = (struct nvme_io){ .done = done, .arg = arg };
    r->admin  = true;
    r->result = result;
    r->sqe    = *sqe;
    if (data != NULL) {
        r->ranges      = *data;
        r->io.bytes    = data->bytes;
        r->io.segment  = &r->ranges;
        r->io.segments = 1;
    }
    return submit(r);
}

static void no_event(void *arg, uint16_t status)
{
    struct nvmf_host *h = arg;
    (void)status; /* The queue has failed. */
    h->event = NULL;
}

int nvmf_host_await_event(struct nvmf_host *h)
{
    const struct nvme_sqe sqe = { .opcode = NVME_ADMIN_ASYNC_EVENT };
    h->event                  = h->admin.free;
    const int error           = nvmf_host_command(&h->admin, &sqe, NULL, NULL, no_event, h);
    if (error != 0)
        h->event = NULL;
    return error;
}

/* ---- Completion ------------------------------------------------------------------------
 */

static void count_admin(struct nvmf_stats *s, const struct nvmf_request *r)
{
    const bool fabrics = r->sqe.opcode == NVMF_FABRICS;
    s->admin++;
    if (fabrics && r->sqe.nsid == NVMF_CONNECT)
        s->admin_connect++;
    else if (fabrics)
        s->admin_property++;
    else if (r->sqe.opcode == NVME_ADMIN_KEEP_ALIVE)
        s->admin_keep_alive++;
    else
        s->admin_other++;
    s->admin_failed += r->status != NVME_SUCCESS;
    s->admin_bytes += r->io.bytes;
}

static void count_done(struct nvmf_stats *s, const struct nvmf_request *r)
{
    const struct nvme_io *io = &r->io;
    const uint16_t status    = r->status;
    if (r->admin) {
        count_admin(s, r);
        return;
    }
    s->request++;
    if (io->opcode == NVME_READ)
        s->request_read++;
    else if (io->opcode == NVME_WRITE)
        s->request_write++;
    else
        s->request_other++;
    const bool data = io->opcode == NVME_READ || io->opcode == NVME_WRITE;
    s->bytes += data ? io->bytes : 0;
    s->failed += status != NVME_SUCCESS;
}

static void part_done(struct nvmf_request *r)
{
    CHECK(r->left > 0);
    if (--r->left > 0)
        return;
    const struct nvme_io io = r->io;
    const uint16_t status   = r->status;
    unmap(r);
    count_done(&r->queue->host->stats, r);
    give_request(r);
    io.done(io.arg, status);
}

/* What is under way will not be answered. */
static void fail_queue(struct nvmf_host_queue *q, uint8_t status)
{
    if (q->failed != RDMA_SUCCESS)
        return;
    q->failed = status;
    for (uint32_t i = 0; i < q->entries; i++)
        if (q->request[i].busy) {
            q->request[i].status = NVME_DATA_TRANSFER_ERROR;
            q->request[i].left   = 1;
            part_done(&q->request[i]);
        }
}

static int post_response(struct nvmf_host_queue *q, uint32_t index)
{
    const struct rdma_sge sge = { NVMF_RESPONSE_BYTES, RDMA_KEY_DMA,
                                  q->response[index].dma };
    return verbs_post_receive(q->qp->rq, &sge, 1,
                              (uint64_t)index << TAG_BITS | TAG_RESPONSE);
}

/* The region that the target has not given back is invalidated here. */
static void invalidate(struct nvmf_request *r)
{
    const struct verbs_wr wr = { .opcode  = RDMA_LOCAL_INV,
                                 .flags   = RDMA_FLAG_SIGNALED,
                                 .context = (uint64_t)r->cid << TAG_BITS | TAG_INVALIDATED,
                                 .immediate = r->mr->key };
    r->left++;
    CHECK(verbs_post_send(r->queue->qp, &wr) == 0); /* The ring has room for three each. */
}

static void on_response(struct nvmf_host_queue *q, uint32_t index,
                        const struct verbs_wc *wc)
{
    struct nvmf_host *h = q->host;
    struct nvme_cqe cqe;
    cpu_spend(cpu_this(), h->config.complete_cycles);
    dma_sync_single_for_cpu(h->dev, q->response[index].dma, NVMF_RESPONSE_BYTES,
                            DMA_FROM_DEVICE);
    nvmf_get(q->response[index].phys, &cqe, sizeof cqe);
    dma_sync_single_for_device(h->dev, q->response[index].dma, NVMF_RESPONSE_BYTES,
                               DMA_FROM_DEVICE);
    CHECK(cqe.cid < q->entries);
    struct nvmf_request *r = &q->request[cqe.cid];
    CHECK(r->busy);
    r->status = cqe.status >> NVME_CQE_STATUS_SHIFT & NVME_STATUS_CODE_MASK;
    if (r->result != NULL)
        *r->result = cqe.result | (uint64_t)cqe.reserved << 32;
    CHECK(post_response(q, index) == 0);
    const bool given = wc->has_invalidated && r->mr != NULL && wc->immediate == r->mr->key;
    h->stats.invalidated += given;
    if (r->mr != NULL && !given)
        invalidate(r);
    part_done(r);
}

static void on_completion(void *self, const struct verbs_wc *wc)
{
    struct nvmf_host_queue *q = self;
    const uint32_t index      = (uint32_t)(wc->context >> TAG_BITS);
    if (wc->status != RDMA_SUCCESS) {
        fail_queue(q, wc->status);
        return;
    }
    if (q->failed != RDMA_SUCCESS)
        return;
    if ((wc->context & ((1u << TAG_BITS) - 1)) == TAG_RESPONSE)
        on_response(q, index, wc);
    else
        part_done(&q->request[index]);
}

/* ---- Life ------------------------------------------------------------------------------
 */

/* As many pieces of so many bytes as are wanted, from whole pages. */
static bool alloc_buffers(struct nvmf_host *h, struct nvmf_buffer *buffer, size_t stride,
                          uint32_t count, uint32_t bytes)
{
    phys_addr_t page = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t in_page = i % (uint32_t)(PAGE_SIZE / bytes);
        if (in_page == 0 && (page = kernel_pages_get_zeroed(h->kernel, 0)) == 0)
            return false;
        struct nvmf_buffer *b = (struct nvmf_buffer *)((char *)buffer + i * stride);
        b->phys               = page + (uint64_t)in_page * bytes;
    }
    return true;
}

static void free_buffers(struct nvmf_host *h, struct nvmf_buffer *buffer, size_t stride,
                         uint32_t count, uint32_t bytes)
{
    for (uint32_t i = 0; i < count; i += (uint32_t)(PAGE_SIZE / bytes)) {
        const struct nvmf_buffer *b =
            (const struct nvmf_buffer *)((const char *)buffer + i * stride);
        if (b->phys != 0)
            kernel_pages_put(h->kernel, b->phys, 0);
    }
}

static bool alloc_regions(struct nvmf_host_queue *q)
{
    struct nvmf_host *h = q->host;
    int error;
    for (uint32_t i = 0; i < q->entries; i++) {
        struct verbs_mr *mr = verbs_alloc_mr(h->verbs, h->pd, NVMF_PAGES_MAX + 1, &error);
        if (mr == NULL)
            return false;
        give_region(q, mr);
    }
    return true;
}

/* Responses stay mapped; each has an address of its own, as each is mapped by itself. */
static bool map_responses(struct nvmf_host_queue *q)
{
    struct nvmf_host *h = q->host;
    for (uint32_t i = 0; i < q->entries; i++) {
        struct nvmf_buffer *b = &q->response[i];
        b->dma = dma_map_single(h->dev, phys_to_virt(b->phys), NVMF_RESPONSE_BYTES,
                                DMA_FROM_DEVICE);
        if (dma_mapping_error(h->dev, b->dma) || post_response(q, i) != 0)
            return false;
    }
    return true;
}

static bool make_queue(struct nvmf_host *h, struct nvmf_host_queue *q, unsigned id,
                       uint32_t entries)
{
    const unsigned cpu = id > 0 ? id - 1 : 0;
    *q                 = (struct nvmf_host_queue){ .host = h, .id = id, .cpu = cpu };
    q->entries         = entries;
    q->request         = kernel_host_alloc(h->kernel, entries, sizeof *q->request);
    q->response        = kernel_host_alloc(h->kernel, entries, sizeof *q->response);
    for (uint32_t i = entries; i-- > 0;) {
        q->request[i].queue = q;
        q->request[i].cid   = (uint16_t)i;
        give_request(&q->request[i]);
    }
    /* A request has up to three completions; seven eighths of the queue may be in use. */
    q->cq =
        verbs_create_cq(h->verbs, UINT32_C(4) << lg2_ceil(entries), cpu, on_completion, q);
    if (q->cq == NULL)
        return false;
    q->qp = verbs_create_qp(h->verbs, RDMA_RC, h->pd, q->cq, q->cq, NULL);
    return q->qp != NULL
           && alloc_buffers(h, &q->request[0].capsule, sizeof *q->request, entries,
                            NVMF_COMMAND_BYTES)
           && alloc_buffers(h, q->response, sizeof *q->response, entries,
                            NVMF_RESPONSE_BYTES)
           && alloc_regions(q) && map_responses(q);
}

bool nvmf_host_probe(struct nvmf_host *h, struct verbs_device *verbs,
                     const struct nvmf_config *config, const struct blk_config *blk,
                     struct error *error)
{
    memset(h, 0, sizeof *h);
    h->verbs  = verbs;
    h->dev    = verbs->dev;
    h->kernel = verbs->kernel;
    h->config = *config;
    h->blk    = *blk;
    h->api    = verbs->api;
    h->pd     = verbs_alloc_pd(verbs);
    /* A region's pages follow each other: nothing may begin or end within one. */
    h->limits    = (struct nvme_limits){ .max_bytes     = config->max_transfer_kib << 10,
                                         .max_segments  = NVMF_PAGES_MAX,
                                         .boundary_mask = PAGE_SIZE - 1,
                                         .block_bytes   = 1 << NVME_SECTOR_LG2 };
    h->has_admin = true;
    bool made    = make_queue(h, &h->admin, 0, NVMF_ADMIN_ENTRIES);
    for (unsigned cpu = 0; made && cpu < h->kernel->cpus; cpu++) {
        h->queues = cpu + 1;
        made      = make_queue(h, &h->queue[cpu], 1 + cpu, config->queue_entries);
    }
    if (!made)
        return error_set(error,
                         "nvmf: queue %u of the host could not be had: expected room "
                         "for %u regions on each CPU and %d more (verbs.keys_lg2, "
                         "rdma.mpt_lg2), its queues (rdma.qps, rdma.cqs) and memory",
                         h->queues, config->queue_entries, NVMF_ADMIN_ENTRIES);
    return true;
}

static struct nvmf_host_queue *queue_at(struct nvmf_host *h, unsigned id)
{
    return id == 0 ? &h->admin : &h->queue[id - 1];
}

struct nvmf_private_data nvmf_host_private_data(const struct nvmf_host *h, unsigned queue)
{
    const uint32_t entries = queue == 0 ? h->admin.entries : h->queue[queue - 1].entries;
    return (struct nvmf_private_data){ .queue    = (uint16_t)queue,
                                       .receives = (uint16_t)entries,
                                       .sends    = (uint16_t)(entries - 1) };
}

bool nvmf_host_connect(struct nvmf_host *h, unsigned nic, const uint32_t *qp,
                       struct error *error)
{
    for (unsigned i = 0; i <= h->queues; i++)
        if (verbs_connect_qp(queue_at(h, i)->qp, nic, qp[i], 0) != RDMA_CMD_OK)
            return error_set(error, "nvmf: queue %u of the host could not be connected", i);
    return true;
}

static void remove_queue(struct nvmf_host_queue *q)
{
    struct nvmf_host *h    = q->host;
    const uint32_t entries = q->entries;
    if (q->qp != NULL)
        verbs_destroy_qp(q->qp);
    if (q->cq != NULL)
        verbs_destroy_cq(q->cq);
    if (q == &h->admin && h->event != NULL)
        unmap(h->event);
    for (uint32_t i = 0; i < entries; i++) {
        if (q->response[i].dma != 0 && q->response[i].dma != DMA_MAPPING_ERROR)
            dma_unmap_single(h->dev, q->response[i].dma, NVMF_RESPONSE_BYTES,
                             DMA_FROM_DEVICE);
        free_room(&q->request[i]);
    }
    free_buffers(h, &q->request[0].capsule, sizeof *q->request, entries,
                 NVMF_COMMAND_BYTES);
    free_buffers(h, q->response, sizeof *q->response, entries, NVMF_RESPONSE_BYTES);
    for (struct verbs_mr *mr = take_region(q); mr != NULL; mr = take_region(q))
        verbs_dereg_mr(mr);
    kernel_host_free(h->kernel, q->request);
    kernel_host_free(h->kernel, q->response);
}

void nvmf_host_remove(struct nvmf_host *h)
{
    if (h->has_admin)
        remove_queue(&h->admin);
    for (unsigned i = 0; i < h->queues; i++)
        remove_queue(&h->queue[i]);
}
