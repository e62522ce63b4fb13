// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/goals.h"

#include <algorithm>

namespace snapbed::bench {
namespace {

using Value = std::optional<Spread>;

Spread exactly(double value) {
  return {value, value, value};
}

Value ratio(const std::vector<Line>& lines, const std::string& row, System system) {
  const Line* line = find(lines, row, system);
  return line != nullptr ? line->ratio : std::nullopt;
}

Value instructions(const std::vector<Line>& lines, const std::string& row, System system) {
  const Line* line = find(lines, row, system);
  return line != nullptr ? line->instructions_ratio : std::nullopt;
}

// The ends are those of the worst luck: which rounds belong together is not known here.
Value quotient(const Value& above, const Value& below) {
  if (!above || !below || below->least <= 0) return std::nullopt;
  return Spread{above->median / below->median, above->least / below->most,
                above->most / below->least};
}

Value better(const Value& one, const Value& other) {
  if (!one || !other) return std::nullopt;
  return one->median < other->median ? other : one;
}

// Of the least that is possible: read the old data, store it, write the new.
Value amplification(const std::vector<Line>& lines) {
  constexpr double kLeast = 3;
  const Line* line = find(lines, "first-touch", System::blksnap);
  return line != nullptr && line->rounds > 0 ? Value(exactly(line->moved_per_byte / kLeast))
                                             : std::nullopt;
}

Value bytes_each(const std::vector<Memory>& memory, const std::string& what) {
  const auto found = std::find_if(memory.begin(), memory.end(),
                                  [&](const Memory& one) { return one.what == what; });
  if (found == memory.end() || found->count == 0) return std::nullopt;
  return exactly(static_cast<double>(found->bytes) / static_cast<double>(found->count));
}

}  // namespace

const char* to_string(Judgement judgement) {
  switch (judgement) {
    case Judgement::not_measured:
      return "-";
    case Judgement::met:
      return "met";
    case Judgement::missed:
      return "MISSED";
    case Judgement::open:
      return "open";
  }
  return "?";
}

Judgement Goal::judgement() const {
  if (!value) return Judgement::not_measured;
  if (unsteady) return Judgement::open;
  const bool least_meets = at_least ? value->least >= bound : value->least <= bound;
  const bool most_meets = at_least ? value->most >= bound : value->most <= bound;
  if (least_meets != most_meets) return Judgement::open;
  return least_meets ? Judgement::met : Judgement::missed;
}

std::vector<Goal> goals(const std::vector<Line>& lines, const std::vector<Memory>& memory,
                        bool loaded) {
  using enum System;
  const Value touch = ratio(lines, "first-touch", blksnap);
  const Value best_dm = better(ratio(lines, "first-touch", dm4), ratio(lines, "first-touch", dm64));
  const Value read_random = ratio(lines, "read-random", blksnap);
  return {
      {"tracked only, instructions, depth 1", 1.01, false,
       instructions(lines, "write-1x1", tracked)},
      {"tracked only, instructions, depth 32", 1.01, false,
       instructions(lines, "write-1x32", tracked)},
      {"tracked only, two writers, speed", 0.99, true, ratio(lines, "write-2x32", tracked), loaded},
      {"rewrite of saved blocks, instructions, depth 1", 1.03, false,
       instructions(lines, "rewrite-1x1", blksnap)},
      {"rewrite of saved blocks, instructions, depth 32", 1.03, false,
       instructions(lines, "rewrite", blksnap)},
      {"image read, clean, instructions", 1.05, false, instructions(lines, "read-clean", blksnap)},
      {"image read, half overwritten, instructions", 1.05, false,
       instructions(lines, "read-half", blksnap)},
      {"first touch, speed", 0.65, true, touch, loaded},
      {"first touch, speed, to the better dm-snapshot", 1.25, true, quotient(touch, best_dm),
       loaded},
      {"image read after random writes, speed, to dm-snapshot 4 KiB", 2, true,
       quotient(read_random, ratio(lines, "read-random", dm4)), loaded},
      {"bytes moved by a first touch, to the least possible", 2, false, amplification(lines)},
      {"bytes of state of a saved 4 KiB, one in 256 KiB", 160, false,
       bytes_each(memory, kStateDense)},
      {"bytes of state of a saved 4 KiB, one in 16 MiB", 160, false,
       bytes_each(memory, kStateSparse)},
      {"MiB at take of 16 TiB, beside map and bitmap", 1, false,
       quotient(bytes_each(memory, kTakeHuge), exactly(1 << 20))},
  };
}

}  // namespace snapbed::bench
