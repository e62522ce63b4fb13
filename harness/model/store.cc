// SPDX-License-Identifier: GPL-2.0-or-later
// Check `store`: what the module writes to storage. Every request lies in ranges appended to a live
// snapshot, no two are in flight on one sector, nothing is written once CORRUPTED was delivered or
// DESTROY returned, every sector holds a version current at P, image-written data or zeroes, and
// what was copied but not yet stored stays within the budget.
#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "journal/pattern.h"
#include "model/checks.h"
#include "model/explain.h"
#include "model/writers.h"

namespace snapbed::model {

using journal::Op;
using journal::Request;
using journal::Role;

namespace {

struct Piece {
  const Request* request = nullptr;
  std::uint64_t first = 0, count = 0;
};

struct OwnedRange {
  std::size_t snapshot = 0;
  StorageRange range;
};

class Store {
 public:
  Store(const Facts& facts, CheckResult& result) : facts_(facts), result_(result) {
    for (std::size_t i = 0; i < facts.history.snapshots.size(); ++i) {
      for (const StorageRange& range : facts.history.snapshots[i].storage) {
        if (range.ok) ranges_[range.disk].push_back({i, range});
      }
    }
    for (auto& [disk, ranges] : ranges_) {
      std::sort(ranges.begin(), ranges.end(), [](const OwnedRange& a, const OwnedRange& b) {
        return a.range.first < b.range.first;
      });
      result_.exercised["ranges"] += ranges.size();
    }
    writers_ = writers_of(facts.history);
    pieces_.resize(facts.history.snapshots.size());
  }

  void judge() {
    for (const journal::Disk& disk : facts_.journal.disks) {
      if (disk.role == Role::storage) judge_disk(disk);
    }
    for (std::size_t i = 0; i < pieces_.size(); ++i) {
      const Snapshot& snapshot = facts_.history.snapshots[i];
      if (!facts_.windows[i].judged || !facts_.in_scope(snapshot.take_cycle)) continue;
      judge_contents(i);
      judge_budget(i);
    }
  }

 private:
  // The plan's own steps may prepare a storage disk; the module is not there before insmod.
  bool by_plan(const Request& request) const {
    const Stamp inserted = facts_.history.inserted;
    if (inserted != kNever && request.begin < inserted) return true;
    return std::any_of(writers_.begin(), writers_.end(), [&](const Writer& writer) {
      const std::string& op = facts_.history.plan.steps[writer.step].op;
      if (op == "append" || op == "create" || writer.device.empty()) return false;
      return facts_.history.place(writer.device).disk == request.disk &&
             request.begin > writer.from && request.begin < writer.to;
    });
  }

  void judge_disk(const journal::Disk& disk) {
    std::vector<const Request*> in_flight;
    for (const Request* request : facts_.disks[disk.id].changes) {
      if (by_plan(*request) || facts_.journal.is_loss(*request)) continue;
      const bool counted = in_scope(request->begin);
      if (counted) {
        ++result_.exercised["requests"];
        result_.exercised["sectors"] += request->count;
        if (result_.outcome == Outcome::not_run) result_.outcome = Outcome::pass;
      }
      std::erase_if(in_flight, [&](const Request* r) { return r->end < request->begin; });
      for (const Request* other : in_flight) {
        if (counted && meets(*other, request->first, request->count)) {
          add(Kind::store_in_flight_together, disk, *request,
              "two writes to one storage sector are in flight together: " + describe(*other) +
                  " and " + describe(*request));
        }
      }
      in_flight.push_back(request);
      place_request(disk, *request, counted);
    }
  }

  bool in_scope(Stamp begin) const {
    std::uint32_t cycle = 0;
    for (const PlacedMark& placed : facts_.history.marks) {
      if (placed.begin > begin) break;
      cycle = std::max(cycle, placed.mark.cycle);
    }
    return facts_.in_scope(cycle);
  }

  // Cuts the request into pieces by the snapshot that owns each range.
  void place_request(const journal::Disk& disk, const Request& request, bool counted) {
    const std::uint64_t end = request.first + request.count;
    std::uint64_t at = request.first;
    while (at < end) {
      const OwnedRange* owner = owner_of(disk.id, at, request.begin);
      if (owner == nullptr) {
        if (counted) add(Kind::store_outside, disk, request, outside(request, at));
        return;
      }
      const std::uint64_t stop = std::min(end, owner->range.first + owner->range.count);
      pieces_[owner->snapshot].push_back({&request, at, stop - at});
      if (counted) judge_time(disk, request, owner->snapshot);
      at = stop;
    }
  }

  const OwnedRange* owner_of(std::uint16_t disk, std::uint64_t sector, Stamp begin) const {
    const auto found = ranges_.find(disk);
    if (found == ranges_.end()) return nullptr;
    const OwnedRange* best = nullptr;
    for (const OwnedRange& owned : found->second) {
      if (owned.range.first > sector) break;
      if (sector >= owned.range.first + owned.range.count || owned.range.from > begin) continue;
      // The youngest append wins: older owners of the same sectors are gone by then.
      if (best == nullptr || owned.range.from > best->range.from) best = &owned;
    }
    return best;
  }

  std::string outside(const Request& request, std::uint64_t sector) const {
    return fmt::format("{} writes sector {}, which lies in no range appended by then",
                       describe(request), sector);
  }

  void judge_time(const journal::Disk& disk, const Request& request, std::size_t index) {
    const Snapshot& snapshot = facts_.history.snapshots[index];
    if (request.begin > snapshot.destroyed) {
      add(Kind::store_after_destroy, disk, request,
          fmt::format("{} begins after DESTROY of {} returned (stamp {})", describe(request),
                      snapshot.name, snapshot.destroyed),
          index);
      return;
    }
    if (snapshot.destroyed != kNever && request.end > snapshot.destroyed) {
      add(Kind::store_after_destroy, disk, request,
          fmt::format("{} is in flight when DESTROY of {} returns (stamp {})", describe(request),
                      snapshot.name, snapshot.destroyed),
          index);
      return;
    }
    for (const Event& event : snapshot.events) {
      if (event.low || request.end < event.seen) continue;
      add(Kind::store_after_corrupted, disk, request,
          fmt::format("{} ends after CORRUPTED of {} was delivered (stamp {})", describe(request),
                      snapshot.name, event.seen),
          index);
      return;
    }
  }

  void judge_contents(std::size_t index);
  void forget_later_versions(std::size_t index, std::size_t p,
                             std::unordered_map<std::uint64_t, Piece>& unknown) const;
  void forget_known(std::size_t index, std::unordered_map<std::uint64_t, Piece>& unknown) const;
  void judge_budget(std::size_t index);

  void add(Kind kind, const journal::Disk& disk, const Request& request, std::string what,
           std::size_t snapshot = kNoIndex) {
    std::uint32_t cycle = 0;
    for (const PlacedMark& placed : facts_.history.marks) {
      if (placed.begin <= request.begin) cycle = std::max(cycle, placed.mark.cycle);
    }
    add_finding(result_, kind, disk.name, cycle,
                Evidence{.snapshot = snapshot,
                         .sectors = {{disk.id, request.first, request.count}},
                         .requests = {request.begin},
                         .focus = request.begin},
                fmt::format("Storage disk {}: {}. {}", disk.name, what,
                            marks_around(facts_.history, request.begin)));
  }

  const Facts& facts_;
  CheckResult& result_;
  std::unordered_map<std::uint16_t, std::vector<OwnedRange>> ranges_;
  std::vector<Writer> writers_;
  std::vector<std::vector<Piece>> pieces_;  // per snapshot
};

// Contents that a snapshot has a right to store: removed from `unknown`.
void Store::forget_known(std::size_t index,
                         std::unordered_map<std::uint64_t, Piece>& unknown) const {
  const Snapshot& snapshot = facts_.history.snapshots[index];
  const Window& window = facts_.windows[index];
  unknown.erase(zero_hash());
  for (std::size_t p = 0; p < snapshot.places.size() && !unknown.empty(); ++p) {
    const Place& place = snapshot.places[p];
    SectorSet read;
    for (const Request* request : facts_.disks[place.disk].reads) {
      if (request->begin < window.take.first) continue;
      if (request->begin > snapshot.destroyed) break;
      const std::uint64_t first = std::max(request->first, place.first);
      const std::uint64_t end =
          std::min(request->first + request->count, place.first + place.sectors);
      if (first < end) read.add(first, end - first);
    }
    if (!facts_.expectations.strict) forget_later_versions(index, p, unknown);
    std::unordered_map<std::uint64_t, std::uint64_t>
        replaced;  // sector -> content at the earliest P
    for (const Request* request : window.changes[p]) {
      if (request->moved > window.feasible.last) break;
      const bool before = request->moved <= window.feasible.first;
      for (std::uint64_t s = request->first; s < request->first + request->count; ++s) {
        const std::uint64_t hash = request->op == Op::write
                                       ? facts_.journal.hashes_of(*request)[s - request->first]
                                       : zero_hash();
        if (before) {
          replaced[s] = hash;
        } else {
          unknown.erase(hash);  // came between the earliest and the latest P
        }
      }
    }
    for (const auto& [sector, hash] : replaced) unknown.erase(hash);
    read.each([&](std::uint64_t sector) {
      if (!replaced.contains(sector)) unknown.erase(window.base[p].at(sector));
    });
  }
  for (const OwnChange& change : snapshot.image_writes) {
    const std::uint64_t key = journal::step_key(facts_.history.plan.seed, change.step);
    journal::SectorBytes bytes;
    for (const plan::Range& range : change.ranges) {
      for (std::uint64_t s = range.first; s < range.first + range.count; ++s) {
        journal::fill_sector(key, s, bytes);
        unknown.erase(journal::sector_hash(bytes));
      }
    }
  }
}

// Without a drain a write that passed the hook before P may land, and be copied, at any time.
void Store::forget_later_versions(std::size_t index, std::size_t p,
                                  std::unordered_map<std::uint64_t, Piece>& unknown) const {
  const Snapshot& snapshot = facts_.history.snapshots[index];
  for (const Request* request : facts_.disks[snapshot.places[p].disk].moved) {
    if (request->moved <= facts_.windows[index].take.first || request->op != Op::write) continue;
    if (request->moved > snapshot.destroyed) break;
    for (const std::uint64_t hash : facts_.journal.hashes_of(*request)) unknown.erase(hash);
  }
}

void Store::judge_contents(std::size_t index) {
  const Snapshot& snapshot = facts_.history.snapshots[index];
  // What the host does not see it cannot tell from a wrong content.
  if (std::any_of(snapshot.places.begin(), snapshot.places.end(),
                  [](const Place& place) { return !place.recorded; })) {
    return;
  }
  for (const plan::Step& step : facts_.history.plan.steps) {
    // A shell command may write through the image by itself; nobody knows what.
    const bool hidden =
        step.op == "run" &&
        step.args.value("command", std::string()).find("blksnap-image") != std::string::npos &&
        facts_.history.steps[step.id].called > snapshot.take_called &&
        facts_.history.steps[step.id].called < snapshot.destroy_called;
    if (hidden) return;
  }
  std::unordered_map<std::uint64_t, Piece> unknown;  // hash -> where it was first stored
  for (const Piece& piece : pieces_[index]) {
    if (piece.request->op != Op::write || piece.request->moved == kNever) continue;
    // A torn store leaves in part what its sectors held before.
    if (piece.request->error != 0) continue;
    const auto hashes = facts_.journal.hashes_of(*piece.request);
    for (std::uint64_t s = piece.first; s < piece.first + piece.count; ++s) {
      unknown.try_emplace(hashes[s - piece.request->first], Piece{piece.request, s, 1});
    }
  }
  forget_known(index, unknown);
  for (const auto& [hash, piece] : unknown) {
    const journal::Disk& disk = facts_.journal.disks[piece.request->disk];
    add(Kind::store_foreign_content, disk, *piece.request,
        fmt::format("{} stores in sector {} what no captured sector held at P of {} (stamps {} to "
                    "{}): {}",
                    describe(*piece.request), piece.first, snapshot.name,
                    facts_.windows[index].feasible.first, facts_.windows[index].feasible.last,
                    result_.findings.size() < kFindingLimit ? identify(facts_, hash)
                                                            : std::string("unknown")),
        index);
  }
}

// Bytes read from the origin for copies and not yet on storage, at every end of a request.
void Store::judge_budget(std::size_t index) {
  const Snapshot& snapshot = facts_.history.snapshots[index];
  std::vector<std::pair<Stamp, std::int64_t>> changes;
  for (const Place& place : snapshot.places) {
    for (const Request* read : facts_.disks[place.disk].reads) {
      if (read->begin <= facts_.windows[index].take.last || read->end == kNever) continue;
      if (read->begin > snapshot.destroy_called) break;
      const bool image = std::any_of(
          snapshot.copies.begin(), snapshot.copies.end(),
          [&](const Copy& copy) { return read->begin < copy.returned && read->end > copy.called; });
      if (image || read->error != 0) continue;
      changes.emplace_back(read->end, static_cast<std::int64_t>(read->count));
    }
  }
  for (const Piece& piece : pieces_[index]) {
    if (piece.request->end == kNever) continue;
    changes.emplace_back(piece.request->end, -static_cast<std::int64_t>(piece.count));
  }
  std::sort(changes.begin(), changes.end());
  std::int64_t unsaved = 0;
  std::int64_t peak = 0;
  Stamp when = 0;
  for (const auto& [stamp, sectors] : changes) {
    unsaved = std::max<std::int64_t>(unsaved + sectors, 0);
    if (unsaved > peak) {
      peak = unsaved;
      when = stamp;
    }
  }
  const std::uint64_t bytes = static_cast<std::uint64_t>(peak) * journal::kSectorBytes;
  std::uint64_t& most = result_.exercised["peak_unsaved_bytes"];
  most = std::max(most, bytes);
  const std::uint64_t budget = facts_.expectations.budget_bytes;
  if (budget == 0 || bytes <= budget || snapshot.corrupted()) return;
  add_finding(result_, Kind::store_budget, snapshot.places.front().device, snapshot.take_cycle,
              Evidence{.snapshot = index, .focus = when},
              fmt::format("{} held {} bytes that were copied from the origin and not yet stored at "
                          "stamp {}; its budget is {} bytes. {}",
                          snapshot.name, bytes, when, budget, marks_around(facts_.history, when)));
}

}  // namespace

void check_store(const Facts& facts, Report& report) {
  CheckResult& result = report.checks["store"];
  for (const char* counter : {"requests", "sectors", "ranges", "peak_unsaved_bytes"}) {
    result.exercised[counter] += 0;
  }
  Store(facts, result).judge();
}

}  // namespace snapbed::model
