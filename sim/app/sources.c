/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/sources.h"

enum { CPUS_LOOK_AHEAD = 10000 };

bool sources_cpus(const struct replay_source *source, unsigned sources, unsigned *cpus,
                  struct error *error)
{
    uint32_t most = 0;
    for (unsigned i = 0; i < sources; i++) {
        struct trace_record record;
        for (unsigned n = 0; n < CPUS_LOOK_AHEAD; n++) {
            const int got = trace_next(source[i].reader, &record, error);
            if (got < 0)
                return false;
            if (got == 0)
                break;
            most = record.cpu > most ? record.cpu : most;
        }
    }
    *cpus = most < ENGINE_CPUS_MAX ? most + 1 : ENGINE_CPUS_MAX;
    return true;
}

bool sources_rdma(const struct replay_source *source, unsigned sources, bool *rdma,
                  struct error *error)
{
    unsigned records = 0, of_rdma = 0;
    for (unsigned i = 0; i < sources; i++) {
        struct trace_record record;
        if (!trace_rewind(source[i].reader, error))
            return false;
        const int got = trace_next(source[i].reader, &record, error);
        if (got < 0 || !trace_rewind(source[i].reader, error))
            return false;
        records += got > 0;
        of_rdma += got > 0 && trace_op_is_rdma(record.op);
    }
    *rdma = of_rdma > 0;
    return of_rdma == 0 || of_rdma == records
           || error_set(error, "traces of block requests and of RDMA work cannot be "
                               "replayed together");
}
