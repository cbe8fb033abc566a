/* SPDX-License-Identifier: Apache-2.0 */
/* attack - what hostile devices beside RDMA NICs and a drive reach, for docs/rdma.md. */
#include "sim/base/check.h"
#include "sim/docs/docs.h"

#define MESSAGES                                                                           \
    "gen:rdma_write_bw --set gen:rdma_write_bw.bytes=4096 --limit 2002 \\\n"               \
    "    --api streaming --attacker --policy strict,lazy,window"

#define REQUESTS                                                                           \
    "traces/samples/nvme-randrw-mixed.iovatrace \\\n"                                      \
    "    --set nvmf.remote=1 --api streaming --attacker --policy strict,lazy,window"

static double counter(const json_t *o, const char *table, const char *name)
{
    const json_t *value =
        json_object_get(table == NULL ? o : json_object_get(o, table), name);
    CHECK(json_is_integer(value));
    return json_number_value(value);
}

static const char *text(const json_t *o, const char *name)
{
    const char *value = json_string_value(json_object_get(o, name));
    CHECK(value != NULL);
    return value;
}

static double stale(const json_t *attacker)
{
    return counter(attacker, "reached", "held") + counter(attacker, "reached", "reusable")
           + counter(attacker, "reached", "renewed");
}

static void put_attacker(FILE *out, const json_t *a)
{
    fprintf(out, " %s, `%s` | %.0f | %.0f | %.0f | %.0f | %.1f |\n", text(a, "host"),
            text(a, "victim"), counter(a, NULL, "access"),
            counter(a, NULL, "access_refused"), counter(a, "reached", "lent"), stale(a),
            counter(a, NULL, "late_ns_max") / 1e3);
}

/* Each run's attackers; before: the cells in front of those of the policy. */
static void put_runs(FILE *out, const struct docs *docs, const char *arguments,
                     const char *before)
{
    json_t *runs = docs_runs(docs, arguments);
    for (size_t i = 0; i < json_array_size(runs); i++) {
        const json_t *run  = json_array_get(runs, i);
        const json_t *each = json_object_get(run, "attackers");
        CHECK(json_array_size(each) > 1);
        for (size_t k = 0; k < json_array_size(each); k++) {
            fprintf(out, "|%s %s |", before, text(run, "policy"));
            put_attacker(out, json_array_get(each, k));
        }
    }
    json_decref(runs);
}

#define COLUMNS " policy | attacked | tried | refused | lent then | stale | max |\n"
#define RULES   " --- | --- | ---: | ---: | ---: | ---: | ---: |\n"

static void put_messages(FILE *out, const struct docs *docs)
{
    static const char *const registration[] = { "pinned", "each" };
    fputs("\n**Messages between two hosts.**\n\n```sh\niovasim replay " MESSAGES " \\\n"
          "    --set fabric.registration=each\n```\n\n"
          "| `fabric.registration` |" COLUMNS "| --- |" RULES,
          out);
    for (unsigned i = 0; i < sizeof registration / sizeof registration[0]; i++) {
        char arguments[512], before[16];
        snprintf(arguments, sizeof arguments, MESSAGES " --set fabric.registration=%s",
                 registration[i]);
        snprintf(before, sizeof before, " %s |", registration[i]);
        put_runs(out, docs, arguments, before);
    }
}

void docs_put_attack(FILE *out, const struct docs *docs)
{
    put_messages(out, docs);
    fputs("\n**Block requests to the drive of another host.**\n\n```sh\n"
          "iovasim replay " REQUESTS "\n```\n\n|" COLUMNS "|" RULES,
          out);
    put_runs(out, docs, REQUESTS, "");
    fputs("\n", out);
}
