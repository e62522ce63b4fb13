// SPDX-License-Identifier: GPL-2.0-or-later
// What this machine has left.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace snapbed::base {

// What /proc/meminfo, of which `text` is, tells: by its words without the colon, in bytes. Lines
// without a number are left out. Throws std::runtime_error when MemTotal is not among them. Pure.
std::map<std::string, std::uint64_t> parse_memory(const std::string& text);

// Bytes that programs can get without swapping, as the kernel estimates (MemAvailable of
// /proc/meminfo). Throws std::runtime_error when it does not tell.
std::uint64_t available_memory();

}  // namespace snapbed::base
