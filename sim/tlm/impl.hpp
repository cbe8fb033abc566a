// SPDX-License-Identifier: Apache-2.0
//
// impl - the parts of the module: its ports, and what stands between them and the core.
#ifndef SIM_TLM_IMPL_HPP
#define SIM_TLM_IMPL_HPP

#include <list>
#include <map>
#include <memory>
#include <tlm_utils/simple_target_socket.h>
#include <unordered_set>

#include "sim/tlm/initiator.hpp"
#include "sim/tlm/iovasim.hpp"
#include "sim/tlm/unit.hpp"

namespace iovasim
{
constexpr std::uint64_t page_bytes = 4096;

// Payloads of the module's own.
class Pool : public tlm::tlm_mm_interface
{
  public:
    ~Pool() override;
    tlm::tlm_generic_payload &allocate(); // With one reference.
    void free(tlm::tlm_generic_payload *trans) override;
    // A part of another shows that one's extensions until it is freed.
    void lend_extensions(tlm::tlm_generic_payload &from, tlm::tlm_generic_payload &to);
    template <typename T> void lend(T &extension, tlm::tlm_generic_payload &to)
    {
        to.set_extension(&extension);
        beside_[&to].lent.emplace_back(T::ID, &extension);
    }
    // Room for one's byte enables.
    std::vector<unsigned char> &enables(const tlm::tlm_generic_payload &trans)
    {
        return beside_[&trans].enables;
    }

  private:
    struct Beside {
        std::vector<std::pair<unsigned, tlm::tlm_extension_base *>> lent;
        std::vector<unsigned char> enables;
    };
    void take_back(tlm::tlm_generic_payload &trans);

    std::vector<tlm::tlm_generic_payload *> free_, all_;
    std::unordered_map<const tlm::tlm_generic_payload *, Beside> beside_;
};

// One transaction of a port between its request and its response.
struct Job {
    enum class State { waiting, translated, forwarded, completed };
    tlm::tlm_generic_payload *trans = nullptr;
    unsigned port                   = 0;
    bool blocking = false, faulted = false, answered = false;
    bool translation   = false; // A device asks; nothing goes to memory.
    bool write         = false;
    State state        = State::waiting;
    std::uint64_t iova = 0, span = 0; // The addresses that it touches.
    unsigned left            = 0;     // Pieces to be answered, then parts to be done.
    sim_time_t time          = 0;     // Of the last answer.
    std::uint64_t generation = 0;     // Of the core that is to translate it.
    std::uint64_t serial     = 0;     // In the order of all that have begun,
    static constexpr std::uint64_t not_begun = UINT64_MAX; // or this.
    bool begun() const
    {
        return serial != not_begun;
    }
    tlm::tlm_response_status status = tlm::TLM_OK_RESPONSE;
    std::vector<Piece> piece;
    std::vector<CoreAnswer> answer; // One for each piece.
    sc_core::sc_event done;         // Of a blocking one: answered.
    // Of a non-blocking one: how many before it have to go on first, who waits for it, and
    // where it stands in its port's lists.
    unsigned blockers  = 0;
    std::uint64_t turn = 0;
    std::vector<Job *> blocks;
    std::list<Job *>::iterator in_order;
    std::multimap<std::uint64_t, Job *>::iterator in_unsent;
};

// A physically contiguous part of a transaction.
struct Part {
    std::uint64_t pa, offset, bytes;
};

// A pointer into memory that an initiator may hold.
struct Grant {
    std::uint64_t first, last;           // As the port's addresses,
    std::uint64_t pa;                    // and where first is in memory.
    std::uint64_t page_first, page_last; // Of the page, which may be larger.
    space_t space;
    bool bypassed; // No space: only a change of contexts or registers ends it.
};

// What the module shows to sc_trace.
struct PortView {
    std::uint64_t iova = 0, pa = 0, requests = 0, translations = 0, responses = 0;
    std::uint32_t under_way            = 0;
    std::uint64_t device_invalidations = 0;
    std::uint32_t device_waiting       = 0;
    bool requesting = false, responding = false, faulted = false;
};
struct View {
    std::uint64_t memory_address = 0, memory_requests = 0;
    std::uint64_t tables_address = 0, tables_requests = 0;
    std::uint32_t queue_head = 0, queue_tail = 0, walks = 0, slots = 0;
    std::uint64_t iotlb_entries = 0, invalidations = 0, faults = 0;
};

class Port;

class Iommu::Impl : public UnitListener
{
  public:
    Impl(Iommu &module, unsigned ports);
    ~Impl() override;

    void start();       // Elaboration is over.
    void tick();        // The module's process: everything due now.
    void reset_moved(); // The reset input has changed.
    void schedule();    // Lets tick run when something is due.

    // From a loosely timed initiator's thread: on until job is answered or the limit is
    // reached.
    void run_ahead(const Job &job, sim_time_t limit);

    Job &take_job();
    void give_back(Job &job);
    // Starts the translations of a job whose trans, port and addresses are set.
    void translate(Job &job, const CoreRequest &request, sim_time_t at);
    void retire(const Job &job, sim_time_t at);
    // What a translation request is answered.
    void tell(const Job &job) const;
    // Memory has done what a job asked it to at that time.
    void carried_out(Job &job, sim_time_t at);
    // The transaction with its physical addresses; false: it streams and is not contiguous.
    bool parts(const Job &job, std::vector<Part> &out) const;
    // A payload for one part; the whole transaction itself when that is all.
    tlm::tlm_generic_payload &payload_of(Job &job, const Part &part, bool whole);
    void part_done(Job &job, tlm::tlm_generic_payload &trans);
    CoreRequest request_of(const tlm::tlm_generic_payload &trans, unsigned port) const;
    bool good_identity(const CoreRequest &request) const;
    bool own_identity(const CoreRequest &request, unsigned port) const;
    sim_time_t later(const sc_core::sc_time &delay) const
    {
        return clock.later(delay);
    }

    // What happens at a time that may be ahead of the simulation's.
    enum class What { accepted, translated, completed, response_free, wire_up, wire_down };
    void note(sim_time_t at, What what, Job *job, unsigned number = 0);

    // Of UnitListener.
    void accepted(Piece *last, sim_time_t at) override;
    void answered(Piece *piece, const CoreAnswer &answer, sim_time_t at) override;
    void read(unsigned place, std::uint64_t pa, std::uint32_t words,
              sim_time_t at) override;
    void write(memport_write kind, std::uint64_t pa, const void *data, std::uint32_t bytes,
               sim_time_t at) override;
    bool set_bits(std::uint64_t pa, std::uint64_t bits) override;
    bool peek(std::uint64_t pa, std::uint32_t words, std::uint64_t *data) override;
    void interrupted(std::uint64_t address, std::uint32_t data, sim_time_t at) override;
    void wire(unsigned vector, bool high, sim_time_t at) override;
    bool invalidate_device(const port_invalidation &i, sim_time_t at) override;
    void invalidated(const inv_selector *selector) override;

    void register_access(tlm::tlm_generic_payload &trans, sc_core::sc_time &delay);
    unsigned register_debug(tlm::tlm_generic_payload &trans);

    Iommu &module;
    Clock clock;
    ::settings settings;
    std::uint64_t seed = 1;
    std::vector<std::uint32_t> requester; // Of each port,
    std::vector<bool> has_requester;      // and whether anybody has said so.
    sc_core::sc_event wake;
    tlm_utils::simple_target_socket<Impl> registers;
    Initiator memory, tables;
    std::vector<std::unique_ptr<Initiator>> device_tlb; // Of each port.
    std::unique_ptr<Unit> unit;
    std::uint64_t generation = 0; // Resets so far.
    bool in_reset            = false;
    bool ready() const // Neither elaboration nor reset.
    {
        return unit != nullptr && !in_reset;
    }
    std::vector<std::unique_ptr<Port>> port;
    View view;
    std::vector<PortView> port_view;
    Pool pool;

  private:
    struct TableAccess {
        enum class Kind { read, status, record, message };
        Kind kind;
        unsigned place;
        std::uint64_t generation;
        std::vector<std::uint64_t> data;
        bool done;
        sim_time_t at;
    };
    // An Invalidate Request under way, and a completion that waits for earlier writes.
    struct Message {
        unsigned port;
        std::uint64_t generation;
        std::uint16_t requester;
        unsigned tag;
        Invalidation body;  // What the device is shown; it may write to it.
        std::uint64_t data; // As on the link.
    };
    struct DeviceAnswer {
        unsigned port;
        std::uint16_t requester;
        unsigned tag;
        std::uint64_t before; // The first job that has begun later.
        sim_time_t at;
    };
    struct Event {
        What what;
        Job *job;
        unsigned number;
    };

    void send_table_access(TableAccess::Kind kind, unsigned place, tlm::tlm_command command,
                           std::uint64_t pa, const void *data, std::uint32_t bytes,
                           sim_time_t at);
    void table_access_done(tlm::tlm_generic_payload &trans, TableAccess &access,
                           sim_time_t at);
    void writes_done(std::deque<TableAccess *> &queue, memport_write kind);
    void carry_out_table_accesses(); // Blocking, in the calling thread.
    void take_completions();
    void device_has_answered(tlm::tlm_generic_payload &trans, Message &message,
                             sim_time_t at);
    void release_device_answers();
    std::size_t port_of_device(std::uint32_t device) const;
    bool writes_under_way(const DeviceAnswer &a) const;
    void forget_old_core(sim_time_t now);
    void catch_up(sc_core::sc_time &delay);
    void handle(const Event &event);
    void revoke();
    void new_unit();
    void look();
    static void memory_invalidated(void *self, std::uint64_t first, std::uint64_t last);

    std::multimap<sim_time_t, Event> events_;
    sim_time_t settled_ = TIME_NEVER; // The time of which all inputs are there.
    std::vector<std::unique_ptr<Job>> jobs_;
    std::vector<Job *> free_jobs_;
    std::deque<TableAccess *> status_writes_, record_writes_;
    std::list<Message> messages_;
    std::list<DeviceAnswer> device_answers_;
    std::map<std::uint32_t, unsigned> device_port_; // Who has asked for translations where.
    std::uint64_t jobs_begun_ = 0;
    std::vector<sim_time_t> writes_end_; // Of each port.
    std::uint32_t wires_high_ = 0;
    bool revoke_all_          = false;
    std::vector<inv_selector> revoked_;
    std::vector<std::unique_ptr<TableAccess>> accesses_;
    std::vector<TableAccess *> free_accesses_;
};

class Port : public tlm::tlm_fw_transport_if<>
{
  public:
    Port(Iommu::Impl &impl, unsigned number) : impl_(impl), number_(number)
    {
    }

    void b_transport(tlm::tlm_generic_payload &trans, sc_core::sc_time &delay) override;
    tlm::tlm_sync_enum nb_transport_fw(tlm::tlm_generic_payload &trans,
                                       tlm::tlm_phase &phase,
                                       sc_core::sc_time &delay) override;
    bool get_direct_mem_ptr(tlm::tlm_generic_payload &trans, tlm::tlm_dmi &dmi) override;
    unsigned transport_dbg(tlm::tlm_generic_payload &trans) override;

    // The events of a non-blocking job, at their times, from the module's process.
    void request_accepted(Job &job);
    void translated(Job &job);
    void completed(Job &job);
    void response_free();
    // Reset: the request that was held back is to be answered like the others.
    void release_held();

    // Takes back the pointers for which the rule says so.
    template <typename Rule> void revoke(const Rule &rule)
    {
        std::vector<Grant> gone;
        for (auto g = grants_.begin(); g != grants_.end();) {
            if (rule(g->second)) {
                gone.push_back(g->second);
                g = grants_.erase(g);
            } else {
                ++g;
            }
        }
        for (const Grant &g : gone)
            impl_.module.upstream[number_]->invalidate_direct_mem_ptr(g.first, g.last);
    }

  private:
    bool check(tlm::tlm_generic_payload &trans) const;
    tlm::tlm_sync_enum refuse(tlm::tlm_generic_payload &trans, const char *why);
    tlm::tlm_sync_enum begin(tlm::tlm_generic_payload &trans, sim_time_t at);
    tlm::tlm_sync_enum response_ended(const tlm::tlm_generic_payload &trans, sim_time_t at);
    void start_held(sim_time_t at);
    void prepare(Job &job, tlm::tlm_generic_payload &trans) const;
    void forward_blocking(Job &job, sc_core::sc_time &delay);
    void wait_for_answer(Job &job, sc_core::sc_time &delay);
    void enter(Job &job);
    void forward(Job &job);
    void release(Job &job, std::map<std::uint64_t, Job *> &ready);
    void send_on(Job &job);
    Job *next_response();
    void respond();
    void finish(Job &job);
    bool probe(tlm::tlm_generic_payload &trans, std::uint64_t iova, std::uint8_t access,
               CoreAnswer *answer, bool *marks);
    bool grant(tlm::tlm_generic_payload &trans, tlm::tlm_dmi &dmi, const CoreAnswer &a,
               unsigned access);

    Iommu::Impl &impl_;
    unsigned number_;
    std::list<Job *> order_; // Non-blocking ones, in the order of their requests.
    std::multimap<std::uint64_t, Job *> unsent_; // Those that have not gone on, by address.
    std::unordered_set<const tlm::tlm_generic_payload *> under_way_;
    std::uint64_t turns_ = 0;
    Job *requesting_     = nullptr; // Its request has not ended.
    Job *held_           = nullptr; // ... and has not begun inside: there are too many.
    Job *responding_     = nullptr; // Its response has not ended.
    sim_time_t held_at_  = 0;
    bool response_busy_  = false;
    std::deque<Job *> responses_; // Carried out; unless they are in order.
    // By first, last and memory address: one range may have been given out twice.
    std::map<std::array<std::uint64_t, 3>, Grant> grants_;
};
} // namespace iovasim

#endif
