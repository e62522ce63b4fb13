// SPDX-License-Identifier: GPL-2.0-or-later
// From samples to rows: medians over the rounds, and ratios to the bare device paired within each
// round, because the host's speed drifts. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench/sample.h"

namespace snapbed::bench {

// Of the rounds: the middle one, and how far they lie apart.
struct Spread {
  double median = 0;
  double least = 0;
  double most = 0;
};
// REQUIRES: values is not empty. Of an even number, the mean of the two in the middle.
Spread spread(std::vector<double> values);

// One system in one row. Speeds are operations or bytes a second.
struct Line {
  std::string row;
  System system = System::bare;
  std::uint32_t rounds = 0;
  std::uint64_t block_bytes = 0;
  Spread operations_per_s = {};
  double settled_per_s = 0;  // operations, until what they caused was stored too
  double p50_us = 0;
  double p99_us = 0;
  double moved_per_byte = 0;
  double requests_per_operation = 0;  // of all disks
  double copies_per_operation = 0;    // blocks of 4 KiB of old data read
  std::optional<Spread> ratio = {};   // of the speed to that of the bare device
  double settled_ratio = 0;
  double instructions = 0;                        // of an operation; 0: not counted
  std::optional<Spread> instructions_ratio = {};  // to the bare device
};

// In the order of the experiments. Rounds in which the bare device is missing give no ratio.
std::vector<Line> summarize(const std::vector<Sample>& wall, const std::vector<Sample>& counted);

const Line* find(const std::vector<Line>& lines, const std::string& row, System system);

}  // namespace snapbed::bench
