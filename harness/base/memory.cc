// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/memory.h"

#include <fstream>
#include <stdexcept>
#include <string>

namespace snapbed::base {

std::uint64_t available_memory() {
  std::ifstream file("/proc/meminfo");
  std::uint64_t kibibytes = 0;
  for (std::string word; file >> word;)
    if (word == "MemAvailable:" && file >> kibibytes) return kibibytes << 10U;
  throw std::runtime_error("/proc/meminfo does not tell MemAvailable");
}

}  // namespace snapbed::base
