// SPDX-License-Identifier: GPL-2.0-or-later
// Texts of steps turned into what programs and calls take. Pure, any thread.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "plan/plan.h"

namespace snapbed::agent {

// `table` with every %name% replaced by that device's path. Throws std::runtime_error naming an
// unknown device or a % without its partner.
std::string substitute_devices(const std::string& table,
                               const std::map<std::string, plan::Device>& devices);

// Words between blanks.
std::vector<std::string> words(const std::string& text);

// Words between commas.
std::vector<std::string> split_list(const std::string& text);

// Lower-case hexadecimal digits, two a byte.
std::string hex(std::span<const std::uint8_t> bytes);

// The way back, of 16 bytes. Throws std::runtime_error for any other text.
std::array<std::uint8_t, 16> uuid_of(const std::string& hex);

// The paths a fio job file names in filename= (parts between unescaped colons) and directory=,
// each once, in order.
std::vector<std::string> fio_targets(const std::string& job);
// Whether a fio job file makes its workers threads instead of processes.
bool fio_uses_threads(const std::string& job);

// Whether /proc/devices lists this major among those of block devices.
bool is_block_major(const std::string& devices, unsigned long major);

// Mount options as mount(2) takes them: flags, and the rest for the file system.
struct MountOptions {
  unsigned long flags = 0;
  std::string data;
};
MountOptions parse_mount_options(const std::string& options);

}  // namespace snapbed::agent
