// SPDX-License-Identifier: Apache-2.0
//
// impl - between the module's sockets and the core.
#include "sim/tlm/impl.hpp"

#include <algorithm>
#include <cstring>

namespace iovasim
{
// ---- Payloads

Pool::~Pool()
{
    for (tlm::tlm_generic_payload *trans : all_) {
        take_back(*trans);
        delete trans;
    }
}

void Pool::lend_extensions(tlm::tlm_generic_payload &from, tlm::tlm_generic_payload &to)
{
    Beside &b = beside_[&to];
    from.resize_extensions();
    to.resize_extensions();
    for (unsigned i = 0; i < tlm::max_num_extensions(); i++) {
        tlm::tlm_extension_base *e = from.get_extension(i);
        if (e == nullptr || to.get_extension(i) != nullptr)
            continue; // What a target has attached for good stays.
        to.set_extension(i, e);
        b.lent.emplace_back(i, e);
    }
}

void Pool::take_back(tlm::tlm_generic_payload &trans)
{
    Beside &b = beside_[&trans];
    for (const auto &[index, extension] : b.lent)
        if (trans.get_extension(index) == extension)
            trans.set_extension(index, nullptr);
    b.lent.clear();
}

tlm::tlm_generic_payload &Pool::allocate()
{
    if (free_.empty()) {
        all_.push_back(new tlm::tlm_generic_payload(this));
        free_.push_back(all_.back());
    }
    tlm::tlm_generic_payload *trans = free_.back();
    free_.pop_back();
    trans->acquire();
    return *trans;
}

void Pool::free(tlm::tlm_generic_payload *trans)
{
    take_back(*trans);
    trans->reset();
    free_.push_back(trans);
}

// ---- Set-up

Iommu::Impl::Impl(Iommu &m, unsigned ports)
    : module(m), requester(ports, 0), has_requester(ports, false), registers("registers"),
      memory(m.memory, clock, wake), tables(m.tables, clock, wake), port_view(ports),
      writes_end_(ports, 0)
{
    settings_init(&settings);
    for (unsigned i = 0; i < ports; i++) {
        port.push_back(std::make_unique<Port>(*this, i));
        module.upstream[i].bind(*port[i]);
        device_tlb.push_back(
            std::make_unique<Initiator>(module.device_tlb[i], clock, wake));
    }
    registers.register_b_transport(this, &Impl::register_access);
    registers.register_transport_dbg(this, &Impl::register_debug);
    memory.invalidate      = memory_invalidated;
    memory.invalidate_self = this;
}

Iommu::Impl::~Impl()
{
    settings_free(&settings);
}

void Iommu::Impl::new_unit()
{
    unit =
        std::make_unique<Unit>(settings, seed, static_cast<unsigned>(port.size()), *this);
    generation++;
}

void Iommu::Impl::start()
{
    error e;
    if (!clock.init())
        SC_REPORT_FATAL(report_parameter,
                        "expected a time resolution of 1 ps or a power of ten below");
    if (!settings_check(&settings, &e))
        SC_REPORT_FATAL(report_parameter, e.text);
    new_unit();
    if (module.reset.size() == 0)
        return;
    sc_core::sc_spawn_options options;
    options.spawn_method();
    options.dont_initialize();
    options.set_sensitivity(&module.reset->value_changed_event());
    sc_core::sc_spawn([this] { reset_moved(); }, "reset_moved", &options);
    in_reset = module.reset->read();
}

// A core that has forgotten everything; what it was translating is answered with an error.
void Iommu::Impl::reset_moved()
{
    const sim_time_t now = clock.now();
    in_reset             = module.reset->read();
    if (!in_reset)
        return;
    for (const auto &p : port)
        p->release_held();
    for (const auto &job : jobs_) {
        if (job->trans == nullptr || job->answered || job->generation != generation)
            continue;
        job->answered = job->faulted = true;
        job->status                  = tlm::TLM_GENERIC_ERROR_RESPONSE;
        job->time                    = now;
        job->answer.clear();
        if (job->begun())
            port_view[job->port].under_way--;
        if (job->blocking)
            job->done.notify();
        else
            note(now, What::translated, job.get());
    }
    forget_old_core(now);
    new_unit();
    revoke_all_ = true;
    revoke();
    schedule();
}

void Iommu::Impl::forget_old_core(sim_time_t now)
{
    status_writes_.clear();
    record_writes_.clear();
    device_answers_.clear();
    device_port_.clear();
    for (auto e = events_.begin(); e != events_.end();)
        e = e->second.what == What::accepted || e->second.what == What::wire_up
                    || e->second.what == What::wire_down
                ? events_.erase(e) // Requests end with their responses.
                : std::next(e);
    for (unsigned i = 0; i < module.interrupt.size(); i++)
        if (wires_high_ >> i & 1)
            note(now, What::wire_down, nullptr, i);
}

// ---- Time

void Iommu::Impl::note(sim_time_t at, What what, Job *job, unsigned number)
{
    events_.insert({ at, { what, job, number } });
}

void Iommu::Impl::schedule()
{
    sim_time_t t = std::min(unit->next(), std::min(memory.next(), tables.next()));
    for (const auto &d : device_tlb)
        t = std::min(t, d->next());
    if (!events_.empty())
        t = std::min(t, events_.begin()->first);
    if (t == TIME_NEVER)
        return;
    const sc_core::sc_time delay = clock.until(t);
    if (delay == sc_core::SC_ZERO_TIME)
        wake.notify(sc_core::SC_ZERO_TIME);
    else
        wake.notify(delay);
}

void Iommu::Impl::handle(const Event &event)
{
    switch (event.what) {
    case What::accepted:
        port[event.job->port]->request_accepted(*event.job);
        return;
    case What::translated:
        port[event.job->port]->translated(*event.job);
        return;
    case What::completed:
        port[event.job->port]->completed(*event.job);
        return;
    case What::response_free:
        port[event.number]->response_free();
        return;
    case What::wire_up:
    case What::wire_down:
        wires_high_ ^= UINT32_C(1) << event.number;
        module.interrupt[event.number]->write(event.what == What::wire_up);
        return;
    }
}

// In the last evaluation of a time that concerns the module: what others do in the same
// picosecond comes first, as far as it comes in the first delta cycle.
void Iommu::Impl::tick()
{
    const sim_time_t now = clock.now();
    take_completions();
    if (settled_ != now) {
        settled_ = now;
        wake.notify(sc_core::SC_ZERO_TIME);
        return;
    }
    unit->advance(now);
    revoke();
    while (!events_.empty() && events_.begin()->first <= now) {
        const Event event = events_.begin()->second;
        events_.erase(events_.begin());
        handle(event);
    }
    tables.pump(now);
    memory.pump(now);
    for (const auto &d : device_tlb)
        d->pump(now);
    take_completions();
    look();
    schedule();
}

void Iommu::Impl::run_ahead(const Job &job, sim_time_t limit)
{
    while (!job.answered) {
        const sim_time_t t = unit->next();
        if (t > limit)
            break;
        unit->advance(t);
        revoke();
        carry_out_table_accesses();
    }
    look();
}

// ---- Jobs

Job &Iommu::Impl::take_job()
{
    if (free_jobs_.empty()) {
        jobs_.push_back(std::make_unique<Job>());
        free_jobs_.push_back(jobs_.back().get());
    }
    Job &job = *free_jobs_.back();
    free_jobs_.pop_back();
    job.blocking = job.faulted = job.answered = job.translation = false;
    job.state                                                   = Job::State::waiting;
    job.status                                                  = tlm::TLM_OK_RESPONSE;
    job.time                                                    = 0;
    job.generation                                              = generation;
    job.serial                                                  = Job::not_begun;
    job.blockers                                                = 0;
    job.blocks.clear();
    return job;
}

void Iommu::Impl::give_back(Job &job)
{
    job.trans = nullptr;
    job.done.cancel(); // What nobody waited for would swallow the next one's.
    free_jobs_.push_back(&job);
}

CoreRequest Iommu::Impl::request_of(const tlm::tlm_generic_payload &trans,
                                    unsigned number) const
{
    CoreRequest q{};
    const auto *e = trans.get_extension<Request>();
    q.requester   = e == nullptr ? requester[number] : e->requester;
    q.access      = trans.is_write() ? PT_WRITE : PT_READ;
    if (const auto *ats = trans.get_extension<Ats>()) {
        q.type = ats->type == Ats::Type::translation ? PORT_TRANSLATION : PORT_TRANSLATED;
        q.no_write = q.type == PORT_TRANSLATION && ats->no_write;
    }
    if (e == nullptr)
        return q;
    q.has_pasid  = e->has_pasid;
    q.pasid      = e->has_pasid ? e->pasid : 0;
    q.privileged = e->privileged;
    if (e->execute && trans.is_read() && q.type != PORT_TRANSLATION)
        q.access = PT_READ | PT_EXECUTE;
    return q;
}

// Narrow enough for the architecture.
bool Iommu::Impl::good_identity(const CoreRequest &q) const
{
    const iommu_arch &a = *unit->model().arch;
    return (q.requester & ~mask_lg2(a.requester_lg2)) == 0
           && (q.pasid & ~mask_lg2(a.pasid_lg2)) == 0;
}

bool Iommu::Impl::own_identity(const CoreRequest &q, unsigned number) const
{
    return q.requester == requester[number] && !q.has_pasid && !q.privileged
           && q.type == PORT_UNTRANSLATED && !(q.access & PT_EXECUTE);
}

void Iommu::Impl::translate(Job &job, const CoreRequest &request, sim_time_t at)
{
    std::vector<Piece *> train;
    const std::uint64_t last = job.iova + (job.span - 1);
    const std::size_t pages  = last / page_bytes - job.iova / page_bytes + 1;
    job.piece.resize(pages);
    job.answer.resize(pages);
    job.left       = static_cast<unsigned>(pages);
    job.generation = generation;
    job.serial     = jobs_begun_++;
    if (request.type == PORT_TRANSLATION)
        device_port_[request.requester] = job.port;
    for (std::size_t i = 0; i < pages; i++) {
        Piece &p       = job.piece[i];
        p.request      = request;
        p.request.iova = i == 0 ? job.iova : (job.iova / page_bytes + i) * page_bytes;
        p.port         = job.port;
        p.last         = i + 1 == pages;
        p.job          = &job;
        p.index        = static_cast<unsigned>(i);
        train.push_back(&p);
    }
    PortView &v = port_view[job.port];
    v.iova      = job.iova;
    v.requests++;
    v.under_way++;
    unit->submit(train, at);
}

void Iommu::Impl::accepted(Piece *last, sim_time_t at)
{
    if (!last->job->blocking)
        note(at, What::accepted, last->job);
}

void Iommu::Impl::answered(Piece *piece, const CoreAnswer &answer, sim_time_t at)
{
    Job &job                 = *piece->job;
    job.answer[piece->index] = answer;
    if (answer.outcome == XLATE_faulted) {
        job.faulted = true;
        job.status  = tlm::TLM_ADDRESS_ERROR_RESPONSE;
    }
    if (--job.left > 0)
        return;
    job.answered = true;
    job.time     = at;
    PortView &v  = port_view[job.port];
    v.pa         = job.faulted ? 0 : job.answer[0].pa;
    v.faulted    = job.faulted;
    v.translations++;
    v.under_way--;
    if (!job.blocking)
        note(at, What::translated, &job);
    else if (clock.until(at) == sc_core::SC_ZERO_TIME)
        job.done.notify();
    else
        job.done.notify(clock.until(at));
}

void Iommu::Impl::retire(const Job &job, sim_time_t at)
{
    if (job.generation != generation)
        return;
    for (const CoreAnswer &a : job.answer)
        if (a.outcome != XLATE_faulted)
            unit->retire(a.epoch, at);
}

void Iommu::Impl::tell(const Job &job) const
{
    auto *ats = job.trans->get_extension<Ats>();
    if (ats == nullptr) // The initiator has taken it away.
        return;
    *ats      = Ats();
    ats->type = Ats::Type::translation;
    if (job.answer.empty())
        return; // Reset.
    const CoreAnswer &a = job.answer[0];
    if (job.faulted) {
        const iommu_arch &arch = *unit->model().arch;
        ats->status            = arch.aborts != nullptr && arch.aborts(a.cause)
                                     ? Ats::Status::completer_abort
                                     : Ats::Status::unsupported_request;
        return;
    }
    ats->status  = Ats::Status::success;
    ats->bytes   = mask_lg2(a.page_lg2) + 1;
    ats->address = a.pa & ~mask_lg2(a.page_lg2);
    ats->read    = a.prot & PT_READ;
    ats->write   = a.prot & PT_WRITE;
}

bool Iommu::Impl::parts(const Job &job, std::vector<Part> &out) const
{
    const std::uint64_t length = job.trans->get_data_length();
    for (std::size_t i = 0; i < job.answer.size(); i++) {
        const std::uint64_t first  = job.piece[i].request.iova;
        const std::uint64_t offset = first - job.iova;
        const std::uint64_t bytes =
            std::min(page_bytes - first % page_bytes, job.span - offset);
        const std::uint64_t pa = job.answer[i].pa;
        if (!out.empty() && out.back().pa + out.back().bytes == pa)
            out.back().bytes += bytes;
        else
            out.push_back({ pa, offset, bytes });
    }
    if (job.span == length)
        return true;
    if (out.size() == 1) {
        out[0].bytes = length; // It wraps within what was translated.
        return true;
    }
    out.clear();
    return false;
}

tlm::tlm_generic_payload &Iommu::Impl::payload_of(Job &job, const Part &part, bool whole)
{
    tlm::tlm_generic_payload &trans = *job.trans;
    view.memory_address             = part.pa;
    view.memory_requests++;
    if (whole) {
        trans.set_address(part.pa);
        return trans;
    }
    tlm::tlm_generic_payload &t = pool.allocate();
    t.set_command(trans.get_command());
    t.set_address(part.pa);
    t.set_data_ptr(trans.get_data_ptr() + part.offset);
    t.set_data_length(static_cast<unsigned>(part.bytes));
    t.set_streaming_width(static_cast<unsigned>(part.bytes));
    t.set_byte_enable_ptr(nullptr);
    t.set_response_status(tlm::TLM_INCOMPLETE_RESPONSE);
    t.set_dmi_allowed(false);
    pool.lend_extensions(trans, t);
    if (trans.get_byte_enable_ptr() == nullptr || trans.get_byte_enable_length() == 0)
        return t; // It had a length when it was accepted; whoever changes it gets all
                  // bytes.
    std::vector<unsigned char> &enable = pool.enables(t);
    enable.clear();
    for (std::uint64_t i = 0; i < part.bytes; i++)
        enable.push_back(trans.get_byte_enable_ptr()[(part.offset + i)
                                                     % trans.get_byte_enable_length()]);
    t.set_byte_enable_ptr(enable.data());
    t.set_byte_enable_length(static_cast<unsigned>(part.bytes));
    return t;
}

// The first error of any part is the transaction's.
void Iommu::Impl::part_done(Job &job, tlm::tlm_generic_payload &trans)
{
    tlm::tlm_response_status status = trans.get_response_status();
    if (status == tlm::TLM_INCOMPLETE_RESPONSE) {
        SC_REPORT_WARNING(report_protocol, "a target has left a response incomplete");
        status = tlm::TLM_GENERIC_ERROR_RESPONSE;
    }
    if (job.status == tlm::TLM_OK_RESPONSE)
        job.status = status;
    if (&trans == job.trans)
        return;
    trans.release();
}

void Iommu::Impl::take_completions()
{
    for (const Initiator::Completion &c : memory.take_completed()) {
        Job &job = *reinterpret_cast<Job *>(c.tag);
        part_done(job, *c.trans);
        job.time = std::max(job.time, c.at);
        if (--job.left == 0)
            note(job.time, What::completed, &job);
    }
    for (const Initiator::Completion &c : tables.take_completed())
        table_access_done(*c.trans, *reinterpret_cast<TableAccess *>(c.tag), c.at);
    for (const auto &d : device_tlb)
        for (const Initiator::Completion &c : d->take_completed())
            device_has_answered(*c.trans, *reinterpret_cast<Message *>(c.tag), c.at);
}

void Iommu::Impl::carried_out(Job &job, sim_time_t at)
{
    const std::uint64_t serial = job.serial;
    job.state                  = Job::State::completed;
    if (job.write) // A loosely timed one may end later than now.
        writes_end_[job.port] = std::max(writes_end_[job.port], at);
    if (device_answers_.empty())
        return;
    for (DeviceAnswer &a : device_answers_)
        if (a.port == job.port && job.write && serial < a.before)
            a.at = std::max(a.at, at);
    release_device_answers();
}

// ---- Tables and queues

void Iommu::Impl::send_table_access(TableAccess::Kind kind, unsigned place,
                                    tlm::tlm_command command, std::uint64_t pa,
                                    const void *data, std::uint32_t bytes, sim_time_t at)
{
    if (free_accesses_.empty()) {
        accesses_.push_back(std::make_unique<TableAccess>());
        free_accesses_.push_back(accesses_.back().get());
    }
    TableAccess &a = *free_accesses_.back();
    free_accesses_.pop_back();
    a = { kind, place, generation, std::vector<std::uint64_t>((bytes + 7) / 8), false, 0 };
    if (data != nullptr)
        std::memcpy(a.data.data(), data, bytes);
    tlm::tlm_generic_payload &t = pool.allocate();
    t.set_command(command);
    t.set_address(pa);
    t.set_data_ptr(reinterpret_cast<unsigned char *>(a.data.data()));
    t.set_data_length(bytes);
    t.set_streaming_width(bytes);
    t.set_byte_enable_ptr(nullptr);
    t.set_response_status(tlm::TLM_INCOMPLETE_RESPONSE);
    t.set_dmi_allowed(false);
    view.tables_address = pa;
    view.tables_requests++;
    if (kind == TableAccess::Kind::status)
        status_writes_.push_back(&a);
    else if (kind == TableAccess::Kind::record)
        record_writes_.push_back(&a);
    tables.send(t, reinterpret_cast<std::uintptr_t>(&a), at);
}

void Iommu::Impl::read(unsigned place, std::uint64_t pa, std::uint32_t words, sim_time_t at)
{
    send_table_access(TableAccess::Kind::read, place, tlm::TLM_READ_COMMAND, pa, nullptr,
                      8 * words, at);
}

void Iommu::Impl::write(memport_write kind, std::uint64_t pa, const void *data,
                        std::uint32_t bytes, sim_time_t at)
{
    send_table_access(kind == MEMPORT_STATUS ? TableAccess::Kind::status
                                             : TableAccess::Kind::record,
                      0, tlm::TLM_WRITE_COMMAND, pa, data, bytes, at);
}

void Iommu::Impl::writes_done(std::deque<TableAccess *> &queue, memport_write kind)
{
    while (!queue.empty() && queue.front()->done) {
        unit->written(kind, queue.front()->at);
        free_accesses_.push_back(queue.front());
        queue.pop_front();
    }
}

void Iommu::Impl::table_access_done(tlm::tlm_generic_payload &trans, TableAccess &a,
                                    sim_time_t at)
{
    const bool good = trans.is_response_ok();
    trans.release();
    if (!good && a.kind != TableAccess::Kind::read)
        SC_REPORT_WARNING(report_memory, "a write of the IOMMU's own was refused");
    a.done = true;
    a.at   = at;
    if (a.generation != generation || a.kind == TableAccess::Kind::message) {
        free_accesses_.push_back(&a);
    } else if (a.kind == TableAccess::Kind::read) {
        unit->arrived(a.place, good ? a.data : std::vector<std::uint64_t>(), at);
        free_accesses_.push_back(&a);
    } else if (a.kind == TableAccess::Kind::status) {
        writes_done(status_writes_, MEMPORT_STATUS);
    } else {
        writes_done(record_writes_, MEMPORT_FAULT_RECORD);
    }
}

void Iommu::Impl::carry_out_table_accesses()
{
    tlm::tlm_generic_payload *trans;
    std::uint64_t tag;
    sim_time_t at;
    while (tables.take_unsent(&trans, &tag, &at)) {
        sc_core::sc_time delay = clock.until(at);
        module.tables->b_transport(*trans, delay);
        table_access_done(*trans, *reinterpret_cast<TableAccess *>(tag), later(delay));
    }
}

// A locked access: the base protocol has none, so it takes no time and goes the debugger's
// way. The core has spent its cycles.
bool Iommu::Impl::set_bits(std::uint64_t pa, std::uint64_t bits)
{
    std::uint64_t entry;
    if (!peek(pa, 1, &entry))
        return false;
    entry |= bits;
    tlm::tlm_generic_payload &t = pool.allocate();
    t.set_write();
    t.set_address(pa);
    t.set_data_ptr(reinterpret_cast<unsigned char *>(&entry));
    t.set_data_length(sizeof entry);
    t.set_streaming_width(sizeof entry);
    const bool good = module.tables->transport_dbg(t) == sizeof entry;
    t.release();
    if (!good)
        SC_REPORT_WARNING(report_memory,
                          "accessed and dirty bits could not be written: the "
                          "target of tables has no debug transport");
    return good;
}

bool Iommu::Impl::peek(std::uint64_t pa, std::uint32_t words, std::uint64_t *data)
{
    tlm::tlm_generic_payload &t = pool.allocate();
    t.set_read();
    t.set_address(pa);
    t.set_data_ptr(reinterpret_cast<unsigned char *>(data));
    t.set_data_length(8 * words);
    t.set_streaming_width(8 * words);
    const bool good = module.tables->transport_dbg(t) == 8 * words;
    t.release();
    return good;
}

void Iommu::Impl::interrupted(std::uint64_t address, std::uint32_t data, sim_time_t at)
{
    send_table_access(TableAccess::Kind::message, 0, tlm::TLM_WRITE_COMMAND, address, &data,
                      sizeof data, at);
}

void Iommu::Impl::wire(unsigned vector, bool high, sim_time_t at)
{
    if (vector < module.interrupt.size() && module.interrupt[vector].size() > 0)
        note(at, high ? What::wire_up : What::wire_down, nullptr, vector);
}

// ---- Devices' TLBs

// Where the platform has said that it is; else at the port where it has asked last. A
// request in another's name does not move that one.
std::size_t Iommu::Impl::port_of_device(std::uint32_t device) const
{
    const auto known       = device_port_.find(device);
    const std::size_t last = known == device_port_.end() ? port.size() : known->second;
    std::size_t said = port.size(), unsaid = port.size();
    for (std::size_t i = port.size(); i-- > 0;)
        if (requester[i] == device)
            (has_requester[i] && (said == port.size() || said != last) ? said : unsaid) = i;
    if (said < port.size())
        return said;
    return last < port.size() ? last : unsaid;
}

bool Iommu::Impl::invalidate_device(const port_invalidation &i, sim_time_t at)
{
    const std::size_t number = port_of_device(i.requester);
    if (number >= port.size() || module.device_tlb[number].size() == 0)
        return false;
    Message &m       = messages_.emplace_back();
    m.port           = static_cast<unsigned>(number);
    m.generation     = generation;
    m.requester      = i.requester;
    m.tag            = i.itag;
    m.body.first     = i.first;
    m.body.last      = i.last;
    m.body.requester = i.requester;
    m.body.pasid     = i.pasid;
    m.body.has_pasid = i.has_pasid;
    m.body.global    = i.has_pasid && i.global;
    m.body.tag       = i.itag;
    m.data           = i.first;
    auto &t          = pool.allocate();
    t.set_command(tlm::TLM_IGNORE_COMMAND);
    t.set_address(i.first);
    t.set_data_ptr(reinterpret_cast<unsigned char *>(&m.data));
    t.set_data_length(sizeof m.data);
    t.set_streaming_width(sizeof m.data);
    t.set_byte_enable_ptr(nullptr);
    t.set_response_status(tlm::TLM_INCOMPLETE_RESPONSE);
    t.set_dmi_allowed(false);
    pool.lend(m.body, t);
    port_view[number].device_invalidations++;
    port_view[number].device_waiting++;
    device_tlb[number]->send(t, reinterpret_cast<std::uintptr_t>(&m), at);
    return true;
}

// A device that refuses the message has not answered it.
void Iommu::Impl::device_has_answered(tlm::tlm_generic_payload &trans, Message &m,
                                      sim_time_t at)
{
    const bool good = trans.is_response_ok();
    trans.release();
    port_view[m.port].device_waiting--;
    if (!good)
        SC_REPORT_WARNING(report_protocol, "a device has refused an Invalidate Request");
    else if (m.generation == generation)
        device_answers_.push_back(
            { m.port, m.requester, m.tag, jobs_begun_, std::max(at, writes_end_[m.port]) });
    messages_.remove_if([&m](const Message &other) { return &other == &m; });
    release_device_answers();
}

bool Iommu::Impl::writes_under_way(const DeviceAnswer &a) const
{
    for (const auto &job : jobs_)
        if (job->trans != nullptr && job->port == a.port && job->write
            && job->serial < a.before && job->state != Job::State::completed)
            return true;
    return false;
}

// A completion does not pass the writes before it.
void Iommu::Impl::release_device_answers()
{
    for (auto a = device_answers_.begin(); a != device_answers_.end();) {
        if (writes_under_way(*a)) {
            ++a;
            continue;
        }
        unit->device_answered(a->requester, a->tag, a->at);
        a = device_answers_.erase(a);
    }
}

// ---- Direct memory

void Iommu::Impl::invalidated(const inv_selector *selector)
{
    view.invalidations++;
    if (selector == nullptr)
        revoke_all_ = true;
    else
        revoked_.push_back(*selector);
}

void Iommu::Impl::revoke()
{
    while (revoke_all_ || !revoked_.empty()) {
        std::vector<inv_selector> selectors;
        selectors.swap(revoked_);
        const bool all  = revoke_all_;
        revoke_all_     = false;
        const auto gone = [all, &selectors](const Grant &g) {
            if (all)
                return true;
            for (const inv_selector &s : selectors)
                if (!g.bypassed && inv_selects_space(&s, g.space)
                    && (s.by_guest || (s.at_first_stage && (g.space & SPACE_STAGE_2))
                        || (s.first <= g.page_last && g.page_first <= s.last)))
                    return true;
            return false;
        };
        for (const auto &p : port)
            p->revoke(gone);
    }
}

void Iommu::Impl::memory_invalidated(void *self, std::uint64_t first, std::uint64_t last)
{
    for (const auto &p : static_cast<Impl *>(self)->port)
        p->revoke([first, last](const Grant &g) {
            return g.pa <= last && first <= g.pa + (g.last - g.first);
        });
}

// ---- Registers

// Nobody is ahead of others by more than the quantum.
void Iommu::Impl::catch_up(sc_core::sc_time &delay)
{
    const tlm::tlm_global_quantum &quantum = tlm::tlm_global_quantum::instance();
    const bool exact                       = quantum.get() == sc_core::SC_ZERO_TIME;
    if (delay == sc_core::SC_ZERO_TIME || (!exact && delay <= quantum.get()))
        return;
    sc_core::wait(delay);
    delay = sc_core::SC_ZERO_TIME;
}

void Iommu::Impl::register_access(tlm::tlm_generic_payload &trans, sc_core::sc_time &delay)
{
    const unsigned bytes            = trans.get_data_length();
    const std::uint64_t at          = trans.get_address();
    std::uint64_t value             = 0;
    tlm::tlm_response_status status = tlm::TLM_OK_RESPONSE;
    trans.set_dmi_allowed(false);
    if (!ready())
        status = tlm::TLM_GENERIC_ERROR_RESPONSE;
    else if (!trans.is_read() && !trans.is_write())
        status = trans.get_command() == tlm::TLM_IGNORE_COMMAND
                     ? tlm::TLM_OK_RESPONSE
                     : tlm::TLM_COMMAND_ERROR_RESPONSE;
    else if (trans.get_byte_enable_ptr() != nullptr)
        status = tlm::TLM_BYTE_ENABLE_ERROR_RESPONSE;
    else if ((bytes != 4 && bytes != 8) || trans.get_streaming_width() < bytes)
        status = tlm::TLM_BURST_ERROR_RESPONSE;
    else if (trans.get_data_ptr() == nullptr)
        status = tlm::TLM_GENERIC_ERROR_RESPONSE;
    else if (at % bytes != 0 || at >= unit->window_bytes()
             || bytes > unit->window_bytes() - at)
        status = tlm::TLM_ADDRESS_ERROR_RESPONSE;
    trans.set_response_status(status);
    if (status != tlm::TLM_OK_RESPONSE || trans.get_command() == tlm::TLM_IGNORE_COMMAND)
        return;

    const auto offset = static_cast<std::uint32_t>(at);
    catch_up(delay);
    if (in_reset) { // Meanwhile.
        trans.set_response_status(tlm::TLM_GENERIC_ERROR_RESPONSE);
        return;
    }
    const sim_time_t when = later(delay);
    while (unit->next() < when && when > clock.now()) { // Run ahead.
        unit->advance(unit->next());
        carry_out_table_accesses();
    }
    if (trans.is_write()) {
        std::memcpy(&value, trans.get_data_ptr(), bytes);
        unit->write_register(offset, value, bytes, when);
    } else {
        value = unit->read_register(offset, bytes, when);
        std::memcpy(trans.get_data_ptr(), &value, bytes);
    }
    delay += clock.time(settings.tlm.register_cycles * settings.iommu.period_ps);
    revoke();
    look();
    schedule();
}

// Reads have no effect; there is nothing for a debugger to write.
unsigned Iommu::Impl::register_debug(tlm::tlm_generic_payload &trans)
{
    const std::uint64_t first = trans.get_address();
    unsigned done             = 0;
    if (!trans.is_read() || trans.get_data_ptr() == nullptr || unit == nullptr)
        return 0;
    while (done < trans.get_data_length() && first < unit->window_bytes()
           && first + done < unit->window_bytes()) {
        const std::uint64_t at = first + done;
        const std::uint64_t value =
            unit->peek_register(static_cast<std::uint32_t>(at & ~3ull));
        trans.get_data_ptr()[done++] = static_cast<unsigned char>(value >> 8 * (at & 3));
    }
    return done;
}

// ---- What is shown

void Iommu::Impl::look()
{
    const iommu &m     = unit->model();
    view.queue_head    = m.invq.head;
    view.queue_tail    = m.invq.tail;
    view.walks         = m.walks_active;
    view.slots         = m.late_count;
    view.faults        = m.stats.translation_faulted;
    view.iotlb_entries = m.iotlb.stats.entry_filled - m.iotlb.stats.entry_evicted
                         - m.iotlb.stats.entry_invalidated;
}
} // namespace iovasim
