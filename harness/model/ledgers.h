// SPDX-License-Identifier: GPL-2.0-or-later
// The agent's ledgers, joined with what the host saw: which request brought which operation, and
// between which host stamps a guest counter lies. Facts only; the checks decide.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "model/history.h"
#include "model/judge.h"
#include "plan/ledger.h"

namespace snapbed::model {

// What the host saw of one write of a ledger.
struct Arrival {
  Stamp begin = kNever;       // the first request that brought some of it; kNever: none did
  Stamp end = 0;              // the last that did so without error
  std::uint64_t sectors = 0;  // that came without error
};

struct Ledger {
  std::uint32_t step = 0;   // ledger_start
  std::uint32_t cycle = 0;  // of ledger_stop, or of ledger_start when it is open
  std::string name;
  std::uint64_t key = 0;
  Stamp from = kNever;                     // called
  Stamp to = kNever;                       // ledger_stop returned
  bool closed = false;                     // every operation that was issued is among the entries
  std::vector<std::size_t> places;         // of its devices, in History::places
  std::vector<plan::LedgerEntry> entries;  // in the order of `end`
  std::vector<Arrival> arrivals;           // as entries
};

// The sector of a write of a ledger that a hash stands for.
struct LedgerSector {
  std::uint32_t ledger = 0;
  std::uint32_t entry = 0;
  std::uint32_t offset = 0;  // sectors from the entry's first on
};

// A ledger's sector that came where, or when, it has no business.
struct Stray {
  const journal::Request* request = nullptr;
  std::uint64_t sector = 0;  // of the request's disk
  LedgerSector stamp;
  bool again = false;  // in its place, but a second time
};

// Guest counters between host stamps: what the guest was told of lies before its `end`, what it
// had not submitted lies after its `begin`.
class GuestClock {
 public:
  void add_done(std::uint64_t guest, Stamp host) { done_.emplace_back(guest, host); }
  void add_begun(std::uint64_t guest, Stamp host) { begun_.emplace_back(guest, host); }
  void settle();
  // The greatest host stamp known to lie before `guest` was drawn; 0: none.
  Stamp before(std::uint64_t guest) const;
  // The least host stamp known to lie after it; kNever: none.
  Stamp after(std::uint64_t guest) const;

 private:
  std::vector<std::pair<std::uint64_t, Stamp>> done_;  // by guest; host is the maximum so far
  std::vector<std::pair<std::uint64_t, Stamp>>
      begun_;  // by guest; host is the minimum from here on
};

class Ledgers {
 public:
  // Throws BrokenRecord when a ledger that was closed cannot be read.
  Ledgers(const journal::Journal& journal, const History& history, const FilesReader& files);

  bool empty() const { return all_.empty(); }
  const std::vector<Ledger>& all() const { return all_; }
  const std::vector<Stray>& strays() const { return strays_; }
  const GuestClock& clock() const { return clock_; }
  // The sector that a hash stands for; nullptr when no ledger wrote it.
  const LedgerSector* find(std::uint64_t hash) const;
  const plan::LedgerEntry& entry(const LedgerSector& sector) const {
    return all_[sector.ledger].entries[sector.entry];
  }
  const Place& place(const LedgerSector& sector) const;
  // "write 57 of ledger \"storm\" ([8, +16) of data0, guest counters 100 to 131)".
  std::string describe(const LedgerSector& sector) const;
  std::string describe(std::size_t ledger, std::size_t entry) const;

 private:
  void load(const plan::Step& step, const FilesReader& files);
  void load_blocks(Ledger& ledger, std::uint64_t base, std::uint64_t blocks,
                   const FilesReader& files);
  void index_sectors();
  void match_requests(const journal::Journal& journal);
  static bool concerns(const journal::Journal& journal, const journal::Request& request,
                       const Place& home);
  bool in_storage(const journal::Request& request, std::uint64_t sector) const;
  void note(const journal::Request& request, std::uint64_t sector, const LedgerSector& stamp);
  void make_clock();

  const History& history_;
  std::vector<Ledger> all_;
  std::unordered_map<std::uint64_t, LedgerSector> sectors_;
  std::vector<std::vector<std::vector<bool>>> arrived_;  // ledger, entry, sector
  std::vector<Stray> strays_;
  GuestClock clock_;
};

}  // namespace snapbed::model
