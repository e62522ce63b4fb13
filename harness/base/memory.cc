// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/memory.h"

#include <sstream>
#include <stdexcept>

#include "base/file.h"

namespace snapbed::base {

std::map<std::string, std::uint64_t> parse_memory(const std::string& text) {
  std::map<std::string, std::uint64_t> bytes;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    std::uint64_t kibibytes = 0;
    if (words >> name >> kibibytes) bytes[name.substr(0, name.find(':'))] = kibibytes << 10U;
  }
  if (!bytes.contains("MemTotal")) throw std::runtime_error("/proc/meminfo does not tell MemTotal");
  return bytes;
}

std::uint64_t available_memory() {
  const auto memory = parse_memory(read_file("/proc/meminfo"));
  const auto available = memory.find("MemAvailable");
  if (available == memory.end())
    throw std::runtime_error("/proc/meminfo does not tell MemAvailable");
  return available->second;
}

}  // namespace snapbed::base
