// SPDX-License-Identifier: GPL-2.0-or-later
// The bytes of an MBR, and what cannot stand in one.
#include "agent/partition_table.h"

#include <gtest/gtest.h>

#include <array>
#include <stdexcept>

namespace snapbed::agent {
namespace {

TEST(PartitionTable, HoldsPlacesInLogicalBlocks) {
  std::array<std::uint8_t, 4096> block;
  block.fill(0xff);
  fill_partition_table({{1, {64, 8}}, {4, {0x1000, 0x20000}}}, 8, block);
  EXPECT_EQ(block[446 + 4], 0x83);
  EXPECT_EQ(block[446 + 8], 8) << "64 sectors are 8 blocks";
  EXPECT_EQ(block[446 + 12], 1);
  EXPECT_EQ(block[494 + 9], 0x02) << "the fourth begins at block 0x200";
  EXPECT_EQ(block[494 + 13], 0x40);
  EXPECT_EQ(block[446 + 16 + 4], 0) << "the second is empty";
  EXPECT_EQ(block[510], 0x55);
  EXPECT_EQ(block[511], 0xaa);
}

TEST(PartitionTable, RefusesWhatDoesNotFit) {
  std::array<std::uint8_t, 4096> block;
  EXPECT_THROW(fill_partition_table({{5, {64, 8}}}, 1, block), std::runtime_error);
  EXPECT_THROW(fill_partition_table({{1, {63, 8}}}, 8, block), std::runtime_error);
  EXPECT_THROW(fill_partition_table({{1, {64, 0}}}, 1, block), std::runtime_error);
  EXPECT_THROW(fill_partition_table({{1, {64, 1ULL << 32U}}}, 1, block), std::runtime_error);
}

}  // namespace
}  // namespace snapbed::agent
