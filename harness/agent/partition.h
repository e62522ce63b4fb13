// SPDX-License-Identifier: GPL-2.0-or-later
// A partition that no table on the disk knows; it goes with this object.
#pragma once

#include <cstdint>
#include <string>

#include "agent/abi.h"

namespace snapbed::agent {

// Throws std::system_error. One thread at a time.
class Partition {
 public:
  // Partition `number` (from 1) of the disk, in sectors.
  Partition(const Subject& disk, int number, std::uint64_t first, std::uint64_t count);
  ~Partition();
  Partition(const Partition&) = delete;
  Partition& operator=(const Partition&) = delete;

  const Subject& subject() const { return subject_; }
  int remove();  // 0 or a positive errno; EBUSY while it is open

 private:
  std::string disk_;
  int number_;
  bool there_ = true;
  Subject subject_;
};

}  // namespace snapbed::agent
