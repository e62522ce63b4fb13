// SPDX-License-Identifier: GPL-2.0-or-later
// Twelve numbers, and nothing beside them.
#include <filesystem>

#include "agent/abi.h"

namespace snapbed::agent {
namespace {

struct Command {
  const char* name;
  unsigned long number;
};
constexpr Command kCommands[] = {
    {"VERSION", 0x40085600},
    {"TRACKER_REMOVE", 0x40085601},
    {"TRACKER_COLLECT", 0x40105602},
    {"READ_CBT_MAP", 0x80185603},
    {"MARK_DIRTY_BLOCKS", 0x80185604},
    {"CREATE", 0x40205605},
    {"DESTROY", 0x80105606},
    {"APPEND_STORAGE", 0x40285607},
    {"TAKE", 0x80105608},
    {"COLLECT", 0x40105609},
    {"COLLECT_IMAGES", 0x4020560a},
    {"WAIT_EVENT", 0x5000560b},
};

constexpr unsigned long kNumberMask = 0xff;
constexpr unsigned kMagicShift = 8;
constexpr unsigned kSizeShift = 16;
constexpr unsigned long kSizeMask = 0x3fff;
constexpr unsigned kDirectionShift = 30;

// A page that any call may read and write: only the number decides.
alignas(4096) std::uint8_t scratch[4096];

void wrong_numbers(AbiBench& bench, const Command& command) {
  const auto refused = [&](const std::string& with, unsigned long number) {
    bench.cases.result(command.name, with, -ENOTTY, bench.call(number, scratch));
  };
  for (unsigned long direction = 0; direction < 4; ++direction) {
    if (direction == command.number >> kDirectionShift) continue;
    const unsigned long bits = 3UL << kDirectionShift;
    refused("direction bits " + std::to_string(direction),
            (command.number & ~bits) | (direction << kDirectionShift));
  }
  const unsigned long size = (command.number >> kSizeShift) & kSizeMask;
  for (const unsigned long other : {0UL, size - 1, size + 1, size + 8, kSizeMask}) {
    refused("argument size " + std::to_string(other),
            (command.number & ~(kSizeMask << kSizeShift)) | (other << kSizeShift));
  }
  for (const unsigned long magic : {0UL, 'U' + 0UL, 'W' + 0UL, 'v' + 0UL, 0xffUL}) {
    refused("magic " + std::to_string(magic),
            (command.number & ~(0xffUL << kMagicShift)) | (magic << kMagicShift));
  }
  for (const unsigned long number : {12UL, 13UL, 0x7fUL, 0xffUL}) {
    refused("number " + std::to_string(number), (command.number & ~kNumberMask) | number);
  }
}

// ioctl as a 32-bit program calls it.
std::int64_t compat_ioctl(int fd, unsigned long command, std::uint32_t argument) {
  constexpr long kIoctl = 54;
  long result = kIoctl;
  asm volatile("int $0x80"
               : "+a"(result)
               : "b"(static_cast<long>(fd)), "c"(command), "d"(static_cast<long>(argument))
               : "memory", "cc", "r8", "r9", "r10", "r11");
  return static_cast<std::int32_t>(result);
}

// A kernel without 32-bit programs has nobody to refuse, and the instruction would be fatal.
bool has_compat() {
  return std::filesystem::exists("/proc/sys/abi/vsyscall32");
}

}  // namespace

void abi_numbers(AbiBench& bench) {
  abi::Version version{9, 9, 9, 9};
  bench.cases.result("VERSION", "room for the answer", 0, bench.call(abi::kVersion, &version));
  bench.cases.truth(
      "VERSION", "is 1.0.0.0",
      version.major == 1 && version.minor == 0 && version.revision == 0 && version.build == 0,
      std::to_string(version.major) + "." + std::to_string(version.minor) + "." +
          std::to_string(version.revision) + "." + std::to_string(version.build));
  for (const Command& command : kCommands) {
    // The right number gets as far as the argument.
    bench.cases.result(command.name, "its number, a null argument", -EFAULT,
                       bench.call(command.number, nullptr));
    wrong_numbers(bench, command);
    if (!has_compat()) continue;
    bench.cases.result(command.name, "called by a 32-bit program", -ENOTTY,
                       compat_ioctl(bench.control(), command.number, 0));
  }
  bench.cases.result("ioctl", "number 0", -ENOTTY, bench.call(0, scratch));
  bench.cases.result("ioctl", "number 2^32-1", -ENOTTY, bench.call(0xffffffff, scratch));
}

}  // namespace snapbed::agent
