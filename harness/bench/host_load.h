// SPDX-License-Identifier: GPL-2.0-or-later
// How much of the host was left to the guest: speeds measured beside other work are not to be
// trusted, and the report says so.
#pragma once

#include <cstdint>
#include <string>

namespace snapbed::bench {

// Of all processors since the host's boot, in clock ticks.
struct HostTicks {
  std::uint64_t busy = 0;
  std::uint64_t all = 0;
};

// From the text of /proc/stat. Time given to guests of the host is busy, time that a hypervisor
// below the host took is too. Throws std::runtime_error when its first line is not that of all
// processors. Pure.
HostTicks parse_host_ticks(const std::string& stat);

// User and system time of a process with all its threads, in the same ticks, from the text of
// /proc/PID/stat. Throws std::runtime_error when it is none. Pure.
std::uint64_t parse_process_ticks(const std::string& stat);

// The share of the host's processors, 0 to 1, that neither idled nor worked for a process which
// used `ours` ticks between the two looks. Pure.
double used_by_others(const HostTicks& before, const HostTicks& after, std::uint64_t ours);

// Above this share the ratios are those of a loaded host.
inline constexpr double kLoaded = 0.1;

}  // namespace snapbed::bench
