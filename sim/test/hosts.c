/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/test/hosts.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/host/direct.h"
#include "sim/host/systemc.h"

const struct host_case host_case[HOST_CASES] = {
    { "direct", false, true },
    { "direct without running ahead", false, false },
    { "systemc", true, true },
    { "systemc without running ahead", true, false },
};

struct errand {
    void (*body)(const struct sim_host *host, bool run_ahead, void *result, size_t bytes);
    bool run_ahead;
    void *result;
    size_t bytes;
};

static void run_errand(void *arg, const struct sim_host *host)
{
    const struct errand *e = arg;
    e->body(host, e->run_ahead, e->result, e->bytes);
}

static bool run_in_child(struct errand *e)
{
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        systemc_host_call(run_errand, e);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool host_case_run(const struct host_case *c,
                   void (*body)(const struct sim_host *host, bool run_ahead, void *result,
                                size_t bytes),
                   void *result, size_t bytes)
{
    void *shared =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    struct errand e = { body, c->run_ahead, shared, bytes };
    bool lived      = true;
    if (c->systemc) {
        lived = run_in_child(&e);
    } else {
        struct direct_host *h = direct_host_new();
        run_errand(&e, direct_host_verbs(h));
        direct_host_free(h);
    }
    memcpy(result, shared, bytes);
    munmap(shared, bytes);
    return lived;
}
