// SPDX-License-Identifier: GPL-2.0-or-later
// Check `second`: with I/O quiet at the take, QEMU's own copy-before-write filter kept the same
// moment and its dirty bitmap counted the same changes. Image and map must be as QEMU has them,
// sector by sector and block by block. Where QEMU and the model disagree the testbed is wrong, and
// the record is broken.
#include <fmt/format.h>

#include <algorithm>

#include "model/checks.h"
#include "model/explain.h"
#include "model/maps.h"

namespace snapbed::model {

using journal::Request;

namespace {

class Second {
 public:
  Second(const Facts& facts, std::size_t index, const Opinion& opinion, CheckResult& result)
      : facts_(facts),
        index_(index),
        snapshot_(facts.history.snapshots[index]),
        window_(facts.windows[index]),
        opinion_(opinion),
        result_(result) {}

  void judge() {
    const std::size_t p = snapshot_.place_of(opinion_.device);
    if (p == kNoIndex) return;
    const Place& place = snapshot_.places[p];
    if (!place.whole || opinion_.hashes.size() != place.sectors) {
      throw BrokenRecord(fmt::format("the second opinion of {} has {} sectors, the device {}",
                                     place.device, opinion_.hashes.size(), place.sectors));
    }
    if (!window_.changes[p].empty() || !quiet_since_asked(place)) {
      result_.reason = "I/O was not quiet from the moment QEMU was asked to the take";
      return;
    }
    agree_with_model(p);
    for (const Copy& copy : snapshot_.copies)
      if (copy.device == p && copy.finished) judge_image(copy);
    for (const MapRead& read : snapshot_.maps)
      if (read.device == p && opinion_.knows_changes) judge_map(read);
  }

 private:
  bool quiet_since_asked(const Place& place) const {
    const auto& changes = facts_.disks[place.disk].changes;
    return std::none_of(changes.begin(), changes.end(), [&](const Request* request) {
      return request->begin > opinion_.asked && request->begin <= window_.take.last;
    });
  }

  void agree_with_model(std::size_t p) const {
    const std::size_t at = static_cast<std::size_t>(
        window_.base[p].first_difference(snapshot_.places[p].first, opinion_.hashes, 0));
    if (at == opinion_.hashes.size()) return;
    throw BrokenRecord(fmt::format(
        "QEMU's image of {} at the take of cycle {} and the model's disagree on sector {}: {}",
        opinion_.device, snapshot_.take_cycle, at,
        explain_observation(facts_, snapshot_.places[p], at, opinion_.hashes[at])));
  }

  void judge_image(const Copy& copy) {
    ++result_.exercised["images"];
    if (result_.outcome == Outcome::not_run) result_.outcome = Outcome::pass;
    const Place& place = snapshot_.places[copy.device];
    const SectorSet out = taken_out(facts_, index_, copy);
    std::uint64_t wrong = 0;
    std::uint64_t first = 0;
    std::uint64_t seen = 0;
    for (const Segment& segment : copy.segments) {
      for (std::uint64_t i = 0; i < segment.count; ++i) {
        const std::uint64_t sector = segment.first + i;
        if (out.contains(sector)) continue;
        ++result_.exercised["sectors_compared"];
        const std::uint64_t hash = facts_.journal.hashes[segment.hash_index + i];
        if (hash == opinion_.hashes[sector] || ++wrong > 1) continue;
        first = sector;
        seen = hash;
      }
    }
    if (wrong == 0) return;
    add_finding(
        result_, Kind::second_image, place.device, snapshot_.take_cycle,
        Evidence{.snapshot = index_,
                 .sectors = {{place.disk, place.first + first}},
                 .steps = {copy.step},
                 .focus = copy.called},
        fmt::format("QEMU's copy-before-write filter, asked at stamp {} while nothing was written, "
                    "has {} sectors otherwise than the image that {} read; the first: {}. {}",
                    opinion_.asked, wrong, step_name(facts_.history, copy.step),
                    explain_observation(facts_, place, first, seen),
                    marks_around(facts_.history, copy.called)));
  }

  // Blocks changed since the take before, as QEMU's bitmap has them.
  std::vector<bool> qemu_blocks(std::uint64_t count, std::uint64_t block_sectors) const {
    std::vector<bool> changed(count, false);
    for (const plan::Range& range : opinion_.changes) {
      for (std::uint64_t b = range.first / block_sectors;
           b < count && b * block_sectors < range.first + range.count; ++b) {
        changed[b] = true;
      }
    }
    return changed;
  }

  // The same by the model: what arrived between the two moments at which QEMU was asked.
  void agree_with_model(const std::vector<bool>& qemu, const Place& place,
                        std::uint64_t block_sectors) const {
    std::vector<bool> model(qemu.size(), false);
    for (const Request* request : facts_.disks[place.disk].changes) {
      if (request->begin <= opinion_.asked_before || request->begin > opinion_.asked) continue;
      if (request->moved == kNever || request->count == 0) continue;
      const std::uint64_t last = (request->first + request->count - 1) / block_sectors;
      for (std::uint64_t b = request->first / block_sectors; b <= last && b < model.size(); ++b) {
        model[b] = true;
      }
    }
    const auto differ = std::mismatch(qemu.begin(), qemu.end(), model.begin());
    if (differ.first == qemu.end()) return;
    const auto block = differ.first - qemu.begin();
    throw BrokenRecord(fmt::format(
        "QEMU's bitmap of {} {} block {} changed before cycle {}, the "
        "journal says otherwise",
        place.device, *differ.first ? "calls" : "does not call", block, snapshot_.take_cycle));
  }

  void judge_map(const MapRead& read) {
    const Place& place = snapshot_.places[read.device];
    const Geometry geometry = map_geometry(facts_.history.plan, place.sectors);
    if (read.bytes != geometry.blk_count) return;  // the check `map` has spoken
    const std::uint32_t number = snapshot_.number[read.device];
    if (number < 2 || geometry.blk_size != opinion_.block_bytes) return;
    const std::uint64_t block_sectors = geometry.blk_size / journal::kSectorBytes;
    const auto bytes = map_bytes(facts_, read);
    const auto qemu = qemu_blocks(bytes.size(), block_sectors);
    agree_with_model(qemu, place, block_sectors);
    ++result_.exercised["maps"];
    for (std::size_t block = 0; block < bytes.size(); ++block) {
      ++result_.exercised["blocks_compared"];
      result_.exercised["blocks_changed"] += qemu[block] ? 1U : 0U;
      if ((bytes[block] == number) == qemu[block]) continue;
      add_finding(
          result_, Kind::second_map, place.device, read.cycle,
          Evidence{.snapshot = index_,
                   .sectors = {{place.disk, place.first + block * block_sectors, block_sectors}},
                   .steps = {read.step},
                   .focus = read.called},
          fmt::format("QEMU's dirty bitmap {} block {} of {} changed between takes {} and {}, but "
                      "the map read in {} holds {} there. {}",
                      qemu[block] ? "calls" : "does not call", block, place.device, number - 1,
                      number, step_name(facts_.history, read.step), bytes[block],
                      marks_around(facts_.history, read.called)));
    }
  }

  const Facts& facts_;
  std::size_t index_;
  const Snapshot& snapshot_;
  const Window& window_;
  const Opinion& opinion_;
  CheckResult& result_;
};

}  // namespace

void check_second(const Facts& facts, Report& report) {
  if (!facts.expectations.opinion) return;
  CheckResult& result = report.checks["second"];
  for (const char* counter :
       {"images", "sectors_compared", "maps", "blocks_compared", "blocks_changed"}) {
    result.exercised[counter] += 0;
  }
  for (std::size_t i = 0; i < facts.windows.size(); ++i) {
    const Snapshot& snapshot = facts.history.snapshots[i];
    if (!facts.windows[i].judged || !facts.in_scope(snapshot.take_cycle)) continue;
    const auto opinion = facts.expectations.opinion(snapshot.take_cycle);
    if (opinion) Second(facts, i, *opinion, result).judge();
  }
}

}  // namespace snapbed::model
