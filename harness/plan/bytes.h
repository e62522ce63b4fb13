// SPDX-License-Identifier: GPL-2.0-or-later
// Little-endian numbers in byte buffers, and the checksum that headers and marks carry.
// Pure, any thread. Offsets are in bytes and must lie inside the span.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

namespace snapbed::plan {

template <std::unsigned_integral T>
constexpr void put_le(std::span<std::uint8_t> out, std::size_t offset, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    out[offset + i] = static_cast<std::uint8_t>(static_cast<std::uint64_t>(value) >> (8 * i));
  }
}

template <std::unsigned_integral T>
constexpr T get_le(std::span<const std::uint8_t> in, std::size_t offset) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    value |= static_cast<std::uint64_t>(in[offset + i]) << (8 * i);
  }
  return static_cast<T>(value);
}

}  // namespace snapbed::plan
