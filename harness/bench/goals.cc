// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/goals.h"

#include <algorithm>

namespace snapbed::bench {
namespace {

using Value = std::optional<double>;

Value ratio(const std::vector<Line>& lines, const std::string& row, System system) {
  const Line* line = find(lines, row, system);
  return line != nullptr && line->ratio ? Value(line->ratio->median) : std::nullopt;
}

Value instructions(const std::vector<Line>& lines, const std::string& row, System system) {
  const Line* line = find(lines, row, system);
  return line != nullptr && line->instructions_ratio ? Value(line->instructions_ratio->median)
                                                     : std::nullopt;
}

Value quotient(Value above, Value below) {
  return above && below && *below > 0 ? Value(*above / *below) : std::nullopt;
}

Value better(Value one, Value other) {
  return one && other ? Value(std::max(*one, *other)) : std::nullopt;
}

// Of the least that is possible: read the old data, store it, write the new.
Value amplification(const std::vector<Line>& lines) {
  constexpr double kLeast = 3;
  const Line* line = find(lines, "first-touch", System::blksnap);
  return line != nullptr && line->rounds > 0 ? Value(line->moved_per_byte / kLeast) : std::nullopt;
}

Value bytes_each(const std::vector<Memory>& memory, const std::string& what) {
  const auto found = std::find_if(memory.begin(), memory.end(),
                                  [&](const Memory& one) { return one.what == what; });
  if (found == memory.end() || found->count == 0) return std::nullopt;
  return static_cast<double>(found->bytes) / static_cast<double>(found->count);
}

}  // namespace

std::vector<Goal> goals(const std::vector<Line>& lines, const std::vector<Memory>& memory) {
  using enum System;
  const Value touch = ratio(lines, "first-touch", blksnap);
  const Value best_dm = better(ratio(lines, "first-touch", dm4), ratio(lines, "first-touch", dm64));
  const Value read_random = ratio(lines, "read-random", blksnap);
  return {
      {"tracked only, instructions, depth 1", 1.01, false,
       instructions(lines, "write-1x1", tracked)},
      {"tracked only, instructions, depth 32", 1.01, false,
       instructions(lines, "write-1x32", tracked)},
      {"tracked only, two writers, speed", 0.99, true, ratio(lines, "write-2x32", tracked)},
      {"rewrite of saved blocks, instructions, depth 1", 1.03, false,
       instructions(lines, "rewrite-1x1", blksnap)},
      {"rewrite of saved blocks, instructions, depth 32", 1.03, false,
       instructions(lines, "rewrite", blksnap)},
      {"image read, clean, instructions", 1.05, false, instructions(lines, "read-clean", blksnap)},
      {"image read, half overwritten, instructions", 1.05, false,
       instructions(lines, "read-half", blksnap)},
      {"first touch, speed", 0.65, true, touch},
      {"first touch, speed, to the better dm-snapshot", 1.25, true, quotient(touch, best_dm)},
      {"image read after random writes, speed, to dm-snapshot 4 KiB", 2, true,
       quotient(read_random, ratio(lines, "read-random", dm4))},
      {"bytes moved by a first touch, to the least possible", 2, false, amplification(lines)},
      {"bytes of state of a saved 4 KiB, one in 256 KiB", 160, false,
       bytes_each(memory, kStateDense)},
      {"bytes of state of a saved 4 KiB, one in 16 MiB", 160, false,
       bytes_each(memory, kStateSparse)},
      {"MiB at take of 16 TiB, beside map and bitmap", 1, false,
       quotient(bytes_each(memory, kTakeHuge), Value(1 << 20))},
  };
}

}  // namespace snapbed::bench
