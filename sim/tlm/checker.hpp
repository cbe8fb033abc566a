// SPDX-License-Identifier: Apache-2.0
//
// checker - stands between two sockets and holds both sides against the base protocol.
//
// It passes everything on unchanged and in no time. What it finds is kept as text, one line
// each; the rules are those of IEEE 1666-2011, clauses 11 (transport interfaces), 14 (the
// generic payload) and 15 (the base protocol).
#ifndef SIM_TLM_CHECKER_HPP
#define SIM_TLM_CHECKER_HPP

#include <string>
#include <systemc>
#include <tlm>
#include <unordered_map>
#include <vector>

namespace iovasim
{
class Checker : public sc_core::sc_module,
                public tlm::tlm_fw_transport_if<>,
                public tlm::tlm_bw_transport_if<>
{
  public:
    explicit Checker(const sc_core::sc_module_name &name)
        : sc_module(name), in("in"), out("out")
    {
        in.bind(*this);
        out.bind(*this);
    }
    tlm::tlm_target_socket<> in;
    tlm::tlm_initiator_socket<> out;

    const std::vector<std::string> &violations() const
    {
        return violations_;
    }
    std::size_t under_way() const
    {
        return under_way_.size();
    }
    std::uint64_t blocking = 0, non_blocking = 0, direct = 0, invalidated = 0, debug = 0;

    void b_transport(tlm::tlm_generic_payload &t, sc_core::sc_time &delay) override
    {
        const Attributes before = attributes(t);
        blocking++;
        check_request(t);
        out->b_transport(t, delay);
        expect(attributes(t) == before, "an attribute of the initiator's was changed");
        expect(t.get_response_status() != tlm::TLM_INCOMPLETE_RESPONSE,
               "b_transport returns without a response status");
    }

    tlm::tlm_sync_enum nb_transport_fw(tlm::tlm_generic_payload &t, tlm::tlm_phase &phase,
                                       sc_core::sc_time &delay) override
    {
        const sc_core::sc_time at = sc_core::sc_time_stamp() + delay;
        const bool begins         = phase == tlm::BEGIN_REQ;
        if (begins)
            begin_request(t, at);
        else if (phase == tlm::END_RESP)
            end_response(t, at);
        else
            expect(false, "the forward path has BEGIN_REQ and END_RESP only");
        // From here on the transaction may end at any time, even inside the call.
        const tlm::tlm_sync_enum answer = out->nb_transport_fw(t, phase, delay);
        const sc_core::sc_time then     = sc_core::sc_time_stamp() + delay;
        if (!begins)
            return answer;
        if (answer == tlm::TLM_COMPLETED) {
            end_request(t, then, false);
            begin_response(t, then);
            end_response(t, then);
        } else if (answer == tlm::TLM_UPDATED && phase == tlm::END_REQ) {
            end_request(t, then, true);
        } else if (answer == tlm::TLM_UPDATED) {
            expect(phase == tlm::BEGIN_RESP, "TLM_UPDATED with a phase that cannot follow");
            end_request(t, then, false);
            begin_response(t, then);
        }
        return answer;
    }

    tlm::tlm_sync_enum nb_transport_bw(tlm::tlm_generic_payload &t, tlm::tlm_phase &phase,
                                       sc_core::sc_time &delay) override
    {
        const sc_core::sc_time at = sc_core::sc_time_stamp() + delay;
        const bool responds       = phase == tlm::BEGIN_RESP;
        if (phase == tlm::END_REQ) {
            end_request(t, at, true);
        } else if (responds) {
            end_request(t, at, false);
            begin_response(t, at);
        } else {
            expect(false, "the backward path has END_REQ and BEGIN_RESP only");
        }
        t.acquire();
        const tlm::tlm_sync_enum answer = in->nb_transport_bw(t, phase, delay);
        const sc_core::sc_time then     = sc_core::sc_time_stamp() + delay;
        if (!responds)
            expect(answer == tlm::TLM_ACCEPTED, "END_REQ is answered with TLM_ACCEPTED");
        else if (answer == tlm::TLM_COMPLETED
                 || (answer == tlm::TLM_UPDATED && phase == tlm::END_RESP))
            end_response(t, then);
        else
            expect(answer == tlm::TLM_ACCEPTED,
                   "TLM_UPDATED with a phase that cannot follow");
        t.release();
        return answer;
    }

    bool get_direct_mem_ptr(tlm::tlm_generic_payload &t, tlm::tlm_dmi &dmi) override
    {
        const sc_dt::uint64 address = t.get_address();
        const bool granted          = out->get_direct_mem_ptr(t, dmi);
        direct += granted;
        expect(dmi.get_start_address() <= dmi.get_end_address(), "an empty DMI range");
        if (!granted)
            return false;
        expect(dmi.get_dmi_ptr() != nullptr, "a DMI range without a pointer");
        expect(dmi.get_start_address() <= address && address <= dmi.get_end_address(),
               "a DMI range without the address that was asked for");
        expect(t.is_write() ? dmi.is_write_allowed() : dmi.is_read_allowed(),
               "a DMI range without the access that was asked for");
        return true;
    }

    unsigned transport_dbg(tlm::tlm_generic_payload &t) override
    {
        debug++;
        const unsigned done = out->transport_dbg(t);
        expect(done <= t.get_data_length(), "more bytes than were asked for");
        return done;
    }

    void invalidate_direct_mem_ptr(sc_dt::uint64 first, sc_dt::uint64 last) override
    {
        invalidated++;
        expect(first <= last, "an empty invalidated range");
        in->invalidate_direct_mem_ptr(first, last);
    }

  private:
    enum class Phase { request, accepted, response };
    struct Attributes {
        tlm::tlm_command command;
        unsigned length, streaming, enables;
        const unsigned char *data, *enable;
        bool operator==(const Attributes &o) const
        {
            return command == o.command && length == o.length && streaming == o.streaming
                   && enables == o.enables && data == o.data && enable == o.enable;
        }
    };
    struct Flight {
        Phase phase;
        sc_core::sc_time at; // Of that phase.
        Attributes attributes;
    };

    static Attributes attributes(const tlm::tlm_generic_payload &t)
    {
        return { t.get_command(),         t.get_data_length(),
                 t.get_streaming_width(), t.get_byte_enable_length(),
                 t.get_data_ptr(),        t.get_byte_enable_ptr() };
    }

    void expect(bool good, const char *what)
    {
        if (!good)
            violations_.push_back(std::string(name()) + ": " + what + " at "
                                  + sc_core::sc_time_stamp().to_string());
    }

    void check_request(const tlm::tlm_generic_payload &t)
    {
        expect(t.get_response_status() == tlm::TLM_INCOMPLETE_RESPONSE,
               "a request whose response status is set");
        expect(!t.is_dmi_allowed(), "a request with the DMI hint set");
        expect(t.get_data_length() > 0, "a request without data");
        expect(t.get_streaming_width() > 0, "a request with streaming width 0");
        expect(t.get_data_ptr() != nullptr, "a request without a data pointer");
    }

    void begin_request(tlm::tlm_generic_payload &t, const sc_core::sc_time &at)
    {
        non_blocking++;
        check_request(t);
        expect(t.has_mm(), "a non-blocking transaction without a memory manager");
        expect(!t.has_mm() || t.get_ref_count() > 0, "a transaction without a reference");
        expect(!requesting_, "BEGIN_REQ while a request has not ended");
        expect(at >= request_free_, "BEGIN_REQ before the END_REQ before it takes effect");
        expect(under_way_.count(&t) == 0, "BEGIN_REQ of a transaction that is under way");
        requesting_    = true;
        under_way_[&t] = { Phase::request, at, attributes(t) };
    }

    void end_request(tlm::tlm_generic_payload &t, const sc_core::sc_time &at, bool told)
    {
        const auto f = under_way_.find(&t);
        if (f == under_way_.end()) {
            expect(false, "the end of a request that did not begin");
            return;
        }
        if (f->second.phase != Phase::request) {
            expect(!told, "END_REQ twice");
            return;
        }
        expect(at >= f->second.at, "END_REQ before its BEGIN_REQ");
        f->second.phase = Phase::accepted;
        f->second.at    = at;
        requesting_     = false;
        request_free_   = at;
    }

    void begin_response(tlm::tlm_generic_payload &t, const sc_core::sc_time &at)
    {
        const auto f = under_way_.find(&t);
        if (f == under_way_.end()) {
            expect(false, "a response without a request");
            return;
        }
        expect(f->second.phase == Phase::accepted, "BEGIN_RESP twice");
        expect(at >= f->second.at, "BEGIN_RESP before END_REQ");
        expect(!responding_, "BEGIN_RESP while a response has not ended");
        expect(at >= response_free_, "BEGIN_RESP before the END_RESP before it");
        expect(t.get_response_status() != tlm::TLM_INCOMPLETE_RESPONSE,
               "BEGIN_RESP without a response status");
        expect(attributes(t) == f->second.attributes,
               "an attribute of the initiator's was changed");
        f->second.phase = Phase::response;
        f->second.at    = at;
        responding_     = true;
    }

    void end_response(tlm::tlm_generic_payload &t, const sc_core::sc_time &at)
    {
        const auto f = under_way_.find(&t);
        if (f == under_way_.end() || f->second.phase != Phase::response) {
            expect(false, "END_RESP without a response");
            return;
        }
        expect(at >= f->second.at, "END_RESP before its BEGIN_RESP");
        under_way_.erase(f);
        responding_    = false;
        response_free_ = at;
    }

    std::unordered_map<tlm::tlm_generic_payload *, Flight> under_way_;
    bool requesting_ = false, responding_ = false;
    sc_core::sc_time request_free_, response_free_;
    std::vector<std::string> violations_;
};
} // namespace iovasim

#endif
