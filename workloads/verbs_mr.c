/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verbs_mr - memory regions and windows: pinned, on demand, by work request.
 */
#include "workloads/verbs_core.h"

/* ---- Keys and tables
 * --------------------------------------------------------------------- */

/* 0: there is none. */
static uint32_t take_key(struct verbs_device *d)
{
    struct cpu *cpu = cpu_this();
    lock_take(cpu, &d->key_lock);
    const uint32_t key = d->free_keys > 0 ? d->free_key[--d->free_keys] : 0;
    lock_release(cpu, &d->key_lock);
    return key;
}

/* It comes back with another variant, so that an old key does not fit. */
static void give_key(struct verbs_device *d, uint32_t key)
{
    struct cpu *cpu     = cpu_this();
    const uint32_t mask = (1u << RDMA_KEY_VARIANT_BITS) - 1;
    lock_take(cpu, &d->key_lock);
    d->free_key[d->free_keys++] = (key & ~mask) | ((key + 1) & mask);
    lock_release(cpu, &d->key_lock);
}

static void write_entry(const struct verbs_mr *mr, uint8_t state)
{
    struct verbs_device *d  = mr->device;
    const struct rdma_mpt m = { .key      = mr->key,
                                .state    = state,
                                .kind     = mr->window ? RDMA_MPT_WINDOW : RDMA_MPT_REGION,
                                .page_lg2 = (uint8_t)mr->page_lg2,
                                .access   = mr->access,
                                .pd       = mr->pd,
                                .first    = mr->address,
                                .bytes    = mr->bytes,
                                .pages    = mr->pages.dma };
    verbs_write_bytes(&d->table,
                      (size_t)(mr->key >> RDMA_KEY_VARIANT_BITS) * RDMA_MPT_BYTES, &m,
                      sizeof m);
}

/* The NIC forgets what it knows of the key and of the region's translation entries. */
static void forget(const struct verbs_mr *mr)
{
    const uint64_t word[] = { RDMA_CMD_FORGET, mr->key, mr->pages.dma, mr->pages.bytes };
    const uint32_t error  = verbs_command(mr->device, word, 4);
    CHECK(error == RDMA_CMD_OK);
}

static void put_page(void *self, uint64_t index, dma_addr_t addr)
{
    struct verbs_mr *mr    = self;
    struct verbs_device *d = mr->device;
    cpu_spend(cpu_this(), d->config.mtt_cycles);
    d->stats.translation++;
    verbs_write(&mr->pages, index * RDMA_MTT_BYTES,
                addr | RDMA_MTT_PRESENT | RDMA_MTT_WRITE);
}

static uint64_t page_count(uint64_t address, uint64_t bytes, unsigned lg2)
{
    return ((address + bytes - 1) >> lg2) - (address >> lg2) + 1;
}

static struct verbs_mr *new_mr(struct verbs_device *d, uint32_t pd)
{
    const uint32_t key = take_key(d);
    if (key == 0)
        return NULL;
    struct verbs_mr *mr = kernel_host_alloc(d->kernel, 1, sizeof *mr);
    *mr = (struct verbs_mr){ .device = d, .key = key, .pd = pd, .page_lg2 = PAGE_SHIFT };
    cpu_spend(cpu_this(), d->config.region_cycles);
    return mr;
}

static void free_mr(struct verbs_mr *mr)
{
    struct verbs_device *d = mr->device;
    verbs_memory_free(d, &mr->pages);
    give_key(d, mr->key);
    kernel_host_free(d->kernel, mr);
}

/* What is kept until the unmap, as blk_address_bytes counts it. */
static void count_kept(struct verbs_device *d, const struct rdma_umem *u)
{
    if (!dma_need_unmap(d->dev))
        return;
    if (u->kind == BLK_COALESCED)
        d->stats.address_bytes += sizeof(struct dma_iova_state);
    else if (u->kind == BLK_LIST)
        d->stats.address_bytes += u->segments * sizeof(struct scatterlist);
    else
        d->stats.address_bytes += u->ranges * (uint64_t)16;
}

/* ---- Pinned
 * ------------------------------------------------------------------------------- */

static int pin(struct verbs_mr *mr)
{
    struct verbs_device *d = mr->device;
    const int error        = rdma_umem_map(&mr->umem, d->dev, &d->umem, d->api, mr->space,
                                           mr->address, mr->bytes, true);
    if (error != 0)
        return error;
    mr->page_lg2         = rdma_umem_page_lg2(&mr->umem, mr->address, mr->bytes);
    const uint64_t pages = page_count(mr->address, mr->bytes, mr->page_lg2);
    if (!verbs_memory_alloc(d, &mr->pages, pages * RDMA_MTT_BYTES)) {
        rdma_umem_unmap(&mr->umem, true);
        return -ENOMEM;
    }
    mr->mapped = true;
    rdma_umem_pages(&mr->umem, mr->page_lg2, put_page, mr);
    count_kept(d, &mr->umem);
    d->stats.region_pinned++;
    d->stats.page += mr->umem.pages;
    return 0;
}

static int reserve(struct verbs_mr *mr)
{
    struct verbs_device *d = mr->device;
    const int error =
        rdma_umem_reserve(&mr->umem, d->dev, &d->umem, d->api, mr->address, mr->bytes);
    if (error != 0)
        return error;
    if (!verbs_memory_alloc(d, &mr->pages, mr->umem.pages * RDMA_MTT_BYTES)) {
        rdma_umem_release(&mr->umem);
        return -ENOMEM;
    }
    mr->on_demand = true;
    mr->next      = d->on_demand;
    d->on_demand  = mr;
    d->stats.region_demand++;
    return 0;
}

/* Something, no larger than a region may be, and not around the end of all addresses. */
static bool is_region(const struct verbs_device *d, uint64_t address, uint64_t bytes)
{
    return bytes > 0 && bytes <= verbs_region_bytes_max(d)
           && address <= UINT64_MAX - PAGE_SIZE - bytes;
}

struct verbs_mr *verbs_reg_mr(struct verbs_device *d, uint32_t pd,
                              const struct umem_space *space, uint64_t address,
                              uint64_t bytes, uint32_t access, int *error)
{
    *error              = is_region(d, address, bytes) ? -ENOSPC : -EINVAL;
    struct verbs_mr *mr = *error == -EINVAL ? NULL : new_mr(d, pd);
    if (mr == NULL)
        return NULL;
    mr->space   = space;
    mr->address = address;
    mr->bytes   = bytes;
    mr->access  = access;
    *error      = access & RDMA_ON_DEMAND ? reserve(mr) : pin(mr);
    if (*error != 0) {
        free_mr(mr);
        return NULL;
    }
    d->stats.region++;
    write_entry(mr, RDMA_MPT_VALID);
    forget(mr);
    return mr;
}

/* ---- On demand
 * ------------------------------------------------------------------------------ */

void verbs_note_fault(struct verbs_device *d, uint32_t key, uint64_t address,
                      uint64_t bytes)
{
    CHECK(d->fault_tail - d->fault_head < RDMA_FAULTS_MAX);
    const uint32_t at    = d->fault_tail++ % RDMA_FAULTS_MAX;
    d->fault[at].key     = key;
    d->fault[at].address = address;
    d->fault[at].bytes   = bytes;
}

static struct verbs_mr *find_on_demand(struct verbs_device *d, uint32_t key)
{
    struct verbs_mr *mr = d->on_demand;
    while (mr != NULL && mr->key != key)
        mr = mr->next;
    return mr;
}

static void fault_page(struct verbs_mr *mr, uint64_t index)
{
    struct verbs_device *d = mr->device;
    if (rdma_umem_has(&mr->umem, index))
        return; /* Another access was faster. */
    const phys_addr_t phys =
        mr->space->page(mr->space->self, mr->umem.first + (index << PAGE_SHIFT));
    const dma_addr_t addr = rdma_umem_fault(&mr->umem, index, phys);
    if (addr == DMA_MAPPING_ERROR)
        return; /* The NIC will ask again. */
    d->stats.demand_mapped++;
    put_page(mr, index, addr);
}

/* Maps what the access needs, as far as the region goes. */
static void serve(struct verbs_device *d, uint32_t key, uint64_t address, uint64_t bytes)
{
    struct verbs_mr *mr = find_on_demand(d, key);
    const uint64_t last = address + (bytes == 0 ? 0 : bytes - 1);
    struct cpu *cpu     = cpu_this();
    uint64_t dma = 0, count = 0;
    if (mr != NULL && address >= mr->address && last - mr->address < mr->bytes) {
        const uint64_t first = (address - mr->umem.first) >> PAGE_SHIFT;
        count                = page_count(address, last - address + 1, PAGE_SHIFT);
        lock_take(cpu, &mr->lock);
        for (uint64_t i = 0; i < count; i++)
            fault_page(mr, first + i);
        lock_release(cpu, &mr->lock);
        dma = mr->pages.dma + first * RDMA_MTT_BYTES;
    }
    const uint64_t word[] = { RDMA_CMD_RESUME,       key, address, last, dma,
                              count * RDMA_MTT_BYTES };
    const uint32_t error  = verbs_command(d, word, 6);
    CHECK(error == RDMA_CMD_OK);
}

bool verbs_serve(struct verbs_device *d)
{
    bool any = false;
    while (d->fault_head != d->fault_tail) {
        const uint32_t at = d->fault_head++ % RDMA_FAULTS_MAX;
        serve(d, d->fault[at].key, d->fault[at].address, d->fault[at].bytes);
        any = true;
    }
    return any;
}

/* The NIC is told before a page goes: when the command is over, no access is under way. */
static void drop_pages(struct verbs_mr *mr, uint64_t first, uint64_t count)
{
    struct verbs_device *d = mr->device;
    for (uint64_t i = first; i < first + count; i++)
        verbs_write(&mr->pages, i * RDMA_MTT_BYTES, 0);
    const uint64_t word[] = { RDMA_CMD_FORGET, RDMA_KEY_NONE,
                              mr->pages.dma + first * RDMA_MTT_BYTES,
                              count * RDMA_MTT_BYTES };
    const uint32_t error  = verbs_command(d, word, 4);
    CHECK(error == RDMA_CMD_OK);
    for (uint64_t i = first; i < first + count; i++)
        d->stats.demand_dropped += rdma_umem_drop(&mr->umem, i);
}

void verbs_invalidate_pages(struct verbs_device *d, const struct umem_space *space,
                            uint64_t address, uint64_t bytes)
{
    struct cpu *cpu    = cpu_this();
    const uint64_t end = address + bytes;
    for (struct verbs_mr *mr = d->on_demand; mr != NULL; mr = mr->next) {
        const uint64_t mr_end = mr->umem.first + (mr->umem.pages << PAGE_SHIFT);
        if (mr->space != space || mr->umem.first >= end || mr_end <= address)
            continue;
        const uint64_t from = address > mr->umem.first ? address : mr->umem.first;
        const uint64_t to   = end < mr_end ? end : mr_end;
        lock_take(cpu, &mr->lock);
        drop_pages(mr, (from - mr->umem.first) >> PAGE_SHIFT,
                   page_count(from, to - from, PAGE_SHIFT));
        lock_release(cpu, &mr->lock);
    }
}

static void release_demand(struct verbs_mr *mr)
{
    struct verbs_mr **link = &mr->device->on_demand;
    while (*link != mr)
        link = &(*link)->next;
    *link = mr->next;
    for (uint64_t i = 0; i < mr->umem.pages; i++)
        mr->device->stats.demand_dropped += rdma_umem_drop(&mr->umem, i);
    rdma_umem_release(&mr->umem);
}

void verbs_dereg_mr(struct verbs_mr *mr)
{
    struct verbs_device *d = mr->device;
    cpu_spend(cpu_this(), d->config.region_cycles);
    write_entry(mr, RDMA_MPT_NONE);
    forget(mr);
    if (mr->on_demand)
        release_demand(mr);
    else if (mr->mapped)
        rdma_umem_unmap(&mr->umem, !mr->fast);
    if (!mr->window && !mr->fast)
        d->stats.released++;
    free_mr(mr);
}

/* ---- By work request
 * ------------------------------------------------------------------------ */

struct verbs_mr *verbs_alloc_mr(struct verbs_device *d, uint32_t pd, uint64_t most_pages,
                                int *error)
{
    const bool fits = most_pages > 0 && most_pages <= verbs_region_bytes_max(d) / PAGE_SIZE;
    struct verbs_mr *mr = fits ? new_mr(d, pd) : NULL;
    *error              = fits ? -ENOSPC : -EINVAL;
    if (mr == NULL)
        return NULL;
    mr->fast       = true;
    mr->most_pages = most_pages;
    if (!verbs_memory_alloc(d, &mr->pages, most_pages * RDMA_MTT_BYTES)) {
        *error = -ENOMEM;
        free_mr(mr);
        return NULL;
    }
    write_entry(mr, RDMA_MPT_FREE);
    forget(mr);
    return mr;
}

/* A new variant of the key, so that what the peer knew before opens nothing. */
static void renew_key(struct verbs_mr *mr)
{
    const uint32_t mask = (1u << RDMA_KEY_VARIANT_BITS) - 1;
    mr->key             = (mr->key & ~mask) | ((mr->key + 1) & mask);
}

int verbs_map_fast(struct verbs_mr *mr, const struct umem_space *space, uint64_t address,
                   uint64_t bytes, uint32_t access)
{
    struct verbs_device *d = mr->device;
    CHECK(mr->fast);
    CHECK(!mr->mapped);
    if (!is_region(d, address, bytes)
        || page_count(address, bytes, PAGE_SHIFT) > mr->most_pages)
        return -EIO;
    const int error =
        rdma_umem_map(&mr->umem, d->dev, &d->umem, d->api, space, address, bytes, false);
    if (error != 0)
        return error;
    mr->mapped  = true;
    mr->address = address;
    mr->bytes   = bytes;
    mr->access  = access;
    renew_key(mr);
    rdma_umem_pages(&mr->umem, mr->page_lg2, put_page, mr);
    count_kept(d, &mr->umem);
    d->stats.region++;
    d->stats.region_fast++;
    d->stats.page += mr->umem.pages;
    return 0;
}

void verbs_unmap_fast(struct verbs_mr *mr)
{
    CHECK(mr->mapped);
    rdma_umem_unmap(&mr->umem, false);
    mr->mapped = false;
    mr->device->stats.released++;
}

int verbs_list_fast(struct verbs_mr *mr, const struct blk_range *range, uint32_t ranges,
                    uint32_t access)
{
    struct verbs_device *d = mr->device;
    uint64_t pages = 0, bytes = 0;
    CHECK(mr->fast);
    CHECK(!mr->listed);
    for (uint32_t i = 0; i < ranges; i++) {
        const uint64_t end = range[i].addr + range[i].bytes;
        const bool crooked = (i > 0 && (range[i].addr & ~PAGE_MASK) != 0)
                             || (i + 1 < ranges && (end & ~PAGE_MASK) != 0);
        pages += page_count(range[i].addr, range[i].bytes, PAGE_SHIFT);
        bytes += range[i].bytes;
        if (crooked || pages > mr->most_pages)
            return -EINVAL;
    }
    uint64_t index = 0;
    for (uint32_t i = 0; i < ranges; i++)
        for (uint64_t at = range[i].addr & PAGE_MASK; at < range[i].addr + range[i].bytes;
             at += PAGE_SIZE)
            put_page(mr, index++, at);
    mr->listed  = true;
    mr->address = range[0].addr;
    mr->bytes   = bytes;
    mr->access  = access;
    renew_key(mr);
    d->stats.region++;
    d->stats.region_fast++;
    d->stats.page += pages;
    return 0;
}

void verbs_unlist_fast(struct verbs_mr *mr)
{
    CHECK(mr->listed);
    mr->listed = false;
    mr->device->stats.released++;
}

struct verbs_mr *verbs_alloc_mw(struct verbs_device *d, uint32_t pd)
{
    struct verbs_mr *mr = new_mr(d, pd);
    if (mr == NULL)
        return NULL;
    mr->window = true;
    write_entry(mr, RDMA_MPT_FREE);
    forget(mr);
    return mr;
}
