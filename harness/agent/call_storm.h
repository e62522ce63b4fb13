// SPDX-License-Identifier: GPL-2.0-or-later
// Random calls of the whole interface by several threads that share devices and ids.
#pragma once

#include <cstdint>

#include "agent/abi.h"

namespace snapbed::agent {

struct StormPlan {
  std::uint64_t seed = 0;
  std::uint32_t threads = 8;
  std::uint64_t calls = 500;  // of each thread
};

struct StormCounts {
  std::uint64_t calls = 0;
  std::uint64_t creates = 0;  // successful ones
  std::uint64_t takes = 0;
  std::uint64_t destroys = 0;
};

// The calls of a thread are a function of seed and thread; how the threads meet is not. Each kind
// of call gives one case: its results are all among those that the interface knows. What lives
// afterwards is left to AbiBench::clear(). Throws std::system_error.
StormCounts storm_calls(AbiBench& bench, const StormPlan& plan);

}  // namespace snapbed::agent
