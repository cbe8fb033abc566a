// SPDX-License-Identifier: Apache-2.0
//
// A platform with two IOMMUs: a loosely timed traffic generator behind an Intel VT-d, an
// approximately timed one behind a RISC-V IOMMU, one memory, and a driver in C that reaches
// both IOMMUs through their register sockets. Writes platform.vcd.
//
// It uses nothing of iovasim but the module itself.
#include <cstring>
#include <iostream>
#include <iovasim.hpp>
#include <systemc>
#include <tlm>
#include <tlm_utils/peq_with_get.h>
#include <tlm_utils/simple_initiator_socket.h>
#include <tlm_utils/simple_target_socket.h>
#include <tlm_utils/tlm_quantumkeeper.h>
#include <vector>

#include "driver.h"

using sc_core::sc_module;
using sc_core::sc_module_name;
using sc_core::SC_NS;
using sc_core::sc_time;

constexpr std::uint64_t iova = 0x40000000;
constexpr unsigned pages = 4, accesses = 400;

static void fill(tlm::tlm_generic_payload &t, bool write, std::uint64_t address, void *data,
                 unsigned bytes)
{
    t.set_command(write ? tlm::TLM_WRITE_COMMAND : tlm::TLM_READ_COMMAND);
    t.set_address(address);
    t.set_data_ptr(static_cast<unsigned char *>(data));
    t.set_data_length(bytes);
    t.set_streaming_width(bytes);
    t.set_byte_enable_ptr(nullptr);
    t.set_dmi_allowed(false);
    t.set_response_status(tlm::TLM_INCOMPLETE_RESPONSE);
}

// 16 MiB with a latency of 60 ns, behind as many sockets as there are initiators.
struct Memory : sc_module {
    using Socket = tlm_utils::simple_target_socket_tagged<Memory>;
    sc_core::sc_vector<Socket> socket;
    std::vector<unsigned char> contents;

    Memory(const sc_module_name &name, unsigned sockets)
        : sc_module(name), socket("socket", sockets), contents(16 << 20)
    {
        for (unsigned i = 0; i < sockets; i++) {
            socket[i].register_b_transport(this, &Memory::b_transport, i);
            socket[i].register_transport_dbg(this, &Memory::transport_dbg, i);
        }
    }
    unsigned transport_dbg(int, tlm::tlm_generic_payload &t)
    {
        const std::uint64_t at = t.get_address(), n = t.get_data_length();
        if (at >= contents.size() || n > contents.size() - at)
            return 0;
        if (t.is_write())
            std::memcpy(&contents[at], t.get_data_ptr(), n);
        else
            std::memcpy(t.get_data_ptr(), &contents[at], n);
        return static_cast<unsigned>(n);
    }
    void b_transport(int id, tlm::tlm_generic_payload &t, sc_time &delay)
    {
        delay += sc_time(60, SC_NS);
        t.set_response_status(transport_dbg(id, t) != 0 ? tlm::TLM_OK_RESPONSE
                                                        : tlm::TLM_ADDRESS_ERROR_RESPONSE);
    }
};

// Loosely timed, with a quantum.
struct Loose : sc_module {
    tlm_utils::simple_initiator_socket<Loose> socket;
    sc_core::sc_event start;
    unsigned good = 0, refused = 0;

    explicit Loose(const sc_module_name &name) : sc_module(name), socket("socket")
    {
        SC_HAS_PROCESS(Loose);
        SC_THREAD(run);
    }
    void run()
    {
        tlm_utils::tlm_quantumkeeper keeper;
        wait(start);
        keeper.reset();
        for (unsigned i = 0; i < accesses; i++) {
            std::uint64_t data[8] = { i };
            tlm::tlm_generic_payload t;
            fill(t, i % 2, iova + i * 64 % (pages * 4096), data, sizeof data);
            sc_time delay = keeper.get_local_time();
            socket->b_transport(t, delay);
            keeper.set(delay);
            (t.is_response_ok() ? good : refused)++;
            if (keeper.need_sync())
                keeper.sync();
        }
        keeper.sync();
    }
};

// Approximately timed: the next request as soon as the one before it was accepted.
struct Timed : sc_module, tlm::tlm_mm_interface {
    tlm_utils::simple_initiator_socket<Timed> socket;
    sc_core::sc_event start, accepted, finished;
    unsigned good = 0, refused = 0, under_way = 0, most = 0;
    bool requesting       = false;
    std::uint64_t data[8] = {};

    explicit Timed(const sc_module_name &name) : sc_module(name), socket("socket")
    {
        SC_HAS_PROCESS(Timed);
        socket.register_nb_transport_bw(this, &Timed::nb_transport_bw);
        SC_THREAD(run);
    }
    void free(tlm::tlm_generic_payload *t) override
    {
        delete t;
    }
    void done(tlm::tlm_generic_payload &t)
    {
        (t.is_response_ok() ? good : refused)++;
        under_way--;
        t.release();
        finished.notify();
    }
    void run()
    {
        wait(start);
        for (unsigned i = 0; i < accesses; i++) {
            auto *t = new tlm::tlm_generic_payload(this);
            t->acquire();
            fill(*t, i % 2, iova + i * 64 % (pages * 4096), data, sizeof data);
            tlm::tlm_phase phase            = tlm::BEGIN_REQ;
            sc_time delay                   = sc_core::SC_ZERO_TIME;
            requesting                      = true;
            most                            = std::max(most, ++under_way);
            const tlm::tlm_sync_enum answer = socket->nb_transport_fw(*t, phase, delay);
            if (answer != tlm::TLM_ACCEPTED)
                requesting = false;
            if (answer == tlm::TLM_COMPLETED)
                done(*t);
            while (requesting)
                wait(accepted);
            wait(5, SC_NS);
        }
        while (under_way > 0)
            wait(finished);
    }
    tlm::tlm_sync_enum nb_transport_bw(tlm::tlm_generic_payload &t, tlm::tlm_phase &phase,
                                       sc_time &)
    {
        requesting = false;
        accepted.notify();
        if (phase != tlm::BEGIN_RESP)
            return tlm::TLM_ACCEPTED;
        done(t);
        return tlm::TLM_COMPLETED;
    }
};

// The processor that runs the driver.
struct Processor : sc_module {
    tlm_utils::simple_initiator_socket<Processor> memory;
    sc_core::sc_vector<tlm_utils::simple_initiator_socket<Processor>> registers;
    Loose &loose;
    Timed &timed;
    unsigned unit = 0; // Whose registers the driver means.

    Processor(const sc_module_name &name, Loose &l, Timed &t)
        : sc_module(name), memory("memory"), registers("registers", 2), loose(l), timed(t)
    {
        SC_HAS_PROCESS(Processor);
        SC_THREAD(run);
    }
    template <typename Socket>
    std::uint64_t access(Socket &socket, bool write, std::uint64_t address,
                         std::uint64_t value, unsigned bytes)
    {
        tlm::tlm_generic_payload t;
        sc_time delay = sc_core::SC_ZERO_TIME;
        fill(t, write, address, &value, bytes);
        socket->b_transport(t, delay);
        wait(delay);
        if (!t.is_response_ok())
            SC_REPORT_FATAL("/example", "the driver's access was refused");
        return value;
    }
    static Processor &of(void *self)
    {
        return *static_cast<Processor *>(self);
    }
    void run()
    {
        const struct bus bus = {
            [](void *p, std::uint64_t at, std::uint64_t v) {
                of(p).access(of(p).memory, true, at, v, 8);
            },
            [](void *p, std::uint64_t at) {
                return of(p).access(of(p).memory, false, at, 0, 8);
            },
            [](void *p, std::uint32_t at, std::uint64_t v, unsigned n) {
                of(p).access(of(p).registers[of(p).unit], true, at, v, n);
            },
            [](void *p, std::uint32_t at, unsigned n) {
                return of(p).access(of(p).registers[of(p).unit], false, at, 0, n);
            },
            this
        };
        unit = 0;
        vtd_start(&bus, 0x100000, 0x28, iova, 0x800000, pages);
        unit = 1;
        riscv_start(&bus, 0x200000, 3, iova, 0xa00000, pages);
        loose.start.notify();
        timed.start.notify();
        wait(8, sc_core::SC_US); // In the middle of the traffic.
        unit = 0;
        vtd_unmap_first(&bus, 0x100000, iova);
        unit = 1;
        riscv_unmap_first(&bus, 0x200000, iova);
    }
};

int sc_main(int, char **)
{
    tlm::tlm_global_quantum::instance().set(sc_time(1, sc_core::SC_US));
    Memory memory("memory", 5);
    iovasim::Iommu vtd("vtd", 1, "vtd-server"), riscv("riscv", 1, "riscv-perf");
    Loose loose("loose");
    Timed timed("timed");
    Processor processor("processor", loose, timed);

    vtd.set_requester(0, 0x28); // Bus 0, device 5, function 0.
    riscv.set_requester(0, 3);
    vtd.set("iotlb.sets", "4");
    loose.socket.bind(vtd.upstream[0]);
    timed.socket.bind(riscv.upstream[0]);
    vtd.memory.bind(memory.socket[0]);
    vtd.tables.bind(memory.socket[1]);
    riscv.memory.bind(memory.socket[2]);
    riscv.tables.bind(memory.socket[3]);
    processor.memory.bind(memory.socket[4]);
    processor.registers[0].bind(vtd.registers);
    processor.registers[1].bind(riscv.registers);

    sc_core::sc_trace_file *vcd = sc_core::sc_create_vcd_trace_file("platform");
    vcd->set_time_unit(1, sc_core::SC_PS);
    vtd.trace(vcd);
    riscv.trace(vcd);
    sc_core::sc_start();
    sc_core::sc_close_vcd_trace_file(vcd);

    std::cout << "loosely timed, VT-d:          " << loose.good << " good, "
              << loose.refused << " refused\n"
              << "approximately timed, RISC-V:  " << timed.good << " good, "
              << timed.refused << " refused, up to " << timed.most << " at a time\n";
    for (const iovasim::Iommu *iommu : { &vtd, &riscv })
        std::cout << iommu->name() << ": " << iommu->statistic("iommu.translation")
                  << " translations, " << iommu->statistic("iommu.translation_hit")
                  << " hits, " << iommu->statistic("memport.read")
                  << " reads of tables and "
                  << "commands\n";
    std::cout << "ended at " << sc_core::sc_time_stamp() << "; see platform.vcd\n";
    return 0;
}
