// SPDX-License-Identifier: GPL-2.0-or-later
// Where the time from power-on to the first mark went. The init leaves two readings in the
// environment; the processor's counter, which starts at power-on, gives the time before the kernel.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace snapbed::agent {

inline constexpr const char* kInitReading = "SNAPBED_INIT_READING";

// One moment on both clocks.
struct ClockReading {
  std::uint64_t boot_ns = 0;  // CLOCK_BOOTTIME: 0 when the kernel set up its clock
  std::uint64_t counter = 0;  // time stamp counter: 0 at power-on
};
ClockReading read_clocks();
std::string to_text(const ClockReading& reading);
// {0, 0} when the text is not such a reading. Pure.
ClockReading from_text(const std::string& text);

// Milliseconds: "firmware" until the kernel's clock began, "kernel" until the init began, "init"
// until the agent began, "agent" until now. Firmware and kernel's unpacking are 0 when the counter
// did not move between init and agent. Pure.
std::map<std::string, double> boot_phases(const ClockReading& init, const ClockReading& agent,
                                          const ClockReading& now);

}  // namespace snapbed::agent
