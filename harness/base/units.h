// SPDX-License-Identifier: GPL-2.0-or-later
// Sizes as people write them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace snapbed::base {

// "4096", "512K", "256M", "3G", "100T" (powers of 1024, either case, an optional "iB" or "B" after
// the letter). nullopt for anything else: empty text, signs, fractions, blanks, results of 2^64 and
// more.
std::optional<std::uint64_t> parse_bytes(std::string_view text);

// The largest unit that divides exactly: 268435456 -> "256M", 513 -> "513". parse_bytes reads it
// back.
std::string format_bytes(std::uint64_t bytes);

// For people, one decimal, rounded down: 1536 -> "1.5 KiB".
std::string describe_bytes(std::uint64_t bytes);

}  // namespace snapbed::base
