// SPDX-License-Identifier: GPL-2.0-or-later
// Ledger blocks come back as written, damaged ones do not come back, and sectors are functions.
#include "plan/ledger.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace snapbed::plan {
namespace {

LedgerBlock example() {
  LedgerBlock block{77, 3, 40, {}};
  block.entries.push_back({39, 12, 100, 131, 8, 16, LedgerOp::write, 1, 0});
  block.entries.push_back({40, 39, 140, 150, 0, 0, LedgerOp::flush, 0, 5});
  return block;
}

TEST(LedgerBlock, ComesBackAsWritten) {
  const auto back = decode_ledger_block(encode_ledger_block(example()));
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->key, 77u);
  EXPECT_EQ(back->number, 3u);
  EXPECT_EQ(back->issued, 40u);
  ASSERT_EQ(back->entries.size(), 2u);
  const LedgerEntry& write = back->entries[0];
  EXPECT_EQ(write.number, 39u);
  EXPECT_EQ(write.seen, 12u);
  EXPECT_EQ(write.begin, 100u);
  EXPECT_EQ(write.end, 131u);
  EXPECT_EQ(write.first, 8u);
  EXPECT_EQ(write.count, 16u);
  EXPECT_EQ(write.op, LedgerOp::write);
  EXPECT_EQ(write.device, 1u);
  EXPECT_EQ(back->entries[1].op, LedgerOp::flush);
  EXPECT_EQ(back->entries[1].result, 5u);
}

TEST(LedgerBlock, OneWrongBitIsNoBlock) {
  const auto bytes = encode_ledger_block(example());
  for (std::size_t at = 0; at < bytes.size(); at += 7) {
    auto damaged = bytes;
    damaged[at] ^= 4;
    EXPECT_FALSE(decode_ledger_block(damaged).has_value()) << at;
  }
  EXPECT_FALSE(decode_ledger_block(std::span(bytes).first(512)).has_value());
}

TEST(LedgerBlock, EntriesThatMakeNoSenseAreNoBlock) {
  const auto without_sense = [](auto change) {
    LedgerBlock block = example();
    change(block.entries[0]);
    return !decode_ledger_block(encode_ledger_block(block)).has_value();
  };
  EXPECT_TRUE(without_sense([](LedgerEntry& entry) { entry.end = entry.begin; }));
  EXPECT_TRUE(without_sense([](LedgerEntry& entry) { entry.number = 41; }));
  EXPECT_TRUE(without_sense([](LedgerEntry& entry) { entry.seen = entry.number; }));
  EXPECT_TRUE(without_sense([](LedgerEntry& entry) { entry.count = 0; }));
  EXPECT_TRUE(without_sense([](LedgerEntry& entry) { entry.op = static_cast<LedgerOp>(9); }));
}

TEST(LedgerBlock, HoldsAsManyAsItSays) {
  LedgerBlock block{1, 0, 1000, {}};
  block.entries.assign(kLedgerBlockEntries, {5, 4, 1, 2, 0, 1, LedgerOp::write, 0, 0});
  EXPECT_EQ(decode_ledger_block(encode_ledger_block(block))->entries.size(), kLedgerBlockEntries);
  block.entries.push_back(block.entries.front());
  EXPECT_THROW(encode_ledger_block(block), std::runtime_error);
}

TEST(LedgerSector, IsAnotherForEveryWord) {
  std::set<std::string> contents;
  const auto add = [&](std::uint64_t key, std::uint8_t device, std::uint64_t sector,
                       std::uint64_t number, std::uint64_t seen) {
    std::string bytes(512, '\0');
    fill_ledger_sector(key, device, sector, number, seen,
                       {reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size()});
    contents.insert(bytes);
  };
  add(1, 0, 5, 9, 3);
  add(2, 0, 5, 9, 3);
  add(1, 1, 5, 9, 3);
  add(1, 0, 6, 9, 3);
  add(1, 0, 5, 10, 3);
  add(1, 0, 5, 9, 4);
  add(1, 0, 5, 9, 3);
  EXPECT_EQ(contents.size(), 6u);
  EXPECT_NE(ledger_key(1, 2), ledger_key(2, 1));
}

}  // namespace
}  // namespace snapbed::plan
