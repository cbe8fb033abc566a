// SPDX-License-Identifier: Apache-2.0
//
// iovasim - an IOMMU for SystemC platforms: a TLM-2.0 module around iovasim's core.
//
// Everything that the module does in which cycle is the core's; what is here moves
// transactions. docs/tlm.md has the contract. Time resolution: 1 ps or a power of ten
// below it.
#ifndef IOVASIM_HPP
#define IOVASIM_HPP

#include <cstdint>
#include <memory>
#include <string>
#include <systemc>
#include <tlm>
#include <vector>

namespace iovasim
{
// Ids of sc_report. Mistakes of the platform's author are errors or fatal; what initiators
// and targets do wrong at run time is a warning, and is answered with an error status.
constexpr const char *report_parameter = "/iovasim/parameter"; // SC_ERROR, SC_FATAL
constexpr const char *report_protocol  = "/iovasim/protocol";  // SC_WARNING
constexpr const char *report_memory    = "/iovasim/memory";    // SC_WARNING

// Who asks for what. A transaction without it comes from its port's requester (set by
// set_requester), without PASID and without privilege. The module leaves it in place.
struct Request : tlm::tlm_extension<Request> {
    std::uint32_t requester = 0; // Bus, device and function, or a device id.
    std::uint32_t pasid     = 0; // When has_pasid.
    bool has_pasid          = false;
    bool privileged         = false;
    bool execute            = false; // A read that fetches instructions.

    tlm::tlm_extension_base *clone() const override
    {
        return new Request(*this);
    }
    void copy_from(const tlm::tlm_extension_base &other) override
    {
        *this = static_cast<const Request &>(other);
    }
};

// What a device with a TLB of its own says with a transaction (PCI Express Base
// Specification, chapter 10: Address Translation Services). Without it, the address is not
// translated.
//
// A translation request is a TLM_IGNORE_COMMAND, blocking or not: its address is asked for,
// for whom Request says, and neither data nor length count. Whoever does not know this
// extension leaves status as it is.
struct Ats : tlm::tlm_extension<Ats> {
    enum class Type {
        translated,  // The address is what a translation request was answered.
        translation, // A translation request.
    };
    enum class Status {
        none,
        success,             // With rights, or with none: then the page is not there.
        unsupported_request, // The device is not to ask (TLM_ADDRESS_ERROR_RESPONSE).
        completer_abort,     // The tables are broken (TLM_ADDRESS_ERROR_RESPONSE).
    };
    Type type     = Type::translated;
    bool no_write = false; // Of a translation request: the page will only be read.
    // The answer to one. What it says may be kept until an Invalidate Request covers it.
    Status status         = Status::none;
    std::uint64_t address = 0; // Physical, of the page's first byte.
    std::uint64_t bytes = 0; // The page's size, a power of two: its addresses are aligned.
    bool read = false, write = false;

    tlm::tlm_extension_base *clone() const override
    {
        return new Ats(*this);
    }
    void copy_from(const tlm::tlm_extension_base &other) override
    {
        *this = static_cast<const Ats &>(other);
    }
};

// An Invalidate Request of the IOMMU's at device_tlb, a TLM_IGNORE_COMMAND. The device
// forgets what it was told of first .. last; its response is the Invalidate Completion,
// which it gives when every read that went by it has been answered. Writes that it has
// begun before are carried out before the completion counts. The payload's address is
// first.
struct Invalidation : tlm::tlm_extension<Invalidation> {
    std::uint64_t first = 0, last = 0; // Inclusive.
    std::uint32_t requester = 0;
    std::uint32_t pasid     = 0;     // When has_pasid and not global.
    bool has_pasid          = false; // Translations of requests with PASID; else without.
    bool global             = false; // ... of every PASID.
    std::uint32_t tag       = 0;     // 0 to 31.

    tlm::tlm_extension_base *clone() const override
    {
        return new Invalidation(*this);
    }
    void copy_from(const tlm::tlm_extension_base &other) override
    {
        *this = static_cast<const Invalidation &>(other);
    }
};

class Iommu : public sc_core::sc_module
{
  public:
    // At most 16 ports. preset: as `iovasim presets` lists them; empty: all defaults.
    explicit Iommu(const sc_core::sc_module_name &name, unsigned ports = 1,
                   const std::string &preset = "");
    ~Iommu() override;

    // One for each device or root port in front of the IOMMU: addresses are I/O virtual.
    sc_core::sc_vector<tlm::tlm_target_socket<>> upstream;
    // Translated traffic: addresses are physical.
    tlm::tlm_initiator_socket<> memory;
    // The IOMMU's own reads of tables and queues, its status words, fault records and
    // interrupt messages.
    tlm::tlm_initiator_socket<> tables;
    // Invalidate Requests for devices with TLBs behind that port, non-blocking. May stay
    // unbound: then they are never answered, as of a device that has no such thing.
    using DeviceTlbSocket = tlm::tlm_initiator_socket<32, tlm::tlm_base_protocol_types, 1,
                                                      sc_core::SC_ZERO_OR_MORE_BOUND>;
    sc_core::sc_vector<DeviceTlbSocket> device_tlb;

  private:
    class Impl;
    friend class Port;
    std::unique_ptr<Impl> impl_;

  public:
    // The register window from offset 0: 4 or 8 bytes, aligned.
    tlm::tlm_target_socket<> &registers;
    // Wired interrupts, one for each vector: high while one is pending. May stay unbound.
    using InterruptPort = sc_core::sc_port<sc_core::sc_signal_inout_if<bool>, 1,
                                           sc_core::SC_ZERO_OR_MORE_BOUND>;
    sc_core::sc_vector<InterruptPort> interrupt;
    // Active high; may stay unbound.
    sc_core::sc_port<sc_core::sc_signal_in_if<bool>, 1, sc_core::SC_ZERO_OR_MORE_BOUND>
        reset;

    // Before the simulation starts. Keys are those of `iovasim params` for the IOMMU's
    // parts (iommu.arch=vtd|riscv, iotlb.sets, ...) and of the module itself
    // (tlm.outstanding, tlm.ordered, ...: parameters()). A wrong one is an SC_ERROR of id report_parameter, which names it.
    void set(const std::string &key, const std::string &value);
    void set_preset(const std::string &name);
    void set_clock_period(const sc_core::sc_time &period);      // Whole picoseconds.
    void set_requester(unsigned port, std::uint32_t requester); // Default: 0.
    void set_seed(std::uint64_t seed); // Of random replacement; default 1.
    std::string get(const std::string &key) const;
    std::vector<std::string> parameters() const;

    // At any time once the simulation has started: counters as in docs/statistics.md of
    // iommu, iotlb, walkcache, context and memport. They are never reset but by reset.
    std::uint64_t statistic(const std::string &name) const;
    std::vector<std::string> statistics() const;

    // The module's visible state; call it before the simulation starts.
    void trace(sc_core::sc_trace_file *file) const override;

  private:
    void end_of_elaboration() override;
};
} // namespace iovasim

#endif
