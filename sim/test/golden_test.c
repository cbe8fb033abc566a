/* SPDX-License-Identifier: Apache-2.0 */
/*
 * golden - the cycles of whole machines, held against figures that were once accepted.
 *
 * For every preset, each sample trace is replayed through each API under each policy; the
 * metrics below must equal those in traces/golden/PRESET.txt, as text. `./dev golden`
 * accepts what has changed; the commit that does so says why.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "sim/app/metric.h"
#include "sim/app/preset.h"
#include "sim/app/sources.h"
#include "sim/host/direct.h"
#include "sim/test/shim.h"

#define SAMPLES TEST_SOURCE_DIR "/traces/samples"
#define GOLDEN  TEST_SOURCE_DIR "/traces/golden"

enum { RECORDS = 200, CPUS = 2, LINE_MAX = 160 };

static const enum metric_id watched[] = {
    METRIC_ID_sim_time_ns,          METRIC_ID_cpu_cycles_per_io,
    METRIC_ID_map_cycles_per_io,    METRIC_ID_unmap_cycles_per_io,
    METRIC_ID_iotlb_lookups,        METRIC_ID_walk_reads,
    METRIC_ID_invalidations_per_io, METRIC_ID_exposure_page_us_per_io,
};
enum { WATCHED = sizeof watched / sizeof watched[0] };

/* ---- Measuring
 * ------------------------------------------------------------------------------------ */

static void print_metrics(FILE *out, const char *trace, const struct machine_result *r)
{
    double value[METRIC_COUNT];
    metric_values(r, value);
    for (unsigned i = 0; i < WATCHED; i++)
        fprintf(out, "%s %s %s %s %.3f\n", trace, r->policy, r->api,
                metric_def[watched[i]].name, value[watched[i]]);
}

static void replay_one(FILE *out, const struct config *config, const char *trace,
                       enum blk_api api, const struct flush_policy *policy)
{
    static struct machine_result result;
    struct error error;
    char path[512];
    struct replay_source source = { trace, NULL };
    snprintf(path, sizeof path, SAMPLES "/%s", trace);
    CHECK(trace_open(&source.reader, path, &error));
    bool rdma;
    CHECK(sources_rdma(&source, 1, &rdma, &error));
    const struct machine_run run = { .api       = api,
                                     .policy    = policy,
                                     .rdma      = rdma,
                                     .cpus      = CPUS,
                                     .limit     = RECORDS,
                                     .run_ahead = true,
                                     .source    = &source,
                                     .sources   = 1 };
    struct direct_host *host     = direct_host_new();
    if (machine_run(config, &run, direct_host_verbs(host), &result, &error) == MACHINE_RAN)
        print_metrics(out, trace, &result);
    else
        fprintf(out, "%s %s %s error %s\n", trace, policy->name, blk_api_name[api],
                error.text);
    direct_host_free(host);
    trace_close(source.reader);
}

/* The native ones, and of the others those of RDMA work that show something of their own.
 */
static int is_watched(const struct dirent *entry)
{
    static const char *const rdma[] = { "nvmeof-read-64k.verbs.txt.gz",
                                        "rdma-perftest.pcap.gz",
                                        "rdma-rping.verbs.txt.gz" };
    const char *end                 = strrchr(entry->d_name, '.');
    for (unsigned i = 0; i < sizeof rdma / sizeof rdma[0]; i++)
        if (strcmp(entry->d_name, rdma[i]) == 0)
            return true;
    return end != NULL && strcmp(end, ".iovatrace") == 0;
}

/* Linux's three; the others have their own analytic tests (dma_api). */
static const char *const policies[] = { "lazy", "passthrough", "strict" };

static void replay_all(FILE *out, const char *preset)
{
    struct config config;
    struct error error;
    struct dirent **trace;
    const int traces = scandir(SAMPLES, &trace, is_watched, alphasort);
    CHECK(traces > 0);
    CHECK(config_init(&config, preset, &error));
    fprintf(out,
            "# Preset %s: the first %d records of each sample on %d CPUs.\n"
            "# trace, policy, API, metric, value; ./dev golden writes them anew.\n",
            preset, RECORDS, CPUS);
    for (int t = 0; t < traces; t++) {
        for (unsigned p = 0; p < sizeof policies / sizeof policies[0]; p++)
            for (unsigned a = 0; a < BLK_API_COUNT; a++)
                replay_one(out, &config, trace[t]->d_name, (enum blk_api)a,
                           flush_find(policies[p]));
        free(trace[t]);
    }
    free(trace);
    config_free(&config);
}

static char *measure(const char *preset)
{
    char *text   = NULL;
    size_t bytes = 0;
    FILE *out    = open_memstream(&text, &bytes);
    CHECK(out != NULL);
    replay_all(out, preset);
    fclose(out);
    return text;
}

/* ---- Comparing
 * ------------------------------------------------------------------------------------ */

/* The committed text; an empty one when there is none. */
static char *committed(const char *path)
{
    char *text   = NULL;
    size_t bytes = 0;
    FILE *out    = open_memstream(&text, &bytes);
    FILE *in     = fopen(path, "r");
    CHECK(out != NULL);
    for (int c; in != NULL && (c = fgetc(in)) != EOF;)
        fputc(c, out);
    if (in != NULL)
        fclose(in);
    fclose(out);
    return text;
}

/* Copies the next line of *text that is not a comment; false at the end. */
static bool next_line(const char **text, char line[LINE_MAX])
{
    do {
        const size_t length = strcspn(*text, "\n");
        if (**text == '\0')
            return false;
        snprintf(line, LINE_MAX, "%.*s", (int)length, *text);
        *text += length + ((*text)[length] == '\n');
    } while (line[0] == '#');
    return true;
}

/* The value behind the line's last blank; everything before it is the key. */
static const char *value_in(const char *line)
{
    const char *blank = strrchr(line, ' ');
    return blank == NULL ? line : blank + 1;
}

/* Finds the line of this key. */
static bool find(const char *text, const char *key, size_t key_length, char line[LINE_MAX])
{
    while (next_line(&text, line))
        if ((size_t)(value_in(line) - line) == key_length
            && strncmp(line, key, key_length) == 0)
            return true;
    return false;
}

/* One line for each key of now whose value in then differs, or that then does not have. */
static void list_changes(FILE *out, const char *then, const char *now)
{
    char line[LINE_MAX], old[LINE_MAX];
    while (next_line(&now, line)) {
        const size_t key = (size_t)(value_in(line) - line);
        const bool known = find(then, line, key, old);
        if (known && strcmp(line, old) == 0)
            continue;
        fprintf(out, "  %.*s%s -> %s\n", (int)key, line, known ? value_in(old) : "nothing",
                value_in(line));
    }
}

static void list_gone(FILE *out, const char *then, const char *now)
{
    char line[LINE_MAX], new[LINE_MAX];
    while (next_line(&then, line))
        if (!find(now, line, (size_t)(value_in(line) - line), new))
            fprintf(out, "  %s -> nothing\n", line);
}

static bool accepts(void)
{
    const char *wish = getenv("IOVASIM_GOLDEN");
    return wish != NULL && strcmp(wish, "accept") == 0;
}

static char *changes(const char *path, const char *then, const char *now)
{
    char *text   = NULL;
    size_t bytes = 0;
    FILE *out    = open_memstream(&text, &bytes);
    CHECK(out != NULL);
    fprintf(out, "%s: %s\n", path, accepts() ? "accepted" : "./dev golden would accept");
    list_changes(out, then, now);
    list_gone(out, then, now);
    fclose(out);
    return text;
}

static void accept(const char *path, const char *now, const char *what)
{
    FILE *out = fopen(path, "w");
    REQUIRE(out != NULL);
    EXPECT(fputs(now, out) != EOF);
    EXPECT(fclose(out) == 0);
    fputs(what, stdout);
}

static void hold(const char *preset)
{
    char path[512];
    snprintf(path, sizeof path, GOLDEN "/%s.txt", preset);
    char *then = committed(path);
    char *now  = measure(preset);
    if (strcmp(then, now) != 0) {
        char *what = changes(path + strlen(TEST_SOURCE_DIR "/"), then, now);
        if (accepts())
            accept(path, now, what);
        else
            shim_true(false, what, __FILE__, __LINE__);
        free(what);
    }
    free(then);
    free(now);
}

/* Whether any software drives the preset's IOMMU. */
static bool has_driver(const char *preset)
{
    struct config config;
    struct error error;
    CHECK(config_init(&config, preset, &error));
    const bool driven = backend_find(config.iommu.arch) != NULL;
    config_free(&config);
    return driven;
}

TEST_CASE(golden, cycles_of_every_preset_are_those_accepted)
{
    for (unsigned i = 0; preset_table[i] != NULL; i++)
        if (has_driver(preset_table[i]->name))
            hold(preset_table[i]->name);
}
