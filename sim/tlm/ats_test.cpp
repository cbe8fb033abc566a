// SPDX-License-Identifier: Apache-2.0
//
// Devices with TLBs of their own: what they are told, and that nothing stale is used once
// software has waited for them.
#include <gtest/gtest.h>
#include <list>
#include <tlm_utils/simple_target_socket.h>
#include <unistd.h>

#include "sim/tlm/platform.hpp"

namespace iovasim
{
namespace
{
constexpr std::uint64_t base  = UINT64_C(0x40000000);
constexpr std::uint64_t there = UINT64_C(0x80000000);

using Status = Ats::Status;

// A device's transactions, and the TLB that it keeps. One for each port of a bench.
class Device : public sc_core::sc_module
{
  public:
    Device(const sc_core::sc_module_name &name, Bench &b, unsigned n, bool with_pasid)
        : sc_module(name), bench(b), number(n), pasid(with_pasid), socket("socket"),
          check("check"), random(n + 3)
    {
        b.iommu.device_tlb[n].bind(check.in);
        check.out.bind(socket);
        socket.register_b_transport(this, &Device::invalidate);
    }

    // A payload with the extensions that say who asks.
    tlm::tlm_generic_payload &make(bool write, std::uint64_t address, unsigned bytes,
                                   Ats::Type type)
    {
        tlm::tlm_generic_payload &t = bench.pool.make(write, address, bytes);
        Request &r                  = *t.get_extension<Request>();
        r.requester                 = number;
        r.has_pasid                 = pasid && type == Ats::Type::translation;
        r.pasid                     = World::pasid(number);
        if (t.get_extension<Ats>() == nullptr)
            t.set_extension(new Ats);
        *t.get_extension<Ats>()      = Ats();
        t.get_extension<Ats>()->type = type;
        if (type == Ats::Type::translation)
            t.set_command(tlm::TLM_IGNORE_COMMAND);
        return t;
    }
    void carry(tlm::tlm_generic_payload &t)
    {
        if (blocking)
            bench.requester[number]->blocking(t);
        else
            bench.requester[number]->non_blocking(t);
    }
    // What a translation request is answered.
    Ats ask(std::uint64_t iova, bool no_write = false)
    {
        tlm::tlm_generic_payload &t      = make(false, iova, 8, Ats::Type::translation);
        t.get_extension<Ats>()->no_write = no_write;
        carry(t);
        const Ats answer = *t.get_extension<Ats>();
        EXPECT_EQ(t.get_address(), iova);
        EXPECT_EQ(t.is_response_ok(), answer.status == Status::success);
        t.release();
        return answer;
    }
    // By its own TLB; false: there was no right.
    bool access(std::uint64_t iova, bool write)
    {
        for (;;) {
            const Entry *e = find(iova, write);
            if (e == nullptr) {
                asking.push_back({ iova & ~UINT64_C(0xfff), false });
                const auto mine = std::prev(asking.end());
                const Ats a     = ask(iova);
                const bool late = mine->second;
                asking.erase(mine);
                if (late)
                    continue; // An invalidation has overtaken it.
                if (!(write ? a.write : a.read))
                    return false;
                tlb.push_back(
                    { iova & ~(a.bytes - 1), a.bytes, a.address, a.read, a.write });
                asked++;
                continue;
            }
            Flight f{ e->first, e->first + (e->bytes - 1), write };
            tlm::tlm_generic_payload &t =
                make(write, e->pa + (iova - e->first), 64, Ats::Type::translated);
            const auto mine = flight.insert(flight.end(), f);
            carry(t);
            flight.erase(mine);
            over.notify();
            EXPECT_TRUE(t.is_response_ok());
            t.release();
            return true;
        }
    }

    struct Entry {
        std::uint64_t first, bytes, pa;
        bool read, write;
    };
    struct Flight {
        std::uint64_t first, last;
        bool write;
    };
    Bench &bench;
    unsigned number;
    bool pasid, blocking = true;
    bool keeps = false, answers = true, refuses = false;
    unsigned asked = 0, told = 0;
    sc_core::sc_time slow;     // Before an invalidation is answered,
    sc_core::sc_time answered; // and when the last one was.
    Invalidation last;
    tlm_utils::simple_target_socket<Device> socket;
    Checker check;
    std::mt19937 random;
    std::list<Entry> tlb;
    std::list<Flight> flight;
    std::list<std::pair<std::uint64_t, bool>> asking;
    sc_core::sc_event over;

  private:
    const Entry *find(std::uint64_t iova, bool write) const
    {
        for (const Entry &e : tlb)
            if (iova - e.first < e.bytes && (write ? e.write : e.read))
                return &e;
        return nullptr;
    }
    bool reads(const Invalidation &i) const
    {
        for (const Flight &f : flight)
            if (!f.write && f.first <= i.last && i.first <= f.last)
                return true;
        return false;
    }
    // Writes under way are the IOMMU's to wait for.
    void invalidate(tlm::tlm_generic_payload &t, sc_core::sc_time &)
    {
        const Invalidation i = *t.get_extension<Invalidation>();
        EXPECT_EQ(t.get_command(), tlm::TLM_IGNORE_COMMAND);
        EXPECT_EQ(t.get_address(), i.first);
        EXPECT_EQ(i.requester, number);
        EXPECT_EQ(i.has_pasid, pasid);
        EXPECT_TRUE(!pasid || i.pasid == World::pasid(number));
        last = i;
        told++;
        if (!answers)
            sc_core::wait(never);
        if (!keeps) {
            tlb.remove_if([&i](const Entry &e) {
                return e.first <= i.last && i.first <= e.first + (e.bytes - 1);
            });
            for (auto &a : asking)
                a.second |= a.first <= i.last && i.first <= (a.first | 0x1fffff);
        }
        while (!keeps && reads(i))
            sc_core::wait(over);
        sc_core::wait(slow);
        answered = sc_core::sc_time_stamp();
        t.set_response_status(refuses ? tlm::TLM_GENERIC_ERROR_RESPONSE
                                      : tlm::TLM_OK_RESPONSE);
    }
    sc_core::sc_event never;
};

void wait_for_software(Bench &b)
{
    for (unsigned n = 0; !b.world.waited() && n < 100000; n++)
        sc_core::wait(20, sc_core::SC_NS);
    EXPECT_TRUE(b.world.waited());
}

// ---- What a device is told

class Told : public testing::TestWithParam<bool>
{
};

TEST_P(Told, sizes_and_rights)
{
    simulate([] {
        Bench b("vtd-ats", "vtd", 1, World::vtd_ats);
        Device d("device", b, 0, false);
        d.blocking = GetParam();
        b.world.map(0, base, there, PT_READ | PT_WRITE);
        b.world.map(0, base + 4096, there + 8192, PT_READ);
        b.world.map_large(0, base + (1 << 21), there + (1 << 21), PT_READ | PT_WRITE);
        thread([&] {
            EXPECT_EQ(d.ask(base).status, Status::unsupported_request); // Not yet on.
            b.enable();
            for (unsigned i = 0; i < 2; i++) { // From the tables, and from the IOTLB.
                const Ats a = d.ask(base + 0x123);
                EXPECT_EQ(a.status, Status::success);
                EXPECT_EQ(a.address, there);
                EXPECT_EQ(a.bytes, 4096u);
                EXPECT_TRUE(a.read && a.write);
                const Ats r = d.ask(base, true);
                EXPECT_TRUE(r.read && !r.write);
                const Ats o = d.ask(base + 4096);
                EXPECT_EQ(o.address, there + 8192);
                EXPECT_TRUE(o.read && !o.write);
                const Ats l = d.ask(base + (1 << 21) + 0x54321);
                EXPECT_EQ(l.address, there + (1 << 21));
                EXPECT_EQ(l.bytes, UINT64_C(1) << 21);
                const Ats n = d.ask(base + 5 * 4096);
                EXPECT_EQ(n.status, Status::success); // And no rights: it is not there.
                EXPECT_FALSE(n.read || n.write);
            }
            EXPECT_EQ(b.iommu.statistic("iommu.fault_recorded"), 0u);
            EXPECT_TRUE(d.access(base + 4096, false));
            EXPECT_FALSE(d.access(base + 4096, true));
            EXPECT_EQ(d.told, 0u);
        });
        sc_core::sc_start();
        b.expect_clean();
        EXPECT_EQ(b.checker[0]->blocking > 0, GetParam());
    });
}

TEST_P(Told, refusals)
{
    simulate([] {
        Bench b("vtd-ats", "vtd", 2, World::vtd_ats);
        Device d("device", b, 0, false), other("other", b, 1, false);
        d.blocking = other.blocking = GetParam();
        b.world.map(0, base, there, PT_READ | PT_WRITE);
        b.world.map(1, base, there, PT_READ | PT_WRITE);
        // The other may have no TLB; and one entry of the device's root is no table.
        memory &m = b.memory.contents;
        const std::uint64_t contexts =
            memory_read64(&m, b.world.enable()[0].value) & VTD_TABLE_MASK;
        const std::uint64_t context = contexts + VTD_CONTEXT_BYTES;
        memory_write64(&m, context, memory_read64(&m, context) & ~VTD_CONTEXT_TT(3));
        const std::uint64_t root = memory_read64(&m, contexts) & VTD_TABLE_MASK;
        memory_write64(&m, root + 8, there | 0x83);
        thread([&] {
            b.enable();
            EXPECT_EQ(other.ask(base).status, Status::unsupported_request);
            EXPECT_EQ(b.iommu.statistic("iommu.fault_recorded"), 1u);
            auto &t = other.make(true, there, 8, Ats::Type::translated);
            other.carry(t);
            EXPECT_EQ(t.get_response_status(), tlm::TLM_ADDRESS_ERROR_RESPONSE);
            t.release();
            EXPECT_EQ(memory_read32(&b.memory.contents, there), 0u);
            EXPECT_EQ(d.ask(base).status, Status::success);
            auto &w = d.make(false, base, 8, Ats::Type::translation);
            w.set_command(tlm::TLM_READ_COMMAND);
            d.carry(w);
            EXPECT_EQ(w.get_response_status(), tlm::TLM_COMMAND_ERROR_RESPONSE);
            EXPECT_EQ(w.get_extension<Ats>()->status, Status::none);
            w.release();
            const Ats a = d.ask(UINT64_C(1) << 39);
            EXPECT_EQ(a.status, Status::completer_abort);
            // Neither a debugger nor a direct pointer goes by such a request.
            auto &g = d.make(false, base, 8, Ats::Type::translation);
            tlm::tlm_dmi dmi;
            EXPECT_EQ(b.requester[0]->socket->transport_dbg(g), 0u);
            EXPECT_FALSE(b.requester[0]->socket->get_direct_mem_ptr(g, dmi));
            g.release();
        });
        sc_core::sc_start();
        b.expect_clean();
    });
}

TEST_P(Told, pasids_and_privilege)
{
    simulate([] {
        Bench b("vtd-ats", "vtd", 2, World::vtd_pasid);
        Device d("device", b, 0, true), other("other", b, 1, true);
        d.blocking = other.blocking = GetParam();
        b.world.map(0, base, there, PT_READ | PT_WRITE);
        b.world.map(1, base, there + 4096, PT_READ);
        thread([&] {
            b.enable();
            EXPECT_EQ(d.ask(base).address, there);
            EXPECT_EQ(other.ask(base).address, there + 4096);
            EXPECT_FALSE(other.ask(base).write);
            auto &t = d.make(false, base, 8, Ats::Type::translation);
            t.get_extension<Request>()->privileged = true;
            d.carry(t);
            EXPECT_EQ(t.get_extension<Ats>()->address, there);
            t.release();
            for (const std::uint32_t pasid : { 6u, 1u << 19, 1u << 21 }) { // Not its own.
                auto &p = d.make(false, base, 8, Ats::Type::translation);
                p.get_extension<Request>()->pasid = pasid;
                d.carry(p);
                EXPECT_FALSE(p.is_response_ok());
                EXPECT_EQ(p.get_extension<Ats>()->status,
                          pasid >> 20 ? Status::none : Status::unsupported_request)
                    << pasid;
                p.release();
            }
            EXPECT_TRUE(d.access(base, true));
            EXPECT_FALSE(other.access(base, true));
            b.world.unmap(0, base);
            b.write_register(b.world.invalidate(0, base, false));
            wait_for_software(b);
            EXPECT_EQ(d.told, 1u);
            EXPECT_EQ(other.told, 0u);
            EXPECT_EQ(d.last.first, base);
            EXPECT_EQ(d.last.last, base + 4095);
            EXPECT_FALSE(d.access(base, true));
        });
        sc_core::sc_start();
        b.expect_clean();
    });
}

// Its capabilities offer no ATS: nothing of it passes, and it is recorded as what it is.
TEST_P(Told, nothing_by_riscv)
{
    simulate([] {
        Bench b("", "riscv", 1, 0);
        Device d("device", b, 0, false);
        d.blocking = GetParam();
        b.world.map(0, base, there, PT_READ | PT_WRITE);
        thread([&] {
            const auto enable = b.world.enable();
            b.enable();
            EXPECT_EQ(d.ask(base).status, Status::unsupported_request);
            auto &t = d.make(true, base, 8, Ats::Type::translated);
            d.carry(t);
            EXPECT_EQ(t.get_response_status(), tlm::TLM_ADDRESS_ERROR_RESPONSE);
            t.release();
            sc_core::wait(2, sc_core::SC_US);
            const std::uint64_t fqb = b.read_register(RISCV_FQB, 8);
            const std::uint64_t at  = RISCV_PPN_53_10(fqb);
            const std::uint64_t one = memory_read64(&b.memory.contents, at);
            const std::uint64_t two = memory_read64(&b.memory.contents, at + 32);
            EXPECT_EQ(RISCV_FAULT_CAUSE(one), unsigned{ RISCV_TYPE_DISALLOWED });
            EXPECT_EQ(RISCV_FAULT_TTYP(one), unsigned{ RISCV_TTYP_TRANSLATION });
            EXPECT_EQ(RISCV_FAULT_CAUSE(two), unsigned{ RISCV_TYPE_DISALLOWED });
            EXPECT_EQ(RISCV_FAULT_TTYP(two), unsigned{ RISCV_TTYP_TRANSLATED_WRITE });
            for (const unsigned mode : { RISCV_DDTP_BARE, RISCV_DDTP_OFF }) {
                b.write_register({ RISCV_DDTP, mode, 8 });
                EXPECT_EQ(d.ask(base).status, Status::unsupported_request);
            }
        });
        sc_core::sc_start();
        b.expect_clean();
    });
}

INSTANTIATE_TEST_SUITE_P(Of, Told, testing::Values(true, false),
                         [](const testing::TestParamInfo<bool> &p) {
                             return p.param ? "blocking" : "non_blocking";
                         });

// ---- Invalidations

TEST(Invalidations, a_wait_ends_behind_the_answer)
{
    simulate([] {
        Bench b("vtd-ats", "vtd", 1, World::vtd_ats);
        Device d("device", b, 0, false);
        d.slow = sc_core::sc_time(3, sc_core::SC_US);
        b.world.map(0, base, there, PT_READ | PT_WRITE);
        thread([&] {
            b.enable();
            for (const bool all : { false, true }) {
                EXPECT_TRUE(d.access(base, true));
                b.write_register(b.world.invalidate(0, base, all));
                const sc_core::sc_time rung = sc_core::sc_time_stamp();
                wait_for_software(b);
                EXPECT_TRUE(d.tlb.empty());
                EXPECT_GT(d.answered, rung + sc_core::sc_time(3, sc_core::SC_US));
                EXPECT_GT(sc_core::sc_time_stamp(), d.answered);
                EXPECT_LT(sc_core::sc_time_stamp(),
                          d.answered + sc_core::sc_time(500, sc_core::SC_NS));
                EXPECT_EQ(d.last.last - d.last.first, all ? UINT32_MAX : 4095u);
            }
        });
        sc_core::sc_start();
        b.expect_clean();
        EXPECT_EQ(d.check.violations().size(), 0u);
        EXPECT_EQ(b.iommu.statistic("iommu.command_device"), 2u);
    });
}

// The device answers at once, with a write under way: the answer does not pass it.
TEST(Invalidations, answers_push_writes)
{
    for (const bool blocking : { true, false })
        simulate([blocking] {
            Bench b("vtd-ats", "vtd", 1, World::vtd_ats);
            Device d("device", b, 0, false);
            d.blocking                           = blocking;
            b.memory.port[0]->channel.latency_ps = 30000000; // 30 us.
            b.world.map(0, base, there, PT_READ | PT_WRITE);
            sc_core::sc_time written;
            thread([&] {
                b.enable();
                EXPECT_TRUE(d.access(base, false));
                sc_core::wait(2, sc_core::SC_US);
                EXPECT_TRUE(d.access(base, true));
                written = sc_core::sc_time_stamp();
            });
            thread([&] {
                sc_core::wait(35, sc_core::SC_US);
                EXPECT_EQ(d.flight.size(), 1u);
                b.write_register(b.world.invalidate(0, base, false, true));
                wait_for_software(b);
                EXPECT_LT(d.answered, sc_core::sc_time(36, sc_core::SC_US));
                EXPECT_GT(written, sc_core::sc_time(60, sc_core::SC_US));
                EXPECT_GE(sc_core::sc_time_stamp(), written);
            });
            sc_core::sc_start();
            b.expect_clean();
        });
}

// Who does not answer, refuses or has no socket is found out; software goes on from there.
TEST(Invalidations, without_an_answer_are_overdue)
{
    for (const unsigned how : { 0u, 1u, 2u })
        simulate([how] {
            sc_core::sc_report_handler::set_actions(report_protocol,
                                                    sc_core::SC_DO_NOTHING);
            Bench b("vtd-ats", "vtd", 2, World::vtd_ats);
            Device good("good", b, 0, false);
            std::unique_ptr<Device> bad;
            if (how < 2) {
                bad          = std::make_unique<Device>("bad", b, 1, false);
                bad->answers = how != 0;
                bad->refuses = how == 1;
            }
            b.iommu.set("invq.device_timeout_us", "20");
            for (unsigned i = 0; i < 2; i++)
                b.world.map(i, base, there, PT_READ);
            thread([&] {
                b.enable();
                b.write_register(b.world.invalidate(1, base, false));
                sc_core::wait(19, sc_core::SC_US);
                EXPECT_EQ(b.read_register(VTD_FSTS, 4), 0u);
                sc_core::wait(2, sc_core::SC_US);
                EXPECT_EQ(b.read_register(VTD_FSTS, 4), VTD_FSTS_ITE);
                EXPECT_EQ(bits_get(b.read_register(VTD_IQERCD, 8), 47, 32), 1u);
                EXPECT_FALSE(b.world.waited()); // The wait was given up without a word.
                EXPECT_EQ(b.iommu.statistic("iommu.device_late"), 1u);
                b.write_register({ VTD_FSTS, VTD_FSTS_ITE, 4 });
                b.write_register(b.world.invalidate(0, base, false));
                wait_for_software(b);
                EXPECT_EQ(good.told, 1u);
                EXPECT_EQ(b.read_register(VTD_FSTS, 4), 0u);
            });
            sc_core::sc_start();
            for (const auto &c : b.checker)
                EXPECT_EQ(c->violations().size(), 0u);
        });
}

// Who asks in another's name is answered; the invalidation goes to whose name it is. Of a
// requester that is no port's, the one that asked last is it.
TEST(Invalidations, go_to_the_device_not_to_who_has_asked_in_its_name)
{
    simulate([] {
        Bench b("vtd-ats", "vtd", 2, World::vtd_ats);
        Device good("good", b, 0, false), liar("liar", b, 1, false);
        b.world.map(0, base, there, PT_READ);
        const auto ask_as = [&](Device &d, unsigned requester) {
            auto &t = d.make(false, base, 8, Ats::Type::translation);
            t.get_extension<Request>()->requester = requester;
            d.carry(t);
            t.release();
        };
        thread([&] {
            b.enable();
            EXPECT_TRUE(good.access(base, false));
            ask_as(liar, 0);
            b.world.unmap(0, base);
            b.write_register(b.world.invalidate(0, base, false));
            wait_for_software(b);
            EXPECT_EQ(good.told, 1u);
            EXPECT_EQ(liar.told, 0u);
            EXPECT_TRUE(good.tlb.empty());
            EXPECT_FALSE(good.access(base, false));
        });
        sc_core::sc_start();
        b.expect_clean();
    });
}

// An answer that comes too late was not asked for: ICE.
TEST(Invalidations, answered_late_are_an_error)
{
    simulate([] {
        Bench b("vtd-ats", "vtd", 1, World::vtd_ats);
        Device d("device", b, 0, false);
        d.slow = sc_core::sc_time(30, sc_core::SC_US);
        b.iommu.set("invq.device_timeout_us", "20");
        thread([&] {
            b.enable();
            b.write_register(b.world.invalidate(0, base, false));
            sc_core::wait(40, sc_core::SC_US);
            EXPECT_EQ(b.read_register(VTD_FSTS, 4), VTD_FSTS_ITE | VTD_FSTS_ICE);
        });
        sc_core::sc_start();
        b.expect_clean();
    });
}

TEST(Invalidations, under_way_at_reset_are_forgotten)
{
    simulate([] {
        sc_core::sc_signal<bool> line("line");
        Bench b("vtd-ats", "vtd", 1, World::vtd_ats);
        Device d("device", b, 0, false);
        b.iommu.reset.bind(line);
        d.slow = sc_core::sc_time(5, sc_core::SC_US);
        thread([&] {
            b.enable();
            b.write_register(b.world.invalidate(0, base, false));
            sc_core::wait(2, sc_core::SC_US);
            EXPECT_EQ(d.told, 1u);
            line.write(true);
            sc_core::wait(1, sc_core::SC_NS);
            line.write(false);
            sc_core::wait(10, sc_core::SC_US);
            EXPECT_EQ(b.read_register(VTD_FSTS, 4), 0u); // Its answer was for nobody.
        });
        sc_core::sc_start();
        b.expect_clean();
    });
}

// A translation request that reset has caught was never answered.
TEST(Invalidations, a_question_at_reset_is_not_answered)
{
    for (const bool blocking : { true, false })
        simulate([blocking] {
            sc_core::sc_signal<bool> line("line");
            Bench b("vtd-ats", "vtd", 1, World::vtd_ats);
            Device d("device", b, 0, false);
            d.blocking = blocking;
            b.iommu.reset.bind(line);
            b.world.map(0, base, there, PT_READ);
            thread([&] {
                b.enable();
                auto &t = d.make(false, base, 8, Ats::Type::translation);
                d.carry(t);
                EXPECT_EQ(t.get_response_status(), tlm::TLM_GENERIC_ERROR_RESPONSE);
                EXPECT_EQ(t.get_extension<Ats>()->status, Status::none);
                t.release();
            });
            thread([&] {
                sc_core::wait(150, sc_core::SC_NS);
                line.write(true);
            });
            sc_core::sc_start();
            b.expect_clean();
        });
}

// ---- Never stale

struct Traffic {
    const char *name;
    unsigned shape, quantum_ns;
    bool blocking, keeps, slow_memory;
};

class Stale : public testing::TestWithParam<Traffic>
{
};

// Every mapping has a frame of its own; when software has waited for its end, nobody may
// touch the frame any more.
struct Frames {
    std::uint64_t next = there;
    std::map<std::uint64_t, bool> open; // By address; false: given back.
    std::uint64_t accesses = 0, stale = 0;
    std::uint64_t take()
    {
        open[next] = true;
        next += 4096;
        return next - 4096;
    }
    void touch(const tlm::tlm_generic_payload &t)
    {
        const auto f = open.find(t.get_address() & ~UINT64_C(0xfff));
        if (f == open.end())
            return; // A table.
        accesses++;
        stale += !f->second;
    }
};

// Unmaps or maps anew, invalidates, waits, and gives the frame back.
void software(Bench &b, Frames &frames, unsigned count, bool &done)
{
    std::mt19937 random(17);
    for (unsigned i = 0; i < count; i++) {
        const unsigned device    = random() % 2;
        const std::uint64_t iova = base + random() % 6 * 4096;
        const auto old           = b.world.find(device, iova);
        const std::uint64_t pa   = old ? old->pa : 0;
        if (random() % 3 == 0)
            b.world.unmap(device, iova);
        else
            b.world.map(device, iova, frames.take(),
                        random() % 4 == 0 ? PT_READ : PT_READ | PT_WRITE);
        b.write_register(b.world.invalidate(device, iova, random() % 8 == 0));
        wait_for_software(b);
        if (pa != 0)
            frames.open[pa] = false;
        sc_core::wait(random() % 400, sc_core::SC_NS);
    }
    EXPECT_EQ(b.read_register(VTD_FSTS, 4), 0u);
    done = true;
}

TEST_P(Stale, translations_are_not_used_behind_a_wait)
{
    const Traffic &c = GetParam();
    simulate([&c] {
        Bench b("vtd-ats", "vtd", 2, c.shape);
        Device one("one", b, 0, c.shape == World::vtd_pasid);
        Device two("two", b, 1, c.shape == World::vtd_pasid);
        Frames frames;
        bool done      = false;
        unsigned moved = 0, refused = 0;
        tlm::tlm_global_quantum::instance().set(
            sc_core::sc_time(c.quantum_ns, sc_core::SC_NS));
        if (c.slow_memory)
            b.memory.port[0]->manners = { 9, 3, 5, 4, 0 };
        b.memory.watch = [&frames](const tlm::tlm_generic_payload &t) { frames.touch(t); };
        one.blocking   = c.blocking;
        two.keeps      = c.keeps;
        two.slow       = sc_core::sc_time(35, sc_core::SC_NS);
        thread([&b] { b.enable(); });
        for (Device *d : { &one, &two })
            for (unsigned n = 0; n < (d->blocking ? 3u : 1u); n++)
                thread([d, n, &done, &moved, &refused] {
                    std::mt19937 random(n * 7 + d->number);
                    sc_core::wait(1, sc_core::SC_US);
                    while (!done) {
                        const bool went =
                            d->access(base + random() % 6 * 4096 + random() % 63 * 64,
                                      random() % 2 == 0);
                        (went ? moved : refused)++;
                        sc_core::wait(random() % 60, sc_core::SC_NS);
                    }
                });
        thread([&] {
            sc_core::wait(2, sc_core::SC_US);
            software(b, frames, 400, done);
        });
        sc_core::sc_start();
        b.expect_clean();
        for (const Device *d : { &one, &two })
            for (const std::string &v : d->check.violations())
                ADD_FAILURE() << v;
        EXPECT_GT(moved, 1000u);
        EXPECT_GT(refused, 100u);
        EXPECT_GT(one.told, 100u);
        EXPECT_GT(one.asked + two.asked, 200u);
        EXPECT_GT(frames.accesses, 1000u);
        EXPECT_EQ(frames.stale > 0, c.keeps) << frames.stale;
    });
}

INSTANTIATE_TEST_SUITE_P(
    Of, Stale,
    testing::Values(Traffic{ "legacy", World::vtd_ats, 0, true, false, false },
                    Traffic{ "approximate", World::vtd_ats, 0, false, false, true },
                    Traffic{ "pasid", World::vtd_pasid, 0, true, false, true },
                    Traffic{ "quantum", World::vtd_pasid, 300, true, false, false },
                    Traffic{ "planted", World::vtd_ats, 0, true, true, false }),
    [](const testing::TestParamInfo<Traffic> &p) { return p.param.name; });

// ---- Both styles

std::vector<std::uint64_t> times(Bench &b, Device &d)
{
    std::vector<std::uint64_t> ends;
    std::mt19937 random(23);
    b.enable();
    for (unsigned i = 0; i < 300; i++) {
        const std::uint64_t iova = base + random() % 8 * 4096;
        if (random() % 10 == 0) {
            b.write_register(b.world.invalidate(0, iova, random() % 2));
            wait_for_software(b);
        } else if (random() % 3 == 0) {
            ends.push_back(d.ask(iova).address);
        } else {
            d.access(iova, random() % 2);
        }
        ends.push_back(sc_core::sc_time_stamp().value());
        sc_core::wait(sc_core::sc_time(random() % 3000, sc_core::SC_PS));
    }
    return ends;
}

TEST(AtsStyles, end_in_the_same_picosecond)
{
    int results[2][2];
    for (const bool blocking : { true, false }) {
        ASSERT_EQ(pipe(results[blocking]), 0);
        simulate([&] {
            Bench b("vtd-ats", "vtd", 1, World::vtd_ats);
            Device d("device", b, 0, false);
            d.blocking = blocking;
            for (unsigned i = 0; i < 6; i++)
                b.world.map(0, base + i * 4096, there + i * 8192, PT_READ | PT_WRITE);
            thread([&] {
                const std::vector<std::uint64_t> t = times(b, d);
                const auto bytes                   = t.size() * sizeof t[0];
                EXPECT_EQ(write(results[blocking][1], t.data(), bytes),
                          static_cast<ssize_t>(bytes));
            });
            sc_core::sc_start();
            b.expect_clean();
        });
        close(results[blocking][1]);
    }
    std::uint64_t one = 0, two = 0;
    unsigned count = 0;
    while (read(results[0][0], &one, sizeof one) == sizeof one) {
        ASSERT_EQ(read(results[1][0], &two, sizeof two), static_cast<ssize_t>(sizeof two));
        ASSERT_EQ(one, two) << count;
        count++;
    }
    EXPECT_EQ(read(results[1][0], &two, sizeof two), 0);
    EXPECT_GT(count, 300u);
}
} // namespace
} // namespace iovasim
