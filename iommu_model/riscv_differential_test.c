/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The RISC-V IOMMU against the oracle: random tables, requests, changes and invalidations.
 *
 * A machine is an IOMMU with random parameters; it sees one random world after the other.
 * In each, a first request meets cold caches, others warm ones, some come at once, and then
 * the tables change. IOVASIM_CAMPAIGN=1 runs ten million cases instead of one,
 * IOVASIM_CAMPAIGN_SEED other ones.
 *
 * Where an implementation may differ from the oracle:
 *  - With walker.fill_denied, a walk goes on behind a first stage that does not allow the
 *    access, and may meet a fault of the second stage: that one is reported.
 *  - Of a 64 KiB page's 16 entries, one that is cached stands for all: after hardware has
 *    updated one of them, neither are updates of the others demanded of warm caches, nor
 *    the faults of those whose bits are still clear.
 */
#include <stdlib.h>
#include <string.h>

#include "sim/app/config.h"
#include "sim/test/riscv_rig.h"
#include "sim/test/riscv_world.h"
#include "sim/test/shim.h"

enum { WORLDS = 40, BATCH = 8, CAUSES = 320, COMPLAINTS_MAX = 10, NAPOT_ENTRIES = 16 };

struct bench {
    struct riscv_rig rig;
    struct world world;
    struct config zdl;
    struct oracle_iommu oracle;
    uint64_t shadow[WORLD_WORDS][NAPOT_ENTRIES]; /* What the world's words should be. */
    bool like_zdl, no_walkcache;
    uint64_t seed, machine;
    uint64_t cases, passed;
    unsigned complaints;
    uint64_t cause_seen[CAUSES], ddtp_seen[5], stages_seen[4][4], msi_seen, update_seen;
    uint64_t unrecorded_seen, changed_seen, napot_seen;
};

/* ---- Machines ---------------------------------------------------------------------------
 */

static unsigned below(struct bench *b, unsigned bound)
{
    return world_below(&b->world, bound);
}

static bool coin(struct bench *b)
{
    return below(b, 2) == 1;
}

static uint32_t some_levels(struct bench *b)
{
    static const uint32_t levels[] = { 0, 3, 3, 4, 5, 5, 5, 5 };
    return levels[below(b, 8)];
}

static void offer(struct bench *b, struct riscv_config *c)
{
    c->stage1_levels_max = some_levels(b);
    c->stage2_levels_max = some_levels(b);
    c->napot             = coin(b);
    c->msi_flat          = coin(b);
    c->process_contexts  = below(b, 4) != 0;
    c->hpm_counters      = 0;
    c->recheck_dirty     = 1;
}

static void small_caches(struct bench *b, struct iommu_settings *s)
{
    const uint32_t entries[] = { 0, 4, 16 };
    s->iotlb.sets            = UINT32_C(1) << below(b, 4);
    s->iotlb.ways            = 1 + below(b, 4);
    s->context.device_sets = s->context.process_sets = 1 + below(b, 2);
    s->context.device_ways = s->context.process_ways = 1 + below(b, 3);
    s->walkcache.level0_entries                      = entries[below(b, 3)];
    s->walkcache.level1_entries                      = entries[below(b, 3)];
    s->walkcache.level2_entries                      = entries[below(b, 3)];
    s->walkcache.level3_entries                      = entries[below(b, 3)];
    if (below(b, 3) == 0)
        s->walkcache.level0_entries     = s->walkcache.level1_entries =
            s->walkcache.level2_entries = s->walkcache.level3_entries = 0;
}

/* Slow walks and quick commands: what was read before a change is filled after it. */
static void slow_walks(struct bench *b, struct iommu_settings *s)
{
    s->walker.step_cycles   = 1 + below(b, 60);
    s->walker.update_cycles = 1 + below(b, 60);
    s->context.step_cycles  = 1 + below(b, 60);
    s->context.fill_cycles  = 1 + below(b, 60);
    s->invq.start_cycles    = 1;
    s->invq.execute_cycles  = 1;
}

static void default_machine(struct bench *b)
{
    struct iommu_settings *s = &b->rig.settings;
    riscv_rig_defaults(&b->rig);
    small_caches(b, s);
    if (coin(b))
        slow_walks(b, s);
    offer(b, &b->rig.riscv);
    b->rig.riscv.amo_hwad   = coin(b);
    s->iommu.inflight       = 1 + below(b, 12);
    s->iommu.relookup       = below(b, 4) == 0;
    s->walker.walkers       = 1 + below(b, 4);
    s->walker.walks         = s->walker.walkers + below(b, 4);
    s->walker.start_cycles  = 1 + below(b, 20);
    s->walker.fill_denied   = below(b, 4) == 0 && !b->rig.riscv.amo_hwad;
    s->memport.inflight_max = 1 + below(b, 8);
    s->invq.fetch_commands  = UINT32_C(1) << below(b, 3);
    s->faultq.depth         = 64;
    b->like_zdl             = false;
}

static void zdl_machine(struct bench *b)
{
    b->rig.settings      = config_settings(&b->zdl);
    b->rig.settings.arch = &b->rig.riscv;
    b->rig.riscv         = b->zdl.riscv;
    offer(b, &b->rig.riscv);
    b->rig.riscv.read_reserved = 1;
    b->rig.settings.iotlb.ways = UINT32_C(4) << below(b, 3);
    b->rig.settings.write_ps   = RISCV_RIG_LATENCY * RISCV_RIG_PERIOD_PS;
    b->like_zdl                = true;
}

static void start_machine(struct bench *b)
{
    const struct walkcache_config *c = &b->rig.settings.walkcache;
    b->world.rng = rng_make(b->seed * UINT64_C(1000003) + b->machine, "differential");
    if (below(b, 4) == 0)
        zdl_machine(b);
    else
        default_machine(b);
    b->no_walkcache =
        c->level0_entries + c->level1_entries + c->level2_entries + c->level3_entries == 0;
    riscv_rig_start(&b->rig);
    b->world.memory        = &b->rig.memory;
    b->world.napot         = b->rig.riscv.napot;
    b->world.capabilities  = riscv_rig_read(&b->rig, RISCV_CAPABILITIES, 8);
    b->oracle.capabilities = b->world.capabilities;
}

/* ---- Complaints -------------------------------------------------------------------------
 */

static void complain(struct bench *b, const struct oracle_request *q,
                     const struct oracle_result *want, const char *what, uint64_t got,
                     uint64_t wanted)
{
    char text[400];
    snprintf(text, sizeof text,
             "seed %llu machine %llu%s case %llu: %s is %llx, want %llx; device %x pv %d "
             "process %x priv %d iova %llx access %d; oracle: cause %u pa %llx gpa %llx",
             (unsigned long long)b->seed, (unsigned long long)b->machine,
             b->like_zdl ? " (zdl)" : "", (unsigned long long)b->cases, what,
             (unsigned long long)got, (unsigned long long)wanted, q->device_id, q->pv,
             q->process_id, q->priv, (unsigned long long)q->iova, (int)q->access,
             want->cause, (unsigned long long)want->pa, (unsigned long long)want->gpa);
    if (b->complaints++ < COMPLAINTS_MAX)
        shim_true(false, text, __FILE__, __LINE__);
}

/* ---- One request ------------------------------------------------------------------------
 */

static bool read_word(void *self, uint64_t pa, uint64_t *word)
{
    *word = memory_read64(self, pa);
    return true;
}

static struct iommu_request request_of(const struct oracle_request *q, uint32_t id)
{
    static const uint8_t access[] = { PT_READ, PT_WRITE, PT_EXECUTE };
    return (struct iommu_request){ .iova       = q->iova,
                                   .id         = id,
                                   .requester  = q->device_id,
                                   .pasid      = q->process_id,
                                   .access     = access[q->access],
                                   .has_pasid  = q->pv,
                                   .privileged = q->priv };
}

static bool redirects(const struct bench *b, uint32_t id)
{
    for (unsigned i = 0; i < b->world.device_count; i++)
        if (b->world.device[i].id == id && b->world.device[i].redirects)
            return true;
    return false;
}

static bool is_page_fault(unsigned cause)
{
    return cause >= ORACLE_INSTRUCTION_PAGE_FAULT && cause <= ORACLE_WRITE_GUEST_FAULT;
}

/* See the top of the file. */
static bool is_liberty(const struct bench *b, const struct oracle_result *want,
                       const struct iommu_response *r)
{
    if (want->ok || !is_page_fault(want->cause))
        return false;
    if (r->outcome != XLATE_faulted)
        return b->rig.riscv.amo_hwad && b->world.has_napot;
    return b->rig.settings.walker.fill_denied && want->cause <= ORACLE_WRITE_PAGE_FAULT
           && (r->cause >= ORACLE_INSTRUCTION_GUEST_FAULT || r->cause < 8);
}

static void note(struct bench *b, const struct oracle_result *want)
{
    CHECK(want->cause < CAUSES);
    b->cases++;
    b->cause_seen[want->cause]++;
    b->passed += want->ok;
    b->msi_seen += want->is_msi;
    b->update_seen += want->update_count > 0;
    b->unrecorded_seen += !want->ok && !want->reported;
    b->napot_seen += want->ok && (want->s1_lg2 == 16 || want->s2_lg2 == 16);
}

static bool judge(struct bench *b, const struct oracle_request *q,
                  const struct oracle_result *want, const struct iommu_response *r)
{
    note(b, want);
    if (is_liberty(b, want, r))
        return false;
    const bool ok = r->outcome != XLATE_faulted;
    if (ok != want->ok)
        complain(b, q, want, ok ? "not a fault; pa" : "cause", ok ? r->pa : r->cause,
                 ok ? want->cause : 0);
    else if (!ok && r->cause != want->cause)
        complain(b, q, want, "cause", r->cause, want->cause);
    else if (ok && r->pa != want->pa)
        complain(b, q, want, "pa", r->pa, want->pa);
    else if (ok && !redirects(b, q->device_id) && r->page_lg2 != want->page_lg2)
        complain(b, q, want, "page_lg2", r->page_lg2, want->page_lg2);
    return true;
}

/* The records in the queue are those of the faults, in whatever order. */
struct faults {
    struct oracle_request request[BATCH];
    struct oracle_result result[BATCH];
    unsigned count;
    bool any; /* One may be missing or be another. */
};

static void expect_record(struct faults *f, const struct oracle_request *q,
                          const struct oracle_result *want)
{
    if (want->ok || !want->reported)
        return;
    f->request[f->count]  = *q;
    f->result[f->count++] = *want;
}

static void take_records(struct bench *b, struct faults *f)
{
    uint64_t is[4], want[4];
    while (riscv_rig_fault(&b->rig, is)) {
        unsigned i = 0;
        for (; i < f->count; i++) {
            oracle_fault_record(&f->request[i], &f->result[i], want);
            if (memcmp(is, want, sizeof is) == 0)
                break;
        }
        if (i < f->count) {
            f->count--;
            f->request[i] = f->request[f->count];
            f->result[i]  = f->result[f->count];
        } else if (!f->any && f->count > 0) {
            for (i = 0; is[i] == want[i];)
                i++;
            complain(b, &f->request[f->count - 1], &f->result[f->count - 1],
                     i == 0   ? "record[0]"
                     : i == 2 ? "record[2]"
                              : "record[3]",
                     is[i], want[i]);
        } else if (!f->any) {
            const struct oracle_request q      = { .iova = is[2] };
            const struct oracle_result nothing = { .ok = true };
            complain(b, &q, &nothing, "a record without a fault", is[0], 0);
        }
    }
    if (f->count > 0 && !f->any && b->complaints == 0)
        complain(b, &f->request[0], &f->result[0], "records missing", 0, f->count);
}

/* ---- Memory -----------------------------------------------------------------------------
 */

static void remember(struct bench *b)
{
    for (unsigned i = 0; i < b->world.word_count; i++)
        for (unsigned k = 0; k < b->world.word[i].count; k++)
            b->shadow[i][k] = memory_read64(&b->rig.memory, b->world.word[i].pa + 8 * k);
}

static void apply(struct bench *b, const struct oracle_result *want)
{
    for (unsigned u = 0; u < want->update_count; u++)
        for (unsigned i = 0; i < b->world.word_count; i++) {
            const struct world_word *word = &b->world.word[i];
            const uint64_t at             = want->updates[u].pa - word->pa;
            if (at < 8 * (uint64_t)word->count)
                b->shadow[i][at / 8] |= want->updates[u].value;
        }
}

static void compare_memory(struct bench *b, const struct oracle_request *q,
                           const struct oracle_result *want)
{
    for (unsigned i = 0; i < b->world.word_count; i++)
        for (unsigned k = 0; k < b->world.word[i].count; k++) {
            const uint64_t is = memory_read64(&b->rig.memory, b->world.word[i].pa + 8 * k);
            if (is != b->shadow[i][k])
                complain(b, q, want, "an entry in memory", is, b->shadow[i][k]);
        }
}

/* ---- Rounds -----------------------------------------------------------------------------
 */

static void ask(struct bench *b, struct oracle_request q, bool cold)
{
    struct iommu_response r;
    struct faults faults             = { 0 };
    const struct iommu_request asked = request_of(&q, 7);
    const struct oracle_result want  = oracle_translate(&b->oracle, &q);
    const bool hwad                  = b->rig.riscv.amo_hwad;
    if (!riscv_rig_translate(&b->rig, &asked, &r)) {
        complain(b, &q, &want, "answers", 0, 1);
        return;
    }
    riscv_rig_settle(&b->rig);
    const bool strict = judge(b, &q, &want, &r);
    expect_record(&faults, &q, &want);
    faults.any = !strict;
    take_records(b, &faults);
    const unsigned reads =
        want.ddt_reads + want.pdt_reads + want.s1_reads + want.s2_reads + want.msi_reads;
    if (cold && strict && b->no_walkcache && r.reads != reads
        && (want.ok || !b->rig.settings.walker.fill_denied))
        complain(b, &q, &want, "reads", r.reads, reads);
    if (!hwad)
        return;
    apply(b, &want);
    if (cold || !b->world.has_napot)
        compare_memory(b, &q, &want);
    remember(b);
}

static void one_request(struct bench *b, bool cold)
{
    ask(b, world_request(&b->world), cold);
}

static void many_requests(struct bench *b)
{
    struct oracle_request q[BATCH];
    struct oracle_result want[BATCH];
    struct iommu_response r;
    struct faults faults = { .any = b->like_zdl }; /* It loses records. */
    for (uint32_t i = 0; i < BATCH; i++) {
        q[i] = i > 0 && coin(b) ? q[i - 1] : world_request(&b->world);
        if (coin(b))
            q[i].iova ^= below(b, 4096);
        if (coin(b))
            q[i].access = (enum oracle_access)below(b, 3);
        want[i]                          = oracle_translate(&b->oracle, &q[i]);
        const struct iommu_request asked = request_of(&q[i], i);
        expect_record(&faults, &q[i], &want[i]);
        riscv_rig_submit(&b->rig, &asked);
    }
    for (unsigned i = 0; i < BATCH; i++)
        if (riscv_rig_next(&b->rig, &r))
            faults.any |= !judge(b, &q[r.id], &want[r.id], &r);
        else
            complain(b, &q[i], &want[i], "answers", i, BATCH);
    riscv_rig_settle(&b->rig);
    take_records(b, &faults);
    if (!b->rig.riscv.amo_hwad)
        return;
    for (unsigned i = 0; i < BATCH; i++)
        apply(b, &want[i]);
    if (!b->world.has_napot)
        compare_memory(b, &q[0], &want[0]);
    remember(b);
}

/* ---- Changes and invalidations ----------------------------------------------------------
 */

static void vma(struct bench *b, const struct world_device *d, uint64_t flags,
                uint32_t pscid, uint64_t address)
{
    const uint64_t iohgatp = memory_read64(&b->rig.memory, d->dc_pa + 8);
    const uint64_t gv      = riscv_table_mode(iohgatp) != RISCV_BARE ? RISCV_INVAL_GV : 0;
    riscv_rig_queue(&b->rig, riscv_iotinval(RISCV_VMA, flags | gv,
                                            riscv_iohgatp_gscid(iohgatp), pscid, address));
}

static void gvma(struct bench *b, const struct world_device *d, uint64_t flags,
                 uint64_t address)
{
    const uint64_t iohgatp = memory_read64(&b->rig.memory, d->dc_pa + 8);
    riscv_rig_queue(&b->rig, riscv_iotinval(RISCV_GVMA, flags, riscv_iohgatp_gscid(iohgatp),
                                            0, address));
}

static void forget_translations(struct bench *b)
{
    riscv_rig_queue(&b->rig, riscv_iotinval(RISCV_VMA, 0, 0, 0, 0));
    gvma(b, &b->world.device[0], 0, 0);
}

static void forget_everything(struct bench *b)
{
    riscv_rig_queue(&b->rig, riscv_iodir(RISCV_INVAL_DDT, false, 0, 0));
    forget_translations(b);
    EXPECT(riscv_rig_fence(&b->rig, 0));
}

static bool is_leaf(uint64_t entry)
{
    return (entry & RISCV_PTE_V) && (entry & (RISCV_PTE_R | RISCV_PTE_X));
}

/* What software has to do after one of the entries has changed. */
static void forget_page(struct bench *b, const struct world_word *word, bool leaf)
{
    const struct world_device *d = &b->world.device[word->device];
    const bool process           = !b->world.global && !b->world.moved && coin(b);
    const uint64_t flags =
        (leaf && coin(b) ? RISCV_INVAL_AV : 0) | (process ? RISCV_INVAL_PSCV : 0);
    if (word->kind == WORLD_S1_TABLE || word->kind == WORLD_S1_LEAF) {
        vma(b, d, flags, word->pscid, word->address);
        return;
    }
    if (d->processes > 0) /* Their directory may lie elsewhere. */
        riscv_rig_queue(&b->rig, riscv_iodir(RISCV_INVAL_DDT, true, d->id, 0));
    if (!leaf || coin(b))
        gvma(b, d, coin(b) ? RISCV_INVAL_GV : 0, 0);
    else
        gvma(b, d, RISCV_INVAL_GV | RISCV_INVAL_AV, word->address);
    vma(b, d, 0, 0, 0); /* First-stage tables may lie elsewhere now. */
}

static void forget(struct bench *b, const struct world_word *word, bool leaf)
{
    const struct world_device *d = &b->world.device[word->device];
    switch ((enum world_kind)word->kind) {
    case WORLD_DDT:
        riscv_rig_queue(&b->rig, riscv_iodir(RISCV_INVAL_DDT, false, 0, 0));
        break;
    case WORLD_DC:
    case WORLD_PDT:
        riscv_rig_queue(&b->rig, riscv_iodir(RISCV_INVAL_DDT, coin(b), d->id, 0));
        break;
    case WORLD_PC:
        riscv_rig_queue(&b->rig, riscv_iodir(RISCV_INVAL_PDT, true, d->id, word->process));
        break;
    case WORLD_S1_TABLE:
    case WORLD_S1_LEAF:
    case WORLD_S2_TABLE:
    case WORLD_S2_LEAF:
        forget_page(b, word, leaf);
        return;
    case WORLD_MSI:
    case WORLD_KINDS:
        break;
    }
    forget_translations(b);
}

static void send_some(struct bench *b, struct oracle_request *q, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        q[i]                             = world_request(&b->world);
        const struct iommu_request asked = request_of(&q[i], i);
        riscv_rig_submit(&b->rig, &asked);
    }
    riscv_rig_run(&b->rig, b->rig.now + (uint64_t)below(b, 200) * RISCV_RIG_PERIOD_PS);
}

/* Whatever they were answered. */
static void take_some(struct bench *b, unsigned count)
{
    struct iommu_response ignored;
    struct faults faults = { .any = true };
    for (unsigned i = 0; i < count; i++)
        EXPECT(riscv_rig_next(&b->rig, &ignored));
    riscv_rig_settle(&b->rig);
    take_records(b, &faults);
}

/* Changes an entry and has it forgotten. */
static void damage_and_forget(struct bench *b)
{
    uint64_t before[WORLD_WORDS];
    for (unsigned i = 0; i < b->world.word_count; i++)
        before[i] = memory_read64(&b->rig.memory, b->world.word[i].pa);
    const bool moved              = b->world.moved;
    const struct world_word *word = world_damage(&b->world);
    const uint64_t was            = before[word - b->world.word];
    const uint64_t is             = memory_read64(&b->rig.memory, word->pa);
    const bool leaf =
        is_leaf(was) && (!(is & 1) || is_leaf(is)) && !((was ^ is) & RISCV_PTE_N);
    if ((was & 1) || word->kind == WORLD_DC || word->kind == WORLD_PC
        || word->kind == WORLD_MSI)
        forget(b, word, leaf);
    if (moved) { /* The word may be another table's, too. */
        riscv_rig_queue(&b->rig, riscv_iodir(RISCV_INVAL_DDT, false, 0, 0));
        forget_translations(b);
    }
    EXPECT(riscv_rig_fence(&b->rig, coin(b) ? RISCV_FENCE_PR | RISCV_FENCE_PW : 0));
    b->changed_seen++;
}

/* Perhaps under requests that are on their way: those may see either, later ones may not.
 */
static void change(struct bench *b)
{
    struct oracle_request q[BATCH];
    const unsigned under_way = !b->like_zdl && coin(b) ? BATCH : 0;
    send_some(b, q, under_way);
    damage_and_forget(b);
    take_some(b, under_way);
    remember(b);
    for (unsigned i = 0; i < under_way; i++)
        ask(b, q[i], false);
}

static void one_world(struct bench *b)
{
    struct world *w = &b->world;
    world_build(w);
    for (unsigned damages = below(b, 5); damages > 2; damages--)
        world_damage(w);
    riscv_rig_write(&b->rig, RISCV_DDTP, 0, 8);
    riscv_rig_write(&b->rig, RISCV_DDTP, w->ddtp, 8);
    b->oracle.ddtp = riscv_rig_read(&b->rig, RISCV_DDTP, 8);
    b->ddtp_seen[b->oracle.ddtp & 0xf]++;
    for (unsigned i = 0; i < w->device_count; i++)
        b->stages_seen[w->device[i].s1_mode & 3][w->device[i].s2_mode & 3]++;
    forget_everything(b);
    remember(b);
    one_request(b, true);
    for (unsigned i = 0; i < 8; i++)
        one_request(b, false);
    many_requests(b);
    for (unsigned changes = below(b, 3); changes > 0; changes--) {
        change(b);
        for (unsigned i = 0; i < 4; i++)
            one_request(b, false);
    }
    world_clear(w);
}

static void run(struct bench *b, uint64_t cases)
{
    struct error error;
    const char *seed = getenv("IOVASIM_CAMPAIGN_SEED");
    b->seed          = seed == NULL ? 1 : strtoull(seed, NULL, 10);
    riscv_rig_open(&b->rig);
    CHECK(config_init(&b->zdl, "riscv-zdl", &error));
    b->oracle.read = read_word;
    b->oracle.self = &b->rig.memory;
    for (b->machine = 0; b->cases < cases && b->complaints < COMPLAINTS_MAX; b->machine++) {
        start_machine(b);
        for (unsigned i = 0; i < WORLDS; i++)
            one_world(b);
        riscv_rig_stop(&b->rig);
    }
    config_free(&b->zdl);
    riscv_rig_close(&b->rig);
}

/* ---- Tests ------------------------------------------------------------------------------
 */

static void expect_variety(const struct bench *b)
{
    static const uint16_t causes[] = { 1,   5,   7,   12,  13,  15,  20,  21,  23,  256,
                                       257, 258, 259, 260, 261, 262, 263, 265, 266, 267 };
    for (unsigned i = 0; i < sizeof causes / sizeof causes[0]; i++)
        if (b->cause_seen[causes[i]] == 0)
            EXPECT_EQUAL(0, causes[i]);
    for (unsigned mode = 0; mode < 5; mode++)
        EXPECT(b->ddtp_seen[mode] > 0);
    for (unsigned s1 = 0; s1 < 4; s1++)
        for (unsigned s2 = 0; s2 < 4; s2++)
            EXPECT((s1 == 3 || s2 == 3) == (b->stages_seen[s1][s2] == 0));
    EXPECT(b->msi_seen > 0);
    EXPECT(b->update_seen > 0);
    EXPECT(b->unrecorded_seen > 0);
    EXPECT(b->changed_seen > 0);
    EXPECT(b->napot_seen > 0);
    EXPECT(4 * b->passed > b->cases);
}

TEST_CASE(riscv_differential, every_answer_is_the_specifications)
{
    const char *campaign = getenv("IOVASIM_CAMPAIGN");
    struct bench *b      = calloc(1, sizeof *b);
    CHECK(b != NULL);
    run(b, campaign != NULL ? 10000000 : 1000000);
    EXPECT_EQUAL(b->complaints, 0);
    expect_variety(b);
    free(b);
}
