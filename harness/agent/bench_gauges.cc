// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/bench_gauges.h"

#include <fcntl.h>
#include <unistd.h>
#include <x86intrin.h>

#include <sstream>
#include <stdexcept>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"

namespace snapbed::agent {
namespace {

constexpr std::uint64_t kSectorSize = 512;

}  // namespace

std::uint64_t parse_idle_ns(const std::string& timer_list) {
  constexpr std::string_view kName = ".idle_sleeptime";
  const auto place = timer_list.find(kName);
  const auto colon = place == timer_list.npos ? place : timer_list.find(':', place);
  if (colon == timer_list.npos)
    throw std::runtime_error("/proc/timer_list does not say how long the processor was idle");
  return std::stoull(timer_list.substr(colon + 1));
}

std::uint64_t instructions_now() {
  // No idle time lies between the two: this thread runs on the only processor.
  const std::uint64_t idle = parse_idle_ns(base::read_file("/proc/timer_list"));
  return __rdtsc() - idle;
}

std::int64_t parse_used_bytes(const std::string& meminfo) {
  std::istringstream stream(meminfo);
  std::int64_t used = 0, value = 0;
  std::string name, line;
  bool total = false;
  while (std::getline(stream, line)) {
    std::istringstream words(line);
    if (!(words >> name >> value)) continue;
    if (name == "MemTotal:") {
      used += value;
      total = true;
    } else if (name == "MemFree:" || name == "Buffers:" || name == "Cached:" ||
               name == "SReclaimable:") {
      used -= value;
    }
  }
  if (!total) throw std::runtime_error("/proc/meminfo does not say how much memory there is");
  return used * 1024;
}

std::int64_t used_bytes() {
  const base::UniqueFd caches(::open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC));
  if (!caches || base::write_all(caches.get(), "3") != 0)
    throw std::runtime_error("/proc/sys/vm/drop_caches does not take 3");
  return parse_used_bytes(base::read_file("/proc/meminfo"));
}

Moved moved(dev_t disk) {
  const DiskStatistics now = read_disk_statistics(disk);
  return {now.read_sectors * kSectorSize, now.write_sectors * kSectorSize, now.reads + now.writes};
}

}  // namespace snapbed::agent
