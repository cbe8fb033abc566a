/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/findings.h"

#include <inttypes.h>

void findings_note(struct findings *f, const char *text)
{
    if (f->of_run++ < FINDINGS_SHOWN)
        fprintf(f->out, "%s\n", text);
}

void findings_sum_up(struct findings *f, const char *run)
{
    if (f->of_run > FINDINGS_SHOWN)
        fprintf(f->out, "dma_debug: %s: %" PRIu64 " findings, of which %d are shown\n", run,
                f->of_run, FINDINGS_SHOWN);
    f->all += f->of_run;
    f->of_run = 0;
}

bool findings_none(const struct findings *f, struct error *error)
{
    if (f->all == 0)
        return true;
    return error_set(error, "linux.dma_debug: %" PRIu64 " finding%s", f->all,
                     f->all == 1 ? "" : "s");
}
