/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_translate - translations per host second, against a bare functional floor.
 *
 * The engine's side keeps 32 requests in flight through submit, step and take. The floor
 * does the same look-ups in the same array and walks the same tables in the same simulated
 * memory in a plain loop: no time, no engine, no queue.
 */
#include <time.h>

#include "sim/bench/bench.h"
#include "sim/test/rig.h"

enum {
    DEVICE     = 0x28,
    DOMAIN     = 4,
    LEVELS     = 4,
    INFLIGHT   = 32,
    HIT_PAGES  = 64,
    MISS_PAGES = 4096
};

double bench_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The n-th address of the stream: a few hot pages, or pages far enough apart that neither
 * the IOTLB nor a walk cache knows them when they come again. */
static uint64_t stream(bool miss, uint64_t n)
{
    if (!miss)
        return 0xf0000000 + (n * 7 % HIT_PAGES << 12) + (n % 64 << 6);
    return (n * 5 % MISS_PAGES) << 30 | (n % 64 << 6);
}

static uint64_t build(struct rig *r, bool miss)
{
    const uint64_t root  = rig_attach(r, DEVICE, DOMAIN, LEVELS);
    const uint64_t pages = miss ? MISS_PAGES : HIT_PAGES;
    for (uint64_t n = 0; n < pages; n++)
        rig_map(r, root, LEVELS, stream(miss, n) & ~UINT64_C(0xfff), (n + 1) << 12, 12,
                PT_READ | PT_WRITE);
    return root;
}

struct load {
    struct rig rig;
    struct engine engine;
    sim_time_t *due;
    bool miss;
    uint64_t submitted, answered, count, sum;
};

static void load_step(void *self, sim_time_t now)
{
    struct load *l = self;
    const struct iommu_response *a;
    while ((a = iommu_take(&l->rig.iommu, l->rig.client, now, l->due)) != NULL) {
        l->answered++;
        l->sum += a->pa;
    }
    while (l->submitted < l->count && l->submitted - l->answered < INFLIGHT) {
        *iommu_request(&l->rig.iommu) =
            (struct iommu_request){ .iova      = stream(l->miss, l->submitted),
                                    .id        = (uint32_t)l->submitted,
                                    .requester = DEVICE,
                                    .access    = PT_READ };
        iommu_submit(&l->rig.iommu, l->rig.client, now);
        l->submitted++;
    }
}

static double engine_side(const struct sim_host *host, bool miss, uint64_t count,
                          uint64_t *sum)
{
    static struct load l;
    l = (struct load){ .miss = miss, .count = count };
    rig_defaults(&l.rig);
    l.rig.settings.walker.walkers = INFLIGHT;
    rig_start(&l.rig);
    build(&l.rig, miss);

    engine_init(&l.engine, host, true);
    l.rig.client = iommu_attach(&l.rig.iommu, NULL, IOMMU_RESPONSES(&l.rig.iommu), false);
    l.rig.iommu.due = engine_add_block(&l.engine, "iommu", iommu_step, &l.rig.iommu);
    l.due           = engine_add_block(&l.engine, "load", load_step, &l);
    *l.due          = 0;
    l.rig.iommu.client[l.rig.client].due = l.due;
    const double began                   = bench_seconds();
    engine_run(&l.engine);
    const double took = bench_seconds() - began;
    CHECK(l.answered == count);
    *sum = l.sum;
    engine_free(&l.engine);
    rig_stop(&l.rig);
    return took;
}

static uint64_t floor_walk(struct rig *r, const struct pt_format *f, uint64_t root,
                           uint64_t iova, struct iotlb_entry *fresh)
{
    uint64_t table = root;
    for (unsigned level = LEVELS - 1;; level--) {
        const uint64_t entry = memory_read64(
            &r->memory, table + pt_entry_offset(f, level, level == LEVELS - 1, iova));
        const struct pt_item item = f->decode(entry, level);
        if (item.kind == PT_LEAF) {
            *fresh = (struct iotlb_entry){ .page        = iova >> item.page_lg2,
                                           .space       = space_make(DOMAIN, 0, STAGE_2),
                                           .pa          = item.pa,
                                           .page_lg2    = item.page_lg2,
                                           .prot1       = 0xff,
                                           .prot2       = item.prot,
                                           .stale_since = TIME_NEVER };
            return item.pa;
        }
        CHECK(item.kind == PT_TABLE);
        table = item.pa;
    }
}

static double floor_side(bool miss, uint64_t count, uint64_t *sum)
{
    static struct rig r;
    rig_defaults(&r);
    rig_start(&r);
    const uint64_t root       = build(&r, miss);
    const struct pt_format *f = ptfmt_find("vtdss");
    const space_t space       = space_make(DOMAIN, 0, STAGE_2);
    struct iotlb iotlb;
    iotlb_init(&iotlb, &r.settings.iotlb, rng_make(1, "floor"));
    *sum               = 0;
    const double began = bench_seconds();
    for (uint64_t n = 0; n < count; n++) {
        const uint64_t iova   = stream(miss, n);
        struct iotlb_entry *e = iotlb_lookup(&iotlb, space, iova);
        struct iotlb_entry fresh;
        if (e == NULL) {
            floor_walk(&r, f, root, iova, &fresh);
            e = iotlb_fill(&iotlb, &fresh);
        }
        *sum += e->pa | (iova & 0xfff);
    }
    const double took = bench_seconds() - began;
    iotlb_free(&iotlb);
    rig_stop(&r);
    return took;
}

struct translate_bench bench_translate(const struct sim_host *host, bool miss,
                                       uint64_t count)
{
    uint64_t engine_sum, floor_sum;
    struct translate_bench b = { 1e99, 1e99 };
    for (unsigned turn = 0; turn < 5; turn++) { /* In turns: the machine's speed drifts. */
        const double e = engine_side(host, miss, count, &engine_sum);
        const double f = floor_side(miss, count, &floor_sum);
        CHECK(engine_sum == floor_sum); /* Both translated alike. */
        b.engine_ns = e < b.engine_ns ? e : b.engine_ns;
        b.floor_ns  = f < b.floor_ns ? f : b.floor_ns;
    }
    b.engine_ns *= 1e9 / (double)count;
    b.floor_ns *= 1e9 / (double)count;
    return b;
}
