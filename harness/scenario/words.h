// SPDX-License-Identifier: GPL-2.0-or-later
// Words of a scenario file: the nearest known word to a typo, and sizes with units. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace snapbed::scenario {

// The known word with the smallest edit distance, nullopt when none is closer than half the word.
std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& known);

// " (nearest: X)" or "".
std::string nearest_note(std::string_view word, const std::vector<std::string>& known);

// "0", "512B", "64K", "256M", "2G", "3T" in bytes, "8s" in sectors of 512 bytes -> bytes.
// nullopt when it is none of these or does not fit 63 bits. A bare number other than 0 is
// refused: one could not tell bytes from sectors.
std::optional<std::uint64_t> parse_size(std::string_view text);

// A decimal number, nothing else.
std::optional<std::uint64_t> parse_number(std::string_view text);

std::vector<std::string> split(std::string_view text, char separator);

// "a, b, c".
std::string joined(const std::vector<std::string>& words);

}  // namespace snapbed::scenario
