// SPDX-License-Identifier: GPL-2.0-or-later
// What every check needs: the history, the requests of each disk in useful orders, and for each
// TAKE the instants that may be its P with the state of the captured disks there.
//
// An instant p lies just after stamp p: what carries a stamp <= p has happened. A snapshot's P is
// quiet: no data-changing request is in flight inside the captured ranges, so at P a request is
// either wholly done or not yet begun and the content of every sector is exact.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "model/history.h"
#include "model/judge.h"
#include "model/ledgers.h"
#include "model/report.h"
#include "model/sector_set.h"
#include "model/versions.h"

namespace snapbed::model {

struct DiskRequests {
  std::vector<const journal::Request*>
      changes;                                 // by begin; only those that begin before the horizon
  std::vector<const journal::Request*> moved;  // changes that moved, by moved
  std::vector<const journal::Request*> reads;  // by begin
  std::vector<const journal::Request*> flushes;  // by begin
};

// Instants [first, last].
struct Instants {
  Stamp first = 0;
  Stamp last = 0;
};

struct Window {
  bool judged = false;          // the snapshot was taken
  Instants take;                // between TAKE's two marks
  std::vector<DiskState> base;  // per place: the disk at take.first
  // Per place: changes of its disk meeting the place, with moved in (take.first, take.last], by
  // moved.
  std::vector<std::vector<const journal::Request*>> changes;
  std::vector<SectorSet> exempt;  // per place, in disk sectors: storage on the captured device
  std::vector<Instants> quiet;    // sorted, disjoint
  // Earliest and latest instant that may be P. The check `cut` narrows them by what images show.
  Instants feasible;
};

class Facts {
 public:
  // Throws BrokenRecord.
  Facts(const journal::Journal& record, const Expectations& demanded, const FilesReader& reader,
        Scope judged);

  const journal::Journal& journal;
  const Expectations& expectations;
  const FilesReader& files;
  Scope scope;
  History history;
  Ledgers ledgers;
  std::vector<DiskRequests> disks;  // as journal.disks
  std::vector<Window> windows;      // as history.snapshots

  bool in_scope(std::uint32_t cycle) const {
    return cycle >= scope.first_cycle && cycle <= scope.last_cycle;
  }

 private:
  void sort_requests();
  void make_windows();
  void make_window(std::size_t index);
  void find_quiet(std::size_t index);
  void copy_states();
  std::vector<std::shared_ptr<const InitialHashes>> initial_;
};

// One content a sector had. `request` is null for what the disk held at first (all stamps 0).
struct Version {
  const journal::Request* request = nullptr;
  Stamp begin = 0, moved = 0, end = 0;
  std::uint64_t hash = 0;
};
// Whether the request touches sectors [first, first + count) of its disk.
bool meets(const journal::Request& request, std::uint64_t first, std::uint64_t count);

// Every version of a disk's sector, by moved. Linear in the disk's requests: for explanations.
std::vector<Version> versions_of(const Facts& facts, std::uint16_t disk, std::uint64_t sector);

// The hash of an image sector in a copy; false when the copy does not hold it.
bool observed(const Facts& facts, const Copy& copy, std::uint64_t sector, std::uint64_t& hash);

// Calls visit(first, count, index, other_index) for every run of image sectors that both copies
// hold; the indexes are those of the first sector's hash in the journal.
template <typename Visit>
void each_common(const Copy& one, const Copy& other, Visit visit) {
  auto a = one.segments.begin();
  auto b = other.segments.begin();
  while (a != one.segments.end() && b != other.segments.end()) {
    const std::uint64_t first = std::max(a->first, b->first);
    const std::uint64_t end = std::min(a->end(), b->end());
    if (first < end) {
      visit(first, end - first, a->hash_index + (first - a->first),
            b->hash_index + (first - b->first));
    }
    if (a->end() <= b->end()) {
      ++a;
    } else {
      ++b;
    }
  }
}

// Image sectors of a copy that say nothing about the instant: written through the image before the
// copy ended, or storage on the captured device.
SectorSet taken_out(const Facts& facts, std::size_t snapshot, const Copy& copy);

// Adds a finding; beyond kFindingLimit it is only counted.
void add_finding(CheckResult& result, Kind kind, const std::string& device, std::uint32_t cycle,
                 Evidence evidence, std::string text, bool rests_on_time = false);

}  // namespace snapbed::model
