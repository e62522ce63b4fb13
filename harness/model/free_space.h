// SPDX-License-Identifier: GPL-2.0-or-later
// How much of a snapshot's storage was free at a stamp, as far as a journal tells: the module gives
// space out after it has read old data and before it stores it, so both bound it.
#pragma once

#include <vector>

#include "model/facts.h"

namespace snapbed::model {

class FreeSpace {
 public:
  // Both outlive it.
  FreeSpace(const Facts& facts, const Snapshot& snapshot) : facts_(facts), snapshot_(snapshot) {}

  // Stamps at which the APPENDs that succeeded were called, ascending, each once.
  std::vector<Stamp> appends() const;
  // At least so many were free when LOW came, which was seen at a stamp.
  std::uint64_t at_least(Stamp append, Stamp seen) const;
  // At most so many were free when an APPEND called at a stamp had returned.
  std::uint64_t at_most(Stamp append) const;
  // Whether something was stored in a range that an APPEND called at the stamp gave.
  bool used(Stamp append) const;
  // Sectors of storage that were first written to after a stamp.
  std::uint64_t first_stored_after(Stamp stamp) const;

 private:
  // Sectors that APPENDs called by then gave, range by range in whole units.
  std::uint64_t appended(Stamp by, std::uint64_t unit) const;
  std::uint64_t read(Stamp by) const;
  std::uint64_t stored(Stamp by) const;

  const Facts& facts_;
  const Snapshot& snapshot_;
};

}  // namespace snapbed::model
