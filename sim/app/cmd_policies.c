/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_policies - the flush policies: what each does, what it promises, its parameters. */
#include <string.h>

#include "dma_api/flush.h"
#include "sim/app/cmd.h"
#include "sim/app/listing.h"
#include "sim/app/terminal.h"

static unsigned policies_text(FILE *out, const char *filter)
{
    unsigned printed = 0;
    for (unsigned i = 0; flush_table[i] != NULL; i++) {
        const struct flush_policy *p = flush_table[i];
        if (filter != NULL && strstr(p->name, filter) == NULL)
            continue;
        fprintf(out, "%s\n", p->name);
        terminal_wrap(out, 0, 4, p->summary);
        terminal_wrapf(out, 0, 4, "Promises: %s. Source: %s",
                       flush_promise_text(p->promise), p->source);
        for (const struct param_def *def = p->params == NULL ? NULL : p->params->def;
             def != NULL && def->name != NULL; def++) {
            char domain[320];
            param_domain(def, domain, sizeof domain);
            fputs("    ", out);
            terminal_wrapf(out, 4, 6, "%s.%s: %s [%s%s%s]", p->name, def->name, def->text,
                           def->unit, def->unit[0] != '\0' ? "; " : "", domain);
        }
        printed++;
    }
    return printed;
}

static json_t *policies_json(void)
{
    json_t *all = json_array();
    for (unsigned i = 0; flush_table[i] != NULL; i++) {
        const struct flush_policy *p = flush_table[i];
        json_t *params               = json_array();
        for (const struct param_def *def = p->params == NULL ? NULL : p->params->def;
             def != NULL && def->name != NULL; def++)
            json_array_append_new(params, json_sprintf("%s.%s", p->name, def->name));
        json_array_append_new(all, json_pack("{s:s,s:s,s:s,s:s,s:o}", "name", p->name,
                                             "summary", p->summary, "promise",
                                             flush_promise_text(p->promise), "source",
                                             p->source, "parameters", params));
    }
    return all;
}

static int policies_run(int argc, const char **argv)
{
    return listing_run("policies", argc, argv, policies_text, policies_json);
}

const struct command cmd_policies = {
    .name    = "policies",
    .summary = "List the flush policies, with promise, source and parameters",
    .run     = policies_run,
};
