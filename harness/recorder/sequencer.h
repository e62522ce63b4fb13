// SPDX-License-Identifier: GPL-2.0-or-later
// The one order of events: a counter that every stamp of a run comes from.
#pragma once

#include <atomic>

#include "journal/record.h"

namespace snapbed::recorder {

// Any thread. Stamps start at 1 and are never given twice.
class Sequencer {
 public:
  journal::Stamp next() { return counter_.fetch_add(1, std::memory_order_seq_cst) + 1; }

 private:
  std::atomic<journal::Stamp> counter_ = 0;
};

}  // namespace snapbed::recorder
