/* SPDX-License-Identifier: Apache-2.0 */
/* What is read as a result, and every way in which one can be broken. */
#include "sim/app/result.h"

#include <stdlib.h>
#include <string.h>

#include "sim/app/comparison.h"
#include "sim/base/check.h"
#include "sim/base/rng.h"
#include "sim/test/program.h"
#include "sim/test/shim.h"

static struct program_result r;

#define RUN                                                                                \
    "{\"api\":\"sg\",\"policy\":\"lazy\",\"preset\":\"p\",\"seed\":0,\"cpus\":1,"          \
    "\"metrics\":{\"iops\":{\"value\":2,\"unit\":\"1/s\",\"better\":\"higher\"}},"         \
    "\"cpu_breakdown\":{},\"cpu_phases\":{},\"software\":{},\"device\":{},\"iommu\":{}}"
#define TRACE "{\"path\":\"a/t.x\",\"sha256\":\"0\",\"records\":1}"
#define DOCUMENT(runs)                                                                     \
    "{\"schema\":\"iovasim.result/1\",\"tool\":{\"version\":\"1\"},"                       \
    "\"config\":{\"preset\":\"p\",\"iotlb\":{\"sets\":4}},\"trace\":" TRACE                \
    ",\"runs\":[" runs "]}"

static bool adopt(struct result *result, const char *text, struct error *error)
{
    json_t *document = json_loads(text, JSON_DECODE_ANY, NULL);
    CHECK(document != NULL);
    return result_adopt(result, document, "file", error);
}

/* text with one part replaced is refused with a line that has wanted in it. */
static void refused(const char *text, const char *part, const char *by, const char *wanted)
{
    char changed[2048];
    struct error error = { "" };
    struct result result;
    const char *at = strstr(text, part);
    CHECK(at != NULL);
    snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - text), text, by,
             at + strlen(part));
    EXPECT(!adopt(&result, changed, &error));
    EXPECT_HAS(error.text, wanted);
    EXPECT(strncmp(error.text, "file: ", 6) == 0);
}

TEST_CASE(result, a_run_is_named_by_what_it_ran)
{
    struct error error;
    struct result result;
    REQUIRE(adopt(&result, DOCUMENT(RUN), &error));
    EXPECT_EQUAL(result.runs, 1);
    EXPECT_TEXT(result.run[0].name, "t/p/lazy/sg");
    EXPECT(result_find(&result, "t/p/lazy/sg") == &result.run[0]);
    EXPECT(result_find(&result, "t/p/lazy/iova") == NULL);
    EXPECT(result_metric_value(&result.run[0], "iops") == 2.0);
    EXPECT(result_number(result.run[0].config, "iotlb.sets", 0.0) == 4.0);
    EXPECT(result_number(result.run[0].config, "iotlb.ways", 7.0) == 7.0);
    result_free(&result);
}

TEST_CASE(result, whatever_is_missing_or_of_another_type_is_named)
{
    const char *const good = DOCUMENT(RUN);
    refused(good, "iovasim.result/1", "other/1", "schema: expected iovasim.result/1");
    refused(good, "\"tool\"", "\"fool\"", "tool: expected an object, got nothing");
    refused(good, "\"version\":\"1\"", "\"version\":1",
            "tool.version: expected a string, got an integer");
    refused(good, "\"api\":\"sg\"", "\"api\":[]", "runs[0].api: expected a string");
    refused(good, "\"api\":\"sg\"", "\"api\":\"\"", "runs[0].api: expected printable");
    refused(good, "\"api\":\"sg\"", "\"api\":\"\\u0001\"",
            "runs[0].api: expected printable");
    refused(good, "\"cpus\":1", "\"cpus\":-1", "runs[0].cpus: expected an integer");
    refused(good, "\"value\":2", "\"value\":\"2\"",
            "metrics.iops.value: expected a number");
    refused(good, "\"higher\"", "\"up\"", "metrics.iops.better: expected \"none\"");
    refused(good, "\"software\":{}", "\"software\":{\"kernel\":{\"map\":null}}",
            "runs[0].software: expected counters only, got null");
    refused(good, "\"sets\":4", "\"sets\":[4]",
            "config.sets: expected a parameter's value");
    refused(good, "\"path\":\"a/t.x\"", "\"path\":3", "path: expected a string");
    refused(good, "\"runs\":[", "\"rums\":[", "expected 1 to 100000 runs, got 0");
    refused(DOCUMENT("5"), "5", "5", "runs[0]: expected an object, got an integer");
    refused(DOCUMENT(RUN "," RUN), "iotlb", "iotlb",
            "runs[1]: the run t/p/lazy/sg stands there twice");
    refused("[]", "[]", "[]", "expected an object with a \"schema\"");
}

/* A case "a" on "p/q" and a case "a/p" on "q" would have one name: nothing could tell them
 * apart. */
TEST_CASE(result, a_name_belongs_to_one_run_of_many)
{
    enum { CASES = 3000 };
    static const char wanted[] = "the run case 1/p/q/lazy/sg stands there twice";
    struct error error         = { "" };
    struct result result;
    json_t *one = json_loads(DOCUMENT(RUN), 0, NULL), *cases = json_array();
    CHECK(one != NULL);
    for (unsigned i = 0; i < CASES; i++)
        json_array_append_new(cases, json_pack("{soso}", "name", json_sprintf("case %u", i),
                                               "result", json_deep_copy(one)));
    json_t *suite = json_pack("{sss{ss}so}", "schema", "iovasim.suite/1", "tool", "version",
                              "1", "cases", cases);
    REQUIRE(result_adopt(&result, json_deep_copy(suite), "file", &error));
    EXPECT_EQUAL(result.runs, CASES);
    for (unsigned i = 0; i < CASES; i++)
        EXPECT(result_find(&result, result.run[i].name) == &result.run[i]);
    result_free(&result);
    static const char *const name[]   = { "case 1", "case 1/p" };
    static const char *const preset[] = { "p/q", "q" };
    for (unsigned i = 0; i < 2; i++) {
        json_t *at = json_array_get(cases, 1 + i);
        json_t *run =
            json_array_get(json_object_get(json_object_get(at, "result"), "runs"), 0);
        json_object_set_new(at, "name", json_string(name[i]));
        json_object_set_new(run, "preset", json_string(preset[i]));
    }
    EXPECT(!result_adopt(&result, suite, "file", &error));
    EXPECT_HAS(error.text, wanted);
    json_decref(one);
}

/* A long replay has more DMAs than an int counts. */
TEST_CASE(result, a_distribution_counts_beyond_32_bits)
{
    static struct machine_result run;
    struct config config;
    struct error error;
    run = (struct machine_result){ .api = "sg", .policy = "lazy", .preset = "p" };
    CHECK(config_init(&config, "vtd-server", &error));
    histogram_record(&run.dma_read_ps, 1);
    for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++)
        run.dma_read_ps.bucket[b] *= 5000000000u;
    const struct comparison c = { .config  = &config,
                                  .configs = 1,
                                  .traces  = 1,
                                  .trace   = { { .path = "t", .format = "x" } },
                                  .runs    = 1,
                                  .run     = &run };
    json_t *document          = comparison_document(&c);
    const json_t *one         = json_array_get(json_object_get(document, "runs"), 0);
    const json_t *read =
        json_object_get(json_object_get(one, "histograms"), "dma_read_latency");
    const json_t *bucket = json_array_get(json_object_get(read, "buckets"), 0);
    EXPECT_EQUAL((uint64_t)json_integer_value(json_array_get(bucket, 2)), 5000000000u);
    json_decref(document);
    config_free(&config);
}

TEST_CASE(result, digits_come_back_as_the_same_number)
{
    char text[32];
    EXPECT_TEXT(result_digits(0.1, text), "0.1");
    EXPECT_TEXT(result_digits(300.0, text), "300");
    EXPECT_TEXT(result_digits(1e14, text), "100000000000000");
    struct rng rng = rng_make(1, "digits");
    for (unsigned i = 0; i < 2000; i++) {
        const double value = (double)rng_next(&rng) / (double)(1 + rng_below(&rng, 99999));
        EXPECT(strtod(result_digits(value, text), NULL) == value);
    }
}

/* ---- Files that were damaged ---- */

static void put(const char *name, const char *data, size_t bytes)
{
    FILE *out = fopen(program_path(name), "wb");
    CHECK(out != NULL && fwrite(data, 1, bytes, out) == bytes && fclose(out) == 0);
}

/* One to four changes of the kinds that parsers and readers dislike. */
static size_t damage(struct rng *rng, char *data, size_t bytes)
{
    static const char *const word[] = {
        "null", "-1",   "1e999",       "\"\"", "{}",
        "[]",   "true", "\"\\u0000\"", "\xff", "9999999999999999999"
    };
    for (unsigned n = 1 + rng_below(rng, 4); n > 0; n--) {
        const size_t at   = rng_below(rng, (uint32_t)bytes - 40);
        const size_t span = 1 + rng_below(rng, 32);
        const char *text  = word[rng_below(rng, sizeof word / sizeof word[0])];
        switch (rng_below(rng, 5)) {
        case 0:
            data[at] = (char)rng_next(rng);
            break;
        case 1: /* A value is replaced. */ {
            char *colon = memchr(data + at, ':', bytes - at);
            if (colon == NULL || colon + 40 > data + bytes)
                break;
            memset(colon + 1, ' ', strcspn(colon + 1, ",}\n"));
            memcpy(colon + 1, text, strlen(text));
            break;
        }
        case 2: /* Cut out. */
            memmove(data + at, data + at + span, bytes - at - span);
            bytes -= span;
            break;
        case 3: /* Copied from elsewhere. */
            memmove(data + at, data + rng_below(rng, (uint32_t)(bytes - span)), span);
            break;
        default:
            if (rng_below(rng, 4) == 0)
                bytes = 41 + at;
        }
    }
    return bytes;
}

/* Either it is read whole, or there is one line that names the file. */
static bool loads(const char *path)
{
    struct error error = { "" };
    struct result result;
    if (result_load(&result, path, &error)) {
        for (unsigned i = 0; i < result.runs; i++)
            EXPECT(result_find(&result, result.run[i].name) == &result.run[i]);
        result_free(&result);
        return true;
    }
    EXPECT(strncmp(error.text, path, strlen(path)) == 0);
    for (const char *c = error.text; *c != '\0'; c++)
        EXPECT((unsigned char)*c >= 0x20);
    return false;
}

TEST_CASE(result, damaged_files_are_read_whole_or_refused_with_one_line)
{
    program_run(&r,
                "replay @SAMPLE/tiny.iovatrace --policy strict,lazy --json @/whole.json "
                "--host direct");
    REQUIRE(r.status == 0);
    struct rng rng = rng_make(3, "damage");
    unsigned read  = 0;
    size_t bytes;
    const unsigned rounds = getenv("IOVASIM_CAMPAIGN") != NULL ? 20000 : 400;
    for (unsigned i = 0; i < rounds; i++) {
        char *data = program_file(program_path("whole.json"), &bytes);
        put("damaged.json", data, damage(&rng, data, bytes));
        free(data);
        char path[512];
        snprintf(path, sizeof path, "%s", program_path("damaged.json"));
        read += loads(path);
    }
    EXPECT(read > 0 && read < rounds / 2); /* Some changes are harmless. */
}
