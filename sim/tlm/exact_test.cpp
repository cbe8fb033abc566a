// SPDX-License-Identifier: Apache-2.0
//
// The same transactions through the module, loosely timed with quantum 0 and approximately
// timed with one outstanding, and through the core on a bench without SystemC end in the
// same picosecond, with the same status and the same data.
#include <algorithm>
#include <cstring>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include "sim/tlm/platform.hpp"

namespace iovasim
{
namespace
{
constexpr unsigned devices = 3;

struct Op {
    enum class Kind { access, map, invalidate } kind;
    sim_time_t gap; // From the end of the one before it.
    unsigned device;
    std::uint64_t iova, pa;
    unsigned bytes, prot;
    bool write;
    bool pasid; // Where it makes no difference to what is translated.
};

struct Outcome {
    sim_time_t ended;
    bool good;
    unsigned char first, last;
    bool operator==(const Outcome &o) const
    {
        return ended == o.ended && good == o.good && first == o.first && last == o.last;
    }
};

enum { OPS = 400 };

std::vector<Op> plan(unsigned seed, std::uint64_t period, bool pasids)
{
    std::mt19937 generator(seed);
    const auto random = [&generator] { return static_cast<unsigned>(generator()); };
    std::vector<Op> ops;
    for (unsigned i = 0; i < OPS; i++) {
        const unsigned what = random() % 10;
        const auto iova     = UINT64_C(0x40000000) + (random() % 24) * 4096u;
        // Between edges of the clock as well.
        const sim_time_t gap = 2000000 + random() % (4 * period);
        if (i < 20 || what == 0)
            ops.push_back({ Op::Kind::map, gap, random() % devices, iova,
                            UINT64_C(0x80000000) + (random() % 64) * 4096u, 0,
                            1 + random() % 3u, false, false });
        else if (what == 1)
            ops.push_back({ Op::Kind::invalidate, gap, random() % devices, iova, 0, 0, 0,
                            random() % 4 == 0, false });
        else
            ops.push_back({ Op::Kind::access, random() % (3 * period), random() % devices,
                            iova + random() % 4096, 0, 1 + random() % 9000u, 0,
                            random() % 2 == 0, pasids && i % 2 == 0 });
        if (ops.back().kind == Op::Kind::map && ops.back().prot == PT_WRITE)
            ops.back().prot |= PT_READ; // RISC-V has no pages for writing only.
    }
    return ops;
}

void fill(const Op &op, unsigned char *data)
{
    for (unsigned i = 0; i < op.bytes; i++)
        data[i] = static_cast<unsigned char>(op.iova + 7 * i + op.device);
}

// ---- Without SystemC: the core as its own tests drive it.

class Direct
{
  public:
    Direct(const std::string &preset, const std::string &arch, unsigned shape)
        : m_(new struct iommu), channel_{ 50000, 640, 64, 0 }, data_{ 50000, 640, 64, 0 }
    {
        error e;
        memory_init(&memory_);
        settings_init(&settings_);
        if (!preset.empty())
            CHECK(settings_preset(&settings_, preset.c_str(), &e));
        for (const std::string &assignment : World::settings(arch, shape))
            CHECK(settings_set(&settings_, assignment.c_str(), &e));
        struct iommu_settings s = settings_iommu(&settings_);
        s.write_ps              = 50000;
        due_                    = TIME_NEVER;
        iommu_init(m_.get(), &s, nullptr, &due_, &memory_, &channel_, 1);
        client_ = iommu_attach(m_.get(), &client_due_, IOMMU_RESPONSES(m_.get()), true);
        world_  = std::make_unique<World>(memory_, arch, shape, devices);
    }
    ~Direct()
    {
        iommu_free(m_.get());
        settings_free(&settings_);
        memory_free(&memory_);
    }

    void run(const std::vector<Op> &ops, Outcome *out)
    {
        sim_time_t now = 0;
        for (const World::Write &w : world_->enable())
            reg(w, now), now += m_->config.iommu.period_ps;
        for (std::size_t i = 0; i < ops.size(); i++) {
            now += ops[i].gap;
            step_until(now);
            out[i] = carry_out(ops[i], now);
            now    = out[i].ended;
        }
    }

  private:
    void reg(const World::Write &w, sim_time_t now)
    {
        iommu_mmio_ops.write(m_.get(), w.offset, w.value, w.bytes, now);
    }
    void step_until(sim_time_t now)
    {
        while (due_ <= now)
            iommu_step(m_.get(), due_);
    }

    Outcome carry_out(const Op &op, sim_time_t now)
    {
        switch (op.kind) {
        case Op::Kind::map:
            world_->map(op.device, op.iova, op.pa, op.prot);
            reg(world_->invalidate(op.device, op.iova, false), now);
            break;
        case Op::Kind::invalidate:
            reg(world_->invalidate(op.device, op.iova, op.write), now);
            break;
        case Op::Kind::access:
            return access(op, now);
        }
        return { now + m_->config.iommu.period_ps, true, 0, 0 };
    }

    // The last answer, and the pieces' places in memory.
    sim_time_t translate(const Op &op, sim_time_t now, std::vector<CoreAnswer> &answers)
    {
        std::size_t next = 0;
        std::vector<std::uint64_t> pages;
        for (std::uint64_t a = op.iova; a < op.iova + op.bytes; a = (a | 4095) + 1)
            pages.push_back(a);
        answers.resize(pages.size());
        for (std::size_t left = pages.size(); left > 0;) {
            while (next < pages.size() && iommu_ready(m_.get(), client_)) {
                CoreRequest q{};
                q.iova                   = pages[next];
                q.id                     = static_cast<std::uint32_t>(next++);
                q.requester              = op.device;
                q.access                 = op.write ? PT_WRITE : PT_READ;
                q.has_pasid              = op.pasid;
                q.pasid                  = op.pasid ? World::pasid(op.device) : 0;
                *iommu_request(m_.get()) = q;
                iommu_submit(m_.get(), client_, now);
            }
            now = std::max(now, std::min(due_, client_due_));
            step_until(now);
            sim_time_t later;
            const CoreAnswer *a;
            while ((a = iommu_take(m_.get(), client_, now, &later)) != nullptr) {
                answers[a->id] = *a;
                left--;
            }
            client_due_ = later;
        }
        return now;
    }

    Outcome access(const Op &op, sim_time_t now)
    {
        std::vector<CoreAnswer> answers;
        std::vector<unsigned char> data(op.bytes);
        bool good             = true;
        const sim_time_t then = translate(op, now, answers);
        sim_time_t ended      = then;
        for (const CoreAnswer &a : answers)
            good &= a.outcome != XLATE_faulted;
        if (op.write)
            fill(op, data.data());
        for (std::size_t i = 0; good && i < answers.size();) {
            const std::uint64_t pa     = answers[i].pa;
            const std::uint64_t offset = answers[i].iova - op.iova;
            std::uint64_t bytes        = 0;
            for (; i < answers.size() && answers[i].pa == pa + bytes; i++)
                bytes += std::min<std::uint64_t>(4096 - answers[i].iova % 4096,
                                                 op.iova + op.bytes - answers[i].iova);
            if (op.write)
                memory_write(&memory_, pa, data.data() + offset, bytes);
            else
                memory_read(&memory_, pa, data.data() + offset, bytes);
            ended = std::max(
                ended, mem_channel_access(&data_, then, static_cast<unsigned>(bytes)).last);
        }
        // Retiring belongs to the end: whatever is due before it comes first.
        for (const CoreAnswer &a : answers)
            if (a.outcome != XLATE_faulted) {
                if (ended > 0)
                    step_until(ended - 1);
                iommu_retire(m_.get(), a.epoch, ended);
            }
        return { ended, good, data.front(), data.back() };
    }

    ::memory memory_;
    ::settings settings_;
    std::unique_ptr<struct iommu> m_;
    mem_channel channel_, data_;
    sim_time_t due_, client_due_ = TIME_NEVER;
    unsigned client_ = 0;
    std::unique_ptr<World> world_;
};

// ---- Through the module

Outcome through_socket(Bench &b, const Op &op, bool blocking)
{
    tlm::tlm_generic_payload &t = b.pool.make(op.write, op.iova, op.bytes);
    if (op.write)
        fill(op, t.get_data_ptr());
    Request &who  = *t.get_extension<Request>();
    who.requester = op.device;
    who.has_pasid = op.pasid;
    who.pasid     = World::pasid(op.device);
    if (blocking)
        b.requester[op.device]->blocking(t);
    else
        b.requester[op.device]->non_blocking(t);
    const Outcome o{ sc_core::sc_time_stamp().value(), t.is_response_ok(),
                     t.get_data_ptr()[0], t.get_data_ptr()[op.bytes - 1] };
    t.release();
    return o;
}

void through_module(Bench &b, const std::vector<Op> &ops, bool blocking, Outcome *out)
{
    b.enable();
    for (std::size_t i = 0; i < ops.size(); i++) {
        const Op &op = ops[i];
        sc_core::wait(sc_core::sc_time::from_value(op.gap));
        if (op.kind == Op::Kind::access) {
            out[i] = through_socket(b, op, blocking);
            continue;
        }
        if (op.kind == Op::Kind::map)
            b.world.map(op.device, op.iova, op.pa, op.prot);
        b.write_register(b.world.invalidate(op.device, op.iova,
                                            op.kind == Op::Kind::invalidate && op.write));
        out[i] = { sc_core::sc_time_stamp().value(), true, 0, 0 };
    }
}

struct Case {
    const char *preset, *arch;
    unsigned shape;
};

class Exact : public testing::TestWithParam<Case>
{
};

TEST_P(Exact, every_way_ends_in_the_same_picosecond)
{
    const Case &c  = GetParam();
    const auto ops = plan(7 + c.shape, 1000, World::has_pasids(c.arch, c.shape));
    std::vector<Outcome> direct(ops.size());
    Direct(c.preset, c.arch, c.shape).run(ops, direct.data());
    const std::size_t bytes = ops.size() * sizeof(Outcome);
    for (const bool blocking : { true, false }) {
        auto *seen = static_cast<Outcome *>(mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0));
        simulate([&] {
            Bench b(c.preset, c.arch, devices, c.shape);
            thread([&] { through_module(b, ops, blocking, seen); });
            sc_core::sc_start();
            b.expect_clean();
            EXPECT_TRUE(b.world.waited());
        });
        unsigned accesses = 0, faults = 0;
        for (std::size_t i = 0; i < ops.size(); i++) {
            accesses += ops[i].kind == Op::Kind::access;
            faults += !direct[i].good;
            ASSERT_TRUE(seen[i] == direct[i])
                << (blocking ? "loosely timed" : "approximately timed") << ", operation "
                << i << ": ended at " << seen[i].ended << " ps, want " << direct[i].ended
                << "; good " << seen[i].good << ", want " << direct[i].good;
        }
        EXPECT_GT(accesses, 200u);
        EXPECT_GT(faults, 20u);
        EXPECT_LT(faults, accesses);
        munmap(seen, bytes);
    }
}

INSTANTIATE_TEST_SUITE_P(
    Of, Exact,
    testing::Values(Case{ "", "vtd", 0 }, Case{ "", "vtd", 1 },
                    Case{ "vtd-tiny", "vtd", 0 },
                    Case{ "vtd-scalable", "vtd", World::vtd_first },
                    Case{ "vtd-scalable", "vtd", World::vtd_second },
                    Case{ "vtd-scalable", "vtd", World::vtd_nested },
                    Case{ "vtd-tiny", "vtd", World::vtd_first },
                    Case{ "riscv-zdl", "riscv", 0 }, Case{ "riscv-zdl", "riscv", 1 },
                    Case{ "riscv-zdl", "riscv", 2 }, Case{ "riscv-perf", "riscv", 0 },
                    Case{ "riscv-perf", "riscv", 1 }, Case{ "riscv-perf", "riscv", 2 },
                    Case{ "riscv-perf", "riscv", 3 }),
    [](const testing::TestParamInfo<Case> &c) {
        std::string name = std::string(c.param.preset) + "_" + c.param.arch + "_"
                           + std::to_string(c.param.shape);
        std::replace(name.begin(), name.end(), '-', '_');
        return name;
    });
} // namespace
} // namespace iovasim
