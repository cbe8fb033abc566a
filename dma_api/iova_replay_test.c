/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The allocator held against recordings of real kernels (dma_api/recordings): asked the
 * same by the same CPUs, it must answer the same addresses from the same places.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sim/test/kernel_rig.h"
#include "sim/test/shim.h"
#include "traces/source.h"

enum { OPS_MAX = 32768, DOMAINS = 8 };

struct op {
    bool release, cached;
    unsigned cpu, domain, line;
    uint64_t pages, limit, pfn;
};

static struct op op[OPS_MAX];
static unsigned ops;

static struct {
    struct iova_domain domain[DOMAINS];
    unsigned next, allocations, releases, differences;
} play;

/* What the recorded machine reserves: its PCI windows and the interrupt messages. */
static const uint64_t window[][2] = {
    { 0xa0000, 0xaffff }, { 0xc0000, 0xfebff }, { 0xfee00, 0xfeeff }, { 0x100000, 0x8fffff }
};

/* "A CPU vDOMAIN PAGES LIMIT PFN f|s" and "F CPU vDOMAIN PFN PAGES". */
static bool parse(const char *line, struct op *o)
{
    char source = 0;
    *o          = (struct op){ .release = line[0] == 'F' };
    if (o->release)
        return sscanf(line, "F %u v%u %" SCNx64 " %" SCNu64, &o->cpu, &o->domain, &o->pfn,
                      &o->pages)
               == 4;
    const int fields = sscanf(line, "A %u v%u %" SCNu64 " %" SCNx64 " %" SCNx64 " %c",
                              &o->cpu, &o->domain, &o->pages, &o->limit, &o->pfn, &source);
    o->cached        = source == 'f';
    return fields == 6;
}

static bool read_recording(const char *path)
{
    struct trace_source *source;
    struct error error = { "" };
    const char *line;
    size_t bytes;
    ops = 0;
    if (!EXPECT(trace_source_open(&source, path, &error)))
        return false;
    while ((line = trace_source_line(source, &bytes, &error)) != NULL) {
        if (line[0] == '#')
            continue;
        CHECK(ops < OPS_MAX);
        EXPECT(parse(line, &op[ops]));
        CHECK(op[ops].domain < DOMAINS);
        op[ops++].line = (unsigned)trace_source_line_number(source);
    }
    trace_source_close(source);
    return EXPECT_TEXT(error.text, "");
}

static void set_up(struct kernel_rig *r)
{
    memset(&play, 0, sizeof play);
    for (unsigned i = 0; i < DOMAINS; i++) {
        iova_init(&play.domain[i], &r->kernel, PAGE_SHIFT, 0);
        for (unsigned w = 0; w < sizeof window / sizeof window[0]; w++)
            iova_reserve(&play.domain[i], window[w][0], window[w][1]);
    }
}

/* What a recording has not given back when it ends stays out. */
static void tear_down(void)
{
    for (unsigned i = 0; i < DOMAINS; i++) {
        iova_audit(&play.domain[i]);
        play.domain[i].live = 0;
        iova_free_domain(&play.domain[i]);
    }
}

static void perform(const struct op *o)
{
    struct iova_domain *d = &play.domain[o->domain];
    bool cached;
    if (o->release) {
        iova_free_fast(d, o->pfn, o->pages);
        play.releases++;
        return;
    }
    const uint64_t pfn = iova_alloc_fast(d, o->pages, o->limit, false, &cached);
    play.allocations++;
    if (pfn == o->pfn && cached == o->cached)
        return;
    if (play.differences++ == 0) {
        EXPECT_EQUAL(o->line, 0); /* The first line that differs. */
        EXPECT_EQUAL(pfn, o->pfn);
        EXPECT_EQUAL(cached, o->cached);
    }
}

/* Whoever's turn it is plays; the others wait for it. */
static void player(struct kernel_rig *r, void *state)
{
    struct cpu *cpu = cpu_this();
    (void)state;
    if (cpu->id == 0)
        set_up(r);
    kernel_rig_meet(r);
    while (play.next < ops && play.differences == 0) {
        const struct op *o = &op[play.next];
        cpu_sync(cpu);
        if (o->cpu == cpu->id) {
            perform(o);
            play.next++;
        } else {
            cpu_wake(&r->cpu[o->cpu], cpu->time);
            cpu_wait(cpu, TIME_NEVER);
        }
    }
    for (unsigned i = 0; i < r->cpus; i++)
        cpu_wake(&r->cpu[i], cpu->time);
    kernel_rig_meet(r);
    if (cpu->id == 0)
        tear_down();
}

static void expect_replay(const char *name, unsigned allocations, unsigned releases)
{
    char path[512];
    snprintf(path, sizeof path, TEST_SOURCE_DIR "/dma_api/recordings/%s.iova.txt.gz", name);
    REQUIRE(read_recording(path));
    struct kernel_rig *r = kernel_rig_new(RIG_DIRECT);
    r->cpus              = 2;
    kernel_rig_run(r, player, NULL);
    kernel_rig_free(r);
    EXPECT_EQUAL(play.differences, 0);
    EXPECT_EQUAL(play.allocations, allocations);
    EXPECT_EQUAL(play.releases, releases);
}

TEST_CASE(iova_replay, linux_6_12_strict_storage_and_network_of_five_devices)
{
    expect_replay("k612-strict", 11640, 11634);
}

TEST_CASE(iova_replay, linux_6_12_lazy_storage)
{
    expect_replay("k612-lazy-head", 1263, 1228);
}

TEST_CASE(iova_replay, linux_7_3_lazy_storage)
{
    expect_replay("k73-lazy-head", 1008, 989);
}

TEST_CASE(iova_replay, linux_7_3_strict_network)
{
    expect_replay("k73-vnet-head", 2018, 1477);
}
