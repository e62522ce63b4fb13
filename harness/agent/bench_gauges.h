// SPDX-License-Identifier: GPL-2.0-or-later
// What is read off the guest around a load: instructions, bytes moved, memory in use.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/disk_statistics.h"

namespace snapbed::agent {

// Nanoseconds that processor 0 has been idle since boot, from the text of /proc/timer_list. Throws
// std::runtime_error when it does not say. Pure.
std::uint64_t parse_idle_ns(const std::string& timer_list);

// Where QEMU counts instructions (-icount shift=0) the processor's counter moves by one with each
// of them, and jumps over times when the only processor waits. So the counter less the idle time is
// the number of instructions that the guest has run, in kernel, interrupts, workers and programs.
// The kernel measures its idle time by the same counter (clocksource=tsc), entering and leaving
// included.
std::uint64_t instructions_now();

// What a text like /proc/meminfo says is neither free nor a cache that gives way, in bytes. Pure.
std::int64_t parse_used_bytes(const std::string& meminfo);
// The same of this guest, after its caches have been dropped.
std::int64_t used_bytes();

struct Moved {
  std::uint64_t read_bytes = 0;
  std::uint64_t written_bytes = 0;
  std::uint64_t requests = 0;
};
// To and from a disk since boot.
Moved moved(dev_t disk);

}  // namespace snapbed::agent
