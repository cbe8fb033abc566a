// SPDX-License-Identifier: Apache-2.0
#include "sim/host/systemc.h"

#define SC_INCLUDE_DYNAMIC_PROCESSES
#include <cstdlib>
#include <memory>
#include <systemc>
#include <vector>

namespace
{
struct Coroutine {
    sc_core::sc_event resumed, yielded;
};

class Host : public sc_core::sc_module
{
  public:
    Host(const sc_core::sc_module_name &name,
         void (*run)(void *arg, const struct sim_host *host), void *arg)
        : sc_module(name), run_(run),
          arg_(arg), verbs_{ "systemc", this, spawn, resume, yield, advance_to }
    {
        SC_HAS_PROCESS(Host);
        SC_THREAD(main);
        set_stack_size(stack_bytes);
    }

  private:
    static constexpr std::size_t stack_bytes = 256 * 1024;

    void main()
    {
        run_(arg_, &verbs_);
    }

    static void *spawn(void *self, const char *name, void (*entry)(void *), void *arg)
    {
        auto *host = static_cast<Host *>(self);
        auto *c    = host->coroutines_.emplace_back(std::make_unique<Coroutine>()).get();
        sc_core::sc_spawn_options options;
        options.set_stack_size(stack_bytes);
        sc_core::sc_spawn(
            [c, entry, arg] {
                sc_core::wait(c->resumed);
                entry(arg);
                c->yielded.notify();
            },
            sc_core::sc_gen_unique_name(name), &options);
        sc_core::wait(sc_core::SC_ZERO_TIME); // Lets the new thread reach its first wait.
        return c;
    }

    static void resume(void *, void *coroutine)
    {
        auto *c = static_cast<Coroutine *>(coroutine);
        c->resumed.notify();
        sc_core::wait(c->yielded);
    }

    static void yield(void *, void *coroutine)
    {
        auto *c = static_cast<Coroutine *>(coroutine);
        c->yielded.notify();
        sc_core::wait(c->resumed);
    }

    // An engine's time starts at zero, SystemC's goes on from one engine to the next.
    static void advance_to(void *self, sim_time_t now)
    {
        auto *host = static_cast<Host *>(self);
        if (now < host->engine_time_)
            host->engine_time_ = 0;
        const auto by      = sc_core::sc_time::from_value(now - host->engine_time_);
        host->engine_time_ = now;
        if (by != sc_core::SC_ZERO_TIME)
            sc_core::wait(by);
    }

    void (*run_)(void *arg, const struct sim_host *host);
    void *arg_;
    struct sim_host verbs_;
    sim_time_t engine_time_ = 0;
    std::vector<std::unique_ptr<Coroutine>> coroutines_;
};
} // namespace

namespace
{
struct {
    void (*run)(void *arg, const struct sim_host *host);
    void *arg;
} call;
} // namespace

int sc_main(int, char **)
{
    CHECK(sc_core::sc_get_time_resolution() == sc_core::sc_time(1, sc_core::SC_PS));
    Host host("iovasim", call.run, call.arg);
    sc_core::sc_start();
    return 0;
}

extern "C" void systemc_host_call(void (*run)(void *arg, const struct sim_host *host),
                                  void *arg)
{
    CHECK(call.run == nullptr); // One elaboration to a process.
    call = { run, arg };
    setenv("SYSTEMC_DISABLE_COPYRIGHT_MESSAGE", "1", 1);
    char name[]  = "iovasim";
    char *argv[] = { name, nullptr };
    CHECK(sc_core::sc_elab_and_sim(1, argv) == 0);
}

extern "C" bool systemc_host_called(void)
{
    return call.run != nullptr;
}
