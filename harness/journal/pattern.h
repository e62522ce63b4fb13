// SPDX-License-Identifier: GPL-2.0-or-later
// Contents that are functions: what a seeded disk holds before its first write and what
// the agent writes by itself. The guest and the host compute the same bytes. Pure, any thread.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace snapbed::journal {

using SectorBytes = std::array<std::uint8_t, 512>;

// XXH3-64 of one 512-byte sector: the hash that stands for its content everywhere.
std::uint64_t sector_hash(std::span<const std::uint8_t> sector);

// splitmix64 finalizer (Steele, Lea, Flood 2014): a cheap, well mixed 64-bit hash.
constexpr std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

// The 512 bytes that belong to (key, sector): 64 words, word i = mix(mix(key) ^ mix(sector) + i).
void fill_sector(std::uint64_t key, std::uint64_t sector, std::span<std::uint8_t> out);

// Key of a seeded disk's initial content.
constexpr std::uint64_t initial_key(std::uint64_t seed, std::uint16_t disk) {
  return mix(seed) ^ (0xd15cULL << 48) ^ disk;
}
// Key of what the agent writes in step `step` (own writes, image writes): unique per step.
constexpr std::uint64_t step_key(std::uint64_t seed, std::uint32_t step) {
  return mix(seed) ^ (0xa9e7ULL << 48) ^ step;
}

}  // namespace snapbed::journal
