// SPDX-License-Identifier: GPL-2.0-or-later
// What becomes of a disk's bytes, by its role: kept in memory, written to a file, read-only, or
// forgotten.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "recorder/config.h"
#include "recorder/range_lock.h"

namespace snapbed::recorder {

// Methods return 0 or a positive errno. Any thread, the caller holds `lock` on the range.
class Disk {
 public:
  virtual ~Disk() = default;
  virtual int read(std::uint64_t first, std::span<std::uint8_t> out) = 0;
  virtual int write(std::uint64_t first, std::span<const std::uint8_t> bytes) = 0;
  virtual int zero(std::uint64_t first, std::uint64_t count) = 0;
  virtual std::uint64_t memory_bytes() const { return 0; }

  RangeLock lock;
};

// Throws std::runtime_error or std::system_error (content or files.img cannot be opened or do not
// fit).
std::unique_ptr<Disk> make_disk(const DiskConfig& config, std::uint64_t seed,
                                const std::filesystem::path& dir);

}  // namespace snapbed::recorder
