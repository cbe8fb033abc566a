// SPDX-License-Identifier: Apache-2.0
//
// Direct memory and debug transport: after any invalidation no pointer handed out before it
// reaches a page that is no longer mapped, and neither way changes anything.
#include <cstring>
#include <gtest/gtest.h>

#include "sim/tlm/platform.hpp"

namespace iovasim
{
namespace
{
// An initiator that keeps every pointer it was given until it is told otherwise.
class Holder
{
  public:
    Holder(Bench &b, unsigned port) : bench_(b), port_(port)
    {
        b.requester[port]->invalidated = [this](std::uint64_t first, std::uint64_t last) {
            taken_back++;
            for (auto h = held_.begin(); h != held_.end();)
                h = h->get_start_address() <= last && first <= h->get_end_address()
                        ? held_.erase(h)
                        : std::next(h);
        };
    }

    // Whether a pointer was given.
    bool ask(std::uint64_t iova, bool write)
    {
        tlm::tlm_generic_payload &t = bench_.pool.make(write, iova, 8);
        tlm::tlm_dmi dmi;
        t.get_extension<Request>()->requester = port_;
        const bool given = bench_.requester[port_]->socket->get_direct_mem_ptr(t, dmi);
        t.release();
        if (given)
            held_.push_back(dmi);
        return given;
    }

    // Whatever is held lies in pages that the tables map, at the place and with the rights
    // that they say.
    void check()
    {
        for (const tlm::tlm_dmi &dmi : held_)
            for (std::uint64_t iova = dmi.get_start_address(); iova < dmi.get_end_address();
                 iova += 4096)
                check_page(dmi, iova);
    }
    std::size_t held() const
    {
        return held_.size();
    }
    std::uint64_t taken_back = 0;

  private:
    void check_page(const tlm::tlm_dmi &dmi, std::uint64_t iova)
    {
        const auto m = bench_.world.find(port_, iova);
        ASSERT_TRUE(m) << "a pointer into an unmapped page";
        EXPECT_TRUE(!dmi.is_read_allowed() || (m->prot & PT_READ));
        EXPECT_TRUE(!dmi.is_write_allowed() || (m->prot & PT_WRITE));
        const mem_page *page = memory_page_make(&bench_.memory.contents, m->pa);
        EXPECT_EQ(dmi.get_dmi_ptr() + (iova - dmi.get_start_address()),
                  reinterpret_cast<const unsigned char *>(page->word));
    }

    Bench &bench_;
    unsigned port_;
    std::vector<tlm::tlm_dmi> held_;
};

struct Case {
    const char *preset, *arch;
    unsigned shape;
};

// Until the invalidation is over.
void settle(const Bench &b)
{
    while (!b.world.waited())
        sc_core::wait(50, sc_core::SC_NS);
}

class Direct : public testing::TestWithParam<Case>
{
};

TEST_P(Direct, pointers_end_with_what_they_point_through)
{
    const Case &c    = GetParam();
    const bool vtd   = c.arch == std::string("vtd");
    const bool marks = c.shape == (vtd ? unsigned{ World::vtd_first } : 3u);
    simulate([&c, marks] {
        Bench b(c.preset, c.arch, 2, c.shape);
        b.memory.port[0]->offers_dmi = true;
        Holder one(b, 0), two(b, 1);
        Holder *const holder[] = { &one, &two };
        unsigned given = 0, refused = 0;
        thread([&] {
            std::mt19937 random(11);
            b.enable();
            for (unsigned i = 0; i < 1500; i++) {
                const unsigned device = random() % 2;
                const bool large      = random() % 4 == 0;
                const std::uint64_t iova =
                    large ? UINT64_C(0x60000000) + random() % 512 * 4096
                          : UINT64_C(0x40000000) + random() % 20 * 4096;
                const std::uint64_t big = iova & ~UINT64_C(0x1fffff);
                const unsigned what     = random() % 6;
                if (World::has_two_stages(c.arch, c.shape) && random() % 10 == 0) {
                    b.world.protect(device, random() % 2);
                    b.write_register(b.world.invalidate_second(device, random() % 2));
                    settle(b);
                    one.check();
                    two.check();
                } else if (what == 0) { // The hardware caches it.
                    tlm::tlm_generic_payload &t = b.pool.make(random() % 2, iova, 64);
                    t.get_extension<Request>()->requester = device;
                    b.requester[device]->blocking(t);
                    t.release();
                } else if (what < 4) {
                    (holder[device]->ask(iova, random() % 2) ? given : refused)++;
                } else {
                    if (large)
                        b.world.map_large(device, big,
                                          UINT64_C(0x90000000) + (random() % 4 << 21),
                                          what == 4 ? PT_READ | PT_WRITE : 0);
                    else if (what == 4)
                        b.world.map(device, iova,
                                    UINT64_C(0x80000000) + random() % 64 * 4096,
                                    random() % 3 ? PT_READ | PT_WRITE : PT_READ);
                    else
                        b.world.unmap(device, iova);
                    b.write_register(b.world.invalidate(device, iova, random() % 5 == 0));
                    settle(b);
                    one.check();
                    two.check();
                }
            }
            EXPECT_TRUE(marks || one.held() + two.held() > 0);
            // Contexts and registers concern everything.
            for (const World::Write &w : b.world.enable())
                b.write_register(w);
            EXPECT_EQ(one.held() + two.held(), 0u);
        });
        sc_core::sc_start();
        b.expect_clean();
        EXPECT_GT(given, 100u); // With marks: where a transaction has marked the leaf.
        EXPECT_GT(refused, 50u);
        EXPECT_GT(one.taken_back, 20u);
    });
}

INSTANTIATE_TEST_SUITE_P(Of, Direct,
                         testing::Values(Case{ "", "vtd", 0 }, Case{ "vtd-tiny", "vtd", 1 },
                                         Case{ "vtd-scalable", "vtd", World::vtd_first },
                                         Case{ "vtd-scalable", "vtd", World::vtd_second },
                                         Case{ "vtd-scalable", "vtd", World::vtd_nested },
                                         Case{ "riscv-zdl", "riscv", 0 },
                                         Case{ "riscv-perf", "riscv", 1 },
                                         Case{ "riscv-perf", "riscv", 2 },
                                         Case{ "riscv-perf", "riscv", 3 }));

std::vector<std::uint64_t> everything(const Iommu &iommu)
{
    std::vector<std::uint64_t> values;
    for (const std::string &name : iommu.statistics())
        values.push_back(iommu.statistic(name));
    return values;
}

class Debug : public testing::TestWithParam<Case>
{
};

// What a debugger sees is what the transaction after it does; asking costs nothing.
TEST_P(Debug, sees_what_a_transaction_would_and_changes_nothing)
{
    const Case &c = GetParam();
    simulate([&c] {
        Bench b(c.preset, c.arch, 2, c.shape);
        unsigned agreed = 0, refused = 0;
        thread([&] {
            std::mt19937 random(5);
            b.enable();
            for (unsigned i = 0; i < 600; i++) {
                const unsigned device = random() % 2;
                const unsigned bytes  = 1 + random() % 6000;
                const std::uint64_t iova =
                    UINT64_C(0x40000000) + random() % 12 * 4096 + random() % 4096;
                if (i < 20 || random() % 8 == 0) {
                    b.world.map(device, iova, UINT64_C(0x80000000) + random() % 64 * 4096,
                                random() % 3 ? PT_READ | PT_WRITE : PT_READ);
                    b.write_register(b.world.invalidate(device, iova, false));
                    settle(b);
                    continue;
                }
                sc_core::wait(5, sc_core::SC_US);
                const auto before           = everything(b.iommu);
                const std::uint64_t pages   = b.memory.contents.pages;
                tlm::tlm_generic_payload &t = b.pool.make(random() % 2, iova, bytes);
                tlm::tlm_generic_payload &d = b.pool.make(t.is_write(), iova, bytes);
                for (unsigned k = 0; k < bytes; k++)
                    t.get_data_ptr()[k] = d.get_data_ptr()[k] =
                        static_cast<unsigned char>(random());
                t.get_extension<Request>()->requester = device;
                d.get_extension<Request>()->requester = device;
                const unsigned done = b.requester[device]->socket->transport_dbg(d);
                EXPECT_EQ(before, everything(b.iommu));
                EXPECT_TRUE(d.is_write() || pages == b.memory.contents.pages);
                EXPECT_EQ(d.get_address(), iova);
                b.requester[device]->blocking(t);
                EXPECT_EQ(t.is_response_ok(), done == bytes);
                EXPECT_TRUE(!t.is_response_ok() || t.is_write()
                            || std::memcmp(t.get_data_ptr(), d.get_data_ptr(), bytes) == 0);
                (t.is_response_ok() ? agreed : refused)++;
                t.release();
                d.release();
            }
        });
        sc_core::sc_start();
        b.expect_clean();
        EXPECT_GT(agreed, 50u);
        EXPECT_GT(refused, 50u);
    });
}

INSTANTIATE_TEST_SUITE_P(Of, Debug,
                         testing::Values(Case{ "", "vtd", 0 }, Case{ "", "vtd", 1 },
                                         Case{ "vtd-scalable", "vtd", World::vtd_first },
                                         Case{ "vtd-scalable", "vtd", World::vtd_nested },
                                         Case{ "riscv-zdl", "riscv", 0 },
                                         Case{ "riscv-perf", "riscv", 1 },
                                         Case{ "riscv-perf", "riscv", 2 },
                                         Case{ "riscv-perf", "riscv", 3 }));
} // namespace
} // namespace iovasim
