/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batching policies under a Poisson load, against what queueing theory says of them: how
 * often they flush, and how long a page that was given back stays reachable.
 *
 * CPU and flush take no time, and nothing is evicted: a page is exposed from its unmap to
 * the next flush, no more and no less. Unmaps come at a rate L.
 */
#include <math.h>
#include <string.h>

#include "dma_api/dma-mapping.h"
#include "sim/base/rng.h"
#include "sim/test/kernel_rig.h"
#include "sim/test/shim.h"

enum { UNMAPS = 60000, PENDING_MAX = 4096 };

struct load {
    double gap_us; /* Mean time between two unmaps: 1 / L. */
    unsigned unmaps, flushes, pending;
    sim_time_t since[PENDING_MAX], first, last;
    double exposed_us; /* Of all pages together. */
};

static void flushed(struct load *l, sim_time_t now)
{
    for (unsigned i = 0; i < l->pending; i++)
        l->exposed_us += (double)(now - l->since[i]) / TIME_US;
    l->pending = 0;
}

/* What has happened since the last call. */
static void account(struct kernel_rig *r, struct load *l)
{
    EXPECT(r->events < RIG_EVENTS_MAX);
    for (unsigned i = 0; i < r->events; i++) {
        const struct kernel_event *e = &r->event[i];
        if (e->kind == EVENT_GIVEN_BACK) {
            REQUIRE(l->pending < PENDING_MAX);
            l->since[l->pending++] = e->time;
        } else if (e->kind == EVENT_FLUSHED) {
            l->flushes++;
            flushed(l, e->time);
        }
    }
    r->events = 0;
}

static sim_time_t exponential(struct rng *rng, double mean_us)
{
    const double u = ((double)(rng_next(rng) >> 11) + 0.5) / 9007199254740992.0;
    return (sim_time_t)(-log(u) * mean_us * TIME_US);
}

static void poisson(struct kernel_rig *r, void *state)
{
    struct load *l = state;
    struct rng rng = rng_make(3, "poisson");
    l->first       = cpu_this()->time;
    sim_time_t at  = l->first;
    for (l->unmaps = 0; l->unmaps < UNMAPS; l->unmaps++) {
        at += exponential(&rng, l->gap_us);
        const dma_addr_t iova =
            dma_map_phys(&r->device, 0x40000000, 4096, DMA_TO_DEVICE, 0);
        kernel_rig_sleep_until(at);
        dma_unmap_phys(&r->device, iova, 4096, DMA_TO_DEVICE, 0);
        EXPECT_EQUAL(cpu_this()->time, at); /* Nothing takes time. */
        account(r, l);
    }
    l->last = cpu_this()->time;
}

static struct load measure(const char *policy, const char *key, const char *value,
                           const char *ring, double gap_us)
{
    static struct load load;
    struct kernel_rig *r = kernel_rig_new(RIG_FAKE);
    kernel_rig_policy(r, policy);
    kernel_rig_policy_set(r, key, value);
    if (ring != NULL)
        kernel_rig_policy_set(r, "ring_entries", ring);
    memset(&r->cpu_config, 0, sizeof r->cpu_config);
    memset(&r->cost, 0, sizeof r->cost);
    r->cpu_config.period_ps = 1;
    memset(&load, 0, sizeof load);
    load.gap_us = gap_us;
    kernel_rig_run(r, poisson, &load);
    kernel_rig_free(r);
    return load;
}

/* Flushes in a us, and us of exposure for each page, within 2 %. */
static void expect_theory(const struct load *l, double rate, double exposure,
                          const char *what)
{
    const double seconds           = (double)(l->last - l->first) / TIME_US;
    const double measured_rate     = l->flushes / seconds;
    const double measured_exposure = l->exposed_us / (l->unmaps - l->pending);
    char text[200];
    snprintf(text, sizeof text, "%s: rate %.6f of %.6f, exposure %.3f of %.3f us", what,
             measured_rate, rate, measured_exposure, exposure);
    EXPECT(l->flushes > 50);
    if (fabs(measured_rate / rate - 1.0) > 0.02
        || fabs(measured_exposure - exposure) > 0.02 * exposure)
        shim_true(false, text, __FILE__, __LINE__);
}

/* One flush with every N-th unmap; the i-th of N waits for N - i others. */
TEST_CASE(flush_poisson, count_flushes_once_in_n_and_exposes_for_half_a_batch)
{
    static const struct {
        unsigned n;
        const char *text;
    } batch[] = { { 2, "2" }, { 8, "8" }, { 128, "128" } };
    for (unsigned i = 0; i < sizeof batch / sizeof batch[0]; i++)
        for (double gap = 0.5; gap < 100.0; gap *= 12.0) {
            const struct load l = measure("count", "unmaps", batch[i].text, NULL, gap);
            EXPECT_EQUAL(l.flushes, UNMAPS / batch[i].n);
            expect_theory(&l, 1.0 / (gap * batch[i].n), (batch[i].n - 1) * gap / 2.0,
                          "count");
        }
}

/* A window begins with an unmap and takes T; then it is 1 / L to the next. Its first page
 * waits for T, the L T others for half of it. */
TEST_CASE(flush_poisson, window_flushes_after_t_and_the_wait_for_the_next)
{
    static const double gap_us[] = { 1.0, 10.0, 100.0, 1000.0 };
    const double t               = 100.0;
    for (unsigned i = 0; i < sizeof gap_us / sizeof gap_us[0]; i++) {
        const double in_window = t / gap_us[i];
        const struct load l    = measure("window", "us", "100", NULL, gap_us[i]);
        expect_theory(&l, 1.0 / (t + gap_us[i]),
                      (t + in_window * t / 2.0) / (1.0 + in_window), "window");
    }
}

/* Of M, Poisson with this mean: the mean of M / K rounded down, or of M modulo K. */
static double poisson_mean(double mean, unsigned k, bool modulo)
{
    double sum          = 0.0;
    const unsigned last = (unsigned)(mean + 12.0 * sqrt(mean) + 30.0);
    for (unsigned m = 0; m <= last; m++) {
        const double p = exp(m * log(mean) - mean - lgamma(m + 1.0));
        sum += p * (modulo ? m % k : m / k);
    }
    return sum;
}

/*
 * From its first page the timer takes T, whatever the ring does meanwhile; of the M pages
 * that follow, every K-th finds the ring of K full and flushes what is in it. At a time t,
 * 1 + (M(t) modulo K) pages wait.
 */
static void expect_lazy(const char *ring, unsigned k, const char *timeout, double t,
                        double gap)
{
    enum { STEPS = 400 };
    const double expected = t / gap;
    double waiting        = 0.0;
    for (unsigned i = 0; i < STEPS; i++)
        waiting += 1.0 + poisson_mean(expected * (i + 0.5) / STEPS, k, true);
    const struct load l = measure("lazy", "timeout_us", timeout, ring, gap);
    expect_theory(&l, (1.0 + poisson_mean(expected, k, false)) / (t + gap),
                  waiting * t / STEPS / (1.0 + expected), "lazy");
}

TEST_CASE(flush_poisson, lazy_flushes_at_its_timer_or_its_ring_whichever_is_first)
{
    expect_lazy("256", 255, "1000", 1000.0, 20.0); /* The timer: 50 of 255. */
    expect_lazy("16", 15, "1000", 1000.0, 5.0);    /* The ring, 13 times for each timer. */
    expect_lazy("16", 15, "100", 100.0, 7.0);      /* Both: 14 in a timer, 15 in a ring. */
    expect_lazy("2", 1, "100", 100.0, 30.0);       /* A ring of one. */
}

/* The formulas are told apart: one that is wrong by a page is not within 2 %. */
TEST_CASE(flush_poisson, the_tolerance_tells_a_batch_of_8_from_one_of_9)
{
    const struct load l   = measure("count", "unmaps", "9", NULL, 5.0);
    const double exposure = l.exposed_us / (l.unmaps - l.pending);
    EXPECT(fabs(exposure / (7.0 * 5.0 / 2.0) - 1.0) > 0.1);
    EXPECT(fabs(exposure / (8.0 * 5.0 / 2.0) - 1.0) < 0.02);
}
