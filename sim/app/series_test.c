/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/series.h"

#include <stdlib.h>

#include "sim/app/machine.h"
#include "sim/app/sources.h"
#include "sim/base/rng.h"
#include "sim/host/direct.h"
#include "sim/test/shim.h"
#include "traces/trace.h"

/* ---- The windows alone, against a plain list of what was put in ---- */

enum { SAMPLES = 2000 };

struct fed {
    struct series series;
    uint64_t counter[SAMPLES + 1], level[SAMPLES + 1];
    sim_time_t at[SAMPLES + 1];
    unsigned samples;
};

static void put(struct fed *f, bool first)
{
    uint64_t value[SERIES_COLUMN_COUNT];
    for (unsigned c = 0; c < SERIES_COLUMN_COUNT; c++)
        value[c] = series_def[c].kind == SERIES_sum ? f->counter[f->samples] * (c + 1)
                                                    : f->level[f->samples] + c;
    if (first)
        series_begin(&f->series, f->at[0], value);
    else
        series_sample(&f->series, f->at[f->samples], value);
}

/* Sampled whenever it is due, as the machine does, for so many samples. */
static struct fed *feed(unsigned samples, sim_time_t began)
{
    struct fed *f  = calloc(1, sizeof *f);
    struct rng rng = rng_make(samples, "series");
    f->at[0]       = began;
    put(f, true);
    while (f->samples < samples) {
        const unsigned n = ++f->samples;
        f->at[n]         = series_due(&f->series);
        f->counter[n]    = f->counter[n - 1] + rng_below(&rng, 100);
        f->level[n]      = rng_below(&rng, 1000);
        put(f, false);
    }
    return f;
}

static void expect_windows(const struct fed *f)
{
    const struct series *s = &f->series;
    unsigned at            = 0;
    EXPECT(s->windows <= SERIES_MAX);
    for (unsigned w = 0; w < s->windows; w++) {
        const unsigned first = at;
        uint64_t most        = 0;
        while (at < f->samples && f->at[at + 1] <= s->window[w].end) {
            at++;
            most = f->level[at] > most ? f->level[at] : most;
        }
        EXPECT(at > first);
        EXPECT_EQUAL(f->at[at], s->window[w].end);
        for (unsigned c = 0; c < SERIES_COLUMN_COUNT; c++)
            EXPECT_EQUAL(s->window[w].value[c],
                         series_def[c].kind == SERIES_sum
                             ? (f->counter[at] - f->counter[first]) * (c + 1)
                             : most + c);
    }
    EXPECT_EQUAL(at, f->samples);
}

TEST_CASE(series, windows_hold_what_came_in_whatever_was_joined)
{
    static const unsigned lengths[] = { 1,   2,   63,  64,  127, 128,
                                        129, 191, 192, 193, 500, SAMPLES };
    for (unsigned i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct fed *f = feed(lengths[i], i * 12345);
        expect_windows(f);
        free(f);
    }
}

TEST_CASE(series, windows_are_of_one_length_counted_from_the_beginning)
{
    struct fed *f          = feed(1000, 777);
    const struct series *s = &f->series;
    for (unsigned w = 0; w < s->windows; w++)
        EXPECT_EQUAL(s->window[w].end, 777 + (w + 1) * s->length);
    EXPECT_EQUAL(series_due(s), 777 + (s->windows + 1) * s->length);
    EXPECT(s->windows >= SERIES_MAX / 2);
    free(f);
}

TEST_CASE(series, a_window_that_was_cut_short_ends_where_it_ends)
{
    uint64_t value[SERIES_COLUMN_COUNT] = { 0 };
    struct series s;
    series_begin(&s, 100, value);
    EXPECT_EQUAL(series_due(&s), 100 + TIME_US);
    series_sample(&s, 150, value);
    EXPECT_EQUAL(s.windows, 1);
    EXPECT_EQUAL(s.window[0].end, 150);
    EXPECT_EQUAL(series_due(&s), 100 + TIME_US);
}

/* ---- Of a machine ---- */

#define SAMPLE TEST_SOURCE_DIR "/traces/samples/nvme-randrw-mixed.iovatrace"

static struct machine_result *replayed(const char *path, const char *policy, uint64_t limit)
{
    struct machine_result *r = calloc(1, sizeof *r);
    struct config config;
    struct error error;
    struct replay_source source = { .name = "sample" };
    const bool made             = config_init(&config, "vtd-server", &error);
    EXPECT(made);
    const bool opened = sources_open(&source.reader, path, NULL, &config, 0, &error);
    EXPECT(opened);
    const struct machine_run run = { .api       = BLK_streaming,
                                     .policy    = flush_find(policy),
                                     .cpus      = 2,
                                     .limit     = limit,
                                     .run_ahead = true,
                                     .source    = &source,
                                     .sources   = 1 };
    struct direct_host *host     = direct_host_new();
    EXPECT_EQUAL(machine_run(&config, &run, direct_host_verbs(host), r, &error),
                 MACHINE_RAN);
    direct_host_free(host);
    trace_close(source.reader);
    config_free(&config);
    return r;
}

static uint64_t total(const struct series *s, enum series_id column)
{
    uint64_t sum = 0;
    for (unsigned w = 0; w < s->windows; w++)
        sum += s->window[w].value[column];
    return sum;
}

static uint64_t largest(const struct series *s, enum series_id column)
{
    uint64_t most = 0;
    for (unsigned w = 0; w < s->windows; w++)
        most = s->window[w].value[column] > most ? s->window[w].value[column] : most;
    return most;
}

TEST_CASE(series, of_a_machine_sum_to_its_counters_and_cover_its_time)
{
    static const char *const policy[] = { "strict", "lazy", "damn" };
    for (unsigned i = 0; i < 3; i++) {
        struct machine_result *r         = replayed(SAMPLE, policy[i], 300 + i);
        const struct machine_counters *c = &r->counters;
        const struct series *s           = &r->series;
        EXPECT(s->windows > 8);
        EXPECT_EQUAL(s->window[s->windows - 1].end - s->began, r->time_ps);
        EXPECT_EQUAL(total(s, SERIES_ID_record), c->replay.record);
        EXPECT_EQUAL(total(s, SERIES_ID_dma_bytes), c->dma.read_bytes + c->dma.write_bytes);
        EXPECT_EQUAL(total(s, SERIES_ID_iotlb_lookup), c->iotlb.lookup);
        EXPECT_EQUAL(total(s, SERIES_ID_iotlb_lookup_hit), c->iotlb.lookup_hit);
        EXPECT_EQUAL(total(s, SERIES_ID_walk), c->iommu.walk);
        EXPECT_EQUAL(total(s, SERIES_ID_invalidation),
                     c->iommu.command - c->iommu.command_wait);
        EXPECT_EQUAL(total(s, SERIES_ID_queued_cycles), c->iommu.queued_cycles);
        EXPECT_EQUAL(largest(s, SERIES_ID_exposed_most), r->exposed_pages_most);
        EXPECT_EQUAL(largest(s, SERIES_ID_pool_most), r->pool_pages_most);
        free(r);
    }
}

TEST_CASE(series, of_bare_accesses_sum_to_their_counters)
{
    struct machine_result *r = replayed("gen:window", "strict", 2000);
    const struct dma_stats d = r->counters.dma;
    EXPECT_EQUAL(total(&r->series, SERIES_ID_dma_bytes), d.read_bytes + d.write_bytes);
    EXPECT_EQUAL(total(&r->series, SERIES_ID_translate_ps), d.translate_ps);
    EXPECT(d.read_bytes >= 2000 * 64);
    free(r);
}

/* Little's law: by the mean length of the queue, a command is in it for as long as the
 * least that carrying it out takes, and under strict there are commands all the time. */
TEST_CASE(series, the_queue_holds_commands_for_as_long_as_they_take)
{
    struct machine_result *r         = replayed(SAMPLE, "strict", 300);
    const struct machine_counters *c = &r->counters;
    EXPECT(c->iommu.command > 0);
    EXPECT(c->iommu.queued_cycles > c->iommu.command * 10);
    EXPECT(largest(&r->series, SERIES_ID_queued_most)
           >= 2); /* An invalidation, its wait. */
    EXPECT(largest(&r->series, SERIES_ID_queued_most) < 512);
    free(r);
}
