// SPDX-License-Identifier: GPL-2.0-or-later
#include "runner/command_line.h"

#include <fmt/format.h>

#include <array>
#include <string_view>

namespace snapbed::runner {
namespace {

constexpr std::array<std::string_view, 9> kAlways = {
    "console=ttyS0", "root=/dev/vda", "rootfstype=erofs", "ro",
    // An oops is the end, and the console says why.
    "panic=-1",
    // Scenarios make the null_blk devices that they want.
    "null_blk.nr_devices=0",
    // On a loaded host the kernel's test of its timer fails, and it panics.
    "no_timer_check",
    // The module's caches bear its name, so that leaks and sanitizers name it.
    "slab_nomerge",
    // Breakpoints become jumps in three writes to running code; one is the least an amplifier needs
    // (images/kernel.config, on code that changes under emulation).
    "sysctl.debug.kprobes-optimization=0"};

// Its objects are surrounded, and filled when they are free.
constexpr std::string_view kGuarded = "slub_debug=FZP,blksnap_*";

// The emulator's processors all read one counter, which the kernel cannot know: it would ask the
// power management timer for the time, and every such question leaves the translated code.
constexpr std::string_view kEmulated = "tsc=reliable clocksource=tsc";

}  // namespace

std::string guest_command_line(const std::vector<std::string>& arguments, vm::Accel accel,
                               std::uint32_t counter_khz, Caches caches) {
  std::string line;
  const auto add = [&](std::string_view argument) {
    line.append(line.empty() ? "" : " ").append(argument);
  };
  for (const std::string_view argument : kAlways) add(argument);
  if (caches == Caches::guarded) add(kGuarded);
  if (accel == vm::Accel::tcg) add(kEmulated);
  // Not to be measured by the guest, against a timer that a busy host serves late.
  if (accel == vm::Accel::tcg && counter_khz != 0)
    add(fmt::format("tsc_early_khz={}", counter_khz));
  for (const std::string& argument : arguments) add(argument);
  return line;
}

}  // namespace snapbed::runner
