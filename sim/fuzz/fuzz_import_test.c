/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fuzz targets of the importers as an ordinary test: a bounded number of mutated
 * samples of each format, unpacked.
 */
#include <stdlib.h>

#include "sim/fuzz/fuzz_reading.h"
#include "sim/test/mutate.h"
#include "sim/test/shim.h"
#include "sim/test/trace_fixture.h"

enum { KEPT_BYTES = 6000, ROUNDS = 60 };

static void run(const char *sample, const char *format)
{
    struct rng rng             = rng_make(1, format);
    struct fixture_bytes plain = mutate_sample(sample, KEPT_BYTES);
    struct fixture_bytes input = { malloc(KEPT_BYTES), 0 };
    CHECK(input.data != NULL);
    for (unsigned i = 0; i < ROUNDS; i++) {
        mutate_anew(&rng, &input, plain, 0);
        read_twice(input.data, input.bytes, format);
        read_twice(input.data, input.bytes, NULL);
    }
    fixture_free(input);
    fixture_free(plain);
}

TEST_CASE(fuzz_import, mutated_samples_of_every_format_are_read_or_refused)
{
    static const char *const sample[][2] = {
        { "version8.blktrace.0.gz", "blktrace" },
        { "nvme-mixed.blkparse.txt.xz", "blkparse" },
        { "nvme-mixed.iolog.gz", "fio" },
        { "handmade.v2.iolog", "fio" },
        { "handmade.msr.csv", "msr" },
        { "handmade.systor.csv", "systor" },
        { "handmade.alibaba.csv", "alibaba" },
        { "handmade.tencent.csv", "tencent" },
        { "handmade.spc.txt", "spc" },
        { "wsrch.mqsim.txt.zst", "mqsim" },
        { "rocksdb-ycsb-a.opencas.csv.bz2", "opencas" },
        { "handmade.oracleGeneral.zst", "oraclegeneral" },
        { "rdma-perftest.pcap.gz", "pcap" },
        { "rdma-perftest.pcapng.gz", "pcap" },
        { "nvmeof-read-64k.verbs.txt.gz", "verbs" },
        { "handmade.ns3-flow.txt", "ns3" },
        { "linux-nvme.events.txt.gz", "events" },
        { "linux-nvme.calls.txt.gz", "oracle" },
        { "nvme-randrw-mixed.trace-cmd.txt.xz", "ftrace" },
    };
    for (unsigned i = 0; i < sizeof sample / sizeof sample[0]; i++)
        run(sample[i][0], sample[i][1]);
    EXPECT(true); /* The properties are CHECKs in what was called. */
}
