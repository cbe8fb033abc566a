// SPDX-License-Identifier: Apache-2.0
//
// platform - what the module's tests put around it: a memory, tables of each architecture
// with a flat oracle of what they say, and initiators of both coding styles.
#ifndef SIM_TLM_PLATFORM_HPP
#define SIM_TLM_PLATFORM_HPP

#include <functional>
#include <map>
#include <optional>
#include <random>

#include "sim/tlm/checker.hpp"
#include "sim/tlm/iovasim.hpp"
#include "sim/tlm/unit.hpp"

extern "C" {
#include "iommu_model/riscv_spec.h"
#include "iommu_model/vtd_spec.h"
}

namespace iovasim
{
// Runs body as a SystemC simulation in a child process, and takes its failures over.
void simulate(const std::function<void()> &body);

class TestPool : public tlm::tlm_mm_interface
{
  public:
    ~TestPool() override;
    // A payload with data of its own, and a Request.
    tlm::tlm_generic_payload &make(bool write, std::uint64_t address, unsigned bytes);
    void free(tlm::tlm_generic_payload *trans) override;
    std::size_t out = 0; // Not given back.

  private:
    std::vector<tlm::tlm_generic_payload *> all_, free_;
};

// How a target behaves beyond what it must: 0 never, else one time in so many.
struct Manners {
    unsigned seed = 0, slow_request = 0, early_response = 0, complete_at_once = 0,
             error = 0;
};

// A memory behind any number of sockets, each with a channel of its own. A read's data is
// what memory holds when it is accepted.
class TestMemory : public sc_core::sc_module
{
  public:
    struct Port : tlm::tlm_fw_transport_if<> {
        Port(TestMemory &memory, const char *name);
        void b_transport(tlm::tlm_generic_payload &t, sc_core::sc_time &delay) override;
        tlm::tlm_sync_enum nb_transport_fw(tlm::tlm_generic_payload &t,
                                           tlm::tlm_phase &phase,
                                           sc_core::sc_time &delay) override;
        bool get_direct_mem_ptr(tlm::tlm_generic_payload &t, tlm::tlm_dmi &dmi) override;
        unsigned transport_dbg(tlm::tlm_generic_payload &t) override;
        void act();

        TestMemory &m;
        tlm::tlm_target_socket<> socket;
        sim_time_t end(const tlm::tlm_generic_payload &t, sim_time_t begins);

        mem_channel channel;
        bool writes_apart = false; // They take the latency and no turn in the channel.
        bool offers_dmi = false, responding = false;
        Manners manners;
        std::mt19937 random;
        std::multimap<sim_time_t, std::pair<tlm::tlm_generic_payload *, bool>> due;
        sc_core::sc_event wake;
    };
    TestMemory(const sc_core::sc_module_name &name, unsigned ports);
    ~TestMemory() override;

    void access(tlm::tlm_generic_payload &t);
    std::function<void(const tlm::tlm_generic_payload &)> watch; // Sees each access.
    ::memory contents;
    std::uint64_t last = (UINT64_C(1) << 40) - 1; // There is nothing beyond.
    std::vector<std::unique_ptr<Port>> port;
};

struct Mapping {
    std::uint64_t pa;
    unsigned prot;
};

// Tables in a memory, for requesters 0 to devices - 1 of an architecture, one domain each.
class World
{
  public:
    // shape: which of the architecture's ways of translating. vtd_ats: legacy mode, every
    // device may have a TLB; vtd_pasid: scalable mode, too, and device i's requests have
    // PASID 5 + i. Behind it scalable mode without TLBs, where requests with that PASID and
    // without one are translated alike: first stage, second stage and both.
    enum : unsigned {
        vtd_ats = 2,
        vtd_pasid,
        vtd_first,
        vtd_second,
        vtd_nested,
    };
    World(::memory &m, const std::string &arch, unsigned shape, unsigned devices);
    // What the IOMMU is to be set to for it: "key=value".
    static std::vector<std::string> settings(const std::string &arch, unsigned shape);
    // Whether requests with a PASID are translated like those without.
    static bool has_pasids(const std::string &arch, unsigned shape);
    static bool has_two_stages(const std::string &arch, unsigned shape);
    static std::uint32_t pasid(unsigned device)
    {
        return 5 + device;
    }

    void map(unsigned device, std::uint64_t iova, std::uint64_t pa, unsigned prot);
    void unmap(unsigned device, std::uint64_t iova);
    // A page of 2 MiB, or none.
    void map_large(unsigned device, std::uint64_t iova, std::uint64_t pa, unsigned prot);
    // Of two stages: the second allows the device to write where maps lead, or not.
    void protect(unsigned device, bool writable);
    // A copy of what the tables say.
    std::optional<Mapping> find(unsigned device, std::uint64_t iova) const;

    // Register writes that switch the IOMMU on: offset, value, bytes.
    struct Write {
        std::uint32_t offset;
        std::uint64_t value;
        unsigned bytes;
    };
    std::vector<Write> enable() const;
    // Puts an invalidation of a device's page (all of the device's pages with all set) and
    // a wait into the queue; returns the register write that rings. Where devices may have
    // TLBs, they are invalidated as well, or they alone.
    Write invalidate(unsigned device, std::uint64_t iova, bool all,
                     bool only_device = false);
    // The same for the second stage of two.
    Write invalidate_second(unsigned device, bool all);
    // Memory has the status word of the last wait.
    bool waited() const;

  private:
    std::uint64_t page();
    std::uint64_t entry(unsigned device, std::uint64_t iova, unsigned level);
    std::uint8_t bits(unsigned prot) const;
    void put(std::uint64_t low, std::uint64_t high);
    void attach(unsigned device);
    void attach_pasid(unsigned device, std::uint64_t root);
    std::uint64_t second_stage(unsigned device);
    std::uint8_t second_bits(bool writable) const;
    Write ring();
    bool scalable() const;
    void put_vtd_invalidation(unsigned device, std::uint64_t iova, bool all,
                              bool only_device);

    ::memory &m_;
    std::string arch_;
    unsigned shape_, levels_ = 4;
    const pt_format *format_ = nullptr;
    std::uint64_t next_page_ = UINT64_C(0x10000000);
    std::uint64_t top_, contexts_ = 0, queue_, status_;
    std::uint32_t tail_ = 0, waits_ = 0;
    std::vector<std::uint64_t> root_;
    std::vector<std::map<std::uint64_t, Mapping>> flat_;
    std::vector<std::uint64_t> second_; // Of two stages: the table of 1 GiB leaves,
    std::vector<bool> read_only_;       // and what protect has said.
};

// One outstanding transaction at a time, in either style.
class Requester : public sc_core::sc_module, public tlm::tlm_bw_transport_if<>
{
  public:
    explicit Requester(const sc_core::sc_module_name &name)
        : sc_module(name), socket("socket")
    {
        socket.bind(*this);
    }
    // From a thread; time passes until the response.
    void blocking(tlm::tlm_generic_payload &t);
    void non_blocking(tlm::tlm_generic_payload &t);

    tlm::tlm_sync_enum nb_transport_bw(tlm::tlm_generic_payload &t, tlm::tlm_phase &phase,
                                       sc_core::sc_time &delay) override;
    void invalidate_direct_mem_ptr(sc_dt::uint64 first, sc_dt::uint64 last) override
    {
        if (invalidated)
            invalidated(first, last);
    }
    std::function<void(std::uint64_t, std::uint64_t)> invalidated;
    // Several outstanding: told of each response, and of each request that may follow.
    std::function<void(tlm::tlm_generic_payload &)> responded;
    std::function<void()> accepted;
    tlm::tlm_initiator_socket<> socket;

  private:
    sc_core::sc_event done_;
    bool is_done_ = false;
};

// A module with everything around it and a checker between every pair of sockets.
struct Bench {
    Bench(const std::string &preset, const std::string &arch, unsigned ports,
          unsigned shape = 0);
    void enable(); // From a thread.
    void write_register(const World::Write &w);
    std::uint64_t read_register(std::uint32_t offset, unsigned bytes);
    // No checker has found anything, and nothing is under way.
    void expect_clean();

    TestMemory memory;
    World world;
    Iommu iommu;
    std::vector<std::unique_ptr<Requester>> requester;
    Requester cpu;
    std::vector<std::unique_ptr<Checker>> checker;
    TestPool pool;
};

// A thread of a test.
inline void thread(const std::function<void()> &body)
{
    sc_core::sc_spawn(body);
}
} // namespace iovasim

#endif
