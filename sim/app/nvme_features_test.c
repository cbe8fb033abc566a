/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an NVMe drive and its driver can do beside reading and writing pages, in whole
 * machines: under every flush policy, on both architectures, through every API.
 */
#include <string.h>

#include "sim/app/machine.h"
#include "sim/app/metric.h"
#include "sim/host/direct.h"
#include "sim/test/shim.h"

#define SAMPLES TEST_SOURCE_DIR "/traces/samples/"
static const char mixed[]     = SAMPLES "nvme-randrw-mixed.iovatrace";
static const char large[]     = SAMPLES "nvme-seqread-128k.iovatrace";
static const char unaligned[] = SAMPLES "nvme-unaligned-4608.iovatrace";

static struct machine_result result;
static struct error error;

static bool run_ahead = true;
static unsigned cpus  = 2;

static enum machine_outcome run_on(const char *preset, const char *path, enum blk_api api,
                                   const struct flush_policy *policy, uint64_t limit,
                                   const char *const *set)
{
    struct config config;
    struct replay_source source = { path, NULL };
    CHECK(config_init(&config, preset, &error));
    for (; *set != NULL; set++)
        if (!config_set(&config, *set, &error))
            shim_true(false, error.text, __FILE__, __LINE__);
    CHECK(trace_open(&source.reader, path, &error));
    const struct machine_run run = { .api       = api,
                                     .policy    = policy,
                                     .cpus      = cpus,
                                     .limit     = limit,
                                     .run_ahead = run_ahead,
                                     .source    = &source,
                                     .sources   = 1 };
    struct direct_host *host     = direct_host_new();
    error.text[0]                = '\0';
    const enum machine_outcome outcome =
        machine_run(&config, &run, direct_host_verbs(host), &result, &error);
    direct_host_free(host);
    trace_close(source.reader);
    config_free(&config);
    return outcome;
}

#define SET(...)                                                                           \
    (const char *const[])                                                                  \
    {                                                                                      \
        __VA_ARGS__, NULL                                                                  \
    }

static enum machine_outcome run(const char *path, enum blk_api api, const char *policy,
                                const char *const *set)
{
    return run_on("vtd-server", path, api, flush_find(policy), 300, set);
}

static void complain(const char *preset, const struct flush_policy *policy)
{
    char text[600];
    snprintf(text, sizeof text, "%s, %s: %.300s", preset, policy->name, error.text);
    shim_true(false, text, __FILE__, __LINE__);
}

/* The checks of the machine are part of every run: the promise of the policy, the owners of
 * cycles, what must have come back. */
static void under_every_policy(const char *path, uint64_t limit, const char *const *set,
                               void (*expect)(const struct flush_policy *policy))
{
    static const char *const preset[] = { "vtd-server", "vtd-scalable", "riscv-perf" };
    for (unsigned k = 0; k < sizeof preset / sizeof preset[0]; k++)
        for (unsigned i = 0; flush_table[i] != NULL; i++) {
            const enum blk_api api = (enum blk_api)(i % BLK_API_COUNT);
            if (run_on(preset[k], path, api, flush_table[i], limit, set) != MACHINE_RAN)
                complain(preset[k], flush_table[i]);
            else
                expect(flush_table[i]);
            EXPECT_EQUAL(result.counters.replay.record, limit);
            EXPECT_EQUAL(result.counters.replay.failed, 0);
        }
}

/* ---- Metadata
 * -----------------------------------------------------------------------------------------
 */

static void expect_metadata(uint32_t block, uint32_t bytes)
{
    const struct machine_counters *c = &result.counters;
    EXPECT_EQUAL(c->driver.metadata, c->driver.request_read + c->driver.request_write);
    EXPECT_EQUAL(c->nvme.metadata_read_bytes + c->nvme.metadata_written_bytes,
                 c->driver.bytes / block * bytes);
    EXPECT_EQUAL(c->nvme.fault, 0);
}

static void expect_some_metadata(const struct flush_policy *policy)
{
    (void)policy;
    expect_metadata(512, 8);
    EXPECT(result.counters.driver.metadata_sgl > 0);
}

TEST_CASE(nvme_features, metadata_is_mapped_and_moved_under_every_policy)
{
    under_every_policy(mixed, 60, SET("nvme.metadata_bytes=8", "blk.bio_kib=16"),
                       expect_some_metadata);
}

TEST_CASE(nvme_features, metadata_of_one_piece_is_one_mapping_more)
{
    for (unsigned api = 0; api < BLK_API_COUNT; api++) {
        EXPECT_EQUAL(run(large, (enum blk_api)api, "strict", SET("nvme.metadata_bytes=0")),
                     MACHINE_RAN);
        const uint64_t maps   = result.counters.kernel.map,
                       unmaps = result.counters.kernel.unmap;
        const uint64_t pages  = result.counters.audit.page_given_back;
        EXPECT_EQUAL(result.counters.driver.metadata, 0);
        EXPECT_EQUAL(run(large, (enum blk_api)api, "strict", SET("nvme.metadata_bytes=8")),
                     MACHINE_RAN);
        expect_metadata(512, 8);
        EXPECT_EQUAL(result.counters.driver.metadata_pointer, 300);
        EXPECT_EQUAL(result.counters.kernel.map, maps + 300);
        EXPECT_EQUAL(result.counters.kernel.unmap, unmaps + 300);
        EXPECT_EQUAL(result.counters.audit.page_given_back, pages + 300);
        EXPECT_EQUAL(result.counters.audit.stale_access, 0);
    }
}

/* 4 KiB blocks: an eighth of the metadata; nothing else changes. */
TEST_CASE(nvme_features, metadata_follows_the_block_size)
{
    EXPECT_EQUAL(run(large, BLK_iova, "strict",
                     SET("nvme.metadata_bytes=8", "nvme.block_bytes=4096")),
                 MACHINE_RAN);
    expect_metadata(4096, 8);
    EXPECT_EQUAL(run(unaligned, BLK_iova, "strict", SET("nvme.metadata_bytes=64")),
                 MACHINE_RAN);
    expect_metadata(512, 64);
    EXPECT_EQUAL(run(unaligned, BLK_iova, "strict", SET("nvme.block_bytes=4096")),
                 MACHINE_TRACE);
    EXPECT(strstr(error.text, "bytes: expected a multiple of 4096 (nvme.block_bytes), got")
           != NULL);
}

/* 128 KiB in bios of 16: eight pieces where the release and the drive can, else eight
 * requests. Bios of 4 KiB: at most fifteen pieces, so three requests. */
TEST_CASE(nvme_features, pieces_of_metadata_limit_what_is_merged)
{
    EXPECT_EQUAL(
        run(large, BLK_iova, "strict", SET("nvme.metadata_bytes=8", "blk.bio_kib=16")),
        MACHINE_RAN);
    EXPECT_EQUAL(result.counters.driver.request, 300);
    EXPECT_EQUAL(result.counters.driver.metadata_piece, 300 * 8);
    EXPECT_EQUAL(result.counters.driver.described_sgl, 300);
    /* Buffers that happen to touch are one range for the IOVA API, */
    EXPECT_EQUAL(
        result.counters.driver.metadata_sgl + result.counters.driver.metadata_pointer, 300);
    EXPECT(result.counters.driver.metadata_sgl > 0);
    /* and pieces still for the others. */
    EXPECT_EQUAL(
        run(large, BLK_streaming, "strict", SET("nvme.metadata_bytes=8", "blk.bio_kib=16")),
        MACHINE_RAN);
    EXPECT_EQUAL(result.counters.driver.metadata_sgl, 300);
    EXPECT_EQUAL(
        run(large, BLK_iova, "strict", SET("nvme.metadata_bytes=8", "blk.bio_kib=4")),
        MACHINE_RAN);
    EXPECT_EQUAL(result.counters.driver.request, 900);
    EXPECT_EQUAL(result.counters.driver.metadata_piece, 300 * 32);
    static const char *const one[] = { "linux.release=6.18", "linux.release=6.12",
                                       "nvme.metadata_sgl=0", "nvme.sgl=0" };
    for (unsigned i = 0; i < 4; i++) {
        EXPECT_EQUAL(run(large, BLK_streaming, "strict",
                         SET("nvme.metadata_bytes=8", "blk.bio_kib=16", one[i])),
                     MACHINE_RAN);
        EXPECT_EQUAL(result.counters.driver.request, 2400);
        EXPECT_EQUAL(result.counters.driver.metadata_sgl, 0);
        expect_metadata(512, 8);
    }
    /* Without metadata the bios' borders do not matter. */
    EXPECT_EQUAL(run(large, BLK_iova, "strict", SET("blk.bio_kib=16")), MACHINE_RAN);
    EXPECT_EQUAL(result.counters.driver.request, 300);
}

TEST_CASE(nvme_features, a_bio_holds_at_least_a_block)
{
    EXPECT_EQUAL(
        run(large, BLK_iova, "strict",
            SET("nvme.metadata_bytes=8", "nvme.block_bytes=4096", "blk.bio_kib=2")),
        MACHINE_REFUSED);
    EXPECT_TEXT(error.text, "blk.bio_kib: expected at least a block of 4096 bytes, got 2");
}

/* Small buffers lie beside each other in pages that are mapped whole. */
TEST_CASE(nvme_features, an_untrusted_drive_gets_its_metadata_bounced)
{
    EXPECT_EQUAL(
        run(large, BLK_iova, "strict", SET("nvme.metadata_bytes=8", "linux.untrusted=1")),
        MACHINE_RAN);
    EXPECT(result.counters.kernel.bounce >= 300);
    expect_metadata(512, 8);
}

/* ---- Discards and user commands
 * ---------------------------------------------------------------------------- */

static const char discards[] = SAMPLES "rocksdb-ycsb-a.opencas.csv.bz2";

/* 16 of its records discard: each maps the page of its range, which the drive reads. */
TEST_CASE(nvme_features, a_discard_maps_the_page_of_its_range)
{
    for (unsigned api = 0; api < BLK_API_COUNT; api++) {
        EXPECT_EQUAL(run_on("vtd-server", discards, (enum blk_api)api, flush_find("strict"),
                            UINT64_MAX, SET("replay.polled=none")),
                     MACHINE_RAN);
        const struct machine_counters *c = &result.counters;
        EXPECT_EQUAL(c->replay.failed, 0);
        EXPECT_EQUAL(c->nvme.command_dataset, 16);
        EXPECT_EQUAL(c->nvme.command_zeroes, 0);
        EXPECT_EQUAL(c->nvme.data_read_bytes + c->nvme.data_written_bytes,
                     c->driver.bytes + 16 * NVME_RANGE_BYTES);
        EXPECT_EQUAL(c->nvme.fault, 0);
        if (api != BLK_streaming) /* Which unmaps every piece of the others. */
            EXPECT_EQUAL(c->kernel.unmap, c->driver.request - c->nvme.command_flush);
    }
}

static void expect_sgls(const struct flush_policy *policy)
{
    (void)policy;
    EXPECT_EQUAL(result.counters.driver.described_prp, 0);
    EXPECT_EQUAL(result.counters.driver.described_sgl, result.counters.driver.request);
    EXPECT_EQUAL(result.counters.driver.metadata_sgl, result.counters.driver.request);
    expect_metadata(512, 8);
}

TEST_CASE(nvme_features, user_commands_are_described_by_sgls_under_every_policy)
{
    under_every_policy(mixed, 60, SET("replay.user_commands=1", "nvme.metadata_bytes=8"),
                       expect_sgls);
}

TEST_CASE(nvme_features, user_commands_take_what_drive_and_release_offer)
{
    EXPECT_EQUAL(
        run(mixed, BLK_iova, "strict",
            SET("replay.user_commands=1", "nvme.metadata_bytes=8", "nvme.metadata_sgl=0")),
        MACHINE_RAN);
    EXPECT_EQUAL(result.counters.driver.described_prp, 0);
    EXPECT_EQUAL(result.counters.driver.metadata_sgl, 0);
    EXPECT_EQUAL(
        run(mixed, BLK_iova, "strict", SET("replay.user_commands=1", "nvme.sgl=0")),
        MACHINE_RAN);
    EXPECT_EQUAL(result.counters.driver.described_sgl, 0);
    EXPECT_EQUAL(run(mixed, BLK_streaming, "strict",
                     SET("replay.user_commands=1", "linux.release=6.12")),
                 MACHINE_RAN);
    EXPECT(result.counters.driver.described_prp > 0);
}

/* ---- Polled queues
 * ------------------------------------------------------------------------------------ */

static uint64_t owned(enum cpu_owner owner)
{
    uint64_t sum = 0;
    for (unsigned p = 0; p < PHASES; p++)
        sum += result.counters.cycles[p][owner];
    return sum;
}

static void expect_all_polled(const struct flush_policy *policy)
{
    const struct driver_stats *d = &result.counters.driver;
    (void)policy;
    EXPECT_EQUAL(d->polled, d->request);
    EXPECT_EQUAL(d->request_other, 0);
    EXPECT_EQUAL(result.counters.nvme.transaction_interrupt, 0);
    EXPECT(d->poll_found > 0);
    EXPECT(d->poll_turn > d->poll_found);
    EXPECT(owned(OWNER_io_poll) > 0);
}

TEST_CASE(nvme_features, two_cpus_share_a_polled_queue_under_every_policy)
{
    under_every_policy(mixed, 60, SET("driver.poll_queues=1", "replay.polled=all"),
                       expect_all_polled);
}

TEST_CASE(nvme_features, who_polls_takes_no_interrupts)
{
    EXPECT_EQUAL(run(large, BLK_iova, "strict", SET("replay.polled=none")), MACHINE_RAN);
    EXPECT(owned(OWNER_irq) > 0);
    EXPECT_EQUAL(owned(OWNER_io_poll), 0);
    EXPECT_EQUAL(
        run(large, BLK_iova, "strict", SET("driver.poll_queues=2", "replay.polled=all")),
        MACHINE_RAN);
    expect_all_polled(NULL);
    EXPECT_EQUAL(owned(OWNER_irq), 0);
    EXPECT_EQUAL(result.counters.audit.stale_access, 0);
}

TEST_CASE(nvme_features, reads_may_be_polled_while_writes_interrupt)
{
    EXPECT_EQUAL(
        run(mixed, BLK_iova, "lazy", SET("driver.poll_queues=2", "replay.polled=reads")),
        MACHINE_RAN);
    EXPECT_EQUAL(result.counters.driver.polled, result.counters.driver.request_read);
    EXPECT(result.counters.driver.request_write > 0);
    EXPECT(result.counters.nvme.transaction_interrupt > 0);
    EXPECT(result.counters.nvme.transaction_interrupt
           <= result.counters.driver.request_write);
}

/* Linux clears REQ_POLLED where there is no such queue. */
TEST_CASE(nvme_features, nothing_is_polled_without_such_a_queue)
{
    EXPECT_EQUAL(run(mixed, BLK_iova, "strict", SET("replay.polled=none")), MACHINE_RAN);
    const sim_time_t time = result.time_ps;
    EXPECT_EQUAL(run(mixed, BLK_iova, "strict", SET("replay.polled=all")), MACHINE_RAN);
    EXPECT_EQUAL(result.time_ps, time);
    EXPECT_EQUAL(result.counters.driver.polled, 0);
    EXPECT_EQUAL(result.counters.driver.poll_turn, 0);
}

/* One slot for two CPUs of which each wants eight. */
TEST_CASE(nvme_features, a_polled_queue_may_be_full_of_somebody_elses_requests)
{
    static const char *const mode[] = { "replay.mode=closed", "replay.mode=fast" };
    for (unsigned i = 0; i < 2; i++) {
        EXPECT_EQUAL(run(mixed, BLK_streaming, "lazy",
                         SET("driver.poll_queues=1", "replay.polled=all", "replay.depth=8",
                             "driver.queue_entries=2", mode[i])),
                     MACHINE_RAN);
        EXPECT_EQUAL(result.counters.replay.record, 300);
        EXPECT_EQUAL(result.counters.replay.failed, 0);
        expect_all_polled(NULL);
    }
}

TEST_CASE(nvme_features, polling_is_the_same_with_and_without_running_ahead)
{
    static const char *const set[] = { "driver.poll_queues=2", "replay.polled=reads",
                                       "nvme.metadata_bytes=8", NULL };
    struct machine_result ahead;
    cpus = 3;
    EXPECT_EQUAL(run(mixed, BLK_iova, "lazy", set), MACHINE_RAN);
    ahead     = result;
    run_ahead = false;
    EXPECT_EQUAL(run(mixed, BLK_iova, "lazy", set), MACHINE_RAN);
    run_ahead = true;
    cpus      = 2;
    EXPECT_EQUAL(result.time_ps, ahead.time_ps);
    EXPECT(memcmp(&result.counters, &ahead.counters, sizeof ahead.counters) == 0);
}

TEST_CASE(nvme_features, polled_queues_are_queues_of_the_drive)
{
    EXPECT_EQUAL(
        run(mixed, BLK_iova, "strict", SET("driver.poll_queues=2", "nvme.queues=3")),
        MACHINE_REFUSED);
    EXPECT_TEXT(error.text,
                "nvme.queues: expected at least 4, one for each CPU (--cpus) and "
                "driver.poll_queues, got 3");
    EXPECT_EQUAL(run(mixed, BLK_iova, "strict",
                     SET("driver.poll_queues=2", "nvme.queues=4", "replay.polled=all")),
                 MACHINE_RAN);
}

/* ---- Interrupt coalescing
 * --------------------------------------------------------------------------------- */

static void expect_coalesced(const struct flush_policy *policy)
{
    const struct nvme_stats *n = &result.counters.nvme;
    (void)policy;
    EXPECT(n->transaction_interrupt > 0);
    EXPECT(n->transaction_interrupt < n->completion);
}

TEST_CASE(nvme_features, interrupts_are_coalesced_under_every_policy)
{
    under_every_policy(mixed, 60,
                       SET("driver.coalesce_entries=4", "driver.coalesce_100us=1"),
                       expect_coalesced);
}

/* One request at a time never reaches a threshold: each waits for its time. */
TEST_CASE(nvme_features, below_the_threshold_every_request_waits_for_the_time)
{
    EXPECT_EQUAL(
        run(mixed, BLK_iova, "strict",
            SET("replay.depth=1", "driver.coalesce_entries=2", "driver.coalesce_100us=3")),
        MACHINE_RAN);
    EXPECT_EQUAL(result.counters.nvme.transaction_interrupt,
                 result.counters.nvme.completion);
    EXPECT(result.io_latency_ns.min >= 300000);
    EXPECT_EQUAL(run(mixed, BLK_iova, "strict",
                     SET("replay.depth=1", "driver.coalesce_entries=2",
                         "driver.coalesce_100us=3", "driver.coalesce_except=2")),
                 MACHINE_RAN);
    const sim_time_t excepted = result.time_ps;
    EXPECT(result.io_latency_ns.max < 300000);
    EXPECT_EQUAL(run(mixed, BLK_iova, "strict",
                     SET("replay.depth=1", "driver.coalesce_entries=2",
                         "driver.coalesce_100us=3", "driver.coalesce_except=1")),
                 MACHINE_RAN);
    EXPECT(result.time_ps > excepted);
    EXPECT(result.io_latency_ns.min < 300000);
    EXPECT(result.io_latency_ns.max >= 300000);
}

/* What the interrupt has taken asks for none again. */
TEST_CASE(nvme_features, restarting_spares_interrupts_for_nothing)
{
    EXPECT_EQUAL(run(large, BLK_iova, "strict",
                     SET("driver.coalesce_entries=4", "driver.coalesce_100us=1")),
                 MACHINE_RAN);
    const uint64_t before = result.counters.nvme.transaction_interrupt;
    EXPECT_EQUAL(run(large, BLK_iova, "strict",
                     SET("driver.coalesce_entries=4", "driver.coalesce_100us=1",
                         "nvme.coalesce_restart=1")),
                 MACHINE_RAN);
    EXPECT(result.counters.nvme.transaction_interrupt <= before);
    EXPECT_EQUAL(result.counters.replay.record, 300);
}

TEST_CASE(nvme_features, coalescing_without_a_time_is_refused)
{
    struct config config;
    CHECK(config_init(&config, "vtd-server", &error));
    EXPECT(config_set(&config, "driver.coalesce_entries=8", &error));
    EXPECT(!config_check(&config, &error));
    EXPECT_TEXT(error.text,
                "driver.coalesce_100us: expected at least 1 with "
                "driver.coalesce_entries=8 (no time means no coalescing), got 0");
    EXPECT(config_set(&config, "driver.coalesce_100us=1", &error));
    EXPECT(config_check(&config, &error));
    config_free(&config);
}

/* ---- Registered buffers
 * ----------------------------------------------------------------------------------- */

static void expect_premapped(const struct flush_policy *policy)
{
    const struct machine_counters *c = &result.counters;
    (void)policy;
    EXPECT_EQUAL(c->driver.premapped, c->driver.request);
    EXPECT_EQUAL(c->kernel.unmap, 0);
    EXPECT_EQUAL(c->audit.page_given_back, 0);
    EXPECT_EQUAL(c->audit.page_exposed, 0);
    EXPECT_EQUAL(c->audit.stale_access, 0);
    EXPECT_EQUAL(c->driver.address_bytes, 0);
    EXPECT_EQUAL(c->nvme.data_read_bytes + c->nvme.data_written_bytes, c->driver.bytes);
    EXPECT_EQUAL(c->nvme.fault, 0);
    EXPECT_EQUAL(result.findings, 0);
}

TEST_CASE(nvme_features, premapped_buffers_are_never_unmapped_under_any_policy)
{
    under_every_policy(mixed, 60,
                       SET("replay.buffers=premapped", "replay.buffer_kib=128",
                           "placement.buffers=16", "placement.model=heap",
                           "linux.dma_debug=1"),
                       expect_premapped);
}

static void expect_mapped_each_time(const struct flush_policy *policy)
{
    const struct machine_counters *c = &result.counters;
    EXPECT_EQUAL(c->driver.premapped, 0);
    EXPECT_EQUAL(c->replay.placed, c->replay.record);
    if (policy->translates && policy->map == NULL)
        EXPECT(c->kernel.unmap >= c->driver.request);
}

TEST_CASE(nvme_features, registered_buffers_are_mapped_at_each_use_under_every_policy)
{
    under_every_policy(mixed, 60,
                       SET("replay.buffers=registered", "replay.buffer_kib=128",
                           "placement.buffers=16", "placement.model=heap",
                           "linux.dma_debug=1"),
                       expect_mapped_each_time);
}

/* Requests of 1 MiB are cut at the drive's limit; each part knows its place. */
TEST_CASE(nvme_features, parts_of_a_premapped_buffer_are_described_in_place)
{
    static const char *const model[] = { "placement.model=scattered",
                                         "placement.model=contiguous",
                                         "placement.model=hugepages",
                                         "placement.model=heap" };
    for (unsigned i = 0; i < 4; i++)
        for (unsigned api = 0; api < BLK_API_COUNT; api++) {
            EXPECT_EQUAL(
                run(large, (enum blk_api)api, "lazy",
                    SET("replay.buffers=premapped", "replay.buffer_kib=256", model[i],
                        "driver.max_transfer_kib=52", "placement.buffers=40")),
                MACHINE_RAN);
            EXPECT_EQUAL(result.counters.driver.request, 900);
            expect_premapped(NULL);
        }
}

TEST_CASE(nvme_features, metadata_of_a_premapped_buffer_is_still_mapped)
{
    EXPECT_EQUAL(run(unaligned, BLK_iova, "strict",
                     SET("replay.buffers=premapped", "replay.buffer_kib=8",
                         "nvme.metadata_bytes=8")),
                 MACHINE_RAN);
    EXPECT_EQUAL(result.counters.driver.premapped, 300);
    EXPECT_EQUAL(result.counters.kernel.unmap, 300);
    expect_metadata(512, 8);
}

/* One buffer: one request at a time, however many are wanted. */
TEST_CASE(nvme_features, who_has_no_buffer_waits_for_one)
{
    EXPECT_EQUAL(
        run(large, BLK_iova, "strict",
            SET("replay.buffers=premapped", "placement.buffers=1", "replay.depth=16")),
        MACHINE_RAN);
    const sim_time_t one = result.time_ps;
    EXPECT_EQUAL(
        run(large, BLK_iova, "strict",
            SET("replay.buffers=premapped", "placement.buffers=16", "replay.depth=1")),
        MACHINE_RAN);
    EXPECT(one * 10 > result.time_ps * 9);
    EXPECT(one * 9 < result.time_ps * 10);
}

TEST_CASE(nvme_features, an_untrusted_drives_premapped_buffers_are_whole_pages)
{
    EXPECT_EQUAL(run(mixed, BLK_streaming, "strict",
                     SET("replay.buffers=premapped", "linux.untrusted=1")),
                 MACHINE_RAN);
    EXPECT_EQUAL(result.counters.kernel.bounce, 0);
    expect_premapped(NULL);
}

TEST_CASE(nvme_features, what_cannot_be_registered_is_refused_in_one_line)
{
    EXPECT_EQUAL(run(large, BLK_iova, "strict",
                     SET("replay.buffers=registered", "replay.buffer_kib=64")),
                 MACHINE_TRACE);
    EXPECT(strstr(error.text, "record 0: bytes: expected at most replay.buffer_kib=64 with "
                              "replay.buffers=registered, got 131072 bytes")
           != NULL);
    EXPECT_EQUAL(run(large, BLK_iova, "strict",
                     SET("replay.buffers=premapped", "placement.model=unaligned")),
                 MACHINE_REFUSED);
    EXPECT_TEXT(error.text, "placement.model: expected one of whole pages with "
                            "replay.buffers=premapped, got unaligned");
    EXPECT_EQUAL(run(large, BLK_iova, "strict",
                     SET("replay.buffers=registered", "placement.model=unaligned")),
                 MACHINE_RAN);
}

/* All of it at once. */
static void expect_no_failure(const struct flush_policy *policy)
{
    (void)policy;
    expect_metadata(512, 8);
    EXPECT_EQUAL(result.findings, 0);
}

TEST_CASE(nvme_features, everything_together_under_every_policy)
{
    under_every_policy(mixed, 60,
                       SET("nvme.metadata_bytes=8", "blk.bio_kib=8", "driver.poll_queues=1",
                           "replay.polled=reads", "driver.coalesce_entries=3",
                           "driver.coalesce_100us=1", "nvme.coalesce_restart=1",
                           "replay.buffers=premapped", "replay.buffer_kib=128",
                           "placement.buffers=16", "linux.dma_debug=1"),
                       expect_no_failure);
}
