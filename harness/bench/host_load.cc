// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/host_load.h"

#include <algorithm>
#include <sstream>
#include <stdexcept>

namespace snapbed::bench {
namespace {

// Fields of the line "cpu", after the name.
constexpr int kIdle = 3;
constexpr int kIoWait = 4;
constexpr int kFields = 8;  // up to steal; guests' time, behind it, is in user's already

// Fields of /proc/PID/stat behind the closing bracket of the name.
constexpr int kBeforeUserTime = 11;

}  // namespace

HostTicks parse_host_ticks(const std::string& stat) {
  std::istringstream words(stat.substr(0, stat.find('\n')));
  std::string name;
  HostTicks ticks;
  words >> name;
  for (int i = 0; i < kFields; ++i) {
    std::uint64_t value = 0;
    if (name != "cpu" || !(words >> value))
      throw std::runtime_error("/proc/stat does not begin with the times of all processors");
    ticks.all += value;
    if (i != kIdle && i != kIoWait) ticks.busy += value;
  }
  return ticks;
}

std::uint64_t parse_process_ticks(const std::string& stat) {
  // The name may hold brackets and spaces of its own.
  const auto name_end = stat.rfind(')');
  std::istringstream words(name_end == stat.npos ? "" : stat.substr(name_end + 1));
  std::string skipped;
  for (int i = 0; i < kBeforeUserTime; ++i) words >> skipped;
  std::uint64_t user = 0, system = 0;
  if (!(words >> user >> system))
    throw std::runtime_error("a /proc/PID/stat without the times of the process");
  return user + system;
}

double used_by_others(const HostTicks& before, const HostTicks& after, std::uint64_t ours) {
  if (after.all <= before.all) return 0;
  const std::uint64_t busy = after.busy - std::min(before.busy, after.busy);
  return static_cast<double>(busy - std::min(busy, ours)) /
         static_cast<double>(after.all - before.all);
}

}  // namespace snapbed::bench
