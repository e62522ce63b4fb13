// SPDX-License-Identifier: GPL-2.0-or-later
// Also linked into the init, so it uses little of the C++ library.
#include "agent/boot_time.h"

#include <x86intrin.h>

#include <cmath>
#include <cstdio>
#include <ctime>

namespace snapbed::agent {
namespace {

constexpr double kNsPerMs = 1e6;

double rounded_ms(double ns) {
  return std::round(ns / kNsPerMs * 10) / 10;
}

double span_ms(std::uint64_t from_ns, std::uint64_t to_ns) {
  return rounded_ms(static_cast<double>(to_ns - from_ns));
}

// The counter's rate is taken from two moments of this boot.
double firmware_ms(const ClockReading& early, const ClockReading& late) {
  if (late.counter <= early.counter || late.boot_ns <= early.boot_ns) return 0;
  const double ns_per_count = static_cast<double>(late.boot_ns - early.boot_ns) /
                              static_cast<double>(late.counter - early.counter);
  const double since_power_on = static_cast<double>(late.counter) * ns_per_count;
  return std::fmax(0, rounded_ms(since_power_on - static_cast<double>(late.boot_ns)));
}

}  // namespace

ClockReading read_clocks() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return {static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
              static_cast<std::uint64_t>(now.tv_nsec),
          __rdtsc()};
}

std::string to_text(const ClockReading& reading) {
  return std::to_string(reading.boot_ns) + " " + std::to_string(reading.counter);
}

ClockReading from_text(const std::string& text) {
  unsigned long long boot_ns = 0;
  unsigned long long counter = 0;
  if (std::sscanf(text.c_str(), "%llu %llu", &boot_ns, &counter) != 2) return {};
  return {boot_ns, counter};
}

std::map<std::string, double> boot_phases(const ClockReading& init, const ClockReading& agent,
                                          const ClockReading& now) {
  return {{"firmware", firmware_ms(init, now)},
          {"kernel", rounded_ms(static_cast<double>(init.boot_ns))},
          {"init", span_ms(init.boot_ns, agent.boot_ns)},
          {"agent", span_ms(agent.boot_ns, now.boot_ns)}};
}

}  // namespace snapbed::agent
