// SPDX-License-Identifier: GPL-2.0-or-later
// Keeps a ledger: gives numbers to operations, writes down how each ended, and ships full blocks
// while the storm goes on, so that little is lost when the guest is.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <span>

#include "agent/guest_counter.h"
#include "plan/ledger.h"

namespace snapbed::agent {

// Any thread. An entry gets its `end` under the lock that also orders the entries, so what ended
// before another operation began is always shipped before that one.
class LedgerBook {
 public:
  // Puts block `number` where the host looks for it; throws when it cannot.
  using Ship = std::function<void(std::uint64_t number, std::span<const std::uint8_t> block)>;

  LedgerBook(std::uint64_t key, std::uint64_t operations, GuestCounter& counter, Ship ship);

  // Most blocks that a book of so many operations ships.
  static std::uint64_t blocks_limit(std::uint64_t operations);

  // The guest counter for an operation that is submitted next.
  std::uint64_t begin() { return counter_.draw(); }
  // The next operation's number; nullopt when all have been given.
  std::optional<std::uint64_t> draw();
  // `entry` is over with `result`; `end` is drawn here. A flush that was done ships what there is:
  // it is what the guest was promised.
  void enter(plan::LedgerEntry entry, int result);
  // Ships the rest; nothing is entered any more. Returns the number of blocks.
  std::uint64_t close();

  std::uint64_t entered();
  std::uint64_t issued();
  std::uint64_t errors();
  bool exhausted();  // every operation was given

 private:
  void ship();

  const std::uint64_t operations_;
  const std::uint64_t spare_;  // blocks that may be shipped before they are full
  GuestCounter& counter_;
  const Ship ship_;
  std::mutex mutex_;
  plan::LedgerBlock block_;
  std::uint64_t issued_ = 0;
  std::uint64_t entered_ = 0;
  std::uint64_t errors_ = 0;
  std::uint64_t early_ = 0;
};

}  // namespace snapbed::agent
