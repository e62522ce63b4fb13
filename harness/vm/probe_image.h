// SPDX-License-Identifier: GPL-2.0-or-later
// The smallest guest that proves an accelerator runs code: one boot sector.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace snapbed::vm {

inline constexpr char kProbeAnswer[] = "SNAPBED-PROBE-OK\n";
// QEMU's exit status when the guest writes kProbeExitValue to isa-debug-exit: 2 * value + 1.
inline constexpr std::uint8_t kProbeExitValue = 0x2a;
inline constexpr int kProbeExitStatus = 2 * kProbeExitValue + 1;

// A disk image of one sector. The firmware loads it to 0x7c00 and jumps there in real mode; it goes
// to protected mode and counts to 2^20 there (a guest that only firmware-like code runs in proves
// little), writes kProbeAnswer to I/O port 0xe9 and kProbeExitValue to port 0xf4.
std::array<std::uint8_t, 512> probe_image();

}  // namespace snapbed::vm
