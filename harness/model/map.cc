// SPDX-License-Identifier: GPL-2.0-or-later
// Check `map`: the change map tells every block written between two takes and no block that nobody
// touched; its numbers follow the formulas; it does not change during a hold by itself.
#include <fmt/format.h>

#include <algorithm>

#include "model/checks.h"
#include "model/explain.h"
#include "model/maps.h"

namespace snapbed::model {

using journal::Request;

namespace {

struct Run {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
};

template <typename Wrong>
std::vector<Run> runs_of(std::uint64_t blocks, Wrong wrong) {
  std::vector<Run> runs;
  for (std::uint64_t block = 0; block < blocks; ++block) {
    if (!wrong(block)) continue;
    if (!runs.empty() && runs.back().first + runs.back().count == block) {
      ++runs.back().count;
    } else {
      runs.push_back({block, 1});
    }
  }
  return runs;
}

class MapJudge {
 public:
  MapJudge(const Facts& facts, std::size_t index, const MapRead& read,
           const std::vector<Writer>& writers, CheckResult& result)
      : facts_(facts),
        index_(index),
        snapshot_(facts.history.snapshots[index]),
        read_(read),
        place_(snapshot_.places[read.device]),
        geometry_(map_geometry(facts.history.plan, place_.sectors)),
        writers_(writers),
        result_(result) {}

  void judge() {
    ++result_.exercised["maps"];
    if (!judge_numbers() || !place_.recorded) return;
    bytes_ = map_bytes(facts_, read_);
    bounds_ = map_bounds(facts_, index_, read_, geometry_, writers_);
    count();
    report_lost();
    report_too_much();
  }

 private:
  bool judge_numbers() {
    const std::uint32_t number = snapshot_.number[read_.device];
    const auto expect = [&](const char* what, std::uint64_t is, std::uint64_t should) {
      if (is == should) return true;
      add(Kind::map_numbers, {},
          fmt::format("{} is {}, by the interface it is {}", what, is, should));
      return false;
    };
    bool right = expect("blk_size", read_.blk_size, geometry_.blk_size);
    right = expect("blk_count", read_.blk_count, geometry_.blk_count) && right;
    right = expect("device_capacity", read_.capacity, geometry_.capacity) && right;
    right = expect("the number of bytes read", read_.bytes, geometry_.blk_count) && right;
    expect("snap_number", read_.number, number);
    return right;
  }

  void count() {
    result_.exercised["blocks"] += bytes_.size();
    for (std::size_t block = 0; block < bytes_.size(); ++block) {
      result_.exercised["blocks_marked"] += bytes_[block] == number() ? 1U : 0U;
      result_.exercised["blocks_must"] += bounds_.must[block] > 0 ? 1U : 0U;
      result_.exercised["blocks_may"] += bounds_.may[block] > bounds_.must[block] ? 1U : 0U;
    }
  }

  void report_lost() {
    const auto lost =
        runs_of(bytes_.size(), [&](std::uint64_t b) { return bytes_[b] < bounds_.must[b]; });
    for (const Run& run : lost) {
      const Request* due = cause(run.first, bounds_.must[run.first]);
      add(Kind::map_lost_change, evidence(run, due),
          fmt::format("lost change: blocks [{}, +{}) hold {} where at least {} is due; {}",
                      run.first, run.count, bytes_[run.first], bounds_.must[run.first],
                      explain(due, bounds_.must[run.first])));
    }
  }

  void report_too_much() {
    const auto runs =
        runs_of(bytes_.size(), [&](std::uint64_t b) { return bytes_[b] > bounds_.may[b]; });
    std::uint64_t blocks = 0;
    bool impossible = false;
    for (const Run& run : runs) {
      blocks += run.count;
      for (std::uint64_t b = run.first; b < run.first + run.count; ++b) {
        impossible = impossible || bytes_[b] > number();
      }
    }
    const std::uint64_t limit = refused_blocks_limit(facts_.history, geometry_.blk_size) * number();
    // Without a drain a write that was marked before P may come to the host after the map was read.
    if (!impossible && (!facts_.expectations.strict || blocks <= limit)) {
      result_.exercised["blocks_refused"] += blocks;
      return;
    }
    for (const Run& run : runs) {
      add(Kind::map_too_much, evidence(run, nullptr),
          fmt::format(
              "blocks [{}, +{}) hold {} where at most {} is right: no write, failed write, "
              "image write or mark_dirty explains it ({} such blocks in all, {} may come from "
              "refused NOWAIT writes)",
              run.first, run.count, bytes_[run.first], bounds_.may[run.first], blocks, limit));
    }
  }

  std::uint64_t block_sectors() const { return geometry_.blk_size / journal::kSectorBytes; }

  // The latest P of the take after which a byte of at least `least` is due.
  Stamp due_after(std::uint8_t least) const {
    const Generation& generation = facts_.history.generations[snapshot_.generation[read_.device]];
    return least >= 2 ? facts_.windows[generation.takes[least - 2U]].feasible.last : 0;
  }

  // The write that demands the byte; nullptr when an image write or mark_dirty does.
  const Request* cause(std::uint64_t block, std::uint8_t least) const {
    const std::uint64_t first = place_.first + block * block_sectors();
    const Stamp after = due_after(least);
    for (const Request* request : facts_.disks[place_.disk].changes) {
      if (request->begin <= after || request->error != 0) continue;
      if (meets(*request, first, block_sectors())) return request;
    }
    return nullptr;
  }

  std::string explain(const Request* due, std::uint8_t least) const {
    if (due == nullptr) return "an image write or mark_dirty of the plan demands it";
    return fmt::format("{} came after take {} (P at most {}) and before take {} (P at least {})",
                       describe(*due), least - 1, due_after(least), number(),
                       facts_.windows[index_].feasible.first);
  }

  // The history of the run's first block, or of the sectors of it that the write changed.
  Evidence evidence(const Run& run, const Request* due) const {
    Evidence out{
        .sectors = {{place_.disk, place_.first + run.first * block_sectors(), block_sectors()}}};
    if (due == nullptr) return out;
    out.sectors = {{place_.disk, std::max(due->first, out.sectors[0].first), 1}};
    out.requests = {due->begin};
    out.focus = due->begin;
    return out;
  }

  std::uint32_t number() const { return snapshot_.number[read_.device]; }

  void add(Kind kind, Evidence shown, std::string what) {
    shown.snapshot = index_;
    shown.steps.push_back(read_.step);
    if (shown.focus == kNever) shown.focus = read_.called;
    add_finding(result_, kind, place_.device, read_.cycle, std::move(shown),
                fmt::format("Map of {} at take {} ({}), read in {}: {}. {}", place_.device,
                            number(), snapshot_.name, step_name(facts_.history, read_.step), what,
                            marks_around(facts_.history, read_.called)));
  }

  const Facts& facts_;
  std::size_t index_;
  const Snapshot& snapshot_;
  const MapRead& read_;
  const Place& place_;
  Geometry geometry_;
  const std::vector<Writer>& writers_;
  CheckResult& result_;
  std::vector<std::uint8_t> bytes_;
  MapBounds bounds_;
};

// Two reads in one hold agree but for blocks that the plan itself marked in between.
void judge_stable(const Facts& facts, std::size_t snapshot_index, const MapRead& one,
                  const MapRead& other, CheckResult& result) {
  const Snapshot& snapshot = facts.history.snapshots[snapshot_index];
  if (one.bytes != other.bytes) return;  // judge_numbers has spoken
  const auto a = map_bytes(facts, one);
  const auto b = map_bytes(facts, other);
  const Place& place = snapshot.places[one.device];
  std::vector<bool> own(a.size(), false);
  const auto excuse = [&](const OwnChange& change) {
    if (change.called > other.returned || change.returned < one.called) return;
    for (const plan::Range& range : change.ranges) {
      const std::uint64_t sectors =
          std::max<std::uint64_t>(one.blk_size / journal::kSectorBytes, 1);
      for (std::uint64_t block = range.first / sectors;
           block <= (range.first + range.count - 1) / sectors && block < own.size(); ++block) {
        own[block] = true;
      }
    }
  };
  for (const OwnChange& change : snapshot.image_writes) {
    if (change.device == one.device) excuse(change);
  }
  for (const OwnChange& change : facts.history.dirtied) {
    if (facts.history.places[change.device].device == place.device) excuse(change);
  }
  for (const Run& run :
       runs_of(a.size(), [&](std::uint64_t i) { return a[i] != b[i] && !own[i]; })) {
    add_finding(
        result, Kind::map_unstable, place.device, other.cycle,
        Evidence{.snapshot = snapshot_index,
                 .sectors = {{place.disk,
                              place.first + run.first * (one.blk_size / journal::kSectorBytes)}},
                 .steps = {one.step, other.step},
                 .focus = other.called},
        fmt::format("The readable map of {} changed during the hold of {}: blocks [{}, +{}) "
                    "held {} in {} and {} in {}.",
                    place.device, snapshot.name, run.first, run.count, a[run.first],
                    step_name(facts.history, one.step), b[run.first],
                    step_name(facts.history, other.step)));
  }
}

// One generation, one name; another generation, another name.
void judge_generations(const Facts& facts, CheckResult& result) {
  struct Seen {
    std::string device;
    std::uint32_t generation;
    std::string name;
    std::uint32_t step;
  };
  std::vector<Seen> seen;
  for (const Snapshot& snapshot : facts.history.snapshots) {
    for (const MapRead& read : snapshot.maps) {
      const std::string& device = snapshot.places[read.device].device;
      const std::uint32_t generation = snapshot.generation[read.device];
      for (const Seen& other : seen) {
        if (other.device != device) continue;
        const bool same = other.generation == generation;
        if (same == (other.name == read.generation) || !facts.in_scope(read.cycle)) continue;
        add_finding(
            result, Kind::map_generation, device, read.cycle,
            Evidence{.steps = {other.step, read.step}, .focus = read.called},
            fmt::format("{} calls its map generation {} in {}, which {} {}.", device,
                        read.generation, step_name(facts.history, read.step),
                        same ? "was called otherwise before, though nothing began a new one:"
                             : "is the name of an older generation:",
                        other.name));
        return;
      }
      seen.push_back({device, generation, read.generation, read.step});
    }
  }
}

}  // namespace

void check_map(const Facts& facts, Report& report) {
  CheckResult& result = report.checks["map"];
  for (const char* counter :
       {"blocks", "blocks_marked", "blocks_must", "blocks_may", "blocks_refused", "maps"}) {
    result.exercised[counter] += 0;
  }
  const std::vector<Writer> writers = writers_of(facts.history);
  for (std::size_t i = 0; i < facts.windows.size(); ++i) {
    const Snapshot& snapshot = facts.history.snapshots[i];
    if (!facts.windows[i].judged) continue;
    for (std::size_t m = 0; m < snapshot.maps.size(); ++m) {
      const MapRead& read = snapshot.maps[m];
      if (!facts.in_scope(read.cycle)) continue;
      if (result.outcome == Outcome::not_run) result.outcome = Outcome::pass;
      MapJudge(facts, i, read, writers, result).judge();
      for (std::size_t n = m; n-- > 0;) {
        if (snapshot.maps[n].device != read.device) continue;
        judge_stable(facts, i, snapshot.maps[n], read, result);
        break;
      }
    }
  }
  judge_generations(facts, result);
}

}  // namespace snapbed::model
