// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/module_disk.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "agent/aligned_memory.h"
#include "agent/block_device.h"
#include "base/error.h"
#include "base/little_endian.h"

namespace snapbed::agent {

std::uint64_t module_bytes(std::span<const std::uint8_t> sector, std::uint64_t limit) {
  if (sector.size() < kSectorBytes || std::memcmp(sector.data(), "SNAPKO\0\0", 8) != 0) {
    throw std::runtime_error("module disk: does not begin with SNAPKO");
  }
  const auto bytes = base::load_le<std::uint64_t>(sector.data() + 8);
  if (bytes == 0 || bytes > limit) {
    throw std::runtime_error("module disk: announces " + std::to_string(bytes) + " bytes and has " +
                             std::to_string(limit));
  }
  return bytes;
}

std::string parameter_text(const std::map<std::string, std::string>& parameters) {
  std::string text;
  for (const auto& [name, value] : parameters) {
    text += (text.empty() ? "" : " ") + name + "=" + value;
  }
  return text;
}

std::string read_module(const std::string& path) {
  const BlockDevice disk(path, O_RDONLY);
  const AlignedMemory memory(disk.sectors() * kSectorBytes);
  if (const int error = read_at(disk.fd(), memory.span(), 0); error != 0) {
    base::throw_errno("read of the module disk " + path, error);
  }
  const std::uint64_t bytes =
      module_bytes(memory.span(), memory.size() - static_cast<std::size_t>(kSectorBytes));
  const auto file = memory.span().subspan(kSectorBytes, bytes);
  return {file.begin(), file.end()};
}

int insert_module_file(const std::string& bytes,
                       const std::map<std::string, std::string>& parameters) {
  const std::string text = parameter_text(parameters);
  return ::syscall(SYS_init_module, bytes.data(), bytes.size(), text.c_str()) == 0 ? 0 : errno;
}

int insert_module(const std::string& disk, const std::map<std::string, std::string>& parameters) {
  return insert_module_file(read_module(disk), parameters);
}

int remove_module(const std::string& name) {
  return ::syscall(SYS_delete_module, name.c_str(), O_NONBLOCK) == 0 ? 0 : errno;
}

}  // namespace snapbed::agent
