// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/copy_order.h"

#include <algorithm>
#include <bit>

#include "base/random.h"

namespace snapbed::agent {
namespace {

// A size in [1, limit] whose magnitude is drawn first: single units must be as common as large
// pieces, for the borders inside a chunk are where a wrong image shows.
std::uint64_t drawn_size(base::Random& random, std::uint64_t limit) {
  const auto magnitudes = static_cast<std::uint64_t>(std::bit_width(limit));
  const std::uint64_t low = std::uint64_t{1} << random.below(magnitudes);
  return random.between(low, std::min(2 * low - 1, limit));
}

}  // namespace

std::vector<plan::Range> sequential_pieces(std::uint64_t sectors, std::uint64_t block_sectors) {
  std::vector<plan::Range> pieces;
  for (std::uint64_t first = 0; first < sectors; first += block_sectors) {
    pieces.push_back({first, std::min(block_sectors, sectors - first)});
  }
  return pieces;
}

std::vector<plan::Range> shuffled_pieces(std::uint64_t seed, std::uint32_t step,
                                         std::uint64_t sectors, std::uint64_t block_sectors,
                                         std::uint64_t unit_sectors) {
  base::Random random(seed ^ (std::uint64_t{step} << 32) ^ 0xc0b1e5ULL);
  std::vector<plan::Range> pieces;
  for (std::uint64_t first = 0; first < sectors;) {
    const std::uint64_t size = drawn_size(random, block_sectors / unit_sectors) * unit_sectors;
    pieces.push_back({first, std::min(size, sectors - first)});
    first += pieces.back().count;
  }
  random.shuffle(pieces);
  return pieces;
}

}  // namespace snapbed::agent
