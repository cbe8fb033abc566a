/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "sim/test/shim.h"
#include "sim/test/trace_fixture.h"

static const struct trace_segment page = { 0x5000, 4096 };

static struct trace_record page_record(void)
{
    return (struct trace_record){ .bytes = 4096, .segment_count = 1, .segment = &page };
}

TEST_CASE(trace_writer, refuses_records_beyond_the_rules_by_their_index)
{
    struct fixture_folder folder = fixture_folder_make();
    const char *path             = fixture_folder_file(&folder, "out");
    struct trace_record r        = page_record();
    struct trace_writer *writer;
    struct error error;

    REQUIRE(trace_create(&writer, path, NULL, &error));
    r.time_ns = 5;
    EXPECT(!trace_put(writer, &r, &error));
    EXPECT_HAS(error.text, "/out: record 0: time_ns of the first record must be 0");
    r.time_ns = 0;
    EXPECT(trace_put(writer, &r, &error));
    r.time_ns = 9;
    EXPECT(trace_put(writer, &r, &error));
    r.time_ns = 8;
    EXPECT(!trace_put(writer, &r, &error));
    EXPECT_HAS(error.text, "/out: record 2: time_ns decreases");
    r     = page_record();
    r.cpu = TRACE_CPUS_MAX;
    EXPECT(!trace_put(writer, &r, &error));
    EXPECT_HAS(error.text, "/out: record 2: cpu 4096");
    trace_abandon(writer);
    EXPECT_EQUAL(fixture_folder_count(&folder), 0);
    fixture_folder_remove(&folder);
}

TEST_CASE(trace_writer, a_file_appears_whole_or_not_at_all)
{
    struct fixture_folder folder = fixture_folder_make();
    const char *path             = fixture_folder_file(&folder, "out");
    struct trace_record r        = page_record();
    struct trace_writer *writer;
    struct error error;

    REQUIRE(trace_create(&writer, path, NULL, &error));
    EXPECT(trace_put(writer, &r, &error));
    EXPECT_EQUAL(fixture_read_file(path, NULL, &error), -1);
    EXPECT_EQUAL(fixture_folder_count(&folder), 1); /* The temporary. */
    EXPECT(trace_finish(writer, &error));
    EXPECT_EQUAL(fixture_folder_count(&folder), 1);
    EXPECT_EQUAL(fixture_read_file(path, NULL, &error), 1);

    /* What was there stays until the new one is whole. */
    REQUIRE(trace_create(&writer, path, NULL, &error));
    trace_abandon(writer);
    EXPECT_EQUAL(fixture_read_file(path, NULL, &error), 1);
    REQUIRE(trace_create(&writer, path, NULL, &error));
    EXPECT(trace_finish(writer, &error));
    EXPECT_EQUAL(fixture_read_file(path, NULL, &error), 0);
    EXPECT_EQUAL(fixture_folder_count(&folder), 1);
    trace_abandon(NULL);
    fixture_folder_remove(&folder);
}

TEST_CASE(trace_writer, paths_that_cannot_be_written_are_named)
{
    struct fixture_folder folder = fixture_folder_make();
    struct trace_writer *writer;
    struct error error;

    EXPECT(!trace_create(&writer, fixture_folder_file(&folder, "none/out"), NULL, &error));
    EXPECT(writer == NULL);
    EXPECT_HAS(error.text, "/none/out: cannot create: No such file or directory");
    fixture_save(fixture_folder_file(&folder, "file"), "", 0);
    EXPECT(!trace_create(&writer, fixture_folder_file(&folder, "file/out"), NULL, &error));
    EXPECT_HAS(error.text, "Not a directory");
    EXPECT(!trace_create(&writer, folder.path, NULL, &error));
    EXPECT_HAS(error.text, "not a regular file");
    EXPECT(!trace_create(&writer, "/dev/null", NULL, &error));
    EXPECT_TEXT(error.text, "/dev/null: cannot write: not a regular file");
    EXPECT_EQUAL(fixture_folder_count(&folder), 1);
    fixture_folder_remove(&folder);
}

/* Writes that many random records, or as many as fit on the disk. */
static bool fill(const char *path, unsigned records, struct error *error)
{
    struct rng rng   = rng_make(4, "fill");
    uint64_t time_ns = 0;
    struct trace_writer *writer;
    if (!trace_create(&writer, path, NULL, error))
        return false;
    for (unsigned i = 0; i < records; i++) {
        const struct trace_record r = fixture_record(&rng, &time_ns);
        if (!trace_put(writer, &r, error)) {
            trace_abandon(writer);
            return false;
        }
    }
    return trace_finish(writer, error);
}

/* A limit of the size of files stands for a full disk. */
static void expect_full(rlim_t limit, unsigned records)
{
    struct fixture_folder folder = fixture_folder_make();
    struct rlimit before;
    struct error error = { "" };

    REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
    void (*const handler)(int)  = signal(SIGXFSZ, SIG_IGN);
    const struct rlimit limited = { limit, before.rlim_max };
    REQUIRE(setrlimit(RLIMIT_FSIZE, &limited) == 0);
    EXPECT(!fill(fixture_folder_file(&folder, "out"), records, &error));
    REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
    signal(SIGXFSZ, handler);
    EXPECT_HAS(error.text, "/out: cannot write: File too large");
    EXPECT_EQUAL(fixture_folder_count(&folder), 0);
    fixture_folder_remove(&folder);
}

/* While records are put, in the last block, and when the last buffer is written. */
TEST_CASE(trace_writer, a_full_disk_leaves_nothing_behind)
{
    expect_full(100000, 100000);
    expect_full(100000, 2000);
    expect_full(100, 10);
}

TEST_CASE(trace_writer, a_trace_is_as_readable_as_any_new_file)
{
    struct fixture_folder folder = fixture_folder_make();
    const char *path             = fixture_folder_file(&folder, "out");
    struct trace_writer *writer;
    struct error error;
    struct stat status;
    const mode_t mask = umask(027);

    REQUIRE(trace_create(&writer, path, NULL, &error));
    EXPECT(trace_finish(writer, &error));
    umask(mask);
    REQUIRE(stat(path, &status) == 0);
    EXPECT_EQUAL(status.st_mode & 0777, 0640);
    fixture_folder_remove(&folder);
}
