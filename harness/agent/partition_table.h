// SPDX-License-Identifier: GPL-2.0-or-later
// An MBR of primary partitions. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "plan/plan.h"

namespace snapbed::agent {

struct Partition {
  int number = 1;     // 1..4
  plan::Range range;  // sectors of 512 bytes, whole logical blocks
};

// Fills the disk's first logical block of `unit` sectors. Throws std::runtime_error for what an MBR
// cannot say: a fifth partition, a piece of a block, places from 2^32 blocks on.
void fill_partition_table(const std::vector<Partition>& parts, std::uint64_t unit,
                          std::span<std::uint8_t> block);

}  // namespace snapbed::agent
