// SPDX-License-Identifier: GPL-2.0-or-later
#include "recorder/range_lock.h"

#include <string>
#include <utility>

#include "base/deadline.h"
#include "base/overlap.h"

namespace snapbed::recorder {

RangeLock::Hold::Hold(Hold&& other) noexcept
    : lock_(std::exchange(other.lock_, nullptr)), entry_(other.entry_) {
}

RangeLock::Hold::~Hold() {
  if (lock_ != nullptr) lock_->release(entry_);
}

bool RangeLock::blocked(std::list<Hold::Entry>::iterator entry) const {
  for (auto other = entries_.begin(); other != std::list<Hold::Entry>::const_iterator(entry);
       ++other) {
    const bool both = base::overlap(other->first, other->count, entry->first, entry->count);
    if (both && (other->mode == Mode::exclusive || entry->mode == Mode::exclusive)) return true;
  }
  return false;
}

RangeLock::Hold RangeLock::acquire(std::uint64_t first, std::uint64_t count, Mode mode,
                                   std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  const auto entry = entries_.insert(entries_.end(), {first, count, mode});
  if (!blocked(entry)) return Hold(this, entry);
  ++waiting_;
  const bool granted = changed_.wait_for(lock, patience, [&] { return !blocked(entry); });
  --waiting_;
  if (!granted) {
    entries_.erase(entry);
    changed_.notify_all();
    throw base::TimedOut("waited " + std::to_string(patience.count()) +
                         " ms in vain for the lock on sectors [" + std::to_string(first) + "," +
                         std::to_string(first + count) + ")");
  }
  return Hold(this, entry);
}

void RangeLock::release(std::list<Hold::Entry>::iterator entry) {
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    entries_.erase(entry);
    wake = waiting_ > 0;
  }
  if (wake) changed_.notify_all();
}

}  // namespace snapbed::recorder
