// SPDX-License-Identifier: GPL-2.0-or-later
#include "vm/host_counter.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#if defined(__x86_64__)
#include <x86intrin.h>

namespace snapbed::vm {
namespace {

TEST(HostCounter, GoesAsFastAsMeasured) {
  const auto begun = std::chrono::steady_clock::now();
  const std::uint64_t count = __rdtsc();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const std::uint64_t counted = __rdtsc() - count;
  const std::chrono::duration<double, std::milli> passed = std::chrono::steady_clock::now() - begun;
  // Whoever is interrupted between two of the readings is off by that much.
  EXPECT_NEAR(static_cast<double>(counted) / passed.count() / host_counter_khz(), 1.0, 0.3);
}

}  // namespace
}  // namespace snapbed::vm
#endif
