// SPDX-License-Identifier: Apache-2.0
//
// Random traffic with everything that the base protocol allows on either side, watched by a
// checker between every pair of sockets; and planted violations, which it must see.
#include <algorithm>
#include <deque>
#include <gtest/gtest.h>

#include "sim/tlm/platform.hpp"

namespace iovasim
{
namespace
{
// Many outstanding: begins when it may, ends responses at random times.
class Crowd : public sc_core::sc_module
{
  public:
    Crowd(const sc_core::sc_module_name &name, Bench &b, unsigned port, unsigned count)
        : sc_module(name), bench_(b), port_(port), left_(count), random_(port + 77)
    {
        Requester &r = *b.requester[port];
        r.accepted   = [this] {
            requesting_ = nullptr;
            wake_.notify(sc_core::SC_ZERO_TIME);
        };
        r.responded = [this](tlm::tlm_generic_payload &t) {
            if (requesting_ == &t)
                requesting_ = nullptr;
            answered(t);
            response_ = &t;
            wake_.notify(
                sc_core::sc_time(random_() % 3 * (random_() % 20), sc_core::SC_NS));
        };
        thread([this] { run(); });
    }
    std::uint64_t good = 0, refused = 0;
    std::vector<std::uint64_t> order; // In which responses came.

  private:
    void answered(tlm::tlm_generic_payload &t)
    {
        const bool ok = t.is_response_ok();
        (ok ? good : refused)++;
        order.push_back(number_[&t]);
    }

    void begin()
    {
        tlm::tlm_generic_payload &t = bench_.pool.make(
            random_() % 2 == 0, UINT64_C(0x40000000) + random_() % (16 * 4096),
            1 + static_cast<unsigned>(random_() % 5000));
        tlm::tlm_phase phase   = tlm::BEGIN_REQ;
        sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
        number_[&t]            = begun_++;
        left_--;
        requesting_                           = &t;
        t.get_extension<Request>()->requester = port_;
        switch (bench_.requester[port_]->socket->nb_transport_fw(t, phase, delay)) {
        case tlm::TLM_ACCEPTED:
            return;
        case tlm::TLM_UPDATED:
            requesting_ = nullptr;
            return;
        case tlm::TLM_COMPLETED:
            requesting_ = nullptr;
            answered(t);
            t.release();
            return;
        }
    }

    void run()
    {
        while (left_ > 0 || bench_.checker[port_]->under_way() > 0) {
            if (response_ != nullptr) {
                tlm::tlm_generic_payload &t = *response_;
                tlm::tlm_phase phase        = tlm::END_RESP;
                sc_core::sc_time delay(random_() % 2 * 3, sc_core::SC_NS);
                response_ = nullptr;
                bench_.requester[port_]->socket->nb_transport_fw(t, phase, delay);
                t.release();
            }
            if (left_ > 0 && requesting_ == nullptr)
                begin();
            sc_core::wait(sc_core::sc_time(1 + random_() % 40, sc_core::SC_NS), wake_);
        }
    }

    Bench &bench_;
    unsigned port_, left_;
    std::mt19937 random_;
    std::uint64_t begun_ = 0;
    std::map<tlm::tlm_generic_payload *, std::uint64_t> number_;
    tlm::tlm_generic_payload *response_   = nullptr;
    tlm::tlm_generic_payload *requesting_ = nullptr;
    sc_core::sc_event wake_;
};

struct Case {
    const char *preset, *arch;
    unsigned shape, quantum_ns;
    bool ordered, dmi;
};

void loosely(Bench &b, unsigned port, unsigned count)
{
    std::mt19937 random(port + 5);
    sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
    for (unsigned i = 0; i < count; i++) {
        tlm::tlm_generic_payload &t =
            b.pool.make(random() % 2 == 0, UINT64_C(0x40000000) + random() % (16 * 4096),
                        1 + static_cast<unsigned>(random() % 5000));
        t.get_extension<Request>()->requester = port;
        b.requester[port]->socket->b_transport(t, delay);
        EXPECT_NE(t.get_response_status(), tlm::TLM_INCOMPLETE_RESPONSE);
        if (t.is_response_ok() && random() % 4 == 0) {
            tlm::tlm_dmi dmi;
            b.requester[port]->socket->get_direct_mem_ptr(t, dmi);
            b.requester[port]->socket->transport_dbg(t);
        }
        t.release();
        delay += sc_core::sc_time(random() % 30, sc_core::SC_NS);
        if (delay >= tlm::tlm_global_quantum::instance().get()) {
            sc_core::wait(delay);
            delay = sc_core::SC_ZERO_TIME;
        }
    }
}

// Maps, unmaps and invalidates, one after the other.
void software(Bench &b, unsigned ports, unsigned count)
{
    std::mt19937 random(3);
    for (unsigned i = 0; i < count; i++) {
        const unsigned device    = static_cast<unsigned>(random() % ports);
        const std::uint64_t iova = UINT64_C(0x40000000) + random() % 16 * 4096;
        if (random() % 3 == 0)
            b.world.unmap(device, iova);
        else
            b.world.map(device, iova, UINT64_C(0x80000000) + random() % 64 * 4096,
                        random() % 4 == 0 ? PT_READ : PT_READ | PT_WRITE);
        b.write_register(b.world.invalidate(device, iova, random() % 8 == 0));
        for (unsigned n = 0; !b.world.waited() && n < 10000; n++)
            sc_core::wait(100, sc_core::SC_NS);
        EXPECT_TRUE(b.world.waited());
    }
}

class Protocol : public testing::TestWithParam<Case>
{
};

TEST_P(Protocol, holds_under_random_traffic)
{
    const Case &c = GetParam();
    simulate([&c] {
        Bench b(c.preset, c.arch, 3, c.shape);
        b.iommu.set("tlm.ordered", c.ordered ? "1" : "0");
        b.iommu.set("tlm.outstanding", "6");
        tlm::tlm_global_quantum::instance().set(
            sc_core::sc_time(c.quantum_ns, sc_core::SC_NS));
        for (const auto &p : b.memory.port) {
            p->manners    = { 9, 3, 5, 4, 0 };
            p->offers_dmi = c.dmi;
        }
        b.memory.port[0]->manners.error = 12;
        for (unsigned device = 0; device < 3; device++)
            for (unsigned i = 0; i < 16; i += 2)
                b.world.map(device, UINT64_C(0x40000000) + i * 4096,
                            UINT64_C(0x80000000) + i * 4096, PT_READ | PT_WRITE);
        thread([&b] { b.enable(); });
        Crowd first("first", b, 0, 700), second("second", b, 1, 700);
        thread([&b] { loosely(b, 2, 700); });
        thread([&b] {
            sc_core::wait(1, sc_core::SC_US);
            software(b, 3, 150);
        });
        sc_core::sc_start();
        b.expect_clean();
        EXPECT_EQ(first.good + first.refused, 700u);
        EXPECT_EQ(second.good + second.refused, 700u);
        EXPECT_GT(first.good, 100u);
        EXPECT_GT(first.refused, 50u);
        EXPECT_GT(b.checker[2]->blocking, 600u);
        EXPECT_EQ(b.checker[2]->direct > 0, c.dmi);
        EXPECT_EQ(std::is_sorted(first.order.begin(), first.order.end()), c.ordered);
        EXPECT_EQ(b.iommu.statistic("iommu.translation_hit")
                      + b.iommu.statistic("iommu.translation_walked")
                      + b.iommu.statistic("iommu.translation_joined")
                      + b.iommu.statistic("iommu.translation_bypassed")
                      + b.iommu.statistic("iommu.translation_faulted"),
                  b.iommu.statistic("iommu.translation"));
    });
}

INSTANTIATE_TEST_SUITE_P(
    Of, Protocol,
    testing::Values(Case{ "", "vtd", 0, 0, false, true },
                    Case{ "", "vtd", 1, 500, true, false },
                    Case{ "vtd-tiny", "vtd", 0, 0, true, true },
                    Case{ "vtd-scalable", "vtd", World::vtd_first, 0, false, true },
                    Case{ "vtd-scalable", "vtd", World::vtd_nested, 700, true, true },
                    Case{ "riscv-zdl", "riscv", 0, 0, false, false },
                    Case{ "riscv-perf", "riscv", 1, 2000, false, true },
                    Case{ "riscv-perf", "riscv", 2, 0, true, true },
                    Case{ "riscv-perf", "riscv", 3, 100, false, true }));

// ---- Many under way

// What memory has not seen yet, by its number.
struct Behind {
    std::uint64_t first, last;
    const tlm::tlm_generic_payload *trans;
};

// Each keeps behind those that it overlaps and that began before it, and passes others that
// wait for their translations.
TEST(Overlapping, transactions_go_on_in_the_order_of_their_requests)
{
    simulate([] {
        const std::uint64_t base = UINT64_C(0x40000000);
        constexpr unsigned count = 1500;
        Bench b("vtd-tiny", "vtd", 1);
        std::map<unsigned, Behind> behind;
        std::deque<tlm::tlm_generic_payload *> responses;
        sc_core::sc_event event;
        unsigned passed = 0, wrong = 0, answered = 0, most = 0;
        b.iommu.set("tlm.outstanding", "300");
        for (unsigned i = 0; i < 16; i++) // One after the other: no one is cut.
            b.world.map(0, base + i * 4096, 2 * base + i * 4096, PT_READ | PT_WRITE);
        b.memory.watch = [&](const tlm::tlm_generic_payload &t) {
            for (auto mine = behind.begin(); mine != behind.end(); ++mine) {
                if (mine->second.trans != &t)
                    continue;
                for (auto other = behind.begin(); other != mine; ++other) {
                    passed++;
                    wrong += other->second.first <= mine->second.last
                             && mine->second.first <= other->second.last;
                }
                behind.erase(mine);
                return;
            }
        };
        b.requester[0]->responded = [&](tlm::tlm_generic_payload &t) {
            EXPECT_TRUE(t.is_response_ok());
            responses.push_back(&t);
            event.notify(sc_core::SC_ZERO_TIME);
        };
        bool requesting          = false;
        b.requester[0]->accepted = [&] {
            requesting = false;
            event.notify(sc_core::SC_ZERO_TIME);
        };
        thread([&] {
            std::mt19937 random(9);
            b.enable();
            for (unsigned begun = 0; answered < count;) {
                sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
                if (!responses.empty()) {
                    tlm::tlm_generic_payload &t = *responses.front();
                    tlm::tlm_phase phase        = tlm::END_RESP;
                    responses.pop_front();
                    b.requester[0]->socket->nb_transport_fw(t, phase, delay);
                    t.release();
                    answered++;
                } else if (begun < count && !requesting) {
                    const unsigned bytes   = 1 + static_cast<unsigned>(random() % 5000);
                    const std::uint64_t at = base + random() % (16 * 4096 - bytes);
                    auto &t                = b.pool.make(random() % 2, at, bytes);
                    tlm::tlm_phase phase   = tlm::BEGIN_REQ;
                    behind[begun++]        = { at, at + (bytes - 1), &t };
                    requesting             = true;
                    EXPECT_EQ(b.requester[0]->socket->nb_transport_fw(t, phase, delay),
                              tlm::TLM_ACCEPTED);
                    most = std::max(most, begun - answered);
                } else {
                    sc_core::wait(event);
                }
            }
        });
        sc_core::sc_start();
        EXPECT_EQ(answered, count);
        EXPECT_TRUE(behind.empty());
        EXPECT_EQ(wrong, 0u);
        EXPECT_GT(passed, count / 4);
        EXPECT_GT(most, 20u);
        b.expect_clean();
    });
}

// Memory answers writes at once and reads in turn: in order, writes stand behind the reads
// before them, and each response leaves when its turn has come.
TEST(Ordered, responses_stand_behind_those_before_them)
{
    simulate([] {
        const std::uint64_t base = UINT64_C(0x40000000);
        constexpr unsigned count = 4000;
        Bench b("", "vtd", 1);
        std::map<const tlm::tlm_generic_payload *, unsigned> number;
        std::deque<tlm::tlm_generic_payload *> responses;
        sc_core::sc_event event;
        unsigned answered = 0, most = 0, done = 0, ahead = 0;
        bool requesting = false;
        b.iommu.set("tlm.outstanding", "1024");
        b.iommu.set("tlm.ordered", "1");
        b.memory.port[0]->writes_apart    = true;
        b.memory.port[0]->channel.beat_ps = 100000;
        for (unsigned i = 0; i < 16; i++)
            b.world.map(0, base + i * 4096, 2 * base + i * 4096, PT_READ | PT_WRITE);
        b.memory.watch = [&](const tlm::tlm_generic_payload &) {
            ahead = std::max(ahead, ++done - answered);
        };
        b.requester[0]->responded = [&](tlm::tlm_generic_payload &t) {
            responses.push_back(&t);
            event.notify(sc_core::SC_ZERO_TIME);
        };
        b.requester[0]->accepted = [&] {
            requesting = false;
            event.notify(sc_core::SC_ZERO_TIME);
        };
        thread([&] {
            std::mt19937 random(11);
            b.enable();
            for (unsigned begun = 0; answered < count;) {
                sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
                if (!responses.empty()) {
                    tlm::tlm_generic_payload &t = *responses.front();
                    tlm::tlm_phase phase        = tlm::END_RESP;
                    responses.pop_front();
                    EXPECT_EQ(number[&t], answered);
                    EXPECT_TRUE(t.is_response_ok());
                    b.requester[0]->socket->nb_transport_fw(t, phase, delay);
                    t.release();
                    answered++;
                } else if (begun < count && !requesting) {
                    const std::uint64_t at = base + random() % 0x400 * 64;
                    auto &t                = b.pool.make(random() % 8 != 0, at, 64);
                    tlm::tlm_phase phase   = tlm::BEGIN_REQ;
                    number[&t]             = begun++;
                    requesting             = true;
                    EXPECT_EQ(b.requester[0]->socket->nb_transport_fw(t, phase, delay),
                              tlm::TLM_ACCEPTED);
                    most = std::max(most, begun - answered);
                } else {
                    sc_core::wait(event);
                }
            }
        });
        sc_core::sc_start();
        EXPECT_EQ(answered, count);
        EXPECT_EQ(most, 1024u + 1);
        EXPECT_GT(ahead, 100u);
        b.expect_clean();
    });
}

// ---- The checker sees what it should

struct Planted {
    const char *what;
    std::function<void(Checker &, tlm::tlm_generic_payload &, Requester &)> act;
};

void expect_seen(const Planted &p)
{
    simulate([&p] {
        struct Quiet : sc_core::sc_module, tlm::tlm_fw_transport_if<> {
            explicit Quiet(const sc_core::sc_module_name &name)
                : sc_module(name), socket("s")
            {
                socket.bind(*this);
            }
            void b_transport(tlm::tlm_generic_payload &t, sc_core::sc_time &) override
            {
                t.set_data_length(t.get_data_length() + 1);
            }
            tlm::tlm_sync_enum nb_transport_fw(tlm::tlm_generic_payload &, tlm::tlm_phase &,
                                               sc_core::sc_time &) override
            {
                return tlm::TLM_ACCEPTED;
            }
            bool get_direct_mem_ptr(tlm::tlm_generic_payload &, tlm::tlm_dmi &dmi) override
            {
                dmi.init();
                return true;
            }
            unsigned transport_dbg(tlm::tlm_generic_payload &t) override
            {
                return t.get_data_length() + 1;
            }
            tlm::tlm_target_socket<> socket;
        } target("target");
        Requester r("r");
        Checker c("c");
        TestPool pool;
        r.socket.bind(c.in);
        c.out.bind(target.socket);
        thread([&] { p.act(c, pool.make(false, 0, 8), r); });
        sc_core::sc_start();
        EXPECT_GT(c.violations().size(), 0u) << p.what;
    });
}

tlm::tlm_sync_enum fw(Requester &r, tlm::tlm_generic_payload &t, tlm::tlm_phase phase)
{
    sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
    return r.socket->nb_transport_fw(t, phase, delay);
}

tlm::tlm_sync_enum bw(Checker &c, tlm::tlm_generic_payload &t, tlm::tlm_phase phase)
{
    sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
    return c.nb_transport_bw(t, phase, delay);
}

TEST(Checker, sees_planted_violations)
{
    const Planted planted[] = {
        { "a second request before END_REQ",
          [](Checker &, tlm::tlm_generic_payload &t, Requester &r) {
              static TestPool other;
              fw(r, t, tlm::BEGIN_REQ);
              fw(r, other.make(false, 0, 8), tlm::BEGIN_REQ);
          } },
        { "END_REQ twice",
          [](Checker &c, tlm::tlm_generic_payload &t, Requester &r) {
              fw(r, t, tlm::BEGIN_REQ);
              bw(c, t, tlm::END_REQ);
              bw(c, t, tlm::END_REQ);
          } },
        { "a response without status",
          [](Checker &c, tlm::tlm_generic_payload &t, Requester &r) {
              fw(r, t, tlm::BEGIN_REQ);
              bw(c, t, tlm::BEGIN_RESP);
          } },
        { "a response twice",
          [](Checker &c, tlm::tlm_generic_payload &t, Requester &r) {
              fw(r, t, tlm::BEGIN_REQ);
              t.set_response_status(tlm::TLM_OK_RESPONSE);
              bw(c, t, tlm::BEGIN_RESP);
              bw(c, t, tlm::BEGIN_RESP);
          } },
        { "a response to nothing", [](Checker &c, tlm::tlm_generic_payload &t,
                                      Requester &) { bw(c, t, tlm::BEGIN_RESP); } },
        { "END_RESP without a response",
          [](Checker &, tlm::tlm_generic_payload &t, Requester &r) {
              fw(r, t, tlm::BEGIN_REQ);
              fw(r, t, tlm::END_RESP);
          } },
        { "a changed attribute and no status",
          [](Checker &, tlm::tlm_generic_payload &t, Requester &r) { r.blocking(t); } },
        { "a pointer to nowhere",
          [](Checker &, tlm::tlm_generic_payload &t, Requester &r) {
              tlm::tlm_dmi dmi;
              r.socket->get_direct_mem_ptr(t, dmi);
          } },
        { "more bytes than asked for", [](Checker &, tlm::tlm_generic_payload &t,
                                          Requester &r) { r.socket->transport_dbg(t); } },
        { "a request that is answered already",
          [](Checker &, tlm::tlm_generic_payload &t, Requester &r) {
              t.set_response_status(tlm::TLM_OK_RESPONSE);
              fw(r, t, tlm::BEGIN_REQ);
          } },
        { "a target's phase from an initiator",
          [](Checker &, tlm::tlm_generic_payload &t, Requester &r) {
              fw(r, t, tlm::END_REQ);
          } },
    };
    for (const Planted &p : planted)
        expect_seen(p);
}
} // namespace
} // namespace iovasim
