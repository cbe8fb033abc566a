/* SPDX-License-Identifier: Apache-2.0 */
/* nvme - what each feature of the NVMe drive and its driver changes, measured. */
#include <string.h>

#include "sim/base/check.h"
#include "sim/docs/docs.h"

#define RUNS " --api iova --preset vtd-server,riscv-perf --policy strict,lazy,passthrough"

/* In the order of the runs. */
enum { VTD_STRICT, VTD_LAZY, VTD_PASSTHROUGH, RISCV_STRICT, RISCV_LAZY, NVME_RUNS = 6 };

struct nvme_row {
    const char *set; /* key=value ..., apart by blanks; "": nothing. */
};

struct nvme_block {
    const char *title, *trace;
    const struct nvme_row *row;
};

static const struct nvme_row small_rows[] = {
    { "" },
    { "nvme.metadata_bytes=8" },
    { "driver.poll_queues=2 replay.polled=all" },
    { "driver.poll_queues=1 replay.polled=all" },
    { "replay.buffers=registered" },
    { "replay.buffers=premapped" },
    { "replay.buffers=premapped driver.poll_queues=2 replay.polled=all" },
    { "driver.coalesce_entries=8 driver.coalesce_100us=1" },
    { "driver.coalesce_entries=8 driver.coalesce_100us=1 nvme.coalesce_restart=1" },
    { NULL },
};
static const struct nvme_row single_rows[] = {
    { "" },
    { "driver.poll_queues=2 replay.polled=all" },
    { "replay.buffers=premapped driver.poll_queues=2 replay.polled=all" },
    { "driver.coalesce_entries=8 driver.coalesce_100us=1" },
    { NULL },
};
static const struct nvme_row large_rows[] = {
    { "" },
    { "nvme.metadata_bytes=8" },
    { "nvme.metadata_bytes=8 nvme.block_bytes=4096" },
    { "nvme.metadata_bytes=8 blk.bio_kib=16" },
    { "nvme.metadata_bytes=8 blk.bio_kib=16 nvme.metadata_sgl=0" },
    { "replay.buffers=registered" },
    { "replay.buffers=premapped" },
    { "nvme.sgl=0" },
    { "replay.user_commands=1" },
    { "replay.user_commands=1 nvme.metadata_bytes=8" },
    { NULL },
};
static const struct nvme_row huge_rows[] = {
    { "" },
    { "nvme.transfer_pages_lg2=8" },
    { "replay.buffers=premapped" },
    { NULL },
};
static const struct nvme_row fsync_rows[] = {
    { "" },
    { "nvme.metadata_bytes=8" },
    { "driver.poll_queues=2 replay.polled=all" },
    { "driver.coalesce_entries=8 driver.coalesce_100us=1" },
    { NULL },
};
static const struct nvme_row trim_rows[] = { { "" }, { NULL } };

static const struct nvme_block block[] = {
    { "Reads of 4 KiB, 32 in flight on each of two CPUs",
      "gen:randread --set gen.requests=1000 --set placement.model=heap", small_rows },
    { "Reads of 4 KiB, one at a time on each of two CPUs",
      "gen:randread --set gen.requests=200 --set gen.depth=1 --set placement.model=heap",
      single_rows },
    { "Reads and writes of 128 KiB in single pages",
      "gen:randrw --set gen.requests=300 --set gen.block_kib=128", large_rows },
    { "Reads of 1 MiB in single pages",
      "gen:seqread --set gen.requests=50 --set gen.block_kib=1024 --set gen.depth=4",
      huge_rows },
    { "Bursts of fsync: four blocks, the journal, a flush, a commit block, a flush",
      "gen:fsync --set gen.requests=350", fsync_rows },
    { "A volume of which half is discarded, then filled",
      "gen:trim --set gen.requests=1000", trim_rows },
};

static void put_settings(char *out, size_t bytes, const char *set, const char *before)
{
    size_t used = 0;
    out[0]      = '\0';
    while (*set != '\0') {
        const size_t n = strcspn(set, " ");
        used += (size_t)snprintf(out + used, bytes - used, "%s%.*s", before, (int)n, set);
        CHECK(used < bytes);
        set += n + strspn(set + n, " ");
    }
}

static double requests_per_record(const json_t *run)
{
    const json_t *driver = json_object_get(json_object_get(run, "software"), "driver");
    return json_number_value(json_object_get(driver, "request")) / docs_metric(run, "ios");
}

static void put_row(FILE *out, const struct docs *docs, const char *trace, const char *set)
{
    char sets[512], arguments[1024], shown[512];
    put_settings(sets, sizeof sets, set, " --set ");
    put_settings(shown, sizeof shown, set, " ");
    snprintf(arguments, sizeof arguments, "%s" RUNS "%s", trace, sets);
    json_t *runs = docs_runs(docs, arguments);
    CHECK(json_array_size(runs) == NVME_RUNS);
    const json_t *run[NVME_RUNS];
    for (size_t i = 0; i < NVME_RUNS; i++)
        run[i] = json_array_get(runs, i);
    fprintf(out, "| %s%s%s | %.2f | %.1f | %.1f |", *set == '\0' ? "the defaults" : "`",
            *set == '\0' ? "" : shown + 1, *set == '\0' ? "" : "`",
            requests_per_record(run[VTD_STRICT]),
            docs_metric(run[VTD_STRICT], "iops") / 1e3,
            docs_metric(run[VTD_STRICT], "io_latency_ns_p50") / 1e3);
    static const unsigned shown_runs[] = { VTD_STRICT, VTD_LAZY, VTD_PASSTHROUGH,
                                           RISCV_STRICT };
    for (unsigned i = 0; i < 4; i++)
        fprintf(out, " %.0f |", docs_metric(run[shown_runs[i]], "cpu_cycles_per_io"));
    fprintf(out, " %.2f | %.2f | %.0f |\n",
            docs_metric(run[VTD_STRICT], "invalidations_per_io"),
            docs_metric(run[RISCV_STRICT], "invalidations_per_io"),
            docs_metric(run[VTD_LAZY], "exposure_page_us_per_io"));
    json_decref(runs);
}

void docs_put_nvme(FILE *out, const struct docs *docs)
{
    for (unsigned i = 0; i < sizeof block / sizeof block[0]; i++) {
        fprintf(out,
                "\n**%s.**\n\n```sh\niovasim replay %s \\\n   %s\n```\n\n"
                "| with `--set` | requests | kIOPS | us | strict | lazy | passthrough | "
                "RISC-V | inv | inv, RISC-V | open |\n"
                "| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n",
                block[i].title, block[i].trace, RUNS);
        for (const struct nvme_row *row = block[i].row; row->set != NULL; row++)
            put_row(out, docs, block[i].trace, row->set);
    }
}
