// SPDX-License-Identifier: GPL-2.0-or-later
#include "model/free_space.h"

#include <algorithm>

namespace snapbed::model {

using journal::Request;

namespace {

// Old data is kept in units of 4 KiB; what does not hold one is never given out.
constexpr std::uint64_t kUnit = 8;

std::uint64_t in_units(std::uint64_t sectors) {
  return (sectors + kUnit - 1) / kUnit * kUnit;
}

std::uint64_t less(std::uint64_t from, std::uint64_t what) {
  return from - std::min(from, what);
}

}  // namespace

std::vector<Stamp> FreeSpace::appends() const {
  std::vector<Stamp> stamps;
  for (const StorageRange& range : snapshot_.storage) {
    if (range.ok) stamps.push_back(range.from);
  }
  std::sort(stamps.begin(), stamps.end());
  stamps.erase(std::unique(stamps.begin(), stamps.end()), stamps.end());
  return stamps;
}

std::uint64_t FreeSpace::appended(Stamp by, std::uint64_t unit) const {
  std::uint64_t sectors = 0;
  for (const StorageRange& range : snapshot_.storage) {
    if (range.ok && range.from <= by) sectors += range.count / unit * unit;
  }
  return sectors;
}

std::uint64_t FreeSpace::at_least(Stamp append, Stamp seen) const {
  // What was read of a device that the host does not see may have filled all of it.
  const bool seen_all = std::all_of(snapshot_.places.begin(), snapshot_.places.end(),
                                    [](const Place& place) { return place.recorded; });
  if (!seen_all) return 0;
  return less(appended(append, kUnit), read(seen));
}

std::uint64_t FreeSpace::at_most(Stamp append) const {
  return less(appended(append, 1), stored(append));
}

bool FreeSpace::used(Stamp append) const {
  for (const StorageRange& range : snapshot_.storage) {
    if (range.from != append || !range.ok) continue;
    for (const Request* request : facts_.disks[range.disk].changes) {
      if (request->begin > append && request->begin < snapshot_.destroyed &&
          meets(*request, range.first, range.count)) {
        return true;
      }
    }
  }
  return false;
}

std::uint64_t FreeSpace::first_stored_after(Stamp stamp) const {
  return less(stored(snapshot_.destroyed), stored(stamp));
}

// Image copies read too: then more was read than was given out, which only excuses.
std::uint64_t FreeSpace::read(Stamp by) const {
  std::uint64_t sectors = 0;
  for (const Place& place : snapshot_.places) {
    for (const Request* request : facts_.disks[place.disk].reads) {
      if (request->begin > by) break;
      if (request->begin > snapshot_.take_called && request->end < by) {
        sectors += in_units(request->count);
      }
    }
  }
  return sectors;
}

std::uint64_t FreeSpace::stored(Stamp by) const {
  SectorSet sectors;
  for (const StorageRange& range : snapshot_.storage) {
    for (const Request* request : facts_.disks[range.disk].changes) {
      if (request->begin > by) break;
      const std::uint64_t first = std::max(request->first, range.first);
      const std::uint64_t end =
          std::min(request->first + request->count, range.first + range.count);
      if (request->begin > range.from && first < end) sectors.add(first, end - first);
    }
  }
  return sectors.size();
}

}  // namespace snapbed::model
