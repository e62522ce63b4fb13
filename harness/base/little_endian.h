// SPDX-License-Identifier: GPL-2.0-or-later
// Numbers in bytes, least significant first, at any alignment. For every format that leaves memory.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>

namespace snapbed::base {

static_assert(std::endian::native == std::endian::little,
              "the formats are little endian and are copied as they lie in memory");

// The caller guarantees sizeof(T) bytes at `from`.
template <std::integral T>
T load_le(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

template <std::integral T>
void store_le(void* to, T value) {
  std::memcpy(to, &value, sizeof(T));
}

}  // namespace snapbed::base
