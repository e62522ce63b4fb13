// SPDX-License-Identifier: GPL-2.0-or-later
// Layout of ledger blocks and ledger sectors.
#include "plan/ledger.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>

#include "plan/bytes.h"

namespace snapbed::plan {
namespace {

constexpr std::string_view kBlockMagic = "SNAPLEDG";
constexpr std::string_view kSectorMagic = "SNAPLEDS";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kEntriesAt = 64;
constexpr std::size_t kEntryBytes = 48;
constexpr std::size_t kSectorBytes = 512;
static_assert(kEntriesAt + kLedgerBlockEntries * kEntryBytes == kLedgerBlockBytes);

void put_entry(std::span<std::uint8_t> out, const LedgerEntry& entry) {
  put_le<std::uint64_t>(out, 0, entry.number);
  put_le<std::uint64_t>(out, 8, entry.seen);
  put_le<std::uint64_t>(out, 16, entry.begin);
  put_le<std::uint64_t>(out, 24, entry.end);
  put_le<std::uint64_t>(out, 32, entry.first);
  put_le<std::uint32_t>(out, 40, entry.count);
  out[44] = static_cast<std::uint8_t>(entry.op);
  out[45] = entry.device;
  put_le<std::uint16_t>(out, 46, entry.result);
}

LedgerEntry get_entry(std::span<const std::uint8_t> in) {
  LedgerEntry entry;
  entry.number = get_le<std::uint64_t>(in, 0);
  entry.seen = get_le<std::uint64_t>(in, 8);
  entry.begin = get_le<std::uint64_t>(in, 16);
  entry.end = get_le<std::uint64_t>(in, 24);
  entry.first = get_le<std::uint64_t>(in, 32);
  entry.count = get_le<std::uint32_t>(in, 40);
  entry.op = static_cast<LedgerOp>(in[44]);
  entry.device = in[45];
  entry.result = get_le<std::uint16_t>(in, 46);
  return entry;
}

bool makes_sense(const LedgerEntry& entry, const LedgerBlock& block) {
  const bool known = entry.op >= LedgerOp::write && entry.op <= LedgerOp::durable;
  const bool ranged = (entry.op == LedgerOp::flush) == (entry.count == 0);
  return known && ranged && entry.number >= 1 && entry.number <= block.issued &&
         entry.seen < entry.number && entry.begin < entry.end;
}

}  // namespace

const char* to_string(LedgerOp op) {
  switch (op) {
    case LedgerOp::write:
      return "write";
    case LedgerOp::durable:
      return "durable write";
    case LedgerOp::discard:
      return "discard";
    case LedgerOp::zero:
      return "write-zeroes";
    case LedgerOp::flush:
      return "flush";
  }
  return "?";
}

std::array<std::uint8_t, kLedgerBlockBytes> encode_ledger_block(const LedgerBlock& block) {
  if (block.entries.size() > kLedgerBlockEntries) {
    throw std::runtime_error("ledger block " + std::to_string(block.number) + ": " +
                             std::to_string(block.entries.size()) + " entries, at most " +
                             std::to_string(kLedgerBlockEntries) + " fit");
  }
  std::array<std::uint8_t, kLedgerBlockBytes> bytes{};
  const std::span<std::uint8_t> out(bytes);
  std::copy(kBlockMagic.begin(), kBlockMagic.end(), bytes.begin() + 8);
  put_le<std::uint32_t>(out, 16, kVersion);
  put_le<std::uint32_t>(out, 20, static_cast<std::uint32_t>(block.entries.size()));
  put_le<std::uint64_t>(out, 24, block.number);
  put_le<std::uint64_t>(out, 32, block.key);
  put_le<std::uint64_t>(out, 40, block.issued);
  for (std::size_t i = 0; i < block.entries.size(); ++i) {
    put_entry(out.subspan(kEntriesAt + i * kEntryBytes, kEntryBytes), block.entries[i]);
  }
  put_le<std::uint64_t>(out, 0, XXH3_64bits(bytes.data() + 8, bytes.size() - 8));
  return bytes;
}

std::optional<LedgerBlock> decode_ledger_block(std::span<const std::uint8_t> bytes) {
  if (bytes.size() != kLedgerBlockBytes ||
      std::memcmp(bytes.data() + 8, kBlockMagic.data(), kBlockMagic.size()) != 0 ||
      get_le<std::uint32_t>(bytes, 16) != kVersion ||
      get_le<std::uint64_t>(bytes, 0) != XXH3_64bits(bytes.data() + 8, bytes.size() - 8)) {
    return std::nullopt;
  }
  const auto entries = get_le<std::uint32_t>(bytes, 20);
  if (entries > kLedgerBlockEntries) return std::nullopt;
  LedgerBlock block;
  block.number = get_le<std::uint64_t>(bytes, 24);
  block.key = get_le<std::uint64_t>(bytes, 32);
  block.issued = get_le<std::uint64_t>(bytes, 40);
  for (std::size_t i = 0; i < entries; ++i) {
    const LedgerEntry entry = get_entry(bytes.subspan(kEntriesAt + i * kEntryBytes, kEntryBytes));
    if (!makes_sense(entry, block)) return std::nullopt;
    block.entries.push_back(entry);
  }
  return block;
}

std::uint64_t ledger_key(std::uint64_t seed, std::uint32_t step) {
  const std::array<std::uint64_t, 2> words = {seed, 0x1ed6e70000000000ULL | step};
  return XXH3_64bits(words.data(), sizeof words);
}

void fill_ledger_sector(std::uint64_t key, std::uint8_t device, std::uint64_t sector,
                        std::uint64_t number, std::uint64_t seen, std::span<std::uint8_t> out) {
  std::copy(kSectorMagic.begin(), kSectorMagic.end(), out.begin());
  const std::array<std::uint64_t, 5> words = {key, device, sector, number, seen};
  for (std::size_t i = 0; i < words.size(); ++i) put_le<std::uint64_t>(out, 8 + 8 * i, words[i]);
  // A cheap filler, so that no part of two sectors is alike; the words above make it unique.
  std::uint64_t word = XXH3_64bits(out.data(), 48);
  for (std::size_t at = 48; at < kSectorBytes; at += 8) {
    word = word * 0x9fb21c651e98df25ULL + 0x632be59bd9b4e019ULL;
    put_le<std::uint64_t>(out, at, word ^ (word >> 29));
  }
}

}  // namespace snapbed::plan
