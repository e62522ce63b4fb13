// SPDX-License-Identifier: GPL-2.0-or-later
// Its part about storage on the captured device itself: what was appended before TAKE reads as
// zeroes, what came later shows what it held at TAKE or nothing. Old data never appear there.
#include <fmt/format.h>

#include <algorithm>

#include "model/checks.h"
#include "model/explain.h"

namespace snapbed::model {
namespace {

class Hidden {
 public:
  Hidden(const Facts& facts, std::size_t index, CheckResult& result)
      : facts_(facts),
        snapshot_(facts.history.snapshots[index]),
        window_(facts.windows[index]),
        index_(index),
        result_(result) {}

  void judge(const Copy& copy) {
    if (!snapshot_.places[copy.device].recorded) return;
    judged_ = {};
    for (const OwnChange& change : snapshot_.image_writes) {
      if (change.device != copy.device) continue;
      for (const plan::Range& range : change.ranges) judged_.add(range.first, range.count);
    }
    // Storage of TAKE's time stays hidden as such, whoever has its place afterwards.
    each_range([&](const StorageRange& range) {
      if (range.returned < window_.take.first) judge_range(copy, range, true);
    });
    each_range([&](const StorageRange& range) {
      if (range.from > window_.take.last) judge_range(copy, range, false);
    });
  }

 private:
  template <typename Visit>
  void each_range(Visit visit) const {
    for (const Snapshot& owner : facts_.history.snapshots) {
      if (owner.destroy_called <= window_.take.last) continue;
      for (const StorageRange& range : owner.storage) {
        if (range.ok && range.from < snapshot_.destroy_called) visit(range);
      }
    }
  }

  void judge_range(const Copy& copy, const StorageRange& range, bool zero) {
    const Place& place = snapshot_.places[copy.device];
    if (range.disk != place.disk) return;
    const std::uint64_t end = std::min(range.first + range.count, place.first + place.sectors);
    for (std::uint64_t s = std::max(range.first, place.first); s < end; ++s) {
      const std::uint64_t sector = s - place.first;
      std::uint64_t seen = 0;
      if (judged_.contains(sector) || !observed(facts_, copy, sector, seen)) continue;
      judged_.add(sector, 1);
      ++result_.exercised["hidden_sectors"];
      if (zero ? seen == zero_hash() : is_of_take(copy.device, s, seen)) continue;
      report(copy, sector, seen, zero);
    }
  }

  bool is_of_take(std::size_t p, std::uint64_t disk_sector, std::uint64_t hash) const {
    if (window_.base[p].at(disk_sector) == hash) return true;
    const auto versions = versions_of(facts_, snapshot_.places[p].disk, disk_sector);
    return std::any_of(versions.begin(), versions.end(), [&](const Version& version) {
      return version.hash == hash && version.moved > window_.take.first &&
             version.moved <= window_.take.last;
    });
  }

  void report(const Copy& copy, std::uint64_t sector, std::uint64_t seen, bool zero) {
    const Place& place = snapshot_.places[copy.device];
    add_finding(
        result_, Kind::cut_unknown, place.device, snapshot_.take_cycle,
        Evidence{.snapshot = index_,
                 .sectors = {{place.disk, place.first + sector}},
                 .steps = {copy.step},
                 .focus = copy.called},
        fmt::format(
            "Sector {} of the image of {} is storage that was appended {}, and {} shows {}.",
            sector, place.device,
            zero ? "before TAKE: it has to read as zeroes"
                 : "after TAKE: it has to show what it held then, or fail",
            step_name(facts_.history, copy.step),
            result_.findings.size() < kFindingLimit ? identify(facts_, seen)
                                                    : std::string("something else")));
  }

  const Facts& facts_;
  const Snapshot& snapshot_;
  const Window& window_;
  std::size_t index_;
  CheckResult& result_;
  SectorSet judged_;  // image sectors of this copy that are done with, or written through the image
};

}  // namespace

void judge_hidden(const Facts& facts, std::size_t snapshot, CheckResult& result) {
  Hidden hidden(facts, snapshot, result);
  for (const Copy& copy : facts.history.snapshots[snapshot].copies) hidden.judge(copy);
}

}  // namespace snapbed::model
