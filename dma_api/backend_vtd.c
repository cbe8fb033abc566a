/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backend_vtd - the driver of a VT-d unit: bring-up, contexts, invalidation. Scalable mode
 * is used where the unit has it, and there first-stage tables; device TLBs are invalidated
 * together with the IOTLB, in one submission.
 *
 * Follows drivers/iommu/intel (iommu.c, cache.c, dmar.c) of Linux 6.12 to 7.3. One
 * submission to the queue is n descriptors and a wait of its own, one tail write, and a
 * poll of the wait's status slot under the queue's lock, dropped in each turn, with
 * interrupts off throughout.
 *
 * A device TLB that does not answer (ITE) aborts every submission that is under way: each
 * is made again, but not that of a device which is gone.
 *
 * Inaccuracies: completion errors (ICE) are only cleared. In scalable mode a device has its
 * requests without PASID only, as PASID 0.
 */
#include "dma_api/domain.h"
#include "iommu_model/vtd_spec.h"

enum {
    QUEUE_ENTRIES    = 256,
    QUEUE_BATCH      = 16, /* QI_MAX_BATCHED_DESC_COUNT */
    FIRST_DOMAIN     = 2,  /* 0 and 1 are reserved. */
    DOMAIN_IDS       = 1 << 16,
    ORDER_EVERYTHING = 52,
    IDENTITY_DOMAIN  = 1,
    HANDSHAKE_TURNS  = 1000000,
    CONTEXT_TABLES   = 512,
    PASID_NONE       = 0, /* What requests without a PASID count as. */
    DEVICE_DEPTH     = 0, /* Stands for 32 pending invalidations of a device. */
};

enum slot_status { SLOT_FREE, SLOT_IN_USE, SLOT_DONE, SLOT_ABORT };

struct vtd_driver {
    struct kernel *kernel;
    struct mmio_window *registers;
    uint64_t cap, ecap;
    bool scalable;                     /* Scalable-mode tables, descriptors of 32 bytes. */
    unsigned entry_lg2;                /* Of a descriptor. */
    uint32_t command;                  /* What GCMD holds on. */
    phys_addr_t root, queue, statuses; /* statuses: a 4-byte slot for each descriptor. */
    phys_addr_t context[CONTEXT_TABLES]; /* By bus; scalable: two of each. */
    struct device *devices;              /* That are attached. */
    struct lock lock;                    /* Of the queue. */
    struct lock register_lock;           /* Of GCMD. */
    uint32_t head, tail, room;
    uint8_t domain_used[DOMAIN_IDS / 8];
};

/* ---- The queue
 * ------------------------------------------------------------------------------ */

static phys_addr_t status_slot(const struct vtd_driver *v, uint32_t index)
{
    return v->statuses + 4 * (index % QUEUE_ENTRIES);
}

static phys_addr_t queue_slot(const struct vtd_driver *v, uint32_t index)
{
    return v->queue + ((phys_addr_t)(index % QUEUE_ENTRIES) << v->entry_lg2);
}

static void set_status(struct vtd_driver *v, uint32_t index, enum slot_status status)
{
    cpu_write32(cpu_this(), status_slot(v, index), status);
}

static void write_descriptor(struct vtd_driver *v, uint32_t index, struct vtd_descriptor d)
{
    struct cpu *cpu        = cpu_this();
    const phys_addr_t slot = queue_slot(v, index);
    cpu_spend(cpu, v->kernel->cost.queue_slot_cycles);
    cpu_write64(cpu, slot, d.low);
    cpu_write64(cpu, slot + 8, d.high);
}

/* The lock is held, and interrupts stay off while it is let go for a moment. */
static void let_others_in(struct vtd_driver *v)
{
    struct cpu *cpu = cpu_this();
    lock_release(cpu, &v->lock);
    cpu_relax(cpu);
    lock_take_as(cpu, &v->lock, OWNER_inval_lock);
}

static void wait_for_room(struct vtd_driver *v, uint32_t entries)
{
    const enum cpu_owner owner = cpu_own(cpu_this(), OWNER_inval_slot);
    while (v->room < entries) {
        v->kernel->stats.queue_full_turn++;
        let_others_in(v);
    }
    cpu_own(cpu_this(), owner);
}

static bool is_aborted(struct vtd_driver *v, uint32_t wait)
{
    return cpu_read32(cpu_this(), status_slot(v, wait)) == SLOT_ABORT;
}

/* Whether the device whose TLB has not answered has been unplugged. */
static bool is_gone(const struct vtd_driver *v, unsigned requester)
{
    for (const struct device *dev = v->devices; dev != NULL; dev = dev->next_attached)
        if (dev->requester == requester)
            return dev->gone;
    return true;
}

/*
 * The queue has stopped at a device TLB that does not answer, and what waited has been
 * dropped by the hardware: from the descriptor before the head back to the tail, every
 * submission in use is told, and the queue goes on. True: it will never answer.
 */
static bool abort_all(struct vtd_driver *v)
{
    struct cpu *cpu     = cpu_this();
    const uint64_t head = mmio_read64(v->registers, VTD_IQH) >> v->entry_lg2;
    const uint64_t tail = mmio_read64(v->registers, VTD_IQT) >> v->entry_lg2;
    const uint64_t who  = mmio_read64(v->registers, VTD_IQERCD);
    mmio_write32(v->registers, VTD_FSTS, VTD_FSTS_ITE);
    const uint64_t behind = (tail + QUEUE_ENTRIES - head) % QUEUE_ENTRIES;
    for (uint64_t i = 1; i <= QUEUE_ENTRIES - behind; i++) {
        const uint32_t at = (uint32_t)(head + QUEUE_ENTRIES - i) % QUEUE_ENTRIES;
        if (cpu_read32(cpu, status_slot(v, at)) == SLOT_IN_USE)
            set_status(v, at, SLOT_ABORT);
    }
    return is_gone(v, (unsigned)bits_get(who, 47, 32));
}

/*
 * Each turn of the wait asks the fault status register. An illegal descriptor of ours at
 * the head stops the queue: a copy of our wait takes its place, so that the queue goes on.
 */
static int check_fault(struct vtd_driver *v, uint32_t first, uint32_t wait)
{
    const uint32_t fault = mmio_read32(v->registers, VTD_FSTS);
    if (fault & VTD_FSTS_IQE) {
        const uint64_t head = mmio_read64(v->registers, VTD_IQH) >> v->entry_lg2;
        if (head == first % QUEUE_ENTRIES) {
            const phys_addr_t bad  = queue_slot(v, (uint32_t)head);
            const phys_addr_t good = queue_slot(v, wait);
            struct cpu *cpu        = cpu_this();
            cpu_write64(cpu, bad, cpu_read64(cpu, good));
            cpu_write64(cpu, bad + 8, cpu_read64(cpu, good + 8));
            mmio_write32(v->registers, VTD_FSTS, VTD_FSTS_IQE);
            return -EINVAL;
        }
    }
    if (fault & VTD_FSTS_ITE) {
        const bool gone = abort_all(v);
        if (gone)
            return -ETIMEDOUT;
        if (is_aborted(v, wait))
            return -EAGAIN;
    }
    if (fault & VTD_FSTS_ICE)
        mmio_write32(v->registers, VTD_FSTS, VTD_FSTS_ICE);
    return 0;
}

static int poll(struct vtd_driver *v, uint32_t first, uint32_t wait)
{
    struct cpu *cpu            = cpu_this();
    const enum cpu_owner owner = cpu_own(cpu, OWNER_inval_wait);
    int error                  = 0;
    while (error == 0) {
        const uint32_t status = cpu_read32(cpu, status_slot(v, wait));
        if (status == SLOT_DONE)
            break;
        v->kernel->stats.poll_turn++;
        cpu_spend(cpu, v->kernel->cost.poll_cycles);
        /* Another CPU may have seen the time-out first. */
        error = status == SLOT_ABORT ? -EAGAIN : check_fault(v, first, wait);
        if (error == 0)
            let_others_in(v);
    }
    cpu_own(cpu, owner);
    return error;
}

static void reclaim(struct vtd_driver *v)
{
    struct cpu *cpu = cpu_this();
    while (v->tail != v->head && cpu_read32(cpu, status_slot(v, v->tail)) == SLOT_FREE) {
        v->tail = (v->tail + 1) % QUEUE_ENTRIES;
        v->room++;
    }
}

/* Writes descriptors and a wait and rings; returns the first one's place. The lock is held.
 */
static uint32_t enqueue(struct vtd_driver *v, const struct vtd_descriptor *d,
                        uint32_t count)
{
    wait_for_room(v, count + 2);
    const uint32_t first = v->head, wait = first + count;
    for (uint32_t i = 0; i < count; i++) {
        write_descriptor(v, first + i, d[i]);
        set_status(v, first + i, SLOT_IN_USE);
    }
    write_descriptor(v, wait, vtd_inv_wait(status_slot(v, wait), SLOT_DONE));
    set_status(v, wait, SLOT_IN_USE);
    v->head = (wait + 1) % QUEUE_ENTRIES;
    v->room -= count + 1;
    v->kernel->stats.submission++;
    mmio_write32(v->registers, VTD_IQT, v->head << v->entry_lg2);
    return first;
}

/* Gives the places of count descriptors and their wait back. The lock is held. */
static void dequeue(struct vtd_driver *v, uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i <= count; i++)
        set_status(v, first + i, SLOT_FREE);
    reclaim(v);
}

static int submit_once(struct vtd_driver *v, const struct vtd_descriptor *d, uint32_t count)
{
    struct cpu *cpu = cpu_this();
    lock_take_as(cpu, &v->lock, OWNER_inval_lock);
    cpu_irq_disable(cpu); /* Until the end, whatever happens to the lock. */
    const uint32_t first = enqueue(v, d, count);
    const int error      = poll(v, first, first + count);
    dequeue(v, first, count);
    lock_release(cpu, &v->lock);
    cpu_irq_enable(cpu);
    return error;
}

static int submit(struct vtd_driver *v, const struct vtd_descriptor *d, uint32_t count)
{
    struct cpu *cpu            = cpu_this();
    const enum cpu_owner owner = cpu_own(cpu, OWNER_inval_submit);
    int error                  = -EAGAIN;
    for (uint32_t i = 0; error == -EAGAIN && i < v->kernel->config.inval_attempts; i++)
        error = submit_once(v, d, count);
    if (error == -EAGAIN)
        kernel_panic(v->kernel,
                     "a device TLB has not answered in time whenever an invalidation was "
                     "made, %u times (linux.inval_attempts); Linux would go on for ever",
                     v->kernel->config.inval_attempts);
    cpu_own(cpu, owner);
    return error;
}

static void count(struct kernel *k, struct vtd_descriptor d)
{
    k->stats.descriptor++;
    if (vtd_inv_type(d) == VTD_INV_CONTEXT || vtd_inv_type(d) == VTD_INV_PASID_CACHE)
        k->stats.descriptor_context++;
    else if (vtd_inv_type(d) == VTD_INV_DEVTLB)
        k->stats.descriptor_device++;
    else if (vtd_inv_granularity(d) == VTD_PAGE)
        k->stats.descriptor_page++;
    else if (vtd_inv_granularity(d) == VTD_DOMAIN)
        k->stats.descriptor_domain++;
    else
        k->stats.descriptor_global++;
}

static void submit_all(struct vtd_driver *v, const struct vtd_descriptor *d, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        count(v->kernel, d[i]);
    const int error = submit(v, d, n);
    if (error == -ETIMEDOUT)
        kernel_warn(v->kernel, "invalidation queue: a device that is gone");
    else if (error != 0)
        kernel_warn(v->kernel, "invalidation queue: descriptor refused");
}

static void submit_one(struct vtd_driver *v, struct vtd_descriptor d)
{
    submit_all(v, &d, 1);
}

/* ---- Bring-up
 * ------------------------------------------------------------------------------- */

/* Sets or clears bits of GCMD and waits until GSTS shows it; a flush of the write buffers
 * is over when its bit there is clear. */
static bool command(struct vtd_driver *v, uint32_t bits, uint32_t one_shot)
{
    const uint32_t want = bits | (one_shot & VTD_G_RTP);
    const uint32_t ask  = want | VTD_G_TE | VTD_G_QI | VTD_G_WBF;
    mmio_write32(v->registers, VTD_GCMD, bits | one_shot);
    v->command = bits;
    for (unsigned turn = 0; turn < HANDSHAKE_TURNS; turn++) {
        if ((mmio_read32(v->registers, VTD_GSTS) & ask) == want)
            return true;
        cpu_relax(cpu_this());
    }
    return false;
}

static bool has_what_it_takes(const struct vtd_driver *v, struct error *error)
{
    if (!(v->ecap & VTD_ECAP_QI))
        return error_set(error, "vtd: expected an IOMMU with queued invalidation");
    if (vtd_cap_sagaw(v->cap) == 0)
        return error_set(error, "vtd: expected an IOMMU with tables of 3, 4 or 5 levels");
    return true;
}

static bool bring_up(struct vtd_driver *v, struct error *error)
{
    mmio_write64(v->registers, VTD_RTADDR,
                 v->root | (v->scalable ? VTD_RTADDR_SCALABLE : 0));
    if (!command(v, v->command, VTD_G_RTP))
        return error_set(error, "vtd: the root table pointer was not taken");
    mmio_write32(v->registers, VTD_IQT, 0);
    mmio_write64(v->registers, VTD_IQA,
                 v->scalable ? vtd_iqa(v->queue, 1) | VTD_IQA_DW : vtd_iqa(v->queue, 0));
    if (!command(v, v->command | VTD_G_QI, 0))
        return error_set(error, "vtd: the invalidation queue was not switched on");
    submit_one(v, vtd_inv_context(VTD_GLOBAL, 0, 0));
    submit_one(v, vtd_inv_iotlb(VTD_GLOBAL, 0, 0, 0, false));
    if (!command(v, v->command | VTD_G_TE, 0))
        return error_set(error, "vtd: translation was not switched on");
    return true;
}

static void give_back(struct vtd_driver *v)
{
    for (unsigned i = 0; i < CONTEXT_TABLES; i++)
        if (v->context[i] != 0)
            kernel_pages_put(v->kernel, v->context[i], 0);
    if (v->statuses != 0)
        kernel_pages_put(v->kernel, v->statuses, 0);
    if (v->queue != 0)
        kernel_pages_put(v->kernel, v->queue, v->scalable);
    if (v->root != 0)
        kernel_pages_put(v->kernel, v->root, 0);
    kernel_host_free(v->kernel, v);
}

static void *vtd_probe(struct kernel *k, struct mmio_window *registers, struct error *error)
{
    struct vtd_driver *v = kernel_host_alloc(k, 1, sizeof *v);
    v->kernel            = k;
    v->registers         = registers;
    v->cap               = mmio_read64(registers, VTD_CAP);
    v->ecap              = mmio_read64(registers, VTD_ECAP);
    v->scalable          = (v->ecap & VTD_ECAP_SMTS) != 0;
    v->entry_lg2         = v->scalable ? 5 : VTD_IQ_ENTRY_LG2;
    v->room              = QUEUE_ENTRIES;
    v->root              = kernel_pages_get_zeroed(k, 0);
    v->queue             = kernel_pages_get_zeroed(k, v->scalable);
    v->statuses          = kernel_pages_get_zeroed(k, 0);
    if (v->root == 0 || v->queue == 0 || v->statuses == 0)
        error_set(error, "vtd: there is no memory for the root table and the queue");
    else if (has_what_it_takes(v, error) && bring_up(v, error))
        return v;
    give_back(v);
    return NULL;
}

static void vtd_remove(void *state)
{
    struct vtd_driver *v = state;
    command(v, v->command & ~VTD_G_TE, 0);
    command(v, v->command & ~VTD_G_QI, 0);
    give_back(v);
}

/* ---- Domains and contexts
 * --------------------------------------------------------------------- */

static bool page_selective(const struct vtd_driver *v)
{
    return v->cap & VTD_CAP_PSI;
}

static bool caching_mode(const struct vtd_driver *v)
{
    return v->cap & VTD_CAP_CM;
}

static bool has_device_tlb(const struct vtd_driver *v, const struct device *dev)
{
    return dev->ats && v->ecap & VTD_ECAP_DT;
}

/* Scalable mode has a first stage in most units, and Linux prefers it. */
static bool first_stage(const struct vtd_driver *v)
{
    return v->scalable && v->ecap & VTD_ECAP_FLTS;
}

static void vtd_tables(void *state, const struct pt_format **format, unsigned *levels,
                       uint64_t *leaf_sizes)
{
    const struct vtd_driver *v = state;
    const unsigned sllps       = vtd_cap_sllps(v->cap);
    if (first_stage(v)) {
        *format     = ptfmt_find("x86");
        *levels     = 4;
        *leaf_sizes = UINT64_C(1) << 12 | UINT64_C(1) << 21
                      | (v->cap & VTD_CAP_FL1GP ? UINT64_C(1) << 30 : 0);
        return;
    }
    *format     = ptfmt_find("vtdss");
    *levels     = 2 + lg2_floor(vtd_cap_sagaw(v->cap)); /* Bit 1: 3 levels. */
    *leaf_sizes = UINT64_C(1) << 12 | (sllps & 1 ? UINT64_C(1) << 21 : 0)
                  | (sllps & 2 ? UINT64_C(1) << 30 : 0);
}

static bool vtd_domain_init(void *state, struct dma_domain *d)
{
    struct vtd_driver *v = state;
    for (uint32_t id = FIRST_DOMAIN; id < DOMAIN_IDS; id++)
        if (!(v->domain_used[id / 8] >> id % 8 & 1)) {
            v->domain_used[id / 8] = (uint8_t)(v->domain_used[id / 8] | 1u << id % 8);
            d->id                  = id;
            return true;
        }
    return false;
}

/* Everything that is cached of a domain. */
static struct vtd_descriptor whole_domain(const struct vtd_driver *v, unsigned domain)
{
    return first_stage(v) && domain != IDENTITY_DOMAIN
               ? vtd_inv_pasid_iotlb(VTD_DOMAIN, domain, PASID_NONE, 0, 0, false)
               : vtd_inv_iotlb(VTD_DOMAIN, domain, 0, 0, false);
}

static void vtd_domain_exit(void *state, struct dma_domain *d)
{
    struct vtd_driver *v = state;
    submit_one(v, whole_domain(v, d->id));
    v->domain_used[d->id / 8] = (uint8_t)(v->domain_used[d->id / 8] & ~(1u << d->id % 8));
}

/* In scalable mode a bus has two tables, each for half of its functions. */
static phys_addr_t context_entry(struct vtd_driver *v, unsigned requester)
{
    const unsigned bus = requester >> 8, function = requester & 0xff;
    const unsigned half  = v->scalable && function >= 128;
    phys_addr_t *table   = &v->context[2 * bus + half];
    const unsigned index = v->scalable ? function % 128 : function;
    if (*table == 0) {
        *table = kernel_pages_get_zeroed(v->kernel, 0);
        if (*table == 0)
            return 0;
        cpu_write64(cpu_this(), v->root + VTD_ROOT_BYTES * bus + 8 * half,
                    *table | VTD_PRESENT);
    }
    return *table + (v->scalable ? VTD_SM_CONTEXT_BYTES : VTD_CONTEXT_BYTES) * index;
}

/* An entry that was absent may be cached only in caching mode. */
static void tell_attached(struct vtd_driver *v, const struct device *dev, unsigned domain)
{
    if (!caching_mode(v))
        return;
    submit_one(v, vtd_inv_context(VTD_DEVICE, 0, dev->requester));
    if (v->scalable)
        submit_one(v, vtd_inv_pasid_cache(domain, PASID_NONE));
    submit_one(v, whole_domain(v, domain));
}

static bool set_context(struct vtd_driver *v, struct device *dev, uint64_t low,
                        uint64_t high, unsigned domain)
{
    struct cpu *cpu         = cpu_this();
    const phys_addr_t entry = context_entry(v, dev->requester);
    if (entry == 0)
        return false;
    cpu_write64(cpu, entry + 8, high);
    cpu_write64(cpu, entry, low | VTD_PRESENT);
    tell_attached(v, dev, domain);
    return true;
}

/* A directory of one table, whose first entry is the device's only one. */
static bool set_pasid(struct vtd_driver *v, struct device *dev, uint64_t low,
                      uint64_t first, unsigned domain)
{
    const uint64_t dte      = has_device_tlb(v, dev) ? VTD_SM_DTE : 0;
    struct cpu *cpu         = cpu_this();
    const phys_addr_t entry = context_entry(v, dev->requester);
    const phys_addr_t dir   = entry == 0 ? 0 : kernel_pages_get_zeroed(v->kernel, 0);
    const phys_addr_t table = dir == 0 ? 0 : kernel_pages_get_zeroed(v->kernel, 0);
    if (table == 0) {
        if (dir != 0)
            kernel_pages_put(v->kernel, dir, 0);
        return false;
    }
    cpu_write64(cpu, table + 16, first);
    cpu_write64(cpu, table + 8, domain);
    cpu_write64(cpu, table, low);
    cpu_write64(cpu, dir, table | VTD_PRESENT);
    cpu_write64(cpu, entry + 8, PASID_NONE);
    cpu_write64(cpu, entry, dir | dte | VTD_PRESENT);
    tell_attached(v, dev, domain);
    return true;
}

/* Who is asked when a device TLB does not answer. */
static bool attached(struct vtd_driver *v, struct device *dev, bool good)
{
    if (good) {
        dev->next_attached = v->devices;
        v->devices         = dev;
    }
    return good;
}

static void detached(struct vtd_driver *v, const struct device *dev)
{
    struct device **link = &v->devices;
    while (*link != NULL && *link != dev)
        link = &(*link)->next_attached;
    if (*link != NULL)
        *link = dev->next_attached;
}

static bool let_in(struct vtd_driver *v, struct dma_domain *d, struct device *dev)
{
    const unsigned aw = d->table.levels - 2;
    const bool ats    = has_device_tlb(v, dev);
    if (first_stage(v))
        return set_pasid(v, dev, vtd_pasid_low(0, VTD_PGTT_FIRST, 0),
                         vtd_pasid_first(d->table.levels, d->table.root), d->id);
    if (v->scalable)
        return set_pasid(v, dev, vtd_pasid_low(aw, VTD_PGTT_SECOND, d->table.root), 0,
                         d->id);
    return set_context(
        v, dev,
        d->table.root
            | VTD_CONTEXT_TT((uint64_t)(ats ? VTD_TT_DEVICE_TLB : VTD_TT_UNTRANSLATED)),
        vtd_context_high(aw, d->id), d->id);
}

static bool vtd_attach(void *state, struct dma_domain *d, struct device *dev)
{
    return attached(state, dev, let_in(state, d, dev));
}

static bool let_through(struct vtd_driver *v, struct device *dev)
{
    const unsigned aw = lg2_floor(vtd_cap_sagaw(v->cap));
    if (v->scalable)
        return set_pasid(v, dev, vtd_pasid_low(aw, VTD_PGTT_PASS_THROUGH, 0), 0,
                         IDENTITY_DOMAIN);
    return set_context(v, dev, VTD_CONTEXT_TT((uint64_t)VTD_TT_PASS_THROUGH),
                       vtd_context_high(aw, IDENTITY_DOMAIN), IDENTITY_DOMAIN);
}

static bool vtd_attach_identity(void *state, struct device *dev)
{
    return attached(state, dev, let_through(state, dev));
}

/* The entry is gone and nothing caches it: the tables behind it are free. */
static void free_pasid(struct vtd_driver *v, uint64_t context)
{
    const phys_addr_t dir   = context & VTD_TABLE_MASK;
    const phys_addr_t table = cpu_read64(cpu_this(), dir) & VTD_TABLE_MASK;
    kernel_pages_put(v->kernel, table, 0);
    kernel_pages_put(v->kernel, dir, 0);
}

static void vtd_detach(void *state, struct dma_domain *d, struct device *dev)
{
    struct vtd_driver *v    = state;
    struct cpu *cpu         = cpu_this();
    const unsigned domain   = d == NULL ? IDENTITY_DOMAIN : d->id;
    const phys_addr_t entry = context_entry(v, dev->requester);
    const uint64_t context  = cpu_read64(cpu, entry);
    cpu_write64(cpu, entry, 0);
    cpu_write64(cpu, entry + 8, 0);
    submit_one(v, vtd_inv_context(VTD_DEVICE, 0, dev->requester));
    if (v->scalable)
        submit_one(v, vtd_inv_pasid_cache(domain, PASID_NONE));
    submit_one(v, whole_domain(v, domain));
    if (d != NULL && has_device_tlb(v, dev))
        submit_one(v, vtd_inv_devtlb(dev->requester, DEVICE_DEPTH, 0, ORDER_EVERYTHING));
    detached(v, dev);
    if (v->scalable)
        free_pasid(v, context);
}

/* ---- Flushes
 * ---------------------------------------------------------------------------------- */

/* The smallest naturally aligned power of two of pages that holds both ends. */
static unsigned covering_order(uint64_t first, uint64_t last)
{
    if (first == 0 && last == UINT64_MAX)
        return ORDER_EVERYTHING;
    const uint64_t differ = (first ^ last) >> PAGE_SHIFT;
    return differ == 0 ? 0 : lg2_floor(differ) + 1;
}

static struct vtd_descriptor choose(const struct vtd_driver *v, unsigned domain,
                                    uint64_t first, unsigned order, bool leaf_only)
{
    const uint64_t addr =
        order == ORDER_EVERYTHING ? 0 : align_down(first, PAGE_SHIFT + order);
    if (first_stage(v) && order < ORDER_EVERYTHING)
        return vtd_inv_pasid_iotlb(VTD_PAGE, domain, PASID_NONE, addr, order, leaf_only);
    if (first_stage(v) || !page_selective(v) || order > vtd_cap_mamv(v->cap))
        return whole_domain(v, domain);
    return vtd_inv_iotlb(VTD_PAGE, domain, addr, order, leaf_only);
}

/* The IOTLB, then each device that keeps translations: one wait for all that fit a batch.
 */
static void flush(struct vtd_driver *v, struct dma_domain *d, uint64_t first, uint64_t last,
                  bool leaf_only, bool devices)
{
    struct cpu *cpu      = cpu_this();
    const unsigned order = covering_order(first, last);
    struct vtd_descriptor batch[QUEUE_BATCH];
    uint32_t n = 0;
    lock_take_as(cpu, &d->tag_lock, OWNER_inval_lock);
    cpu_spend(cpu, v->kernel->cost.flush_range_cycles);
    batch[n++] = choose(v, d->id, first, order, leaf_only);
    for (unsigned i = 0; devices && i < d->devices; i++) {
        if (!has_device_tlb(v, d->device[i]))
            continue;
        if (n == QUEUE_BATCH) {
            submit_all(v, batch, n);
            n = 0;
        }
        batch[n++] = vtd_inv_devtlb(
            d->device[i]->requester, DEVICE_DEPTH,
            order == ORDER_EVERYTHING ? 0 : align_down(first, PAGE_SHIFT + order), order);
    }
    submit_all(v, batch, n);
    lock_release(cpu, &d->tag_lock);
}

static void vtd_flush_range(void *state, struct dma_domain *d, uint64_t first,
                            uint64_t last, bool tables, unsigned leaf_lg2)
{
    (void)leaf_lg2;
    flush(state, d, first, last, !tables, true);
}

static void vtd_flush_all(void *state, struct dma_domain *d)
{
    flush(state, d, 0, UINT64_MAX, false, true);
}

/* ---- At the policy's grain ----------------------------------------------------------- */

/* Descriptors on their way into the queue: one wait for as many as fit a batch. */
struct vtd_batch {
    struct vtd_driver *driver;
    struct vtd_descriptor descriptor[QUEUE_BATCH];
    uint32_t count;
};

static void batch_submit(struct vtd_batch *b)
{
    if (b->count > 0)
        submit_all(b->driver, b->descriptor, b->count);
    b->count = 0;
}

static void batch_add(struct vtd_batch *b, struct vtd_descriptor descriptor)
{
    if (b->count == QUEUE_BATCH)
        batch_submit(b);
    b->descriptor[b->count++] = descriptor;
}

/* The same block in every device that keeps translations. */
static void batch_add_devices(struct vtd_batch *b, const struct dma_domain *d,
                              uint64_t first, unsigned order)
{
    for (unsigned i = 0; i < d->devices; i++)
        if (has_device_tlb(b->driver, d->device[i]))
            batch_add(b, vtd_inv_devtlb(d->device[i]->requester, DEVICE_DEPTH,
                                        order == ORDER_EVERYTHING
                                            ? 0
                                            : align_down(first, PAGE_SHIFT + order),
                                        order));
}

static void add_block(struct vtd_batch *b, const struct dma_domain *d, uint64_t first,
                      uint64_t last, bool leaf_only)
{
    const unsigned order = covering_order(first, last);
    batch_add(b, choose(b->driver, d->id, first, order, leaf_only));
    batch_add_devices(b, d, first, order);
}

static void add_pages(struct vtd_batch *b, const struct dma_domain *d,
                      const struct flush_span *span, const struct flush_how *how)
{
    for (uint64_t at = span->first; at <= span->last; at += PAGE_SIZE) {
        add_block(b, d, at, at, !how->tables);
        if (how->grain == GRAIN_page_sync)
            batch_submit(b);
    }
}

static void add_everything(struct vtd_batch *b, const struct dma_domain *d, bool global)
{
    batch_add(b, global ? vtd_inv_iotlb(VTD_GLOBAL, 0, 0, 0, false)
                        : whole_domain(b->driver, d->id));
    batch_add_devices(b, d, 0, ORDER_EVERYTHING);
}

/* Aligned powers of two of pages that make up exactly the span, the largest first where
 * they fit; VT-d has no command for any number of pages. */
static void add_exactly(struct vtd_batch *b, const struct dma_domain *d,
                        const struct flush_span *span, const struct flush_how *how)
{
    uint64_t at = span->first, pages = (span->last - span->first + 1) >> PAGE_SHIFT;
    while (pages > 0) {
        unsigned order = lg2_floor(pages);
        while ((at >> PAGE_SHIFT & mask_lg2(order)) != 0)
            order--;
        const uint64_t bytes = PAGE_SIZE << order;
        add_block(b, d, at, at + bytes - 1, !how->tables);
        at += bytes;
        pages -= UINT64_C(1) << order;
    }
}

static uint64_t pages_in(const struct flush_span *span, unsigned spans)
{
    uint64_t pages = 0;
    for (unsigned i = 0; i < spans; i++)
        pages += (span[i].last - span[i].first + 1) >> PAGE_SHIFT;
    return pages;
}

static void add_span(struct vtd_batch *b, const struct dma_domain *d,
                     const struct flush_span *span, const struct flush_how *how)
{
    switch (how->grain) {
    case GRAIN_page:
    case GRAIN_page_sync:
    case GRAIN_hybrid:
        add_pages(b, d, span, how);
        return;
    case GRAIN_range:
        add_exactly(b, d, span, how);
        return;
    default:
        add_block(b, d, span->first, span->last, !how->tables);
    }
}

static void add_spans(struct vtd_batch *b, const struct dma_domain *d,
                      const struct flush_span *span, unsigned spans,
                      const struct flush_how *how)
{
    const bool many =
        how->grain == GRAIN_hybrid && pages_in(span, spans) > how->hybrid_pages;
    if (many || how->grain == GRAIN_domain || how->grain == GRAIN_global) {
        add_everything(b, d, how->grain == GRAIN_global);
        return;
    }
    for (unsigned i = 0; i < spans; i++)
        add_span(b, d, &span[i], how);
}

static void vtd_flush_spans(void *state, struct dma_domain *d,
                            const struct flush_span *span, unsigned spans,
                            const struct flush_how *how)
{
    struct vtd_batch b = { .driver = state };
    struct cpu *cpu    = cpu_this();
    lock_take_as(cpu, &d->tag_lock, OWNER_inval_lock);
    cpu_spend(cpu, b.driver->kernel->cost.flush_range_cycles);
    add_spans(&b, d, span, spans, how);
    batch_submit(&b);
    lock_release(cpu, &d->tag_lock);
}

/* What does not fit into one batch is waited for, all but its end. */
static uint64_t vtd_post(void *state, struct dma_domain *d, const struct flush_span *span,
                         const struct flush_how *how)
{
    struct vtd_batch b   = { .driver = state };
    struct vtd_driver *v = state;
    struct cpu *cpu      = cpu_this();
    lock_take_as(cpu, &d->tag_lock, OWNER_inval_lock);
    cpu_spend(cpu, v->kernel->cost.flush_range_cycles);
    add_spans(&b, d, span, 1, how);
    for (uint32_t i = 0; i < b.count; i++)
        count(v->kernel, b.descriptor[i]);
    lock_take_as(cpu, &v->lock, OWNER_inval_lock);
    cpu_irq_disable(cpu);
    const uint32_t first = enqueue(v, b.descriptor, b.count);
    lock_release(cpu, &v->lock);
    cpu_irq_enable(cpu);
    lock_release(cpu, &d->tag_lock);
    return first | (uint64_t)b.count << 32;
}

/* An aborted post is made again, and now somebody waits: its descriptors are still there.
 */
static bool vtd_posted_done(void *state, uint64_t ticket)
{
    struct vtd_descriptor again[QUEUE_BATCH];
    struct vtd_driver *v = state;
    struct cpu *cpu      = cpu_this();
    const uint32_t first = (uint32_t)ticket, n = (uint32_t)(ticket >> 32);
    const uint32_t status = cpu_read32(cpu, status_slot(v, first + n));
    if (status == SLOT_IN_USE)
        return false;
    for (uint32_t i = 0; status == SLOT_ABORT && i < n; i++)
        again[i] = (struct vtd_descriptor){ cpu_read64(cpu, queue_slot(v, first + i)),
                                            cpu_read64(cpu, queue_slot(v, first + i) + 8) };
    lock_take_as(cpu, &v->lock, OWNER_inval_lock);
    dequeue(v, first, n);
    lock_release(cpu, &v->lock);
    if (status == SLOT_ABORT)
        submit_all(v, again, n);
    return true;
}

/* iommu_flush_write_buffer: one CPU at a time, until the unit says that it is done. */
static void flush_write_buffer(struct vtd_driver *v)
{
    struct cpu *cpu = cpu_this();
    lock_take_as(cpu, &v->register_lock, OWNER_inval_lock);
    command(v, v->command, VTD_G_WBF);
    lock_release(cpu, &v->register_lock);
}

static void vtd_map_sync(void *state, struct dma_domain *d, uint64_t first, uint64_t last)
{
    struct vtd_driver *v = state;
    if (caching_mode(v) && !first_stage(v)) /* Absent entries may be cached. */
        flush(v, d, first, last, false, false);
    else if (v->cap & VTD_CAP_RWBF)
        flush_write_buffer(v);
}

const struct backend backend_vtd = {
    .name            = "vtd",
    .summary         = "Intel VT-d, legacy and scalable mode",
    .probe           = vtd_probe,
    .remove          = vtd_remove,
    .tables          = vtd_tables,
    .domain_init     = vtd_domain_init,
    .domain_exit     = vtd_domain_exit,
    .attach          = vtd_attach,
    .attach_identity = vtd_attach_identity,
    .detach          = vtd_detach,
    .map_sync        = vtd_map_sync,
    .flush_range     = vtd_flush_range,
    .flush_all       = vtd_flush_all,
    .flush_spans     = vtd_flush_spans,
    .post            = vtd_post,
    .posted_done     = vtd_posted_done,
};
