/* SPDX-License-Identifier: Apache-2.0 */
/* attack - what a hostile device beside each RDMA NIC reaches, for docs/rdma.md. */
#include "sim/base/check.h"
#include "sim/docs/docs.h"

#define MESSAGES                                                                           \
    "gen:rdma_write_bw --set gen:rdma_write_bw.bytes=4096 --limit 2002 \\\n"               \
    "    --api streaming --attacker --policy strict,lazy,window"

static double attacks(const json_t *run, const char *group, const char *table,
                      const char *counter)
{
    const json_t *counters = json_object_get(json_object_get(run, group), table);
    const json_t *value    = json_object_get(counters, counter);
    CHECK(value != NULL);
    return json_number_value(value);
}

static void put_run(FILE *out, const char *registration, const json_t *run)
{
    fprintf(out, "| %s | %s | %.0f | %.0f | %.0f | %.0f | %.1f |\n", registration,
            json_string_value(json_object_get(run, "policy")),
            docs_metric(run, "attack_accesses"),
            attacks(run, "device", "attacker", "access_refused"),
            attacks(run, "iommu", "audit", "hostile_access_lent"),
            docs_metric(run, "attack_passed_stale"), docs_metric(run, "attack_us_max"));
}

void docs_put_attack(FILE *out, const struct docs *docs)
{
    static const char *const registration[] = { "pinned", "each" };
    fputs(
        "\n```sh\niovasim replay " MESSAGES " \\\n    --set fabric.registration=each\n"
        "```\n\n"
        "| `fabric.registration` | policy | tried | refused | lent then | after the unmap "
        "| longest, us |\n| --- | --- | ---: | ---: | ---: | ---: | ---: |\n",
        out);
    for (unsigned i = 0; i < sizeof registration / sizeof registration[0]; i++) {
        char arguments[512];
        snprintf(arguments, sizeof arguments, MESSAGES " --set fabric.registration=%s",
                 registration[i]);
        json_t *runs = docs_runs(docs, arguments);
        for (size_t k = 0; k < json_array_size(runs); k++)
            put_run(out, registration[i], json_array_get(runs, k));
        json_decref(runs);
    }
    fputs("\n", out);
}
