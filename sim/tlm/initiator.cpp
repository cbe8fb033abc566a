// SPDX-License-Identifier: Apache-2.0
#include "sim/tlm/initiator.hpp"

#include <algorithm>

#include "sim/tlm/iovasim.hpp"

namespace iovasim
{
Initiator::Initiator(Socket &socket, const Clock &clock, sc_core::sc_event &kick)
    : socket_(socket), clock_(clock), kick_(kick)
{
    socket_.get_base_export().bind(*this);
}

void Initiator::send(tlm::tlm_generic_payload &trans, std::uint64_t tag, sim_time_t at)
{
    auto place = unsent_.end();
    while (place != unsent_.begin() && std::prev(place)->at > at)
        --place;
    unsent_.insert(place, { &trans, tag, at });
}

bool Initiator::take_unsent(tlm::tlm_generic_payload **trans, std::uint64_t *tag,
                            sim_time_t *at)
{
    if (unsent_.empty())
        return false;
    *trans = unsent_.front().trans;
    *tag   = unsent_.front().tag;
    *at    = unsent_.front().at;
    unsent_.pop_front();
    return true;
}

void Initiator::begin(const Unsent &u)
{
    tlm::tlm_phase phase   = tlm::BEGIN_REQ;
    sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
    requesting_            = u.trans;
    under_way_[u.trans]    = u.tag;
    switch (socket_.get_base_port()->nb_transport_fw(*u.trans, phase, delay)) {
    case tlm::TLM_ACCEPTED:
        return;
    case tlm::TLM_COMPLETED:
        request_ended(*u.trans, clock_.later(delay));
        complete(*u.trans, clock_.later(delay));
        return;
    case tlm::TLM_UPDATED:
        request_ended(*u.trans, clock_.later(delay));
        if (phase == tlm::BEGIN_RESP)
            unacknowledged_.push_back({ u.trans, clock_.later(delay) });
        return;
    }
}

void Initiator::pump(sim_time_t now)
{
    while (!unacknowledged_.empty() && unacknowledged_.front().at <= now) {
        const Response r = unacknowledged_.front();
        unacknowledged_.pop_front();
        tlm::tlm_phase phase   = tlm::END_RESP;
        sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
        r.trans->acquire();
        complete(*r.trans, now);
        socket_.get_base_port()->nb_transport_fw(*r.trans, phase, delay);
        r.trans->release();
    }
    while (requesting_ == nullptr && free_at_ <= now && !unsent_.empty()
           && unsent_.front().at <= now) {
        const Unsent u = unsent_.front();
        unsent_.pop_front();
        begin(u);
    }
}

sim_time_t Initiator::next() const
{
    sim_time_t t = unacknowledged_.empty() ? TIME_NEVER : unacknowledged_.front().at;
    if (requesting_ == nullptr && !unsent_.empty())
        t = std::min(t, std::max(free_at_, unsent_.front().at));
    return t;
}

void Initiator::request_ended(const tlm::tlm_generic_payload &trans, sim_time_t at)
{
    if (requesting_ != &trans)
        return;
    requesting_ = nullptr;
    free_at_    = at;
}

void Initiator::complete(tlm::tlm_generic_payload &trans, sim_time_t at)
{
    const auto found = under_way_.find(&trans);
    if (found == under_way_.end()) {
        SC_REPORT_WARNING(report_protocol,
                          "a target has answered what it was not asked, or twice");
        return;
    }
    completed_.push_back({ &trans, found->second, at });
    under_way_.erase(found);
}

std::vector<Initiator::Completion> Initiator::take_completed()
{
    std::vector<Completion> taken;
    taken.swap(completed_);
    return taken;
}

tlm::tlm_sync_enum Initiator::nb_transport_bw(tlm::tlm_generic_payload &trans,
                                              tlm::tlm_phase &phase,
                                              sc_core::sc_time &delay)
{
    const sim_time_t at = clock_.later(delay);
    if (phase == tlm::END_REQ) {
        request_ended(trans, at);
        kick_.notify(sc_core::SC_ZERO_TIME);
        return tlm::TLM_ACCEPTED;
    }
    if (phase != tlm::BEGIN_RESP)
        return tlm::TLM_ACCEPTED; // An ignorable phase.
    request_ended(trans, at);
    complete(trans, at);
    kick_.notify(sc_core::SC_ZERO_TIME);
    return tlm::TLM_COMPLETED;
}

void Initiator::invalidate_direct_mem_ptr(sc_dt::uint64 first, sc_dt::uint64 last)
{
    if (invalidate != nullptr)
        invalidate(invalidate_self, first, last);
}
} // namespace iovasim
