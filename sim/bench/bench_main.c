/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench - what the simulator itself costs on this host, in one run.
 *
 * Ratios are what is judged: both sides run in turns on the same machine at the same time.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/bench/bench.h"
#include "sim/host/systemc.h"

static bool quick;

static void print_translations(const struct sim_host *host)
{
    puts("Translations, submit to response, 32 in flight, SystemC host; the floor is the "
         "same\n"
         "stream through a bare IOTLB probe and table walk, without time or engine:\n");
    printf("  %-14s %10s %14s %10s %8s\n", "stream", "ns each", "million/s", "floor ns",
           "ratio");
    for (int miss = 0; miss < 2; miss++) {
        const struct translate_bench b =
            bench_translate(host, miss, (miss ? 1000000u : 4000000u) / (quick ? 4 : 1));
        printf("  %-14s %10.1f %14.2f %10.1f %8.2f\n", miss ? "4-level miss" : "hit",
               b.engine_ns, 1e3 / b.engine_ns, b.floor_ns, b.engine_ns / b.floor_ns);
    }
}

static void print_replays(const struct sim_host *host)
{
    static const char *const sample[] = { "nvme-randread-4k", "nvme-seqread-128k",
                                          "nvme-randrw-mixed" };
    puts("\nReplay of the samples, IOVA API, strict, SystemC host:\n");
    printf("  %-20s %12s %14s\n", "sample", "I/Os a s", "us each");
    for (unsigned i = 0; i < sizeof sample / sizeof sample[0]; i++) {
        const double rate = bench_replay(host, sample[i]);
        printf("  %-20s %12.0f %14.2f\n", sample[i], rate, 1e6 / rate);
    }
}

static void print_memory(const char *program)
{
    const uint64_t few = 100000, many = quick ? 1000000 : 10000000;
    struct memory_bench small, large;
    puts("\nPeak memory of a replay (512-byte I/Os, IOVA API, strict):\n");
    if (!bench_memory(program, few, &small) || !bench_memory(program, many, &large)) {
        puts("  the replay failed");
        exit(1);
    }
    printf("  %-14s %10s %12s\n", "records", "MiB", "records/s");
    printf("  %-14" PRIu64 " %10.1f %12.0f\n", few, small.mib, (double)few / small.seconds);
    printf("  %-14" PRIu64 " %10.1f %12.0f\n", many, large.mib,
           (double)many / large.seconds);
    printf("  ratio %.2f\n", large.mib / small.mib);
}

/* With --large 100 million, also replayed in full. */
static void print_conversion(const char *program, bool large)
{
    const uint64_t count[] = { 100000, quick ? 1000000 : 10000000, 100000000 };
    puts("\nA fio log from a pipe, converted, then replayed (IOVA API, strict; --limit "
         "1000000 "
         "in\nthe smaller ones):\n");
    printf("  %-12s %12s %10s %14s %12s %10s\n", "records", "converted/s", "MiB",
           "replayed", "records/s", "MiB");
    for (unsigned i = 0; i < (large ? 3u : 2u); i++) {
        struct memory_bench convert, replay;
        const uint64_t limit = i == 2 ? count[i] : 1000000;
        const uint64_t plays = limit < count[i] ? limit : count[i];
        if (!bench_convert(program, count[i], limit, &convert, &replay)) {
            puts("  the conversion or the replay failed");
            exit(1);
        }
        printf("  %-12" PRIu64 " %12.0f %10.1f %14" PRIu64 " %12.0f %10.1f\n", count[i],
               (double)count[i] / convert.seconds, convert.mib, plays,
               (double)plays / replay.seconds, replay.mib);
    }
}

static void print_sweep(const char *program)
{
    const unsigned points = quick ? 100 : 1000;
    struct sweep_bench b;
    printf("\nA sweep of %u runs of 1000 I/Os each (streaming API), by the clock:\n\n",
           points);
    if (!bench_sweep(program, points, &b)) {
        puts("  the sweep failed");
        exit(1);
    }
    if (b.cores < 2) {
        puts("  there is one core only");
        return;
    }
    const struct sweep_turn *middle = &b.turn[SWEEP_TURNS / 2];
    printf("  %-14s %10s\n", "cores", "runs/s");
    printf("  %-14s %10.1f\n", "one", middle->one[0]);
    printf("  %-14s %10.1f\n", "another one", middle->one[1]);
    printf("  %-14s %10.1f\n", "both", middle->both);
    printf("  ratio %.2f: the middle one of %d turns from %.2f to %.2f\n", middle->ratio,
           SWEEP_TURNS, b.turn[0].ratio, b.turn[SWEEP_TURNS - 1].ratio);
}

static void run(void *arg, const struct sim_host *host)
{
    (void)arg;
    print_translations(host);
    print_replays(host);
}

/* In a process of its own: what this one holds when it starts another counts, for the
 * system, as memory of that one. */
static void measure_inside(void)
{
    int status;
    const pid_t child = fork();
    if (child == 0) {
        systemc_host_call(run, NULL);
        exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        exit(1);
}

static void usage(FILE *out)
{
    fputs(
        "usage: ./dev bench [--quick | --large]\n\n"
        "Measures the simulator's own speed and memory; --quick with a tenth of the "
        "records,\n--large only the conversion and replay of up to 100 million records.\n",
        out);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        usage(stdout);
        return 0;
    }
    const bool large = argc == 2 && strcmp(argv[1], "--large") == 0;
    if (argc > 2 || (argc == 2 && !large && strcmp(argv[1], "--quick") != 0)) {
        usage(stderr);
        return 2;
    }
    quick = argc == 2 && !large;
    char program[4096];
    const char *slash = strrchr(argv[0], '/');
    snprintf(program, sizeof program, "%.*siovasim",
             slash == NULL ? 0 : (int)(slash - argv[0] + 1), argv[0]);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!large) {
        measure_inside();
        print_memory(program);
        print_sweep(program);
    }
    print_conversion(program, large);
    return 0;
}
