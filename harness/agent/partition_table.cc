// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/partition_table.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "plan/bytes.h"

namespace snapbed::agent {
namespace {

constexpr std::size_t kEntriesAt = 446;
constexpr std::size_t kEntryBytes = 16;
constexpr int kEntries = 4;
constexpr std::size_t kTypeAt = 4;
constexpr std::size_t kFirstAt = 8;
constexpr std::size_t kCountAt = 12;
constexpr std::uint8_t kLinux = 0x83;
constexpr std::size_t kSignatureAt = 510;
constexpr std::uint16_t kSignature = 0xaa55;

}  // namespace

void fill_partition_table(const std::vector<Partition>& parts, std::uint64_t unit,
                          std::span<std::uint8_t> block) {
  std::fill(block.begin(), block.end(), std::uint8_t{0});
  for (const Partition& part : parts) {
    const plan::Range& range = part.range;
    const std::uint64_t last = (range.first + range.count) / unit;
    if (part.number < 1 || part.number > kEntries || range.count == 0 || range.first % unit != 0 ||
        range.count % unit != 0 || last > 0xffffffffU) {
      throw std::runtime_error("partition " + std::to_string(part.number) + " [" +
                               std::to_string(range.first) + ", +" + std::to_string(range.count) +
                               ") cannot stand in an MBR");
    }
    const std::size_t at = kEntriesAt + static_cast<std::size_t>(part.number - 1) * kEntryBytes;
    block[at + kTypeAt] = kLinux;
    plan::put_le<std::uint32_t>(block, at + kFirstAt,
                                static_cast<std::uint32_t>(range.first / unit));
    plan::put_le<std::uint32_t>(block, at + kCountAt,
                                static_cast<std::uint32_t>(range.count / unit));
  }
  plan::put_le<std::uint16_t>(block, kSignatureAt, kSignature);
}

}  // namespace snapbed::agent
