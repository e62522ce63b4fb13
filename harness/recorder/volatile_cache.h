// SPDX-License-Identifier: GPL-2.0-or-later
// What a disk may lose when the power is cut: every change since the last flush, with the bytes
// that it replaced. The bytes themselves are on the disk at once; a cut takes some of them back.
//
// A flush makes safe what had ended before it began. Of the rest the seed says what reaches the
// medium: each change wholly, in part or not at all, and so in any order; of a logical block all or
// nothing.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <span>
#include <vector>

#include "base/random.h"
#include "journal/record.h"

namespace snapbed::recorder {

// Any thread, unless said.
class VolatileCache {
 public:
  // Holds at most so many bytes of replaced contents. A fuller one writes back its oldest. Blocks
  // of `block` sectors reach the medium whole or not at all, as a disk promises of its logical
  // ones.
  static constexpr std::uint64_t kLimit = 256ULL << 20U;
  explicit VolatileCache(std::uint64_t limit_bytes = kLimit, std::uint64_t block = 1)
      : limit_(limit_bytes), block_(block) {}

  // The data of a write, trim or zero are about to move; `old` is what its range holds, `count`
  // times 512 bytes. The caller holds the lock on the range.
  void moving(const journal::Request& request, std::vector<std::uint8_t> old);
  // Whether changes of so many sectors can be kept at all; a larger one is safe at once, with all
  // that came before it.
  bool takes(std::uint64_t sectors);
  // The change that began at this stamp is done; with FUA it is safe.
  void ended(journal::Stamp begin, journal::Stamp end, bool fua);
  // A flush that began at this stamp is done.
  void flushed(journal::Stamp begin);

  // What the sectors are to hold that lose something, by sector; nothing is held afterwards.
  // `read` gives the present bytes of a sector. No request is in flight.
  using Sector = std::vector<std::uint8_t>;
  std::map<std::uint64_t, Sector> lose(base::Random& random,
                                       const std::function<Sector(std::uint64_t)>& read);

  std::size_t changes() const;  // that a cut would endanger, or that stand behind such a one

 private:
  struct Change {
    journal::Stamp begin = 0;
    journal::Stamp end = journal::kNever;
    bool safe = false;
    std::uint64_t first = 0;
    std::vector<std::uint8_t> old;
    std::uint64_t count() const { return old.size() / journal::kSectorBytes; }
  };
  void forget_safe();

  const std::uint64_t limit_;
  const std::uint64_t block_;
  mutable std::mutex mutex_;
  std::deque<Change> changes_;  // those of one sector in the order in which their data moved
  std::uint64_t bytes_ = 0;
};

}  // namespace snapbed::recorder
