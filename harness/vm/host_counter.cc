// SPDX-License-Identifier: GPL-2.0-or-later
#include "vm/host_counter.h"

#include <chrono>
#include <thread>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace snapbed::vm {
namespace {

#if defined(__x86_64__)
using Clock = std::chrono::steady_clock;

struct Sample {
  Clock::time_point time;
  std::uint64_t count = 0;
};

// Of some tries the one that was interrupted least.
Sample sample() {
  Sample best;
  auto least = Clock::duration::max();
  for (int i = 0; i < 50; ++i) {
    const auto before = Clock::now();
    const std::uint64_t count = __rdtsc();
    const auto took = Clock::now() - before;
    if (took >= least) continue;
    least = took;
    best = {before + took / 2, count};
  }
  return best;
}

std::uint32_t measure() {
  const Sample first = sample();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const Sample last = sample();
  const std::chrono::duration<double, std::milli> passed = last.time - first.time;
  return static_cast<std::uint32_t>(static_cast<double>(last.count - first.count) / passed.count());
}
#else
std::uint32_t measure() {
  return 0;
}
#endif

}  // namespace

std::uint32_t host_counter_khz() {
  static const std::uint32_t khz = measure();
  return khz;
}

}  // namespace snapbed::vm
