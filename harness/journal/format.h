// SPDX-License-Identifier: GPL-2.0-or-later
// The journal on disk: what docs/journal-format.md describes, as structs. Little endian, copied as
// they lie in memory. For writer.cc and reader.cc only; everyone else uses record.h.
#pragma once

#include <array>
#include <cstdint>
#include <cstdio>
#include <string>

#include "base/little_endian.h"

namespace snapbed::journal::format {

inline constexpr std::uint32_t kVersion = 1;
inline constexpr std::array<char, 8> kSegmentMagic = {'S', 'N', 'A', 'P', 'J', 'R', 'N', 'L'};
inline constexpr std::uint32_t kBlockMagic = 0x4b4c4253;  // "SBLK"
// A block is read into memory whole; the largest honest one is a run record with a large plan or
// one request of nbdkit's limit of 64 MiB (1 MiB of hashes).
inline constexpr std::uint32_t kBlockLimit = 64U << 20;

// First bytes of every segment file. `checksum` is XXH3-64 of the bytes after it.
struct SegmentHeader {
  std::uint64_t checksum;
  std::array<char, 8> magic;
  std::uint32_t version;
  std::uint32_t segment;  // 0, 1, 2...
  std::uint64_t run;      // drawn once per run: tells a leftover of another run
};
static_assert(sizeof(SegmentHeader) == 32);

// In front of every block. `checksum` is XXH3-64 of the header after it and the payload.
struct BlockHeader {
  std::uint64_t checksum;
  std::uint32_t magic;
  std::uint32_t bytes;   // of the payload, without this header; a multiple of 8
  std::uint64_t number;  // 0, 1, 2... over all segments
  std::uint64_t run;
};
static_assert(sizeof(BlockHeader) == 32);

enum class Kind : std::uint16_t { run = 1, request = 2, rule = 3, end = 4, power = 5 };

inline constexpr std::uint8_t kFua = 1;
inline constexpr std::uint8_t kHashes = 2;   // count hashes follow
inline constexpr std::uint8_t kPayload = 4;  // count * 512 bytes follow (after the hashes)

// First 16 bytes of every record; records are multiples of 8 bytes long.
struct Head {
  std::uint16_t kind;
  std::uint16_t disk;
  std::uint8_t op;
  std::uint8_t flags;
  std::uint16_t zero;
  std::uint32_t bytes;  // whole record, this included
  std::int32_t error;
};
static_assert(sizeof(Head) == 16);

// A request with end == kNever was in flight at a flush; a later record of the same `begin`
// replaces it.
struct RequestRecord {
  Head head;
  std::uint64_t first;
  std::uint64_t count;
  std::uint64_t begin;
  std::uint64_t moved;
  std::uint64_t end;
};
static_assert(sizeof(RequestRecord) == 56);

struct RuleRecord {
  Head head;
  std::uint64_t rule;
  std::uint64_t begin;
  std::uint64_t released;
  std::array<char, 24> how;  // zero padded
};
static_assert(sizeof(RuleRecord) == 64);

// The power was cut, and is back.
struct PowerRecord {
  Head head;
  std::uint64_t cut;
  std::uint64_t back;
};
static_assert(sizeof(PowerRecord) == 32);

// The first record of the first block. The plan's text (padded to 8) and the disks follow.
struct RunRecord {
  Head head;
  std::uint64_t seed;
  std::uint64_t plan_bytes;
  std::uint64_t disks;
};
static_assert(sizeof(RunRecord) == 40);

struct DiskRecord {
  std::uint16_t id;
  std::uint8_t role;
  std::uint8_t initial;
  std::uint32_t zero;
  std::uint64_t sectors;
  std::array<char, 24> name;  // zero padded
};
static_assert(sizeof(DiskRecord) == 40);

struct EndRecord {
  Head head;
};

inline constexpr std::uint64_t padded(std::uint64_t bytes) {
  return (bytes + 7) & ~std::uint64_t{7};
}

inline std::string segment_name(std::uint32_t segment) {
  std::array<char, 32> name{};
  std::snprintf(name.data(), name.size(), "journal-%06u.seg", segment);
  return name.data();
}

}  // namespace snapbed::journal::format
