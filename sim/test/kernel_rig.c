/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/test/kernel_rig.h"

#include <stdlib.h>
#include <string.h>

#include "sim/host/direct.h"
#include "sim/test/shim.h"

/* ---- Life ---------------------------------------------------------------------------- */

static bool has_iommu(const struct kernel_rig *r)
{
    return r->hardware == RIG_VTD || r->hardware == RIG_RISCV;
}

static void reset(struct kernel_rig *r)
{
    param_reset(&cpu_param_table, &r->cpu_config);
    param_reset(&linux_param_table, &r->linux_config);
    param_reset(&cost_param_table, &r->cost);
    param_reset(&iommu_param_table, &r->settings.iommu);
    param_reset(&context_param_table, &r->settings.context);
    param_reset(&iotlb_param_table, &r->settings.iotlb);
    param_reset(&walkcache_param_table, &r->settings.walkcache);
    param_reset(&walker_param_table, &r->settings.walker);
    param_reset(&memport_param_table, &r->settings.memport);
    param_reset(&invq_param_table, &r->settings.invq);
    param_reset(&faultq_param_table, &r->settings.faultq);
    param_reset(&vtd_param_table, &r->vtd);
    param_reset(&riscv_param_table, &r->riscv);
    param_reset(&extension_param_table, &r->extension_config);
    r->settings.arch     = &r->vtd;
    r->settings.write_ps = 90 * TIME_NS;
    r->fake_format       = "vtdss";
    r->fake_levels       = 4;
    r->fake_leaf_sizes   = ptfmt_find("vtdss")->leaf_sizes;
}

struct kernel_rig *kernel_rig_new(enum kernel_rig_hardware hardware)
{
    struct kernel_rig *r = calloc(1, sizeof *r);
    CHECK(r != NULL);
    reset(r);
    r->hardware = hardware;
    if (hardware == RIG_RISCV) {
        r->settings.arch       = &r->riscv;
        r->settings.iommu.arch = "riscv";
    }
    r->cpus = 1;
    kernel_rig_policy(r, "strict");
    return r;
}

void kernel_rig_free(struct kernel_rig *r)
{
    free(r->policy_config);
    free(r);
}

void kernel_rig_policy(struct kernel_rig *r, const char *name)
{
    r->policy = flush_find(name);
    CHECK(r->policy != NULL);
    free(r->policy_config);
    r->policy_config = NULL;
    if (r->policy->params == NULL)
        return;
    r->policy_config = calloc(1, r->policy->params->bytes);
    CHECK(r->policy_config != NULL);
    param_reset(r->policy->params, r->policy_config);
}

void kernel_rig_policy_set(struct kernel_rig *r, const char *name, const char *value)
{
    const struct param_table *t = r->policy->params;
    struct error error;
    CHECK(param_set(t, param_find(t, name), r->policy_config, value, &error));
}

/* ---- Events -------------------------------------------------------------------------- */

static void note(struct kernel_rig *r, enum kernel_event_kind kind, uint64_t first,
                 uint64_t last, bool tables)
{
    uint64_t pa;
    if (r->events == RIG_EVENTS_MAX)
        return;
    r->event[r->events++] = (struct kernel_event){
        .kind   = kind,
        .cpu    = cpu_this()->id,
        .first  = first,
        .last   = last,
        .tables = tables,
        .mapped = kind != EVENT_TABLE_FREED && r->domain != NULL
                  && kernel_rig_lookup(r, &r->domain->table, first, &pa) != 0,
        .released = r->domain == NULL ? 0 : r->domain->iova.stats.release,
        .time     = cpu_this()->time,
    };
}

static void given_back(void *self, uint32_t space, uint64_t iova, uint64_t bytes,
                       sim_time_t now)
{
    struct kernel_rig *r        = self;
    const struct observer audit = audit_observer(&r->audit);
    note(r, EVENT_GIVEN_BACK, iova, iova + bytes - 1, false);
    if (has_iommu(r))
        audit.given_back(audit.self, space, iova, bytes, now);
}

static void handed_out(void *self, uint32_t space, uint64_t iova, uint64_t bytes,
                       sim_time_t now)
{
    struct kernel_rig *r        = self;
    const struct observer audit = audit_observer(&r->audit);
    note(r, EVENT_HANDED_OUT, iova, iova + bytes - 1, false);
    if (has_iommu(r))
        audit.handed_out(audit.self, space, iova, bytes, now);
}

static void table_freed(void *self, uint64_t pa, sim_time_t now)
{
    struct kernel_rig *r        = self;
    const struct observer audit = audit_observer(&r->audit);
    note(r, EVENT_TABLE_FREED, pa, pa, true);
    if (has_iommu(r))
        audit.table_freed(audit.self, pa, now);
}

const struct kernel_event *kernel_rig_event(const struct kernel_rig *r,
                                            enum kernel_event_kind kind, unsigned from,
                                            unsigned nth)
{
    for (unsigned i = from; i < r->events; i++)
        if (r->event[i].kind == kind && nth-- == 0)
            return &r->event[i];
    return NULL;
}

unsigned kernel_rig_count(const struct kernel_rig *r, enum kernel_event_kind kind,
                          unsigned from)
{
    unsigned count = 0;
    for (unsigned i = from; i < r->events; i++)
        count += r->event[i].kind == kind;
    return count;
}

/* ---- The fake backend ---------------------------------------------------------------- */

static void fake_tables(void *state, const struct pt_format **format, unsigned *levels,
                        uint64_t *leaf_sizes)
{
    const struct kernel_rig *r = state;
    *format                    = ptfmt_find(r->fake_format);
    *levels                    = r->fake_levels;
    *leaf_sizes                = r->fake_leaf_sizes;
}

static bool fake_domain_init(void *state, struct dma_domain *d)
{
    (void)state;
    d->id = 7;
    return true;
}

static void fake_domain_exit(void *state, struct dma_domain *d)
{
    (void)state;
    (void)d;
}

static bool fake_attach(void *state, struct dma_domain *d, struct device *dev)
{
    (void)state;
    (void)d;
    (void)dev;
    return true;
}

static void fake_detach(void *state, struct dma_domain *d, struct device *dev)
{
    (void)state;
    (void)d;
    (void)dev;
}

static void fake_flush(struct kernel_rig *r)
{
    struct cpu *cpu = cpu_this();
    cpu_spend(cpu, r->fake_flush_cycles);
    cpu_sync(cpu);
    note(r, EVENT_FLUSHED, 0, 0, false);
}

static void fake_map_sync(void *state, struct dma_domain *d, uint64_t first, uint64_t last)
{
    (void)d;
    note(state, EVENT_MAP_SYNC, first, last, false);
}

static void fake_flush_range(void *state, struct dma_domain *d, uint64_t first,
                             uint64_t last, bool tables, unsigned leaf_lg2)
{
    (void)d;
    (void)leaf_lg2;
    note(state, EVENT_FLUSH_RANGE, first, last, tables);
    fake_flush(state);
}

static void fake_flush_all(void *state, struct dma_domain *d)
{
    (void)d;
    note(state, EVENT_FLUSH_ALL, 0, UINT64_MAX, true);
    fake_flush(state);
}

static void fake_flush_spans(void *state, struct dma_domain *d,
                             const struct flush_span *span, unsigned spans,
                             const struct flush_how *how)
{
    (void)d;
    for (unsigned i = 0; i < spans; i++)
        note(state, EVENT_FLUSH_RANGE, span[i].first, span[i].last, how->tables);
    fake_flush(state);
}

static const struct backend fake = {
    .name        = "fake",
    .summary     = "Writes down what it is asked",
    .tables      = fake_tables,
    .domain_init = fake_domain_init,
    .domain_exit = fake_domain_exit,
    .attach      = fake_attach,
    .detach      = fake_detach,
    .map_sync    = fake_map_sync,
    .flush_range = fake_flush_range,
    .flush_all   = fake_flush_all,
    .flush_spans = fake_flush_spans,
};

/* ---- The registers, with a spy in front -------------------------------------------- */

static void spy_on_tail(struct kernel_rig *r, uint64_t tail)
{
    const uint64_t iqa   = iommu_mmio_ops.read(&r->iommu, VTD_IQA, 8, r->engine.now);
    const uint64_t queue = iqa & VTD_TABLE_MASK;
    const unsigned wide  = iqa & VTD_IQA_DW ? 1 : 0;
    tail >>= VTD_IQ_ENTRY_LG2 + wide;
    for (uint64_t i = r->shown_tail; i != tail && r->descriptors < RIG_DESCRIPTORS_MAX;
         i          = (i + 1) % RIG_QUEUE_ENTRIES) {
        const uint64_t slot = queue + (i * VTD_IQ_ENTRY_BYTES << wide);
        if (r->spoil)
            memory_write64(&r->memory, slot, 0);
        r->spoil = false;
        r->descriptor[r->descriptors++] =
            (struct kernel_descriptor){ { memory_read64(&r->memory, slot),
                                          memory_read64(&r->memory, slot + 8) },
                                        r->tail_writes };
    }
    r->tail_writes += tail != r->shown_tail;
    r->shown_tail = tail;
}

static void window_write(void *self, uint32_t offset, uint64_t value, unsigned bytes,
                         sim_time_t now)
{
    struct kernel_rig *r = self;
    if (r->hardware == RIG_VTD && offset == VTD_IQT)
        spy_on_tail(r, value);
    iommu_mmio_ops.write(&r->iommu, offset, value, bytes, now);
}

static uint64_t window_read(void *self, uint32_t offset, unsigned bytes, sim_time_t now)
{
    struct kernel_rig *r = self;
    const uint64_t value = iommu_mmio_ops.read(&r->iommu, offset, bytes, now);
    if (r->hardware != RIG_VTD)
        return value;
    r->status_reads += offset == VTD_FSTS;
    return offset == VTD_ECAP ? value & ~r->ecap_hidden : value;
}

static const struct mmio_ops window_ops = { window_write, window_read };

/* ---- The device -------------------------------------------------------------------- */

/* A message to the device: what it names is dropped, and answered a while later. */
static bool device_told(void *self, const struct port_invalidation *i, sim_time_t now)
{
    struct kernel_rig *r = self;
    if (i->requester != r->device.requester)
        return false;
    for (unsigned k = 0; k < RIG_DEVICE_TLB && !r->deaf; k++)
        if (r->tlb[k].iova >= i->first && r->tlb[k].iova <= i->last)
            r->tlb[k].prot = 0;
    r->invalidations += !r->deaf;
    r->answering |= UINT32_C(1) << i->itag;
    r->answer_at = now + r->answer_after;
    if (r->answer_after > r->answers_faster)
        r->answer_after -= r->answers_faster;
    *r->client_due = time_min(*r->client_due, r->answer_at);
    return true;
}

static sim_time_t answer_messages(struct kernel_rig *r, sim_time_t now)
{
    const uint32_t tags = r->answering;
    if (tags == 0 || r->answer_at > now)
        return tags == 0 ? TIME_NEVER : r->answer_at;
    r->answering = 0;
    iommu_invalidated(&r->iommu, r->device.requester, tags, 1, now);
    return TIME_NEVER;
}

static void client_step(void *self, sim_time_t now)
{
    struct kernel_rig *r = self;
    const struct iommu_response *a;
    sim_time_t next = TIME_NEVER;
    *r->client_due  = TIME_NEVER;
    while ((a = iommu_take(&r->iommu, r->client, now, &next)) != NULL) {
        const uint32_t id = a->id;
        r->answer[id]     = *a;
        r->answered[id]   = true;
        if (a->outcome != XLATE_faulted)
            iommu_retire(&r->iommu, r->answer[id].epoch, now);
        cpu_wake(&r->cpu[id], now);
    }
    *r->client_due = time_min(*r->client_due, next);
    *r->client_due = time_min(*r->client_due, answer_messages(r, now));
}

static const struct iommu_response *ask(struct kernel_rig *r, uint64_t iova,
                                        unsigned access, enum port_type type)
{
    struct cpu *cpu = cpu_this();
    CHECK(has_iommu(r));
    cpu_sync(cpu);
    while (!iommu_ready(&r->iommu, r->client))
        kernel_rig_sleep_until(cpu->time + 100 * TIME_NS);
    r->answered[cpu->id]      = false;
    *iommu_request(&r->iommu) = (struct iommu_request){ .iova      = iova,
                                                        .id        = cpu->id,
                                                        .requester = r->device.requester,
                                                        .access    = (uint8_t)access,
                                                        .type      = (uint8_t)type };
    iommu_submit(&r->iommu, r->client, cpu->time);
    while (!r->answered[cpu->id])
        cpu_wait(cpu, TIME_NEVER);
    return &r->answer[cpu->id];
}

/* Asks for the page until no message has come meanwhile, which may have been of it. */
static struct kernel_rig_page translation_of(struct kernel_rig *r, uint64_t page)
{
    struct kernel_rig_page *own = &r->tlb[(page >> 12) % RIG_DEVICE_TLB];
    if (own->prot != 0 && own->iova == page) {
        r->tlb_hits++;
        return *own;
    }
    for (;;) {
        const uint64_t before          = r->invalidations;
        const struct iommu_response *a = ask(r, page, PT_READ, PORT_TRANSLATION);
        const struct kernel_rig_page p = { page, a->pa & ~UINT64_C(0xfff),
                                           a->outcome == XLATE_faulted
                                               ? 0
                                               : a->prot & (PT_READ | PT_WRITE) };
        if (r->invalidations != before)
            continue;
        *own = p;
        return p;
    }
}

static bool reach_translated(struct kernel_rig *r, uint64_t iova, unsigned access,
                             uint64_t *pa)
{
    const struct kernel_rig_page p = translation_of(r, iova & ~UINT64_C(0xfff));
    if (!(p.prot & access))
        return false;
    const struct iommu_response *a = ask(r, p.pa | (iova & 0xfff), access, PORT_TRANSLATED);
    *pa                            = a->pa;
    return a->outcome != XLATE_faulted;
}

bool kernel_rig_reach(struct kernel_rig *r, uint64_t iova, unsigned access, uint64_t *pa)
{
    if (r->ats)
        return reach_translated(r, iova, access, pa);
    const struct iommu_response *a = ask(r, iova, access, PORT_UNTRANSLATED);
    *pa                            = a->pa;
    return a->outcome != XLATE_faulted;
}

/* ---- The tables -------------------------------------------------------------------- */

static struct pt_item entry_of(struct kernel_rig *r, const struct pagetable *t,
                               phys_addr_t table, unsigned level, uint64_t index)
{
    return t->format->decode(memory_read64(&r->memory, table + 8 * index), level);
}

unsigned kernel_rig_lookup(struct kernel_rig *r, const struct pagetable *t, uint64_t iova,
                           uint64_t *pa)
{
    phys_addr_t table = t->root;
    unsigned allowed  = PT_READ | PT_WRITE;
    for (unsigned level = t->levels; level-- > 0;) {
        const uint64_t index =
            pt_entry_offset(t->format, level, level + 1 == t->levels, iova) / 8;
        const struct pt_item item = entry_of(r, t, table, level, index);
        allowed &= item.prot;
        if (item.kind == PT_LEAF) {
            *pa = item.pa | (iova & mask_lg2(item.page_lg2));
            return allowed;
        }
        if (item.kind != PT_TABLE)
            break;
        table = item.pa;
    }
    return 0;
}

/* Counts below one table: leaves of a size (replicas once), or tables when it is 0. */
static unsigned count_below(struct kernel_rig *r, const struct pagetable *t,
                            phys_addr_t table, unsigned level, unsigned page_lg2)
{
    const unsigned root = level + 1 == t->levels ? t->format->root_lg2 : 0u;
    const unsigned span = pt_span_lg2(t->format, level);
    unsigned count      = 0;
    for (uint64_t i = 0; i < UINT64_C(1) << (t->format->index_lg2 + root); i++) {
        const struct pt_item item = entry_of(r, t, table, level, i);
        if (item.kind == PT_TABLE)
            count += (page_lg2 == 0) + count_below(r, t, item.pa, level - 1, page_lg2);
        else if (item.kind == PT_LEAF && item.page_lg2 == page_lg2)
            count += (i & mask_lg2(page_lg2 - span)) == 0;
    }
    return count;
}

unsigned kernel_rig_leaves(struct kernel_rig *r, const struct pagetable *t,
                           unsigned page_lg2)
{
    return count_below(r, t, t->root, t->levels - 1, page_lg2);
}

unsigned kernel_rig_tables(struct kernel_rig *r, const struct pagetable *t)
{
    return count_below(r, t, t->root, t->levels - 1, 0);
}

/* ---- Failing allocations ----------------------------------------------------------- */

static bool fails(void *self, const char *what)
{
    struct kernel_rig *r = self;
    (void)what;
    return ++r->allocations == r->fail_at;
}

void kernel_rig_fail_at(struct kernel_rig *r, uint64_t nth)
{
    r->allocations       = 0;
    r->fail_at           = nth;
    r->kernel.fails      = fails;
    r->kernel.fails_self = r;
}

bool kernel_rig_failed(const struct kernel_rig *r)
{
    return r->fail_at != 0 && r->allocations >= r->fail_at;
}

/* ---- Programs ---------------------------------------------------------------------- */

void kernel_rig_meet(struct kernel_rig *r)
{
    barrier_wait(&r->barrier, cpu_this());
}

void kernel_rig_sleep_until(sim_time_t time)
{
    while (cpu_this()->time < time)
        cpu_wait(cpu_this(), time);
}

static void bring_up(struct kernel_rig *r)
{
    struct error error  = { "" };
    r->kernel.observer  = (struct observer){ .self        = r,
                                             .given_back  = given_back,
                                             .handed_out  = handed_out,
                                             .table_freed = table_freed };
    r->kernel.extension = r->hardware == RIG_VTD ? &r->extension_window : NULL;
    kernel_add_device(&r->kernel, &r->device, "device", RIG_REQUESTER);
    r->device.untrusted   = r->untrusted;
    r->device.noncoherent = r->noncoherent;
    r->device.ats         = r->ats;
    r->policy             = flush_for_device(&r->device, r->policy);
    if (r->hardware == RIG_DIRECT)
        return;
    r->backend       = r->hardware == RIG_VTD     ? backend_find("vtd")
                       : r->hardware == RIG_RISCV ? backend_find("riscv")
                                                  : &fake;
    r->backend_state = r;
    if (has_iommu(r))
        r->backend_state = r->backend->probe(&r->kernel, &r->window, &error);
    CHECK(r->backend_state != NULL);
    if (!r->policy->translates) {
        CHECK(domain_attach_identity(r->backend, r->backend_state, &r->device));
        return;
    }
    r->domain =
        domain_new(&r->kernel, r->backend, r->backend_state, r->policy, r->policy_config);
    CHECK(r->domain != NULL);
    CHECK(domain_attach(r->domain, &r->device));
}

static void leave_domain(struct kernel_rig *r)
{
    struct error error = { "" };
    iova_audit(&r->domain->iova);
    EXPECT(stat_check(&iova_stat_table, &r->domain->iova.stats, &error));
    EXPECT_TEXT(error.text, "");
    domain_detach(r->domain, &r->device);
    domain_free(r->domain);
    r->domain = NULL;
}

static void take_down(struct kernel_rig *r)
{
    kernel_rig_fail_at(r, 0);
    kernel_remove_device(&r->device);
    if (r->hardware == RIG_DIRECT)
        return;
    if (r->domain != NULL)
        leave_domain(r);
    else
        domain_detach_identity(r->backend, r->backend_state, &r->device);
    if (has_iommu(r))
        r->backend->remove(r->backend_state);
}

static void program(void *arg)
{
    struct kernel_rig *r = arg;
    const bool first     = cpu_this()->id == 0;
    if (first)
        bring_up(r);
    kernel_rig_meet(r);
    r->program(r, r->state);
    kernel_rig_meet(r);
    if (first)
        take_down(r);
    kernel_rig_meet(r);
}

/* ---- The machine --------------------------------------------------------------------- */

static void build_hardware(struct kernel_rig *r)
{
    r->vtd.device_tlb |= r->ats;
    r->answer_after += r->answer_after == 0 ? 300 * TIME_NS : 0;
    r->channel = (struct mem_channel){ 90 * TIME_NS, 640, 64, 0 };
    mmio_init(&r->window, &r->engine, "iommu registers", &window_ops, r, 100 * TIME_NS);
    iommu_init(&r->iommu, &r->settings, &r->engine, NULL, &r->memory, &r->channel, 1);
    r->client_due = engine_add_block(&r->engine, "device", client_step, r);
    r->client = iommu_attach(&r->iommu, r->client_due, IOMMU_RESPONSES(&r->iommu), true);
    if (r->ats)
        iommu_attach_device_tlb(&r->iommu, r->client, device_told, r);
    const struct audit_promise promise = { .kind =
                                               r->policy->promise == PROMISE_NOTHING_STALE
                                                   ? AUDIT_NOTHING_STALE
                                                   : AUDIT_NONE };
    audit_init(&r->audit, &r->iommu, &promise);
    extension_init(&r->extension, &r->extension_config, r->policy->needs, &r->iommu,
                   &r->memory, &r->engine);
    mmio_init(&r->extension_window, &r->engine, "extension registers", &extension_mmio_ops,
              &r->extension, 100 * TIME_NS);
}

static void build(struct kernel_rig *r, const struct sim_host *host)
{
    memory_init(&r->memory);
    engine_init(&r->engine, host, true);
    if (has_iommu(r))
        build_hardware(r);
    for (unsigned i = 0; i < r->cpus; i++) {
        r->cpu_list[i] = &r->cpu[i];
        cpu_init(&r->cpu[i], i, &r->engine, &r->memory, &r->cpu_config, program, r);
    }
    kernel_init(&r->kernel, &r->linux_config, &r->cost, &r->memory, r->cpu_list, r->cpus);
    r->barrier.count = r->cpus;
}

static void destroy(struct kernel_rig *r)
{
    kernel_free(&r->kernel);
    if (has_iommu(r)) {
        audit_free(&r->audit);
        iommu_free(&r->iommu);
        mmio_free(&r->window);
        mmio_free(&r->extension_window);
        extension_free(&r->extension);
    }
    memory_free(&r->memory);
    engine_free(&r->engine);
}

static void check(struct kernel_rig *r)
{
    struct error error = { "" };
    for (unsigned i = 0; i < r->cpus; i++) {
        EXPECT(r->cpu[i].finished);
        EXPECT_EQUAL(r->cpu[i].irq_off, 0);
        EXPECT(cpu_check(&r->cpu[i], &error));
    }
    EXPECT(stat_check(&kernel_stat_table, &r->kernel.stats, &error));
    if (!r->may_break)
        EXPECT(!has_iommu(r) || audit_check(&r->audit, &error));
    EXPECT_TEXT(error.text, "");
    EXPECT_EQUAL(r->kernel.pages.out, 0);
    EXPECT_EQUAL(r->kernel.heap.out, 0);
    EXPECT_EQUAL(r->kernel.bounce_slots_out, 0);
    EXPECT_EQUAL(r->kernel.stats.table_freed, r->kernel.stats.table_allocated);
}

void kernel_rig_run(struct kernel_rig *r, kernel_program *body, void *state)
{
    struct direct_host *host = direct_host_new();
    CHECK(r->cpus <= RIG_CPUS_MAX);
    r->program = body;
    r->state   = state;
    build(r, direct_host_verbs(host));
    engine_run(&r->engine);
    r->panic = r->kernel.panic;
    EXPECT_EQUAL(r->kernel.panicked, r->panics);
    if (!r->panics)
        check(r);
    destroy(r);
    direct_host_free(host);
}

void kernel_rig_once(enum kernel_rig_hardware hardware, kernel_program *body)
{
    struct kernel_rig *r = kernel_rig_new(hardware);
    kernel_rig_run(r, body, NULL);
    kernel_rig_free(r);
}
