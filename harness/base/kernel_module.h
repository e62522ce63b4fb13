// SPDX-License-Identifier: GPL-2.0-or-later
// What the file of a kernel module (.ko, not compressed) says of itself. Pure; `bytes` is the whole
// file, and may be any rubbish.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>

namespace snapbed::base {

// The next value of this key of its modinfo at or behind *at, which goes on behind it.
std::optional<std::string> modinfo(const std::string& bytes, const std::string& key,
                                   std::size_t* at = nullptr);

struct NumberRange {
  std::uint64_t least = 0;
  std::uint64_t most = 0;
};
// The values that a parameter takes, if its description says so: the last "(LEAST-MOST)" in it.
std::optional<NumberRange> parameter_range(const std::string& bytes, const std::string& name);

// The names of its functions as /proc/kallsyms will show them; nullopt for what has no symbol table
// or is no ELF file of 64 bits.
std::optional<std::set<std::string>> function_symbols(const std::string& bytes);

}  // namespace snapbed::base
