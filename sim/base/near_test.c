/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/near.h"

#include <string.h>

#include "sim/test/shim.h"

static const char *hint_of(struct near *n, const char *wanted)
{
    *n = near_begin(wanted);
    near_offer(n, "strict");
    near_offer(n, "strict-page");
    near_offer(n, "lazy");
    near_offer(n, "iotlb_hit_rate");
    return near_hint(n);
}

TEST_CASE(near, a_slip_finds_its_word_and_anything_else_finds_none)
{
    static const char *const word[][2] = {
        { "stict", " did you mean strict?" },
        { "strictt", " did you mean strict?" },
        { "strict-pgae", " did you mean strict-page?" },
        { "lzay", "" }, /* Two letters of four. */
        { "lzy", " did you mean lazy?" },
        { "iotlb", " did you mean iotlb_hit_rate?" }, /* A beginning, */
        { "io", "" },                                 /* but a long one. */
        { "quarantine", "" },
        { "", "" },
    };
    struct near n;
    for (unsigned i = 0; i < sizeof word / sizeof word[0]; i++)
        EXPECT_TEXT(hint_of(&n, word[i][0]), word[i][1]);
}

TEST_CASE(near, a_word_that_is_too_long_is_not_offered)
{
    char candidate[200];
    memset(candidate, 'x', sizeof candidate - 1);
    candidate[sizeof candidate - 1] = '\0';
    struct near n                   = near_begin("xxx");
    near_offer(&n, candidate);
    EXPECT_TEXT(near_hint(&n), "");
}
