// SPDX-License-Identifier: GPL-2.0-or-later
#include "model/explain.h"

#include <fmt/format.h>

#include <algorithm>

namespace snapbed::model {

using journal::Op;
using journal::Request;

namespace {

std::string stamp_text(Stamp stamp) {
  return stamp == kNever ? std::string("never") : std::to_string(stamp);
}

}  // namespace

const char* op_name(Op op) {
  switch (op) {
    case Op::read:
      return "read";
    case Op::write:
      return "write";
    case Op::trim:
      return "discard";
    case Op::zero:
      return "write-zeroes";
    case Op::flush:
      return "flush";
  }
  return "request of an unknown kind";
}

std::string describe(const Request& request) {
  return fmt::format("{} [{}, +{}) begin {} moved {} end {}{}", op_name(request.op), request.first,
                     request.count, request.begin, stamp_text(request.moved),
                     stamp_text(request.end),
                     request.error ? fmt::format(" error {}", request.error) : std::string());
}

std::string describe(const std::vector<Version>& versions, std::size_t index) {
  const Version& version = versions[index];
  if (version.request == nullptr) {
    return fmt::format("version 0 of {} (what the disk held at first)", versions.size() - 1);
  }
  return fmt::format("version {} of {} ({})", index, versions.size() - 1,
                     describe(*version.request));
}

std::string name_sector(const Facts& facts, const Place& place, std::uint64_t image_sector) {
  return fmt::format("{} image sector {} (disk {} sector {})", place.device, image_sector,
                     facts.journal.disks[place.disk].name, place.first + image_sector);
}

std::string identify(const Facts& facts, std::uint64_t hash) {
  if (hash == zero_hash()) return "all zeroes";
  for (const journal::Disk& disk : facts.journal.disks) {
    for (const Request* request : facts.disks[disk.id].moved) {
      if (request->op != Op::write) continue;
      if (disk.role != journal::Role::data && disk.role != journal::Role::storage) continue;
      const auto hashes = facts.journal.hashes_of(*request);
      const auto found = std::find(hashes.begin(), hashes.end(), hash);
      if (found == hashes.end()) continue;
      return fmt::format("what disk {} sector {} got by {}", disk.name,
                         request->first + static_cast<std::uint64_t>(found - hashes.begin()),
                         describe(*request));
    }
  }
  return fmt::format("bytes that nobody wrote to any disk (hash {:016x})", hash);
}

std::string explain_observation(const Facts& facts, const Place& place, std::uint64_t image_sector,
                                std::uint64_t hash) {
  const auto versions = versions_of(facts, place.disk, place.first + image_sector);
  // The youngest of equal contents reads best: it is the one nearest to the take.
  for (std::size_t i = versions.size(); i-- > 0;) {
    if (versions[i].hash != hash) continue;
    std::string text =
        fmt::format("{} shows {}", name_sector(facts, place, image_sector), describe(versions, i));
    if (i + 1 < versions.size()) text += ", followed by " + describe(versions, i + 1);
    return text;
  }
  return fmt::format(
      "{} shows {}, which no version of the sector ever was (corruption; it had {} "
      "versions, the last {})",
      name_sector(facts, place, image_sector), identify(facts, hash), versions.size(),
      describe(versions, versions.size() - 1));
}

}  // namespace snapbed::model
