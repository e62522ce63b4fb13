// SPDX-License-Identifier: GPL-2.0-or-later
// The pieces in which an image is read: every sector exactly once. Pure, any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "plan/plan.h"

namespace snapbed::agent {

// Pieces of `block_sectors` in ascending order; the last one may be shorter. `block_sectors` > 0.
std::vector<plan::Range> sequential_pieces(std::uint64_t sectors, std::uint64_t block_sectors);

// Pieces of `unit_sectors` (the device's logical block) up to `block_sectors`, all sizes about
// equally often by magnitude, in an order without pattern; a function of its arguments. `sectors`
// and `block_sectors` are multiples of `unit_sectors` > 0.
std::vector<plan::Range> shuffled_pieces(std::uint64_t seed, std::uint32_t step,
                                         std::uint64_t sectors, std::uint64_t block_sectors,
                                         std::uint64_t unit_sectors);

}  // namespace snapbed::agent
