// SPDX-License-Identifier: GPL-2.0-or-later
#include "model/maps.h"

#include <fmt/format.h>

#include <algorithm>

namespace snapbed::model {

using journal::Request;

namespace {

class Bounds {
 public:
  Bounds(const Facts& facts, std::size_t index, const MapRead& read, const Geometry& geometry,
         const std::vector<Writer>& writers)
      : facts_(facts),
        snapshot_(facts.history.snapshots[index]),
        read_(read),
        place_(snapshot_.places[read.device]),
        generation_(facts.history.generations[snapshot_.generation[read.device]]),
        number_(snapshot_.number[read.device]),
        block_sectors_(geometry.blk_size / journal::kSectorBytes),
        behind_(written_behind(facts.history, writers, place_, generation_.tracked_from)) {
    bounds_.must.resize(geometry.blk_count, 0);
    bounds_.may.resize(geometry.blk_count, 0);
    for (std::uint32_t n = 0; n < number_; ++n) {
      takes_.push_back(facts.windows[generation_.takes[n]].feasible);
    }
    for (const Snapshot& owner : facts.history.snapshots) {
      for (const StorageRange& range : owner.storage) {
        if (range.ok && range.disk == place_.disk) storage_.push_back({range, owner.destroyed});
      }
    }
  }

  MapBounds compute() {
    for (const Request* request : facts_.disks[place_.disk].changes) add_write(*request);
    for (const OwnChange& change : facts_.history.dirtied) {
      if (facts_.history.places[change.device].device == place_.device) add_own(change);
    }
    for (std::size_t i = 0; i < facts_.history.snapshots.size(); ++i) {
      for (const OwnChange& change : facts_.history.snapshots[i].image_writes) {
        const Place& place = facts_.history.snapshots[i].places[change.device];
        if (place.device == place_.device) add_own(change);
      }
    }
    // The maps were cleared in the middle of TAKE: what the first number holds is immaterial.
    if (generation_.wrapped && number_ == 1) std::fill(bounds_.may.begin(), bounds_.may.end(), 1);
    return std::move(bounds_);
  }

 private:
  // Active number when something marked at a stamp: least and greatest.
  std::uint32_t least_number(Stamp stamp) const {
    return 1 +
           static_cast<std::uint32_t>(std::count_if(
               takes_.begin(), takes_.end(), [&](const Instants& p) { return p.last < stamp; }));
  }
  std::uint32_t greatest_number(Stamp stamp) const {
    return 1 +
           static_cast<std::uint32_t>(std::count_if(
               takes_.begin(), takes_.end(), [&](const Instants& p) { return p.first < stamp; }));
  }

  void add_write(const Request& request) {
    if (request.end < generation_.tracked_from) return;
    const std::uint32_t least = least_number(request.begin);
    if (least > number_) return;
    const std::uint32_t greatest = greatest_number(request.begin);
    // Writes on their way when tracking began need no mark: the first number binds only from above.
    const bool must = facts_.expectations.strict && !behind_ && greatest <= number_ && least >= 2 &&
                      request.moved != kNever && request.end != kNever;
    const std::uint64_t first = std::max(request.first, place_.first);
    const std::uint64_t end =
        std::min(request.first + request.count, place_.first + place_.sectors);
    if (first >= end) return;
    each_tracked(first, end, request.begin, [&](std::uint64_t from, std::uint64_t to) {
      mark(from - place_.first, to - from, must ? least : 0, std::min(greatest, number_));
    });
  }

  // Calls visit for the parts of [first, end) that are no live storage at the stamp.
  template <typename Visit>
  void each_tracked(std::uint64_t first, std::uint64_t end, Stamp stamp, Visit visit) const {
    for (const auto& [range, destroyed] : storage_) {
      if (stamp < range.from || stamp > destroyed) continue;
      if (range.first >= end || range.first + range.count <= first) continue;
      if (first < range.first) each_tracked(first, range.first, stamp, visit);
      if (range.first + range.count < end) {
        each_tracked(range.first + range.count, end, stamp, visit);
      }
      return;
    }
    visit(first, end);
  }

  // Image writes and mark_dirty: the active map, and the readable one of a snapshot that is held.
  void add_own(const OwnChange& change) {
    if (change.returned < generation_.tracked_from || change.called > read_.returned) return;
    const std::uint32_t least = least_number(change.called);
    const std::uint32_t greatest = greatest_number(change.returned);
    const bool held = greatest > number_;
    // A TAKE that begins a generation clears the maps in its middle, with what was marked before.
    const bool cleared =
        generation_.wrapped &&
        change.called < facts_.history.snapshots[generation_.takes.front()].take_returned;
    const bool done = change.succeeded && change.returned < read_.called && !cleared;
    const std::uint32_t must = done ? std::min(least, number_) : 0;
    const std::uint32_t may = held ? number_ : greatest;
    for (const plan::Range& range : change.ranges) mark(range.first, range.count, must, may);
  }

  void mark(std::uint64_t first, std::uint64_t count, std::uint32_t must, std::uint32_t may) {
    if (count == 0) return;
    const std::uint64_t last =
        std::min<std::uint64_t>((first + count - 1) / block_sectors_, bounds_.may.size() - 1);
    for (std::uint64_t block = first / block_sectors_; block <= last; ++block) {
      bounds_.must[block] = std::max(bounds_.must[block], static_cast<std::uint8_t>(must));
      bounds_.may[block] = std::max(bounds_.may[block], static_cast<std::uint8_t>(may));
    }
  }

  struct Storage {
    StorageRange range;
    Stamp destroyed;
  };

  const Facts& facts_;
  const Snapshot& snapshot_;
  const MapRead& read_;
  const Place& place_;
  const Generation& generation_;
  std::uint32_t number_;
  std::uint64_t block_sectors_;
  bool behind_;
  std::vector<Instants> takes_;  // P of number n + 1
  std::vector<Storage> storage_;
  MapBounds bounds_;
};

}  // namespace

Geometry map_geometry(const plan::Plan& plan, std::uint64_t sectors) {
  std::uint64_t shift = module_parameter(plan, "tracking_block_minimum_shift", 16);
  const std::uint64_t limit = module_parameter(plan, "tracking_block_maximum_count", 2097152);
  // A block of less than a sector or of more than 64 bits is none.
  if (shift < 9 || shift > 63) {
    throw BrokenRecord(fmt::format("module parameter tracking_block_minimum_shift={}", shift));
  }
  const std::uint64_t bytes = sectors * journal::kSectorBytes;
  const auto count = [&] { return (bytes + (std::uint64_t{1} << shift) - 1) >> shift; };
  while (count() > limit && shift < 31) ++shift;
  return {std::uint64_t{1} << shift, count(), bytes};
}

MapBounds map_bounds(const Facts& facts, std::size_t index, const MapRead& read,
                     const Geometry& geometry, const std::vector<Writer>& writers) {
  return Bounds(facts, index, read, geometry, writers).compute();
}

std::vector<std::uint8_t> map_bytes(const Facts& facts, const MapRead& read) {
  constexpr std::uint64_t kMapLimit = std::uint64_t{1} << 30;  // far above the largest legal map
  if (read.bytes > kMapLimit) {
    throw BrokenRecord(
        fmt::format("step {} says that its map has {} bytes", read.step, read.bytes));
  }
  std::vector<std::uint8_t> bytes(read.bytes);
  if (!facts.files || !facts.files(read.base, bytes)) {
    throw BrokenRecord(
        fmt::format("the files disk does not hold the map of step {} ({} bytes at {})", read.step,
                    read.bytes, read.base));
  }
  return bytes;
}

}  // namespace snapbed::model
