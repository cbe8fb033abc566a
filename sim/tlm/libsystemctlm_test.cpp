// SPDX-License-Identifier: Apache-2.0
//
// A device with libsystemctlm-soc's conventions, behind the adapter.
#include <cstring>
#include <gtest/gtest.h>
#include <tlm_utils/simple_initiator_socket.h>

#include "sim/tlm/iovasim_libsystemctlm.hpp"
#include "sim/tlm/platform.hpp"

namespace iovasim
{
namespace
{
constexpr std::uint64_t base  = UINT64_C(0x40000000);
constexpr std::uint64_t there = UINT64_C(0x80000000);

// It knows nothing of iovasim: payloads, two extensions, three sockets.
struct Device : sc_core::sc_module {
    explicit Device(const sc_core::sc_module_name &name)
        : sc_module(name), dma("dma_of_it"), ats_req("req"), ats_inv("inv")
    {
        ats_inv.register_b_transport(this, &Device::forget);
    }
    tlm::tlm_response_status access(bool write, std::uint64_t address, std::uint64_t id,
                                    bool translated, bool mm = false)
    {
        std::uint64_t word = 0x55aa;
        tlm::tlm_generic_payload plain, *t = mm ? &pool.make(write, address, 8) : &plain;
        t->clear_extension<Request>();
        t->set_command(write ? tlm::TLM_WRITE_COMMAND : tlm::TLM_READ_COMMAND);
        t->set_address(address);
        if (!mm) {
            t->set_data_ptr(reinterpret_cast<unsigned char *>(&word));
            t->set_data_length(8);
            t->set_streaming_width(8);
        }
        genattr_extension gen;
        atsattr_extension ats;
        gen.set_master_id(id);
        ats.set_attributes(translated ? atsattr_extension::ATTR_PHYS_ADDR : 0);
        t->set_extension(&gen);
        t->set_extension(&ats);
        if (mm)
            dma.non_blocking(*t);
        else
            dma.blocking(*t);
        EXPECT_EQ(t->get_extension<Request>(), nullptr);
        EXPECT_EQ(t->get_extension<Ats>(), nullptr);
        t->clear_extension<genattr_extension>();
        t->clear_extension<atsattr_extension>();
        const tlm::tlm_response_status status = t->get_response_status();
        if (mm) {
            t->set_extension(new Request);
            t->release();
        }
        return status;
    }
    atsattr_extension ask(std::uint64_t address, std::uint64_t wanted, std::uint64_t id)
    {
        tlm::tlm_generic_payload t;
        atsattr_extension ats;
        genattr_extension gen;
        sc_core::sc_time delay;
        t.set_command(tlm::TLM_IGNORE_COMMAND);
        t.set_address(address);
        ats.set_attributes(wanted);
        gen.set_master_id(id);
        t.set_extension(&ats);
        t.set_extension(&gen);
        ats_req->b_transport(t, delay);
        EXPECT_TRUE(t.is_response_ok());
        told = t.get_address();
        t.clear_extension<atsattr_extension>();
        t.clear_extension<genattr_extension>();
        return ats;
    }
    void forget(tlm::tlm_generic_payload &t, sc_core::sc_time &delay)
    {
        const auto *ats = t.get_extension<atsattr_extension>();
        EXPECT_EQ(t.get_command(), tlm::TLM_IGNORE_COMMAND);
        forgotten.emplace_back(t.get_address(), ats->get_length());
        delay += sc_core::sc_time(2, sc_core::SC_US);
        t.set_response_status(tlm::TLM_OK_RESPONSE);
    }
    Requester dma;
    tlm_utils::simple_initiator_socket<Device> ats_req;
    tlm_utils::simple_target_socket<Device> ats_inv;
    std::uint64_t told = 0;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> forgotten;
    TestPool pool;
};

struct Rig {
    Rig()
        : memory("memory", 2), world(memory.contents, "vtd", World::vtd_ats, 2),
          iommu("iommu", 1, "vtd-ats"), port("port", iommu), device("device"), cpu("cpu")
    {
        device.dma.socket.bind(port.dma);
        device.ats_req.bind(port.ats_req);
        port.ats_inv.bind(device.ats_inv);
        iommu.memory.bind(memory.port[0]->socket);
        iommu.tables.bind(memory.port[1]->socket);
        cpu.socket.bind(iommu.registers);
    }
    void write(const World::Write &w)
    {
        auto &t = pool.make(true, w.offset, w.bytes);
        std::memcpy(t.get_data_ptr(), &w.value, w.bytes);
        cpu.blocking(t);
        t.release();
    }
    TestMemory memory;
    World world;
    Iommu iommu;
    LibsystemctlmPort port;
    Device device;
    Requester cpu;
    TestPool pool;
};

TEST(Libsystemctlm, a_device_by_its_conventions)
{
    simulate([] {
        constexpr std::uint64_t rw =
            atsattr_extension::ATTR_READ | atsattr_extension::ATTR_WRITE;
        Rig r;
        r.world.map(0, base, there, PT_READ | PT_WRITE);
        r.world.map(1, base, there + 4096, PT_READ);
        thread([&] {
            for (const World::Write &w : r.world.enable())
                r.write(w);
            for (const bool mm : { false, true }) {
                // master_id is the requester: each has its tables.
                EXPECT_EQ(r.device.access(true, base, 0, false, mm), tlm::TLM_OK_RESPONSE);
                EXPECT_EQ(r.device.access(true, base, 1, false, mm),
                          tlm::TLM_ADDRESS_ERROR_RESPONSE);
                EXPECT_EQ(r.device.access(false, base, 1, false, mm), tlm::TLM_OK_RESPONSE);
                EXPECT_EQ(r.device.access(false, base, UINT64_C(1) << 40, false, mm),
                          tlm::TLM_GENERIC_ERROR_RESPONSE);
            }
            EXPECT_EQ(memory_read64(&r.memory.contents, there) & 0xffff, 0u); // mm: zeros.
            atsattr_extension a = r.device.ask(base + 8, rw, 0);
            EXPECT_EQ(a.get_result(), unsigned{ atsattr_extension::RESULT_OK });
            EXPECT_EQ(a.get_attributes(), rw);
            EXPECT_EQ(a.get_length(), 4096u);
            EXPECT_EQ(r.device.told, there);
            for (const bool mm : { false, true })
                EXPECT_EQ(r.device.access(true, there + 8, 0, true, mm),
                          tlm::TLM_OK_RESPONSE);
            a = r.device.ask(base, rw, 1);
            EXPECT_EQ(a.get_attributes(), unsigned{ atsattr_extension::ATTR_READ });
            EXPECT_EQ(r.device.told, there + 4096);
            a = r.device.ask(base + 4096, rw, 0);
            EXPECT_EQ(a.get_result(), unsigned{ atsattr_extension::RESULT_ERROR });
            // The wait is over when the device has answered, which takes it 2 us.
            r.world.unmap(0, base);
            r.write(r.world.invalidate(0, base, false));
            sc_core::wait(1900, sc_core::SC_NS);
            EXPECT_FALSE(r.world.waited());
            sc_core::wait(1, sc_core::SC_US);
            EXPECT_TRUE(r.world.waited());
            EXPECT_EQ(r.device.forgotten.size(), 1u);
            EXPECT_EQ(r.device.forgotten[0].first, base);
            EXPECT_EQ(r.device.forgotten[0].second, 4096u);
        });
        sc_core::sc_start();
        EXPECT_EQ(r.device.pool.out, 0u);
    });
}
} // namespace
} // namespace iovasim
