// SPDX-License-Identifier: Apache-2.0
//
// clock - SystemC's time in the core's picoseconds, and back.
#ifndef SIM_TLM_CLOCK_HPP
#define SIM_TLM_CLOCK_HPP

#include <algorithm>
#include <cstdint>
#include <systemc>

extern "C" {
#include "sim/base/simtime.h"
}

namespace iovasim
{
class Clock
{
  public:
    // False: a picosecond is no whole number of SystemC's units.
    bool init()
    {
        const sc_core::sc_time ps(1, sc_core::SC_PS);
        units_ = ps.value();
        return units_ >= 1 && sc_core::sc_get_time_resolution() <= ps;
    }
    // Rounded up, so that nothing happens before its time.
    sim_time_t ps(const sc_core::sc_time &t) const
    {
        return t.value() / units_ + (t.value() % units_ != 0);
    }
    sim_time_t now() const
    {
        return ps(sc_core::sc_time_stamp());
    }
    sc_core::sc_time time(sim_time_t ps) const
    {
        return ps > UINT64_MAX / units_ ? sc_core::sc_max_time()
                                        : sc_core::sc_time::from_value(ps * units_);
    }
    // From now on; a delay without end is one of half of all time.
    sim_time_t later(const sc_core::sc_time &delay) const
    {
        return now() + std::min<sim_time_t>(ps(delay), UINT64_MAX / 2);
    }
    // From now to then, zero when that is past.
    sc_core::sc_time until(sim_time_t then) const
    {
        const sc_core::sc_time t = time(then), now = sc_core::sc_time_stamp();
        return t > now ? t - now : sc_core::SC_ZERO_TIME;
    }

  private:
    std::uint64_t units_ = 1;
};
} // namespace iovasim

#endif
