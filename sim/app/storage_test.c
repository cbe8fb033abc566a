/* SPDX-License-Identifier: Apache-2.0 */
/* Block requests over RDMA to another host's drive: all data compared, packets counted. */
#include "sim/app/storage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/app/fabric.h"
#include "sim/app/metric.h"
#include "sim/app/sources.h"
#include "sim/host/direct.h"
#include "sim/test/shim.h"

#define SAMPLES TEST_SOURCE_DIR "/traces/samples/"

enum { ADMIN_QP = 0 }; /* The first that either end makes. */

static struct machine_result result;
static struct error error;

struct wish {
    const char *preset, *trace, *policy;
    const char *set[6];
    enum blk_api api;
    unsigned cpus;
    uint64_t limit;
    bool no_run_ahead, rdma, attacker;
    void (*packet)(void *self, const struct rdma_packet *packet);
    void *packet_self;
    struct outage *outage; /* Of the target's memory; NULL: none. */
};

/* The target without memory. */
struct outage {
    const char *what;
    bool at_start, replaying; /* Not before the first request, unless at the start. */
    unsigned after, times;    /* So many allocations succeed, then so many do not. */
    unsigned asked, failed;
};

static bool is_out(void *self, unsigned host, const char *what)
{
    struct outage *o = self;
    if (host != STORAGE_SERVER || o->replaying == o->at_start
        || (o->what != NULL && strcmp(what, o->what) != 0))
        return false;
    const bool out = o->asked >= o->after && o->failed < o->times;
    o->asked++;
    o->failed += out;
    return out;
}

/* The first command that a drive could carry out. */
static bool is_request(const struct rdma_packet *p)
{
    return p->qp != ADMIN_QP && p->from == STORAGE_CLIENT && p->kind == RDMA_PACKET_SEND
           && p->first && p->data[0] != NVMF_FABRICS;
}

static void watch_for_requests(void *self, const struct rdma_packet *p)
{
    struct outage *o = self;
    o->replaying     = o->replaying || is_request(p);
}

static enum machine_outcome play(const struct wish *w)
{
    char path[512];
    struct config config;
    struct replay_source source = { w->trace, NULL };
    snprintf(path, sizeof path, "%s%s", generator_is(w->trace) ? "" : SAMPLES, w->trace);
    CHECK(config_init(&config, w->preset != NULL ? w->preset : "vtd-server", &error));
    CHECK(config_set(&config, "nvmf.remote=1", &error));
    CHECK(config_set(&config, "fabric.check=1", &error));
    for (unsigned i = 0; i < 6 && w->set[i] != NULL; i++)
        CHECK(config_set(&config, w->set[i], &error));
    CHECK(config_check(&config, &error));
    CHECK(sources_open(&source.reader, path, NULL, &config, 0, &error));
    const struct machine_run run = {
        .api         = w->api,
        .policy      = flush_find(w->policy != NULL ? w->policy : "strict"),
        .cpus        = w->cpus != 0 ? w->cpus : 2,
        .limit       = w->limit != 0 ? w->limit : 200,
        .run_ahead   = !w->no_run_ahead,
        .rdma        = w->rdma,
        .attacker    = w->attacker,
        .source      = &source,
        .sources     = 1,
        .packet      = w->outage != NULL ? watch_for_requests : w->packet,
        .packet_self = w->outage != NULL ? w->outage : w->packet_self,
        .fails       = w->outage != NULL ? is_out : NULL,
        .fails_self  = w->outage,
    };
    struct direct_host *host = direct_host_new();
    error                    = (struct error){ "" };
    const enum machine_outcome ending =
        machine_run(&config, &run, direct_host_verbs(host), &result, &error);
    direct_host_free(host);
    trace_close(source.reader);
    config_free(&config);
    return ending;
}

/* All of it was replayed, compared, and taken apart again. */
static void expect_all_stored(const struct wish *w)
{
    const struct machine_counters *c = &result.counters;
    EXPECT_EQUAL(play(w), MACHINE_RAN);
    EXPECT_TEXT(error.text, "");
    EXPECT(c->replay.record > 0);
    EXPECT_EQUAL(c->replay.record, result.source_records[0]);
    EXPECT_EQUAL(c->replay.failed, 0);
    EXPECT_EQUAL(c->nvmf.failed, 0);
    EXPECT_EQUAL(c->nvmf.mismatched, 0);
    EXPECT_EQUAL(c->nvmf.request, c->nvmf.command);
    EXPECT_EQUAL(c->nvmf.request, c->nvmf.response);
    EXPECT_EQUAL(c->nvmf.registered, c->nvmf.invalidated);
    EXPECT_EQUAL(c->verbs.region, c->verbs.released);
    EXPECT_EQUAL(c->driver.bytes, c->nvmf.bytes);
    EXPECT_EQUAL(c->driver.failed, 0);
    EXPECT_EQUAL(c->rdma.fault, 0);
    EXPECT_EQUAL(c->dma.fault, 0);
    EXPECT_EQUAL(c->audit.stale_access, 0);
    EXPECT_EQUAL(c->rdma.not_ready, 0); /* A receive is posted whenever there is a send. */
}

TEST_CASE(storage, every_byte_goes_to_the_medium_and_back)
{
    static const char *const policy[] = { "strict", "lazy", "passthrough" };
    for (unsigned p = 0; p < 3; p++)
        for (unsigned a = 0; a < BLK_API_COUNT; a++) {
            /* A small span, so that what is written is read again. */
            expect_all_stored(
                &(struct wish){ .trace  = "gen:randrw",
                                .policy = policy[p],
                                .api    = (enum blk_api)a,
                                .limit  = 400,
                                .set = { "gen.span_mib=1", "gen.block_kib=8", "gen.depth=4",
                                         "nvme.blocks=1048576" } });
            EXPECT(result.counters.nvmf.compared_bytes > 1000000);
            EXPECT(result.counters.nvmf.medium_bytes > 100000);
        }
}

TEST_CASE(storage, recorded_traces_with_their_own_memory_are_replayed_over_it)
{
    static const char *const trace[] = { "nvme-randrw-mixed.iovatrace",
                                         "nvme-unaligned-4608.iovatrace",
                                         "nvme-seqread-128k.iovatrace" };
    for (unsigned t = 0; t < 3; t++)
        for (unsigned a = 0; a < BLK_API_COUNT; a++)
            expect_all_stored(&(struct wish){ .trace = trace[t], .api = (enum blk_api)a });
    for (unsigned i = 0; flush_table[i] != NULL; i++)
        if (!flush_table[i]->negative)
            expect_all_stored(&(struct wish){ .trace  = trace[0],
                                              .policy = flush_table[i]->name,
                                              .api    = BLK_iova,
                                              .limit  = 100 });
}

TEST_CASE(storage, on_every_preset_and_any_number_of_cpus)
{
    static const char *const preset[] = { "vtd-ats", "vtd-scalable", "vtd-tiny",
                                          "riscv-perf", "riscv-zdl" };
    for (unsigned i = 0; i < 5; i++)
        expect_all_stored(&(struct wish){ .preset = preset[i],
                                          .trace  = "nvme-randrw-mixed.iovatrace",
                                          .cpus   = i + 1,
                                          .limit  = 100 });
}

/* ---- Sizes and queues ------------------------------------------------------------------
 */

TEST_CASE(storage, small_writes_go_with_the_command_as_far_as_there_is_room)
{
    struct wish w = { .trace = "gen:seqwrite", .set = { "gen.block_kib=8", NULL } };
    w.set[1]      = "nvmf.inline_kib=4";
    expect_all_stored(&w);
    EXPECT_EQUAL(result.counters.nvmf.inlined, 0);
    EXPECT_EQUAL(result.counters.nvmf.data_read, 200);
    w.set[1] = "nvmf.inline_kib=8";
    expect_all_stored(&w);
    EXPECT_EQUAL(result.counters.nvmf.inlined, 200);
    EXPECT_EQUAL(result.counters.nvmf.registered, 0);
    EXPECT_EQUAL(result.counters.nvmf.medium_bytes, 200 * 8192);
    w.set[1] = "nvmf.inline_kib=0";
    expect_all_stored(&w);
    EXPECT_EQUAL(result.counters.nvmf.registered, 200);
}

/* Without translation the pages stay apart: a request has more pieces than a work request
 * has room for, and all of them more than the queue. */
TEST_CASE(storage, large_requests_wait_for_room_and_are_split_for_the_drive)
{
    struct wish w = { .trace  = "gen:randrw",
                      .policy = "passthrough",
                      .api    = BLK_iova,
                      .limit  = 40,
                      .cpus   = 1,
                      .set    = { "gen.block_kib=1024", "gen.depth=64",
                                  "nvmf.queue_entries=64", "nvme.transfer_pages_lg2=5" } };
    expect_all_stored(&w);
    EXPECT(result.counters.nvmf.waited > 0);
    EXPECT(result.counters.nvmf.piece >= 8 * result.counters.nvmf.request);
    EXPECT(result.counters.nvmf.data_read + result.counters.nvmf.data_written
           > result.counters.nvmf.request);
    w.policy = "strict";
    expect_all_stored(&w); /* One range: one work request. */
    EXPECT_EQUAL(result.counters.nvmf.data_read + result.counters.nvmf.data_written,
                 result.counters.nvmf.request);
}

/* A ring that the user wants smaller than one command's pieces and its response. */
TEST_CASE(storage, the_largest_request_fits_into_the_smallest_ring)
{
    for (unsigned a = 0; a < BLK_API_COUNT; a++)
        expect_all_stored(&(struct wish){
            .trace  = "gen:randrw",
            .policy = "passthrough",
            .api    = (enum blk_api)a,
            .limit  = 10,
            .cpus   = 1,
            .set    = { "gen.block_kib=1024", "gen.depth=4", "nvmf.queue_entries=2",
                        "verbs.queue_entries=8", "verbs.wqe_bytes=64" } });
}

/* ---- The target without memory ---------------------------------------------------------
 */

/* One request at a time: nothing else completes that could give memory back. */
TEST_CASE(storage, a_target_without_memory_tries_again_by_itself)
{
    static const char *const trace[] = { "gen:randread", "gen:randwrite", "gen:trim" };
    uint64_t waited                  = 0;
    for (unsigned t = 0; t < 3; t++)
        for (unsigned a = 0; a < BLK_API_COUNT; a++)
            for (unsigned after = 0; after < 6; after++) {
                struct outage o = { .after = after, .times = 3 };
                expect_all_stored(&(struct wish){
                    .trace  = trace[t],
                    .api    = (enum blk_api)a,
                    .cpus   = 1,
                    .limit  = 6,
                    .set    = { "gen.depth=1", "gen.block_kib=16", "nvmf.inline_kib=0" },
                    .outage = &o });
                EXPECT_EQUAL(o.failed, 3);
                waited += result.counters.nvmf.waited;
            }
    EXPECT(waited > 54); /* Not all of them: the IOVA caches do without. */
}

/* The memory that one CPU waits for is that of another's commands. */
TEST_CASE(storage, queues_wait_for_memory_of_each_other)
{
    struct outage o = { .what = "pages", .after = 40, .times = 60 };
    expect_all_stored(&(struct wish){ .trace  = "gen:randrw",
                                      .cpus   = 3,
                                      .limit  = 120,
                                      .set    = { "gen.block_kib=64", "gen.depth=2" },
                                      .outage = &o });
    EXPECT_EQUAL(o.failed, 60);
}

/* As Linux's does at once: the command ends with an error, and nothing is lost. */
TEST_CASE(storage, a_target_that_stays_without_memory_says_so)
{
    static const char *const trace[] = { "gen:randread", "gen:randwrite" };
    for (unsigned t = 0; t < 2; t++)
        for (unsigned a = 0; a < BLK_API_COUNT; a++)
            for (unsigned after = 0; after < 4; after++) {
                struct outage o                  = { .after = after, .times = UINT32_MAX };
                const struct machine_counters *c = &result.counters;
                EXPECT_EQUAL(
                    play(&(struct wish){ .trace  = trace[t],
                                         .api    = (enum blk_api)a,
                                         .cpus   = 1,
                                         .limit  = 4,
                                         .set    = { "gen.depth=2", "gen.block_kib=16" },
                                         .outage = &o }),
                    MACHINE_RAN);
                EXPECT_TEXT(error.text, "");
                EXPECT(c->nvmf.failed > 0);
                EXPECT_EQUAL(c->nvmf.failed, c->replay.failed);
                EXPECT_EQUAL(c->nvmf.request, c->nvmf.response);
                EXPECT_EQUAL(c->nvmf.mismatched, 0);
                EXPECT_EQUAL(c->verbs.region, c->verbs.released);
            }
}

TEST_CASE(storage, a_short_queue_holds_requests_back)
{
    expect_all_stored(&(struct wish){ .trace = "gen:randread",
                                      .set = { "gen.depth=32", "nvmf.queue_entries=2" } });
}

TEST_CASE(storage, flushes_have_no_data_and_discards_their_ranges)
{
    expect_all_stored(&(struct wish){ .trace = "gen:fsync", .limit = 100 });
    EXPECT(result.counters.nvmf.request_other > 0);
    for (unsigned i = 0; i < 2; i++) {
        expect_all_stored(&(struct wish){
            .trace = "gen:trim",
            .limit = 100,
            .set   = { i == 0 ? "nvmf.inline_kib=4" : "nvmf.inline_kib=0" } });
        EXPECT(result.counters.nvme.command_dataset > 0);
        EXPECT_EQUAL(result.counters.nvme.command_dataset
                         + result.counters.nvme.command_zeroes
                         + result.counters.nvme.command_flush,
                     result.counters.nvmf.request_other);
        EXPECT_EQUAL(result.counters.nvmf.inlined > 0, i == 0);
        EXPECT(result.counters.nvmf.data_read >= i * result.counters.nvme.command_dataset);
    }
}

/* Larger blocks, metadata of the drive's own, and buffers that are used again. */
TEST_CASE(storage, other_formats_of_the_drive_hold_the_same_bytes)
{
    for (unsigned a = 0; a < BLK_API_COUNT; a++) {
        expect_all_stored(&(struct wish){
            .trace = "gen:randrw",
            .api   = (enum blk_api)a,
            .limit = 300,
            .set   = { "gen.span_mib=1", "gen.block_kib=8", "nvme.block_bytes=4096",
                       "nvme.metadata_bytes=8", "replay.buffers=registered",
                       "replay.buffer_kib=64" } });
        EXPECT(result.counters.nvmf.compared_bytes > 500000);
        EXPECT(result.counters.nvmf.medium_bytes > 100000);
        EXPECT_EQUAL(result.counters.driver.metadata, result.counters.driver.request);
    }
    expect_all_stored(&(struct wish){
        .trace = "gen:trim", .limit = 100, .set = { "nvme.block_bytes=4096" } });
    EXPECT(result.counters.nvme.command_dataset > 0);
}

/* ---- Packets ---------------------------------------------------------------------------
 */

enum { SHAPES_MAX = 32 };

struct shape {
    char end[16], opcode[32];
    unsigned bytes, packets;
};

struct shapes {
    bool begun; /* With the first request. */
    struct shape seen[SHAPES_MAX];
    unsigned count;
};

/* What the header of the packet says; NULL: an acknowledgement. */
static bool opcode_of(const struct rdma_packet *p, char *name, size_t room)
{
    static const char *const verb[] = { [RDMA_PACKET_SEND]  = "send",
                                        [RDMA_PACKET_WRITE] = "write",
                                        [RDMA_PACKET_DATA]  = "read_response" };
    const char *part                = p->first && p->last ? "only"
                                      : p->first          ? "first"
                                      : p->last           ? "last"
                                                          : "middle";
    if (p->kind >= RDMA_PACKET_VALUE)
        return false;
    if (p->kind == RDMA_PACKET_READ)
        snprintf(name, room, "read_request");
    else
        snprintf(name, room, "%s_%s%s", verb[p->kind], part,
                 p->kind == RDMA_PACKET_SEND && p->last && p->opcode == RDMA_SEND_INV
                     ? "_inv"
                     : "");
    return true;
}

static void count_packet(void *self, const struct rdma_packet *p)
{
    struct shapes *s  = self;
    struct shape this = { .packets = 1 };
    s->begun          = s->begun || is_request(p);
    if (!s->begun || p->qp == ADMIN_QP)
        return;
    if (!opcode_of(p, this.opcode, sizeof this.opcode))
        return;
    snprintf(this.end, sizeof this.end, "%s",
             p->from == STORAGE_CLIENT ? "host" : "target");
    this.bytes = (unsigned)(p->kind == RDMA_PACKET_DATA ? p->payload : p->length);
    for (unsigned i = 0; i < s->count; i++) {
        struct shape *t = &s->seen[i];
        if (strcmp(t->end, this.end) == 0 && strcmp(t->opcode, this.opcode) == 0
            && t->bytes == this.bytes) {
            t->packets++;
            return;
        }
    }
    CHECK(s->count < SHAPES_MAX);
    s->seen[s->count++] = this;
}

static unsigned packets_of(const struct shapes *s, const char *end, const char *opcode,
                           unsigned bytes)
{
    for (unsigned i = 0; i < s->count; i++)
        if (strcmp(s->seen[i].end, end) == 0 && strcmp(s->seen[i].opcode, opcode) == 0
            && s->seen[i].bytes == bytes)
            return s->seen[i].packets;
    return 0;
}

/* Per request as many of each kind as the recording has, and nothing else. */
static void expect_shape(const char *op, unsigned bytes, unsigned lines, const char *more)
{
    enum { REQUESTS = 60 };
    char line[256], name[16], end[16], opcode[32], block[32];
    struct shapes s = { .count = 0 };
    unsigned size, requests, message, packets, found = 0;
    snprintf(block, sizeof block, "gen.block_kib=%u", bytes / 1024);
    const struct wish w = { .trace =
                                strcmp(op, "read") == 0 ? "gen:randread" : "gen:randwrite",
                            .limit       = REQUESTS,
                            .set         = { block, "verbs.mtu=4096" },
                            .packet      = count_packet,
                            .packet_self = &s };
    expect_all_stored(&w);
    FILE *in = fopen(SAMPLES "nvmeof-shapes.txt", "r");
    REQUIRE(in != NULL);
    while (fgets(line, sizeof line, in) != NULL) {
        if (sscanf(line, "%15s %u %u %15s %31s %u %u", name, &size, &requests, end, opcode,
                   &message, &packets)
                != 7
            || strcmp(name, op) != 0 || size != bytes)
            continue;
        EXPECT_EQUAL(packets % requests, 0);
        EXPECT_EQUAL(packets_of(&s, end, opcode, message), packets / requests * REQUESTS);
        found++;
    }
    EXPECT_EQUAL(fclose(in), 0);
    EXPECT_EQUAL(found, lines);
    EXPECT_EQUAL(s.count, lines + (more != NULL ? 2 : 0));
    if (more != NULL) {
        EXPECT_EQUAL(packets_of(&s, "host", "send_only", NVMF_COMMAND_BYTES), REQUESTS);
        EXPECT_EQUAL(packets_of(&s, "target", more, NVMF_RESPONSE_BYTES), REQUESTS);
    }
}

TEST_CASE(storage, a_request_takes_the_packets_that_linux_sends_for_it)
{
    expect_shape("read", 4096, 3, NULL);
    expect_shape("write", 4096, 3, NULL);
    expect_shape("read", 65536, 5, NULL);
    expect_shape("write", 16384, 4, "send_only_inv");
}

/* ---- The start -------------------------------------------------------------------------
 */

/* Each packet a line, as the recording has them. */
struct story {
    char text[8192];
    size_t length;
    bool over; /* With the first request. */
    bool keeps_alive;
};

static void add_command(struct story *s, const struct rdma_packet *p)
{
    struct nvme_sqe c;
    struct nvmf_keyed_sgl sgl;
    memcpy(&c, p->data, sizeof c);
    memcpy(&sgl, &c.data, sizeof sgl);
    uint32_t bytes = c.data.sgl.bytes;
    if (sgl.type != NVMF_SGL_OFFSET)
        bytes = sgl.bytes[0] | (uint32_t)sgl.bytes[1] << 8 | (uint32_t)sgl.bytes[2] << 16;
    s->length += (size_t)snprintf(s->text + s->length, sizeof s->text - s->length,
                                  " %02x %x %x %x %x %02x %u", c.opcode, c.nsid, c.cdw[0],
                                  c.cdw[1], c.cdw[2], sgl.type, bytes);
}

static void tell(void *self, const struct rdma_packet *p)
{
    struct story *s   = self;
    const bool host   = p->from == STORAGE_CLIENT;
    const bool admin  = p->qp == ADMIN_QP;
    const char *queue = admin ? "admin" : "io";
    char name[32];
    s->over = s->over || is_request(p);
    if ((s->over && !(s->keeps_alive && admin)) || !opcode_of(p, name, sizeof name)
        || s->length + 128 > sizeof s->text)
        return;
    s->length +=
        (size_t)snprintf(s->text + s->length, sizeof s->text - s->length, "%s %s %s %u",
                         queue, host ? "host" : "target", name,
                         (unsigned)(p->kind == RDMA_PACKET_DATA ? p->payload : p->length));
    if (host && p->kind == RDMA_PACKET_SEND)
        add_command(s, p);
    s->text[s->length++] = '\n';
    s->text[s->length]   = '\0';
}

/* What the recording has, line by line; Keep Alive or all before it. */
static void expect_story(const char *told, bool keep_alive)
{
    char line[256];
    FILE *in = fopen(SAMPLES "nvmeof-connect.txt", "r");
    REQUIRE(in != NULL);
    for (unsigned n = 0; fgets(line, sizeof line, in) != NULL;) {
        if (line[0] == '#')
            continue;
        const bool last = ++n > 57;
        if (last != keep_alive)
            continue;
        const size_t length = strlen(line);
        EXPECT(strncmp(told, line, length) == 0);
        if (strncmp(told, line, length) != 0)
            EXPECT_TEXT(told, line);
        told += strncmp(told, line, length) == 0 ? length : 0;
    }
    EXPECT_EQUAL(fclose(in), 0);
    EXPECT_TEXT(told, "");
}

TEST_CASE(storage, a_controller_is_made_ready_as_linux_does_it)
{
    static const char *const policy[] = { "strict", "lazy" };
    for (unsigned p = 0; p < 2; p++)
        for (unsigned a = 0; a < BLK_API_COUNT; a++) {
            struct story s = { .length = 0 };
            expect_all_stored(&(struct wish){ .trace       = "gen:randread",
                                              .policy      = policy[p],
                                              .api         = (enum blk_api)a,
                                              .cpus        = 1,
                                              .limit       = 10,
                                              .set         = { "verbs.mtu=4096" },
                                              .packet      = tell,
                                              .packet_self = &s });
            expect_story(s.text, false);
        }
}

/* Not a part of the replay, but of the account. */
TEST_CASE(storage, the_start_is_counted_by_itself)
{
    for (unsigned a = 0; a < BLK_API_COUNT; a++)
        for (unsigned cpus = 1; cpus < 5; cpus += 3) {
            expect_all_stored(&(struct wish){
                .trace = "gen:randrw", .api = (enum blk_api)a, .cpus = cpus });
            const struct machine_counters *host = &result.start[STORAGE_CLIENT];
            const struct machine_counters *t    = &result.start[STORAGE_SERVER];
            EXPECT(result.start_ps > 0);
            EXPECT_EQUAL(host->nvmf.request, 0);
            EXPECT_EQUAL(t->nvmf.command, 0);
            EXPECT_EQUAL(t->nvme.command, 0);
            EXPECT_EQUAL(host->nvmf.admin, 19 + cpus);
            EXPECT_EQUAL(host->nvmf.admin_connect, 1 + cpus);
            EXPECT_EQUAL(host->nvmf.admin_property, 6);
            EXPECT_EQUAL(host->nvmf.admin_failed, 0);
            EXPECT_EQUAL(host->nvmf.admin_bytes,
                         1024 * (1 + cpus) + 6 * 4096 + 4096 + 2 * 8208 + 512);
            EXPECT_EQUAL(host->nvmf.registered, host->nvmf.invalidated);
            /* But for the event that nothing answers, which never goes. */
            EXPECT_EQUAL(t->nvmf.admin_command, host->nvmf.admin + 1);
            EXPECT_EQUAL(t->nvmf.admin_response, host->nvmf.admin);
            EXPECT_EQUAL(host->kernel.page_mapped, host->kernel.page_unmapped + 1);
            EXPECT_EQUAL(t->kernel.page_mapped, t->kernel.page_unmapped);
            EXPECT_EQUAL(result.counters.nvmf.admin, 0);
            EXPECT_EQUAL(result.counters.nvmf.admin_command, 0);
        }
}

TEST_CASE(storage, keep_alive_comes_at_every_half_of_its_timeout)
{
    struct story s = { .keeps_alive = true };
    struct wish w  = { .trace = "gen:randread",
                       .cpus  = 2,
                       .limit = 1500,
                       .set   = { "gen.depth=1", "nvmf.keep_alive_ms=1" } };
    expect_all_stored(&w);
    const uint64_t kept = result.counters.nvmf.admin_keep_alive;
    const uint64_t most = result.time_ps / (500 * TIME_US) + 1;
    EXPECT(most > 5);
    EXPECT(kept == most || kept + 1 == most);
    EXPECT_EQUAL(result.counters.nvmf.admin, kept);
    EXPECT_EQUAL(result.counters.nvmf.admin_command, result.counters.nvmf.admin_response);
    EXPECT_EQUAL(result.end[STORAGE_CLIENT].kernel.map, 2 * 1500 + kept);
    w.set[1] = "nvmf.keep_alive_ms=0";
    expect_all_stored(&w);
    EXPECT_EQUAL(result.counters.nvmf.admin, 0);
    EXPECT_EQUAL(result.end[STORAGE_CLIENT].kernel.map, 2 * 1500);
    /* Once, for its packets. */
    w.set[1]      = "nvmf.keep_alive_ms=20";
    w.limit       = 1;
    w.packet      = tell;
    w.packet_self = &s;
    expect_all_stored(&w);
    const char *const shutdown = strstr(s.text, "admin host send_only 64 7f 0 0 14 464061");
    REQUIRE(shutdown != NULL);
    EXPECT_TEXT(shutdown, "admin host send_only 64 7f 0 0 14 464061 40 0\n"
                          "admin target send_only 16\n"
                          "admin host send_only 64 7f 4 0 1c 0 40 0\n"
                          "admin target send_only 16\n");
}

/* Memory that comes back is waited for; without it one line says that there is no drive. */
TEST_CASE(storage, a_start_without_memory_is_late_or_refused)
{
    for (unsigned a = 0; a < BLK_API_COUNT; a++)
        for (unsigned after = 0; after < 12; after += 3) {
            struct outage o     = { .at_start = true, .after = after, .times = 3 };
            const struct wish w = {
                .trace = "gen:randread", .api = (enum blk_api)a, .limit = 10, .outage = &o
            };
            expect_all_stored(&w);
            EXPECT_EQUAL(o.failed, 3);
            o = (struct outage){ .at_start = true, .after = after, .times = UINT32_MAX };
            EXPECT_EQUAL(play(&w), MACHINE_REFUSED);
            EXPECT_HAS(error.text,
                       "nvmf: the controller could not be made ready: a command "
                       "ended with status 0x6");
        }
}

/* ---- Both ends -------------------------------------------------------------------------
 */

TEST_CASE(storage, the_two_ends_make_up_the_whole)
{
    const struct wish w = { .trace = "gen:randrw", .api = BLK_iova };
    expect_all_stored(&w);
    for (unsigned p = 0; p < PHASES; p++)
        for (unsigned o = 0; o < OWNERS; o++)
            EXPECT_EQUAL(result.end[0].cycles[p][o] + result.end[1].cycles[p][o],
                         result.counters.cycles[p][o]);
    EXPECT_EQUAL(result.end[0].dma.translation + result.end[1].dma.translation,
                 result.counters.dma.translation);
    EXPECT_EQUAL(result.end[STORAGE_CLIENT].nvme.command, 0);
    EXPECT_EQUAL(result.end[STORAGE_SERVER].replay.record, 0);
    EXPECT_EQUAL(result.end[STORAGE_SERVER].nvme.command, result.counters.nvmf.piece);
    /* Each maps its own: a command and its data there; the NIC's and the drive's here. */
    EXPECT(result.end[STORAGE_CLIENT].kernel.map >= 2 * 200);
    EXPECT(result.end[STORAGE_SERVER].kernel.map >= 2 * 100);
}

TEST_CASE(storage, running_ahead_changes_nothing)
{
    static struct machine_counters ahead;
    struct wish w = { .trace = "nvme-randrw-mixed.iovatrace", .policy = "lazy" };
    EXPECT_EQUAL(play(&w), MACHINE_RAN);
    ahead          = result.counters;
    w.no_run_ahead = true;
    EXPECT_EQUAL(play(&w), MACHINE_RAN);
    EXPECT(memcmp(&ahead, &result.counters, sizeof ahead) == 0);
}

/* Contents cost host time, and no simulated time. */
TEST_CASE(storage, checking_changes_no_time)
{
    struct wish w = { .trace = "gen:randrw", .set = { "fabric.check=1" } };
    expect_all_stored(&w);
    const sim_time_t with = result.time_ps;
    w.set[0]              = "fabric.check=0";
    expect_all_stored(&w);
    EXPECT_EQUAL(result.time_ps, with);
    EXPECT_EQUAL(result.counters.nvmf.compared_bytes, 0);
}

TEST_CASE(storage, what_it_cannot_do_is_refused_in_one_line)
{
    EXPECT_EQUAL(
        play(&(struct wish){ .trace = "gen:randread", .set = { "fabric.hosts=3" } }),
        MACHINE_REFUSED);
    EXPECT_HAS(error.text, "fabric.hosts: expected 2 with nvmf.remote, got 3");
    EXPECT_EQUAL(
        play(&(struct wish){ .trace = "gen:randread", .set = { "replay.devices=own" } }),
        MACHINE_REFUSED);
    EXPECT_HAS(error.text, "replay.devices: expected one");
    EXPECT_EQUAL(
        play(&(struct wish){ .trace = "gen:randread",
                             .set   = { "driver.poll_queues=2", "replay.polled=reads" } }),
        MACHINE_REFUSED);
    EXPECT_HAS(error.text, "replay.polled: expected none with nvmf.remote, got reads");
    EXPECT_EQUAL(play(&(struct wish){ .trace = "gen:randread",
                                      .set   = { "replay.buffers=premapped" } }),
                 MACHINE_REFUSED);
    EXPECT_HAS(error.text, "replay.buffers: expected any or registered");
    EXPECT_EQUAL(play(&(struct wish){ .trace = "gen:rdma_write_bw", .rdma = true }),
                 MACHINE_REFUSED);
    EXPECT_HAS(error.text, "nvmf.remote: expected a block trace");
    EXPECT_EQUAL(
        play(&(struct wish){ .trace = "gen:randread", .set = { "verbs.keys_lg2=6" } }),
        MACHINE_REFUSED);
    EXPECT_HAS(error.text, "room for 128 regions on each CPU and 32 more (verbs.keys_lg2");
    EXPECT_EQUAL(play(&(struct wish){ .trace = "gen:churn" }), MACHINE_TRACE);
    EXPECT_HAS(error.text, "expected a request for a block device with nvmf.remote");
}

/* Its contents are address space of the host's: 512 TiB and more are not to be had, and
 * 2^64 bytes are not none. */
TEST_CASE(storage, a_drive_that_the_host_has_no_room_for_is_refused)
{
    static const char *const blocks[] = { "1099511627776", "36028797018963967",
                                          "36028797018963968" };
    for (unsigned i = 0; i < 3; i++) {
        char set[64], expected[96];
        snprintf(set, sizeof set, "nvme.blocks=%s", blocks[i]);
        snprintf(expected, sizeof expected, "the contents of %s blocks (fabric.check=1)",
                 blocks[i]);
        EXPECT_EQUAL(play(&(struct wish){ .trace = "gen:randread", .set = { set } }),
                     MACHINE_REFUSED);
        EXPECT_HAS(error.text, "nvme.blocks: the host has no address space for");
        EXPECT_HAS(error.text, expected);
    }
}

/* What each hostile device did makes up what is counted of all of them. */
static void expect_attackers_add_up(void)
{
    const struct audit_stats *a         = &result.counters.audit;
    struct attacker_stats sum           = { 0 };
    uint64_t reached[AUDIT_REACH_COUNT] = { 0 }, latest = 0;
    for (unsigned i = 0; i < result.attackers; i++) {
        const struct machine_attacker *one = &result.attack[i];
        system_add_stats(&attacker_stat_table, &sum, &one->stats);
        uint64_t passed = 0;
        for (unsigned k = 0; k < AUDIT_REACH_COUNT; k++) {
            reached[k] += one->reached[k];
            passed += one->reached[k];
        }
        EXPECT(passed >= one->stats.access_passed); /* Answers may be on their way. */
        EXPECT(passed + one->stats.access_refused <= one->stats.access);
        latest = one->late_ns_max > latest ? one->late_ns_max : latest;
    }
    EXPECT_EQUAL(memcmp(&sum, &result.counters.attacker, sizeof sum), 0);
    EXPECT_EQUAL(reached[AUDIT_REACH_lent], a->hostile_access_lent);
    EXPECT_EQUAL(reached[AUDIT_REACH_held], a->hostile_access_held);
    EXPECT_EQUAL(reached[AUDIT_REACH_reusable], a->hostile_access_reusable);
    EXPECT_EQUAL(reached[AUDIT_REACH_renewed], a->hostile_access_renewed);
    EXPECT_EQUAL(reached[AUDIT_REACH_pool], a->hostile_access_pool);
    EXPECT_EQUAL(reached[AUDIT_REACH_other], a->hostile_access_other);
    EXPECT_EQUAL(reached[AUDIT_REACH_untranslated], a->hostile_access_untranslated);
    EXPECT_EQUAL(latest, result.attack_ns.max);
}

static uint64_t reached_stale(const struct machine_attacker *a)
{
    return a->reached[AUDIT_REACH_held] + a->reached[AUDIT_REACH_reusable]
           + a->reached[AUDIT_REACH_renewed];
}

#define UNDER_ATTACK                                                                       \
    .trace = "nvme-randrw-mixed.iovatrace", .api = BLK_streaming, .attacker = true,        \
    .set = { "attacker.addresses=32", "attacker.per_us=4" }

static void expect_unharmed(void)
{
    EXPECT_TEXT(error.text, "");
    EXPECT_EQUAL(result.counters.replay.failed, 0);
    EXPECT_EQUAL(result.counters.nvmf.mismatched, 0);
    EXPECT_EQUAL(result.counters.dma.fault, 0);
}

/* Each NIC and the drive have a hostile device beside them: under lazy each reaches what
 * requests gave back, under strict nothing, and all data is what it should be. */
TEST_CASE(storage, both_nics_and_the_drive_hold_against_hostile_devices)
{
    static const char *const host[]   = { "host", "target", "target" };
    static const char *const victim[] = { "rdma0", "rdma0", "nvme0" };
    static const uint16_t requester[] = { 6 << 3, 6 << 3, 5 << 3 };
    for (unsigned lazy = 0; lazy < 2; lazy++) {
        struct wish w = { UNDER_ATTACK };
        w.policy      = lazy ? "lazy" : "strict";
        EXPECT_EQUAL(play(&w), MACHINE_RAN);
        expect_unharmed();
        EXPECT(result.counters.nvmf.compared_bytes > 0);
        expect_attackers_add_up();
        EXPECT_EQUAL(result.attackers, 3);
        for (unsigned i = 0; i < 3; i++) {
            const struct machine_attacker *a = &result.attack[i];
            EXPECT_TEXT(a->host, host[i]);
            EXPECT_TEXT(a->victim, victim[i]);
            EXPECT_EQUAL(a->requester, requester[i]);
            EXPECT(a->stats.page_learnt > 100);
            EXPECT(a->stats.access > 20);
            EXPECT(a->stats.access_refused > 0);
            EXPECT(a->reached[AUDIT_REACH_lent] > 0);
            EXPECT_EQUAL(reached_stale(a) > 0, lazy == 1);
            EXPECT_EQUAL(a->late_ns_max > 0, lazy == 1);
        }
        EXPECT_EQUAL(result.end[0].attacker.access, result.attack[0].stats.access);
        EXPECT_EQUAL(result.end[1].attacker.access,
                     result.attack[1].stats.access + result.attack[2].stats.access);
        EXPECT_EQUAL(result.attack_ns.count, result.counters.audit.stale_access);
    }
}

/* Past the IOMMU, the drive's reaches everything; and each policy's promise holds for it.
 */
TEST_CASE(storage, every_policy_keeps_its_promise_to_the_attacker_of_the_drive)
{
    for (unsigned i = 0; flush_table[i] != NULL; i++) {
        struct wish w = { UNDER_ATTACK };
        w.policy      = flush_table[i]->name;
        w.api         = i % 2 == 0 ? BLK_iova : BLK_streaming;
        w.limit       = 40;
        EXPECT_EQUAL(play(&w), MACHINE_RAN);
        expect_unharmed();
        expect_attackers_add_up();
        const struct machine_attacker *a = &result.attack[2];
        if (!result.translates)
            EXPECT_EQUAL(a->stats.access_refused, 0);
        if (result.promise == PROMISE_NOTHING_STALE)
            EXPECT_EQUAL(reached_stale(a) + a->reached[AUDIT_REACH_pool], 0);
        if (result.promise == PROMISE_POOL_ONLY)
            EXPECT_EQUAL(reached_stale(a), 0);
    }
}

/* Small writes come in pages that stay mapped for the target's NIC, and are mapped for the
 * drive and given back. What the NIC still reaches is of the commands before the replay. */
TEST_CASE(storage, small_writes_are_given_back_by_the_drive_alone)
{
    struct wish w = { UNDER_ATTACK };
    w.trace       = "gen:randwrite";
    w.policy      = "lazy";
    w.set[2]      = "gen.block_kib=4";
    w.limit       = 300;
    EXPECT_EQUAL(play(&w), MACHINE_RAN);
    expect_unharmed();
    expect_attackers_add_up();
    const struct machine_attacker *nic = &result.attack[1], *drive = &result.attack[2];
    EXPECT_EQUAL(result.attackers, 3);
    EXPECT(nic->reached[AUDIT_REACH_lent] > 20);
    EXPECT(reached_stale(drive) > 100);
    EXPECT(reached_stale(drive) > 10 * reached_stale(nic));
    EXPECT_EQUAL(result.end[1].audit.stale_access,
                 reached_stale(nic) + reached_stale(drive));
}
