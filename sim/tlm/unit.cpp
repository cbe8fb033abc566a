// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <memory>

#include "sim/tlm/unit.hpp"

namespace iovasim
{
namespace
{
UnitListener *of(void *self)
{
    return static_cast<UnitListener *>(self);
}
} // namespace

Unit::Unit(const settings &s, std::uint64_t seed, unsigned ports, UnitListener &listener)
    : listener_(listener),
      m_(new iommu), remote_{}, watcher_{}, channel_{ 0, 0, 8 * MEMPORT_WORDS_MAX, 0 }
// A read comes whole.
{
    remote_.self  = &listener_;
    remote_.read  = [](void *self, unsigned place, std::uint64_t pa, std::uint32_t words,
                      sim_time_t at) { of(self)->read(place, pa, words, at); };
    remote_.write = [](void *self, memport_write kind, std::uint64_t pa, const void *data,
                       std::uint32_t bytes,
                       sim_time_t at) { of(self)->write(kind, pa, data, bytes, at); };
    remote_.set_bits = [](void *self, std::uint64_t pa, std::uint64_t bits) {
        return of(self)->set_bits(pa, bits);
    };
    remote_.peek         = [](void *self, std::uint64_t pa, std::uint32_t words,
                      std::uint64_t *data) { return of(self)->peek(pa, words, data); };
    watcher_.self        = &listener_;
    watcher_.invalidated = [](void *self, const inv_selector *selector) {
        of(self)->invalidated(selector);
    };
    iommu_settings settings = settings_iommu(&s);
    settings.remote         = &remote_;
    iommu_init(m_.get(), &settings, nullptr, &due_, nullptr, &channel_, seed);
    due_               = TIME_NEVER;
    m_->watcher        = &watcher_;
    m_->interrupt_self = &listener_;
    m_->interrupt      = [](void *self, std::uint64_t address, std::uint32_t data,
                       sim_time_t at) { of(self)->interrupted(address, data, at); };
    m_->wire           = [](void *self, unsigned vector, bool high, sim_time_t at) {
        of(self)->wire(vector, high, at);
    };
    for (unsigned i = 0; i < ports; i++) {
        Client &c = clients_.emplace_back();
        c.id      = iommu_attach(m_.get(), &c.due, IOMMU_RESPONSES(m_.get()), true);
    }
    iommu_attach_device_tlb(
        m_.get(), clients_.front().id, // Who is behind which port, the listener knows.
        [](void *self, const port_invalidation *i, sim_time_t at) {
            return of(self)->invalidate_device(*i, at);
        },
        &listener_);
}

Unit::~Unit()
{
    iommu_free(m_.get());
}

// ---- Inputs

void Unit::put(Input input)
{
    auto at = inputs_.end();
    while (at != inputs_.begin() && std::prev(at)->at > input.at)
        --at;
    inputs_.insert(at, std::move(input));
}

void Unit::submit(const std::vector<Piece *> &train, sim_time_t at)
{
    put({ at, Kind::submit, 0, true, {}, train });
}

void Unit::retire(std::uint32_t epoch, sim_time_t at)
{
    put({ at, Kind::retire, epoch, true, {}, {} });
}

void Unit::arrived(unsigned place, const std::vector<std::uint64_t> &data, sim_time_t at)
{
    Input input{ at, Kind::arrived, place, !data.empty(), {}, {} };
    std::copy(data.begin(), data.end(), input.data.begin());
    put(std::move(input));
}

void Unit::written(memport_write kind, sim_time_t at)
{
    put({ at, Kind::written, static_cast<std::uint32_t>(kind), true, {}, {} });
}

void Unit::device_answered(std::uint16_t requester, unsigned tag, sim_time_t at)
{
    Input input{ at, Kind::device_answered, requester, true, {}, {} };
    input.data[0] = std::uint64_t{ 1 } << tag;
    put(std::move(input));
}

void Unit::apply(const Input &input)
{
    switch (input.kind) {
    case Kind::submit: {
        Client &c = clients_[input.train.front()->port];
        c.waiting.insert(c.waiting.end(), input.train.begin(), input.train.end());
        pump(c);
        return;
    }
    case Kind::retire:
        iommu_retire(m_.get(), input.number, now_);
        return;
    case Kind::arrived:
        iommu_arrived(m_.get(), input.number, input.there ? input.data.data() : nullptr,
                      now_);
        return;
    case Kind::written:
        iommu_written(m_.get(), static_cast<memport_write>(input.number), now_);
        return;
    case Kind::device_answered:
        iommu_invalidated(m_.get(), static_cast<std::uint16_t>(input.number),
                          static_cast<std::uint32_t>(input.data[0]), 1, now_);
        return;
    }
}

// ---- The client's side of the core

std::uint32_t Unit::new_id(Piece *piece)
{
    if (free_ids_.empty()) {
        by_id_.push_back(nullptr);
        free_ids_.push_back(static_cast<std::uint32_t>(by_id_.size() - 1));
    }
    const std::uint32_t id = free_ids_.back();
    free_ids_.pop_back();
    by_id_[id] = piece;
    return id;
}

void Unit::pump(Client &c)
{
    while (!c.waiting.empty() && iommu_ready(m_.get(), c.id)) {
        Piece *p      = c.waiting.front();
        p->request.id = new_id(p);
        c.waiting.pop_front();
        *iommu_request(m_.get()) = p->request;
        iommu_submit(m_.get(), c.id, now_);
        if (p->last)
            listener_.accepted(p, now_);
    }
}

void Unit::take(Client &c)
{
    sim_time_t next;
    const CoreAnswer *a;
    while ((a = iommu_take(m_.get(), c.id, now_, &next)) != nullptr) {
        Piece *p      = by_id_[a->id];
        by_id_[a->id] = nullptr;
        free_ids_.push_back(a->id);
        listener_.answered(p, *a, now_);
    }
    c.due = next;
    pump(c);
}

// ---- Time

Unit::Client *Unit::due_client(sim_time_t at)
{
    for (Client &c : clients_)
        if (c.due <= at)
            return &c;
    return nullptr;
}

sim_time_t Unit::next() const
{
    sim_time_t t = due_;
    for (const Client &c : clients_)
        t = std::min(t, c.due);
    if (!inputs_.empty())
        t = std::min(t, inputs_.front().at);
    return t == TIME_NEVER ? t : std::max(t, now_);
}

// Of one time: what comes in, then the core, then its clients.
void Unit::advance(sim_time_t until)
{
    for (sim_time_t t = next(); t <= until && t != TIME_NEVER; t = next()) {
        now_ = t;
        if (!inputs_.empty() && inputs_.front().at <= t) {
            const Input input = std::move(inputs_.front());
            inputs_.pop_front();
            apply(input);
        } else if (due_ <= t) {
            iommu_step(m_.get(), t);
        } else {
            take(*due_client(t));
        }
    }
    if (until != TIME_NEVER)
        now_ = std::max(now_, until);
}

// ---- Registers and questions

void Unit::write_register(std::uint32_t offset, std::uint64_t value, unsigned bytes,
                          sim_time_t at)
{
    if (at > now_)
        advance(at - 1);
    now_ = std::max(now_, at);
    iommu_mmio_ops.write(m_.get(), offset, value, bytes, now_);
}

std::uint64_t Unit::read_register(std::uint32_t offset, unsigned bytes, sim_time_t at)
{
    if (at > now_)
        advance(at - 1);
    now_ = std::max(now_, at);
    return iommu_mmio_ops.read(m_.get(), offset, bytes, now_);
}

CoreAnswer Unit::probe(const CoreRequest &request, bool *marks)
{
    CoreAnswer response;
    iommu_probe(m_.get(), &request, &response, marks);
    return response;
}
} // namespace iovasim
