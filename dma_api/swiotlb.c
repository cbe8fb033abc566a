/* SPDX-License-Identifier: Apache-2.0 */
#include "dma_api/swiotlb.h"

#include "sim/base/lg2.h"

#define POOL_END      (UINT64_C(1) << 51) /* Where the kernel's own pages begin. */
#define SLOT_BYTES    (UINT64_C(1) << SWIOTLB_SLOT_LG2)
#define SEGMENT_BYTES (SWIOTLB_SEGMENT_SLOTS * SLOT_BYTES)
#define NO_SLOT       UINT32_MAX

/* What a buffer stands for; kept at the slot in which its data begins. */
struct bounce {
    phys_addr_t phys, original;
    size_t bytes;
    uint32_t first, slots; /* The run, with slots before the data that only align it. */
};

struct area {
    struct lock lock;
    uint32_t next, used; /* Where to search first, from the area's begin. */
};

struct swiotlb {
    phys_addr_t start;
    uint32_t slots, areas, area_slots;
    uint64_t *taken; /* A bit for each slot. */
    uint32_t *data;  /* Of each slot: where its buffer's data begins. */
    struct bounce *bounce;
    struct area *area;
};

/* ---- Life ---------------------------------------------------------------------------- */

/* As many areas as CPUs, to a power of two, each of a segment at least. */
static uint32_t areas_of(const struct kernel *k, uint32_t slots)
{
    uint32_t areas = 1U << lg2_ceil(k->cpus);
    while (areas * SWIOTLB_SEGMENT_SLOTS > slots)
        areas /= 2;
    return areas;
}

static struct swiotlb *pool_new(struct kernel *k)
{
    struct swiotlb *p = kernel_host_alloc(k, 1, sizeof *p);
    p->slots          = k->config.swiotlb_mib << (20 - SWIOTLB_SLOT_LG2);
    p->start          = POOL_END - (UINT64_C(4096) << 20);
    p->areas          = areas_of(k, p->slots);
    p->area_slots     = p->slots / p->areas / SWIOTLB_SEGMENT_SLOTS * SWIOTLB_SEGMENT_SLOTS;
    p->taken          = kernel_host_alloc(k, p->slots / 64, sizeof *p->taken);
    p->data           = kernel_host_alloc(k, p->slots, sizeof *p->data);
    p->bounce         = kernel_host_alloc(k, p->slots, sizeof *p->bounce);
    p->area           = kernel_host_alloc(k, p->areas, sizeof *p->area);
    return p;
}

void swiotlb_user_add(struct kernel *k)
{
    if (k->swiotlb_users++ == 0 && k->config.swiotlb_mib > 0)
        k->swiotlb = pool_new(k);
}

void swiotlb_user_remove(struct kernel *k)
{
    struct swiotlb *p = k->swiotlb;
    CHECK(k->swiotlb_users > 0);
    if (--k->swiotlb_users > 0 || p == NULL)
        return;
    kernel_host_free(k, p->area);
    kernel_host_free(k, p->bounce);
    kernel_host_free(k, p->data);
    kernel_host_free(k, p->taken);
    kernel_host_free(k, p);
    k->swiotlb = NULL;
}

bool swiotlb_pool(const struct kernel *k, phys_addr_t *start, uint64_t *bytes)
{
    if (k->swiotlb == NULL)
        return false;
    *start = k->swiotlb->start;
    *bytes = (uint64_t)k->swiotlb->slots << SWIOTLB_SLOT_LG2;
    return true;
}

bool swiotlb_holds(const struct kernel *k, phys_addr_t phys)
{
    const struct swiotlb *p = k->swiotlb;
    return p != NULL && phys >= p->start
           && (phys - p->start) >> SWIOTLB_SLOT_LG2 < p->slots;
}

size_t swiotlb_max_mapping_size(struct device *dev)
{
    const uint64_t mask = dev->dma_parms.min_align_mask;
    return (SWIOTLB_SEGMENT_SLOTS << SWIOTLB_SLOT_LG2) - align_up(mask, SWIOTLB_SLOT_LG2);
}

/* ---- Copies -------------------------------------------------------------------------- */

static uint64_t lines_of(phys_addr_t phys, size_t bytes)
{
    return (align_up(phys + bytes, MEM_LINE_LG2) - align_down(phys, MEM_LINE_LG2))
           >> MEM_LINE_LG2;
}

/* Up to the end of a page. Memory that nobody ever wrote need not exist to be copied. */
static void copy_piece(struct memory *m, phys_addr_t to, phys_addr_t from, size_t bytes)
{
    char buffer[PAGE_SIZE];
    struct mem_page *page = memory_page(m, to);
    if (page == NULL && memory_page(m, from) == NULL)
        return;
    memory_read(m, from, buffer, bytes);
    memory_write(m, to, buffer, bytes);
    page = memory_page(m, to);
    for (uint64_t i = 0; i < lines_of(to, bytes); i++)
        page->line[((to >> MEM_LINE_LG2) + i) % MEM_LINES] =
            (struct line){ UINT64_C(1) << cpu_this()->id, LINE_MODIFIED };
}

static uint64_t room_in_page(phys_addr_t phys)
{
    return PAGE_SIZE - (phys & (PAGE_SIZE - 1));
}

static void copy(struct kernel *k, phys_addr_t to, phys_addr_t from, size_t bytes)
{
    struct cpu *cpu            = cpu_this();
    const enum cpu_owner owner = cpu_own(cpu, OWNER_bounce_copy);
    cpu_sync(cpu);
    cpu_spend(cpu, k->cost.bounce_line_cycles * lines_of(from, bytes));
    k->stats.bounce_byte += bytes;
    while (bytes > 0) {
        uint64_t n = room_in_page(to);
        n          = room_in_page(from) < n ? room_in_page(from) : n;
        n          = bytes < n ? bytes : n;
        copy_piece(k->memory, to, from, n);
        to += n;
        from += n;
        bytes -= n;
    }
    cpu_own(cpu, owner);
}

void swiotlb_clear(struct kernel *k, phys_addr_t phys, size_t size)
{
    static const char zeroes[PAGE_SIZE];
    struct cpu *cpu            = cpu_this();
    const enum cpu_owner owner = cpu_own(cpu, OWNER_bounce_copy);
    cpu_sync(cpu);
    cpu_spend(cpu, k->cost.page_zero_cycles * lines_of(phys, size) / MEM_LINES);
    while (size > 0) {
        const uint64_t n = room_in_page(phys) < size ? room_in_page(phys) : size;
        if (memory_page(k->memory, phys) != NULL)
            memory_write(k->memory, phys, zeroes, n);
        phys += n;
        size -= n;
    }
    cpu_own(cpu, owner);
}

/* The buffer around an address that the pool holds. */
static struct bounce *buffer_at(const struct swiotlb *p, phys_addr_t phys)
{
    const uint64_t slot = (phys - p->start) >> SWIOTLB_SLOT_LG2;
    CHECK(p->taken[slot / 64] >> slot % 64 & 1);
    return &p->bounce[p->data[slot]];
}

/* Where the original of the bytes at phys lies. Never beyond what was mapped. */
static bool original_of(struct kernel *k, phys_addr_t phys, size_t *size,
                        phys_addr_t *original)
{
    const struct bounce *b = buffer_at(k->swiotlb, phys);
    if (*size == 0)
        return false;
    if (phys < b->phys || phys - b->phys >= b->bytes) {
        kernel_warn_once(k, "swiotlb: access outside of the mapping");
        return false;
    }
    const uint64_t at = phys - b->phys;
    if (*size > b->bytes - at) {
        kernel_warn_once(k, "swiotlb: access beyond the end of the mapping");
        *size = b->bytes - at;
    }
    *original = b->original + at;
    return true;
}

void swiotlb_sync_for_cpu(struct device *dev, phys_addr_t phys, size_t size,
                          enum dma_data_direction dir)
{
    phys_addr_t original;
    if (dir != DMA_TO_DEVICE && swiotlb_holds(dev->kernel, phys)
        && original_of(dev->kernel, phys, &size, &original))
        copy(dev->kernel, original, phys, size);
}

void swiotlb_sync_for_device(struct device *dev, phys_addr_t phys, size_t size,
                             enum dma_data_direction dir)
{
    phys_addr_t original;
    if (dir != DMA_FROM_DEVICE && swiotlb_holds(dev->kernel, phys)
        && original_of(dev->kernel, phys, &size, &original))
        copy(dev->kernel, phys, original, size);
}

/* ---- Slots --------------------------------------------------------------------------- */

/* What is searched for. */
struct wanted {
    uint32_t slots, stride;
    uint64_t align;    /* Address bits that are 0 where the run begins. */
    uint64_t same;     /* Address bits that are the original's. */
    uint64_t boundary; /* Bytes - 1 of the blocks that the run must not cross. */
    phys_addr_t original;
};

static struct wanted want(struct device *dev, phys_addr_t original, uint64_t bytes,
                          uint64_t align_mask)
{
    const uint64_t min_align = dev->dma_parms.min_align_mask;
    struct wanted w          = { .original = original };
    if (align_mask == 0 && min_align == 0 && bytes >= PAGE_SIZE)
        align_mask = PAGE_SIZE - 1;
    w.align               = align_mask | (SLOT_BYTES - 1);
    w.same                = min_align & ~w.align;
    w.boundary            = dma_get_seg_boundary(dev) | (SLOT_BYTES - 1);
    w.slots               = bytes > SEGMENT_BYTES
                                ? SWIOTLB_SEGMENT_SLOTS + 1 /* No area has so many in a row. */
                                : (uint32_t)((bytes + SLOT_BYTES - 1) >> SWIOTLB_SLOT_LG2);
    const uint64_t widest = w.align > w.same ? w.align : w.same;
    w.stride              = (uint32_t)((widest >> SWIOTLB_SLOT_LG2) + 1);
    return w;
}

static bool aligned(const struct wanted *w, phys_addr_t at)
{
    return (at & w->align) == 0 && ((at ^ w->original) & w->same) == 0;
}

static bool is_free(const struct swiotlb *p, const struct wanted *w, uint32_t slot)
{
    const phys_addr_t at = p->start + ((uint64_t)slot << SWIOTLB_SLOT_LG2);
    const uint64_t bytes = (uint64_t)w->slots << SWIOTLB_SLOT_LG2;
    if (slot % SWIOTLB_SEGMENT_SLOTS + w->slots > SWIOTLB_SEGMENT_SLOTS)
        return false;
    if ((at & w->boundary) + bytes - 1 > w->boundary)
        return false;
    for (uint32_t i = slot; i < slot + w->slots; i++)
        if (p->taken[i / 64] >> i % 64 & 1)
            return false;
    return true;
}

/* The first slot of a free run of the area, or NO_SLOT. */
static uint32_t search(const struct swiotlb *p, uint32_t area, const struct wanted *w)
{
    uint32_t at = p->area[area].next;
    if (w->slots > p->area_slots - p->area[area].used)
        return NO_SLOT;
    for (uint32_t seen = 0, step; seen < p->area_slots; seen += step) {
        const uint32_t slot = area * p->area_slots + at;
        const bool fits     = aligned(w, p->start + ((uint64_t)slot << SWIOTLB_SLOT_LG2));
        if (fits && is_free(p, w, slot))
            return slot;
        step = fits ? w->stride : 1;
        at   = at + step < p->area_slots ? at + step : 0;
    }
    return NO_SLOT;
}

static void mark(struct kernel *k, uint32_t first, uint32_t slots, bool taken)
{
    struct swiotlb *p = k->swiotlb;
    struct area *area = &p->area[first / p->area_slots];
    for (uint32_t i = first; i < first + slots; i++) {
        CHECK((p->taken[i / 64] >> i % 64 & 1) != taken);
        p->taken[i / 64] ^= UINT64_C(1) << i % 64;
    }
    if (taken) {
        area->used += slots;
        k->bounce_slots_out += slots;
        area->next = first % p->area_slots + slots;
        if (area->next >= p->area_slots)
            area->next = 0;
    } else {
        CHECK(area->used >= slots);
        area->used -= slots;
        k->bounce_slots_out -= slots;
    }
}

static uint32_t take_slots(struct kernel *k, const struct wanted *w)
{
    struct cpu *cpu   = cpu_this();
    struct swiotlb *p = k->swiotlb;
    if (kernel_no_memory(k, "bounce buffer"))
        return NO_SLOT;
    for (uint32_t i = 0; i < p->areas; i++) {
        const uint32_t area = (cpu->id + i) % p->areas;
        lock_take(cpu, &p->area[area].lock);
        cpu_spend(cpu, k->cost.bounce_slot_cycles);
        const uint32_t slot = search(p, area, w);
        if (slot != NO_SLOT)
            mark(k, slot, w->slots, true);
        lock_release(cpu, &p->area[area].lock);
        if (slot != NO_SLOT)
            return slot;
    }
    return NO_SLOT;
}

static void give_back(struct kernel *k, const struct bounce *b)
{
    struct cpu *cpu            = cpu_this();
    const enum cpu_owner owner = cpu_own(cpu, OWNER_bounce_copy);
    struct area *area          = &k->swiotlb->area[b->first / k->swiotlb->area_slots];
    lock_take(cpu, &area->lock);
    cpu_spend(cpu, k->cost.bounce_slot_cycles);
    mark(k, b->first, b->slots, false);
    lock_release(cpu, &area->lock);
    cpu_own(cpu, owner);
}

/* ---- Buffers ------------------------------------------------------------------------- */

/* Writes down what the run from slot first on stands for; returns its data's address. */
static phys_addr_t describe(struct swiotlb *p, uint32_t first, const struct wanted *w,
                            uint64_t offset, size_t size)
{
    const uint32_t data = first + (uint32_t)(offset >> SWIOTLB_SLOT_LG2);
    for (uint32_t i = 0; i < w->slots; i++)
        p->data[first + i] = data;
    p->bounce[data] =
        (struct bounce){ .phys = p->start + ((uint64_t)first << SWIOTLB_SLOT_LG2) + offset,
                         .original = w->original,
                         .bytes    = size,
                         .first    = first,
                         .slots    = w->slots };
    return p->bounce[data].phys;
}

phys_addr_t swiotlb_map(struct device *dev, phys_addr_t original, size_t size,
                        uint64_t align_mask, unsigned long attrs)
{
    struct kernel *k = dev->kernel;
    struct cpu *cpu  = cpu_this();
    const uint64_t offset =
        original & dev->dma_parms.min_align_mask & (align_mask | (SLOT_BYTES - 1));
    const uint64_t bytes       = (size + offset + align_mask) & ~align_mask;
    const struct wanted w      = want(dev, original, bytes, align_mask);
    const enum cpu_owner owner = cpu_own(cpu, OWNER_bounce_copy);
    const uint32_t first       = take_slots(k, &w);
    cpu_own(cpu, owner);
    if (first == NO_SLOT) {
        k->stats.bounce_full++;
        if (!(attrs & DMA_ATTR_NO_WARN))
            kernel_warn(k, "swiotlb: no bounce buffer is free");
        return DMA_MAPPING_ERROR;
    }
    k->stats.bounce++;
    dev->bounced           = true;
    const phys_addr_t phys = describe(k->swiotlb, first, &w, offset, size);
    copy(k, phys, original, size);
    return phys;
}

void swiotlb_unmap(struct device *dev, phys_addr_t phys, size_t size,
                   enum dma_data_direction dir, unsigned long attrs)
{
    if (!swiotlb_holds(dev->kernel, phys))
        return;
    if (!(attrs & DMA_ATTR_SKIP_CPU_SYNC))
        swiotlb_sync_for_cpu(dev, phys, size, dir);
    give_back(dev->kernel, buffer_at(dev->kernel->swiotlb, phys));
}
