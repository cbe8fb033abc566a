// SPDX-License-Identifier: Apache-2.0
//
// initiator - the initiator's side of the base protocol, for several transactions under
// way on one socket.
//
// Non-blocking: BEGIN_REQ as soon as the one before it has ended; a response is accepted at
// once. Nothing is called back from inside a call of the target: completions wait in a list
// that the module's process takes.
#ifndef SIM_TLM_INITIATOR_HPP
#define SIM_TLM_INITIATOR_HPP

#include <deque>
#include <systemc>
#include <tlm>
#include <unordered_map>
#include <vector>

#include "sim/tlm/clock.hpp"

namespace iovasim
{
class Initiator : public tlm::tlm_bw_transport_if<>
{
  public:
    struct Completion {
        tlm::tlm_generic_payload *trans;
        std::uint64_t tag;
        sim_time_t at;
    };

    using Socket = tlm::tlm_base_initiator_socket_b<32, tlm::tlm_fw_transport_if<>,
                                                    tlm::tlm_bw_transport_if<>>;

    // kick: to be notified when the module's process has something to do.
    Initiator(Socket &socket, const Clock &clock, sc_core::sc_event &kick);

    // Begins at that time or when those before it have been accepted. trans has a memory
    // manager and stays the caller's until its completion.
    void send(tlm::tlm_generic_payload &trans, std::uint64_t tag, sim_time_t at);

    // Begins what can begin now; from the module's process.
    void pump(sim_time_t now);
    // The oldest of what send was given, not begun yet, for who carries it out himself.
    bool take_unsent(tlm::tlm_generic_payload **trans, std::uint64_t *tag, sim_time_t *at);
    // When pump has something to do next, TIME_NEVER: when a target has answered.
    sim_time_t next() const;

    // What has ended: response at a time that may be ahead.
    std::vector<Completion> take_completed();
    std::size_t under_way() const
    {
        return under_way_.size() + unsent_.size();
    }

    // The target's pointers into memory are void: told to who has handed them out.
    void (*invalidate)(void *self, std::uint64_t first, std::uint64_t last) = nullptr;
    void *invalidate_self                                                   = nullptr;

    tlm::tlm_sync_enum nb_transport_bw(tlm::tlm_generic_payload &trans,
                                       tlm::tlm_phase &phase,
                                       sc_core::sc_time &delay) override;
    void invalidate_direct_mem_ptr(sc_dt::uint64 first, sc_dt::uint64 last) override;

  private:
    struct Unsent {
        tlm::tlm_generic_payload *trans;
        std::uint64_t tag;
        sim_time_t at;
    };
    struct Response {
        tlm::tlm_generic_payload *trans;
        sim_time_t at;
    };
    void begin(const Unsent &u);
    void request_ended(const tlm::tlm_generic_payload &trans, sim_time_t at);
    void complete(tlm::tlm_generic_payload &trans, sim_time_t at);

    Socket &socket_;
    const Clock &clock_;
    sc_core::sc_event &kick_;
    std::deque<Unsent> unsent_;
    std::unordered_map<tlm::tlm_generic_payload *, std::uint64_t> under_way_;
    const tlm::tlm_generic_payload *requesting_ = nullptr; // Its request has not ended.
    sim_time_t free_at_                         = 0;       // Of the request channel.
    std::deque<Response> unacknowledged_;                  // Wait for their END_RESP.
    std::vector<Completion> completed_;
};
} // namespace iovasim

#endif
