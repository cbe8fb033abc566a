// SPDX-License-Identifier: Apache-2.0
//
// The module's manners: parameters, statuses, hostile initiators, quantum, reset,
// interrupts, several instances, waveforms.
#include <cstdio>
#include <cstring>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>
#include <unistd.h>

#include "sim/tlm/platform.hpp"

namespace iovasim
{
namespace
{
constexpr std::uint64_t base  = UINT64_C(0x40000000);
constexpr std::uint64_t there = UINT64_C(0x80000000);

void simple_world(Bench &b)
{
    for (unsigned i = 0; i < 4; i++) // Pages 2 and 3 follow each other in memory, too.
        b.world.map(0, base + i * 4096, there + (i < 2 ? 7 - i : i) * 4096,
                    PT_READ | PT_WRITE);
}

tlm::tlm_response_status status_of(Bench &b, tlm::tlm_generic_payload &t)
{
    b.requester[0]->blocking(t);
    const tlm::tlm_response_status s = t.get_response_status();
    return s;
}

// ---- Parameters

TEST(Parameters, are_set_by_the_names_of_the_command_line)
{
    simulate([] {
        Bench b("riscv-zdl", "riscv", 1);
        EXPECT_EQ(b.iommu.get("iommu.arch"), "riscv");
        EXPECT_EQ(b.iommu.get("iommu.inflight"), "1");
        b.iommu.set("iotlb.sets", "8");
        b.iommu.set_clock_period(sc_core::sc_time(2, sc_core::SC_NS));
        EXPECT_EQ(b.iommu.get("iotlb.sets"), "8");
        EXPECT_EQ(b.iommu.get("iommu.period_ps"), "2000");
        for (const std::string &key : b.iommu.parameters()) {
            const std::string value = b.iommu.get(key);
            b.iommu.set(key, value);
            EXPECT_EQ(b.iommu.get(key), value) << key;
        }
        EXPECT_GT(b.iommu.parameters().size(), 60u);
        EXPECT_GT(b.iommu.statistics().size(), 40u);
        sc_core::sc_start(sc_core::SC_ZERO_TIME);
        EXPECT_EQ(b.iommu.statistic("iotlb.lookup"), 0u);
    });
}

std::string error_of(const std::function<void()> &act)
{
    try {
        act();
    } catch (const sc_core::sc_report &r) {
        EXPECT_STREQ(r.get_msg_type(), report_parameter);
        return r.get_msg();
    }
    return "no error";
}

TEST(Parameters, say_what_is_wrong)
{
    simulate([] {
        Bench b("", "vtd", 1);
        EXPECT_NE(error_of([&] { b.iommu.set("iotlb.sets", "7"); }).find("iotlb.sets"),
                  std::string::npos);
        EXPECT_NE(
            error_of([&] { b.iommu.set("nvme.queues", "1"); }).find("no such parameter"),
            std::string::npos);
        EXPECT_NE(error_of([&] { b.iommu.set_preset("none"); }).find("none"),
                  std::string::npos);
        EXPECT_NE(error_of([&] { b.iommu.set_requester(9, 1); }).find("9"),
                  std::string::npos);
        EXPECT_NE(error_of([&] { b.iommu.get("iotlb.nothing"); }).find("iotlb.nothing"),
                  std::string::npos);
        EXPECT_NE(error_of([&] { b.iommu.statistic("iotlb.lookup"); }).find("before"),
                  std::string::npos);
        sc_core::sc_start(sc_core::SC_ZERO_TIME);
        EXPECT_NE(error_of([&] { b.iommu.set("iotlb.sets", "8"); }).find("before"),
                  std::string::npos);
        EXPECT_NE(error_of([&] { b.iommu.statistic("iotlb.nothing"); }).find("no such"),
                  std::string::npos);
        EXPECT_EQ(b.iommu.get("iotlb.sets"), "16");
    });
}

// ---- Transactions of every shape

TEST(Shapes, pages_byte_enables_and_streaming)
{
    simulate([] {
        Bench b("", "vtd", 1);
        simple_world(b);
        thread([&] {
            b.enable();
            // Over two pages that lie apart in memory, every third byte.
            unsigned char enable[] = { 0xff, 0, 0 };
            auto &w                = b.pool.make(true, base + 4000, 200);
            for (unsigned i = 0; i < 200; i++)
                w.get_data_ptr()[i] = static_cast<unsigned char>(i + 1);
            w.set_byte_enable_ptr(enable);
            w.set_byte_enable_length(3);
            EXPECT_EQ(status_of(b, w), tlm::TLM_OK_RESPONSE);
            EXPECT_EQ(w.get_address(), base + 4000);
            for (unsigned i = 0; i < 200; i++) {
                const std::uint64_t iova = base + 4000 + i;
                unsigned char got;
                memory_read(&b.memory.contents, b.world.find(0, iova)->pa + iova % 4096,
                            &got, 1);
                EXPECT_EQ(got, i % 3 == 0 ? i + 1 : 0u) << i;
            }
            w.release();
            // A stream of 8 bytes stays where it is.
            auto &s = b.pool.make(true, base + 0x10, 32);
            s.set_streaming_width(8);
            s.get_data_ptr()[31] = 0x5a;
            EXPECT_EQ(status_of(b, s), tlm::TLM_OK_RESPONSE);
            unsigned char got;
            memory_read(&b.memory.contents, b.world.find(0, base)->pa + 0x17, &got, 1);
            EXPECT_EQ(got, 0x5a);
            s.release();
            // A stream over two pages: together in memory, and apart.
            auto &j = b.pool.make(false, base + 3 * 4096 - 4, 64);
            j.set_streaming_width(8);
            EXPECT_EQ(status_of(b, j), tlm::TLM_OK_RESPONSE);
            j.release();
            auto &a = b.pool.make(false, base + 4096 - 4, 64);
            a.set_streaming_width(8);
            EXPECT_EQ(status_of(b, a), tlm::TLM_BURST_ERROR_RESPONSE);
            a.release();
            // One page of two is not mapped: nothing is written.
            auto &f             = b.pool.make(true, base + 4 * 4096 - 1, 2);
            f.get_data_ptr()[0] = 0x77;
            EXPECT_EQ(status_of(b, f), tlm::TLM_ADDRESS_ERROR_RESPONSE);
            memory_read(&b.memory.contents, there + 3 * 4096 + 4095, &got, 1);
            EXPECT_EQ(got, 0);
            f.release();
            EXPECT_EQ(b.iommu.statistic("iommu.translation_faulted"), 1u);
        });
        sc_core::sc_start();
        b.expect_clean();
    });
}

// ---- Before anything has begun

// What others ask while they are put together finds no IOMMU yet.
TEST(Early, debug_and_direct_pointers_are_refused)
{
    simulate([] {
        struct Early : sc_core::sc_module {
            explicit Early(const sc_core::sc_module_name &name) : sc_module(name)
            {
            }
            void end_of_elaboration() override
            {
                tlm::tlm_dmi dmi;
                auto &t = bench->pool.make(false, base, 8);
                auto &r = bench->pool.make(false, 0, 8);
                EXPECT_EQ(bench->requester[0]->socket->transport_dbg(t), 0u);
                EXPECT_FALSE(bench->requester[0]->socket->get_direct_mem_ptr(t, dmi));
                EXPECT_EQ(bench->cpu.socket->transport_dbg(r), 0u);
                t.release();
                r.release();
                asked = true;
            }
            Bench *bench = nullptr;
            bool asked   = false;
        } early("early"); // Made first, it is told first.
        Bench b("", "vtd", 1);
        early.bench = &b;
        sc_core::sc_start(sc_core::SC_ZERO_TIME);
        EXPECT_TRUE(early.asked);
        b.expect_clean();
    });
}

// ---- Whoever sends nonsense is answered

void nonsense(tlm::tlm_generic_payload &t, std::mt19937 &random)
{
    static unsigned char enable[4] = { 0xff, 0, 0xff, 0xff };
    const auto any                 = [&random] { return static_cast<unsigned>(random()); };
    if (any() % 3 == 0)
        t.set_address(UINT64_MAX - any() % 8000);
    if (any() % 5 == 0)
        t.set_command(static_cast<tlm::tlm_command>(any() % 4));
    if (any() % 5 == 0)
        t.set_streaming_width(any() % 3 ? any() % 4 : any());
    if (any() % 5 == 0) {
        t.set_byte_enable_ptr(enable);
        t.set_byte_enable_length(any() % 5);
        if (t.get_byte_enable_length() > 4)
            t.set_byte_enable_length(4);
    }
    if (any() % 10 == 0)
        t.set_data_length(0);
    if (auto *e = t.get_extension<Request>()) {
        e->requester  = any() % 2 ? any() : 0;
        e->has_pasid  = any() % 2;
        e->pasid      = any() >> any() % 32;
        e->privileged = any() % 2;
        e->execute    = any() % 2;
    }
    delete t.get_extension<Ats>();
    t.clear_extension<Ats>();
    if (any() % 2 == 0)
        return;
    auto *ats     = new Ats;
    ats->type     = static_cast<Ats::Type>(any() % 4); // Two of them there are.
    ats->no_write = any() % 2;
    ats->status   = static_cast<Ats::Status>(any());
    ats->bytes    = any();
    t.set_extension(ats);
    if (any() % 2)
        t.set_command(tlm::TLM_IGNORE_COMMAND);
}

class Hostile : public testing::TestWithParam<const char *>
{
};

TEST_P(Hostile, initiators_do_not_crash_the_platform)
{
    const std::string arch = GetParam();
    simulate([&arch] {
        sc_core::sc_report_handler::set_actions(report_protocol, sc_core::SC_DO_NOTHING);
        sc_core::sc_report_handler::set_actions(report_memory, sc_core::SC_DO_NOTHING);
        Bench b("", arch, 2, arch == "riscv" ? 2 : 0);
        unsigned answered = 0;
        thread([&] {
            std::mt19937 random(1);
            b.enable();
            simple_world(b);
            for (unsigned i = 0; i < 4000; i++) {
                auto &t = b.pool.make(random() % 2, base + random() % 32768,
                                      1 + static_cast<unsigned>(random() % 9000));
                nonsense(t, random);
                sc_core::sc_time delay(random() % 4, sc_core::SC_NS);
                tlm::tlm_dmi dmi;
                tlm::tlm_phase phase =
                    random() % 3
                        ? tlm::tlm_phase(tlm::BEGIN_REQ)
                        : tlm::tlm_phase(random() % 2 ? tlm::END_RESP : tlm::END_REQ);
                auto &socket = b.checker[random() % 2]->out; // Behind the checker.
                switch (random() % 5) {
                case 0:
                    socket->get_direct_mem_ptr(t, dmi);
                    t.release();
                    break;
                case 1:
                    if (t.get_data_length() < 10000)
                        socket->transport_dbg(t);
                    t.release();
                    break;
                case 2: // Nobody ever ends its response: its reference stays.
                    answered +=
                        socket->nb_transport_fw(t, phase, delay) == tlm::TLM_COMPLETED;
                    break;
                default:
                    socket->b_transport(t, delay);
                    EXPECT_NE(t.get_response_status(), tlm::TLM_INCOMPLETE_RESPONSE);
                    answered++;
                    t.release();
                }
            }
        });
        sc_core::sc_start();
        EXPECT_GT(answered, 2000u);
    });
}

TEST_P(Hostile, drivers_do_not_crash_the_platform)
{
    const std::string arch = GetParam();
    simulate([&arch] {
        sc_core::sc_report_handler::set_actions(report_protocol, sc_core::SC_DO_NOTHING);
        sc_core::sc_report_handler::set_actions(report_memory, sc_core::SC_DO_NOTHING);
        Bench b("", arch, 1, 0);
        b.memory.last = UINT64_C(0x4000000); // Most tables will lie nowhere.
        thread([&] {
            std::mt19937 random(2);
            const auto any = [&random] { return static_cast<unsigned>(random()); };
            for (unsigned round = 0; round < 3000; round++) {
                if (round % 500 == 0)
                    b.enable();
                const unsigned bytes = any() % 9 ? 4u << any() % 2 : any() % 20 + 1;
                auto &t              = b.pool.make(any() % 4 != 0,
                                      any() % 3 ? any() % 0x100 : any() % 0x1100, bytes);
                for (unsigned k = 0; k < bytes; k++)
                    t.get_data_ptr()[k] =
                        static_cast<unsigned char>(any() % 3 == 0 ? any()
                                                   : any() % 2    ? 0
                                                                  : 1u << any() % 8);
                nonsense(t, random);
                if (any() % 4)
                    t.set_address(t.get_address() & 0xffc);
                if (any() % 3)
                    b.cpu.blocking(t);
                else
                    b.cpu.socket->transport_dbg(t);
                t.release();
                for (unsigned k = 0; k < 8; k++) // Tables and queues of random bits.
                    memory_write64(&b.memory.contents, any() % 0x8000000 & ~7u,
                                   (std::uint64_t{ any() } << 32 | any()) >> any() % 64);
                auto &d = b.pool.make(any() % 2, any() % 0x10000, 64);
                d.get_extension<Request>()->requester = any() % 3;
                b.requester[0]->blocking(d);
                d.release();
            }
        });
        sc_core::sc_start();
        EXPECT_EQ(b.pool.out, 0u);
    });
}

INSTANTIATE_TEST_SUITE_P(Of, Hostile, testing::Values("vtd", "riscv"));

// What stands where a device's TLB should be: it answers Invalidate Requests as it likes.
class Rude : public sc_core::sc_module, public tlm::tlm_fw_transport_if<>
{
  public:
    Rude(const sc_core::sc_module_name &name, bool accepts, unsigned seed)
        : sc_module(name), socket("socket"), accepts_(accepts), random_(seed)
    {
        socket.bind(*this);
    }
    tlm::tlm_sync_enum nb_transport_fw(tlm::tlm_generic_payload &t, tlm::tlm_phase &phase,
                                       sc_core::sc_time &delay) override
    {
        if (phase != tlm::BEGIN_REQ)
            return static_cast<tlm::tlm_sync_enum>(random_() % 3);
        told++;
        t.set_response_status(polite || random_() % 3 ? tlm::TLM_OK_RESPONSE
                              : random_() % 2         ? tlm::TLM_INCOMPLETE_RESPONSE
                                                      : tlm::TLM_COMMAND_ERROR_RESPONSE);
        if (polite || random_() % 2)
            scribble(*t.get_extension<Invalidation>()); // It is its to read only.
        if (polite)
            return tlm::TLM_COMPLETED;
        delay = accepts_ || random_() % 20
                    ? sc_core::sc_time(random_() % 40000, sc_core::SC_NS)
                    : sc_core::sc_max_time();
        switch (random_() % 5) {
        case 0:
            return tlm::TLM_COMPLETED;
        case 1:
            phase = tlm::BEGIN_RESP;
            return tlm::TLM_UPDATED;
        case 2: // Not at all.
            break;
        default:
            thread([this, &t] { later(t); });
        }
        phase = tlm::END_REQ;
        return accepts_ || random_() % 8 ? tlm::TLM_UPDATED : tlm::TLM_ACCEPTED;
    }
    void b_transport(tlm::tlm_generic_payload &, sc_core::sc_time &) override
    {
    }
    bool get_direct_mem_ptr(tlm::tlm_generic_payload &, tlm::tlm_dmi &) override
    {
        return false;
    }
    unsigned transport_dbg(tlm::tlm_generic_payload &) override
    {
        return 0;
    }
    bool polite   = false;
    unsigned told = 0;
    tlm::tlm_target_socket<> socket;

  private:
    void scribble(Invalidation &i)
    {
        i.tag       = static_cast<std::uint32_t>(random_());
        i.requester = static_cast<std::uint32_t>(random_());
        i.first     = random_();
    }
    // A few phases, not all of which are its turn.
    void later(tlm::tlm_generic_payload &t)
    {
        for (unsigned i = 0; i < 1 + random_() % 3; i++) {
            tlm::tlm_phase phase = random_() % 3 ? tlm::tlm_phase(tlm::BEGIN_RESP)
                                                 : tlm::tlm_phase(tlm::END_REQ);
            sc_core::wait(sc_core::sc_time(random_() % 30000, sc_core::SC_NS));
            sc_core::sc_time delay(random_() % 9, sc_core::SC_NS);
            socket->nb_transport_bw(t, phase, delay);
        }
    }
    bool accepts_;
    std::mt19937 random_;
};

class HostileDevices : public testing::TestWithParam<unsigned>
{
};

// Translated requests, translation requests and answers to Invalidate Requests as they
// come; in the end a device with manners is served as ever.
TEST_P(HostileDevices, do_not_crash_or_stop_the_platform)
{
    simulate([] {
        sc_core::sc_report_handler::set_actions(report_protocol, sc_core::SC_DO_NOTHING);
        Bench b("vtd-ats", "vtd", 2, GetParam());
        Rude zero("zero", true, 5), one("one", false, 6);
        b.iommu.set("invq.device_timeout_us", "20");
        b.iommu.device_tlb[0].bind(zero.socket);
        b.iommu.device_tlb[1].bind(one.socket);
        for (unsigned i = 0; i < 2; i++)
            b.world.map(i, base, there, PT_READ | PT_WRITE);
        unsigned told = 0, answered = 0;
        const auto who = [](unsigned device) {
            Request r;
            r.requester = device;
            r.has_pasid = GetParam() == World::vtd_pasid;
            r.pasid     = World::pasid(device);
            return r;
        };
        // As a driver does after time-outs: until every command has been carried out.
        const auto heal = [&b] {
            const unsigned errors = VTD_FSTS_ITE | VTD_FSTS_ICE | VTD_FSTS_IQE;
            for (unsigned n = 0; n < 100; n++) {
                b.write_register({ VTD_FSTS, errors, 4 });
                sc_core::wait(25, sc_core::SC_US);
                if (b.read_register(VTD_IQH, 8) == b.read_register(VTD_IQT, 8))
                    break;
            }
            b.write_register({ VTD_FSTS, errors, 4 });
        };
        thread([&] {
            std::mt19937 random(GetParam());
            b.enable();
            for (unsigned i = 0; i < 3000; i++) {
                if (i % 10 == 0) {
                    if (random() % 4 == 0)
                        heal();
                    b.write_register(b.world.invalidate(
                        random() % 2, base + random() % 8 * 4096, random() % 4 == 0));
                }
                auto &t = b.pool.make(random() % 2, base + random() % 32768,
                                      1 + static_cast<unsigned>(random() % 300));
                nonsense(t, random);
                if (random() % 2)
                    *t.get_extension<Request>() = who(random() % 2);
                sc_core::sc_time delay(random() % 400, sc_core::SC_NS);
                b.checker[random() % 2]->out->b_transport(t, delay);
                EXPECT_NE(t.get_response_status(), tlm::TLM_INCOMPLETE_RESPONSE);
                const Ats *ats = t.get_extension<Ats>();
                told += ats != nullptr && ats->status == Ats::Status::success;
                sc_core::wait(delay);
                t.release();
            }
            zero.polite = true;
            sc_core::wait(1, sc_core::SC_MS); // All of before is overdue.
            heal();
            // Others have asked in its name: this is where it is.
            auto &t = b.pool.make(false, base, 8);
            t.set_command(tlm::TLM_IGNORE_COMMAND);
            *t.get_extension<Request>() = who(0);
            delete t.get_extension<Ats>();
            t.set_extension(new Ats);
            t.get_extension<Ats>()->type = Ats::Type::translation;
            b.requester[0]->blocking(t);
            EXPECT_EQ(t.get_extension<Ats>()->address, there);
            t.release();
            b.world.unmap(0, base);
            b.write_register(b.world.invalidate(0, base, false));
            for (unsigned n = 0; !b.world.waited() && n < 1000; n++)
                sc_core::wait(100, sc_core::SC_NS);
            EXPECT_TRUE(b.world.waited());
            EXPECT_EQ(b.read_register(VTD_FSTS, 4) & (VTD_FSTS_ITE | VTD_FSTS_IQE), 0u);
            answered = 1;
        });
        sc_core::sc_start(1, sc_core::SC_SEC);
        EXPECT_EQ(answered, 1u);
        EXPECT_GT(told, 30u);
        EXPECT_GT(zero.told, 20u);
        EXPECT_GT(b.iommu.statistic("iommu.device_late"), 5u);
    });
}

INSTANTIATE_TEST_SUITE_P(Of, HostileDevices,
                         testing::Values(unsigned{ World::vtd_ats },
                                         unsigned{ World::vtd_pasid }));

// ---- Time

// The time that 200 accesses take from a single initiator.
sc_core::sc_time accesses(Bench &b, const sc_core::sc_time &q)
{
    b.enable();
    sc_core::wait(1, sc_core::SC_US);
    sc_core::sc_time delay       = sc_core::SC_ZERO_TIME;
    const sc_core::sc_time begun = sc_core::sc_time_stamp();
    for (unsigned i = 0; i < 200; i++) {
        auto &t                       = b.pool.make(i % 2, base + i % 4 * 4096, 64);
        const sc_core::sc_time stood  = sc_core::sc_time_stamp();
        const sc_core::sc_time before = stood + delay;
        const sc_core::sc_time room =
            tlm::tlm_global_quantum::instance().compute_local_quantum();
        b.requester[0]->socket->b_transport(t, delay);
        EXPECT_TRUE(t.is_response_ok());
        EXPECT_GE(sc_core::sc_time_stamp() + delay, before);
        // A hit that ends before the quantum does, does not wait; beyond it, it must.
        if (i > 8 && before + sc_core::sc_time(10, sc_core::SC_NS) <= stood + room) {
            EXPECT_EQ(sc_core::sc_time_stamp(), stood);
        }
        if (before > stood + room) {
            EXPECT_GE(sc_core::sc_time_stamp(), before);
        }
        t.release();
        if (delay >= q) {
            sc_core::wait(delay);
            delay = sc_core::SC_ZERO_TIME;
        }
    }
    sc_core::wait(delay);
    return sc_core::sc_time_stamp() - begun;
}

// Alone on a platform the decoupled time is the exact one.
TEST(Quantum, is_respected_and_exact_for_one_initiator)
{
    for (const unsigned quantum : { 0u, 100u, 1000u, 100000u })
        simulate([quantum] {
            Bench b("", "vtd", 1);
            simple_world(b);
            const sc_core::sc_time q(quantum, sc_core::SC_NS);
            tlm::tlm_global_quantum::instance().set(q);
            thread([&] {
                EXPECT_EQ(accesses(b, q), sc_core::sc_time(11588, sc_core::SC_NS));
            });
            sc_core::sc_start();
            b.expect_clean();
        });
}

// Who is far ahead waits; others are not taken along.
TEST(Quantum, does_not_let_anyone_run_far_ahead)
{
    simulate([] {
        Bench b("", "vtd", 2);
        simple_world(b);
        b.world.map(1, base, there, PT_READ);
        tlm::tlm_global_quantum::instance().set(sc_core::sc_time(1, sc_core::SC_US));
        bool late = false;
        thread([&] {
            b.enable();
            auto &t                = b.pool.make(false, VTD_GSTS, 4);
            sc_core::sc_time delay = sc_core::sc_time(1, sc_core::SC_SEC);
            b.cpu.socket->b_transport(t, delay);
            EXPECT_GE(sc_core::sc_time_stamp() + delay,
                      sc_core::sc_time(1, sc_core::SC_SEC));
            t.release();
        });
        thread([&] {
            auto &t                = b.pool.make(false, base, 64);
            sc_core::sc_time delay = sc_core::sc_max_time();
            sc_core::wait(3, sc_core::SC_US);
            b.requester[0]->socket->b_transport(t, delay);
            late = true; // At the end of time.
        });
        thread([&] {
            sc_core::wait(5, sc_core::SC_US);
            auto &t                               = b.pool.make(false, base, 64);
            t.get_extension<Request>()->requester = 1;
            b.requester[1]->blocking(t);
            EXPECT_TRUE(t.is_response_ok());
            EXPECT_LT(sc_core::sc_time_stamp(), sc_core::sc_time(8, sc_core::SC_US));
            t.release();
        });
        sc_core::sc_start(2, sc_core::SC_SEC);
        EXPECT_FALSE(late);
        EXPECT_EQ(b.pool.out, 1u);
    });
}

// ---- Reset and interrupts

TEST(Reset, forgets_everything_and_answers_what_was_under_way)
{
    simulate([] {
        sc_core::sc_signal<bool, sc_core::SC_MANY_WRITERS> line("line");
        Bench b("", "riscv", 1);
        b.iommu.reset.bind(line);
        simple_world(b);
        unsigned errors = 0;
        thread([&] {
            b.enable();
            for (unsigned i = 0; i < 3; i++) {
                auto &t = b.pool.make(false, base + i * 4096, 64);
                b.requester[0]->blocking(t);
                errors += t.get_response_status() == tlm::TLM_GENERIC_ERROR_RESPONSE;
                EXPECT_TRUE(i > 0 || t.is_response_ok());
                t.release();
            }
            line.write(false);
            sc_core::wait(1, sc_core::SC_US);
            EXPECT_EQ(b.read_register(RISCV_DDTP, 8), 0u);
            EXPECT_EQ(b.iommu.statistic("iommu.translation"), 0u);
            b.enable();
            auto &t = b.pool.make(false, base, 64);
            EXPECT_EQ(status_of(b, t), tlm::TLM_OK_RESPONSE);
            t.release();
        });
        thread([&] {
            sc_core::wait(400, sc_core::SC_NS); // In the second translation.
            line.write(true);
        });
        sc_core::sc_start();
        EXPECT_EQ(errors, 2u);
        b.expect_clean();
    });
}

// One is being translated, and another's request is held back, when reset comes: the held
// one must not be taken by the new core, which is off and would let its address pass.
TEST(Reset, answers_a_request_that_was_held_back)
{
    for (const bool short_pulse : { false, true })
        simulate([short_pulse] {
            sc_core::sc_signal<bool> line("line");
            Bench b("", "vtd", 1);
            b.iommu.reset.bind(line);
            b.iommu.set("tlm.outstanding", "1");
            simple_world(b);
            unsigned passed = 0, errors = 0;
            b.memory.watch = [&passed](const tlm::tlm_generic_payload &t) {
                passed += (t.get_address() & ~UINT64_C(0xffff)) == base;
            };
            tlm::tlm_generic_payload *response = nullptr;
            sc_core::sc_event answered;
            b.requester[0]->responded = [&](tlm::tlm_generic_payload &t) {
                errors += t.get_response_status() == tlm::TLM_GENERIC_ERROR_RESPONSE;
                response = &t;
                answered.notify(sc_core::SC_ZERO_TIME);
            };
            thread([&] {
                b.enable();
                for (unsigned i = 0; i < 2; i++) {
                    tlm::tlm_phase phase   = tlm::BEGIN_REQ;
                    sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
                    b.requester[0]->socket->nb_transport_fw(
                        b.pool.make(false, base + i * 4096, 64), phase, delay);
                    sc_core::wait(10, sc_core::SC_NS);
                }
                line.write(true);
                if (short_pulse) {
                    sc_core::wait(sc_core::SC_ZERO_TIME);
                    line.write(false);
                }
                for (unsigned i = 0; i < 2; i++) {
                    if (response == nullptr)
                        sc_core::wait(sc_core::sc_time(1, sc_core::SC_US), answered);
                    if (response == nullptr)
                        break;
                    tlm::tlm_generic_payload &t = *response;
                    tlm::tlm_phase phase        = tlm::END_RESP;
                    sc_core::sc_time delay      = sc_core::SC_ZERO_TIME;
                    response                    = nullptr;
                    b.requester[0]->socket->nb_transport_fw(t, phase, delay);
                    t.release();
                }
            });
            sc_core::sc_start();
            EXPECT_EQ(errors, 2u);
            EXPECT_EQ(passed, 0u);
            b.expect_clean();
        });
}

// The last value of a signal in a waveform; 0 where it has never changed.
std::uint64_t last_value(const std::string &vcd, const std::string &name)
{
    std::ifstream in(vcd);
    std::string line, id, word;
    std::uint64_t value = 0;
    while (std::getline(in, line)) {
        std::istringstream words(line);
        std::vector<std::string> w;
        while (words >> word)
            w.push_back(word);
        if (w.size() > 4 && w[0] == "$var" && w[4] == name)
            id = w[3];
        else if (w.size() == 2 && w[1] == id && w[0][0] == 'b')
            value = std::stoull(w[0].substr(1), nullptr, 2);
    }
    EXPECT_FALSE(id.empty()) << name;
    return value;
}

TEST(Reset, ends_what_the_waveform_shows_as_under_way)
{
    simulate([] {
        sc_core::sc_signal<bool> line("line");
        Bench b("", "vtd", 1);
        b.iommu.reset.bind(line);
        simple_world(b);
        const std::string vcd        = "/tmp/iovasim_tlm_" + std::to_string(getpid());
        sc_core::sc_trace_file *file = sc_core::sc_create_vcd_trace_file(vcd.c_str());
        file->set_time_unit(1, sc_core::SC_PS);
        b.iommu.trace(file);
        thread([&] {
            b.enable();
            auto &t = b.pool.make(false, base, 64);
            EXPECT_EQ(status_of(b, t), tlm::TLM_GENERIC_ERROR_RESPONSE);
            t.release();
            sc_core::wait(1, sc_core::SC_NS);
        });
        thread([&] {
            sc_core::wait(150, sc_core::SC_NS);
            line.write(true);
        });
        sc_core::sc_start();
        sc_core::sc_close_vcd_trace_file(file);
        EXPECT_EQ(last_value(vcd + ".vcd", "requests"), 1u);
        EXPECT_EQ(last_value(vcd + ".vcd", "responses"), 1u);
        EXPECT_EQ(last_value(vcd + ".vcd", "under_way"), 0u);
        std::remove((vcd + ".vcd").c_str());
    });
}

// A register access of a time that is still to come, when reset comes first.
TEST(Reset, answers_a_register_access_that_has_waited)
{
    simulate([] {
        sc_core::sc_signal<bool, sc_core::SC_MANY_WRITERS> line("line");
        Bench b("", "riscv", 1);
        b.iommu.reset.bind(line);
        thread([&] {
            auto &t                = b.pool.make(true, RISCV_DDTP, 8);
            sc_core::sc_time delay = sc_core::sc_time(1, sc_core::SC_US);
            t.get_data_ptr()[0]    = RISCV_DDTP_BARE;
            b.cpu.socket->b_transport(t, delay);
            EXPECT_EQ(t.get_response_status(), tlm::TLM_GENERIC_ERROR_RESPONSE);
            t.release();
            line.write(false);
            sc_core::wait(1, sc_core::SC_NS);
            EXPECT_EQ(b.read_register(RISCV_DDTP, 8), 0u);
        });
        thread([&] {
            sc_core::wait(500, sc_core::SC_NS);
            line.write(true);
        });
        sc_core::sc_start();
        EXPECT_EQ(b.pool.out, 0u);
    });
}

// A read that faults: its record makes an interrupt pend.
void fault(Bench &b)
{
    auto &t = b.pool.make(false, 0x1000, 8); // Not mapped.
    EXPECT_EQ(status_of(b, t), tlm::TLM_ADDRESS_ERROR_RESPONSE);
    t.release();
    sc_core::wait(1, sc_core::SC_US);
}

TEST(Interrupts, by_message_and_by_wire)
{
    simulate([] {
        sc_core::sc_signal<bool> wire("wire");
        Bench b("", "riscv", 1);
        b.iommu.set("riscv.wired_interrupts", "1");
        b.iommu.interrupt[2].bind(wire);
        simple_world(b);
        thread([&] {
            b.enable();
            const std::uint64_t address = UINT64_C(0x2000000);
            b.write_register({ RISCV_ICVEC, 2 << 4 * RISCV_FIP, 8 });
            b.write_register({ RISCV_FQCSR, RISCV_QUEUE_ENABLE | RISCV_QUEUE_IE, 4 });
            b.write_register({ RISCV_MSI_CFG + 32, address, 8 });
            b.write_register({ RISCV_MSI_CFG + 40, 0x55, 4 });
            b.write_register({ RISCV_MSI_CFG + 44, 0, 4 });
            fault(b);
            EXPECT_EQ(memory_read32(&b.memory.contents, address), 0x55u);
            EXPECT_FALSE(wire.read());
            b.write_register({ RISCV_IPSR, 0xf, 4 });
            memory_write32(&b.memory.contents, address, 0);
            b.write_register({ RISCV_FCTL, RISCV_FCTL_WSI, 4 });
            for (unsigned i = 0; i < 3; i++) {
                fault(b);
                EXPECT_TRUE(wire.read());
                sc_core::wait(50, sc_core::SC_US); // For as long as it pends.
                EXPECT_TRUE(wire.read());
                b.write_register({ RISCV_IPSR, 1 << RISCV_CIP, 4 });
                sc_core::wait(1, sc_core::SC_NS);
                EXPECT_TRUE(wire.read());
                b.write_register({ RISCV_IPSR, 1 << RISCV_FIP, 4 });
                sc_core::wait(1, sc_core::SC_NS);
                EXPECT_FALSE(wire.read());
            }
            EXPECT_EQ(memory_read32(&b.memory.contents, address), 0u);
        });
        sc_core::sc_start();
        b.expect_clean();
    });
}

TEST(Interrupts, wires_fall_at_reset)
{
    simulate([] {
        sc_core::sc_signal<bool> wire("wire"), line("line");
        Bench b("", "riscv", 1);
        b.iommu.interrupt[0].bind(wire);
        b.iommu.reset.bind(line);
        thread([&] {
            for (unsigned i = 0; i < 2; i++) {
                b.enable();
                b.write_register({ RISCV_FCTL, RISCV_FCTL_WSI, 4 });
                b.write_register({ RISCV_FQCSR, RISCV_QUEUE_ENABLE | RISCV_QUEUE_IE, 4 });
                fault(b);
                EXPECT_TRUE(wire.read());
                line.write(true);
                sc_core::wait(1, sc_core::SC_NS);
                EXPECT_FALSE(wire.read());
                line.write(false);
                sc_core::wait(1, sc_core::SC_NS);
            }
        });
        sc_core::sc_start();
        b.expect_clean();
    });
}

// VT-d: interrupts of devices are not translated, whatever the tables say.
TEST(Interrupts, of_devices_pass)
{
    simulate([] {
        Bench b("", "vtd", 1);
        simple_world(b);
        thread([&] {
            b.enable();
            auto &t             = b.pool.make(true, 0xfee01000, 4);
            t.get_data_ptr()[0] = 0x41;
            EXPECT_EQ(status_of(b, t), tlm::TLM_OK_RESPONSE);
            t.release();
            EXPECT_EQ(memory_read32(&b.memory.contents, 0xfee01000), 0x41u);
            auto &r = b.pool.make(false, 0xfee01000, 4);
            EXPECT_EQ(status_of(b, r), tlm::TLM_ADDRESS_ERROR_RESPONSE);
            r.release();
        });
        sc_core::sc_start();
        b.expect_clean();
    });
}

// ---- Several, and what they show

TEST(Instances, do_not_know_of_each_other)
{
    simulate([] {
        struct Alone {
            explicit Alone(const char *name, const char *arch)
                : memory(sc_core::sc_gen_unique_name("memory"), 2),
                  world(memory.contents, arch, 0, 1), iommu(name),
                  requester(sc_core::sc_gen_unique_name("requester")),
                  cpu(sc_core::sc_gen_unique_name("cpu"))
            {
                iommu.set("iommu.arch", arch);
                iommu.set("riscv.msi_flat", "0");
                requester.socket.bind(iommu.upstream[0]);
                iommu.memory.bind(memory.port[0]->socket);
                iommu.tables.bind(memory.port[1]->socket);
                cpu.socket.bind(iommu.registers);
            }
            TestMemory memory;
            World world;
            Iommu iommu;
            Requester requester, cpu;
            TestPool pool;
        } one("one", "vtd"), two("two", "riscv");
        const std::string vcd        = "/tmp/iovasim_tlm_" + std::to_string(getpid());
        sc_core::sc_trace_file *file = sc_core::sc_create_vcd_trace_file(vcd.c_str());
        one.iommu.trace(file);
        two.iommu.trace(file);
        one.world.map(0, base, there, PT_READ | PT_WRITE);
        two.world.map(0, base, there + 4096, PT_READ | PT_WRITE);
        for (Alone *a : { &one, &two })
            thread([a, &one] {
                for (const World::Write &w : a->world.enable()) {
                    auto &t = a->pool.make(true, w.offset, w.bytes);
                    std::memcpy(t.get_data_ptr(), &w.value, w.bytes);
                    a->cpu.blocking(t);
                    t.release();
                }
                auto &t             = a->pool.make(true, base, 4);
                t.get_data_ptr()[0] = a == &one ? 1 : 2;
                a->requester.blocking(t);
                EXPECT_TRUE(t.is_response_ok());
                t.release();
            });
        sc_core::sc_start();
        sc_core::sc_close_vcd_trace_file(file);
        EXPECT_EQ(memory_read32(&one.memory.contents, there), 1u);
        EXPECT_EQ(memory_read32(&two.memory.contents, there + 4096), 2u);
        std::ifstream in(vcd + ".vcd");
        std::stringstream text;
        text << in.rdbuf();
        EXPECT_NE(text.str().find("pa"), std::string::npos);
        // The translated address of each, as a binary value change.
        EXPECT_NE(text.str().find("b10000000000000000000000000000000 "), std::string::npos);
        EXPECT_NE(text.str().find("b10000000000000000001000000000000 "), std::string::npos);
        std::remove((vcd + ".vcd").c_str());
    });
}
} // namespace
} // namespace iovasim
