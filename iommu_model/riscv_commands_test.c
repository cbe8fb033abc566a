/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The RISC-V IOMMU's commands (3.1): what each form drops, against a list of entries; what
 * is illegal, and where the queue stops.
 */
#include "sim/test/riscv_rig.h"
#include "sim/test/shim.h"

static struct riscv_rig rig;

static void begin(void)
{
    riscv_rig_open(&rig);
    rig.settings.iotlb.sets = 1;
    rig.settings.iotlb.ways = 256;
    riscv_rig_start(&rig);
}

static void end(void)
{
    riscv_rig_stop(&rig);
    riscv_rig_close(&rig);
}

static uint32_t reg(uint32_t offset)
{
    return (uint32_t)riscv_rig_read(&rig, offset, 4);
}

/* ---- Invalidations ---------------------------------------------------------------------
 */

/* A cached translation as the specification sees it. */
struct cached {
    uint32_t gscid, pscid; /* Where their stage is on. */
    bool s1, s2, global;
    uint64_t iova, guest;
    unsigned s1_lg2, s2_lg2;
};

enum { CACHED_MAX = 200 };

static struct cached list[CACHED_MAX];
static unsigned cached_count;

static void add(struct cached c)
{
    CHECK(cached_count < CACHED_MAX);
    list[cached_count++] = c;
}

static void add_sizes(struct cached c)
{
    static const unsigned lg2[] = { 12, 16, 21 };
    for (unsigned i = 0; i < 3; i++)
        for (unsigned k = 0; k < 3; k++) {
            c.s1_lg2 = c.s1 ? lg2[i] : 0;
            c.s2_lg2 = c.s2 ? lg2[k] : 0;
            if ((c.s1 || i == 0) && (c.s2 || k == 0))
                add(c);
            c.iova += UINT64_C(1) << 30;
            c.guest += UINT64_C(1) << 30;
        }
}

/* Addresses lie in the middle of pages of all sizes. */
static void fill_list(void)
{
    cached_count = 0;
    for (uint32_t id = 1; id <= 2; id++) {
        const uint64_t at = UINT64_C(0x5a7000) + (id << 24);
        add_sizes((struct cached){ .s2 = true, .gscid = id, .iova = at, .guest = at });
        for (uint32_t process = 1; process <= 2; process++)
            for (unsigned global = 0; global <= 1; global++) {
                struct cached c = { .s1     = true,
                                    .pscid  = process,
                                    .global = global,
                                    .iova   = at + (global << 26) + (process << 27),
                                    .guest  = at + (UINT64_C(3) << 40) };
                if (id == 1)
                    add_sizes(c);
                c.s2    = true;
                c.gscid = id;
                add_sizes(c);
            }
    }
}

static struct iotlb_entry entry_of(const struct cached *c)
{
    const unsigned lg2 = !c->s2                            ? c->s1_lg2
                         : !c->s1 || c->s2_lg2 < c->s1_lg2 ? c->s2_lg2
                                                           : c->s1_lg2;
    return (struct iotlb_entry){
        .page = c->iova >> lg2,
        .space =
            space_make(c->gscid, c->pscid,
                       (unsigned)(c->s1 ? STAGE_1 : 0) | (unsigned)(c->s2 ? STAGE_2 : 0)),
        .pa          = UINT64_C(1) << 40,
        .guest       = c->s2 ? align_down(c->guest, lg2) : 0,
        .stale_since = TIME_NEVER,
        .page_lg2    = (uint8_t)lg2,
        .stage1_lg2  = (uint8_t)c->s1_lg2,
        .stage2_lg2  = (uint8_t)c->s2_lg2,
        .prot1       = c->s1 ? 0x7f : PT_ALL,
        .prot2       = c->s2 ? 0x7f : PT_ALL,
        .global      = c->global,
    };
}

static bool is_cached(const struct cached *c)
{
    const struct iotlb_entry e = entry_of(c);
    for (unsigned i = 0; i < iotlb_array_entries(&rig.iommu.iotlb.array); i++) {
        const struct iotlb_entry *is = &rig.iommu.iotlb.array.entry[i];
        if (is->valid && is->page == e.page && is->page_lg2 == e.page_lg2
            && is->space == e.space && is->stage1_lg2 == e.stage1_lg2
            && is->stage2_lg2 == e.stage2_lg2)
            return true;
    }
    return false;
}

static bool in_page(uint64_t address, uint64_t page, unsigned lg2)
{
    return address >> lg2 == page >> lg2;
}

/* Tables 3 and 4 of the specification. */
static bool vma_drops(const struct cached *c, uint64_t flags, uint32_t gscid,
                      uint32_t pscid, uint64_t address)
{
    const bool gv = flags & RISCV_INVAL_GV;
    if (!c->s1 || c->s2 != gv || (gv && c->gscid != gscid))
        return false;
    if (flags & RISCV_INVAL_PSCV && (c->global || c->pscid != pscid))
        return false;
    return !(flags & RISCV_INVAL_AV) || in_page(address, c->iova, c->s1_lg2);
}

static bool gvma_drops(const struct cached *c, uint64_t flags, uint32_t gscid,
                       uint64_t address)
{
    if (!c->s2)
        return false;
    if (!(flags & RISCV_INVAL_GV))
        return true;
    return c->gscid == gscid
           && (!(flags & RISCV_INVAL_AV) || in_page(address, c->guest, c->s2_lg2));
}

static void check_invalidation(enum riscv_iotinval kind, uint64_t flags, uint32_t gscid,
                               uint32_t pscid, uint64_t address)
{
    unsigned wrong = 0;
    for (unsigned i = 0; i < cached_count; i++) {
        const struct iotlb_entry e = entry_of(&list[i]);
        iotlb_fill(&rig.iommu.iotlb, &e);
    }
    riscv_rig_queue(&rig, riscv_iotinval(kind, flags, gscid, pscid, address));
    EXPECT(riscv_rig_fence(&rig, 0));
    for (unsigned i = 0; i < cached_count; i++) {
        const bool drops = kind == RISCV_VMA
                               ? vma_drops(&list[i], flags, gscid, pscid, address)
                               : gvma_drops(&list[i], flags, gscid, address);
        wrong += is_cached(&list[i]) == drops;
    }
    EXPECT_EQUAL(wrong, 0);
    iotlb_audit(&rig.iommu.iotlb);
}

static const uint64_t flags_of[] = {
    0,
    RISCV_INVAL_GV,
    RISCV_INVAL_AV,
    RISCV_INVAL_GV | RISCV_INVAL_AV,
    RISCV_INVAL_PSCV,
    RISCV_INVAL_PSCV | RISCV_INVAL_GV,
    RISCV_INVAL_PSCV | RISCV_INVAL_AV,
    RISCV_INVAL_PSCV | RISCV_INVAL_GV | RISCV_INVAL_AV,
};

/* At the page of each entry, one further, and at the ends of the largest page around it. */
static void check_addresses(enum riscv_iotinval kind, uint64_t flags)
{
    for (unsigned i = 0; i < cached_count; i += 5) {
        const uint64_t at        = kind == RISCV_VMA ? list[i].iova : list[i].guest;
        const uint64_t address[] = { at, at + 0x1000, at & ~mask_lg2(21),
                                     (at | mask_lg2(21)) - 0xfff, at ^ 0x10000 };
        for (unsigned k = 0; k < 5; k++)
            check_invalidation(kind, flags, list[i].gscid, list[i].pscid, address[k]);
    }
}

TEST_CASE(riscv_commands, every_form_of_iotinval_vma_drops_what_the_table_says)
{
    begin();
    fill_list();
    for (unsigned f = 0; f < 8; f++)
        if (flags_of[f] & RISCV_INVAL_AV)
            check_addresses(RISCV_VMA, flags_of[f]);
        else
            for (uint32_t ids = 0; ids < 9; ids++)
                check_invalidation(RISCV_VMA, flags_of[f], ids / 3, ids % 3, 0);
    end();
}

TEST_CASE(riscv_commands, every_form_of_iotinval_gvma_drops_what_the_table_says)
{
    begin();
    fill_list();
    for (unsigned f = 0; f < 4; f++)
        if (flags_of[f] & RISCV_INVAL_AV)
            check_addresses(RISCV_GVMA, flags_of[f]);
        else
            for (uint32_t id = 0; id < 3; id++)
                check_invalidation(RISCV_GVMA, flags_of[f], id, 0, 0);
    end();
}

static void fill_contexts(void)
{
    const struct xlate_context c = { 0 };
    for (uint32_t device = 1; device <= 3; device++) {
        context_cache_fill(&rig.iommu.device_contexts, context_key(device, 0), &c);
        for (uint32_t process = 0; process < 3; process++)
            context_cache_fill(&rig.iommu.process_contexts, context_key(device, process),
                               &c);
    }
}

static void check_directory(struct riscv_command c, uint32_t device, uint32_t process,
                            bool pdt, bool dv)
{
    fill_contexts();
    riscv_rig_queue(&rig, c);
    EXPECT(riscv_rig_fence(&rig, 0));
    for (uint32_t d = 1; d <= 3; d++) {
        const bool is_meant = !dv || d == device;
        EXPECT_EQUAL(context_cache_probe(&rig.iommu.device_contexts, context_key(d, 0))
                         != NULL,
                     pdt || !is_meant);
        for (uint32_t p = 0; p < 3; p++)
            EXPECT_EQUAL(context_cache_probe(&rig.iommu.process_contexts, context_key(d, p))
                             != NULL,
                         !is_meant || (pdt && p != process));
    }
}

TEST_CASE(riscv_commands, iodir_drops_contexts_of_a_device_of_a_process_or_all)
{
    begin();
    check_directory(riscv_iodir(RISCV_INVAL_DDT, false, 2, 0), 2, 0, false, false);
    check_directory(riscv_iodir(RISCV_INVAL_DDT, true, 2, 0), 2, 0, false, true);
    for (uint32_t process = 0; process < 3; process++)
        check_directory(riscv_iodir(RISCV_INVAL_PDT, true, 2, process), 2, process, true,
                        true);
    end();
}

/* ---- Illegal ones ----------------------------------------------------------------------
 */

static void check_illegal(struct riscv_command c)
{
    begin();
    riscv_rig_queue(&rig, riscv_iotinval(RISCV_VMA, 0, 0, 0, 0));
    riscv_rig_queue(&rig, c);
    riscv_rig_queue(&rig, riscv_iofence(RISCV_FENCE_AV, RISCV_RIG_STATUS, 99));
    riscv_rig_ring(&rig);
    riscv_rig_settle(&rig);
    EXPECT(reg(RISCV_CQCSR) & RISCV_CQ_CMD_ILL);
    EXPECT_EQUAL(reg(RISCV_CQH), 1);
    EXPECT_EQUAL(memory_read32(&rig.memory, RISCV_RIG_STATUS), 0);
    const struct riscv_command good = riscv_iotinval(RISCV_VMA, 0, 0, 0, 0);
    memory_write64(&rig.memory, RISCV_RIG_COMMANDS + 16, good.low);
    memory_write64(&rig.memory, RISCV_RIG_COMMANDS + 24, good.high);
    riscv_rig_write(&rig, RISCV_CQCSR, RISCV_QUEUE_ENABLE | RISCV_CQ_CMD_ILL, 4);
    riscv_rig_settle(&rig);
    EXPECT(!(reg(RISCV_CQCSR) & RISCV_CQ_CMD_ILL));
    EXPECT_EQUAL(reg(RISCV_CQH), 3);
    EXPECT_EQUAL(memory_read32(&rig.memory, RISCV_RIG_STATUS), 99);
    end();
}

TEST_CASE(riscv_commands, the_queue_stops_at_an_illegal_one_until_software_says_so)
{
    const struct riscv_command illegal[] = {
        { 0, 0 },
        { RISCV_ATS, 0 }, /* Not offered. */
        { 5, 0 },
        { 127, 0 },
        { RISCV_IOTINVAL | 2 << 7, 0 },
        { RISCV_IOTINVAL | 1 << 11, 0 },
        { RISCV_IOTINVAL | UINT64_C(1) << 34, 0 },
        { RISCV_IOTINVAL | UINT64_C(1) << 60, 0 },
        { RISCV_IOTINVAL, 1 },
        { RISCV_IOTINVAL, UINT64_C(1) << 62 },
        { RISCV_IOTINVAL | RISCV_GVMA << 7 | RISCV_INVAL_PSCV, 0 },
        { RISCV_IOFENCE | 1 << 7, 0 },
        { RISCV_IOFENCE | 1 << 14, 0 },
        { RISCV_IOFENCE, UINT64_C(1) << 62 },
        { RISCV_IOFENCE | RISCV_FENCE_AV, UINT64_C(1) << 63 | RISCV_RIG_STATUS >> 2 },
        { RISCV_IOFENCE | RISCV_FENCE_WSI, 0 }, /* fctl.WSI is 0. */
        { RISCV_IODIR | 2 << 7, 0 },
        { RISCV_IODIR | 1 << 10, 0 },
        { RISCV_IODIR | UINT64_C(1) << 32, 0 },
        { RISCV_IODIR | UINT64_C(1) << 39, 0 },
        { RISCV_IODIR, 1 },
        { RISCV_IODIR | 1 << 12, 0 }, /* INVAL_DDT has no process. */
        { RISCV_IODIR | RISCV_INVAL_PDT << 7, 0 },
    };
    for (unsigned i = 0; i < sizeof illegal / sizeof illegal[0]; i++)
        check_illegal(illegal[i]);
}

/* ---- Fences ----------------------------------------------------------------------------
 */

TEST_CASE(riscv_commands, a_fence_writes_four_bytes)
{
    begin();
    memory_write64(&rig.memory, RISCV_RIG_STATUS, UINT64_MAX);
    riscv_rig_queue(&rig, riscv_iofence(RISCV_FENCE_AV, RISCV_RIG_STATUS + 4, 0x12345678));
    riscv_rig_queue(&rig, riscv_iofence(0, RISCV_RIG_STATUS, 0));
    riscv_rig_ring(&rig);
    riscv_rig_settle(&rig);
    EXPECT_EQUAL(memory_read64(&rig.memory, RISCV_RIG_STATUS),
                 UINT64_C(0x12345678ffffffff));
    EXPECT_EQUAL(reg(RISCV_CQH), 2);
    end();
}

TEST_CASE(riscv_commands, a_fence_that_cannot_write_stops_the_queue)
{
    begin();
    riscv_rig_queue(&rig, riscv_iofence(RISCV_FENCE_AV, UINT64_MAX & ~UINT64_C(3), 1));
    riscv_rig_ring(&rig);
    riscv_rig_settle(&rig);
    EXPECT(reg(RISCV_CQCSR) & RISCV_QUEUE_MF);
    EXPECT_EQUAL(reg(RISCV_CQH), 0);
    const struct riscv_command good = riscv_iofence(0, 0, 0);
    memory_write64(&rig.memory, RISCV_RIG_COMMANDS, good.low);
    riscv_rig_write(&rig, RISCV_CQCSR, RISCV_QUEUE_ENABLE | RISCV_QUEUE_MF, 4);
    riscv_rig_settle(&rig);
    EXPECT_EQUAL(reg(RISCV_CQCSR), RISCV_QUEUE_ENABLE | RISCV_QUEUE_ON);
    EXPECT_EQUAL(reg(RISCV_CQH), 1);
    end();
}

TEST_CASE(riscv_commands, a_fence_interrupts_by_wire)
{
    begin();
    riscv_rig_write(&rig, RISCV_FCTL, RISCV_FCTL_WSI, 4);
    riscv_rig_write(&rig, RISCV_CQCSR, RISCV_QUEUE_ENABLE | RISCV_QUEUE_IE, 4);
    riscv_rig_queue(&rig, riscv_iofence(RISCV_FENCE_WSI, 0, 0));
    riscv_rig_ring(&rig);
    riscv_rig_settle(&rig);
    EXPECT(reg(RISCV_CQCSR) & RISCV_CQ_FENCE_WIP);
    EXPECT_EQUAL(reg(RISCV_IPSR), 1 << RISCV_CIP);
    end();
}

TEST_CASE(riscv_commands, the_queue_wraps_around)
{
    begin();
    for (unsigned i = 0; i < 1000; i++) {
        riscv_rig_queue(&rig, riscv_iotinval(RISCV_VMA, 0, 0, 0, 0));
        EXPECT(riscv_rig_fence(&rig, 0));
    }
    EXPECT_EQUAL(reg(RISCV_CQH), 2000 % (1 << RISCV_RIG_QUEUE_LG2));
    EXPECT_EQUAL(rig.iommu.stats.command_iotlb, 1000);
    end();
}

/* ---- Pointers to tables ----------------------------------------------------------------
 */

static void entry(uint64_t pa, uint64_t value)
{
    memory_write64(&rig.memory, pa, value);
}

static uint64_t leaf_to(uint64_t pa)
{
    return pa >> 12 << 10 | RISCV_PTE_V | RISCV_PTE_R | RISCV_PTE_W | RISCV_PTE_U
           | RISCV_PTE_A | RISCV_PTE_D;
}

static uint64_t table_at(uint64_t pa)
{
    return pa >> 12 << 10 | RISCV_PTE_V;
}

static uint64_t translate(uint64_t iova)
{
    struct iommu_response r;
    const struct iommu_request q = { .iova = iova, .access = PT_READ };
    EXPECT(riscv_rig_translate(&rig, &q, &r));
    return r.outcome == XLATE_faulted ? r.cause : r.pa;
}

/* Guest-physical 0x1000 to 0x3000 are first-stage tables, 0x8000 and 0x9000 pages; the
 * second stage's last table is at 0x27000. */
static void nest(void)
{
    entry(0x10000, RISCV_VALID);
    entry(0x10008, riscv_iohgatp(RISCV_SV39, 7, 0x20000));
    entry(0x10018, riscv_table(RISCV_SV39, 0x1000));
    entry(0x20000, table_at(0x26000));
    entry(0x26000, table_at(0x27000));
    for (uint64_t page = 1; page < 10; page++)
        entry(0x27000 + 8 * page, leaf_to(0x30000 + (page << 12)));
    entry(0x31000, table_at(0x2000));
    entry(0x32000, table_at(0x3000));
    entry(0x33000, leaf_to(0x8000));
    entry(0x33008, leaf_to(0x8000));
    riscv_rig_write(&rig, RISCV_DDTP, riscv_ddtp(0x10000, RISCV_DDTP_1LVL), 8);
}

/* A pointer to a first-stage table is a translation of its guest-physical address. */
TEST_CASE(riscv_commands, gvma_of_a_tables_page_drops_the_pointers_to_it)
{
    begin();
    nest();
    EXPECT_EQUAL(translate(0), 0x38000);
    entry(0x40000, 0);
    entry(0x40008, leaf_to(0x9000));
    entry(0x27000 + 8 * 3, leaf_to(0x40000)); /* The last table moves. */
    riscv_rig_queue(
        &rig, riscv_iotinval(RISCV_GVMA, RISCV_INVAL_GV | RISCV_INVAL_AV, 7, 0, 0x3000));
    EXPECT(riscv_rig_fence(&rig, 0));
    EXPECT_EQUAL(translate(0x1000), 0x39000);
    end();
}
