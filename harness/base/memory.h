// SPDX-License-Identifier: GPL-2.0-or-later
// What this machine has left.
#pragma once

#include <cstdint>

namespace snapbed::base {

// Bytes that programs can get without swapping, as the kernel estimates (MemAvailable of
// /proc/meminfo). Throws std::runtime_error when it does not tell.
std::uint64_t available_memory();

}  // namespace snapbed::base
