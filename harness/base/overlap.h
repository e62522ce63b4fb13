// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>

namespace snapbed::base {

// Whether two ranges, each `first` and how many from there on, have anything in common; an empty
// range has not. Any unit, so long as it is one. Neither range may end beyond 2^64.
constexpr bool overlap(std::uint64_t first, std::uint64_t count, std::uint64_t other_first,
                       std::uint64_t other_count) {
  return count != 0 && other_count != 0 && first < other_first + other_count &&
         other_first < first + count;
}

}  // namespace snapbed::base
