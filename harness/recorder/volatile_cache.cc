// SPDX-License-Identifier: GPL-2.0-or-later
#include "recorder/volatile_cache.h"

#include <algorithm>

namespace snapbed::recorder {

using journal::kSectorBytes;

bool VolatileCache::takes(std::uint64_t sectors) {
  if (sectors <= limit_ / kSectorBytes) return true;
  const std::lock_guard lock(mutex_);
  changes_.clear();
  bytes_ = 0;
  return false;
}

void VolatileCache::moving(const journal::Request& request, std::vector<std::uint8_t> old) {
  const std::lock_guard lock(mutex_);
  bytes_ += old.size();
  changes_.push_back({request.begin, journal::kNever, false, request.first, std::move(old)});
  while (bytes_ > limit_) {
    changes_.front().safe = true;
    forget_safe();
  }
}

// A safe change that stands behind one that is not is kept: where both touch a sector, the older
// one can no longer be what it holds.
void VolatileCache::forget_safe() {
  while (!changes_.empty() && changes_.front().safe) {
    bytes_ -= changes_.front().old.size();
    changes_.pop_front();
  }
}

void VolatileCache::ended(journal::Stamp begin, journal::Stamp end, bool fua) {
  const std::lock_guard lock(mutex_);
  const auto change = std::find_if(changes_.rbegin(), changes_.rend(),
                                   [&](const Change& one) { return one.begin == begin; });
  if (change == changes_.rend()) return;
  change->end = end;
  change->safe = change->safe || fua;
  forget_safe();
}

void VolatileCache::flushed(journal::Stamp begin) {
  const std::lock_guard lock(mutex_);
  for (Change& change : changes_) change.safe = change.safe || change.end < begin;
  forget_safe();
}

std::map<std::uint64_t, VolatileCache::Sector> VolatileCache::lose(
    base::Random& random, const std::function<Sector(std::uint64_t)>& read) {
  const std::lock_guard lock(mutex_);
  // What each change brought: what the next one of the sector replaced, or what is there now.
  std::map<std::uint64_t, Sector> present;
  std::map<std::uint64_t, Sector> kept;
  std::vector<std::vector<Sector>> brought(changes_.size());
  for (std::size_t c = changes_.size(); c-- > 0;) {
    const Change& change = changes_[c];
    for (std::uint64_t i = 0; i < change.count(); ++i) {
      const std::uint64_t sector = change.first + i;
      if (!present.contains(sector)) present[sector] = kept[sector] = read(sector);
      brought[c].push_back(kept[sector]);
      const auto* old = change.old.data() + i * kSectorBytes;
      kept[sector].assign(old, old + kSectorBytes);
    }
  }
  enum class Fate : std::uint8_t { none, whole, part };
  constexpr Fate kFates[] = {Fate::none, Fate::none, Fate::whole, Fate::whole, Fate::part};
  for (std::size_t c = 0; c < changes_.size(); ++c) {
    const Change& change = changes_[c];
    const Fate fate = kFates[random.below(std::size(kFates))];
    bool reaches = change.safe || fate == Fate::whole;
    const bool drawn = !change.safe && fate == Fate::part;
    for (std::uint64_t i = 0; i < change.count(); ++i) {
      const bool block_begins = i == 0 || (change.first + i) % block_ == 0;
      if (drawn && block_begins) reaches = random.below(2) == 0;
      if (reaches) kept[change.first + i] = brought[c][i];
    }
  }
  std::erase_if(kept, [&](const auto& entry) { return entry.second == present[entry.first]; });
  changes_.clear();
  bytes_ = 0;
  return kept;
}

std::size_t VolatileCache::changes() const {
  const std::lock_guard lock(mutex_);
  return changes_.size();
}

}  // namespace snapbed::recorder
