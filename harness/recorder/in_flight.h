// SPDX-License-Identifier: GPL-2.0-or-later
// The requests that have arrived and not been answered: what a flush of the journal must add so
// that nothing that began before it is missing.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "journal/record.h"

namespace snapbed::recorder {

// One request in flight. Its thread changes `request`, `open` and `held` under `mutex` only, and
// the vectors only while request.moved is kNever; others look under `mutex`.
struct Slot {
  std::mutex mutex;
  bool open = false;
  bool held = false;  // waits because it was told to, not because something hangs
  std::chrono::steady_clock::time_point since;
  journal::Request request;
  std::vector<std::uint64_t> hashes;  // of a write
  std::vector<std::uint8_t> payload;  // of a write to a marks disk
  std::size_t index = 0;
};

// Any thread.
class InFlight {
 public:
  // A slot for one request, given back when it goes.
  class Lease {
   public:
    explicit Lease(InFlight& table) : table_(table), slot_(table.take()) {}
    ~Lease() { table_.give(slot_); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    Slot& slot() { return slot_; }

   private:
    InFlight& table_;
    Slot& slot_;
  };

  // Calls visit(slot) with the slot's mutex held for every open request. A request whose begin
  // stamp was taken before the call is visited or has ended.
  template <typename Visit>
  void for_each_open(Visit visit) {
    std::vector<Slot*> slots;
    {
      const std::lock_guard lock(mutex_);
      for (const auto& slot : slots_) slots.push_back(slot.get());
    }
    for (Slot* slot : slots) {
      const std::lock_guard lock(slot->mutex);
      if (slot->open) visit(*slot);
    }
  }

 private:
  Slot& take() {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) {
      slots_.push_back(std::make_unique<Slot>());
      slots_.back()->index = slots_.size() - 1;
      return *slots_.back();
    }
    Slot* slot = free_.back();
    free_.pop_back();
    return *slot;
  }
  void give(Slot& slot) {
    const std::lock_guard lock(mutex_);
    free_.push_back(&slot);
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<Slot*> free_;
};

}  // namespace snapbed::recorder
