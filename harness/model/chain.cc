// SPDX-License-Identifier: GPL-2.0-or-later
// Check `chain`: what a backup program does. A full image plus the blocks that the next map calls
// changed is the next image; so every block it does not call changed is equal in both.
#include <fmt/format.h>

#include <algorithm>

#include "model/checks.h"
#include "model/explain.h"
#include "model/maps.h"

namespace snapbed::model {

namespace {

const Copy* first_copy(const Snapshot& snapshot, std::size_t place) {
  for (const Copy& copy : snapshot.copies) {
    if (copy.device == place && copy.finished) return &copy;
  }
  return nullptr;
}

const MapRead* first_map(const Snapshot& snapshot, std::size_t place) {
  for (const MapRead& map : snapshot.maps) {
    if (map.device == place) return &map;
  }
  return nullptr;
}

struct Link {
  std::size_t old_index = 0, new_index = 0;
  const Copy* old_copy = nullptr;
  const Copy* new_copy = nullptr;
  const MapRead* map = nullptr;
};

void report_loss(const Facts& facts, const Link& link, std::uint64_t sector, std::uint64_t before,
                 std::uint64_t now, CheckResult& result) {
  const Snapshot& older = facts.history.snapshots[link.old_index];
  const Snapshot& newer = facts.history.snapshots[link.new_index];
  const Place& place = newer.places[link.new_copy->device];
  const std::uint32_t number = older.number[link.old_copy->device];
  std::string text;
  if (result.findings.size() < kFindingLimit) {
    text = fmt::format(
        "An increment of {} loses a change: the map at take {} does not call sector {} changed "
        "since "
        "take {}, so image {} plus changed blocks keeps it, but the next image has it otherwise. "
        "Before: {}. Now: {}. {}",
        place.device, newer.number[link.new_copy->device], sector, number, number,
        explain_observation(facts, place, sector, before),
        explain_observation(facts, place, sector, now),
        marks_around(facts.history, facts.windows[link.new_index].feasible.first));
  }
  add_finding(result, Kind::chain_lost_change, place.device, newer.take_cycle,
              Evidence{.snapshot = link.new_index,
                       .sectors = {{place.disk, place.first + sector}},
                       .steps = {link.old_copy->step, link.map->step, link.new_copy->step},
                       .focus = facts.windows[link.new_index].feasible.first},
              std::move(text));
}

void judge_link(const Facts& facts, const Link& link, CheckResult& result) {
  const Snapshot& older = facts.history.snapshots[link.old_index];
  const Snapshot& newer = facts.history.snapshots[link.new_index];
  const Place& place = newer.places[link.new_copy->device];
  const Geometry geometry = map_geometry(facts.history.plan, place.sectors);
  if (link.map->bytes != geometry.blk_count) return;  // the check `map` has spoken
  const auto bytes = map_bytes(facts, *link.map);
  const std::uint64_t block_sectors = geometry.blk_size / journal::kSectorBytes;
  const std::uint32_t number = older.number[link.old_copy->device];
  SectorSet out = taken_out(facts, link.old_index, *link.old_copy);
  taken_out(facts, link.new_index, *link.new_copy).each([&](std::uint64_t s) { out.add(s, 1); });
  std::uint64_t& applied = result.exercised["blocks_applied"];
  for (const std::uint8_t byte : bytes) applied += byte > number ? 1U : 0U;
  std::uint64_t last_block = ~std::uint64_t{0};  // one finding per block
  std::uint64_t compared = 0;
  const auto& hashes = facts.journal.hashes;
  each_common(
      *link.old_copy, *link.new_copy,
      [&](std::uint64_t first, std::uint64_t count, std::uint64_t at, std::uint64_t new_at) {
        for (std::uint64_t i = 0; i < count; ++i) {
          const std::uint64_t block = (first + i) / block_sectors;
          if (bytes[block] > number) continue;
          ++compared;
          if (hashes[at + i] == hashes[new_at + i] || block == last_block) continue;
          if (out.contains(first + i)) continue;
          last_block = block;
          report_loss(facts, link, first + i, hashes[at + i], hashes[new_at + i], result);
        }
      });
  if (compared == 0) return;  // every block of it has changed, or the copies are of other sectors
  result.exercised["sectors_compared"] += compared;
  ++result.exercised["increments"];
  if (result.outcome == Outcome::not_run) result.outcome = Outcome::pass;
}

}  // namespace

void check_chain(const Facts& facts, Report& report) {
  CheckResult& result = report.checks["chain"];
  for (const char* counter : {"increments", "blocks_applied", "sectors_compared"}) {
    result.exercised[counter] += 0;
  }
  for (const Generation& generation : facts.history.generations) {
    for (std::size_t n = 1; n < generation.takes.size(); ++n) {
      Link link;
      link.old_index = generation.takes[n - 1];
      link.new_index = generation.takes[n];
      const Snapshot& older = facts.history.snapshots[link.old_index];
      const Snapshot& newer = facts.history.snapshots[link.new_index];
      if (!facts.in_scope(newer.take_cycle)) continue;
      const std::size_t place = newer.place_of(generation.device);
      link.old_copy = first_copy(older, older.place_of(generation.device));
      link.new_copy = first_copy(newer, place);
      link.map = first_map(newer, place);
      if (link.old_copy && link.new_copy && link.map) judge_link(facts, link, result);
    }
  }
}

}  // namespace snapbed::model
