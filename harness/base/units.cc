// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/units.h"

#include <charconv>

namespace snapbed::base {

namespace {

constexpr std::string_view kLetters = "KMGTPE";

// Binary logarithm of the unit `suffix` names; nullopt when it names none.
std::optional<unsigned> shift_of(std::string_view suffix) {
  if (suffix.empty() || suffix == "B") return 0U;
  const char letter = static_cast<char>(suffix[0] >= 'a' ? suffix[0] - 'a' + 'A' : suffix[0]);
  const auto index = kLetters.find(letter);
  if (index == std::string_view::npos) return std::nullopt;
  const auto rest = suffix.substr(1);
  if (!rest.empty() && rest != "B" && rest != "iB") return std::nullopt;
  return static_cast<unsigned>(10 * (index + 1));
}

}  // namespace

std::optional<std::uint64_t> parse_bytes(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return std::nullopt;
  const auto shift = shift_of(text.substr(static_cast<std::size_t>(end - text.data())));
  if (!shift || (*shift > 0 && (number >> (64 - *shift)) != 0)) return std::nullopt;
  return number << *shift;
}

std::string format_bytes(std::uint64_t bytes) {
  std::size_t unit = 0;
  while (bytes != 0 && bytes % 1024 == 0 && unit < kLetters.size()) {
    bytes /= 1024;
    ++unit;
  }
  return std::to_string(bytes) + (unit == 0 ? "" : std::string(1, kLetters[unit - 1]));
}

std::string describe_bytes(std::uint64_t bytes) {
  if (bytes < 1024) return std::to_string(bytes) + " B";
  unsigned unit = 1;
  while (unit < kLetters.size() && (bytes >> (10 * (unit + 1))) != 0) ++unit;
  const std::uint64_t whole = bytes >> (10 * unit);
  const std::uint64_t rest = (bytes >> (10 * (unit - 1))) & 1023;
  return std::to_string(whole) + "." + std::to_string(rest * 10 / 1024) + " " + kLetters[unit - 1] +
         "iB";
}

}  // namespace snapbed::base
