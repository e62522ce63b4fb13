// SPDX-License-Identifier: GPL-2.0-or-later
#include "journal/pattern.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstring>

#include "journal/hash_avx2.h"

namespace snapbed::journal {

std::uint64_t sector_hash(std::span<const std::uint8_t> sector) {
#ifdef SNAPBED_HASH_AVX2
  // Hashing is most of what an evidence disk does; the value is the same on every processor.
  static const bool has_avx2 = __builtin_cpu_supports("avx2") != 0;
  if (has_avx2) return hash_avx2(sector.data(), sector.size());
#endif
  return XXH3_64bits(sector.data(), sector.size());
}

void fill_sector(std::uint64_t key, std::uint64_t sector, std::span<std::uint8_t> out) {
  const std::uint64_t base = mix(key) ^ mix(sector);
  for (std::uint64_t word = 0; word * 8 + 8 <= out.size(); ++word) {
    const std::uint64_t value = mix(base + word);
    std::memcpy(out.data() + word * 8, &value, sizeof(value));
  }
}

}  // namespace snapbed::journal
