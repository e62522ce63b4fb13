// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/host_load.h"

#include <algorithm>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "base/process.h"

namespace snapbed::bench {
namespace {

// Fields of the line "cpu", after the name.
constexpr int kIdle = 3;
constexpr int kIoWait = 4;
constexpr int kFields = 8;  // up to steal; guests' time, behind it, is in user's already

// Fields of /proc/PID/stat, counted from the state.
constexpr std::size_t kUserTime = 11;
constexpr std::size_t kSystemTime = 12;

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
  const std::vector<std::string> fields = base::stat_fields(stat);
  if (fields.size() <= kSystemTime)
    throw std::runtime_error("a /proc/PID/stat without the times of the process");
  return std::stoull(fields[kUserTime]) + std::stoull(fields[kSystemTime]);
}

double used_by_others(const HostTicks& before, const HostTicks& after, std::uint64_t ours) {
  if (after.all <= before.all) return 0;
  const std::uint64_t busy = after.busy - std::min(before.busy, after.busy);
  return static_cast<double>(busy - std::min(busy, ours)) /
         static_cast<double>(after.all - before.all);
}

}  // namespace snapbed::bench
