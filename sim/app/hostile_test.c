/* SPDX-License-Identifier: Apache-2.0 */
/* How the program tells of hostile devices: all together, and each by what it attacks. */
#include <jansson.h>
#include <string.h>

#include "sim/test/program.h"
#include "sim/test/shim.h"

static struct program_result r;

#define DRIVE                                                                              \
    "replay @SAMPLE/nvme-randrw-mixed.iovatrace --limit 60 --policy lazy --api sg "
#define REMOTE DRIVE "--set nvmf.remote=1 "
#define NICS   "replay gen:rdma_write_bw --limit 60 --policy lazy --api sg "

static json_int_t at(const json_t *o, const char *table, const char *key)
{
    const json_t *value =
        json_object_get(table == NULL ? o : json_object_get(o, table), key);
    EXPECT(json_is_integer(value));
    return json_integer_value(value);
}

static json_int_t sum(const json_t *all, const char *table, const char *key)
{
    json_int_t n = 0;
    for (size_t i = 0; i < json_array_size(all); i++)
        n += at(json_array_get(all, i), table, key);
    return n;
}

/* The document of one run; each device's figures make up those of all. */
static json_t *run_of(const char *arguments, const char *to)
{
    char command[512];
    snprintf(command, sizeof command, "%s --json @/%s", arguments, to);
    program_run(&r, command);
    EXPECT_EQUAL(r.status, 0);
    json_t *document = json_load_file(program_path(to), 0, NULL);
    json_t *run      = json_incref(json_array_get(json_object_get(document, "runs"), 0));
    json_decref(document);
    return run;
}

/* Every counter of all is the sum of what each attacker did and reached. */
static void expect_adding_up(const json_t *run)
{
    static const char *const did[]     = { "page_learnt",    "access", "access_passed",
                                           "access_refused", "write",  "beat_skipped" };
    static const char *const reached[] = { "lent", "held",  "reusable",    "renewed",
                                           "pool", "other", "untranslated" };
    const json_t *all                  = json_object_get(run, "attackers");
    const json_t *of_all               = json_object_get(run, "device"),
                 *iommu                = json_object_get(run, "iommu");
    for (unsigned i = 0; i < sizeof did / sizeof did[0]; i++)
        EXPECT_EQUAL(sum(all, NULL, did[i]), at(of_all, "attacker", did[i]));
    for (unsigned i = 0; i < sizeof reached / sizeof reached[0]; i++) {
        char name[64];
        snprintf(name, sizeof name, "hostile_access_%s", reached[i]);
        EXPECT_EQUAL(sum(all, "reached", reached[i]), at(iommu, "audit", name));
    }
}

static void expect_victim(const json_t *run, size_t index, const char *host,
                          const char *victim, const char *requester)
{
    const json_t *one   = json_array_get(json_object_get(run, "attackers"), index);
    const char *of_host = json_string_value(json_object_get(one, "host"));
    EXPECT_TEXT(of_host == NULL ? "" : of_host, host);
    EXPECT_TEXT(json_string_value(json_object_get(one, "victim")), victim);
    EXPECT_TEXT(json_string_value(json_object_get(one, "requester")), requester);
    EXPECT(at(one, NULL, "access") > 0);
}

static size_t attackers(const json_t *run)
{
    return json_array_size(json_object_get(run, "attackers"));
}

TEST_CASE(hostile, those_of_a_drive_of_another_host_are_told_by_what_they_attack)
{
    json_t *run        = run_of(REMOTE "--attacker", "remote.json");
    const json_t *ends = json_object_get(run, "ends");
    EXPECT_EQUAL(attackers(run), 3);
    expect_victim(run, 0, "host", "rdma0", "00:06.0");
    expect_victim(run, 1, "target", "rdma0", "00:06.0");
    expect_victim(run, 2, "target", "nvme0", "00:05.0");
    expect_adding_up(run);
    EXPECT_EQUAL(sum(json_object_get(run, "attackers"), NULL, "access"),
                 at(json_object_get(ends, "host"), "attacker", "access")
                     + at(json_object_get(ends, "target"), "attacker", "access"));
    EXPECT_HAS(r.out, "Hostile devices by what they attack");
    EXPECT_HAS(r.out, "lazy   sg  host rdma0 ");
    EXPECT_HAS(r.out, "lazy   sg  target rdma0 ");
    EXPECT_HAS(r.out, "lazy   sg  target nvme0 ");
    for (char *line = strtok(r.out, "\n"); line != NULL; line = strtok(NULL, "\n"))
        EXPECT(strlen(line) <= 80);
    json_decref(run);
}

TEST_CASE(hostile, those_of_nics_are_told_by_their_hosts)
{
    json_t *run = run_of(NICS "--attacker --set fabric.registration=each", "nics.json");
    EXPECT_EQUAL(attackers(run), 2);
    expect_victim(run, 0, "host 0", "rdma0", "00:06.0");
    expect_victim(run, 1, "host 1", "rdma0", "00:06.0");
    expect_adding_up(run);
    EXPECT_HAS(r.out, "lazy   sg  host 1 rdma0 ");
    json_decref(run);
}

/* The shares of all attacks say it already. */
TEST_CASE(hostile, one_alone_has_no_table_and_none_is_not_told_of)
{
    json_t *run = run_of(DRIVE "--attacker", "drive.json");
    EXPECT_EQUAL(attackers(run), 1);
    expect_victim(run, 0, "", "nvme0", "00:05.0");
    expect_adding_up(run);
    EXPECT(strstr(r.out, "Hostile devices by") == NULL);
    EXPECT_HAS(r.out, "% of attacks");
    json_decref(run);
    run = run_of(REMOTE, "calm.json");
    EXPECT(json_object_get(run, "attackers") == NULL);
    EXPECT(
        json_object_get(json_object_get(json_object_get(run, "ends"), "target"), "attacker")
        == NULL);
    EXPECT(strstr(r.out, "attack") == NULL);
    json_decref(run);
}

/* Bare accesses, and mappings that no device uses, leave nothing to aim at. */
TEST_CASE(hostile, where_there_is_nothing_to_aim_at_it_is_said)
{
    static const char *const none[] = { "gen:window", "gen:churn" };
    for (unsigned i = 0; i < 2; i++) {
        char command[128];
        snprintf(command, sizeof command, "replay %s --limit 100 --policy lazy --attacker",
                 none[i]);
        program_run(&r, command);
        EXPECT_EQUAL(r.status, 0);
        EXPECT_HAS(r.out, "\nNo attacks: no drive and no NIC was given data");
        EXPECT(strstr(r.out, "% of attacks") == NULL);
    }
}
