// SPDX-License-Identifier: GPL-2.0-or-later
// The kernel command line of every guest, judged or not.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vm/machine.h"

namespace snapbed::runner {

// How the module's memory is kept: guarded finds what is used too long or too far, and makes every
// object cost several times as much.
enum class Caches : std::uint8_t { guarded, fast };

// What each guest gets, then `arguments`. Pure.
std::string guest_command_line(const std::vector<std::string>& arguments, vm::Accel accel,
                               Caches caches = Caches::guarded);

}  // namespace snapbed::runner
