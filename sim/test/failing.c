/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/test/failing.h"

#include "sim/test/shim.h"

enum { MANY = 100 }; /* No call asks so often. */

unsigned failing_each(const char *release, const char *policy, kernel_program *attempt)
{
    struct failing f = { .reached = true };
    while (f.reached) {
        struct kernel_rig *r      = kernel_rig_new(RIG_FAKE);
        r->linux_config.release   = release;
        r->linux_config.dma_debug = 1;
        kernel_rig_policy(r, policy);
        f.nth++;
        kernel_rig_run(r, attempt, &f);
        EXPECT_EQUAL(r->kernel.stats.finding, 0);
        kernel_rig_free(r);
    }
    return f.failures;
}

struct call {
    const struct failing_calls *how;
    bool (*attempt)(struct kernel_rig *r);
    uint64_t nth;
    bool failed, done;
};

static void fail_one(struct kernel_rig *r, void *state)
{
    struct call *c = state;
    if (c->how->begin != NULL)
        c->how->begin(r);
    kernel_rig_fail_at(r, c->nth);
    c->done   = c->attempt(r);
    c->failed = kernel_rig_failed(r);
    kernel_rig_fail_at(r, 0);
    EXPECT(c->done || c->failed);
    EXPECT(c->how->warns || r->kernel.stats.warning == 0);
    if (r->domain != NULL)
        EXPECT_EQUAL(r->kernel.pages.out, kernel_rig_tables(r, &r->domain->table) + 1);
    c->how->expect_empty(r);
    EXPECT(c->attempt(r)); /* Later there is memory again. */
    c->how->expect_empty(r);
}

unsigned failing_calls(const struct failing_calls *how,
                       bool (*attempt)(struct kernel_rig *r), unsigned *machines)
{
    struct call c     = { .how = how, .attempt = attempt, .failed = true };
    unsigned failures = 0;
    while (c.failed && c.nth < MANY) {
        struct kernel_rig *r = kernel_rig_new(how->hardware);
        if (how->prepare != NULL)
            how->prepare(r);
        c.nth++;
        kernel_rig_run(r, fail_one, &c);
        kernel_rig_free(r);
        failures += !c.done;
    }
    EXPECT(c.done); /* None failed any more. */
    if (machines != NULL)
        *machines = (unsigned)c.nth;
    return failures;
}
