/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/option.h"

#include <inttypes.h>
#include <string.h>

#include "sim/app/cmd.h"
#include "sim/base/near.h"
#include "sim/base/param.h"

bool option_number(const char *option, const char *text, uint64_t least, uint64_t most,
                   uint64_t *number, struct error *error)
{
    uint64_t got;
    if (text == NULL)
        return true;
    if (param_parse_number(text, &got) && got >= least && got <= most) {
        *number = got;
        return true;
    }
    if (most == OPTION_NO_MOST)
        return error_set(error, "%s: expected a number of at least %" PRIu64 ", got '%s'",
                         option, least, text);
    return error_set(error, "%s: expected %" PRIu64 " to %" PRIu64 ", got '%s'", option,
                     least, most, text);
}

bool options_read(poptContext context, option_take *take, void *self, struct error *error)
{
    int option;
    while ((option = poptGetNextOpt(context)) > 0)
        if (!take(self, option, poptGetOptArg(context), error))
            return false;
    if (option == POPT_ERROR_BADOPT)
        return error_set(error, "%s: unknown option; --help lists them",
                         poptBadOption(context, 0));
    return option == -1
           || error_set(error, "%s: %s", poptBadOption(context, 0), poptStrerror(option));
}

int options_store(poptContext context)
{
    struct error error;
    return options_read(context, NULL, NULL, &error)
               ? EXIT_FINE
               : command_fail(EXIT_USAGE, "%s", error.text);
}

const struct flush_policy *option_policy(const char *option, const char *name,
                                         struct error *error)
{
    const struct flush_policy *policy = flush_find(name);
    struct near near                  = near_begin(name);
    for (unsigned i = 0; policy == NULL && flush_table[i] != NULL; i++)
        near_offer(&near, flush_table[i]->name);
    if (policy == NULL)
        error_set(error, "%s: '%s' is not known;%s `iovasim policies` lists them", option,
                  name, near_hint(&near));
    return policy;
}

const struct metric_def *option_metric(const char *name, struct error *error)
{
    struct near near = near_begin(name);
    for (unsigned i = 0; i < METRIC_COUNT; i++) {
        if (strcmp(metric_def[i].name, name) == 0)
            return &metric_def[i];
        near_offer(&near, metric_def[i].name);
    }
    error_set(error, "'%s': no such metric;%s docs/result.md lists them", name,
              near_hint(&near));
    return NULL;
}
