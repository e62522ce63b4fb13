// SPDX-License-Identifier: GPL-2.0-or-later
// The agent's ledger: what the guest was told of each of its own writes. Every sector that the
// ledger's workload writes names its disk, its place, the number of the write and the last number
// that its writer saw complete, so that a sector found anywhere tells where it comes from. The
// ledger itself goes to the files disk in blocks of 4 KiB, as docs/journal-format.md describes.
//
// Guest counters: one atomic counter of the agent, drawn just before an operation is submitted
// (`begin`) and just after its completion was seen (`end`). Pure, any thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace snapbed::plan {

// A durable write (RWF_DSYNC) is told to be done when it is safe.
enum class LedgerOp : std::uint8_t { write = 1, discard = 2, zero = 3, flush = 4, durable = 5 };
inline bool brings_data(LedgerOp op) {
  return op == LedgerOp::write || op == LedgerOp::durable;
}
const char* to_string(LedgerOp op);

struct LedgerEntry {
  std::uint64_t number = 0;  // 1, 2, 3... in the order in which they were drawn
  std::uint64_t seen = 0;    // the last number its writer saw complete, 0: none
  std::uint64_t begin = 0;   // guest counter
  std::uint64_t end = 0;
  std::uint64_t first = 0;  // device sectors; a flush has none
  std::uint32_t count = 0;
  LedgerOp op = LedgerOp::write;
  std::uint8_t device = 0;   // index in the step's `devices`
  std::uint16_t result = 0;  // positive errno, 0: done
};

inline constexpr std::size_t kLedgerBlockBytes = 4096;
inline constexpr std::size_t kLedgerBlockEntries = 84;

struct LedgerBlock {
  std::uint64_t key = 0;     // ledger_key() of the step that keeps it
  std::uint64_t number = 0;  // 0, 1, 2... of this ledger
  std::uint64_t issued = 0;  // greatest number drawn by then
  std::vector<LedgerEntry> entries;
};

// Throws std::runtime_error when there are more entries than fit.
std::array<std::uint8_t, kLedgerBlockBytes> encode_ledger_block(const LedgerBlock& block);
// nullopt when magic, version, checksum or an entry is wrong.
std::optional<LedgerBlock> decode_ledger_block(std::span<const std::uint8_t> bytes);

// What all sectors of one ledger carry: drawn from the plan's seed and the step that began it.
std::uint64_t ledger_key(std::uint64_t seed, std::uint32_t step);

// The 512 bytes that sector `sector` of device `device` gets by write `number`, whose writer had
// last seen `seen` complete.
void fill_ledger_sector(std::uint64_t key, std::uint8_t device, std::uint64_t sector,
                        std::uint64_t number, std::uint64_t seen, std::span<std::uint8_t> out);

}  // namespace snapbed::plan
