// SPDX-License-Identifier: GPL-2.0-or-later
// The counter that QEMU's emulator hands to its guests as their time-stamp counter.
#pragma once

#include <cstdint>

namespace snapbed::vm {

// How fast it goes, in kHz: that of the host's own (QEMU 7.2, cpu_get_host_ticks()), measured
// against CLOCK_MONOTONIC for 20 ms by the first call, to some parts in a hundred thousand. 0 where
// the host has none. A guest that measures it itself, against an emulated timer on a busy host, has
// been wrong by a factor of ten: its clock then ran so fast that a minute of waiting was over in
// seconds. Any thread.
std::uint32_t host_counter_khz();

}  // namespace snapbed::vm
