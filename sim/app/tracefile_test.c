/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/tracefile.h"

#include "sim/test/shim.h"
#include "sim/test/trace_fixture.h"

TEST_CASE(tracefile, the_digest_is_sha256_of_the_stored_bytes)
{
    struct fixture_folder folder = fixture_folder_make();
    const char *path             = fixture_folder_file(&folder, "abc");
    char hex[FILE_SHA256_CHARS + 1];
    struct error error;

    fixture_save(path, "abc", 3);
    EXPECT(file_sha256(path, hex, &error));
    EXPECT_TEXT(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    fixture_save(path, "", 0);
    EXPECT(file_sha256(path, hex, &error));
    EXPECT_TEXT(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT(!file_sha256(folder.path, hex, &error));
    EXPECT_HAS(error.text, "Is a directory");
    EXPECT(!file_sha256(fixture_folder_file(&folder, "none"), hex, &error));
    EXPECT_HAS(error.text, "/none: cannot open: No such file");
    fixture_folder_remove(&folder);
}

static bool summarise(struct tracefile_summary *s, const char *sample, const char *format,
                      struct error *error)
{
    struct trace_reader *reader;
    if (!trace_open_as(&reader, fixture_sample(sample), format, error))
        return false;
    const bool good = tracefile_summarise(s, reader, error);
    trace_close(reader);
    return good;
}

TEST_CASE(tracefile, a_summary_counts_what_the_sample_has)
{
    static struct tracefile_summary s;
    struct error error;

    REQUIRE(summarise(&s, "nvme-randrw-mixed.iovatrace", NULL, &error));
    EXPECT_TEXT(s.about.format, "native");
    EXPECT_EQUAL(s.records, 2000);
    EXPECT_EQUAL(s.segments, 7951);
    EXPECT_EQUAL(s.op_records[TRACE_READ], 1374);
    EXPECT_EQUAL(s.op_bytes[TRACE_READ] + s.op_bytes[TRACE_WRITE], 36634624);
    EXPECT_EQUAL(s.moved, 2000);
    EXPECT_EQUAL(s.moved_unknown, 0);
    EXPECT_EQUAL(s.moved_unaligned, 0);
    EXPECT_EQUAL(s.completed_unknown, 0);
    EXPECT_EQUAL(s.cpus, 2);
    EXPECT_EQUAL(s.devices, 1);
    EXPECT_EQUAL(s.depth_max, 32);
    EXPECT_EQUAL(s.request_segments.max, 32);
    EXPECT_EQUAL(s.size[0].value, 4096);
    EXPECT_EQUAL(s.size[0].count, 996);
    uint64_t sizes = s.size_others;
    for (uint32_t i = 0; i < s.size_count; i++)
        sizes += s.size[i].count;
    EXPECT_EQUAL(sizes, s.moved);
}

TEST_CASE(tracefile, a_summary_tells_what_is_not_known)
{
    static struct tracefile_summary s;
    struct error error;

    REQUIRE(summarise(&s, "ext4-fdatasync.ftrace.txt.gz", "ftrace", &error));
    EXPECT_EQUAL(s.completed_unknown, 1);
    EXPECT_EQUAL(s.op_records[TRACE_FLUSH], 17);
    EXPECT_EQUAL(s.moved, 51);
    EXPECT(s.moved_unaligned > 0);
    EXPECT(!summarise(&s, "README.md", NULL, &error));
    EXPECT_HAS(error.text, "README.md: not a trace");
}
