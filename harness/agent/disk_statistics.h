// SPDX-License-Identifier: GPL-2.0-or-later
// The counters of /sys/dev/block/MAJOR:MINOR/stat.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace snapbed::agent {

struct DiskStatistics {
  std::uint64_t reads = 0;  // requests completed
  std::uint64_t writes = 0;
  std::uint64_t read_sectors = 0;
  std::uint64_t write_sectors = 0;
  std::uint64_t discard_sectors = 0;
  std::uint64_t in_flight = 0;

  std::uint64_t changed_sectors() const { return write_sectors + discard_sectors; }
  std::uint64_t requests() const { return reads + writes + in_flight; }
};

// Throws std::runtime_error when the text has fewer fields than the kernels we know write (15).
DiskStatistics parse_disk_statistics(const std::string& text);
// Of the block device `id`; throws std::system_error when sysfs has no such device.
DiskStatistics read_disk_statistics(dev_t id);

}  // namespace snapbed::agent
