// SPDX-License-Identifier: GPL-2.0-or-later
// Check `origin`, the part that a ledger makes possible: what the guest was told of each of its
// own operations, against what the disks were asked to do.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/overlap.h"
#include "model/checks.h"
#include "model/explain.h"

namespace snapbed::model {

using journal::Op;
using journal::Request;
using plan::LedgerEntry;
using plan::LedgerOp;

namespace {

class LedgerJudge {
 public:
  LedgerJudge(const Facts& facts, std::size_t index, CheckResult& result)
      : facts_(facts),
        ledgers_(facts.ledgers),
        clock_(facts.ledgers.clock()),
        index_(index),
        ledger_(facts.ledgers.all()[index]),
        result_(result) {}

  void judge() {
    ++result_.exercised["ledgers"];
    // The clearest first: a write in the wrong place is missing in the right one, too.
    for (const Stray& stray : ledgers_.strays()) {
      if (stray.stamp.ledger == index_) report_stray(stray);
    }
    for (std::size_t e = 0; e < ledger_.entries.size(); ++e) judge_entry(e);
    count_overlaps();
  }

 private:
  const Place& place(const LedgerEntry& entry) const {
    return facts_.history.places[ledger_.places[entry.device]];
  }

  void judge_entry(std::size_t e) {
    const LedgerEntry& entry = ledger_.entries[e];
    if (!place(entry).recorded) {
      ++result_.exercised["ledger_unseen"];
      return;
    }
    if (entry.result != 0) {
      ++result_.exercised["ledger_errors"];
      const bool pulled = facts_.history.was_pulled(place(entry).disk, clock_.before(entry.begin),
                                                    clock_.after(entry.end));
      if (!pulled && failed_below(entry) == nullptr) report_invented(e);
      return;
    }
    switch (entry.op) {
      case LedgerOp::write:
      case LedgerOp::durable:
        ++result_.exercised["ledger_writes"];
        result_.exercised["ledger_sectors"] += entry.count;
        if (ledger_.arrivals[e].sectors < entry.count) {
          report_missing(e, entry.count - ledger_.arrivals[e].sectors);
        } else if (ledger_.arrivals[e].begin <= clock_.before(entry.begin)) {
          report_late(e);
        }
        break;
      case LedgerOp::discard:
      case LedgerOp::zero:
        ++result_.exercised["ledger_emptied"];
        judge_emptied(e);
        break;
      case LedgerOp::flush:
        ++result_.exercised["ledger_flushes"];
        if (!flushed(entry)) {
          add(Kind::origin_never_arrived, e,
              fmt::format("{} was told to be done, but no flush reached disk {} between stamps {} "
                          "and {}, where it lies",
                          ledgers_.describe(index_, e), disk_name(entry),
                          clock_.before(entry.begin), stamp_text(clock_.after(entry.end))));
        }
        break;
    }
  }

  // A request of the operation's range that failed, or never ended, while it was under way.
  const Request* failed_below(const LedgerEntry& entry) const {
    const Place& home = place(entry);
    const Stamp from = clock_.before(entry.begin);
    const Stamp to = clock_.after(entry.end);
    for (const Request& request : facts_.journal.requests) {
      if (request.begin > to) break;
      if (request.disk != home.disk || request.begin <= from) continue;
      if (request.error == 0 && request.end != kNever) continue;
      // A write that is told to be done when it is safe comes as a write and a flush.
      const bool flushes = entry.op == LedgerOp::flush || entry.op == LedgerOp::durable;
      if (flushes && request.op == Op::flush) return &request;
      if (entry.op != LedgerOp::flush && meets(request, entry)) return &request;
    }
    return nullptr;
  }

  bool meets(const Request& request, const LedgerEntry& entry) const {
    const std::uint64_t first = place(entry).first + entry.first;
    return changes_data(request.op) && model::meets(request, first, entry.count);
  }

  void judge_emptied(std::size_t e) {
    const LedgerEntry& entry = ledger_.entries[e];
    const Place& home = place(entry);
    SectorSet missing;
    missing.add(home.first + entry.first, entry.count);
    const Stamp from = clock_.before(entry.begin);
    const Stamp to = clock_.after(entry.end);
    const auto& changes = facts_.disks[home.disk].changes;
    auto at = std::upper_bound(changes.begin(), changes.end(), from,
                               [](Stamp stamp, const Request* r) { return stamp < r->begin; });
    for (; at != changes.end() && (*at)->begin < to; ++at) {
      const Request& request = **at;
      if (request.error != 0 || request.moved == kNever || request.end >= to) continue;
      if (!meets(request, entry)) continue;
      if (request.op != Op::write) {
        missing.remove(request.first, request.count);
        continue;
      }
      const auto hashes = facts_.journal.hashes_of(request);
      for (std::uint64_t i = 0; i < request.count; ++i) {
        if (hashes[i] == zero_hash()) missing.remove(request.first + i, 1);
      }
    }
    if (!missing.empty()) report_missing(e, missing.size());
  }

  bool flushed(const LedgerEntry& entry) const {
    const Stamp from = clock_.before(entry.begin);
    const Stamp to = clock_.after(entry.end);
    const auto& flushes = facts_.disks[place(entry).disk].flushes;
    auto at = std::upper_bound(flushes.begin(), flushes.end(), from,
                               [](Stamp stamp, const Request* r) { return stamp < r->begin; });
    for (; at != flushes.end() && (*at)->begin < to; ++at) {
      if ((*at)->error == 0 && (*at)->end < to) return true;
    }
    return false;
  }

  void report_missing(std::size_t e, std::uint64_t sectors) {
    const LedgerEntry& entry = ledger_.entries[e];
    const Request* failed = failed_below(entry);
    add(Kind::origin_never_arrived, e,
        fmt::format(
            "{} was told to be done, but {} of its sectors never reached disk {} (from its sector "
            "{} on) without error between stamps {} and {}{}",
            ledgers_.describe(index_, e), sectors, disk_name(entry),
            place(entry).first + entry.first, clock_.before(entry.begin),
            stamp_text(clock_.after(entry.end)),
            failed == nullptr ? std::string() : ": its error was swallowed, " + describe(*failed)));
  }

  // Somebody was told to be done before this write was submitted, and was not.
  void report_late(std::size_t e) {
    const LedgerEntry& entry = ledger_.entries[e];
    const Stamp arrived = ledger_.arrivals[e].begin;
    for (std::size_t l = 0; l < ledgers_.all().size(); ++l) {
      const Ledger& other = ledgers_.all()[l];
      for (std::size_t o = 0; o < other.entries.size(); ++o) {
        if (other.entries[o].result != 0 || other.entries[o].end >= entry.begin ||
            other.arrivals[o].begin == kNever || other.arrivals[o].end < arrived) {
          continue;
        }
        if (!told_early_.insert({l, o}).second) return;
        add(Kind::origin_told_early, e,
            fmt::format("{} was told to be done too early: its data were done at stamp {} only, "
                        "and {}, submitted after that, had arrived at stamp {}",
                        ledgers_.describe(l, o), other.arrivals[o].end,
                        ledgers_.describe(index_, e), arrived));
        return;
      }
    }
    add(Kind::origin_told_early, e,
        fmt::format("{} arrived at stamp {}, but was submitted only after the host had ended what "
                    "lies at stamp {}",
                    ledgers_.describe(index_, e), arrived, clock_.before(entry.begin)));
  }

  void report_invented(std::size_t e) {
    const LedgerEntry& entry = ledger_.entries[e];
    add(Kind::origin_invented_error, e,
        fmt::format("{} was told to have failed, but no request of its range on disk {} failed "
                    "between stamps {} and {}",
                    ledgers_.describe(index_, e), disk_name(entry), clock_.before(entry.begin),
                    stamp_text(clock_.after(entry.end))));
  }

  void report_stray(const Stray& stray) {
    const std::string& disk = facts_.journal.disks[stray.request->disk].name;
    const std::string what = stray.again
                                 ? std::string("came a second time")
                                 : fmt::format("came to sector {} of disk {}", stray.sector, disk);
    add(Kind::origin_stray, stray.stamp.entry,
        fmt::format("Sector {} of {} {}, by {} on {}",
                    ledgers_.entry(stray.stamp).first + stray.stamp.offset,
                    ledgers_.describe(stray.stamp), what, describe(*stray.request), disk),
        stray.request);
  }

  // Writes that met another one of their device while both were in flight.
  void count_overlaps() {
    std::vector<const LedgerEntry*> by_begin;
    for (const LedgerEntry& entry : ledger_.entries) {
      if (entry.op != LedgerOp::flush) by_begin.push_back(&entry);
    }
    std::sort(by_begin.begin(), by_begin.end(),
              [](const LedgerEntry* a, const LedgerEntry* b) { return a->begin < b->begin; });
    std::vector<const LedgerEntry*> running;
    for (const LedgerEntry* entry : by_begin) {
      std::erase_if(running, [&](const LedgerEntry* other) { return other->end < entry->begin; });
      const bool met = std::any_of(running.begin(), running.end(), [&](const LedgerEntry* other) {
        return other->device == entry->device &&
               base::overlap(other->first, other->count, entry->first, entry->count);
      });
      if (met) ++result_.exercised["ledger_overlaps"];
      running.push_back(entry);
    }
  }

  const std::string& disk_name(const LedgerEntry& entry) const {
    return facts_.journal.disks[place(entry).disk].name;
  }
  static std::string stamp_text(Stamp stamp) {
    return stamp == kNever ? std::string("the end") : std::to_string(stamp);
  }

  void add(Kind kind, std::size_t e, const std::string& what, const Request* request = nullptr) {
    const LedgerEntry& entry = ledger_.entries[e];
    Evidence evidence{.steps = {ledger_.step}, .focus = clock_.before(entry.begin)};
    if (entry.op != LedgerOp::flush)
      evidence.sectors = {{place(entry).disk, place(entry).first + entry.first, entry.count}};
    if (request != nullptr) {
      evidence.requests = {request->begin};
      evidence.focus = request->begin;
    }
    add_finding(result_, kind, place(entry).device, ledger_.cycle, std::move(evidence),
                what + ". " + marks_around(facts_.history, clock_.before(entry.begin)));
  }

  const Facts& facts_;
  const Ledgers& ledgers_;
  const GuestClock& clock_;
  std::size_t index_;
  const Ledger& ledger_;
  CheckResult& result_;
  std::set<std::pair<std::size_t, std::size_t>> told_early_;
};

}  // namespace

void judge_ledgers(const Facts& facts, CheckResult& result) {
  for (const char* counter :
       {"ledgers", "ledger_writes", "ledger_sectors", "ledger_flushes", "ledger_emptied",
        "ledger_errors", "ledger_overlaps", "ledger_unseen"}) {
    result.exercised[counter] += 0;
  }
  for (std::size_t i = 0; i < facts.ledgers.all().size(); ++i) {
    const Ledger& ledger = facts.ledgers.all()[i];
    if (ledger.closed && facts.in_scope(ledger.cycle)) LedgerJudge(facts, i, result).judge();
  }
}

}  // namespace snapbed::model
