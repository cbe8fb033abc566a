/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/option.h"

#include <inttypes.h>

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
