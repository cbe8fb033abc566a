/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/nvmf_target.h"

#include <string.h>

#include "sim/base/lg2.h"

/* In the low bits of a work request's context; above them an index. */
enum { TAG_RECEIVED, TAG_FETCHED, TAG_SENT, TAG_BITS = 2 };
enum { COMMANDS_EACH = 2 }; /* Commands for each receive: it is posted again early. */

/* Memory comes back from other CPUs and from flush queues, too, without a word: who waits
 * looks again as soon as Linux's block layer does (BLK_MQ_RESOURCE_DELAY: 3 ms), and gives
 * up when all stood still for a few timeouts of such a queue. */
#define LOOK_AGAIN (3000 * TIME_US)
#define PATIENCE   (50000 * TIME_US)

static void ready(struct nvmf_command *c, uint8_t step)
{
    c->step = step;
    nvmf_command_fifo_push(&c->queue->ready, c);
}

/* ---- Memory of a command ---------------------------------------------------------------
 */

/* Something is there again that a command may wait for. */
static void freed(struct nvmf_target_queue *q)
{
    q->freed            = true;
    q->target->freed_at = cpu_this()->time;
}

static void free_pages(struct nvmf_command *c)
{
    for (uint32_t i = 0; c->keyed && i < c->segments; i++)
        kernel_pages_put(c->queue->target->kernel, c->segment[i].phys, 0);
    c->segments = 0;
}

static bool alloc_pages(struct nvmf_command *c)
{
    for (uint32_t left = c->bytes; left > 0;) {
        const phys_addr_t page = kernel_pages_get(c->queue->target->kernel, 0);
        const uint32_t in_page = left < PAGE_SIZE ? left : (uint32_t)PAGE_SIZE;
        if (page == 0) {
            free_pages(c);
            return false;
        }
        c->segment[c->segments++] = (struct blk_segment){ page, in_page };
        left -= in_page;
    }
    return true;
}

static bool goes_to_host(const struct nvmf_command *c)
{
    return nvmf_way_of(&c->sqe) == NVMF_TO_HOST;
}

static enum dma_data_direction direction_of(const struct nvmf_command *c)
{
    return goes_to_host(c) ? DMA_TO_DEVICE : DMA_FROM_DEVICE;
}

/* Not the drive's: answered by software. */
static bool is_admin(const struct nvmf_command *c)
{
    return c->queue->id == 0 || c->sqe.opcode == NVMF_FABRICS;
}

static uint32_t sges_max(const struct nvmf_target *t)
{
    return (t->verbs->config.wqe_bytes - (uint32_t)offsetof(struct rdma_wqe, sge))
           / RDMA_SGE_BYTES;
}

/* For the NIC. 0, -ENOMEM or -EIO. */
static int map_data(struct nvmf_command *c)
{
    struct nvmf_target *t = c->queue->target;
    c->by_rw              = t->api == BLK_iova;
    if (!c->by_rw) {
        const int error = blk_map(t->dev, &t->blk, t->api, c->segment, c->segments,
                                  direction_of(c), &c->mapping);
        c->mapped       = error == 0;
        return error;
    }
    for (uint32_t i = 0; i < c->segments; i++)
        c->bvec[i] =
            (struct bio_vec){ phys_to_page(c->segment[i].phys), c->segment[i].bytes, 0 };
    const int wrs = rdma_rw_ctx_init_bvec(&c->rw, t->dev, sges_max(t), c->bvec, c->segments,
                                          c->address, direction_of(c));
    c->mapped     = wrs > 0;
    return wrs > 0 ? 0 : wrs;
}

static void unmap_data(struct nvmf_command *c)
{
    struct nvmf_target *t = c->queue->target;
    if (!c->mapped)
        return;
    c->mapped = false;
    freed(c->queue);
    if (c->by_rw)
        rdma_rw_ctx_destroy_bvec(&c->rw, t->dev, c->bvec, c->segments, direction_of(c));
    else
        blk_unmap(t->dev, &c->mapping);
}

/* ---- Work requests ---------------------------------------------------------------------
 */

/* The pieces that the NIC sees, into queue->sge; how many. */
static uint32_t pieces_of(struct nvmf_command *c)
{
    struct rdma_sge *sge = c->queue->sge;
    uint32_t count       = 0;
    if (!c->by_rw) {
        for (; count < c->mapping.ranges; count++)
            sge[count] = (struct rdma_sge){ c->mapping.range[count].bytes, RDMA_KEY_DMA,
                                            c->mapping.range[count].addr };
        return count;
    }
    for (unsigned i = 0; i < c->rw.nr_ops; i++) {
        const struct ib_rdma_wr *wr =
            c->rw.type == RDMA_RW_MULTI_WR ? &c->rw.wrs[i] : &c->rw.single_wr;
        for (unsigned k = 0; k < wr->num_sge; k++)
            sge[count++] = (struct rdma_sge){ wr->sg_list[k].length, RDMA_KEY_DMA,
                                              wr->sg_list[k].addr };
    }
    return count;
}

/* Moves all of the command's data; into queue->wr, how many. */
static uint32_t build_transfer(struct nvmf_command *c, uint8_t opcode)
{
    struct nvmf_target_queue *q = c->queue;
    const uint32_t most = sges_max(q->target), pieces = pieces_of(c);
    uint64_t address = c->address;
    uint32_t wrs     = 0;
    for (uint32_t at = 0; at < pieces; at += most) {
        const uint32_t sges = pieces - at < most ? pieces - at : most;
        q->wr[wrs++]        = (struct verbs_wr){ .opcode  = opcode,
                                                 .sge     = &q->sge[at],
                                                 .sges    = sges,
                                                 .address = address,
                                                 .key     = c->key };
        for (uint32_t i = at; i < at + sges; i++)
            address += q->sge[i].bytes;
    }
    return wrs;
}

static uint64_t context_of(const struct nvmf_command *c, unsigned tag)
{
    return (uint64_t)(c - c->queue->command) << TAG_BITS | tag;
}

static int post_receive(struct nvmf_target_queue *q, struct nvmf_receive *r)
{
    struct rdma_sge sge[1 + NVMF_INLINE_PAGES] = { { NVMF_COMMAND_BYTES, RDMA_KEY_DMA,
                                                     r->capsule.dma } };
    const uint32_t pages                       = q->inline_pages;
    for (uint32_t i = 0; i < pages; i++)
        sge[1 + i] = (struct rdma_sge){ (uint32_t)PAGE_SIZE, RDMA_KEY_DMA, r->page[i].dma };
    return verbs_post_receive(q->qp->rq, sge, 1 + pages,
                              (uint64_t)(r - q->receive) << TAG_BITS | TAG_RECEIVED);
}

/* ---- Steps -----------------------------------------------------------------------------
 */

/* Where the data is; false: the descriptor is none that there is here. */
static bool parse(struct nvmf_command *c)
{
    struct nvmf_keyed_sgl sgl;
    memcpy(&sgl, &c->sqe.data, sizeof sgl);
    c->bytes =
        (uint32_t)sgl.bytes[0] | (uint32_t)sgl.bytes[1] << 8 | (uint32_t)sgl.bytes[2] << 16;
    c->keyed = sgl.type == NVMF_SGL_KEYED || sgl.type == NVMF_SGL_KEYED_GIVEN;
    if (c->keyed) {
        c->address = sgl.address;
        c->key     = (uint32_t)sgl.key[0] | (uint32_t)sgl.key[1] << 8
                 | (uint32_t)sgl.key[2] << 16 | (uint32_t)sgl.key[3] << 24;
        c->gives = sgl.type == NVMF_SGL_KEYED_GIVEN;
        return c->bytes > 0 && c->bytes <= NVMF_PAGES_MAX * PAGE_SIZE;
    }
    return sgl.type == NVMF_SGL_OFFSET && !goes_to_host(c) && c->sqe.data.sgl.iova == 0
           && c->bytes <= c->queue->inline_pages * PAGE_SIZE;
}

static void use_inline(struct nvmf_command *c)
{
    uint32_t left = c->bytes;
    for (uint32_t i = 0; left > 0; i++) {
        const uint32_t bytes = left < PAGE_SIZE ? left : (uint32_t)PAGE_SIZE;
        dma_sync_single_for_cpu(c->queue->target->dev, c->receive->page[i].dma, bytes,
                                DMA_FROM_DEVICE);
        c->segment[c->segments++] = (struct blk_segment){ c->receive->page[i].phys, bytes };
        left -= bytes;
    }
}

/* A discard's are its ranges. Some admin commands only sometimes have data. */
static bool moves_data(const struct nvmf_command *c)
{
    const struct nvmf_keyed_sgl *sgl = (const struct nvmf_keyed_sgl *)&c->sqe.data;
    const bool some                  = (sgl->bytes[0] | sgl->bytes[1] | sgl->bytes[2]) != 0;
    return nvmf_way_of(&c->sqe) != NVMF_NOWHERE && (some || !is_admin(c));
}

/* What the drive is given one after the other: segments, or a discard's ranges. */
static uint32_t parts_of(const struct nvmf_command *c)
{
    return c->sqe.opcode == NVME_DATASET ? (c->sqe.cdw[0] & 0xff) + 1 : c->segments;
}

static void fail(struct nvmf_command *c, uint16_t status)
{
    c->status = status;
    ready(c, NVMF_EXECUTED);
}

/* Room and memory come back when something completes. */
static void wait_for_room(struct nvmf_command *c)
{
    c->queue->target->stats.waited++;
    nvmf_command_fifo_push(&c->queue->waiting, c);
}

/* The same for memory; false: it has waited long enough, and nothing moves any more. */
static bool wait_for_memory(struct nvmf_command *c)
{
    const sim_time_t now = cpu_this()->time;
    if (c->waits_since == 0)
        c->waits_since = now;
    const sim_time_t freed_at = c->queue->target->freed_at;
    if (now > (freed_at > c->waits_since ? freed_at : c->waits_since) + PATIENCE)
        return false;
    wait_for_room(c);
    return true;
}

static void fetch_data(struct nvmf_command *c)
{
    struct nvmf_target_queue *q = c->queue;
    const int error             = c->mapped ? 0 : map_data(c);
    if (error != 0) {
        if (error != -ENOMEM || !wait_for_memory(c))
            fail(c, NVMF_INTERNAL_ERROR);
        return;
    }
    const uint32_t wrs     = build_transfer(c, RDMA_READ);
    q->wr[wrs - 1].flags   = RDMA_FLAG_SIGNALED;
    q->wr[wrs - 1].context = context_of(c, TAG_FETCHED);
    if (verbs_post_sends(q->qp, q->wr, wrs) != 0)
        wait_for_room(c);
    else
        q->target->stats.data_read += wrs;
}

/* Again when it had to wait: what is there already is not made twice. */
static void begin(struct nvmf_command *c)
{
    if (c->segments == 0 && c->bytes > 0 && !c->keyed)
        use_inline(c);
    else if (c->segments == 0 && c->bytes > 0 && !alloc_pages(c)) {
        if (!wait_for_memory(c))
            fail(c, NVMF_INTERNAL_ERROR);
        return;
    }
    c->waits_since = 0;
    if (c->keyed && !goes_to_host(c))
        fetch_data(c);
    else
        ready(c, NVMF_FETCHED);
}

static void take(struct nvmf_command *c)
{
    struct nvmf_target *t = c->queue->target;
    if (c->begun == UINT32_MAX) { /* Not for the first time. */
        begin(c);
        return;
    }
    cpu_spend(cpu_this(), t->config.command_cycles);
    dma_sync_single_for_cpu(t->dev, c->receive->capsule.dma, NVMF_COMMAND_BYTES,
                            DMA_FROM_DEVICE);
    nvmf_get(c->receive->capsule.phys, &c->sqe, sizeof c->sqe);
    if (is_admin(c))
        t->stats.admin_command++;
    else
        t->stats.command++;
    c->begun               = UINT32_MAX;
    const uint16_t refused = is_admin(c)
                                 ? (uint16_t)NVME_SUCCESS
                                 : nvmf_controller_admits(&t->controller, c->queue->id);
    if (refused != NVME_SUCCESS) {
        c->keyed = false;
        fail(c, refused);
    } else if (!moves_data(c)) {
        c->keyed = false;
        c->bytes = 0;
        ready(c, NVMF_FETCHED);
    } else if (parse(c)
               && (is_admin(c) || c->sqe.opcode != NVME_DATASET
                   || c->bytes >= parts_of(c) * NVME_RANGE_BYTES)) {
        begin(c);
    } else {
        c->keyed = false;
        fail(c, NVME_SGL_TYPE_INVALID);
    }
}

static void piece_done(void *arg, uint16_t status)
{
    struct nvmf_command *c = arg;
    if (status != NVME_SUCCESS)
        c->status = status;
    freed(c->queue);
    if (--c->pieces == 0)
        ready(c, NVMF_EXECUTED);
}

static struct nvme_io next_range(const struct nvmf_command *c, uint32_t block)
{
    struct nvme_range range;
    nvmf_get(c->segment[0].phys + c->at_segment * sizeof range, &range, sizeof range);
    const uint64_t bytes = (uint64_t)range.blocks * block;
    return (struct nvme_io){ .opcode = NVME_DATASET,
                             .lba    = range.first * (block >> NVME_SECTOR_LG2),
                             .bytes  = bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX };
}

/* The next request for the drive: as many segments as its block layer lets go together. */
static struct nvme_io next_piece(const struct nvmf_command *c)
{
    const struct nvme_limits *limits = nvme_driver_limits(c->queue->target->drive);
    const uint32_t block             = limits->block_bytes;
    const uint64_t lba               = c->sqe.cdw[0] | (uint64_t)c->sqe.cdw[1] << 32;
    if (c->sqe.opcode == NVME_DATASET)
        return next_range(c, block);
    struct nvme_io io = { .opcode = (enum nvme_opcode)c->sqe.opcode,
                          .lba    = lba * (block >> NVME_SECTOR_LG2)
                                 + (c->begun >> NVME_SECTOR_LG2),
                          .segment = &c->segment[c->at_segment] };
    while (c->at_segment + io.segments < c->segments && io.segments < limits->max_segments
           && io.bytes + io.segment[io.segments].bytes <= limits->max_bytes)
        io.bytes += io.segment[io.segments++].bytes;
    if (c->segments == 0 && io.opcode != NVME_FLUSH)
        io.bytes = ((c->sqe.cdw[2] & 0xffff) + 1) * block;
    return io;
}

/* The capsule's buffer is posted again before the host can know that there is room. */
static void give_receive(struct nvmf_command *c)
{
    struct device *dev = c->queue->target->dev;
    if (c->receive == NULL)
        return;
    dma_sync_single_for_device(dev, c->receive->capsule.dma, NVMF_COMMAND_BYTES,
                               DMA_FROM_DEVICE);
    for (uint32_t i = 0; !c->keyed && i < c->segments; i++)
        dma_sync_single_for_device(dev, c->receive->page[i].dma, c->segment[i].bytes,
                                   DMA_FROM_DEVICE);
    CHECK(post_receive(c->queue, c->receive) == 0);
    c->receive = NULL;
}

/* ---- Admin and Fabrics commands --------------------------------------------------------
 */

/* The beginning of what came with it. */
static void get_data(const struct nvmf_command *c, void *data, uint32_t bytes)
{
    if (c->segments > 0)
        nvmf_get(c->segment[0].phys, data, bytes < c->bytes ? bytes : c->bytes);
}

static void put_data(const struct nvmf_command *c, const struct nvmf_answer *a)
{
    for (uint32_t at = 0, i = 0; at < c->bytes; at += c->segment[i++].bytes) {
        uint8_t page[PAGE_SIZE] = { 0 };
        const uint32_t bytes    = c->segment[i].bytes;
        for (uint32_t k = 0; k < bytes && at + k < a->bytes; k++)
            page[k] = a->data[at + k];
        nvmf_put(c->segment[i].phys, page, bytes);
    }
}

/* An Asynchronous Event Request stays: it is nothing that the end has to wait for. */
static void execute_admin(struct nvmf_command *c)
{
    struct nvmf_target *t = c->queue->target;
    uint8_t data[sizeof(struct nvmf_connect_data)];
    struct nvmf_answer *answer = &t->answer[c->queue->id > 0];
    unmap_data(c);
    if (c->queue->id == 0 && c->sqe.opcode == NVME_ADMIN_ASYNC_EVENT) {
        give_receive(c);
        c->queue->busy--;
        return;
    }
    cpu_spend(cpu_this(), t->config.admin_cycles);
    const bool comes = !goes_to_host(c);
    if (comes)
        get_data(c, data, sizeof data);
    c->status = nvmf_controller_execute(&t->controller, c->queue->id, &c->sqe, data,
                                        comes ? c->bytes : 0, comes ? 0 : c->bytes, answer);
    c->result = answer->result;
    if (!comes && c->status == NVME_SUCCESS)
        put_data(c, answer);
    ready(c, NVMF_EXECUTED);
}

/* One more piece is held until all of them are begun. */
static void execute(struct nvmf_command *c)
{
    struct nvmf_target *t = c->queue->target;
    if (c->begun == UINT32_MAX) {
        unmap_data(c);
        c->begun = c->at_segment = 0;
        c->pieces                = 1;
    }
    do {
        struct nvme_io io = next_piece(c);
        io.done           = piece_done;
        io.arg            = c;
        CHECK(c->segments == 0 || io.segments > 0 || io.opcode == NVME_DATASET);
        c->pieces++;
        const int error = nvme_driver_submit(t->drive, &io);
        if (error == -EIO) {
            piece_done(c, NVMF_INTERNAL_ERROR);
        } else if (error != 0) {
            c->pieces--;
            if (!wait_for_memory(c))
                piece_done(c, NVMF_INTERNAL_ERROR); /* Without the rest of it. */
            return;
        }
        c->waits_since = 0;
        t->stats.piece++;
        c->begun += io.bytes;
        c->at_segment += io.opcode == NVME_DATASET ? 1 : io.segments;
    } while (c->at_segment < parts_of(c));
    piece_done(c, NVME_SUCCESS);
}

static void write_response(struct nvmf_command *c)
{
    const struct nvme_cqe cqe = { .result   = (uint32_t)c->result,
                                  .reserved = (uint32_t)(c->result >> 32),
                                  .cid      = c->sqe.cid,
                                  .status =
                                      (uint16_t)(c->status << NVME_CQE_STATUS_SHIFT) };
    struct device *dev        = c->queue->target->dev;
    cpu_spend(cpu_this(), c->queue->target->config.respond_cycles);
    dma_sync_single_for_cpu(dev, c->response.dma, NVMF_RESPONSE_BYTES, DMA_TO_DEVICE);
    nvmf_put(c->response.phys, &cqe, sizeof cqe);
    dma_sync_single_for_device(dev, c->response.dma, NVMF_RESPONSE_BYTES, DMA_TO_DEVICE);
}

static bool answers_with_data(const struct nvmf_command *c)
{
    return c->keyed && goes_to_host(c) && c->status == NVME_SUCCESS;
}

/* Data of a read goes in front of the response, in the same list. */
static void respond(struct nvmf_command *c)
{
    struct nvmf_target_queue *q = c->queue;
    uint32_t wrs                = 0;
    if (c->receive != NULL)
        write_response(c);
    give_receive(c);
    if (answers_with_data(c) && !c->mapped) {
        const int error = map_data(c);
        if (error == -ENOMEM && wait_for_memory(c))
            return;
        if (error != 0) {
            c->status = NVMF_INTERNAL_ERROR;
            write_response(c);
        }
    }
    if (answers_with_data(c))
        wrs = build_transfer(c, RDMA_WRITE);
    const struct rdma_sge sge = { NVMF_RESPONSE_BYTES, RDMA_KEY_DMA, c->response.dma };
    q->wr[wrs] = (struct verbs_wr){ .opcode    = c->gives ? RDMA_SEND_INV : RDMA_SEND,
                                    .flags     = RDMA_FLAG_SIGNALED,
                                    .context   = context_of(c, TAG_SENT),
                                    .sge       = &sge,
                                    .sges      = 1,
                                    .immediate = c->gives ? c->key : 0 };
    if (verbs_post_sends(q->qp, q->wr, wrs + 1) != 0) {
        wait_for_room(c);
        return;
    }
    q->target->stats.data_written += wrs;
    if (is_admin(c))
        q->target->stats.admin_response++;
    else
        q->target->stats.response++;
}

static void give_command(struct nvmf_command *c)
{
    struct nvmf_target_queue *q = c->queue;
    unmap_data(c);
    free_pages(c);
    c->keyed = c->gives = false;
    c->status           = NVME_SUCCESS;
    c->result           = 0;
    c->begun            = 0;
    c->waits_since      = 0;
    c->next             = q->free;
    q->free             = c;
    q->busy--;
}

static void work_on(struct nvmf_command *c)
{
    switch (c->step) {
    case NVMF_TAKEN:
        take(c);
        return;
    case NVMF_FETCHED:
        if (is_admin(c))
            execute_admin(c);
        else
            execute(c);
        return;
    case NVMF_EXECUTED:
        respond(c);
        return;
    default:
        give_command(c);
    }
}

/* ---- Completions -----------------------------------------------------------------------
 */

static void on_completion(void *self, const struct verbs_wc *wc)
{
    struct nvmf_target_queue *q = self;
    const uint32_t index        = (uint32_t)(wc->context >> TAG_BITS);
    const unsigned tag          = wc->context & ((1u << TAG_BITS) - 1);
    if (wc->status != RDMA_SUCCESS) {
        q->failed = true; /* The host notices, too; nothing of it is answered any more. */
        return;
    }
    if (tag != TAG_RECEIVED) {
        freed(q);
        ready(&q->command[index], tag == TAG_FETCHED ? NVMF_FETCHED : NVMF_SENT);
        return;
    }
    struct nvmf_command *c = q->free;
    CHECK(c != NULL);
    q->free    = c->next;
    c->receive = &q->receive[index];
    q->busy++;
    ready(c, NVMF_TAKEN);
}

/* One step of a queue; false: there is nothing to do. */
static bool work(struct nvmf_target_queue *q)
{
    while (q->freed && !nvmf_command_fifo_empty(&q->waiting))
        nvmf_command_fifo_push(&q->ready, nvmf_command_fifo_pop(&q->waiting));
    q->freed = false;
    if (nvmf_command_fifo_empty(&q->ready))
        return false;
    work_on(nvmf_command_fifo_pop(&q->ready));
    return true;
}

static bool is_idle(const struct nvmf_target_queue *q)
{
    return q->busy == 0 || q->failed;
}

static bool waits(const struct nvmf_target_queue *q)
{
    return !nvmf_command_fifo_empty(&q->waiting);
}

void nvmf_target_run(struct nvmf_target *t)
{
    struct cpu *cpu                 = cpu_this();
    struct nvmf_target_queue *q     = &t->queue[cpu->id];
    struct nvmf_target_queue *admin = cpu->id == 0 ? &t->admin : q;
    for (;;) {
        cpu_sync(cpu);
        if (work(q) || work(admin))
            continue;
        if (t->over && is_idle(q) && is_idle(admin))
            return;
        const bool any         = waits(q) || waits(admin);
        const sim_time_t until = any ? cpu->time + LOOK_AGAIN : TIME_NEVER;
        cpu_wait(cpu, until);
        if (cpu->time >= until)
            q->freed = admin->freed = true;
    }
}

void nvmf_target_again(struct nvmf_target *t)
{
    t->over = false;
}

void nvmf_target_end(struct nvmf_target *t)
{
    t->over = true;
    for (unsigned i = 0; i < t->queues; i++)
        cpu_wake(t->kernel->cpu[i], cpu_this()->time);
}

/* ---- Life ------------------------------------------------------------------------------
 */

static bool map_buffer(struct nvmf_target *t, struct nvmf_buffer *b, phys_addr_t phys,
                       uint32_t bytes, enum dma_data_direction dir)
{
    b->phys = phys;
    b->dma  = DMA_MAPPING_ERROR;
    if (phys != 0)
        b->dma = dma_map_single(t->dev, phys_to_virt(phys), bytes, dir);
    return !dma_mapping_error(t->dev, b->dma);
}

static void unmap_buffer(struct nvmf_target *t, const struct nvmf_buffer *b, uint32_t bytes,
                         enum dma_data_direction dir)
{
    if (b->phys != 0 && !dma_mapping_error(t->dev, b->dma))
        dma_unmap_single(t->dev, b->dma, bytes, dir);
}

/* The nth piece of so many bytes of pages that are taken one after the other. */
static phys_addr_t piece_of(struct nvmf_target *t, phys_addr_t *page, uint32_t nth,
                            uint32_t bytes)
{
    const uint32_t in_page = nth % (uint32_t)(PAGE_SIZE / bytes);
    if (in_page == 0)
        *page = kernel_pages_get_zeroed(t->kernel, 0);
    return *page == 0 ? 0 : *page + (uint64_t)in_page * bytes;
}

static bool make_receives(struct nvmf_target_queue *q)
{
    struct nvmf_target *t = q->target;
    phys_addr_t page      = 0;
    for (uint32_t i = 0; i < q->entries; i++) {
        struct nvmf_receive *r = &q->receive[i];
        if (!map_buffer(t, &r->capsule, piece_of(t, &page, i, NVMF_COMMAND_BYTES),
                        NVMF_COMMAND_BYTES, DMA_FROM_DEVICE))
            return false;
        for (uint32_t k = 0; k < q->inline_pages; k++)
            if (!map_buffer(t, &r->page[k], kernel_pages_get_zeroed(t->kernel, 0),
                            (uint32_t)PAGE_SIZE, DMA_FROM_DEVICE))
                return false;
        if (post_receive(q, r) != 0)
            return false;
    }
    return true;
}

static bool make_commands(struct nvmf_target_queue *q)
{
    struct nvmf_target *t = q->target;
    struct kernel *k      = t->kernel;
    phys_addr_t page      = 0;
    for (uint32_t i = 0; i < COMMANDS_EACH * q->entries; i++) {
        struct nvmf_command *c = &q->command[i];
        c->queue               = q;
        c->segment             = kernel_host_alloc(k, NVMF_PAGES_MAX, sizeof *c->segment);
        c->bvec                = kernel_host_alloc(k, NVMF_PAGES_MAX, sizeof *c->bvec);
        c->mapping.range = kernel_host_alloc(k, NVMF_PAGES_MAX, sizeof *c->mapping.range);
        c->mapping.sgl   = kernel_host_alloc(k, NVMF_PAGES_MAX, sizeof *c->mapping.sgl);
        c->mapping.run   = kernel_host_alloc(k, NVMF_PAGES_MAX, sizeof *c->mapping.run);
        c->next          = q->free;
        q->free          = c;
        if (!map_buffer(t, &c->response, piece_of(t, &page, i, NVMF_RESPONSE_BYTES),
                        NVMF_RESPONSE_BYTES, DMA_TO_DEVICE))
            return false;
    }
    return true;
}

static bool make_queue(struct nvmf_target *t, struct nvmf_target_queue *q, unsigned id,
                       uint32_t entries)
{
    const unsigned cpu = id > 0 ? id - 1 : 0;
    struct kernel *k   = t->kernel;
    *q                 = (struct nvmf_target_queue){ .target = t, .id = id, .cpu = cpu };
    q->entries         = entries;
    q->inline_pages    = id > 0 ? t->config.inline_kib / 4 : 0;
    q->receive         = kernel_host_alloc(k, entries, sizeof *q->receive);
    q->command         = kernel_host_alloc(k, COMMANDS_EACH * entries, sizeof *q->command);
    q->sge             = kernel_host_alloc(k, NVMF_PAGES_MAX, sizeof *q->sge);
    q->wr              = kernel_host_alloc(k, NVMF_PAGES_MAX + 1, sizeof *q->wr);
    /* Each command is received, fetched and answered. */
    q->cq =
        verbs_create_cq(t->verbs, UINT32_C(8) << lg2_ceil(entries), cpu, on_completion, q);
    if (q->cq == NULL)
        return false;
    q->qp = verbs_create_qp(t->verbs, RDMA_RC, t->pd, q->cq, q->cq, NULL);
    return q->qp != NULL && make_receives(q) && make_commands(q);
}

bool nvmf_target_probe(struct nvmf_target *t, struct verbs_device *verbs,
                       struct nvme_driver *drive, const struct nvmf_config *config,
                       const struct blk_config *blk, struct error *error)
{
    memset(t, 0, sizeof *t);
    t->verbs             = verbs;
    t->dev               = verbs->dev;
    t->kernel            = verbs->kernel;
    t->drive             = drive;
    t->config            = *config;
    t->blk               = *blk;
    t->api               = verbs->api;
    t->pd                = verbs_alloc_pd(verbs);
    const uint32_t block = nvme_driver_limits(drive)->block_bytes;
    nvmf_controller_init(&t->controller, config, t->kernel->cpus,
                         drive->blocks / (block >> NVME_SECTOR_LG2),
                         (unsigned)__builtin_ctz(block));
    t->has_admin = true;
    bool made    = make_queue(t, &t->admin, 0, NVMF_ADMIN_ENTRIES);
    for (unsigned cpu = 0; made && cpu < t->kernel->cpus; cpu++) {
        t->queues = cpu + 1;
        made      = make_queue(t, &t->queue[cpu], 1 + cpu, config->queue_entries);
    }
    if (!made)
        return error_set(error,
                         "nvmf: queue %u of the target could not be had: expected room "
                         "for its queues (rdma.qps, rdma.cqs) and memory",
                         t->queues);
    return true;
}

/* What a host may ask for: this queue, as deep as it is here at most. */
static bool accepts(const struct nvmf_target_queue *q, const struct nvmf_private_data *p)
{
    return p->format == 0 && p->queue == q->id && p->receives > 0
           && p->receives <= q->entries && p->sends > 0 && p->sends < q->entries;
}

bool nvmf_target_connect(struct nvmf_target *t, unsigned nic, const uint32_t *qp,
                         const struct nvmf_private_data *wants, struct error *error)
{
    for (unsigned i = 0; i <= t->queues; i++) {
        const struct nvmf_target_queue *q = i == 0 ? &t->admin : &t->queue[i - 1];
        if (!accepts(q, &wants[i]))
            return error_set(error,
                             "nvmf: the target refuses queue %u: expected at most %u "
                             "entries, got %u to receive and %u to send",
                             i, q->entries, wants[i].receives, wants[i].sends + 1u);
        if (verbs_connect_qp(q->qp, nic, qp[i], 0) != RDMA_CMD_OK)
            return error_set(error, "nvmf: queue %u of the target could not be connected",
                             i);
    }
    return true;
}

static void free_receives(struct nvmf_target_queue *q)
{
    struct nvmf_target *t = q->target;
    for (uint32_t i = 0; i < q->entries; i++) {
        struct nvmf_receive *r = &q->receive[i];
        unmap_buffer(t, &r->capsule, NVMF_COMMAND_BYTES, DMA_FROM_DEVICE);
        for (uint32_t k = 0; k < q->inline_pages; k++) {
            unmap_buffer(t, &r->page[k], (uint32_t)PAGE_SIZE, DMA_FROM_DEVICE);
            kernel_pages_put(t->kernel, r->page[k].phys, 0);
        }
        if ((r->capsule.phys & ~PAGE_MASK) == 0)
            kernel_pages_put(t->kernel, r->capsule.phys, 0);
    }
}

static void free_commands(struct nvmf_target_queue *q)
{
    struct nvmf_target *t = q->target;
    for (uint32_t i = 0; i < COMMANDS_EACH * q->entries; i++) {
        struct nvmf_command *c = &q->command[i];
        unmap_buffer(t, &c->response, NVMF_RESPONSE_BYTES, DMA_TO_DEVICE);
        if ((c->response.phys & ~PAGE_MASK) == 0)
            kernel_pages_put(t->kernel, c->response.phys, 0);
        kernel_host_free(t->kernel, c->segment);
        kernel_host_free(t->kernel, c->bvec);
        kernel_host_free(t->kernel, c->mapping.range);
        kernel_host_free(t->kernel, c->mapping.sgl);
        kernel_host_free(t->kernel, c->mapping.run);
    }
}

static void remove_queue(struct nvmf_target_queue *q)
{
    struct kernel *k = q->target->kernel;
    verbs_destroy_qp(q->qp);
    verbs_destroy_cq(q->cq);
    free_receives(q);
    free_commands(q);
    kernel_host_free(k, q->receive);
    kernel_host_free(k, q->command);
    kernel_host_free(k, q->sge);
    kernel_host_free(k, q->wr);
}

void nvmf_target_remove(struct nvmf_target *t)
{
    if (t->has_admin)
        remove_queue(&t->admin);
    for (unsigned i = 0; i < t->queues; i++)
        remove_queue(&t->queue[i]);
    t->has_admin = false;
    t->queues    = 0;
}
