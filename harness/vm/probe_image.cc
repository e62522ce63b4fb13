// SPDX-License-Identifier: GPL-2.0-or-later
// Assembled by hand, instruction by instruction, so that the build needs no assembler for other
// modes. Offsets are those of the sector; it runs at 0x7c00.
#include "vm/probe_image.h"

#include <algorithm>
#include <cstddef>

namespace snapbed::vm {
namespace {

constexpr std::uint8_t kCode[] = {
    // 16 bits; the firmware leaves segments and interrupts in a state of its own
    0xfa,                          // 00 cli
    0x31, 0xc0,                    // 01 xor ax, ax
    0x8e, 0xd8,                    // 03 mov ds, ax
    0x0f, 0x01, 0x16, 0x60, 0x7c,  // 05 lgdt [0x7c60]
    0x0f, 0x20, 0xc0,              // 0a mov eax, cr0
    0x0c, 0x01,                    // 0d or al, 1          ; protection on
    0x0f, 0x22, 0xc0,              // 0f mov cr0, eax
    0xea, 0x17, 0x7c, 0x08, 0x00,  // 12 jmp 0x08:0x7c17
    // 32 bits from here
    0x66, 0xb8, 0x10, 0x00,        // 17 mov ax, 0x10
    0x8e, 0xd8,                    // 1b mov ds, ax
    0xb9, 0x00, 0x00, 0x10, 0x00,  // 1d mov ecx, 1 << 20
    0x49,                          // 22 dec ecx           ; the count
    0x75, 0xfd,                    // 23 jnz 0x22
    0xbe, 0x80, 0x7c, 0x00, 0x00,  // 25 mov esi, 0x7c80   ; the answer
    0x8a, 0x06,                    // 2a mov al, [esi]
    0x84, 0xc0,                    // 2c test al, al
    0x74, 0x05,                    // 2e jz 0x35
    0xe6, 0xe9,                    // 30 out 0xe9, al
    0x46,                          // 32 inc esi
    0xeb, 0xf5,                    // 33 jmp 0x2a
    0xb0, kProbeExitValue,         // 35 mov al, value
    0xe6, 0xf4,                    // 37 out 0xf4, al
    0xf4,                          // 39 hlt               ; not reached when the device is there
    0xeb, 0xfd,                    // 3a jmp 0x39
};

constexpr std::size_t kTableAt = 0x40;
constexpr std::uint8_t kTable[] = {
    0,    0,    0,    0,    0,    0,    0,    0,     // the null descriptor
    0xff, 0xff, 0x00, 0x00, 0x00, 0x9a, 0xcf, 0x00,  // 0x08: code, base 0, 4 GiB, 32 bits
    0xff, 0xff, 0x00, 0x00, 0x00, 0x92, 0xcf, 0x00,  // 0x10: data, base 0, 4 GiB
};

constexpr std::size_t kTablePointerAt = 0x60;
constexpr std::uint8_t kTablePointer[] = {
    sizeof kTable - 1,
    0x00,  // limit
    0x40,
    0x7c,
    0x00,
    0x00,  // base: 0x7c00 + kTableAt
};

constexpr std::size_t kAnswerAt = 0x80;

static_assert(sizeof kCode <= kTableAt);
static_assert(kTableAt + sizeof kTable <= kTablePointerAt);

}  // namespace

std::array<std::uint8_t, 512> probe_image() {
  std::array<std::uint8_t, 512> image{};
  std::copy(std::begin(kCode), std::end(kCode), image.begin());
  std::copy(std::begin(kTable), std::end(kTable), image.begin() + kTableAt);
  std::copy(std::begin(kTablePointer), std::end(kTablePointer), image.begin() + kTablePointerAt);
  std::copy(std::begin(kProbeAnswer), std::end(kProbeAnswer), image.begin() + kAnswerAt);
  image[510] = 0x55;  // what firmware looks for in a boot sector
  image[511] = 0xaa;
  return image;
}

}  // namespace snapbed::vm
