/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checksum - what a driver's mappings cost under two flush policies, and what becomes of a
 * driver that unmaps too early.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "checksum.h"

enum { JOBS = 64, POLICIES = 2 };
static const char *const policy[POLICIES] = { "strict", "lazy" };

/* What is kept of a run. */
struct outcome {
    uint64_t cycles[OWNERS], refused, stale;
    unsigned right;
    char first_refused[256], first_stale[256]; /* Accesses, in a line each. */
};

static void note_event(void *self, const struct iovasim_event *event)
{
    struct outcome *o = self;
    char *first       = event->kind == IOVASIM_STALE ? o->first_stale : o->first_refused;
    if (first[0] == '\0')
        snprintf(first, sizeof o->first_stale, "%s", event->text);
}

static uint64_t statistic(const struct iovasim_machine *m, const char *name)
{
    uint64_t value = 0;
    if (!iovasim_statistic(m, name, &value))
        fprintf(stderr, "checksum: there is no counter %s\n", name);
    return value;
}

static struct outcome measure(struct iovasim_machine *m, struct checksum_driver *driver,
                              const char *under, bool impatient)
{
    struct outcome o  = { .right = 0 };
    driver->impatient = impatient;
    iovasim_set_policy(m, under);
    iovasim_watch(m, note_event, &o);
    if (!iovasim_run(m, &checksum_program, driver)) {
        fprintf(stderr, "checksum: %s: %s\n", under, iovasim_error(m));
        exit(EXIT_FAILURE);
    }
    for (unsigned i = 0; i < OWNERS; i++)
        o.cycles[i] = iovasim_cycles(m, (enum cpu_owner)i);
    o.refused = statistic(m, "dma.fault") + statistic(m, "atc.transaction_refused");
    o.stale   = statistic(m, "audit.stale_access");
    o.right   = driver->right;
    return o;
}

static void print_cycles(const struct outcome o[POLICIES])
{
    uint64_t sum[POLICIES] = { 0 };
    printf("%-22s %8s %8s\n", "cycles for each job", policy[0], policy[1]);
    for (unsigned i = 0; i < OWNERS; i++) {
        if (i == OWNER_idle || o[0].cycles[i] + o[1].cycles[i] == 0)
            continue;
        printf("  %-20s", cpu_owner_name[i]);
        for (unsigned p = 0; p < POLICIES; p++) {
            printf(" %8" PRIu64, o[p].cycles[i] / JOBS);
            sum[p] += o[p].cycles[i];
        }
        printf("\n");
    }
    printf("  %-20s %8" PRIu64 " %8" PRIu64 "\n", "all but idle", sum[0] / JOBS,
           sum[1] / JOBS);
}

static void print_accesses(const struct outcome o[POLICIES])
{
    printf("  %-20s %8u %8u\n", "right checksums", o[0].right, o[1].right);
    printf("  %-20s %8" PRIu64 " %8" PRIu64 "\n", "refused accesses", o[0].refused,
           o[1].refused);
    printf("  %-20s %8" PRIu64 " %8" PRIu64 "\n", "stale accesses", o[0].stale, o[1].stale);
}

int main(int argc, char **argv)
{
    struct checksum_device device = { .slot = NULL };
    struct checksum_driver driver = { .jobs = JOBS };
    struct outcome good[POLICIES], impatient[POLICIES];
    struct iovasim_machine *m = iovasim_new(argc > 1 ? argv[1] : "vtd-server");
    driver.slot = iovasim_add_device(m, "checksum0", &checksum_device_ops, &device);
    for (unsigned p = 0; p < POLICIES; p++) {
        good[p]      = measure(m, &driver, policy[p], false);
        impatient[p] = measure(m, &driver, policy[p], true);
    }
    iovasim_free(m);

    print_cycles(good);
    printf("of %d jobs\n", JOBS);
    print_accesses(good);
    printf("of %d jobs, unmapped before the engine is done\n", JOBS);
    print_accesses(impatient);
    printf("the first one under %s:\n  %s\n", policy[0], impatient[0].first_refused);
    printf("the first stale one under %s:\n  %s\n", policy[1], impatient[1].first_stale);
    return EXIT_SUCCESS;
}
