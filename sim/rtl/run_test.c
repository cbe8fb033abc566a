/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/rtl/run.h"

#include <stdio.h>
#include <string.h>

#include "sim/test/shim.h"
#include "sim/test/trace_fixture.h"

#define HARDWARE                                                                           \
    "# rtl=some/design@1 InclPC=0 MSITrans=0 InclBC=0 InclDBG=0 iotlb_entries=16 "         \
    "ddtc_entries=4 pdtc_entries=4\n"
#define MEMORY                                                                             \
    "# seed=1 mem_read_latency_L=50 write_resp_latency_LW=40 read_beats_per_cycle=1 "      \
    "mem_max_outstanding=1000\n"
#define DRIVER                                                                             \
    "# streams=2(any order=0) inval_mode=quiesced inval_every~2000\n"                      \
    "# ddtp=0x20040002 cqb=0x2004400b fqb=0x2004800b\n"                                    \
    "# device did=0x2f stage=S1 pscid=10 gscid=0 pdt=0\n"
#define HEADER HARDWARE MEMORY DRIVER
#define COLUMNS                                                                            \
    "idx,channel,issue_cycle,gap,iova,device_id,pv,pid,is_write,done_cycle,latency,"       \
    "result,pa,cause,ddtc,iotlb,nreads,watchdog\n"
#define READ  "0,AR,108,0,0x1000,0x2f,0,0x0,0,320,212,OK,0x800012400,0,0,-1,4,0\n"
#define WRITE "1,AW,110,0,0x2000,0x2f,1,0x5,1,420,310,FAULT,0,15,1,0,3,1\n"
#define IMAGE "# image\naddr,value,page_kind\n0x801005e0,0x1,DDT_L1\n"
#define EVENTS                                                                             \
    "type,cycle,a,b,c,d,e\n"                                                               \
    "MEMW,893,0x80110000,0x1500200000481,,,\n"                                             \
    "MEMW,500,0x80110008,0x7,,,\n"                                                         \
    "DOORBELL,893,cqt=3,b_cycle=896,,,\n"                                                  \
    "CMD,896,idx=4097,0x15,0x4,flush_cycle=-1,cqh_cycle=918\n"                             \
    "FQT,1502,1,,,,\n"                                                                     \
    "WATCHDOG,1600,1,,,,\n"

static struct fixture_folder folder;

static void save(const char *name, const char *text)
{
    fixture_save(fixture_folder_file(&folder, name), text, strlen(text));
}

/* Loads a run of these requests and events. */
static bool load(struct rtl_run *run, const char *requests, const char *events,
                 struct error *error)
{
    save("x_req.csv", requests);
    save("x_events.csv", events);
    save("x_image.csv", IMAGE);
    return rtl_run_load(run, fixture_folder_file(&folder, "x_req.csv"), error);
}

static void expect_refusal(const char *requests, const char *events, const char *part)
{
    struct rtl_run run;
    struct error error = { "" };
    EXPECT(!load(&run, requests, events, &error));
    EXPECT_HAS(error.text, part);
    rtl_run_free(&run);
}

TEST_CASE(rtl_run, everything_recorded_is_in_the_structs)
{
    struct rtl_run run;
    struct error error = { "" };
    folder             = fixture_folder_make();
    REQUIRE(load(&run, HEADER COLUMNS READ WRITE, EVENTS, &error));
    EXPECT_EQUAL(run.parameters.write_latency, 40);
    EXPECT_EQUAL(run.parameters.ddtp, 0x20040002);
    REQUIRE(run.requests == 2);
    EXPECT_EQUAL(run.request[0].done, 320);
    EXPECT_EQUAL(run.request[0].pa, 0x800012400);
    EXPECT(run.request[0].iotlb_hit == RTL_UNKNOWN);
    EXPECT_EQUAL(run.request[1].channel, RTL_AW);
    EXPECT_EQUAL(run.request[1].process, 5);
    EXPECT(run.request[1].fault && run.request[1].hung && run.request[1].has_process);
    REQUIRE(run.stores == 2 && run.words == 1 && run.doorbells == 1);
    EXPECT_EQUAL(run.store[0].cycle, 500); /* In order of time. */
    EXPECT_EQUAL(run.doorbell[0].tail, 3);
    REQUIRE(run.commands == 1 && run.faults == 1);
    EXPECT_EQUAL(run.command[0].index, 1); /* In a ring of 4096. */
    EXPECT_EQUAL(run.command[0].flushed, CYCLE_NEVER);
    EXPECT_EQUAL(run.command[0].head, 918);
    EXPECT(!run.has_accesses);
    rtl_run_free(&run);
    fixture_folder_remove(&folder);
}

TEST_CASE(rtl_run, sizes_become_settings)
{
    const struct rtl_parameters p = { .iotlb_entries = 8, .outstanding_max = 100 };
    char all[512]                 = "", one[64];
    for (unsigned i = 0; rtl_parameters_setting(&p, i, one, sizeof one); i++)
        strcat(strcat(all, one), " ");
    EXPECT_HAS(all, "iotlb.sets=1 iotlb.ways=8 ");
    EXPECT_HAS(all, "memport.inflight_max=64 ");
}

TEST_CASE(rtl_run, parameters_that_are_missing_unknown_or_not_modelled_are_errors)
{
    folder = fixture_folder_make();
    expect_refusal(MEMORY DRIVER COLUMNS READ, EVENTS, "expected InclPC= in the header");
    expect_refusal(HEADER "# InclBC=1\n" COLUMNS READ, EVENTS,
                   "line 6: InclBC: expected one value only, got '1'");
    expect_refusal("# InclBC=1\n" HEADER COLUMNS READ, EVENTS,
                   "InclBC: expected 0 (nothing else is modelled), got '1'");
    expect_refusal(HEADER "# turbo=1\n" COLUMNS READ, EVENTS,
                   "line 6: turbo=1: no such parameter is modelled");
    expect_refusal("# iotlb_entries=12\n" HEADER COLUMNS READ, EVENTS,
                   "iotlb_entries: expected a power of two of 1 .. 256, got '12'");
    expect_refusal(HEADER "# requests=3\n" COLUMNS READ, EVENTS,
                   "expected 3 requests, got 1");
    fixture_folder_remove(&folder);
}

TEST_CASE(rtl_run, broken_rows_are_named)
{
    folder = fixture_folder_make();
    expect_refusal(HEADER COLUMNS "0,AR,108,0,0,0,0,0,0,320,212,MAYBE,0,0,0,0,4,0\n",
                   EVENTS, "column result: expected OK or FAULT, got 'MAYBE'");
    expect_refusal(HEADER COLUMNS "0,AR,108,0,0,0,0,0,0,320,211,OK,0,0,0,0,4,0\n", EVENTS,
                   "column latency: expected done_cycle - issue_cycle, got '211'");
    expect_refusal(HEADER COLUMNS "0,AR,108,0,0,0,0,0,1,320,212,OK,0,0,0,0,4,0\n", EVENTS,
                   "column is_write: expected 1 on AW and 0 on AR");
    expect_refusal(HEADER COLUMNS READ READ, EVENTS, "one request of a channel at a time");
    expect_refusal(HEADER COLUMNS READ, "type,cycle,a,b,c,d,e\nX,1,,,,,\n",
                   "x_events.csv, line 2: column type: expected MEMW");
    expect_refusal(HEADER COLUMNS READ, "type,cycle,a,b,c,d,e\nMEMW,1,0x4,1,,,\n",
                   "column a: expected a multiple of 8");
    expect_refusal(HEADER COLUMNS READ, "type,cycle,a,b,c,d,e\nDOORBELL,1,cqt=4096,,,,\n",
                   "column a: expected an index of the queue");
    fixture_folder_remove(&folder);
}

TEST_CASE(rtl_run, a_missing_part_is_named)
{
    struct rtl_run run;
    struct error error = { "" };
    folder             = fixture_folder_make();
    save("x_req.csv", HEADER COLUMNS READ);
    EXPECT(!rtl_run_load(&run, fixture_folder_file(&folder, "x_req.csv"), &error));
    EXPECT_HAS(error.text, "x_image.csv");
    EXPECT_HAS(error.text, "cannot open");
    rtl_run_free(&run);
    fixture_folder_remove(&folder);
}
