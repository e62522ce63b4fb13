// SPDX-License-Identifier: GPL-2.0-or-later
// The module under test: read from the disk with serial `module`, put into the kernel and taken
// out.
//
// Disk layout: one sector {char magic[8]="SNAPKO\0\0", u64 bytes little endian}, then the .ko file.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>

namespace snapbed::agent {

// Length in bytes of the module file that `sector`, the first of its disk, announces. Throws
// std::runtime_error when it is not such a sector or announces more than `limit`. Pure.
std::uint64_t module_bytes(std::span<const std::uint8_t> sector, std::uint64_t limit);
// "name=value name=value". Pure.
std::string parameter_text(const std::map<std::string, std::string>& parameters);

// The .ko file on a disk. Throws when it cannot be read.
std::string read_module(const std::string& disk);

// All give 0 or a positive errno of the kernel; insert_module throws as read_module does.
int insert_module_file(const std::string& bytes,
                       const std::map<std::string, std::string>& parameters);
int insert_module(const std::string& disk, const std::map<std::string, std::string>& parameters);
int remove_module(const std::string& name);

}  // namespace snapbed::agent
