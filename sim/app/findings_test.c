/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/findings.h"

#include <stdlib.h>

#include "sim/test/shim.h"

TEST_CASE(findings, the_first_of_each_run_are_shown_and_all_are_counted)
{
    char *text          = NULL;
    size_t bytes        = 0;
    struct error error  = { "" };
    struct findings f   = { .out = open_memstream(&text, &bytes) };
    unsigned long lines = 0;
    EXPECT(findings_none(&f, &error));
    findings_note(&f, "a.c:1: first");
    findings_sum_up(&f, "strict, iova");
    EXPECT(!findings_none(&f, &error));
    EXPECT_TEXT(error.text, "linux.dma_debug: 1 finding");
    for (unsigned i = 0; i < 20; i++)
        findings_note(&f, "a.c:2: more");
    findings_sum_up(&f, "lazy, sg");
    EXPECT(!findings_none(&f, &error));
    EXPECT_TEXT(error.text, "linux.dma_debug: 21 findings");
    fclose(f.out);
    for (const char *c = text; *c != '\0'; c++)
        lines += *c == '\n';
    EXPECT_EQUAL(lines, 1 + FINDINGS_SHOWN + 1);
    EXPECT_HAS(text, "a.c:1: first\na.c:2: more\n");
    EXPECT_HAS(text, "dma_debug: lazy, sg: 20 findings, of which 16 are shown\n");
    free(text);
}
