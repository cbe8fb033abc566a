// SPDX-License-Identifier: Apache-2.0
//
// port - an upstream socket: both coding styles, debug and direct memory.
#include <algorithm>
#include <cstring>

#include "sim/tlm/impl.hpp"

namespace iovasim
{
// ---- What is asked of a transaction

// Whether it is a translation request.
static bool asks(const tlm::tlm_generic_payload &trans)
{
    const auto *ats = trans.get_extension<Ats>();
    return ats != nullptr && ats->type == Ats::Type::translation;
}

// False: its status says what is wrong with it, or that there is nothing to do.
bool Port::check(tlm::tlm_generic_payload &trans) const
{
    const std::uint64_t length = trans.get_data_length();
    const std::uint64_t span = std::min<std::uint64_t>(length, trans.get_streaming_width());
    tlm::tlm_response_status status = tlm::TLM_INCOMPLETE_RESPONSE;
    auto *ats                       = trans.get_extension<Ats>();
    if (ats != nullptr)
        ats->status = Ats::Status::none;
    if (!impl_.ready())
        status = tlm::TLM_GENERIC_ERROR_RESPONSE;
    else if (asks(trans))
        status = trans.get_command() != tlm::TLM_IGNORE_COMMAND
                     ? tlm::TLM_COMMAND_ERROR_RESPONSE
                 : impl_.good_identity(impl_.request_of(trans, number_))
                     ? tlm::TLM_INCOMPLETE_RESPONSE
                     : tlm::TLM_GENERIC_ERROR_RESPONSE;
    else if (trans.get_command() == tlm::TLM_IGNORE_COMMAND)
        status = tlm::TLM_OK_RESPONSE;
    else if (!trans.is_read() && !trans.is_write())
        status = tlm::TLM_COMMAND_ERROR_RESPONSE;
    else if (span == 0 || length > impl_.settings.tlm.bytes_max)
        status = tlm::TLM_BURST_ERROR_RESPONSE;
    else if (trans.get_data_ptr() == nullptr)
        status = tlm::TLM_GENERIC_ERROR_RESPONSE;
    else if (trans.get_byte_enable_ptr() != nullptr && trans.get_byte_enable_length() == 0)
        status = tlm::TLM_BYTE_ENABLE_ERROR_RESPONSE;
    else if (trans.get_address() > UINT64_MAX - (span - 1))
        status = tlm::TLM_ADDRESS_ERROR_RESPONSE;
    else if (!impl_.good_identity(impl_.request_of(trans, number_)))
        status = tlm::TLM_GENERIC_ERROR_RESPONSE;
    trans.set_dmi_allowed(false);
    trans.set_response_status(status);
    return status == tlm::TLM_INCOMPLETE_RESPONSE;
}

void Port::prepare(Job &job, tlm::tlm_generic_payload &trans) const
{
    job.trans       = &trans;
    job.port        = number_;
    job.iova        = trans.get_address();
    job.translation = asks(trans);
    job.write       = trans.is_write();
    job.span        = job.translation
                          ? 1
                          : std::min(trans.get_data_length(), trans.get_streaming_width());
}

// ---- Loosely timed

void Port::wait_for_answer(Job &job, sc_core::sc_time &delay)
{
    while (!job.answered || job.time > impl_.clock.now())
        sc_core::wait(job.done);
    delay = sc_core::SC_ZERO_TIME;
}

// Parts follow each other at the socket and begin at the same time.
void Port::forward_blocking(Job &job, sc_core::sc_time &delay)
{
    std::vector<Part> parts;
    const sim_time_t begins = impl_.later(delay);
    sim_time_t ends         = begins;
    if (!impl_.parts(job, parts))
        job.status = tlm::TLM_BURST_ERROR_RESPONSE;
    for (const Part &part : parts) {
        tlm::tlm_generic_payload &t = impl_.payload_of(job, part, parts.size() == 1);
        sc_core::sc_time d          = impl_.clock.until(begins);
        impl_.module.memory->b_transport(t, d);
        ends = std::max(ends, impl_.later(d));
        impl_.part_done(job, t);
    }
    delay = impl_.clock.until(ends);
    impl_.retire(job, ends);
    impl_.carried_out(job, ends);
}

void Port::b_transport(tlm::tlm_generic_payload &trans, sc_core::sc_time &delay)
{
    if (!check(trans))
        return;
    Job &job = impl_.take_job();
    prepare(job, trans);
    job.blocking                    = true;
    const sc_core::sc_time &quantum = tlm::tlm_global_quantum::instance().get();
    impl_.translate(job, impl_.request_of(trans, number_), impl_.later(delay));
    if (quantum != sc_core::SC_ZERO_TIME)
        impl_.run_ahead(
            job, impl_.later(tlm::tlm_global_quantum::instance().compute_local_quantum()));
    impl_.schedule();
    if (job.answered && quantum != sc_core::SC_ZERO_TIME)
        delay = impl_.clock.until(job.time);
    else
        wait_for_answer(job, delay);
    if (job.faulted || job.translation) {
        impl_.retire(job, job.time);
        impl_.carried_out(job, job.time);
    } else {
        forward_blocking(job, delay);
    }
    if (job.translation)
        impl_.tell(job);
    trans.set_address(job.iova);
    trans.set_response_status(job.status);
    impl_.port_view[number_].responses++;
    impl_.give_back(job);
    impl_.schedule();
}

// ---- Approximately timed

tlm::tlm_sync_enum Port::refuse(tlm::tlm_generic_payload &trans, const char *why)
{
    SC_REPORT_WARNING(report_protocol, why);
    trans.set_response_status(tlm::TLM_GENERIC_ERROR_RESPONSE);
    return tlm::TLM_COMPLETED;
}

tlm::tlm_sync_enum Port::begin(tlm::tlm_generic_payload &trans, sim_time_t at)
{
    if (!trans.has_mm())
        return refuse(trans, "a non-blocking transaction has no memory manager");
    if (requesting_ != nullptr)
        return refuse(trans, "BEGIN_REQ before the end of the request before it");
    if (under_way_.count(&trans) > 0)
        return refuse(trans, "BEGIN_REQ of a transaction that is under way");
    if (!check(trans))
        return tlm::TLM_COMPLETED;
    trans.acquire();
    under_way_.insert(&trans);
    Job &job = impl_.take_job();
    prepare(job, trans);
    requesting_                         = &job;
    impl_.port_view[number_].requesting = true;
    held_                               = &job;
    held_at_                            = at;
    start_held(at);
    impl_.schedule();
    return tlm::TLM_ACCEPTED;
}

// Overlapping transactions, and all if so configured, go on in their order: each counts
// those that have to go on before it.
void Port::enter(Job &job)
{
    const auto wait_for = [&job](Job &earlier) {
        earlier.blocks.push_back(&job);
        job.blockers++;
    };
    const std::uint64_t reach = impl_.settings.tlm.bytes_max - 1; // No span is longer.
    const std::uint64_t last  = job.iova + (job.span - 1);
    if (impl_.settings.tlm.ordered) {
        if (!order_.empty() && order_.back()->state <= Job::State::translated)
            wait_for(*order_.back());
    } else if (!job.translation) {
        for (auto e = unsent_.lower_bound(job.iova > reach ? job.iova - reach : 0);
             e != unsent_.end() && e->first <= last; ++e)
            if (e->first + (e->second->span - 1) >= job.iova)
                wait_for(*e->second);
    }
    job.turn     = turns_++;
    job.in_order = order_.insert(order_.end(), &job);
    if (!job.translation)
        job.in_unsent = unsent_.insert({ job.iova, &job });
}

// The request goes on to the core when there are not too many before it.
void Port::start_held(sim_time_t at)
{
    if (held_ == nullptr || order_.size() >= impl_.settings.tlm.outstanding)
        return;
    Job &job = *held_;
    held_    = nullptr;
    enter(job);
    impl_.translate(job, impl_.request_of(*job.trans, number_), std::max(at, held_at_));
}

void Port::release_held()
{
    if (held_ != nullptr)
        enter(*held_);
    held_ = nullptr;
}

tlm::tlm_sync_enum Port::nb_transport_fw(tlm::tlm_generic_payload &trans,
                                         tlm::tlm_phase &phase, sc_core::sc_time &delay)
{
    const sim_time_t at = impl_.later(delay);
    if (phase == tlm::BEGIN_REQ)
        return begin(trans, at);
    if (phase == tlm::END_RESP)
        return response_ended(trans, at);
    if (phase == tlm::END_REQ || phase == tlm::BEGIN_RESP)
        SC_REPORT_WARNING(report_protocol, "a target's phase on the forward path");
    return tlm::TLM_ACCEPTED; // Others are ignorable.
}

void Port::request_accepted(Job &job)
{
    if (requesting_ != &job)
        return;
    tlm::tlm_phase phase                = tlm::END_REQ;
    sc_core::sc_time delay              = sc_core::SC_ZERO_TIME;
    requesting_                         = nullptr;
    impl_.port_view[number_].requesting = false;
    impl_.module.upstream[number_]->nb_transport_bw(*job.trans, phase, delay);
}

// Those that have waited for it alone may go on.
void Port::release(Job &job, std::map<std::uint64_t, Job *> &ready)
{
    if (!job.translation)
        unsent_.erase(job.in_unsent);
    for (Job *later : job.blocks)
        if (--later->blockers == 0 && later->state == Job::State::translated)
            ready[later->turn] = later;
    job.blocks.clear();
}

void Port::send_on(Job &job)
{
    std::vector<Part> parts;
    if (!job.faulted && !job.translation && !impl_.parts(job, parts))
        job.status = tlm::TLM_BURST_ERROR_RESPONSE;
    job.left = static_cast<unsigned>(parts.size());
    if (parts.empty()) {
        completed(job);
        return;
    }
    for (const Part &part : parts)
        impl_.memory.send(impl_.payload_of(job, part, parts.size() == 1),
                          reinterpret_cast<std::uintptr_t>(&job), impl_.clock.now());
}

// It, and whom that lets go on, in the order of their requests.
void Port::forward(Job &job)
{
    std::map<std::uint64_t, Job *> ready{ { job.turn, &job } };
    while (!ready.empty()) {
        Job &next = *ready.begin()->second;
        ready.erase(ready.begin());
        next.state = Job::State::forwarded;
        release(next, ready);
        send_on(next);
    }
}

void Port::translated(Job &job)
{
    job.state = Job::State::translated;
    if (job.blockers == 0)
        forward(job);
}

void Port::completed(Job &job)
{
    impl_.retire(job, impl_.clock.now());
    impl_.carried_out(job, impl_.clock.now());
    if (job.translation)
        impl_.tell(job);
    job.trans->set_address(job.iova);
    job.trans->set_response_status(job.status);
    if (!impl_.settings.tlm.ordered)
        responses_.push_back(&job);
    respond();
}

// The one whose response may begin: the first that was carried out, or in order the first.
Job *Port::next_response()
{
    Job *next = nullptr;
    if (impl_.settings.tlm.ordered) {
        if (!order_.empty() && order_.front()->state == Job::State::completed)
            next = order_.front();
    } else if (!responses_.empty()) {
        next = responses_.front();
        responses_.pop_front();
    }
    return next;
}

void Port::respond()
{
    while (!response_busy_) {
        Job *next = next_response();
        if (next == nullptr)
            return;
        Job &job = *next;
        if (requesting_ == &job)
            request_accepted(job);
        response_busy_                      = true;
        responding_                         = &job;
        impl_.port_view[number_].responding = true;
        tlm::tlm_phase phase                = tlm::BEGIN_RESP;
        sc_core::sc_time delay              = sc_core::SC_ZERO_TIME;
        const tlm::tlm_sync_enum answer =
            impl_.module.upstream[number_]->nb_transport_bw(*job.trans, phase, delay);
        if (responding_ == &job
            && (answer == tlm::TLM_COMPLETED
                || (answer == tlm::TLM_UPDATED && phase == tlm::END_RESP)))
            response_ended(*job.trans, impl_.later(delay));
    }
}

tlm::tlm_sync_enum Port::response_ended(const tlm::tlm_generic_payload &trans,
                                        sim_time_t at)
{
    if (responding_ == nullptr || responding_->trans != &trans) {
        SC_REPORT_WARNING(report_protocol, "END_RESP without a response");
        return tlm::TLM_COMPLETED;
    }
    Job &job    = *responding_;
    responding_ = nullptr;
    finish(job);
    impl_.note(at, Iommu::Impl::What::response_free, nullptr, number_);
    impl_.schedule();
    return tlm::TLM_COMPLETED;
}

void Port::response_free()
{
    response_busy_                      = false;
    impl_.port_view[number_].responding = false;
    start_held(impl_.clock.now());
    respond();
}

void Port::finish(Job &job)
{
    tlm::tlm_generic_payload *trans = job.trans;
    order_.erase(job.in_order);
    under_way_.erase(trans);
    impl_.port_view[number_].responses++;
    impl_.give_back(job);
    trans->release();
}

// ---- Without time

bool Port::probe(tlm::tlm_generic_payload &trans, std::uint64_t iova, std::uint8_t access,
                 CoreAnswer *answer, bool *marks)
{
    CoreRequest q = impl_.request_of(trans, number_);
    q.iova        = iova;
    q.access      = access;
    *answer       = impl_.unit->probe(q, marks);
    return answer->outcome != XLATE_faulted;
}

unsigned Port::transport_dbg(tlm::tlm_generic_payload &trans)
{
    const std::uint64_t iova = trans.get_address();
    const unsigned length    = trans.get_data_length();
    unsigned char *data      = trans.get_data_ptr();
    unsigned done            = 0;
    if (!impl_.ready() || (!trans.is_read() && !trans.is_write()) || data == nullptr
        || asks(trans) || !impl_.good_identity(impl_.request_of(trans, number_)))
        return 0;
    const unsigned width  = trans.get_streaming_width();
    unsigned char *enable = trans.get_byte_enable_ptr();
    trans.set_byte_enable_ptr(nullptr); // Neither counts here: the target need not look.
    while (done < length && iova <= UINT64_MAX - done) {
        CoreAnswer a;
        bool marks;
        const std::uint64_t at = iova + done;
        const unsigned bytes   = static_cast<unsigned>(
            std::min<std::uint64_t>(length - done, page_bytes - at % page_bytes));
        if (!probe(trans, at, trans.is_read() ? PT_READ : PT_WRITE, &a, &marks))
            break;
        trans.set_address(a.pa);
        trans.set_data_ptr(data + done);
        trans.set_data_length(bytes);
        trans.set_streaming_width(bytes);
        const unsigned got = impl_.module.memory->transport_dbg(trans);
        done += std::min(got, bytes);
        if (got < bytes)
            break;
    }
    trans.set_address(iova);
    trans.set_data_ptr(data);
    trans.set_data_length(length);
    trans.set_streaming_width(width);
    trans.set_byte_enable_ptr(enable);
    return done;
}

// The target's pointer, cut to the page and to what the page allows.
bool Port::grant(tlm::tlm_generic_payload &trans, tlm::tlm_dmi &dmi, const CoreAnswer &a,
                 unsigned access)
{
    const std::uint64_t iova = trans.get_address();
    const std::uint64_t mask = mask_lg2(a.page_lg2);
    const std::uint64_t page = iova & ~mask, pa_page = a.pa & ~mask;
    trans.set_address(a.pa);
    const bool there = impl_.module.memory->get_direct_mem_ptr(trans, dmi);
    trans.set_address(iova);
    unsigned allowed = access;
    if (!dmi.is_read_allowed())
        allowed &= ~static_cast<unsigned>(PT_READ);
    if (!dmi.is_write_allowed())
        allowed &= ~static_cast<unsigned>(PT_WRITE);
    if (!there || dmi.get_start_address() > a.pa || dmi.get_end_address() < a.pa
        || !(allowed & (trans.is_write() ? PT_WRITE : PT_READ)))
        return false;
    const std::uint64_t first = std::max<std::uint64_t>(dmi.get_start_address(), pa_page);
    const std::uint64_t last =
        std::min<std::uint64_t>(dmi.get_end_address(), pa_page | mask);
    dmi.set_dmi_ptr(dmi.get_dmi_ptr() + (first - dmi.get_start_address()));
    dmi.set_start_address(page | (first & mask));
    dmi.set_end_address(page | (last & mask));
    dmi.set_granted_access(allowed == (PT_READ | PT_WRITE)
                               ? tlm::tlm_dmi::DMI_ACCESS_READ_WRITE
                           : allowed == PT_WRITE ? tlm::tlm_dmi::DMI_ACCESS_WRITE
                                                 : tlm::tlm_dmi::DMI_ACCESS_READ);
    const Grant g{ dmi.get_start_address(),
                   dmi.get_end_address(),
                   first,
                   page,
                   page | mask,
                   a.space,
                   a.outcome == XLATE_bypassed };
    grants_[{ g.first, g.last, g.pa }] = g;
    return true;
}

bool Port::get_direct_mem_ptr(tlm::tlm_generic_payload &trans, tlm::tlm_dmi &dmi)
{
    const std::uint64_t iova = trans.get_address(), page = iova & ~(page_bytes - 1);
    CoreAnswer r, w;
    bool marks      = false;
    unsigned access = 0;
    dmi.init();
    if (impl_.ready() && (trans.is_read() || trans.is_write())
        && impl_.own_identity(impl_.request_of(trans, number_), number_)) {
        if (probe(trans, iova, PT_READ, &r, &marks) && !marks)
            access |= PT_READ;
        if (probe(trans, iova, PT_WRITE, &w, &marks) && !marks)
            access |= PT_WRITE;
    }
    if ((access & (trans.is_write() ? PT_WRITE : PT_READ))
        && grant(trans, dmi, access & PT_READ ? r : w, access))
        return true;
    dmi.init();
    dmi.set_start_address(page);
    dmi.set_end_address(page | (page_bytes - 1));
    return false;
}
} // namespace iovasim
