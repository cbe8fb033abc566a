// SPDX-License-Identifier: Apache-2.0
//
// iovasim_libsystemctlm - a port of the IOMMU for devices that follow libsystemctlm-soc's
// conventions: genattr_extension says who they are, atsattr_extension carries ATS.
//
// It needs that library's headers tlm-extensions/genattr.h and tlm-extensions/atsattr.h in
// the include path, and SC_INCLUDE_DYNAMIC_PROCESSES defined. docs/tlm.md has an example.
//
// Not carried, as the conventions have no place for it: PASIDs (a device may attach a
// Request of its own, which is left as it is), why a translation request was refused, and
// what refers to a PASID in an invalidation: the device forgets the addresses of all.
// secure and the other attributes mean nothing to this IOMMU; they travel on with the
// transaction.
#ifndef IOVASIM_LIBSYSTEMCTLM_HPP
#define IOVASIM_LIBSYSTEMCTLM_HPP

#include <algorithm>
#include <iovasim.hpp>
#include <tlm-extensions/atsattr.h>
#include <tlm-extensions/genattr.h>
#include <tlm_utils/simple_initiator_socket.h>
#include <tlm_utils/simple_target_socket.h>
#include <unordered_map>

namespace iovasim
{
class LibsystemctlmPort : public sc_core::sc_module,
                          public tlm::tlm_fw_transport_if<>,
                          public tlm::tlm_bw_transport_if<>
{
  public:
    // Stands in front of that port of the IOMMU and binds its sockets.
    LibsystemctlmPort(const sc_core::sc_module_name &name, Iommu &iommu, unsigned port = 0)
        : sc_module(name), dma("dma"), ats_req("ats_req"), ats_inv("ats_inv"), out_("out"),
          forget_("forget")
    {
        dma.bind(*this);
        out_.bind(*this);
        out_.bind(iommu.upstream[port]);
        iommu.device_tlb[port].bind(forget_);
        ats_req.register_b_transport(this, &LibsystemctlmPort::ask);
        forget_.register_b_transport(this, &LibsystemctlmPort::forget);
    }

    // The device's transactions: master_id is the requester, and ATTR_PHYS_ADDR says that
    // the address is translated. Without genattr_extension: the port's requester.
    tlm::tlm_target_socket<> dma;
    // Translation requests: TLM_IGNORE_COMMAND and attributes that are wanted. Answered
    // with the address and length of the page and what it allows, or with RESULT_ERROR.
    tlm_utils::simple_target_socket<LibsystemctlmPort> ats_req;
    // Invalidations of length bytes from the address on; b_transport, and its return is the
    // completion. May stay unbound.
    tlm_utils::simple_initiator_socket_optional<LibsystemctlmPort> ats_inv;

  private:
    // What a transaction wears on its way to the IOMMU.
    struct Marks {
        Request who;
        Ats how;
    };

    static void identify(Request &who, const genattr_extension &attributes)
    {
        // One that is too wide for any architecture stays so.
        who.requester = static_cast<std::uint32_t>(
            std::min<std::uint64_t>(attributes.get_master_id(), UINT32_MAX));
    }
    static void put_on(tlm::tlm_generic_payload &t, Marks &marks)
    {
        const auto *gen = t.get_extension<genattr_extension>();
        const auto *ats = t.get_extension<atsattr_extension>();
        if (gen != nullptr && t.get_extension<Request>() == nullptr) {
            identify(marks.who, *gen);
            t.set_extension(&marks.who);
        }
        if (ats != nullptr && (ats->get_attributes() & atsattr_extension::ATTR_PHYS_ADDR)
            && t.get_extension<Ats>() == nullptr) {
            marks.how.type = Ats::Type::translated;
            t.set_extension(&marks.how);
        }
    }
    static void take_off(tlm::tlm_generic_payload &t, const Marks &marks)
    {
        if (t.get_extension<Request>() == &marks.who)
            t.clear_extension<Request>();
        if (t.get_extension<Ats>() == &marks.how)
            t.clear_extension<Ats>();
    }
    void over(tlm::tlm_generic_payload &t)
    {
        const auto m = under_way_.find(&t);
        if (m == under_way_.end())
            return;
        take_off(t, m->second);
        under_way_.erase(m);
    }

    // ---- The device's transactions
    void b_transport(tlm::tlm_generic_payload &t, sc_core::sc_time &delay) override
    {
        Marks marks;
        put_on(t, marks);
        out_->b_transport(t, delay);
        take_off(t, marks);
    }
    tlm::tlm_sync_enum nb_transport_fw(tlm::tlm_generic_payload &t, tlm::tlm_phase &phase,
                                       sc_core::sc_time &delay) override
    {
        if (phase == tlm::END_RESP) // The IOMMU may let go of it.
            over(t);
        if (phase != tlm::BEGIN_REQ)
            return out_->nb_transport_fw(t, phase, delay);
        const bool fresh = under_way_.count(&t) == 0;
        if (fresh)
            put_on(t, under_way_[&t]);
        const tlm::tlm_sync_enum answer = out_->nb_transport_fw(t, phase, delay);
        if (answer == tlm::TLM_COMPLETED && fresh)
            over(t);
        return answer;
    }
    tlm::tlm_sync_enum nb_transport_bw(tlm::tlm_generic_payload &t, tlm::tlm_phase &phase,
                                       sc_core::sc_time &delay) override
    {
        const bool response             = phase == tlm::BEGIN_RESP;
        const tlm::tlm_sync_enum answer = dma->nb_transport_bw(t, phase, delay);
        if (response && answer != tlm::TLM_ACCEPTED)
            over(t);
        return answer;
    }
    bool get_direct_mem_ptr(tlm::tlm_generic_payload &t, tlm::tlm_dmi &dmi) override
    {
        Marks marks;
        put_on(t, marks);
        const bool given = out_->get_direct_mem_ptr(t, dmi);
        take_off(t, marks);
        return given;
    }
    unsigned transport_dbg(tlm::tlm_generic_payload &t) override
    {
        Marks marks;
        put_on(t, marks);
        const unsigned done = out_->transport_dbg(t);
        take_off(t, marks);
        return done;
    }
    void invalidate_direct_mem_ptr(sc_dt::uint64 first, sc_dt::uint64 last) override
    {
        dma->invalidate_direct_mem_ptr(first, last);
    }

    // ---- ATS
    void ask(tlm::tlm_generic_payload &t, sc_core::sc_time &delay)
    {
        auto *wanted    = t.get_extension<atsattr_extension>();
        const auto *gen = t.get_extension<genattr_extension>();
        t.set_response_status(tlm::TLM_GENERIC_ERROR_RESPONSE);
        if (wanted == nullptr || t.get_command() != tlm::TLM_IGNORE_COMMAND)
            return;
        tlm::tlm_generic_payload q;
        unsigned char nothing[8] = {};
        Marks marks;
        Request *who       = t.get_extension<Request>(); // The device's own goes first.
        marks.how.type     = Ats::Type::translation;
        marks.how.no_write = !(wanted->get_attributes() & atsattr_extension::ATTR_WRITE);
        if (who == nullptr && gen != nullptr) {
            identify(marks.who, *gen);
            who = &marks.who;
        }
        q.set_command(tlm::TLM_IGNORE_COMMAND);
        q.set_address(t.get_address());
        q.set_data_ptr(nothing);
        q.set_data_length(sizeof nothing);
        q.set_streaming_width(sizeof nothing);
        q.set_extension(&marks.how);
        if (who != nullptr)
            q.set_extension(who);
        out_->b_transport(q, delay);
        q.clear_extension<Ats>();
        q.clear_extension<Request>();
        answer(t, *wanted, marks.how, q.get_response_status());
    }
    static void answer(tlm::tlm_generic_payload &t, atsattr_extension &ats, const Ats &told,
                       tlm::tlm_response_status status)
    {
        std::uint64_t rights = told.read ? atsattr_extension::ATTR_READ : 0;
        rights |= told.write ? atsattr_extension::ATTR_WRITE : 0;
        const bool good = told.status == Ats::Status::success && rights != 0;
        ats.set_attributes(rights);
        ats.set_length(good ? told.bytes : 0);
        ats.set_result(good ? atsattr_extension::RESULT_OK
                            : atsattr_extension::RESULT_ERROR);
        if (good)
            t.set_address(told.address);
        // A refusal is an answer, too.
        t.set_response_status(told.status == Ats::Status::none ? status
                                                               : tlm::TLM_OK_RESPONSE);
    }
    void forget(tlm::tlm_generic_payload &t, sc_core::sc_time &delay)
    {
        const auto *i = t.get_extension<Invalidation>();
        t.set_response_status(tlm::TLM_GENERIC_ERROR_RESPONSE);
        if (i == nullptr || ats_inv.size() == 0)
            return;
        tlm::tlm_generic_payload q;
        unsigned char nothing[8] = {};
        atsattr_extension ats;
        genattr_extension gen;
        const std::uint64_t length = i->last - i->first + 1;
        ats.set_length(length == 0 ? UINT64_MAX : length); // 0: all there is.
        ats.set_attributes(atsattr_extension::ATTR_READ | atsattr_extension::ATTR_WRITE
                           | atsattr_extension::ATTR_EXEC);
        gen.set_master_id(i->requester);
        q.set_command(tlm::TLM_IGNORE_COMMAND);
        q.set_address(i->first);
        q.set_data_ptr(nothing);
        q.set_data_length(sizeof nothing);
        q.set_streaming_width(sizeof nothing);
        q.set_extension(&ats);
        q.set_extension(&gen);
        ats_inv->b_transport(q, delay);
        q.clear_extension<atsattr_extension>();
        q.clear_extension<genattr_extension>();
        t.set_response_status(q.get_response_status());
    }

    tlm::tlm_initiator_socket<> out_;
    tlm_utils::simple_target_socket<LibsystemctlmPort> forget_;
    std::unordered_map<tlm::tlm_generic_payload *, Marks> under_way_;
};
} // namespace iovasim

#endif
