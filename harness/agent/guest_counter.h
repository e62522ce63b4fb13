// SPDX-License-Identifier: GPL-2.0-or-later
// The guest's own order of events: a counter that steps and ledger operations draw from. What was
// drawn smaller happened before; there is no clock in it.
#pragma once

#include <atomic>
#include <cstdint>

namespace snapbed::agent {

// Any thread.
class GuestCounter {
 public:
  // Of the machine that `boots` others were before: it draws greater numbers than they all did.
  explicit GuestCounter(std::uint64_t boots = 0) : next_((boots << 48U) + 1) {}
  std::uint64_t draw() { return next_.fetch_add(1); }

 private:
  std::atomic<std::uint64_t> next_;
};

}  // namespace snapbed::agent
