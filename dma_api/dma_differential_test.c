/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random users of the whole DMA API on 1 to 16 CPUs, behind every kind of device, against a
 * flat table of what the device may reach (sim/test/dma_oracle.h): the tables in simulated
 * memory are walked, the device asks the modelled IOMMU, and every byte of every buffer is
 * known.
 *
 * IOVASIM_CAMPAIGN=1 makes ten million calls, IOVASIM_CAMPAIGN_CALLS another number;
 * IOVASIM_CAMPAIGN_SEED other ones, IOVASIM_CAMPAIGN_ONLY one machine alone.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/test/dma_actor.h"
#include "sim/test/shim.h"

enum { ROUNDS = 4, MACHINE_CALLS = 24000, SHARE_CALLS = 1500 };

/* One kind of machine. Policies that a device cannot have are not listed. */
struct shape {
    enum kernel_rig_hardware hardware;
    const char *format, *policy, *release;
    bool untrusted, noncoherent;
    enum { LEGACY, FIRST_STAGE, SECOND_STAGE } mode; /* Of VT-d. */
    bool caching, ats, write_buffer, short_of_memory;
};

static const struct shape shapes[] = {
    { RIG_VTD, NULL, "strict", "7.3", .untrusted = false },
    { RIG_VTD, NULL, "lazy", "7.3", .untrusted = false },
    { RIG_VTD, NULL, "lazy", "6.18", .untrusted = false },
    { RIG_VTD, NULL, "strict", "6.18", .untrusted = false, .noncoherent = true },
    { RIG_VTD, NULL, "lazy", "6.12", .untrusted = false },
    { RIG_VTD, NULL, "strict", "6.12", .untrusted = true },
    { RIG_VTD, NULL, "strict", "7.3", .untrusted = true },
    { RIG_VTD, NULL, "strict", "6.18", .untrusted = true },
    { RIG_VTD, NULL, "strict", "7.3", .untrusted = true, .noncoherent = true },
    { RIG_VTD, NULL, "lazy", "7.3", .untrusted = false, .noncoherent = true },
    { RIG_VTD, NULL, "passthrough", "7.3", .untrusted = false },
    { RIG_RISCV, NULL, "strict", "7.3", .untrusted = false },
    { RIG_RISCV, NULL, "lazy", "7.3", .untrusted = false },
    { RIG_RISCV, NULL, "lazy", "6.18", .untrusted = false },
    { RIG_RISCV, NULL, "strict", "6.18", .untrusted = true },
    { RIG_RISCV, NULL, "strict", "7.3", .untrusted = true },
    { RIG_RISCV, NULL, "passthrough", "6.18", .untrusted = false },
    { RIG_FAKE, "x86", "strict", "7.3", .untrusted = true },
    { RIG_FAKE, "x86", "lazy", "7.3", .untrusted = false },
    { RIG_FAKE, "x86", "lazy", "6.18", .untrusted = false, .noncoherent = true },
    { RIG_DIRECT, NULL, "strict", "7.3", .untrusted = false },
    { RIG_DIRECT, NULL, "strict", "6.12", .untrusted = false, .noncoherent = true },
    { RIG_VTD, NULL, "strict", "7.3", .mode = FIRST_STAGE },
    { RIG_VTD, NULL, "lazy", "7.3", .mode = FIRST_STAGE, .short_of_memory = true },
    { RIG_VTD, NULL, "strict", "6.18", .untrusted = true, .mode = FIRST_STAGE },
    { RIG_VTD, NULL, "lazy", "6.18", .mode = SECOND_STAGE, .caching = true },
    { RIG_VTD, NULL, "strict", "7.3", .caching = true, .short_of_memory = true },
    { RIG_VTD, NULL, "strict", "6.18", .noncoherent = true, .mode = FIRST_STAGE,
      .caching = true },
    { RIG_VTD, NULL, "strict", "7.3", .ats = true },
    { RIG_VTD, NULL, "lazy", "7.3", .mode = FIRST_STAGE, .ats = true },
    { RIG_VTD, NULL, "lazy", "6.12", .mode = SECOND_STAGE, .ats = true, .caching = true },
    { RIG_VTD, NULL, "lazy", "7.3", .write_buffer = true, .short_of_memory = true },
    { RIG_VTD, NULL, "strict", "7.3", .untrusted = true, .short_of_memory = true },
    { RIG_RISCV, NULL, "lazy", "7.3", .short_of_memory = true },
    { RIG_DIRECT, NULL, "strict", "7.3", .short_of_memory = true },
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

struct campaign {
    uint64_t seed, machine, calls, checked, complaints;
    uint64_t made[ACTOR_CALL_COUNT];
    uint64_t deferred, flush_full, flush_timer, faults;
    uint64_t machine_calls;
    enum actor_planted planted;
    struct actors actors;
    struct rng rng;
};

/* ---- One machine --------------------------------------------------------------------- */

static void limits_of_device(struct campaign *c, struct kernel_rig *r)
{
    static const uint64_t masks[]        = { 64, 64, 32, 48, 26 };
    static const unsigned long borders[] = { ~0UL, 0xffffffffUL, 0xffffUL };
    struct device *dev                   = &r->device;
    const uint64_t bits = r->domain == NULL ? 64 : masks[rng_below(&c->rng, 5)];
    CHECK(dma_set_mask(dev, DMA_BIT_MASK(bits)) == 0);
    const bool narrow = r->domain != NULL && rng_below(&c->rng, 2);
    CHECK(dma_set_coherent_mask(dev, DMA_BIT_MASK(narrow ? 32 : 64)) == 0);
    dma_set_max_seg_size(dev, rng_below(&c->rng, 2) ? 65536 : UINT32_MAX);
    dma_set_seg_boundary(dev, borders[rng_below(&c->rng, 3)]);
    dma_set_min_align_mask(dev, rng_below(&c->rng, 4) == 0 ? 0 : 4095);
}

static void program(struct kernel_rig *r, void *state)
{
    struct campaign *c = state;
    struct actors *a   = &c->actors;
    const bool first   = cpu_this()->id == 0;
    if (first) {
        limits_of_device(c, r);
        actors_init(a, r, rng_next(&c->rng));
        a->planted         = c->planted;
        r->deaf            = c->planted == ACTOR_DEAF_DEVICE;
        a->short_of_memory = shapes[c->machine % SHAPES].short_of_memory;
        a->oracle.quiet    = c->planted != ACTOR_HONEST;
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        if (first)
            a->left = c->machine_calls / ROUNDS;
        kernel_rig_meet(r);
        while (a->left > 0)
            actors_step(a);
        kernel_rig_meet(r); /* From here on no interrupt begins any work, */
        kernel_rig_meet(r); /* and here none is at it any more. */
        if (first)
            actors_audit(a);
        kernel_rig_meet(r);
    }
    if (first) {
        actors_finish(a);
        actors_audit(a);
    }
}

static void settings(struct campaign *c, struct kernel_rig *r, const struct shape *s)
{
    kernel_rig_policy(r, s->policy);
    r->cpus                    = 1 + rng_below(&c->rng, RIG_CPUS_MAX);
    r->linux_config.release    = s->release;
    r->linux_config.forcedac   = rng_below(&c->rng, 4) == 0;
    r->untrusted               = s->untrusted;
    r->noncoherent             = s->noncoherent;
    r->cpu_config.wake_cycles  = rng_below(&c->rng, 2) ? 0 : 1500;
    r->ats                     = s->ats;
    r->vtd.scalable            = s->mode != LEGACY;
    r->vtd.first_stage         = s->mode == FIRST_STAGE;
    r->vtd.first_levels_max    = 4 + rng_below(&c->rng, 2);
    r->vtd.write_buffer        = s->write_buffer;
    r->vtd.caching_mode        = s->caching || rng_below(&c->rng, 4) == 0;
    r->vtd.levels_max          = 3 + rng_below(&c->rng, 3);
    r->vtd.pages_2m            = rng_below(&c->rng, 4) != 0;
    r->riscv.stage1_levels_max = 3 + rng_below(&c->rng, 3);
    r->settings.walker.walkers = 1 + rng_below(&c->rng, 8);
    if (s->format != NULL) {
        r->fake_format       = s->format;
        r->fake_leaf_sizes   = ptfmt_find(s->format)->leaf_sizes;
        r->fake_flush_cycles = 1 + rng_below(&c->rng, 4000);
    }
}

static void collect(struct campaign *c, const struct kernel_rig *r)
{
    const struct actors *a = &c->actors;
    c->calls += a->calls;
    c->checked += a->oracle.checked;
    c->complaints += a->oracle.complaints;
    c->deferred += r->kernel.stats.deferred;
    c->flush_full += r->kernel.stats.flush_full;
    c->flush_timer += r->kernel.stats.flush_timer;
    for (unsigned i = 0; i < ACTOR_CALL_COUNT; i++)
        c->made[i] += a->made[i];
}

static void run_machine(struct campaign *c)
{
    const struct shape *s = &shapes[c->machine % SHAPES];
    struct kernel_rig *r  = kernel_rig_new(s->hardware);
    c->rng                = rng_make(c->seed * 1000003 + c->machine, "dma machine");
    settings(c, r, s);
    r->may_break = c->planted != ACTOR_HONEST;
    kernel_rig_run(r, program, c);
    if (c->actors.oracle.complaints > 0 && c->planted == ACTOR_HONEST)
        fprintf(stderr,
                "machine %" PRIu64 " of seed %" PRIu64 ": %s, Linux %s, %u CPUs%s%s\n",
                c->machine, c->seed, s->policy, s->release, r->cpus,
                s->untrusted ? ", untrusted" : "", s->noncoherent ? ", not coherent" : "");
    collect(c, r);
    actors_free(&c->actors);
    kernel_rig_free(r);
}

/* ---- The campaign -------------------------------------------------------------------- */

static uint64_t number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static void expect_variety(const struct campaign *c)
{
    for (unsigned i = 0; i < ACTOR_CALL_COUNT; i++)
        if (c->made[i] == 0)
            EXPECT_TEXT("never made", actor_call_name[i]);
    EXPECT(c->deferred > 0);
    EXPECT(c->flush_timer > 0);
    EXPECT(c->checked > c->calls);
}

static void say(const struct campaign *c)
{
    fprintf(stderr,
            "%" PRIu64 " calls on %" PRIu64 " machines, %" PRIu64
            " answers checked; %" PRIu64 " ranges deferred, flushed %" PRIu64
            " times by the timer and %" PRIu64 " by full rings\n",
            c->calls, c->machine, c->checked, c->deferred, c->flush_timer, c->flush_full);
    for (unsigned i = 0; i < ACTOR_CALL_COUNT; i++)
        fprintf(stderr, "%s%s %" PRIu64, i == 0 ? "" : ", ", actor_call_name[i],
                c->made[i]);
    fputc('\n', stderr);
}

TEST_CASE(dma_differential, the_device_reaches_what_is_mapped_and_nothing_else)
{
    const bool whole   = getenv("IOVASIM_CAMPAIGN") != NULL;
    struct campaign *c = calloc(1, sizeof *c);
    CHECK(c != NULL);
    c->seed          = number("IOVASIM_CAMPAIGN_SEED", 1);
    c->machine_calls = whole ? MACHINE_CALLS : SHARE_CALLS;
    const uint64_t calls =
        number("IOVASIM_CAMPAIGN_CALLS", whole ? 10000000 : 2 * SHAPES * SHARE_CALLS);
    const uint64_t only = number("IOVASIM_CAMPAIGN_ONLY", UINT64_MAX);
    if (only != UINT64_MAX) {
        c->machine = only;
        run_machine(c);
    }
    while (only == UINT64_MAX && c->calls < calls && c->complaints == 0) {
        run_machine(c);
        c->machine++;
        if (whole && c->machine % SHAPES == 0)
            fprintf(stderr, "\r%" PRIu64 " of %" PRIu64 " calls", c->calls, calls);
    }
    if (whole)
        fputc('\n', stderr);
    if (whole || only != UINT64_MAX)
        say(c);
    EXPECT_EQUAL(c->complaints, 0);
    if (only == UINT64_MAX && c->complaints == 0)
        expect_variety(c);
    free(c);
}

/* The first shape that has what the fault needs. */
static uint64_t shape_for(enum actor_planted planted)
{
    for (uint64_t i = 0; i < SHAPES; i++) {
        const struct shape *s = &shapes[i];
        const bool lazy       = strcmp(s->policy, "lazy") == 0;
        const bool fits       = planted == ACTOR_SPOILS_BOUNCE   ? s->untrusted
                                : planted == ACTOR_LEAKS_MAPPING ? s->short_of_memory
                                : planted == ACTOR_FORGETS_RANGE ? !lazy && !s->caching
                                : planted == ACTOR_FORGETS_MAP ? s->caching && s->mode == LEGACY
                                : planted == ACTOR_DEAF_DEVICE ? s->ats && !lazy
                                                               : lazy;
        if (fits && s->hardware == RIG_VTD)
            return i;
    }
    UNREACHABLE("there is a shape for each fault");
}

TEST_CASE(dma_differential, what_is_planted_is_complained_of)
{
    for (unsigned planted = ACTOR_HONEST; planted < ACTOR_PLANTED; planted++) {
        struct campaign *c = calloc(1, sizeof *c);
        CHECK(c != NULL);
        c->planted       = planted;
        c->seed          = 7;
        c->machine       = shape_for(planted);
        c->machine_calls = 20000;
        /* A flush that is forgotten shows only where the device comes back in time. */
        for (unsigned i = 0; c->complaints == 0 && i < (planted == ACTOR_HONEST ? 1 : 8);
             i++) {
            run_machine(c);
            c->seed++;
        }
        if ((c->complaints > 0) != (planted != ACTOR_HONEST)) {
            EXPECT_EQUAL(planted, ACTOR_PLANTED); /* Says which. */
            EXPECT_EQUAL(c->complaints > 0, planted != ACTOR_HONEST);
        }
        free(c);
    }
}
