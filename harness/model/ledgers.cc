// SPDX-License-Identifier: GPL-2.0-or-later
#include "model/ledgers.h"

#include <fmt/format.h>

#include <algorithm>

#include "journal/pattern.h"

namespace snapbed::model {

using journal::Op;
using journal::Request;
using plan::LedgerEntry;
using plan::LedgerOp;

void GuestClock::settle() {
  std::sort(done_.begin(), done_.end());
  Stamp most = 0;
  for (auto& [guest, host] : done_) host = most = std::max(most, host);
  std::sort(begun_.begin(), begun_.end());
  Stamp least = kNever;
  for (auto at = begun_.rbegin(); at != begun_.rend(); ++at)
    at->second = least = std::min(least, at->second);
}

Stamp GuestClock::before(std::uint64_t guest) const {
  const auto at = std::lower_bound(done_.begin(), done_.end(), std::pair(guest, Stamp{0}));
  return at == done_.begin() ? 0 : std::prev(at)->second;
}

Stamp GuestClock::after(std::uint64_t guest) const {
  const auto at = std::lower_bound(begun_.begin(), begun_.end(), std::pair(guest + 1, Stamp{0}));
  return at == begun_.end() ? kNever : at->second;
}

Ledgers::Ledgers(const journal::Journal& journal, const History& history, const FilesReader& files)
    : history_(history) {
  for (const plan::Step& step : history.plan.steps) {
    if (step.op == "ledger_start" && history.steps[step.id].succeeded()) load(step, files);
  }
  if (all_.empty()) return;
  index_sectors();
  match_requests(journal);
  make_clock();
}

void Ledgers::load(const plan::Step& step, const FilesReader& files) {
  const StepRun& run = history_.steps[step.id];
  Ledger ledger;
  ledger.step = step.id;
  ledger.cycle = step.cycle;
  ledger.name = step.args.at("name").get<std::string>();
  ledger.key = plan::ledger_key(history_.plan.seed, step.id);
  ledger.from = run.called;
  ledger.to = history_.cut_after(run.called);
  const Stamp cut = ledger.to;
  for (const auto& device : step.args.at("devices")) {
    const Place& place = history_.place(device.get<std::string>());
    ledger.places.push_back(static_cast<std::size_t>(&place - history_.places.data()));
  }
  std::uint64_t blocks = run.answer.at("blocks_limit").get<std::uint64_t>();
  for (std::size_t i = step.id + 1; i < history_.plan.steps.size() && !ledger.closed; ++i) {
    if (history_.steps[i].begun() && history_.steps[i].called > cut) break;
    const plan::Step& other = history_.plan.steps[i];
    if (other.op != "ledger_stop" || other.args.at("name") != step.args.at("name")) continue;
    if (!history_.steps[i].succeeded()) break;
    ledger.closed = true;
    ledger.cycle = other.cycle;
    ledger.to = history_.steps[i].returned;
    blocks = history_.steps[i].answer.at("blocks").get<std::uint64_t>();
  }
  load_blocks(ledger, run.answer.at("base").get<std::uint64_t>(), blocks, files);
  ledger.arrivals.resize(ledger.entries.size());
  all_.push_back(std::move(ledger));
}

// The blocks of an open ledger end where the guest came to; those of a closed one are all there.
void Ledgers::load_blocks(Ledger& ledger, std::uint64_t base, std::uint64_t blocks,
                          const FilesReader& files) {
  std::array<std::uint8_t, plan::kLedgerBlockBytes> bytes{};
  std::uint64_t issued = 0;
  for (std::uint64_t number = 0; number < blocks; ++number) {
    const bool there = files(base + number * plan::kLedgerBlockBytes, bytes);
    const auto block = there ? plan::decode_ledger_block(bytes) : std::nullopt;
    const bool ours = block && block->key == ledger.key && block->number == number;
    if (!ours && !ledger.closed) return;
    if (!ours) {
      throw BrokenRecord(fmt::format(
          "block {} of {} of ledger \"{}\" (step {}) is not on the files "
          "disk at byte {}",
          number, blocks, ledger.name, ledger.step, base + number * plan::kLedgerBlockBytes));
    }
    issued = block->issued;
    for (const LedgerEntry& entry : block->entries) {
      if (entry.device >= ledger.places.size() ||
          entry.first + entry.count > history_.places[ledger.places[entry.device]].sectors) {
        throw BrokenRecord(fmt::format("ledger \"{}\": {} {} lies on no device of it", ledger.name,
                                       to_string(entry.op), entry.number));
      }
      ledger.entries.push_back(entry);
    }
  }
  if (ledger.entries.size() != issued) {
    throw BrokenRecord(fmt::format("ledger \"{}\" holds {} of the {} operations that were issued",
                                   ledger.name, ledger.entries.size(), issued));
  }
}

void Ledgers::index_sectors() {
  std::array<std::uint8_t, journal::kSectorBytes> bytes{};
  arrived_.resize(all_.size());
  for (std::uint32_t l = 0; l < all_.size(); ++l) {
    const Ledger& ledger = all_[l];
    arrived_[l].resize(ledger.entries.size());
    for (std::uint32_t e = 0; e < ledger.entries.size(); ++e) {
      const LedgerEntry& entry = ledger.entries[e];
      if (!plan::brings_data(entry.op)) continue;
      arrived_[l][e].resize(entry.count);
      for (std::uint32_t i = 0; i < entry.count; ++i) {
        plan::fill_ledger_sector(ledger.key, entry.device, entry.first + i, entry.number,
                                 entry.seen, bytes);
        sectors_[journal::sector_hash(bytes)] = {l, e, i};
      }
    }
  }
}

const LedgerSector* Ledgers::find(std::uint64_t hash) const {
  const auto found = sectors_.find(hash);
  return found == sectors_.end() ? nullptr : &found->second;
}

const Place& Ledgers::place(const LedgerSector& sector) const {
  return history_.places[all_[sector.ledger].places[entry(sector).device]];
}

void Ledgers::match_requests(const journal::Journal& journal) {
  for (const Request& request : journal.requests) {
    if (request.begin > history_.horizon) break;
    if (request.disk >= journal.disks.size() || request.op != Op::write) continue;
    if (journal.is_loss(request)) continue;
    if (request.moved == kNever || request.end == kNever || request.error != 0) continue;
    if (request.hash_index > journal.hashes.size() ||
        request.count > journal.hashes.size() - request.hash_index) {
      continue;  // the record is broken; Facts says so
    }
    const auto hashes = journal.hashes_of(request);
    for (std::uint64_t i = 0; i < request.count; ++i) {
      const LedgerSector* stamp = find(hashes[i]);
      if (stamp != nullptr && concerns(journal, request, place(*stamp)))
        note(request, request.first + i, *stamp);
    }
  }
}

// Disks for storage and evidence hold stamped sectors by right, and so do the disks below a device
// that has one of its own.
bool Ledgers::concerns(const journal::Journal& journal, const Request& request, const Place& home) {
  if (request.disk == home.disk) return true;
  return journal.disks[request.disk].role == journal::Role::data &&
         std::find(home.below.begin(), home.below.end(), request.disk) == home.below.end();
}

// True for a sector that a snapshot had for old data when the request began.
bool Ledgers::in_storage(const Request& request, std::uint64_t sector) const {
  for (const Snapshot& owner : history_.snapshots) {
    if (request.begin > owner.destroyed) continue;
    for (const StorageRange& range : owner.storage) {
      if (range.ok && range.disk == request.disk && range.from <= request.begin &&
          range.first <= sector && sector < range.first + range.count)
        return true;
    }
  }
  return false;
}

void Ledgers::note(const Request& request, std::uint64_t sector, const LedgerSector& stamp) {
  const Place& home = place(stamp);
  const bool at_home =
      request.disk == home.disk && sector == home.first + entry(stamp).first + stamp.offset;
  std::vector<bool>& arrived = arrived_[stamp.ledger][stamp.entry];
  if (!at_home && in_storage(request, sector)) return;
  if (!at_home || arrived[stamp.offset]) {
    strays_.push_back({&request, sector, stamp, at_home});
    return;
  }
  arrived[stamp.offset] = true;
  Arrival& arrival = all_[stamp.ledger].arrivals[stamp.entry];
  ++arrival.sectors;
  arrival.begin = std::min(arrival.begin, request.begin);
  arrival.end = std::max(arrival.end, request.end);
}

void Ledgers::make_clock() {
  for (const Ledger& ledger : all_) {
    for (std::size_t e = 0; e < ledger.entries.size(); ++e) {
      const LedgerEntry& entry = ledger.entries[e];
      const Arrival& arrival = ledger.arrivals[e];
      if (arrival.begin == kNever) continue;
      clock_.add_begun(entry.begin, arrival.begin);
      if (entry.result == 0) clock_.add_done(entry.end, arrival.end);
    }
  }
  for (const StepRun& run : history_.steps) {
    if (!run.finished() || !run.answer.contains("guest")) continue;
    clock_.add_done(run.answer.at("guest").at(0).get<std::uint64_t>(), run.called);
    clock_.add_begun(run.answer.at("guest").at(1).get<std::uint64_t>(), run.returned);
  }
  clock_.settle();
}

std::string Ledgers::describe(const LedgerSector& sector) const {
  return describe(sector.ledger, sector.entry);
}

std::string Ledgers::describe(std::size_t ledger, std::size_t index) const {
  const Ledger& book = all_[ledger];
  const LedgerEntry& entry = book.entries[index];
  const std::string& device = history_.places[book.places[entry.device]].device;
  const std::string range = entry.op == LedgerOp::flush
                                ? "of " + device
                                : fmt::format("[{}, +{}) of {}", entry.first, entry.count, device);
  const std::string result =
      entry.result == 0 ? std::string() : fmt::format(", result {}", entry.result);
  return fmt::format("{} {} of ledger \"{}\" ({}, guest counters {} to {}{})", to_string(entry.op),
                     entry.number, book.name, range, entry.begin, entry.end, result);
}

}  // namespace snapbed::model
