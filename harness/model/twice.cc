// SPDX-License-Identifier: GPL-2.0-or-later
// Check `twice`: an image does not move during the hold; all its copies agree, whatever was
// written to the origin in between. Sectors written through the image are judged as long as both
// copies lie on one side of that step.
#include <fmt/format.h>

#include <algorithm>

#include "base/overlap.h"
#include "model/checks.h"
#include "model/explain.h"

namespace snapbed::model {

namespace {

struct Difference {
  std::uint64_t sector = 0;
  std::uint64_t count = 0;
  std::uint64_t one = 0, other = 0;
};

// Runs of image sectors that both copies hold and that differ; `compared` counts those held by
// both.
std::vector<Difference> differences(const Facts& facts, const Copy& one, const Copy& other,
                                    const SectorSet& out, std::uint64_t& compared) {
  std::vector<Difference> found;
  const auto& hashes = facts.journal.hashes;
  each_common(
      one, other,
      [&](std::uint64_t first, std::uint64_t count, std::uint64_t at, std::uint64_t other_at) {
        compared += count;
        for (std::uint64_t i = 0; i < count; ++i) {
          const std::uint64_t x = hashes[at + i];
          const std::uint64_t y = hashes[other_at + i];
          if (x == y || out.contains(first + i)) continue;
          if (!found.empty() && found.back().sector + found.back().count == first + i) {
            ++found.back().count;
          } else {
            found.push_back({first + i, 1, x, y});
          }
        }
      });
  return found;
}

// Sectors written through the image after the first copy began and before the second one ended.
SectorSet written_between(const Facts& facts, std::size_t index, const Copy& one,
                          const Copy& other) {
  SectorSet out;
  const Snapshot& snapshot = facts.history.snapshots[index];
  for (const OwnChange& change : snapshot.image_writes) {
    if (change.device != one.device || change.returned < one.called ||
        change.called > other.returned) {
      continue;
    }
    for (const plan::Range& range : change.ranges) out.add(range.first, range.count);
  }
  const Place& place = snapshot.places[one.device];
  facts.windows[index].exempt[one.device].each([&](std::uint64_t sector) {
    if (sector >= place.first) out.add(sector - place.first, 1);
  });
  return out;
}

// Origin sectors whose first new version after the take came between the two copies.
std::uint64_t overwritten_between(const Facts& facts, std::size_t index, const Copy& one,
                                  const Copy& other) {
  const Place& place = facts.history.snapshots[index].places[one.device];
  SectorSet before;
  SectorSet between;
  for (const journal::Request* request : facts.disks[place.disk].moved) {
    if (request->moved <= facts.windows[index].feasible.last) continue;
    if (request->moved > other.called) break;
    const std::uint64_t first = std::max(request->first, place.first);
    const std::uint64_t end =
        std::min(request->first + request->count, place.first + place.sectors);
    if (first >= end) continue;
    (request->moved < one.returned ? before : between).add(first, end - first);
  }
  std::uint64_t fresh = 0;
  between.each([&](std::uint64_t sector) { fresh += before.contains(sector) ? 0U : 1U; });
  return fresh;
}

// Whether the other copy asked for sectors that this one was refused.
bool refused_what_is_asked(const Copy& one, const Copy& other) {
  return std::any_of(one.bad.begin(), one.bad.end(), [&](const BadRange& bad) {
    return base::overlap(bad.first, bad.count, other.range.first, other.range.count);
  });
}

// A corrupted snapshot may show nothing at all: then there is nothing to compare, and nothing was
// left out.
bool nothing_shown(const Snapshot& snapshot, const Copy& one, const Copy& other) {
  return snapshot.corrupted() && one.finished && other.finished &&
         (refused_what_is_asked(one, other) || refused_what_is_asked(other, one));
}

void compare(const Facts& facts, std::size_t index, const Copy& one, const Copy& other,
             CheckResult& result) {
  const Snapshot& snapshot = facts.history.snapshots[index];
  const Place& place = snapshot.places[one.device];
  const SectorSet out = written_between(facts, index, one, other);
  std::uint64_t compared = 0;
  const auto found = differences(facts, one, other, out, compared);
  result.exercised["sectors_compared"] += compared;
  if (result.outcome == Outcome::not_run && (compared > 0 || nothing_shown(snapshot, one, other)))
    result.outcome = Outcome::pass;
  for (const Difference& run : found) {
    std::string text;
    if (result.findings.size() < kFindingLimit) {
      text = fmt::format(
          "The image of {} in {} moved: {} sectors from {} on differ between {} (stamps {} to {}) "
          "and {} (stamps {} to {}). First: {}. Then: {}. {}",
          place.device, snapshot.name, run.count, run.sector, step_name(facts.history, one.step),
          one.called, one.returned, step_name(facts.history, other.step), other.called,
          other.returned, explain_observation(facts, place, run.sector, run.one),
          explain_observation(facts, place, run.sector, run.other),
          marks_around(facts.history, other.called));
    }
    add_finding(result, Kind::twice_moved, place.device, snapshot.take_cycle,
                Evidence{.snapshot = index,
                         .sectors = {{place.disk, place.first + run.sector, run.count}},
                         .steps = {one.step, other.step},
                         .focus = other.called},
                std::move(text));
  }
}

}  // namespace

void check_twice(const Facts& facts, Report& report) {
  CheckResult& result = report.checks["twice"];
  result.exercised["sectors_compared"] += 0;
  result.exercised["sectors_overwritten"] += 0;
  for (std::size_t i = 0; i < facts.windows.size(); ++i) {
    const Snapshot& snapshot = facts.history.snapshots[i];
    if (!facts.windows[i].judged || !facts.in_scope(snapshot.take_cycle)) continue;
    for (std::size_t d = 0; d < snapshot.places.size(); ++d) {
      const Copy* previous = nullptr;
      for (const Copy& copy : snapshot.copies) {
        if (copy.device != d) continue;
        if (previous != nullptr) {
          const std::uint64_t fresh = overwritten_between(facts, i, *previous, copy);
          result.exercised["sectors_overwritten"] += fresh;
          cycle_of(report, snapshot.take_cycle).sectors_overwritten += fresh;
          compare(facts, i, *previous, copy, result);
        }
        previous = &copy;
      }
    }
  }
}

}  // namespace snapbed::model
