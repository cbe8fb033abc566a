// SPDX-License-Identifier: Apache-2.0
//
// The least that a platform needs: a device and a memory that know TLM-2.0 and nothing
// else, an IOMMU between them that is off at first (addresses pass), and then on.
#include <cstdint>
#include <cstring>
#include <iostream>
#include <iovasim.hpp>
#include <systemc>
#include <tlm>
#include <tlm_utils/simple_initiator_socket.h>
#include <tlm_utils/simple_target_socket.h>
#include <vector>

struct Memory : sc_core::sc_module {
    tlm_utils::simple_target_socket<Memory> data, tables; // The same bytes behind both.
    std::vector<unsigned char> bytes = std::vector<unsigned char>(1 << 20);

    explicit Memory(const sc_core::sc_module_name &name)
        : sc_module(name), data("data"), tables("tables")
    {
        data.register_b_transport(this, &Memory::b_transport);
        tables.register_b_transport(this, &Memory::b_transport);
    }
    void b_transport(tlm::tlm_generic_payload &t, sc_core::sc_time &delay)
    {
        unsigned char *at = &bytes[t.get_address() % (bytes.size() - 4096)];
        if (t.is_write())
            std::memcpy(at, t.get_data_ptr(), t.get_data_length());
        else
            std::memcpy(t.get_data_ptr(), at, t.get_data_length());
        delay += sc_core::sc_time(50, sc_core::SC_NS);
        t.set_response_status(tlm::TLM_OK_RESPONSE);
    }
    void put(std::uint64_t address, std::uint64_t value)
    {
        std::memcpy(&bytes[address], &value, sizeof value);
    }
};

struct Device : sc_core::sc_module {
    tlm_utils::simple_initiator_socket<Device> dma, registers;
    Memory &memory;

    Device(const sc_core::sc_module_name &name, Memory &m)
        : sc_module(name), dma("dma"), registers("registers"), memory(m)
    {
        SC_HAS_PROCESS(Device);
        SC_THREAD(run);
    }
    template <typename Socket>
    bool write(Socket &socket, std::uint64_t address, std::uint64_t value, unsigned bytes)
    {
        tlm::tlm_generic_payload t;
        sc_core::sc_time delay;
        t.set_write();
        t.set_address(address);
        t.set_data_ptr(reinterpret_cast<unsigned char *>(&value));
        t.set_data_length(bytes);
        t.set_streaming_width(bytes);
        socket->b_transport(t, delay);
        wait(delay);
        return t.is_response_ok();
    }
    void say(const char *what, bool good, std::uint64_t address)
    {
        std::uint64_t value;
        std::memcpy(&value, &memory.bytes[address], sizeof value);
        std::cout << what << ": " << (good ? "good" : "refused") << ", memory has " << value
                  << "\n";
    }
    void run()
    {
        say("off", write(dma, 0x9000, 11, 8), 0x9000);
        // Intel VT-d, legacy mode: root and context table, four levels of page tables.
        memory.put(0x1000, 0x2000 | 1);
        memory.put(0x2000, 0x3000 | 1);
        memory.put(0x2008, 2 | 1 << 8);
        memory.put(0x3000, 0x4000 | 3);
        memory.put(0x4000, 0x5000 | 3);
        memory.put(0x5000, 0x6000 | 3);
        memory.put(0x6000 + 8 * 7, 0xa000 | 3); // 0x7000 is at 0xa000.
        write(registers, 0x20, 0x1000, 8);
        write(registers, 0x18, 1u << 30, 4);
        write(registers, 0x18, 1u << 31, 4);
        say("mapped", write(dma, 0x7000, 22, 8), 0xa000);
        say("not mapped", write(dma, 0x9000, 33, 8), 0x9000);
    }
};

int sc_main(int, char **)
{
    Memory memory("memory");
    Device device("device", memory);
    iovasim::Iommu iommu("iommu"); // One port, VT-d, and requester 0 behind it.
    device.dma.bind(iommu.upstream[0]);
    device.registers.bind(iommu.registers);
    iommu.memory.bind(memory.data);
    iommu.tables.bind(memory.tables);
    sc_core::sc_start();
    return 0;
}
