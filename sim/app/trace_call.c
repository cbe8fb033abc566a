/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/trace_call.h"

#include "sim/app/sources.h"

bool trace_call_open(const struct trace_call *call, const char *path,
                     struct trace_reader **reader, struct error *error)
{
    return sources_open(reader, path, call->from, &call->config, call->seed, error);
}
