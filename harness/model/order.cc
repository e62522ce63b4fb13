// SPDX-License-Identifier: GPL-2.0-or-later
// Check `order`: during the hold no first overwrite of an origin sector begins on the host before a
// completed read of that sector, begun after TAKE was called and moved after the version that the
// image shows. Other readers of the origin (image copies, fio reads, file systems) can only hide a
// missing copy, never raise an alarm; `reads_proven` counts the writes whose read no image copy can
// have made.
#include <fmt/format.h>

#include <algorithm>
#include <queue>
#include <unordered_map>

#include "model/checks.h"
#include "model/explain.h"
#include "model/writers.h"

namespace snapbed::model {

using journal::Request;

namespace {

class Order {
 public:
  Order(const Facts& facts, std::size_t index, std::size_t place, CheckResult& result)
      : facts_(facts),
        snapshot_(facts.history.snapshots[index]),
        window_(facts.windows[index]),
        place_(snapshot_.places[place]),
        index_(index),
        place_index_(place),
        result_(result) {}

  void judge() {
    exempt_ = window_.exempt[place_index_];
    for (const Request* request : window_.changes[place_index_]) {
      if (request->moved > window_.feasible.first) continue;
      for (std::uint64_t s = request->first; s < request->first + request->count; ++s) {
        last_version_[s] = std::max(last_version_[s], request->moved);
      }
    }
    collect_reads();
    for (const Request* request : facts_.disks[place_.disk].changes) {
      if (request->begin <= window_.feasible.first) continue;
      if (request->begin > snapshot_.destroy_called) break;
      apply_reads(request->begin);
      apply_image_writes(request->begin);
      judge_write(*request);
    }
  }

 private:
  void collect_reads() {
    for (const Request* read : facts_.disks[place_.disk].reads) {
      if (read->begin <= window_.take.first || read->end == kNever) continue;
      if (read->begin > snapshot_.destroy_called) break;
      if (read->first >= place_.first + place_.sectors ||
          read->first + read->count <= place_.first) {
        continue;
      }
      reads_.push_back(read);
    }
    std::sort(reads_.begin(), reads_.end(),
              [](const Request* a, const Request* b) { return a->end < b->end; });
  }

  void apply_reads(Stamp before) {
    for (; next_read_ < reads_.size() && reads_[next_read_]->end < before; ++next_read_) {
      const Request& read = *reads_[next_read_];
      if (read.error != 0) {  // what cannot be read cannot be saved; the image then gives EIO there
        exempt_.add(read.first, read.count);
        continue;
      }
      cover(read);
    }
  }

  void cover(const Request& read) {
    SectorSet& set = in_copy(read) ? covered_by_copy_ : covered_;
    if (read.moved > window_.feasible.first || last_version_.empty()) {
      set.add(read.first, read.count);
      return;
    }
    for (std::uint64_t s = read.first; s < read.first + read.count; ++s) {
      const auto version = last_version_.find(s);
      if (version == last_version_.end() || version->second < read.moved) set.add(s, 1);
    }
  }

  bool in_copy(const Request& read) const {
    return std::any_of(snapshot_.copies.begin(), snapshot_.copies.end(), [&](const Copy& copy) {
      return read.begin < copy.returned && read.end > copy.called;
    });
  }

  void apply_image_writes(Stamp before) {
    for (; next_image_write_ < snapshot_.image_writes.size(); ++next_image_write_) {
      const OwnChange& change = snapshot_.image_writes[next_image_write_];
      if (change.called > before) break;
      if (change.device != place_index_) continue;
      for (const plan::Range& range : change.ranges) {
        exempt_.add(place_.first + range.first, range.count);
      }
    }
  }

  void judge_write(const Request& write) {
    const std::uint64_t first = std::max(write.first, place_.first);
    const std::uint64_t end = std::min(write.first + write.count, place_.first + place_.sectors);
    if (first >= end) return;
    // Between the earliest and the latest feasible P nobody knows whether the write is the first.
    const bool certain = write.begin > window_.feasible.last;
    if (certain) judge_sectors(write, first, end);
    overwritten_.add(first, end - first);
  }

  void judge_sectors(const Request& write, std::uint64_t first, std::uint64_t end) {
    if (overwritten_.all(first, end - first)) return;
    bool fresh = false;
    bool proven = true;
    for (std::uint64_t s = first; s < end; ++s) {
      if (overwritten_.contains(s) || exempt_.contains(s)) continue;
      fresh = true;
      if (covered_.contains(s)) continue;
      proven = false;
      if (covered_by_copy_.contains(s)) continue;
      report(write, s);
      break;
    }
    if (!fresh) return;
    ++result_.exercised["first_writes"];
    if (proven) ++result_.exercised["reads_proven"];
  }

  void report(const Request& write, std::uint64_t sector) {
    if (snapshot_.corrupted()) {  // the moment of corruption is not on record: nothing binds
      ++result_.exercised["withdrawn"];
      return;
    }
    std::string read_text = "no read of it began after TAKE was called";
    for (const Request* read : reads_) {
      if (sector >= read->first && sector < read->first + read->count) {
        read_text = "the first read of it to end after TAKE was called is " + describe(*read);
        break;
      }
    }
    std::string text;
    if (result_.findings.size() < kFindingLimit) {
      text = fmt::format(
          "A write overtook its copy: {} on {} is the first overwrite of disk sector {} after the "
          "take of {} (P in [{}, {}]), but before it began no read of the sector was complete; {}. "
          "{}",
          describe(write), place_.device, sector, snapshot_.name, window_.feasible.first,
          window_.feasible.last, read_text, marks_around(facts_.history, write.begin));
    }
    add_finding(result_, Kind::order_overtaken, place_.device, snapshot_.take_cycle,
                Evidence{.snapshot = index_,
                         .sectors = {{place_.disk, sector}},
                         .requests = {write.begin},
                         .focus = write.begin},
                std::move(text));
  }

  const Facts& facts_;
  const Snapshot& snapshot_;
  const Window& window_;
  const Place& place_;
  std::size_t index_;
  std::size_t place_index_;
  CheckResult& result_;
  std::unordered_map<std::uint64_t, Stamp> last_version_;  // of sectors changed around TAKE
  std::vector<const Request*> reads_;                      // by end
  std::size_t next_read_ = 0;
  std::size_t next_image_write_ = 0;
  SectorSet covered_;          // by reads outside every image copy
  SectorSet covered_by_copy_;  // by reads that an image copy may have made
  SectorSet overwritten_;
  SectorSet exempt_;
};

// Where nobody asks for a flush none has a reason to arrive: one more would cost every writer.
void judge_flushes(const Facts& facts, CheckResult& result) {
  if (may_flush(facts.history)) return;
  for (const Snapshot& snapshot : facts.history.snapshots) {
    if (!snapshot.taken || !facts.in_scope(snapshot.take_cycle)) continue;
    for (const Request& request : facts.journal.requests) {
      if (request.begin < snapshot.take_called) continue;
      if (request.begin > snapshot.destroyed) break;
      const journal::Disk& disk = facts.journal.disks[request.disk];
      if (disk.role == journal::Role::storage && request.op == journal::Op::write) {
        ++result.exercised["stores_unflushed"];
      }
      if (request.op != journal::Op::flush ||
          (disk.role != journal::Role::storage && disk.role != journal::Role::data)) {
        continue;
      }
      add_finding(
          result, Kind::order_flush, disk.name, snapshot.take_cycle,
          Evidence{.requests = {request.begin}, .focus = request.begin},
          fmt::format("A flush that nobody asked for: {} on {} while {} is held, and no step "
                      "of the plan flushes, syncs or uses a file system. {}",
                      describe(request), disk.name, snapshot.name,
                      marks_around(facts.history, request.begin)));
    }
  }
}

// Holds that the scenario says must be ended by what goes on meanwhile. One that never was (as many
// are held as may be), or that ended with the machine or the connection, says nothing of what
// waits.
void judge_holds(const Facts& facts, CheckResult& result) {
  for (const journal::RuleAction& action : facts.journal.rule_actions) {
    const auto& must = facts.expectations.met;
    if (std::find(must.begin(), must.end(), action.rule) == must.end()) continue;
    const bool met = action.how == "match" || action.how == "count";
    if (!met && action.how != "time" && action.how != "mark") continue;
    if (action.begin > facts.history.horizon) continue;
    std::uint32_t cycle = 0;
    for (const PlacedMark& placed : facts.history.marks) {
      if (placed.begin <= action.begin) cycle = std::max(cycle, placed.mark.cycle);
    }
    if (!facts.in_scope(cycle)) continue;
    if (result.outcome == Outcome::not_run) result.outcome = Outcome::pass;
    if (met) {
      ++result.exercised["holds_met"];
      continue;
    }
    const std::string& disk = facts.journal.disks[action.disk].name;
    add_finding(
        result, Kind::order_hold_missed, disk, cycle,
        Evidence{.requests = {action.begin}, .focus = action.begin},
        fmt::format("While the request on {} that began at stamp {} was held by rule {}, the "
                    "requests that were to end the hold never came: the hold ended by {} at "
                    "stamp {}. Something waits that must not. {}",
                    disk, action.begin, action.rule, action.how, action.released,
                    marks_around(facts.history, action.begin)),
        true);
  }
}

}  // namespace

void check_order(const Facts& facts, Report& report) {
  CheckResult& result = report.checks["order"];
  for (const char* counter : {"first_writes", "reads_matched", "reads_proven", "withdrawn",
                              "stores_unflushed", "holds_met"}) {
    result.exercised[counter] += 0;
  }
  for (std::size_t i = 0; i < facts.windows.size(); ++i) {
    const Snapshot& snapshot = facts.history.snapshots[i];
    if (!facts.windows[i].judged || !facts.in_scope(snapshot.take_cycle)) continue;
    if (result.outcome == Outcome::not_run) result.outcome = Outcome::pass;
    for (std::size_t p = 0; p < snapshot.places.size(); ++p) Order(facts, i, p, result).judge();
  }
  const std::uint64_t writes = result.exercised["first_writes"];
  const std::uint64_t unmatched = result.found + result.exercised["withdrawn"];
  result.exercised["reads_matched"] = writes - std::min(writes, unmatched);
  judge_flushes(facts, result);
  judge_holds(facts, result);
}

}  // namespace snapbed::model
