/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backend_riscv - the driver of a RISC-V IOMMU: bring-up, device contexts, invalidation.
 *
 * Follows drivers/iommu/riscv of Linux 6.18 to 7.3 (the driver is there since 6.13), first
 * stage only. No release puts the DMA API on top of it yet: IOMMU_DMA is switched on for
 * arm64, x86 and s390 alone, and RISC-V is left to VFIO, iommufd and SVA. What is modelled
 * is that driver under dma-iommu, as a series proposed in February 2026 does it.
 *
 * Nothing is sent under a lock. A command takes a ticket, its place in the ring; the
 * doorbells are rung in the order of tickets, one for each command. Whoever waits for a
 * fence polls the queue's head, and with it the error flags, over the register path.
 *
 * Inaccuracies: interrupts stay masked, so fault records are not read (the IOMMU counts
 * them), and an error of the command queue is cleared by whoever waits for a fence; a queue
 * that does not move within its time is never used again, where Linux waits as long for
 * each further command; a device's interrupt messages do not pass the IOMMU, so Linux's
 * mapping of the interrupt file is not made; leaves may be executed from also under 6.18,
 * which leaves that bit out.
 */

#include "dma_api/domain.h"
#include "iommu_model/riscv_spec.h"

enum {
    COMMAND_LG2    = 13, /* 8192 commands and 4096 fault records, if the IOMMU has it. */
    FAULT_LG2      = 12,
    PSCID_FIRST    = 1,
    PSCIDS         = 1 << 20,
    RANGE_COMMANDS = 512, /* A range that needs more is invalidated as a whole PSCID. */
    LIMIT_LG2      = 21,  /* ... before 7.2: one that has as many bytes. */
};
#define REGISTER_TIMEOUT (150 * TIME_MS)
#define DDTP_TIMEOUT     (10000 * TIME_MS)
#define FENCE_TIMEOUT    (90000 * TIME_MS)

/* Where the words of a device context are. The extended format's others stay 0: messages
 * are not translated. */
enum { DC_TC = 0, DC_TA = 16, DC_FSC = 24 };

/* A queue in memory: 2^lg2 records in 2^order pages. */
struct ring {
    phys_addr_t base;
    unsigned lg2, order;
};

struct riscv_driver {
    struct kernel *kernel;
    struct mmio_window *registers;
    uint64_t capabilities;
    struct ring command, fault;
    /* Commands, counted without wrap: tickets handed out, consumed as far as anybody has
     * looked, and behind the doorbell. They share a cache line, as in Linux. */
    uint32_t tickets, seen, published;
    struct line line;
    bool dead; /* The command queue has not moved for too long. */
    phys_addr_t ddt;
    unsigned ddt_levels;
    uint8_t pscid_used[PSCIDS / 8];
};

static bool extended(const struct riscv_driver *v)
{
    return v->capabilities & RISCV_CAP_MSI_FLAT;
}

static uint32_t ring_mask(const struct ring *r)
{
    return (uint32_t)mask_lg2(r->lg2);
}

/* ---- The command queue -------------------------------------------------------------- */

/* The hardware's head, once, for all who wait for room: they watch the line. */
static void look_at_head(struct riscv_driver *v)
{
    const uint32_t seen = v->seen;
    const uint32_t head = mmio_read32(v->registers, RISCV_CQH);
    cpu_atomic(cpu_this(), &v->line);
    CHECK(v->seen == seen); /* Only one ticket is exactly a ring ahead. */
    v->seen = seen + ((head - seen) & ring_mask(&v->command));
}

/* Linux lets a CPU that is more than a ring ahead wait until it is less than one; here it
 * may also become the one that looks, as otherwise a small ring can stop for good. */
static bool wait_for_room(struct riscv_driver *v, uint32_t ticket)
{
    struct cpu *cpu           = cpu_this();
    const uint32_t full       = ring_mask(&v->command);
    const sim_time_t deadline = cpu->time + REGISTER_TIMEOUT;
    for (cpu_load(cpu, &v->line); ticket - v->seen >= full; cpu_load(cpu, &v->line)) {
        if (cpu->time > deadline)
            return false;
        cpu_own(cpu, OWNER_inval_slot); /* send sees to it that it ends. */
        v->kernel->stats.queue_full_turn++;
        if (ticket - v->seen == full)
            look_at_head(v);
        else
            cpu_relax(cpu);
    }
    return true;
}

/* Every earlier ticket's command must be there before the doorbell may pass it. */
static bool wait_for_turn(struct riscv_driver *v, uint32_t ticket)
{
    struct cpu *cpu            = cpu_this();
    const sim_time_t deadline  = cpu->time + REGISTER_TIMEOUT;
    const enum cpu_owner owner = cpu_own(cpu, OWNER_inval_lock);
    while (v->published != ticket && cpu->time <= deadline) {
        cpu_relax(cpu);
        cpu_load(cpu, &v->line);
    }
    cpu_own(cpu, owner);
    return v->published == ticket;
}

static void write_command(struct riscv_driver *v, uint32_t ticket, struct riscv_command c)
{
    struct cpu *cpu        = cpu_this();
    const uint64_t index   = ticket & ring_mask(&v->command);
    const phys_addr_t slot = v->command.base + (index << RISCV_COMMAND_LG2);
    cpu_spend(cpu, v->kernel->cost.queue_slot_cycles);
    cpu_write64(cpu, slot, c.low);
    cpu_write64(cpu, slot + 8, c.high);
}

static void give_up(struct riscv_driver *v, const char *why)
{
    v->dead = true;
    kernel_warn_once(v->kernel, why);
}

/* From the ticket to the doorbell interrupts are off: others wait for this one's turn. */
static uint32_t send(struct riscv_driver *v, struct riscv_command c)
{
    struct cpu *cpu            = cpu_this();
    const enum cpu_owner owner = cpu_own(cpu, OWNER_inval_submit);
    cpu_irq_disable(cpu);
    cpu_atomic(cpu, &v->line);
    const uint32_t ticket = v->tickets++;
    bool sent             = !v->dead && wait_for_room(v, ticket);
    cpu_own(cpu, OWNER_inval_submit);
    if (sent) {
        write_command(v, ticket, c);
        cpu_load(cpu, &v->line);
        sent = wait_for_turn(v, ticket);
    }
    if (sent) {
        cpu_barrier(cpu); /* The command before the doorbell, */
        mmio_write32(v->registers, RISCV_CQT, (ticket + 1) & ring_mask(&v->command));
        cpu_atomic(cpu, &v->line);
        v->published++; /* and that before the next one's. */
    } else if (!v->dead) {
        give_up(v, "command queue: a command was dropped");
    }
    cpu_irq_enable(cpu);
    cpu_own(cpu, owner);
    return ticket;
}

static void count(struct kernel_stats *s, struct riscv_command c)
{
    s->descriptor++;
    if (RISCV_CMD_OPCODE(c.low) == RISCV_IODIR)
        s->descriptor_context++;
    else if (c.low & RISCV_INVAL_AV)
        s->descriptor_page++;
    else if (c.low & RISCV_INVAL_PSCV)
        s->descriptor_domain++;
    else
        s->descriptor_global++;
}

static void invalidate(struct riscv_driver *v, struct riscv_command c)
{
    count(&v->kernel->stats, c);
    send(v, c);
}

/* What an interrupt handler of Linux does about it: say so, and let the queue go on. */
static void recover(struct riscv_driver *v, uint32_t cqcsr)
{
    mmio_write32(v->registers, RISCV_CQCSR, cqcsr); /* Flags are cleared by writing 1. */
    kernel_warn_once(v->kernel, "command queue: stopped by an error");
}

static void wait_until_consumed(struct riscv_driver *v, uint32_t ticket)
{
    const uint32_t errors     = RISCV_QUEUE_MF | RISCV_CQ_CMD_TO | RISCV_CQ_CMD_ILL;
    struct cpu *cpu           = cpu_this();
    const sim_time_t deadline = cpu->time + FENCE_TIMEOUT;
    cpu_load(cpu, &v->line);
    uint32_t consumed = v->seen;
    while (!v->dead && (int32_t)(consumed - ticket) <= 0) {
        const uint32_t seen = v->seen;
        const uint32_t head = mmio_read32(v->registers, RISCV_CQH);
        const uint32_t csr  = mmio_read32(v->registers, RISCV_CQCSR);
        consumed            = seen + ((head - seen) & ring_mask(&v->command));
        v->kernel->stats.poll_turn++;
        cpu_spend(cpu, v->kernel->cost.poll_cycles);
        if (csr & errors) {
            recover(v, csr);
            return;
        }
        if (cpu->time > deadline) {
            give_up(v, "command queue: a fence was not carried out");
            return;
        }
        cpu_relax(cpu);
        cpu_load(cpu, &v->line);
    }
}

/* On return everything sent before is done, and so are DMA reads and writes that used it.
 */
static void fence(struct riscv_driver *v)
{
    struct cpu *cpu = cpu_this();
    v->kernel->stats.submission++;
    const uint32_t ticket = send(v, riscv_iofence(RISCV_FENCE_PR | RISCV_FENCE_PW, 0, 0));
    const enum cpu_owner owner = cpu_own(cpu, OWNER_inval_wait);
    wait_until_consumed(v, ticket);
    cpu_own(cpu, owner);
}

static struct riscv_command whole_pscid(uint32_t pscid)
{
    return riscv_iotinval(RISCV_VMA, RISCV_INVAL_PSCV, 0, pscid, 0);
}

/* ---- Bring-up ----------------------------------------------------------------------- */

/* Reads until these bits are clear, and returns the last value. */
static uint64_t read_until_clear(struct riscv_driver *v, enum riscv_register r,
                                 unsigned bytes, uint64_t bits, sim_time_t timeout)
{
    struct cpu *cpu           = cpu_this();
    const sim_time_t deadline = cpu->time + timeout;
    for (;;) {
        const uint64_t value =
            bytes == 8 ? mmio_read64(v->registers, r) : mmio_read32(v->registers, r);
        if (!(value & bits) || cpu->time > deadline)
            return value;
        cpu_relax(cpu);
    }
}

/* Asks for the largest ring and takes what is granted, up to the wanted one. */
static bool ring_place(struct riscv_driver *v, struct ring *r, enum riscv_register base,
                       unsigned wanted_lg2, unsigned record_lg2)
{
    mmio_write64(v->registers, base, mask_lg2(5));
    const unsigned most_lg2 = riscv_queue_lg2(mmio_read64(v->registers, base));
    for (r->lg2 = wanted_lg2 < most_lg2 ? wanted_lg2 : most_lg2;; r->lg2--) {
        const unsigned bytes_lg2 = r->lg2 + record_lg2;
        r->order                 = bytes_lg2 > PAGE_SHIFT ? bytes_lg2 - PAGE_SHIFT : 0;
        r->base                  = kernel_pages_get_zeroed(v->kernel, r->order);
        if (r->base != 0 || r->lg2 == 1)
            break;
    }
    if (r->base == 0)
        return false;
    const uint64_t value = riscv_queue_base(r->base, r->lg2);
    mmio_write64(v->registers, base, value);
    return mmio_read64(v->registers, base) == value;
}

/* empty: the index that software moves, so that the ring starts empty. */
static bool ring_enable(struct riscv_driver *v, enum riscv_register csr,
                        enum riscv_register empty)
{
    const uint32_t state = RISCV_QUEUE_ON | RISCV_QUEUE_BUSY | RISCV_QUEUE_MF;
    mmio_write32(v->registers, empty, 0);
    mmio_write32(v->registers, csr, RISCV_QUEUE_ENABLE | RISCV_QUEUE_MF);
    const uint64_t now = read_until_clear(v, csr, 4, RISCV_QUEUE_BUSY, REGISTER_TIMEOUT);
    if ((now & state) == RISCV_QUEUE_ON)
        return true;
    mmio_write32(v->registers, csr, 0);
    return false;
}

static void ring_disable(struct riscv_driver *v, enum riscv_register csr)
{
    mmio_write32(v->registers, csr, 0);
    if (read_until_clear(v, csr, 4, RISCV_QUEUE_BUSY, REGISTER_TIMEOUT)
        & (RISCV_QUEUE_ON | RISCV_QUEUE_BUSY))
        kernel_warn_once(v->kernel, "a queue was not switched off");
}

static void ring_free(struct riscv_driver *v, const struct ring *r)
{
    if (r->base != 0)
        kernel_pages_put(v->kernel, r->base, r->order);
}

static uint64_t read_ddtp(struct riscv_driver *v)
{
    return read_until_clear(v, RISCV_DDTP, 8, RISCV_DDTP_BUSY, DDTP_TIMEOUT);
}

/* Tries one mode; then nothing may be cached that was read under the one before. */
static bool set_ddt_mode(struct riscv_driver *v, enum riscv_ddtp_mode mode)
{
    const phys_addr_t root = mode > RISCV_DDTP_BARE ? v->ddt : 0;
    mmio_write64(v->registers, RISCV_DDTP, riscv_ddtp(root, mode));
    const uint64_t now = read_ddtp(v);
    if ((now & RISCV_DDTP_BUSY) || RISCV_DDTP_MODE(now) != mode)
        return false;
    invalidate(v, riscv_iodir(RISCV_INVAL_DDT, false, 0, 0));
    invalidate(v, riscv_iotinval(RISCV_VMA, 0, 0, 0, 0));
    fence(v);
    return true;
}

/* The mode field keeps only what the implementation has: the deepest directory first. */
static bool choose_ddt_mode(struct riscv_driver *v)
{
    for (v->ddt_levels = 3; v->ddt_levels > 0; v->ddt_levels--)
        if (set_ddt_mode(v, RISCV_DDTP_BARE + v->ddt_levels))
            return true;
    return false;
}

static bool check_hardware(struct riscv_driver *v, struct error *error)
{
    if (v->kernel->release < LINUX_6_18)
        return error_set(error, "linux.release: expected 6.18 or later with a RISC-V IOMMU "
                                "(its driver came with 6.13), got 6.12");
    if ((v->capabilities & mask_lg2(8)) < RISCV_CAP_VERSION(UINT64_C(0x10)))
        return error_set(error, "riscv: expected an IOMMU of version 1.0 or later");
    if (!(v->capabilities & (RISCV_CAP_SV39 | RISCV_CAP_SV48 | RISCV_CAP_SV57)))
        return error_set(error, "riscv: expected an IOMMU with first-stage tables");
    const uint64_t ddtp = mmio_read64(v->registers, RISCV_DDTP);
    if ((ddtp & RISCV_DDTP_BUSY) || RISCV_DDTP_MODE(ddtp) > RISCV_DDTP_BARE)
        return error_set(error, "riscv: expected an IOMMU that is not in use yet");
    return true;
}

static bool bring_up(struct riscv_driver *v, struct error *error)
{
    v->ddt = kernel_pages_get_zeroed(v->kernel, 0);
    if (v->ddt == 0
        || !ring_place(v, &v->command, RISCV_CQB, COMMAND_LG2, RISCV_COMMAND_LG2)
        || !ring_place(v, &v->fault, RISCV_FQB, FAULT_LG2, RISCV_FAULT_LG2))
        return error_set(error, "riscv: the queues could not be placed");
    if (!ring_enable(v, RISCV_CQCSR, RISCV_CQT) || !ring_enable(v, RISCV_FQCSR, RISCV_FQH))
        return error_set(error, "riscv: a queue was not switched on");
    if (!choose_ddt_mode(v))
        return error_set(error, "riscv: no device directory was accepted");
    return true;
}

/* Gives back a directory table and those below it; the depth is bounded by the level. */
static void free_directory(struct riscv_driver *v, phys_addr_t table, unsigned level)
{
    for (uint64_t i = 0; level > 0 && i < PAGE_SIZE / 8; i++) {
        const uint64_t entry = cpu_read64(cpu_this(), table + 8 * i);
        if (entry & RISCV_VALID)
            free_directory(v, RISCV_PPN_53_10(entry), level - 1);
    }
    kernel_pages_put(v->kernel, table, 0);
}

static void release(struct riscv_driver *v)
{
    if (v->ddt != 0)
        free_directory(v, v->ddt, v->ddt_levels > 0 ? v->ddt_levels - 1 : 0);
    ring_free(v, &v->fault);
    ring_free(v, &v->command);
    kernel_host_free(v->kernel, v);
}

static void *riscv_probe(struct kernel *k, struct mmio_window *registers,
                         struct error *error)
{
    struct riscv_driver *v = kernel_host_alloc(k, 1, sizeof *v);
    v->kernel              = k;
    v->registers           = registers;
    v->capabilities        = mmio_read64(registers, RISCV_CAPABILITIES);
    if (check_hardware(v, error) && bring_up(v, error))
        return v;
    release(v);
    return NULL;
}

static void riscv_remove(void *state)
{
    struct riscv_driver *v = state;
    set_ddt_mode(v, RISCV_DDTP_OFF);
    ring_disable(v, RISCV_CQCSR);
    ring_disable(v, RISCV_FQCSR);
    release(v);
}

/* ---- Domains and device contexts ---------------------------------------------------- */

/* The deepest tables that it can walk; which leaves they have depends on the release. */
static void riscv_tables(void *state, const struct pt_format **format, unsigned *levels,
                         uint64_t *leaf_sizes)
{
    const struct riscv_driver *v = state;
    const struct kernel *k       = v->kernel;
    const bool napot             = k->release >= LINUX_7_3 && k->config.svnapot;
    *levels                      = v->capabilities & RISCV_CAP_SV57   ? 5
                                   : v->capabilities & RISCV_CAP_SV48 ? 4
                                                                      : 3;
    *format                      = ptfmt_find(napot ? "rvs1napot" : "rvs1");
    *leaf_sizes = (*format)->leaf_sizes & mask_lg2(pt_span_lg2(*format, *levels));
}

static bool riscv_domain_init(void *state, struct dma_domain *d)
{
    struct riscv_driver *v = state;
    for (uint32_t id = PSCID_FIRST; id < PSCIDS; id++)
        if (!(v->pscid_used[id / 8] >> id % 8 & 1)) {
            v->pscid_used[id / 8] = (uint8_t)(v->pscid_used[id / 8] | 1u << id % 8);
            d->id                 = id;
            return true;
        }
    return false;
}

/* Nothing is told to the hardware: the last device to leave has done that. */
static void riscv_domain_exit(void *state, struct dma_domain *d)
{
    struct riscv_driver *v   = state;
    v->pscid_used[d->id / 8] = (uint8_t)(v->pscid_used[d->id / 8] & ~(1u << d->id % 8));
}

/* The table below a directory entry, made where it is missing, by compare and exchange. */
static phys_addr_t directory_below(struct riscv_driver *v, phys_addr_t entry)
{
    struct cpu *cpu     = cpu_this();
    const uint64_t word = cpu_read64(cpu, entry);
    if (word & RISCV_VALID)
        return RISCV_PPN_53_10(word);
    const phys_addr_t mine = kernel_pages_get_zeroed(v->kernel, 0);
    if (mine == 0)
        return 0;
    cpu_atomic(cpu, memory_line(v->kernel->memory, entry));
    const uint64_t now = memory_read64(v->kernel->memory, entry);
    if (now & RISCV_VALID) {
        kernel_pages_put(v->kernel, mine, 0);
        return RISCV_PPN_53_10(now);
    }
    memory_write64(v->kernel->memory, entry, riscv_directory_entry(mine));
    return mine;
}

/* Where the device's context is; 0: its id is too wide, or there is no memory. */
static phys_addr_t device_context(struct riscv_driver *v, uint32_t device)
{
    phys_addr_t table = v->ddt;
    if (device >> riscv_device_lg2(v->ddt_levels, extended(v)) != 0)
        return 0;
    for (unsigned level = v->ddt_levels - 1; level > 0 && table != 0; level--)
        table =
            directory_below(v, table + 8 * riscv_device_index(device, level, extended(v)));
    if (table == 0)
        return 0;
    const uint64_t bytes = extended(v) ? RISCV_DC_EXTENDED_BYTES : RISCV_DC_BYTES;
    return table + bytes * riscv_device_index(device, 0, extended(v));
}

/* Specification 6.3.1: after a device context, the translations that came through it. */
static void invalidate_context(struct riscv_driver *v, uint32_t device, phys_addr_t entry)
{
    struct cpu *cpu    = cpu_this();
    const uint64_t fsc = cpu_read64(cpu, entry + DC_FSC);
    const uint64_t ta  = cpu_read64(cpu, entry + DC_TA);
    invalidate(v, riscv_iodir(RISCV_INVAL_DDT, true, device, 0));
    invalidate(v, riscv_table_mode(fsc) == RISCV_BARE
                      ? riscv_iotinval(RISCV_VMA, 0, 0, 0, 0)
                      : whole_pscid(riscv_ta_pscid(ta)));
}

/* A valid context is first made invalid everywhere; the valid bit is written last. */
static bool set_context(struct riscv_driver *v, const struct device *dev, uint64_t fsc,
                        uint64_t ta, uint64_t valid)
{
    struct cpu *cpu         = cpu_this();
    const phys_addr_t entry = device_context(v, dev->requester);
    if (entry == 0)
        return false;
    const uint64_t tc = cpu_read64(cpu, entry + DC_TC);
    if (tc & RISCV_VALID) {
        cpu_write64(cpu, entry + DC_TC, tc & ~RISCV_VALID);
        invalidate_context(v, dev->requester, entry);
        fence(v);
    }
    cpu_write64(cpu, entry + DC_FSC, fsc);
    cpu_write64(cpu, entry + DC_TA, ta);
    cpu_barrier(cpu);
    cpu_write64(cpu, entry + DC_TC, (tc & ~RISCV_VALID) | valid);
    invalidate_context(v, dev->requester, entry);
    fence(v);
    return true;
}

static bool riscv_attach(void *state, struct dma_domain *d, struct device *dev)
{
    const enum riscv_table_mode mode = RISCV_SV39 + d->table.levels - 3;
    return set_context(state, dev, riscv_table(mode, d->table.root), riscv_ta(d->id),
                       RISCV_VALID);
}

static bool riscv_attach_identity(void *state, struct device *dev)
{
    return set_context(state, dev, riscv_table(RISCV_BARE, 0), 0, RISCV_VALID);
}

/* The device is blocked; the last one of a domain takes its translations along. */
static void riscv_detach(void *state, struct dma_domain *d, struct device *dev)
{
    struct riscv_driver *v = state;
    set_context(v, dev, riscv_table(RISCV_BARE, 0), 0, 0);
    if (d != NULL && d->devices == 1) {
        invalidate(v, whole_pscid(d->id));
        fence(v);
    }
}

/* ---- Flushes ------------------------------------------------------------------------ */

/* An entry that is absent is never cached: a map need not tell. */
static void riscv_map_sync(void *state, struct dma_domain *d, uint64_t first, uint64_t last)
{
    (void)state;
    (void)d;
    (void)first;
    (void)last;
}

/*
 * How many commands with an address the range takes, one for each stride; 0: the PSCID goes
 * as a whole. That is also the only way to drop pointers to tables (specification 1.0).
 */
static uint64_t commands_for(const struct kernel *k, uint64_t bytes, unsigned stride_lg2)
{
    const uint64_t commands = bytes >> stride_lg2;
    if (k->release < LINUX_7_3)
        return bytes < UINT64_C(1) << LIMIT_LG2 ? commands : 0;
    return commands <= RANGE_COMMANDS ? commands : 0;
}

static void flush(struct riscv_driver *v, struct dma_domain *d, uint64_t first,
                  uint64_t commands, unsigned stride_lg2)
{
    struct cpu *cpu = cpu_this();
    cpu_spend(cpu, v->kernel->cost.flush_range_cycles);
    cpu_barrier(cpu); /* The cleared entries, before the look at who is attached. */
    if (d->devices == 0)
        return;
    if (commands == 0)
        invalidate(v, whole_pscid(d->id));
    for (uint64_t i = 0; i < commands; i++)
        invalidate(v, riscv_iotinval(RISCV_VMA, RISCV_INVAL_PSCV | RISCV_INVAL_AV, 0, d->id,
                                     first + (i << stride_lg2)));
    fence(v);
}

/* Since 7.2 the stride is the smallest leaf that was taken out, before that a page. When
 * nobody knows (0), there are always too many. */
static void riscv_flush_range(void *state, struct dma_domain *d, uint64_t first,
                              uint64_t last, bool tables, unsigned leaf_lg2)
{
    const struct kernel *k = d->kernel;
    const unsigned stride  = k->release < LINUX_7_3 ? PAGE_SHIFT : leaf_lg2;
    flush(state, d, first, tables ? 0 : commands_for(k, last - first + 1, stride), stride);
}

static void riscv_flush_all(void *state, struct dma_domain *d)
{
    flush(state, d, 0, 0, 0);
}

/* Commands with an address for each page, or for all of the domain; one fence. The
 * specification has no command for more than a page, and none that spares tables. */
static void riscv_flush_spans(void *state, struct dma_domain *d,
                              const struct flush_span *span, unsigned spans,
                              const struct flush_how *how)
{
    struct riscv_driver *v = state;
    struct cpu *cpu        = cpu_this();
    uint64_t pages         = 0;
    for (unsigned i = 0; i < spans; i++)
        pages += (span[i].last - span[i].first + 1) >> PAGE_SHIFT;
    cpu_spend(cpu, v->kernel->cost.flush_range_cycles);
    cpu_barrier(cpu); /* The cleared entries, before the look at who is attached. */
    if (d->devices == 0)
        return;
    if (how->grain == GRAIN_global)
        invalidate(v, riscv_iotinval(RISCV_VMA, 0, 0, 0, 0));
    else if (how->tables || how->grain == GRAIN_domain
             || (how->grain == GRAIN_hybrid && pages > how->hybrid_pages)
             || (how->grain == GRAIN_usual && pages > RANGE_COMMANDS))
        invalidate(v, whole_pscid(d->id));
    else
        for (unsigned i = 0; i < spans; i++)
            for (uint64_t at = span[i].first; at <= span[i].last; at += PAGE_SIZE) {
                invalidate(v, riscv_iotinval(RISCV_VMA, RISCV_INVAL_PSCV | RISCV_INVAL_AV,
                                             0, d->id, at));
                if (how->grain == GRAIN_page_sync)
                    fence(v);
            }
    fence(v);
}

const struct backend backend_riscv = {
    .name            = "riscv",
    .summary         = "RISC-V IOMMU 1.0, first stage",
    .leaf_prot       = PT_USER | PT_EXECUTE,
    .probe           = riscv_probe,
    .remove          = riscv_remove,
    .tables          = riscv_tables,
    .domain_init     = riscv_domain_init,
    .domain_exit     = riscv_domain_exit,
    .attach          = riscv_attach,
    .attach_identity = riscv_attach_identity,
    .detach          = riscv_detach,
    .map_sync        = riscv_map_sync,
    .flush_range     = riscv_flush_range,
    .flush_all       = riscv_flush_all,
    .flush_spans     = riscv_flush_spans,
};
