// SPDX-License-Identifier: Apache-2.0
#include "sim/host/vcd.h"

#include <systemc>

#include "sim/host/systemc.h"

struct vcd {
    sc_core::sc_trace_file *file;
};

extern "C" struct vcd *vcd_open(const char *base, const struct vcd_signal *signal,
                                unsigned signals)
{
    CHECK(systemc_host_called());
    // That the unit has been set is nothing to tell a user.
    const auto told = sc_core::sc_report_handler::get_verbosity_level();
    sc_core::sc_report_handler::set_verbosity_level(sc_core::SC_NONE);
    sc_core::sc_trace_file *file = sc_core::sc_create_vcd_trace_file(base);
    file->set_time_unit(1, sc_core::SC_PS);
    sc_core::sc_report_handler::set_verbosity_level(told);
    for (unsigned i = 0; i < signals; i++)
        sc_core::sc_trace(file, *signal[i].value, signal[i].name,
                          static_cast<int>(signal[i].bits));
    return new vcd{ file };
}

extern "C" void vcd_close(struct vcd *v)
{
    sc_core::sc_close_vcd_trace_file(v->file);
    delete v;
}
