// SPDX-License-Identifier: GPL-2.0-or-later
// A ledger made by hand, for tests. Not thread safe.
#pragma once

#include <cstdint>
#include <vector>

#include "model/journal_builder.h"
#include "plan/ledger.h"

namespace snapbed::model::test {

using journal::Op;
using journal::Role;
using plan::LedgerEntry;
using plan::LedgerOp;

// Two disks under one ledger. An operation is submitted, put to the host, and told to be done; a
// test may leave any of that out or do it elsewhere.
class Book {
 public:
  Book() {
    disks = {b.disk("data0", Role::data, 512), b.disk("data1", Role::data, 512)};
    b.selftest("data0", disks[0]);
    start = b.call("ledger_start", {{"name", "l"}, {"devices", {"data0", "data1"}}});
    key = plan::ledger_key(b.plan.seed, start);
    b.done(start, {{"base", 0}, {"blocks_limit", 8}, {"guest", {draw(), draw()}}});
  }

  std::uint64_t draw() { return ++guest; }

  LedgerEntry submit(std::uint8_t device, LedgerOp op, std::uint64_t first, std::uint32_t count) {
    LedgerEntry entry;
    entry.number = ++issued;
    entry.begin = draw();
    entry.device = device;
    entry.op = op;
    entry.first = first;
    entry.count = count;
    return entry;
  }
  LedgerEntry write(std::uint64_t first, std::uint32_t count, std::uint8_t device = 0) {
    return submit(device, LedgerOp::write, first, count);
  }
  void told(LedgerEntry entry, std::uint16_t result = 0) {
    entry.end = draw();
    entry.result = result;
    entries.push_back(entry);
  }

  std::vector<std::uint64_t> contents(const LedgerEntry& entry) const {
    std::vector<std::uint64_t> hashes;
    journal::SectorBytes bytes;
    for (std::uint32_t i = 0; i < entry.count; ++i) {
      plan::fill_ledger_sector(key, entry.device, entry.first + i, entry.number, entry.seen, bytes);
      hashes.push_back(journal::sector_hash(bytes));
    }
    return hashes;
  }
  std::size_t arrive(const LedgerEntry& entry) {
    return b.write(disks[entry.device], entry.first, contents(entry));
  }
  // Submitted, arrived and told.
  void whole(std::uint64_t first, std::uint32_t count) {
    const LedgerEntry entry = write(first, count);
    arrive(entry);
    told(entry);
  }
  // Told to be done between the arrival of its request and the move of its data.
  void tell_early() {
    const LedgerEntry early = write(8, 4);
    const std::size_t request = b.begin(disks[0], Op::write, 8, 4);
    told(early);
    whole(200, 1);
    b.move(request, contents(early));
    b.end(request);
  }

  Report run() {
    plan::LedgerBlock block{key, 0, issued, entries};
    auto bytes = plan::encode_ledger_block(block);
    bytes[damaged] ^= damaged == 0 ? 0 : 1;
    b.files.assign(bytes.begin(), bytes.end());
    const std::uint32_t stop = b.call("ledger_stop", {{"name", "l"}});
    if (closes)
      b.done(stop, {{"blocks", 1}, {"issued", issued}, {"errors", 0}, {"guest", {draw(), draw()}}});
    b.mark(plan::MarkKind::done, 0);
    return b.judge();
  }

  JournalBuilder b;
  std::vector<std::uint16_t> disks;
  std::uint32_t start = 0;
  std::uint64_t key = 0;
  std::uint64_t guest = 0;
  std::uint64_t issued = 0;
  std::vector<LedgerEntry> entries;
  std::size_t damaged = 0;
  bool closes = true;
};

}  // namespace snapbed::model::test
