/* SPDX-License-Identifier: Apache-2.0 */
/* Every key of a result is explained on a page of docs/. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/test/program.h"
#include "sim/test/shim.h"
#include "sim/test/trace_fixture.h"

static const char *const page[] = { "result.md", "statistics.md", "parameters.md" };
enum { PAGES = sizeof page / sizeof page[0] };
static struct fixture_bytes text[PAGES];

static void load_pages(void)
{
    for (unsigned i = 0; i < PAGES; i++) {
        char path[512];
        snprintf(path, sizeof path, TEST_SOURCE_DIR "/docs/%s", page[i]);
        text[i]                     = fixture_load(path);
        text[i].data[text[i].bytes] = '\0';
    }
}

/* As `key`, `table.key` or, being a table of counters or parameters, as a heading. */
static bool explained(const char *key)
{
    static const char *const form[] = { "`%s`", ".%s`", "\n## %s\n" };
    for (unsigned i = 0; i < PAGES; i++)
        for (unsigned f = 0; f < sizeof form / sizeof form[0]; f++) {
            char wanted[128];
            snprintf(wanted, sizeof wanted, form[f], key);
            if (strstr((const char *)text[i].data, wanted) != NULL)
                return true;
        }
    return false;
}

static void check_keys(const json_t *value)
{
    const char *key;
    json_t *member;
    size_t index;
    json_array_foreach(value, index, member) check_keys(member);
    json_object_foreach((json_t *)value, key, member)
    {
        if (!explained(key))
            shim_text_has("the pages of docs/", key, "key of a result", __FILE__, __LINE__);
        check_keys(member);
    }
}

TEST_CASE(result, every_key_is_explained_on_a_page)
{
    static struct program_result r;
    program_run(&r, "replay @SAMPLE/tiny.iovatrace @SAMPLE/tiny.iovatrace --api iova "
                    "--policy lazy --json -");
    json_t *result = json_loads(r.out, 0, NULL);
    REQUIRE(result != NULL);
    load_pages();
    check_keys(result);
    for (unsigned i = 0; i < PAGES; i++)
        fixture_free(text[i]);
    json_decref(result);
}
