// SPDX-License-Identifier: Apache-2.0
#include "sim/tlm/platform.hpp"

#include <algorithm>
#include <cstring>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace
{
std::function<void()> simulation;
}

int sc_main(int, char **)
{
    simulation();
    return testing::Test::HasFailure() ? 1 : 0;
}

namespace iovasim
{
// One elaboration to a process.
void simulate(const std::function<void()> &body)
{
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        simulation = body;
        setenv("SYSTEMC_DISABLE_COPYRIGHT_MESSAGE", "1", 1);
        char name[]      = "iovasim_tlm_tests";
        char *argv[]     = { name, nullptr };
        const int status = sc_core::sc_elab_and_sim(1, argv);
        std::fflush(nullptr);
        _exit(status);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "the simulation failed";
}

// ---- Payloads

TestPool::~TestPool()
{
    for (tlm::tlm_generic_payload *t : all_) {
        delete[] t->get_data_ptr();
        delete t;
    }
}

tlm::tlm_generic_payload &TestPool::make(bool write, std::uint64_t address, unsigned bytes)
{
    if (free_.empty()) {
        all_.push_back(new tlm::tlm_generic_payload(this));
        all_.back()->set_extension(new Request);
        free_.push_back(all_.back());
    }
    tlm::tlm_generic_payload &t = *free_.back();
    free_.pop_back();
    delete[] t.get_data_ptr();
    t.set_data_ptr(new unsigned char[bytes]());
    t.set_command(write ? tlm::TLM_WRITE_COMMAND : tlm::TLM_READ_COMMAND);
    t.set_address(address);
    t.set_data_length(bytes);
    t.set_streaming_width(bytes);
    t.set_byte_enable_ptr(nullptr);
    t.set_byte_enable_length(0);
    t.set_dmi_allowed(false);
    t.set_response_status(tlm::TLM_INCOMPLETE_RESPONSE);
    *t.get_extension<Request>() = Request();
    t.acquire();
    out++;
    return t;
}

void TestPool::free(tlm::tlm_generic_payload *t)
{
    out--;
    free_.push_back(t);
}

// ---- Memory

TestMemory::TestMemory(const sc_core::sc_module_name &name, unsigned ports)
    : sc_module(name)
{
    memory_init(&contents);
    for (unsigned i = 0; i < ports; i++)
        port.push_back(std::make_unique<Port>(*this, sc_core::sc_gen_unique_name("port")));
}

TestMemory::~TestMemory()
{
    memory_free(&contents);
}

TestMemory::Port::Port(TestMemory &memory, const char *name)
    : m(memory), socket(name), channel{ 50000, 640, 64, 0 }
{
    socket.bind(*this);
    sc_core::sc_spawn_options options;
    options.spawn_method();
    options.dont_initialize();
    options.set_sensitivity(&wake);
    sc_core::sc_spawn([this] { act(); }, sc_core::sc_gen_unique_name("act"), &options);
}

// A memory that takes everything: byte enables and streaming as well.
void TestMemory::access(tlm::tlm_generic_payload &t)
{
    const std::uint64_t address = t.get_address(), width = t.get_streaming_width();
    if (watch)
        watch(t);
    t.set_response_status(tlm::TLM_ADDRESS_ERROR_RESPONSE);
    if (address > last
        || std::min<std::uint64_t>(width, t.get_data_length()) > last - address)
        return;
    for (unsigned i = 0; i < t.get_data_length(); i++) {
        if (t.get_byte_enable_ptr() != nullptr
            && t.get_byte_enable_ptr()[i % t.get_byte_enable_length()] != TLM_BYTE_ENABLED)
            continue;
        if (t.is_write())
            memory_write(&contents, address + i % width, t.get_data_ptr() + i, 1);
        else
            memory_read(&contents, address + i % width, t.get_data_ptr() + i, 1);
    }
    t.set_response_status(tlm::TLM_OK_RESPONSE);
}

namespace
{
sim_time_t ps(const sc_core::sc_time &t)
{
    return t.value();
}
sc_core::sc_time time_of(sim_time_t ps)
{
    return sc_core::sc_time::from_value(ps);
}
} // namespace

sim_time_t TestMemory::Port::end(const tlm::tlm_generic_payload &t, sim_time_t begins)
{
    if (writes_apart && t.is_write())
        return begins + channel.latency_ps;
    return mem_channel_access(&channel, begins, t.get_data_length()).last;
}

void TestMemory::Port::b_transport(tlm::tlm_generic_payload &t, sc_core::sc_time &delay)
{
    const sim_time_t now  = ps(sc_core::sc_time_stamp());
    const sim_time_t last = end(t, now + ps(delay));
    m.access(t);
    delay = time_of(last - now);
    t.set_dmi_allowed(offers_dmi);
}

tlm::tlm_sync_enum TestMemory::Port::nb_transport_fw(tlm::tlm_generic_payload &t,
                                                     tlm::tlm_phase &phase,
                                                     sc_core::sc_time &delay)
{
    const auto chance   = [this](unsigned n) { return n != 0 && random() % n == 0; };
    const sim_time_t at = ps(sc_core::sc_time_stamp() + delay);
    if (phase == tlm::END_RESP) {
        responding = false;
        t.release();
        wake.notify(sc_core::SC_ZERO_TIME);
        return tlm::TLM_COMPLETED;
    }
    const sim_time_t last = end(t, at);
    m.access(t);
    if (chance(manners.error))
        t.set_response_status(tlm::TLM_GENERIC_ERROR_RESPONSE);
    if (!responding && due.empty() && chance(manners.complete_at_once)) {
        delay = time_of(last) - sc_core::sc_time_stamp();
        return tlm::TLM_COMPLETED;
    }
    t.acquire();
    if (!responding && due.empty() && chance(manners.early_response)) {
        responding = true;
        phase      = tlm::BEGIN_RESP;
        delay      = time_of(last) - sc_core::sc_time_stamp();
        return tlm::TLM_UPDATED;
    }
    due.insert({ last, { &t, true } });
    wake.notify(sc_core::SC_ZERO_TIME);
    if (chance(manners.slow_request)) {
        due.insert({ at + random() % 90000, { &t, false } });
        return tlm::TLM_ACCEPTED;
    }
    phase = tlm::END_REQ;
    return tlm::TLM_UPDATED;
}

// Ends requests, and begins responses one at a time.
void TestMemory::Port::act()
{
    const sim_time_t now = ps(sc_core::sc_time_stamp());
    for (auto d = due.begin(); d != due.end() && d->first <= now;) {
        tlm::tlm_generic_payload &t = *d->second.first;
        const bool response         = d->second.second;
        tlm::tlm_phase phase        = response ? tlm::BEGIN_RESP : tlm::END_REQ;
        sc_core::sc_time delay      = sc_core::SC_ZERO_TIME;
        if (response && responding) {
            ++d;
            continue;
        }
        d = due.erase(d);
        if (!response) {
            socket->nb_transport_bw(t, phase, delay);
            continue;
        }
        // The response stands for an END_REQ that would come later.
        for (auto e = due.begin(); e != due.end();)
            e = e->second.first == &t ? due.erase(e) : std::next(e);
        responding = true;
        if (socket->nb_transport_bw(t, phase, delay) == tlm::TLM_COMPLETED) {
            responding = false;
            t.release();
        }
        d = due.begin();
    }
    for (const auto &d : due)
        if (d.first > now) {
            wake.notify(time_of(d.first - now));
            return;
        }
}

bool TestMemory::Port::get_direct_mem_ptr(tlm::tlm_generic_payload &t, tlm::tlm_dmi &dmi)
{
    const std::uint64_t page = t.get_address() & ~UINT64_C(0xfff);
    dmi.init();
    dmi.set_start_address(page);
    dmi.set_end_address(page | 0xfff);
    if (!offers_dmi || page > m.last)
        return false;
    dmi.set_dmi_ptr(
        reinterpret_cast<unsigned char *>(memory_page_make(&m.contents, page)->word));
    dmi.allow_read_write();
    return true;
}

unsigned TestMemory::Port::transport_dbg(tlm::tlm_generic_payload &t)
{
    m.access(t);
    return t.is_response_ok() ? t.get_data_length() : 0;
}

// ---- Tables

enum { RISCV_S1, RISCV_S2, RISCV_NESTED, RISCV_MARKING };

bool World::has_pasids(const std::string &arch, unsigned shape)
{
    return arch == "vtd" && shape >= vtd_first;
}

bool World::has_two_stages(const std::string &arch, unsigned shape)
{
    return shape == (arch == "vtd" ? unsigned{ vtd_nested } : unsigned{ RISCV_NESTED });
}

std::vector<std::string> World::settings(const std::string &arch, unsigned shape)
{
    std::vector<std::string> s{ "iommu.arch=" + arch, "riscv.msi_flat=0" };
    if (arch == "riscv" && shape == RISCV_MARKING)
        s.push_back("riscv.amo_hwad=1");
    if (arch != "vtd" || shape < vtd_ats)
        return s;
    s.push_back("vtd.scalable=1");
    if (shape <= vtd_pasid)
        s.push_back("vtd.device_tlb=1");
    if (shape == vtd_nested)
        s.push_back("vtd.nested=1");
    return s;
}

bool World::scalable() const
{
    return arch_ == "vtd" && shape_ >= vtd_pasid;
}

World::World(::memory &m, const std::string &arch, unsigned shape, unsigned devices)
    : m_(m), arch_(arch), shape_(shape)
{
    const bool vtd = arch == "vtd";
    format_        = ptfmt_find(scalable() && shape != vtd_second ? "x86"
                                : vtd                             ? "vtdss"
                                : shape == RISCV_S2               ? "rvs2"
                                                                  : "rvs1");
    levels_        = vtd && shape != 1 ? 4 : 3;
    top_           = page();
    queue_         = page();
    status_        = page();
    if (vtd) {
        contexts_ = page();
        memory_write64(&m_, top_, contexts_ | VTD_PRESENT);
    }
    for (unsigned i = 0; i < devices; i++)
        attach(i);
}

std::uint64_t World::page()
{
    const std::uint64_t p = next_page_;
    next_page_ += 16384; // Roots of a second stage are so large, and aligned.
    return p;
}

void World::attach(unsigned device)
{
    const std::uint64_t root = page();
    root_.push_back(root);
    flat_.emplace_back();
    second_.push_back(0);
    read_only_.push_back(false);
    if (scalable()) {
        attach_pasid(device, root);
        return;
    }
    if (arch_ == "vtd") {
        const std::uint64_t entry = contexts_ + device * VTD_CONTEXT_BYTES;
        const std::uint64_t tt    = shape_ == vtd_ats ? VTD_TT_DEVICE_TLB : 0;
        memory_write64(&m_, entry, root | VTD_PRESENT | VTD_CONTEXT_TT(tt));
        memory_write64(&m_, entry + 8, vtd_context_high(levels_ - 2, device + 1));
        return;
    }
    const std::uint64_t context = top_ + device * RISCV_DC_BYTES;
    const bool s1 = shape_ != RISCV_S2, s2 = shape_ == RISCV_S2 || shape_ == RISCV_NESTED;
    const std::uint64_t second = shape_ == RISCV_NESTED ? second_stage(device) : root;
    memory_write64(&m_, context,
                   RISCV_VALID | (shape_ == RISCV_MARKING ? RISCV_TC_SADE : 0));
    memory_write64(&m_, context + 8,
                   s2 ? riscv_iohgatp(RISCV_SV39, device + 1, second) : 0);
    memory_write64(&m_, context + 16, riscv_ta(device + 1));
    memory_write64(&m_, context + 24, s1 ? riscv_table(RISCV_SV39, root) : 0);
}

// Everything where it is, in leaves of 1 GiB.
std::uint64_t World::second_stage(unsigned device)
{
    const pt_format *f = ptfmt_find(arch_ == "vtd" ? "vtdss" : "rvs2");
    second_[device]    = page();
    for (std::uint64_t i = 0; i < 64; i++)
        memory_write64(&m_, second_[device] + 8 * i,
                       f->encode_leaf(i << 30, 2, 30, second_bits(true)));
    return second_[device];
}

std::uint8_t World::second_bits(bool writable) const
{
    unsigned prot = PT_READ | PT_EXECUTE | (writable ? unsigned{ PT_WRITE } : 0u);
    if (arch_ != "vtd")
        prot |= PT_USER | PT_ACCESSED | PT_DIRTY;
    return static_cast<std::uint8_t>(prot);
}

void World::attach_pasid(unsigned device, std::uint64_t root)
{
    const std::uint64_t context   = contexts_ + device * VTD_SM_CONTEXT_BYTES;
    const std::uint64_t directory = page(), table = page();
    const std::uint64_t entry = table + pasid(device) * VTD_PASID_BYTES;
    const bool ats = shape_ == vtd_pasid, first = shape_ != vtd_second;
    std::uint64_t low = vtd_pasid_low(0, VTD_PGTT_FIRST, 0);
    if (shape_ == vtd_second)
        low = vtd_pasid_low(levels_ - 2, VTD_PGTT_SECOND, root);
    if (shape_ == vtd_nested) {
        const std::uint64_t top = page();
        memory_write64(&m_, top, ptfmt_find("vtdss")->encode_table(second_stage(device)));
        low = vtd_pasid_low(2, VTD_PGTT_NESTED, top); // Four levels.
    }
    memory_write64(&m_, context,
                   directory | VTD_PRESENT | VTD_SM_PASIDE | (ats ? VTD_SM_DTE : 0));
    memory_write64(&m_, context + 8, ats ? 0 : pasid(device)); // Requests without PASID.
    memory_write64(&m_, directory, table | VTD_PRESENT);
    memory_write64(&m_, entry, low);
    memory_write64(&m_, entry + 8, device + 1);
    memory_write64(&m_, entry + 16,
                   (first ? vtd_pasid_first(levels_, root) : 0) | VTD_PASID_SRE);
}

std::uint64_t World::entry(unsigned device, std::uint64_t iova, unsigned leaf)
{
    std::uint64_t table = root_[device];
    for (unsigned level = levels_ - 1; level > leaf; level--) {
        const std::uint64_t at =
            table + pt_entry_offset(format_, level, level == levels_ - 1, iova);
        if (memory_read64(&m_, at) == 0)
            memory_write64(&m_, at, format_->encode_table(page()));
        table = format_->decode(memory_read64(&m_, at), level).pa;
    }
    return table + pt_entry_offset(format_, leaf, false, iova);
}

std::uint8_t World::bits(unsigned prot) const
{
    const bool first = scalable() && shape_ != vtd_second;
    if (arch_ != "vtd" || first)
        prot |= PT_USER;
    if (arch_ == "vtd" ? shape_ == vtd_nested : shape_ != RISCV_MARKING)
        prot |= PT_ACCESSED | PT_DIRTY; // Else the walk marks, where the format can.
    return static_cast<std::uint8_t>(prot);
}

void World::map(unsigned device, std::uint64_t iova, std::uint64_t pa, unsigned prot)
{
    flat_[device][iova >> 12] = { pa, prot };
    memory_write64(&m_, entry(device, iova, 0),
                   format_->encode_leaf(pa, 0, 12, bits(prot)));
}

void World::map_large(unsigned device, std::uint64_t iova, std::uint64_t pa, unsigned prot)
{
    const std::uint64_t at = entry(device, iova, 1);
    for (std::uint64_t i = 0; i < 512; i++)
        if (prot != 0)
            flat_[device][(iova >> 12) + i] = { pa + i * 4096, prot };
        else
            flat_[device].erase((iova >> 12) + i);
    memory_write64(&m_, at, prot == 0 ? 0 : format_->encode_leaf(pa, 1, 21, bits(prot)));
}

void World::unmap(unsigned device, std::uint64_t iova)
{
    flat_[device].erase(iova >> 12);
    memory_write64(&m_, entry(device, iova, 0), 0);
}

void World::protect(unsigned device, bool writable)
{
    const std::uint64_t gib = 2; // Of what maps lead to.
    const pt_format *f      = ptfmt_find(arch_ == "vtd" ? "vtdss" : "rvs2");
    read_only_[device]      = !writable;
    memory_write64(&m_, second_[device] + 8 * gib,
                   f->encode_leaf(gib << 30, 2, 30, second_bits(writable)));
}

std::optional<Mapping> World::find(unsigned device, std::uint64_t iova) const
{
    const auto f = flat_[device].find(iova >> 12);
    if (f == flat_[device].end())
        return std::nullopt;
    Mapping m = f->second;
    if (read_only_[device])
        m.prot &= ~unsigned{ PT_WRITE };
    return m;
}

// ---- Registers and commands

std::vector<World::Write> World::enable() const
{
    const bool wide = scalable();
    if (arch_ == "vtd")
        return { { VTD_RTADDR, top_ | (wide ? VTD_RTADDR_SCALABLE : 0), 8 },
                 { VTD_GCMD, VTD_G_RTP, 4 },
                 { VTD_IQA, wide ? vtd_iqa(queue_, 1) | VTD_IQA_DW : vtd_iqa(queue_, 0),
                   8 },
                 { VTD_IQT, 0, 8 },
                 { VTD_GCMD, VTD_G_QI, 4 },
                 { VTD_GCMD, VTD_G_QI | VTD_G_TE, 4 } };
    return { { RISCV_CQB, riscv_queue_base(queue_, 8), 8 },
             { RISCV_CQCSR, RISCV_QUEUE_ENABLE, 4 },
             { RISCV_FQB, riscv_queue_base(status_ + 4096, 6), 8 },
             { RISCV_FQCSR, RISCV_QUEUE_ENABLE, 4 },
             { RISCV_DDTP, riscv_ddtp(top_, RISCV_DDTP_1LVL), 8 } };
}

void World::put(std::uint64_t low, std::uint64_t high)
{
    const unsigned bytes = scalable() ? 32 : 16;
    memory_write64(&m_, queue_ + bytes * tail_, low);
    memory_write64(&m_, queue_ + bytes * tail_ + 8, high);
    tail_ = (tail_ + 1) % 256;
}

void World::put_vtd_invalidation(unsigned device, std::uint64_t iova, bool all,
                                 bool only_device)
{
    const std::uint64_t page = iova & ~UINT64_C(0xfff);
    const unsigned domain    = device + 1;
    const unsigned order     = all ? 20 : 0; // 4 GiB.
    const std::uint64_t at   = all ? 0 : page;
    const vtd_granularity g  = all ? VTD_DOMAIN : VTD_PAGE;
    const vtd_descriptor d =
        scalable() && shape_ != vtd_second
            ? vtd_inv_pasid_iotlb(g, domain, pasid(device), page, 0, !all)
            : vtd_inv_iotlb(g, domain, page, 0, !all);
    if (!only_device)
        put(d.low, d.high);
    if (shape_ != vtd_ats && shape_ != vtd_pasid)
        return;
    const vtd_descriptor t =
        shape_ == vtd_pasid
            ? vtd_inv_pasid_devtlb(device, 0, pasid(device), false, at, order)
            : vtd_inv_devtlb(device, 0, at, order);
    put(t.low, t.high);
}

// A wait behind what was put, and the register write that rings.
World::Write World::ring()
{
    waits_++;
    if (arch_ == "vtd") {
        const vtd_descriptor w = vtd_inv_wait(status_, waits_);
        put(w.low, w.high);
        return { VTD_IQT, static_cast<std::uint64_t>(tail_) << (scalable() ? 5 : 4), 8 };
    }
    const riscv_command f =
        riscv_iofence(RISCV_FENCE_AV | RISCV_FENCE_PR | RISCV_FENCE_PW, status_, waits_);
    put(f.low, f.high);
    return { RISCV_CQT, tail_, 4 };
}

World::Write World::invalidate(unsigned device, std::uint64_t iova, bool all,
                               bool only_device)
{
    const unsigned domain = device + 1;
    if (arch_ == "vtd") {
        put_vtd_invalidation(device, iova, all, only_device);
        return ring();
    }
    const std::uint64_t address = all ? 0 : RISCV_INVAL_AV;
    const bool nested           = shape_ == RISCV_NESTED;
    const riscv_command c =
        shape_ == RISCV_S2
            ? riscv_iotinval(RISCV_GVMA, address | RISCV_INVAL_GV, domain, 0, iova)
            : riscv_iotinval(RISCV_VMA,
                             address | RISCV_INVAL_PSCV | (nested ? RISCV_INVAL_GV : 0),
                             nested ? domain : 0, domain, iova);
    put(c.low, c.high);
    return ring();
}

World::Write World::invalidate_second(unsigned device, bool all)
{
    const std::uint64_t at = UINT64_C(2) << 30;
    if (arch_ == "vtd") {
        const vtd_descriptor d =
            vtd_inv_iotlb(all ? VTD_DOMAIN : VTD_PAGE, device + 1, at, 18, false);
        put(d.low, d.high);
    } else {
        const riscv_command c = riscv_iotinval(
            RISCV_GVMA, RISCV_INVAL_GV | (all ? 0 : RISCV_INVAL_AV), device + 1, 0, at);
        put(c.low, c.high);
    }
    return ring();
}

bool World::waited() const
{
    return memory_read32(&m_, status_) == waits_;
}

// ---- Initiators

void Requester::blocking(tlm::tlm_generic_payload &t)
{
    sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
    socket->b_transport(t, delay);
    sc_core::wait(delay);
}

void Requester::non_blocking(tlm::tlm_generic_payload &t)
{
    tlm::tlm_phase phase   = tlm::BEGIN_REQ;
    sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
    is_done_               = false;
    if (socket->nb_transport_fw(t, phase, delay) == tlm::TLM_COMPLETED)
        is_done_ = true;
    while (!is_done_)
        sc_core::wait(done_);
}

tlm::tlm_sync_enum Requester::nb_transport_bw(tlm::tlm_generic_payload &t,
                                              tlm::tlm_phase &phase, sc_core::sc_time &)
{
    if (phase == tlm::END_REQ && accepted)
        accepted();
    if (phase != tlm::BEGIN_RESP)
        return tlm::TLM_ACCEPTED;
    if (responded) {
        responded(t);
        return tlm::TLM_ACCEPTED;
    }
    is_done_ = true;
    done_.notify();
    return tlm::TLM_COMPLETED;
}

// ---- All of it

Bench::Bench(const std::string &preset, const std::string &arch, unsigned ports,
             unsigned shape)
    : memory("memory", 2), world(memory.contents, arch, shape, ports),
      iommu("iommu", ports, preset), cpu("cpu")
{
    for (const std::string &s : World::settings(arch, shape))
        iommu.set(s.substr(0, s.find('=')), s.substr(s.find('=') + 1));
    const auto between = [this](auto &from, auto &to) {
        checker.push_back(std::make_unique<Checker>(sc_core::sc_gen_unique_name("check")));
        from.bind(checker.back()->in);
        checker.back()->out.bind(to);
    };
    for (unsigned i = 0; i < ports; i++) {
        iommu.set_requester(i, i);
        requester.push_back(
            std::make_unique<Requester>(sc_core::sc_gen_unique_name("requester")));
        between(requester.back()->socket, iommu.upstream[i]);
    }
    memory.port[1]->writes_apart = true;
    between(iommu.memory, memory.port[0]->socket);
    between(iommu.tables, memory.port[1]->socket);
    between(cpu.socket, iommu.registers);
}

void Bench::write_register(const World::Write &w)
{
    tlm::tlm_generic_payload &t = pool.make(true, w.offset, w.bytes);
    std::memcpy(t.get_data_ptr(), &w.value, w.bytes);
    cpu.blocking(t);
    EXPECT_EQ(t.get_response_status(), tlm::TLM_OK_RESPONSE);
    t.release();
}

std::uint64_t Bench::read_register(std::uint32_t offset, unsigned bytes)
{
    std::uint64_t value         = 0;
    tlm::tlm_generic_payload &t = pool.make(false, offset, bytes);
    cpu.blocking(t);
    EXPECT_EQ(t.get_response_status(), tlm::TLM_OK_RESPONSE);
    std::memcpy(&value, t.get_data_ptr(), bytes);
    t.release();
    return value;
}

void Bench::enable()
{
    for (const World::Write &w : world.enable())
        write_register(w);
}

void Bench::expect_clean()
{
    for (const auto &c : checker) {
        for (const std::string &v : c->violations())
            ADD_FAILURE() << v;
        EXPECT_EQ(c->under_way(), 0u) << c->name();
    }
    EXPECT_EQ(pool.out, 0u);
}
} // namespace iovasim
