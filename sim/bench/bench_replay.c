/* SPDX-License-Identifier: Apache-2.0 */
/* bench_replay - I/Os per host second, and the memory of a replay of any length. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/app/machine.h"
#include "sim/bench/bench.h"

/* ---- Rate
 * ----------------------------------------------------------------------------------------
 */

static double replay_once(const struct sim_host *host, const struct config *config,
                          const char *path, uint64_t *ios)
{
    struct replay_source source = { path, NULL };
    struct error error;
    struct machine_result *result = calloc(1, sizeof *result);
    CHECK(result != NULL);
    if (!trace_open(&source.reader, path, &error)) {
        fprintf(stderr, "bench: %s\n", error.text);
        exit(1);
    }
    const struct machine_run run = { .api       = BLK_iova,
                                     .policy    = flush_find("strict"),
                                     .cpus      = 2,
                                     .limit     = UINT64_MAX,
                                     .run_ahead = true,
                                     .source    = &source,
                                     .sources   = 1 };
    const double began           = bench_seconds();
    CHECK(machine_run(config, &run, host, result, &error) == MACHINE_RAN);
    const double took = bench_seconds() - began;
    *ios              = result->counters.replay.record;
    trace_close(source.reader);
    free(result);
    return took;
}

double bench_replay(const struct sim_host *host, const char *sample)
{
    char path[256];
    struct config config;
    struct error error;
    double best  = 1e99;
    uint64_t ios = 0;
    snprintf(path, sizeof path, "traces/samples/%s.iovatrace", sample);
    CHECK(config_init(&config, "vtd-server", &error));
    for (unsigned turn = 0; turn < 5; turn++) {
        const double took = replay_once(host, &config, path, &ios);
        best              = took < best ? took : best;
    }
    config_free(&config);
    return (double)ios / best;
}

/* ---- Memory
 * -------------------------------------------------------------------------------------- */

static bool generate(const char *path, uint64_t records)
{
    const struct trace_about about = { .format = "native" };
    struct rng rng                 = rng_make(1, "bench");
    struct trace_writer *writer;
    struct error error;
    if (!trace_create(&writer, path, &about, &error))
        return false;
    for (uint64_t i = 0; i < records; i++) {
        const struct trace_segment segment = { (1 + (uint64_t)rng_below(&rng, 1 << 19))
                                                   << 12,
                                               512 };
        const struct trace_record record   = { .time_ns       = i * 2000,
                                               .latency_ns    = 10000,
                                               .lba           = rng_below(&rng, 1 << 24),
                                               .bytes         = 512,
                                               .cpu           = (uint32_t)(i & 1),
                                               .depth         = 8,
                                               .op            = TRACE_READ,
                                               .segment_count = 1,
                                               .segment       = &segment };
        if (!trace_put(writer, &record, &error)) {
            trace_abandon(writer);
            return false;
        }
    }
    return trace_finish(writer, &error);
}

static bool replay_in_child(const char *program, const char *path, struct memory_bench *b)
{
    struct rusage usage;
    int status;
    const pid_t child = fork();
    if (child == 0) {
        const int null = open("/dev/null", O_WRONLY);
        dup2(null, STDOUT_FILENO);
        execl(program, program, "replay", path, "--api", "iova", "--policy", "strict",
              (char *)NULL);
        _exit(127);
    }
    if (child < 0 || wait4(child, &status, 0, &usage) != child)
        return false;
    b->mib     = (double)usage.ru_maxrss / 1024.0;
    b->seconds = (double)usage.ru_utime.tv_sec + 1e-6 * (double)usage.ru_utime.tv_usec;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool bench_memory(const char *program, uint64_t records, struct memory_bench *b)
{
    char path[]    = "/tmp/iovasim-bench-XXXXXX";
    const int file = mkstemp(path);
    if (file < 0)
        return false;
    close(file);
    const bool done = generate(path, records) && replay_in_child(program, path, b);
    unlink(path);
    return done;
}

/* ---- Conversion
 * ---------------------------------------------------------------------------------- */

/* A log of fio, version 3, of random 4 KiB requests: written into a pipe, because that of
 * 100 million is 4 GB. */
static void write_log(int fd, uint64_t records)
{
    struct rng rng = rng_make(1, "bench log");
    FILE *out      = fdopen(fd, "w");
    CHECK(out != NULL);
    fputs("fio version 3 iolog\n0 /dev/nvme0n1 add\n0 /dev/nvme0n1 open\n", out);
    for (uint64_t i = 0; i < records && !ferror(out); i++)
        fprintf(out, "%" PRIu64 " /dev/nvme0n1 %s %" PRIu64 " 4096\n", 2 * i,
                i % 4 == 0 ? "write" : "read", (uint64_t)rng_below(&rng, 1 << 24) << 12);
    fclose(out);
}

static bool wait_for(pid_t child, struct memory_bench *b)
{
    struct rusage usage;
    int status;
    if (child < 0 || wait4(child, &status, 0, &usage) != child)
        return false;
    b->mib     = (double)usage.ru_maxrss / 1024.0;
    b->seconds = (double)usage.ru_utime.tv_sec + 1e-6 * (double)usage.ru_utime.tv_usec
                 + (double)usage.ru_stime.tv_sec + 1e-6 * (double)usage.ru_stime.tv_usec;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool convert_in_child(const char *program, uint64_t records, const char *path,
                             struct memory_bench *b)
{
    int ends[2];
    struct memory_bench ignored;
    if (pipe(ends) != 0)
        return false;
    const pid_t writer = fork();
    if (writer == 0) {
        close(ends[0]);
        write_log(ends[1], records);
        _exit(0);
    }
    close(ends[1]);
    const pid_t reader = fork();
    if (reader == 0) {
        dup2(ends[0], STDIN_FILENO);
        execl(program, program, "trace", "convert", "-", path, (char *)NULL);
        _exit(127);
    }
    close(ends[0]);
    const bool converted = wait_for(reader, b);
    return wait_for(writer, &ignored) && converted;
}

bool bench_convert(const char *program, uint64_t records, uint64_t limit,
                   struct memory_bench *convert, struct memory_bench *replay)
{
    char path[]    = "/tmp/iovasim-bench-XXXXXX", count[32];
    const int file = mkstemp(path);
    if (file < 0)
        return false;
    close(file);
    bool done = convert_in_child(program, records, path, convert);
    snprintf(count, sizeof count, "%" PRIu64, limit < records ? limit : records);
    const pid_t child = done ? fork() : -1;
    if (child == 0) {
        const int null = open("/dev/null", O_WRONLY);
        dup2(null, STDOUT_FILENO);
        execl(program, program, "replay", path, "--api", "iova", "--policy", "strict",
              "--limit", count, (char *)NULL);
        _exit(127);
    }
    done = done && wait_for(child, replay);
    unlink(path);
    return done;
}
