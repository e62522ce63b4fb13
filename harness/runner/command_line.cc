// SPDX-License-Identifier: GPL-2.0-or-later
#include "runner/command_line.h"

#include <array>
#include <string_view>

namespace snapbed::runner {
namespace {

constexpr std::array<std::string_view, 10> kAlways = {
    "console=ttyS0", "root=/dev/vda", "rootfstype=erofs", "ro",
    // An oops is the end, and the console says why.
    "panic=-1",
    // Scenarios make the null_blk devices that they want.
    "null_blk.nr_devices=0",
    // On a loaded host the kernel's test of its timer fails, and it panics.
    "no_timer_check",
    // The module's caches bear its name, so that leaks and sanitizers name it.
    "slab_nomerge",
    // Its objects are surrounded, and filled when they are free: what is used too long or too far
    // shows.
    "slub_debug=FZP,blksnap_*",
    // Breakpoints become jumps in three writes to running code; one is the least an amplifier needs
    // (images/kernel.config, on code that changes under emulation).
    "sysctl.debug.kprobes-optimization=0"};

}  // namespace

std::string guest_command_line(const std::vector<std::string>& arguments) {
  std::string line;
  for (const std::string_view argument : kAlways)
    line.append(line.empty() ? "" : " ").append(argument);
  for (const std::string& argument : arguments) line.append(" ").append(argument);
  return line;
}

}  // namespace snapbed::runner
