// SPDX-License-Identifier: GPL-2.0-or-later
// What the module is to reach, and whether it does. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/summary.h"

namespace snapbed::bench {

enum class Judgement : std::uint8_t {
  not_measured,
  met,
  missed,
  open,  // the rounds do not agree, or the host had other work while the clock ran
};
const char* to_string(Judgement judgement);

struct Goal {
  std::string what;
  double bound = 0;
  bool at_least = false;        // else: at most
  std::optional<Spread> value;  // nullopt: not measured
  bool unsteady = false;        // a speed, and the host was loaded

  Judgement judgement() const;
};

// `loaded`: speeds are those of a loaded host.
std::vector<Goal> goals(const std::vector<Line>& lines, const std::vector<Memory>& memory,
                        bool loaded);

// Names of memory results, shared with the guest.
inline constexpr const char* kTakeHuge = "take of 16 TiB, beside map and bitmap of lost chunks";
inline constexpr const char* kTakeHugeAll = "tracked and taken, each TiB of 16";
inline constexpr const char* kStateDense = "state of a saved 4 KiB, one in 256 KiB";
inline constexpr const char* kStateSparse = "state of a saved 4 KiB, one in 16 MiB";

}  // namespace snapbed::bench
