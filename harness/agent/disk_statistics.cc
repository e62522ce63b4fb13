// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/disk_statistics.h"

#include <sys/sysmacros.h>

#include <sstream>
#include <stdexcept>
#include <vector>

#include "base/file.h"

namespace snapbed::agent {
namespace {

constexpr std::size_t kFields = 15;  // up to discard ticks; flush counters follow since 5.5

}  // namespace

DiskStatistics parse_disk_statistics(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::uint64_t> fields;
  for (std::uint64_t value = 0; stream >> value;) fields.push_back(value);
  if (fields.size() < kFields) {
    throw std::runtime_error("disk statistics: " + std::to_string(fields.size()) +
                             " numbers, expected at least " + std::to_string(kFields) + ": \"" +
                             text + "\"");
  }
  DiskStatistics statistics;
  statistics.reads = fields[0];
  statistics.read_sectors = fields[2];
  statistics.writes = fields[4];
  statistics.write_sectors = fields[6];
  statistics.in_flight = fields[8];
  statistics.discard_sectors = fields[13];
  return statistics;
}

DiskStatistics read_disk_statistics(dev_t id) {
  return parse_disk_statistics(base::read_file("/sys/dev/block/" + std::to_string(major(id)) + ":" +
                                               std::to_string(minor(id)) + "/stat"));
}

}  // namespace snapbed::agent
