// SPDX-License-Identifier: GPL-2.0-or-later
#include "model/facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/overlap.h"

namespace snapbed::model {

using journal::Op;
using journal::Request;

bool meets(const Request& request, std::uint64_t first, std::uint64_t count) {
  return base::overlap(request.first, request.count, first, count);
}

namespace {

// True when the request touches a captured sector of the place that is no storage.
bool touches(const Request& request, const Place& place, const SectorSet& exempt) {
  if (request.disk != place.disk || !meets(request, place.first, place.sectors)) return false;
  const std::uint64_t first = std::max(request.first, place.first);
  const std::uint64_t end = std::min(request.first + request.count, place.first + place.sectors);
  return !exempt.all(first, end - first);
}

}  // namespace

Facts::Facts(const journal::Journal& record, const Expectations& demanded,
             const FilesReader& reader, Scope judged)
    : journal(record),
      expectations(demanded),
      files(reader),
      scope(judged),
      history(tell(record, judged.last_cycle)),
      ledgers(journal, history, files) {
  for (const journal::Disk& disk : journal.disks) {
    initial_.push_back(std::make_shared<InitialHashes>(journal.seed, disk));
  }
  sort_requests();
  make_windows();
  copy_states();
}

void Facts::sort_requests() {
  disks.resize(journal.disks.size());
  Stamp previous = 0;
  for (const Request& request : journal.requests) {
    if (request.disk >= journal.disks.size()) {
      throw BrokenRecord(fmt::format("request at stamp {} names disk {} of {}", request.begin,
                                     request.disk, journal.disks.size()));
    }
    if (request.begin < previous) {
      throw BrokenRecord(
          fmt::format("requests are not in the order of begin at stamp {}", request.begin));
    }
    previous = request.begin;
    const bool moved = request.moved != kNever;
    if ((moved && request.moved < request.begin) ||
        (request.end != kNever && request.end < (moved ? request.moved : request.begin))) {
      throw BrokenRecord(fmt::format("the request at stamp {} moved at {} and ended at {}",
                                     request.begin, request.moved, request.end));
    }
    if (request.op == Op::write && request.moved != kNever &&
        (request.hash_index > journal.hashes.size() ||
         request.count > journal.hashes.size() - request.hash_index)) {
      throw BrokenRecord(
          fmt::format("the write at stamp {} points past the recorded hashes", request.begin));
    }
    if (request.begin > history.horizon) continue;
    DiskRequests& disk = disks[request.disk];
    if (request.op == Op::read) disk.reads.push_back(&request);
    if (request.op == Op::flush) disk.flushes.push_back(&request);
    if (!changes_data(request.op)) continue;
    disk.changes.push_back(&request);
    if (request.moved != kNever) disk.moved.push_back(&request);
  }
  for (DiskRequests& disk : disks) {
    std::sort(disk.moved.begin(), disk.moved.end(),
              [](const Request* a, const Request* b) { return a->moved < b->moved; });
  }
}

void Facts::make_windows() {
  windows.resize(history.snapshots.size());
  for (std::size_t i = 0; i < windows.size(); ++i) {
    if (history.snapshots[i].taken) make_window(i);
  }
}

void Facts::make_window(std::size_t index) {
  const Snapshot& snapshot = history.snapshots[index];
  Window& window = windows[index];
  window.judged = true;
  window.take = {snapshot.take_called, snapshot.take_returned - 1};
  window.exempt.resize(snapshot.places.size());
  for (std::size_t p = 0; p < snapshot.places.size(); ++p) {
    for (const Snapshot& owner : history.snapshots) {
      if (owner.destroyed < snapshot.take_called) continue;
      for (const StorageRange& range : owner.storage) {
        if (!range.ok || range.disk != snapshot.places[p].disk || range.from > snapshot.destroyed)
          continue;
        window.exempt[p].add(range.first, range.count);
      }
    }
  }
  window.changes.resize(snapshot.places.size());
  for (std::size_t p = 0; p < snapshot.places.size(); ++p) {
    const auto& moved = disks[snapshot.places[p].disk].moved;
    auto at = std::upper_bound(moved.begin(), moved.end(), window.take.first,
                               [](Stamp stamp, const Request* r) { return stamp < r->moved; });
    for (; at != moved.end() && (*at)->moved <= window.take.last; ++at) {
      if (touches(**at, snapshot.places[p], window.exempt[p])) window.changes[p].push_back(*at);
    }
  }
  find_quiet(index);
}

void Facts::find_quiet(std::size_t index) {
  const Snapshot& snapshot = history.snapshots[index];
  Window& window = windows[index];
  std::vector<Instants> busy;  // a request is in flight at instants [begin, end)
  for (std::size_t p = 0; p < snapshot.places.size(); ++p) {
    for (const Request* request : disks[snapshot.places[p].disk].changes) {
      if (request->begin > window.take.last) break;
      if (request->end <= window.take.first) continue;
      if (!touches(*request, snapshot.places[p], window.exempt[p])) continue;
      busy.push_back({request->begin, request->end - 1});
    }
  }
  std::sort(busy.begin(), busy.end(),
            [](const Instants& a, const Instants& b) { return a.first < b.first; });
  Stamp at = window.take.first;
  for (const Instants& request : busy) {
    if (request.first > at) window.quiet.push_back({at, request.first - 1});
    if (request.last >= at) at = request.last + 1;
    if (at > window.take.last) break;
  }
  if (at <= window.take.last) window.quiet.push_back({at, window.take.last});
  window.feasible = window.take;
  if (!window.quiet.empty()) {
    window.feasible = {window.quiet.front().first, window.quiet.back().last};
  }
}

void Facts::copy_states() {
  std::vector<DiskState> states;
  for (const auto& initial : initial_) states.emplace_back(initial);
  std::vector<std::size_t> applied(disks.size(), 0);
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < windows.size(); ++i) {
    if (windows[i].judged) order.push_back(i);
  }
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return windows[a].take.first < windows[b].take.first;
  });
  for (std::size_t index : order) {
    for (const Place& place : history.snapshots[index].places) {
      const auto& moved = disks[place.disk].moved;
      std::size_t& at = applied[place.disk];
      for (; at < moved.size() && moved[at]->moved <= windows[index].take.first; ++at) {
        states[place.disk].apply(*moved[at], journal);
      }
      windows[index].base.push_back(states[place.disk]);
    }
  }
}

std::vector<Version> versions_of(const Facts& facts, std::uint16_t disk, std::uint64_t sector) {
  const InitialHashes initial(facts.journal.seed, facts.journal.disks[disk]);
  std::vector<Version> versions{{nullptr, 0, 0, 0, initial.at(sector)}};
  for (const Request* request : facts.disks[disk].moved) {
    if (!meets(*request, sector, 1)) continue;
    const std::uint64_t hash = request->op == Op::write
                                   ? facts.journal.hashes_of(*request)[sector - request->first]
                                   : zero_hash();
    versions.push_back({request, request->begin, request->moved, request->end, hash});
  }
  return versions;
}

bool observed(const Facts& facts, const Copy& copy, std::uint64_t sector, std::uint64_t& hash) {
  auto segment = std::upper_bound(copy.segments.begin(), copy.segments.end(), sector,
                                  [](std::uint64_t s, const Segment& x) { return s < x.first; });
  if (segment == copy.segments.begin()) return false;
  --segment;
  if (sector >= segment->end()) return false;
  hash = facts.journal.hashes[segment->hash_index + (sector - segment->first)];
  return true;
}

SectorSet taken_out(const Facts& facts, std::size_t index, const Copy& copy) {
  const Snapshot& snapshot = facts.history.snapshots[index];
  SectorSet out;
  for (const OwnChange& change : snapshot.image_writes) {
    if (change.device != copy.device || change.called > copy.returned) continue;
    for (const plan::Range& range : change.ranges) out.add(range.first, range.count);
  }
  const Place& place = snapshot.places[copy.device];
  facts.windows[index].exempt[copy.device].each([&](std::uint64_t sector) {
    if (sector >= place.first && sector < place.first + place.sectors) {
      out.add(sector - place.first, 1);
    }
  });
  return out;
}

void add_finding(CheckResult& result, Kind kind, const std::string& device, std::uint32_t cycle,
                 Evidence evidence, std::string text, bool rests_on_time) {
  ++result.found;
  result.outcome = Outcome::fail;
  if (result.findings.size() < kFindingLimit) {
    result.findings.push_back(
        {kind, device, cycle, std::move(text), std::move(evidence), rests_on_time});
  }
}

}  // namespace snapbed::model
