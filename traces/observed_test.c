/* SPDX-License-Identifier: Apache-2.0 */
#include "traces/observed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/base/rng.h"
#include "sim/test/program.h"
#include "sim/test/shim.h"
#include "traces/events_line.h"
#include "traces/ftrace_line.h"

static bool read_text(struct observed *o, const char *name, const char *text,
                      struct error *error)
{
    const char *const path = program_path(name);
    FILE *out              = fopen(path, "w");
    CHECK(out != NULL && fputs(text, out) >= 0 && fclose(out) == 0);
    return observed_read(o, path, error);
}

/* The request's calls, as "addr+bytes addr+bytes". */
static const char *calls_of(const struct observed *o, uint32_t request)
{
    static char text[512];
    size_t used = 0;
    text[0]     = '\0';
    CHECK(request < o->requests);
    for (uint32_t i = o->request[request].first; i != OBSERVED_NONE; i = o->call[i].next)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%llx+%llu",
                                 used == 0 ? "" : " ", (unsigned long long)o->call[i].addr,
                                 (unsigned long long)o->call[i].bytes);
    return text;
}

#define DM(cpu, addr) "2 " cpu " DM 0000:00:05.0 R " addr " 4096 9000 -\n"

TEST_CASE(observed, calls_between_command_and_issue_are_the_requests)
{
    struct observed o;
    struct error error;
    REQUIRE(read_text(&o, "o.events.txt",
                      "### a\n"
                      "1 0t N nvme0 q1 c1 read 8+16\n" DM("0t", "1000") DM("0h", "5000")
                          DM("0t", "2000") "3 0t I 259:0 R 8+16\n"
                                           "4 0h DU 0000:00:05.0 R 1000 4096 -\n"
                                           "5 0h n nvme0 q1 c1\n",
                      &error));
    EXPECT_EQUAL(o.requests, 1);
    EXPECT_TEXT(calls_of(&o, 0), "1000+4096 2000+4096");
    EXPECT(o.request[0].command);
    EXPECT(o.request[0].completed);
    EXPECT_EQUAL(o.call[0].unmap_line, 7);
    EXPECT_EQUAL(o.call[2].unmap_line, 0);
    EXPECT_EQUAL(o.call[1].request, OBSERVED_NONE);
    EXPECT(o.device[0].nvme);
    observed_free(&o);
}

/* The outer task's calls stand in front of, behind, or on both sides of the inner ones. */
TEST_CASE(observed, tasks_that_preempt_one_another_are_told_apart)
{
    static const char *const text[] = {
        "### a\n1 0t N nvme0 q1 c1 read 8+8\n" DM(
            "0t",
            "1000") "1 0t N nvme0 q1 c2 read 80+8\n" DM("0t",
                                                        "2000") "3 0t I 259:0 R 80+8\n3 0t "
                                                                "I 259:0 R 8+8\n",
        "### a\n1 0t N nvme0 q1 c1 read 8+8\n"
        "1 0t N nvme0 q1 c2 read 80+8\n" DM("0t", "2000") "3 0t I 259:0 R 80+8\n" DM(
            "0t", "1000") "3 0t I 259:0 R 8+8\n",
        "### a\n1 0t N nvme0 q1 c1 read 8+8\n" DM(
            "0t",
            "1000") "1 0t N nvme0 q1 c2 read 80+8\n" DM("0t",
                                                        "2000") "3 0t I 259:0 R 8+8\n3 0t "
                                                                "I 259:0 R 80+8\n",
    };
    for (unsigned i = 0; i < sizeof text / sizeof text[0]; i++) {
        struct observed o;
        struct error error;
        REQUIRE(read_text(&o, "o.events.txt", text[i], &error));
        EXPECT_EQUAL(o.requests, 2);
        const uint32_t outer = o.request[0].lba == 8 ? 0 : 1;
        EXPECT_TEXT(calls_of(&o, outer), "1000+4096");
        EXPECT_TEXT(calls_of(&o, 1 - outer), "2000+4096");
        observed_free(&o);
    }
}

/* Set up on one CPU, mapped there or on the next, issued there. */
TEST_CASE(observed, task_that_moves_takes_its_command_along)
{
    static const char *const cpu[] = { DM("0t", "1000"), DM("1t", "1000") };
    for (unsigned i = 0; i < 2; i++) {
        struct observed o;
        struct error error;
        char text[256];
        snprintf(text, sizeof text,
                 "### a\n1 0t N nvme0 q1 c1 read 8+8\n%s3 1t I 259:0 R 8+8\n"
                 "4 0t N nvme0 q1 c2 read 16+8\n" DM("0t", "2000") "5 0t I 259:0 R 16+8\n",
                 cpu[i]);
        REQUIRE(read_text(&o, "o.events.txt", text, &error));
        EXPECT_TEXT(calls_of(&o, 0), "1000+4096");
        EXPECT_EQUAL(o.request[0].cpu, 1);
        EXPECT_TEXT(calls_of(&o, 1), "2000+4096");
        observed_free(&o);
    }
}

TEST_CASE(observed, ranges_have_their_links_and_an_end)
{
    struct observed o;
    struct error error;
    REQUIRE(
        read_text(&o, "o.events.txt",
                  "### a\n1 0t N nvme0 q1 c1 write 8+24\n"
                  "2 0t TA s3 9000 12288 1 fff0000 3000\n"
                  "2 0t TL s3 fff0000 0 9000 4096 W\n"
                  "2 0t TL s3 fff0000 1000 b000 8192 W\n"
                  "3 0t I 259:0 W 8+24\n"
                  "4 0h TD s3 fff0000 12288 W\n5 0h n nvme0 q1 c1\n"
                  /* Again, and its end is seen by the IOMMU alone; then not to be had. */
                  "6 0t N nvme0 q1 c1 write 8+8\n"
                  "6 0t TA s3 9000 4096 1 ffe0200 1000\n6 0t TL s3 ffe0200 0 9200 4096 W\n"
                  "7 0t I 259:0 W 8+8\n8 0h U d1 ffe0000 8192\n9 0h n nvme0 q1 c1\n"
                  "10 0t N nvme0 q1 c1 write 8+8\n10 0t TA s3 9000 4096 0 0 0\n" DM(
                      "0t", "1000") "11 0t I 259:0 W 8+8\n",
                  &error));
    EXPECT_EQUAL(o.calls, 4);
    EXPECT_EQUAL(o.call[0].pieces, 2);
    EXPECT_EQUAL(o.call[0].piece[1].bytes, 8192);
    EXPECT_EQUAL(o.call[0].unmap_bytes, 12288);
    EXPECT_EQUAL(o.call[1].unmap_line, 0);
    EXPECT(o.call[1].cleared);
    EXPECT_EQUAL(o.call[2].pieces, 0);
    EXPECT_TEXT(calls_of(&o, 2), "0+4096 1000+4096");
    observed_free(&o);
}

TEST_CASE(observed, other_drivers_map_a_list_behind_their_request)
{
    struct observed o;
    struct error error;
    REQUIRE(read_text(&o, "o.events.txt",
                      "### a\n1 0t I 8:0 R 8+16\n"
                      "2 0t DS 0000:00:1f.2 R addr=1000 len=2000 phys=9000,a000\n"
                      "3 1h DV 0000:00:1f.2 R n=2 first=9000\n4 1h C 8:0 R 8+16\n",
                      &error));
    EXPECT_TEXT(calls_of(&o, 0), "1000+8192");
    EXPECT_EQUAL(o.call[0].elements, 2);
    EXPECT_EQUAL(o.call[0].unmap_bytes, 2);
    EXPECT(!o.device[0].nvme);
    EXPECT(o.request[0].completed);
    observed_free(&o);
}

/* What is under way in front of a gap has no end behind it. */
TEST_CASE(observed, sections_are_gaps)
{
    struct observed o;
    struct error error;
    REQUIRE(read_text(
        &o, "o.events.txt",
        "### a\n1 0t N nvme0 q1 c1 read 8+8\n" DM(
            "0t", "1000") "3 0t I 259:0 R 8+8\n"
                          "3 0t N nvme0 q1 c2 read 80+8\n" DM(
                              "0t",
                              "2000") "### b\n1 0h n nvme0 q1 c1\n1 0t I 259:0 R 80+8\n",
        &error));
    EXPECT(!o.request[0].completed);
    EXPECT(o.call[1].begun);
    EXPECT_EQUAL(o.call[1].request, OBSERVED_NONE);
    observed_free(&o);
}

#define FTRACE(flags, event) "  a-7 [001] " flags " 1.000001: " event "\n"

TEST_CASE(observed, probes_of_the_iova_api_in_ftrace)
{
    static const char *const text = "# tracer: nop\n" FTRACE(
        ".....", "nvme_setup_cmd: nvme0: disk=nvme0n1, qid=1, cmdid=5, nsid=1")
        FTRACE(".....", "dma_alloc: (dma_iova_try_alloc+0xc0/0x120 <- "
                        "iommu_dma_alloc_iova) domain=0x1 size=8192 ret=0x1")
            FTRACE(".....", "try: (blk+0x1/0x2 <- dma_iova_try_alloc) state=0x9 "
                            "phys=0x1000 size=8192 ret=1 addr=0xf000")
                FTRACE(".....", "link: (dma_iova_link+0x4/0x350) state=0x9 base=0xf000 "
                                "phys=0x1000 offset=0x0 size=4096 dir=2")
                    FTRACE(".....", "link: (dma_iova_link+0x4/0x350) state=0x9 "
                                    "base=0xf000 phys=0x3000 offset=0x1000 size=4096")
                        FTRACE(".....", "block_rq_issue: 259,0 R 8192 () 0 + 16 [a]")
                            FTRACE("d.h1.",
                                   "destroy: (dma_iova_destroy+0x4/0x50) state=0x9 "
                                   "base=0xf000 mapped_len=8192 dir=2");
    struct observed o;
    struct error error;
    REQUIRE(read_text(&o, "o.ftrace.txt", text, &error));
    EXPECT_EQUAL(o.calls, 1);
    EXPECT_EQUAL(o.call[0].pieces, 2);
    EXPECT_EQUAL(o.call[0].addr, 0xf000);
    EXPECT_EQUAL(o.call[0].unmap_bytes, 8192);
    EXPECT(o.new_maps && !o.old_maps);
    EXPECT_TEXT(calls_of(&o, 0), "f000+8192");
    observed_free(&o);
}

/* A probe of the links alone, without the state, as older scripts set it: the next request
 * begins another range. */
TEST_CASE(observed, links_alone_are_ranges)
{
    static const char *const text =
        "# tracer: nop\n" FTRACE(".....", "nvme_setup_cmd: nvme0: qid=1, cmdid=5")
            FTRACE(".....", "l: (dma_iova_link+0x4/0x350) phys=0x1000 size=4096")
                FTRACE(".....", "l: (dma_iova_link+0x4/0x350) phys=0x3000 size=4096")
                    FTRACE(".....", "block_rq_issue: 259,0 R 8192 () 0 + 16 [a]")
                        FTRACE(".....", "nvme_setup_cmd: nvme0: qid=1, cmdid=6") FTRACE(
                            ".....", "l: (dma_iova_link+0x4/0x350) phys=0x5000 "
                                     "size=8192")
                            FTRACE(".....", "block_rq_issue: 259,0 R 8192 () 16 + 16 [a]");
    struct observed o;
    struct error error;
    REQUIRE(read_text(&o, "o.ftrace.txt", text, &error));
    EXPECT_EQUAL(o.calls, 2);
    EXPECT_EQUAL(o.call[0].pieces, 2);
    EXPECT_EQUAL(o.call[1].pieces, 1);
    EXPECT_EQUAL(o.call[1].request, 1);
    EXPECT(!o.has_unmaps[OBSERVED_range]);
    observed_free(&o);
}

TEST_CASE(observed, lines_of_events_are_taken_apart)
{
    struct events_line line;
    struct events_command command;
    struct events_lists lists;
    uint64_t value;
    REQUIRE(events_line_split("233369 1h TL s0 1 2", &line));
    EXPECT_EQUAL(line.time_us, 233369);
    EXPECT_EQUAL(line.context, 2);
    EXPECT_TEXT(line.code, "TL");
    EXPECT_TEXT(line.fields, "s0 1 2");
    EXPECT(!events_line_split("233369 1x TL s0", &line));
    EXPECT(!events_line_split("233369 1", &line));
    EXPECT(!events_line_split("1 0t TOOLONGCODE x", &line));
    REQUIRE(events_parse_command("nvme1 q2 c9 write_zeroes 48+8", &command));
    EXPECT_EQUAL(command.sector, 48);
    EXPECT_EQUAL(command.sectors, 8);
    REQUIRE(events_parse_command("nvme1 q2 c9", &command));
    EXPECT_EQUAL(command.sectors, 0);
    EXPECT(!events_parse_command("nvme1 q70000 c9", &command));
    REQUIRE(events_parse_list("d R addr=1,2 len=3,4 phys=5", &lists));
    EXPECT_EQUAL(events_list_next(&lists.iova, &value), 1);
    EXPECT_EQUAL(events_list_next(&lists.iova, &value), 1);
    EXPECT_EQUAL(value, 2);
    EXPECT_EQUAL(events_list_next(&lists.iova, &value), 0);
    REQUIRE(events_parse_list("d R addr=1x len=3 phys=5", &lists));
    EXPECT_EQUAL(events_list_next(&lists.iova, &value), -1);
    EXPECT(!events_parse_list("d X addr=1 len=3 phys=5", &lists));
}

TEST_CASE(observed, returns_of_probes_are_not_their_calls)
{
    struct ftrace_line line;
    REQUIRE(ftrace_line_split("a-1 [0] 1.5: x: (dma_iova_link+0x4/0x9) a=1", &line));
    EXPECT(ftrace_line_probes(&line, "dma_iova_link"));
    EXPECT(!ftrace_line_returns(&line, "dma_iova_link"));
    REQUIRE(ftrace_line_split("a-1 [0] 1.5: x: (dma_iova_link+0x4/0x9 <- map) a=1", &line));
    EXPECT(!ftrace_line_probes(&line, "dma_iova_link"));
    EXPECT(ftrace_line_returns(&line, "map"));
}

/* Whatever is in a recording: it is read, or it is one line of error. */
TEST_CASE(observed, broken_text_never_breaks_the_reader)
{
    static const char *const name[] = { "linux/k73-strict.events.txt.gz",
                                        "linux/k73-passthrough.ftrace.txt.gz" };
    static const char *const end[]  = { "m.events.txt", "m.ftrace.txt" };
    enum { BYTES = 12000, ROUNDS = 60 };
    static char text[BYTES + 1], mutant[BYTES + 1];
    struct rng rng = rng_make(7, "mutants");
    for (unsigned n = 0; n < 2; n++) {
        char path[512];
        snprintf(path, sizeof path, "gzip -dc " TEST_SOURCE_DIR "/traces/%s", name[n]);
        FILE *in = popen(path, "r");
        REQUIRE(in != NULL);
        text[fread(text, 1, BYTES, in)] = '\0';
        while (fread(mutant, 1, BYTES, in) > 0)
            ;
        pclose(in);
        strrchr(text, '\n')[1] = '\0';
        unsigned good          = 0;
        for (unsigned round = 0; round < ROUNDS; round++) {
            struct observed o;
            struct error error;
            memcpy(mutant, text, sizeof mutant);
            for (uint64_t k = 0; k < 1 + round % 5; k++) {
                const size_t at = 100 + rng_below(&rng, (uint32_t)strlen(text) - 100);
                mutant[at]      = (char)(1 + rng_below(&rng, 127));
            }
            const bool read = read_text(&o, end[n], mutant, &error);
            good += read;
            EXPECT(read || (strchr(error.text, '\n') == NULL && error.text[0] != '\0'));
            observed_free(&o);
        }
        EXPECT(good > 0);
        EXPECT(good < ROUNDS || n == 1); /* ftrace may have lines of anybody's. */
    }
}

/* ---- The mode --------------------------------------------------------------------------
 */

#define MAP      "2 0t DM 0000:00:05.0 R ffda1000 4096 9000 -\n"
#define IDENTITY "2 0t DM 0000:00:05.0 R 9000 4096 9000 -\n"
#define UNMAP    "5 0h U d1 ffda1000 4096\n"
#define FLUSH    "5 0h FR ffda1000 ffda1fff 1\n"
#define OTHER    "5 0h FR ffdb1000 ffdb1fff 1\n"
#define WHOLE    "9 0s FR 0 ffffffffffffffff 0\n"
#define UNMAPPED "6 0h DU 0000:00:05.0 R ffda1000 4096 -\n"
#define RANGE                                                                              \
    "2 0t TA s0 9000 8192 1 ffe00000 2000\n2 0t TL s0 ffe00000 0 9000 4096 R\n"            \
    "2 0t TL s0 ffe00000 1000 b000 4096 R\n"
#define DESTROY                                                                            \
    "5 0h U d1 ffe00000 8192\n5 0h FR ffe00000 ffe01fff 1\n5 0h TD s0 ffe00000 2000 R\n"

static enum observed_mode mode_of(const char *events)
{
    struct observed o;
    struct error error;
    char text[2048];
    snprintf(text, sizeof text, "### a\n1 0t N nvme0 q1 c1 read 8+8\n%s", events);
    const bool good = read_text(&o, "mode.events.txt", text, &error);
    EXPECT_TEXT(good ? "" : error.text, "");
    const enum observed_mode mode = good ? observed_mode(&o) : OBSERVED_UNKNOWN;
    observed_free(&o);
    return mode;
}

TEST_CASE(observed, the_mode_is_told_by_addresses_and_invalidations)
{
    EXPECT_EQUAL(mode_of(IDENTITY), OBSERVED_PASSTHROUGH);
    EXPECT_EQUAL(mode_of(MAP), OBSERVED_TRANSLATED);
    EXPECT_EQUAL(mode_of(MAP IDENTITY), OBSERVED_UNKNOWN);
    EXPECT_EQUAL(mode_of(MAP UNMAP FLUSH UNMAPPED), OBSERVED_STRICT);
    EXPECT_EQUAL(mode_of(MAP UNMAP UNMAPPED WHOLE), OBSERVED_LAZY);
    EXPECT_EQUAL(mode_of(MAP UNMAP UNMAPPED "9 0s FA d1\n"), OBSERVED_LAZY);
    EXPECT_EQUAL(mode_of(MAP UNMAP OTHER UNMAPPED), OBSERVED_LAZY);
    /* Nothing was invalidated so far, or such events were not recorded. */
    EXPECT_EQUAL(mode_of(MAP UNMAP UNMAPPED), OBSERVED_TRANSLATED);
    /* Neither is known where half of them are invalidated. */
    EXPECT_EQUAL(mode_of(MAP UNMAP FLUSH UNMAPPED MAP UNMAP UNMAPPED), OBSERVED_TRANSLATED);
    /* What is written otherwise is no mistake. */
    EXPECT_EQUAL(mode_of(MAP UNMAP "5 0h FR x\n" UNMAPPED), OBSERVED_TRANSLATED);
}

/* Linux 7.3 invalidates them at once in either mode. */
TEST_CASE(observed, ranges_do_not_tell_strict_from_lazy)
{
    EXPECT_EQUAL(mode_of(RANGE DESTROY), OBSERVED_TRANSLATED);
    EXPECT_EQUAL(mode_of(RANGE DESTROY MAP UNMAP UNMAPPED WHOLE), OBSERVED_LAZY);
    EXPECT_EQUAL(mode_of(RANGE DESTROY MAP UNMAP FLUSH UNMAPPED), OBSERVED_STRICT);
    /* Also one whose end the probe has lost, and one from before the recording. */
    EXPECT_EQUAL(mode_of(RANGE "5 0h U d1 ffe00000 8192\n5 0h FR ffe00000 ffe01fff 1\n"
                               "6 0h U d1 ffc00000 8192\n6 0h FR ffc00000 ffc01fff 1\n"),
                 OBSERVED_TRANSLATED);
}

TEST_CASE(observed, flushes_of_ftrace_are_parsed)
{
    uint64_t first = 0, last = 0;
    EXPECT(ftrace_parse_flush("dmar0 dmar0[0] type iotlb did 4 [0xfff3e000-0xfff3ffff] "
                              "addr 0xfff3e000 mask 0x1",
                              &first, &last));
    EXPECT_EQUAL(first, 0xfff3e000);
    EXPECT_EQUAL(last, 0xfff3ffff);
    EXPECT(ftrace_parse_flush("dmar1 0000:00:05.0[0] type devtlb did 4 "
                              "[0x0-0xffffffffffffffff] addr 0x0 mask 0x0",
                              &first, &last));
    EXPECT_EQUAL(last, UINT64_MAX);
    EXPECT(!ftrace_parse_flush("dmar0 dmar0[0] type iotlb", &first, &last));
    EXPECT(!ftrace_parse_flush("dmar0 [0x2000-0x1fff]", &first, &last));
    EXPECT(!ftrace_parse_flush("dmar0 [0x2000 0x3fff]", &first, &last));
    EXPECT(!ftrace_parse_flush("dmar0 [0x2000-0x3fff", &first, &last));
    EXPECT(!events_parse_flush("2000", &first, &last));
    EXPECT(!events_parse_flush("2000 1fff 1", &first, &last));
}
