// SPDX-License-Identifier: GPL-2.0-or-later
// What the guest reports: one line of JSON per measurement.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/experiments.h"

namespace snapbed::bench {

// One system in one row of one round.
struct Sample {
  std::string row;
  System system = System::bare;
  std::uint32_t round = 0;
  std::uint64_t operations = 0;
  std::uint64_t bytes = 0;       // of the load
  std::uint64_t ns = 0;          // from the first submission to the last completion
  std::uint64_t settled_ns = 0;  // until what it caused was stored too
  std::uint64_t p50_ns = 0;      // latency of an operation
  std::uint64_t p99_ns = 0;
  std::uint64_t instructions = 0;  // of the guest, kernel and load, until settled; 0: not counted
  std::uint64_t moved_bytes = 0;   // to and from the virtual disks
  std::uint64_t copied_bytes = 0;  // of that, old data read from the origin
  std::uint64_t requests = 0;      // that they were moved by
  bool operator==(const Sample&) const = default;
};

// A number of bytes that is not a speed.
struct Memory {
  std::string what;
  std::int64_t bytes = 0;
  std::uint64_t count = 1;  // that the bytes are for: saved blocks, say
  bool operator==(const Memory&) const = default;
};

struct Results {
  std::vector<Sample> samples;
  std::vector<Memory> memory;
  std::string error;  // what ended it early
  bool done = false;
};

std::string to_line(const Sample& sample);
std::string to_line(const Memory& memory);
std::string done_line();
std::string error_line(const std::string& what);

// Of the lines so far; the last may be cut short. Throws std::runtime_error for a line that is none
// of these.
Results parse(std::string_view text);

}  // namespace snapbed::bench
