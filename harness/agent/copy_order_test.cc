// SPDX-License-Identifier: GPL-2.0-or-later
// Every sector is read exactly once, in every order.
#include "agent/copy_order.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace snapbed::agent {
namespace {

using Ranges = std::vector<plan::Range>;

// Whether the pieces, put in order, tile [0, sectors) without gap or overlap.
bool tiles(Ranges pieces, std::uint64_t sectors) {
  std::sort(pieces.begin(), pieces.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  std::uint64_t next = 0;
  for (const plan::Range& piece : pieces) {
    if (piece.first != next || piece.count == 0) return false;
    next += piece.count;
  }
  return next == sectors;
}

bool same(const Ranges& a, const Ranges& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.first == y.first && x.count == y.count;
  });
}

TEST(SequentialPieces, CoverEverySectorInOrder) {
  for (const std::uint64_t sectors : {1u, 7u, 8u, 9u, 2048u, 2049u}) {
    const Ranges pieces = sequential_pieces(sectors, 8);
    EXPECT_TRUE(tiles(pieces, sectors)) << sectors;
    EXPECT_TRUE(std::is_sorted(pieces.begin(), pieces.end(),
                               [](const auto& a, const auto& b) { return a.first < b.first; }));
    EXPECT_EQ(pieces.size(), (sectors + 7) / 8);
  }
  EXPECT_TRUE(sequential_pieces(0, 8).empty());
}

TEST(ShuffledPieces, CoverEverySectorOnceForManySeeds) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    const std::uint64_t sectors = 1 + seed * 137;
    const Ranges pieces = shuffled_pieces(seed, 3, sectors, 64, 1);
    EXPECT_TRUE(tiles(pieces, sectors)) << seed;
    for (const plan::Range& piece : pieces) EXPECT_LE(piece.count, 64u);
  }
}

TEST(ShuffledPieces, AreWholeLogicalBlocks) {
  const Ranges pieces = shuffled_pieces(5, 3, 8 * 1000, 256, 8);
  EXPECT_TRUE(tiles(pieces, 8 * 1000));
  for (const plan::Range& piece : pieces) {
    EXPECT_EQ(piece.first % 8, 0u);
    EXPECT_EQ(piece.count % 8, 0u);
  }
}

TEST(ShuffledPieces, HaveAllSizesAndNoOrder) {
  const Ranges pieces = shuffled_pieces(1, 1, 524288, 2048, 1);
  EXPECT_TRUE(std::any_of(pieces.begin(), pieces.end(), [](auto& p) { return p.count == 1; }));
  EXPECT_TRUE(std::any_of(pieces.begin(), pieces.end(), [](auto& p) { return p.count > 1024; }));
  std::size_t ascending = 0;
  for (std::size_t i = 1; i < pieces.size(); ++i) {
    ascending += pieces[i].first > pieces[i - 1].first ? 1 : 0;
  }
  EXPECT_GT(ascending, pieces.size() * 2 / 5);
  EXPECT_LT(ascending, pieces.size() * 3 / 5);
}

TEST(ShuffledPieces, AreAFunctionOfSeedAndStep) {
  const Ranges pieces = shuffled_pieces(1, 1, 10000, 64, 1);
  EXPECT_TRUE(same(pieces, shuffled_pieces(1, 1, 10000, 64, 1)));
  EXPECT_FALSE(same(pieces, shuffled_pieces(1, 2, 10000, 64, 1)));
  EXPECT_FALSE(same(pieces, shuffled_pieces(2, 1, 10000, 64, 1)));
}

}  // namespace
}  // namespace snapbed::agent
