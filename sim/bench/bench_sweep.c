/* SPDX-License-Identifier: Apache-2.0 */
/* bench_sweep - what a second core brings to a sweep of many short runs. */
#define _GNU_SOURCE /* CPU_SET */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sim/app/pool.h"
#include "sim/base/check.h"
#include "sim/bench/bench.h"

enum { WALKERS = 50 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool write_spec(const char *folder, unsigned points)
{
    char path[64];
    snprintf(path, sizeof path, "%s/bench.yaml", folder);
    FILE *out = fopen(path, "w");
    if (out == NULL)
        return false;
    fprintf(out,
            "name: bench\nbase: { trace: gen:randread, limit: 1000, api: streaming }\n"
            "axes:\n  policy: [strict, lazy]\n  iotlb.ways: { from: 1, to: %u }\n"
            "  walker.walkers: { from: 1, to: %d }\n",
            points / 2 / WALKERS, WALKERS);
    return fclose(out) == 0;
}

/* Points of a second on these cores; 0: it failed. The database is a new one. */
static double sweep_once(const char *program, const char *folder, unsigned points,
                         const cpu_set_t *cores)
{
    char spec[64], db[64];
    int status;
    snprintf(spec, sizeof spec, "%s/bench.yaml", folder);
    snprintf(db, sizeof db, "%s/bench.db", folder);
    unlink(db);
    const double began = now();
    const pid_t child  = fork();
    if (child == 0) {
        dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
        if (sched_setaffinity(0, sizeof *cores, cores) == 0)
            execl(program, program, "sweep", spec, "--db", db, (char *)NULL);
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)
        || WEXITSTATUS(status) != 0)
        return 0.0;
    return points / (now() - began);
}

/* Two of the cores that there are, each by itself and both. */
static void choose_cores(cpu_set_t one[2], cpu_set_t *both)
{
    cpu_set_t all;
    unsigned found = 0;
    CPU_ZERO(both);
    CHECK(sched_getaffinity(0, sizeof all, &all) == 0);
    for (size_t core = 0; core < CPU_SETSIZE && found < 2; core++)
        if (CPU_ISSET(core, &all)) {
            CPU_ZERO(&one[found]);
            CPU_SET(core, &one[found++]);
            CPU_SET(core, both);
        }
}

/* With the process that collects on the same core: what one core does by itself. Cores of a
 * virtual machine are not always equal, so each is asked. */
static bool turn(const char *program, const char *folder, unsigned points,
                 struct sweep_turn *t)
{
    cpu_set_t one[2], both;
    choose_cores(one, &both);
    for (unsigned i = 0; i < 2; i++)
        if ((t->one[i] = sweep_once(program, folder, points, &one[i])) == 0.0)
            return false;
    t->both  = sweep_once(program, folder, points, &both);
    t->ratio = 2.0 * t->both / (t->one[0] + t->one[1]);
    return t->both > 0.0;
}

static int by_ratio(const void *a, const void *b)
{
    const struct sweep_turn *one = a, *other = b;
    return (one->ratio > other->ratio) - (one->ratio < other->ratio);
}

bool bench_sweep(const char *program, unsigned points, struct sweep_bench *b)
{
    static const char *const left[] = { "bench.yaml", "bench.db", "bench.db-wal",
                                        "bench.db-shm" };
    char folder[]                   = "/tmp/iovasim-bench-XXXXXX", path[64];
    *b                              = (struct sweep_bench){ .cores = pool_cores() };
    if (mkdtemp(folder) == NULL)
        return false;
    bool done = write_spec(folder, points);
    for (unsigned i = 0; done && b->cores >= 2 && i < SWEEP_TURNS; i++)
        done = turn(program, folder, points, &b->turn[i]);
    qsort(b->turn, SWEEP_TURNS, sizeof b->turn[0], by_ratio);
    for (unsigned i = 0; i < sizeof left / sizeof left[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, left[i]);
        unlink(path);
    }
    rmdir(folder);
    return done;
}
