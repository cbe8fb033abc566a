// SPDX-License-Identifier: Apache-2.0
//
// unit - one IOMMU core in its own time: inputs are given with their times, effects are
// told with theirs. Nothing here knows of SystemC or TLM.
//
// The core may be advanced beyond the simulation's time, when a loosely timed initiator
// has run ahead; then inputs of an earlier time take effect at the core's.
#ifndef SIM_TLM_UNIT_HPP
#define SIM_TLM_UNIT_HPP

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

// In C a function may be called like a struct.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
extern "C" {
#include "iommu_model/arch.h"
#include "sim/tlm/settings.h"
}
#pragma GCC diagnostic pop

namespace iovasim
{
using CoreRequest = struct iommu_request;
using CoreAnswer  = struct iommu_response;
struct Job;

// What one look-up translates: at most a page of a transaction.
struct Piece {
    CoreRequest request{};
    unsigned port  = 0;
    bool last      = false; // Of its train.
    Job *job       = nullptr;
    unsigned index = 0; // In its job.
};

// Told while the core is stepped: they may only take note.
class UnitListener
{
  public:
    virtual ~UnitListener() = default;
    // The last piece of a train was taken into the core's queue.
    virtual void accepted(Piece *last, sim_time_t at)                                  = 0;
    virtual void answered(Piece *piece, const CoreAnswer &answer, sim_time_t at)       = 0;
    virtual void read(unsigned place, std::uint64_t pa, std::uint32_t words,
                      sim_time_t at)                                                   = 0;
    virtual void write(memport_write kind, std::uint64_t pa, const void *data,
                       std::uint32_t bytes, sim_time_t at)                             = 0;
    virtual bool set_bits(std::uint64_t pa, std::uint64_t bits)                        = 0;
    virtual bool peek(std::uint64_t pa, std::uint32_t words, std::uint64_t *data)      = 0;
    virtual void interrupted(std::uint64_t address, std::uint32_t data, sim_time_t at) = 0;
    virtual void wire(unsigned vector, bool high, sim_time_t at)                       = 0;
    // An Invalidate Request; false: there is no such device.
    virtual bool invalidate_device(const port_invalidation &i, sim_time_t at) = 0;
    virtual void invalidated(const inv_selector *selector)                    = 0;
};

class Unit
{
  public:
    Unit(const settings &s, std::uint64_t seed, unsigned ports, UnitListener &listener);
    ~Unit();
    Unit(const Unit &)            = delete;
    Unit &operator=(const Unit &) = delete;

    // A transaction's pieces in their order; they stay the caller's until answered.
    void submit(const std::vector<Piece *> &train, sim_time_t at);
    // The access that used this translation is over.
    void retire(std::uint32_t epoch, sim_time_t at);
    // data empty: there is no such memory.
    void arrived(unsigned place, const std::vector<std::uint64_t> &data, sim_time_t at);
    void written(memport_write kind, sim_time_t at);
    // A device has forgotten what the invalidation of this tag says.
    void device_answered(std::uint16_t requester, unsigned tag, sim_time_t at);

    // Registers at that time: everything earlier has happened, nothing of that time.
    void write_register(std::uint32_t offset, std::uint64_t value, unsigned bytes,
                        sim_time_t at);
    std::uint64_t read_register(std::uint32_t offset, unsigned bytes, sim_time_t at);

    std::uint32_t peek_register(std::uint32_t offset) // Without effect; aligned to 4.
    {
        return static_cast<std::uint32_t>(iommu_mmio_ops.read(m_.get(), offset, 4, now_));
    }

    // The next time at which something happens, TIME_NEVER if nothing does by itself.
    sim_time_t next() const;
    // Everything up to and including that time happens.
    void advance(sim_time_t until);
    sim_time_t now() const
    {
        return now_;
    }

    CoreAnswer probe(const CoreRequest &request, bool *marks);
    const iommu &model() const
    {
        return *m_;
    }
    std::uint32_t window_bytes() const
    {
        return m_->arch->window_bytes;
    }

  private:
    enum class Kind { submit, retire, arrived, written, device_answered };
    struct Input {
        sim_time_t at;
        Kind kind;
        std::uint32_t number; // Epoch, place, kind of write or requester.
        bool there;
        std::array<std::uint64_t, MEMPORT_WORDS_MAX> data;
        std::vector<Piece *> train;
    };
    struct Client {
        sim_time_t due = TIME_NEVER;
        unsigned id    = 0;
        std::deque<Piece *> waiting;
    };
    void put(Input input);
    void apply(const Input &input);
    void pump(Client &c);
    void take(Client &c);
    Client *due_client(sim_time_t at);
    std::uint32_t new_id(Piece *piece);

    UnitListener &listener_;
    std::unique_ptr<iommu> m_;
    memport_remote remote_;
    iommu_watcher watcher_;
    mem_channel channel_;
    sim_time_t due_ = TIME_NEVER, now_ = 0;
    std::deque<Input> inputs_; // In order of time, then of arrival.
    std::deque<Client> clients_;
    std::vector<Piece *> by_id_;
    std::vector<std::uint32_t> free_ids_;
};
} // namespace iovasim

#endif
