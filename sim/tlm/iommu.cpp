// SPDX-License-Identifier: Apache-2.0
//
// iommu - the module that platforms see.
#include "sim/tlm/impl.hpp"

namespace iovasim
{
namespace
{
constexpr unsigned wires = 16;

unsigned checked_ports(unsigned ports)
{
    if (ports < 1 || ports > 16)
        SC_REPORT_FATAL(report_parameter, "expected 1 to 16 ports");
    return ports;
}

void refuse(const std::string &why)
{
    SC_REPORT_ERROR(report_parameter, why.c_str());
}
} // namespace

Iommu::Iommu(const sc_core::sc_module_name &name, unsigned ports, const std::string &preset)
    : sc_module(name), upstream("upstream", checked_ports(ports)), memory("memory"),
      tables("tables"), device_tlb("device_tlb", ports),
      impl_(std::make_unique<Impl>(*this, ports)), registers(impl_->registers),
      interrupt("interrupt", wires), reset("reset")
{
    sc_core::sc_spawn_options options;
    options.spawn_method();
    options.dont_initialize();
    options.set_sensitivity(&impl_->wake);
    sc_core::sc_spawn([this] { impl_->tick(); }, "tick", &options);
    if (!preset.empty())
        set_preset(preset);
}

Iommu::~Iommu() = default;

void Iommu::end_of_elaboration()
{
    impl_->start();
}

// ---- Parameters

void Iommu::set(const std::string &key, const std::string &value)
{
    error e;
    if (impl_->unit != nullptr)
        refuse(key + ": parameters are set before the simulation starts");
    else if (!settings_set(&impl_->settings, (key + "=" + value).c_str(), &e))
        refuse(e.text);
}

void Iommu::set_preset(const std::string &name)
{
    error e;
    if (impl_->unit != nullptr)
        refuse("a preset is chosen before the simulation starts");
    else if (!settings_preset(&impl_->settings, name.c_str(), &e))
        refuse(e.text);
}

void Iommu::set_clock_period(const sc_core::sc_time &period)
{
    const sc_core::sc_time ps(1, sc_core::SC_PS);
    if (ps.value() == 0 || period.value() % ps.value() != 0)
        refuse("clock period: expected whole picoseconds, got " + period.to_string());
    else
        set("iommu.period_ps", std::to_string(period.value() / ps.value()));
}

void Iommu::set_requester(unsigned port, std::uint32_t requester)
{
    if (port >= impl_->requester.size()) {
        refuse("set_requester: there is no port " + std::to_string(port));
    } else {
        impl_->requester[port]     = requester;
        impl_->has_requester[port] = true;
    }
}

void Iommu::set_seed(std::uint64_t seed)
{
    impl_->seed = seed;
}

std::string Iommu::get(const std::string &key) const
{
    char text[96] = "";
    if (!settings_get(&impl_->settings, key.c_str(), text, sizeof text))
        refuse(key + ": no such parameter of an IOMMU or a TLM module");
    return text;
}

std::vector<std::string> Iommu::parameters() const
{
    char key[96];
    std::vector<std::string> keys;
    for (unsigned i = 0; settings_key(&impl_->settings, i, key, sizeof key); i++)
        keys.emplace_back(key);
    return keys;
}

// ---- Statistics

std::uint64_t Iommu::statistic(const std::string &name) const
{
    std::uint64_t value = 0;
    if (impl_->unit == nullptr)
        refuse(name + ": there are no statistics before the simulation starts");
    else if (!settings_statistic(&impl_->unit->model(), name.c_str(), &value))
        refuse(name + ": no such statistic");
    return value;
}

std::vector<std::string> Iommu::statistics() const
{
    char name[96];
    std::vector<std::string> names;
    for (unsigned i = 0; settings_statistic_name(i, name, sizeof name); i++)
        names.emplace_back(name);
    return names;
}

void Iommu::trace(sc_core::sc_trace_file *file) const
{
    const auto add = [this, file](const auto &value, const std::string &what) {
        sc_core::sc_trace(file, value, std::string(this->name()) + "." + what);
    };
    for (std::size_t i = 0; i < impl_->port_view.size(); i++) {
        const PortView &v      = impl_->port_view[i];
        const std::string port = "upstream_" + std::to_string(i) + ".";
        add(v.iova, port + "iova");
        add(v.pa, port + "pa");
        add(v.requests, port + "requests");
        add(v.translations, port + "translations");
        add(v.responses, port + "responses");
        add(v.under_way, port + "under_way");
        add(v.requesting, port + "requesting");
        add(v.responding, port + "responding");
        add(v.faulted, port + "faulted");
        add(v.device_invalidations, port + "device_invalidations");
        add(v.device_waiting, port + "device_waiting");
    }
    const View &v = impl_->view;
    add(v.memory_address, "memory.address");
    add(v.memory_requests, "memory.requests");
    add(v.tables_address, "tables.address");
    add(v.tables_requests, "tables.requests");
    add(v.queue_head, "queue.head");
    add(v.queue_tail, "queue.tail");
    add(v.walks, "walker.walks");
    add(v.slots, "pipeline.waiting");
    add(v.iotlb_entries, "iotlb.entries");
    add(v.invalidations, "invalidations");
    add(v.faults, "faults");
}
} // namespace iovasim
