/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/option.h"

#include <inttypes.h>

#include "sim/app/cmd.h"
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
