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

// What each guest gets, then `arguments`. `counter_khz`: how fast the emulated processor's counter
// goes (vm::host_counter_khz()); 0 when the guest has to find out. Pure.
std::string guest_command_line(const std::vector<std::string>& arguments, vm::Accel accel,
                               std::uint32_t counter_khz, Caches caches = Caches::guarded);

}  // namespace snapbed::runner
