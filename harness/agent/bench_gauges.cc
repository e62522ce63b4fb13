// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/bench_gauges.h"

#include <fcntl.h>
#include <unistd.h>
#include <x86intrin.h>

#include <stdexcept>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"

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
  auto memory = base::parse_memory(meminfo);
  auto used = static_cast<std::int64_t>(memory["MemTotal"]);
  for (const char* name : {"MemFree", "Buffers", "Cached", "SReclaimable"})
    used -= static_cast<std::int64_t>(memory[name]);
  return used;
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
