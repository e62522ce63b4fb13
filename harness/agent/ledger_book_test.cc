// SPDX-License-Identifier: GPL-2.0-or-later
// The book gives every number once, and ships every entry once and in the order of `end`.
#include "agent/ledger_book.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <vector>

namespace snapbed::agent {
namespace {

struct Shelf {
  std::vector<plan::LedgerBlock> blocks;
  LedgerBook::Ship ship() {
    return [this](std::uint64_t number, std::span<const std::uint8_t> bytes) {
      EXPECT_EQ(number, blocks.size());
      const auto block = plan::decode_ledger_block(bytes);
      ASSERT_TRUE(block.has_value());
      blocks.push_back(*block);
    };
  }
};

void do_all(LedgerBook& book, plan::LedgerOp op) {
  while (const auto number = book.draw()) {
    plan::LedgerEntry entry;
    entry.number = *number;
    entry.op = op;
    entry.count = op == plan::LedgerOp::flush ? 0 : 1;
    entry.begin = book.begin();
    book.enter(entry, 0);
  }
}

TEST(LedgerBook, ShipsEveryEntryOnceInTheOrderOfTheirEnds) {
  constexpr std::uint64_t kOperations = 3000;
  Shelf shelf;
  GuestCounter counter;
  LedgerBook book(5, kOperations, counter, shelf.ship());
  {
    std::vector<std::jthread> writers;
    for (int i = 0; i < 4; ++i) {
      writers.emplace_back([&] { do_all(book, plan::LedgerOp::write); });
    }
  }
  EXPECT_TRUE(book.exhausted());
  const std::uint64_t blocks = book.close();
  EXPECT_EQ(blocks, shelf.blocks.size());
  std::set<std::uint64_t> numbers;
  std::uint64_t last_end = 0;
  for (const plan::LedgerBlock& block : shelf.blocks) {
    EXPECT_EQ(block.key, 5u);
    for (const plan::LedgerEntry& entry : block.entries) {
      numbers.insert(entry.number);
      EXPECT_GT(entry.end, last_end);
      last_end = entry.end;
    }
  }
  EXPECT_EQ(numbers.size(), kOperations);
  EXPECT_EQ(*numbers.rbegin(), kOperations);
}

TEST(LedgerBook, APromisedFlushIsShippedAtOnceButNeverPastTheLimit) {
  constexpr std::uint64_t kOperations = 320;
  Shelf shelf;
  GuestCounter counter;
  LedgerBook book(5, kOperations, counter, shelf.ship());
  plan::LedgerEntry flush;
  flush.number = *book.draw();
  flush.op = plan::LedgerOp::flush;
  flush.begin = book.begin();
  book.enter(flush, 0);
  EXPECT_EQ(shelf.blocks.size(), 1u);
  do_all(book, plan::LedgerOp::flush);
  EXPECT_LE(book.close(), LedgerBook::blocks_limit(kOperations));
}

TEST(LedgerBook, CountsErrors) {
  Shelf shelf;
  GuestCounter counter;
  LedgerBook book(5, 2, counter, shelf.ship());
  plan::LedgerEntry entry;
  entry.number = *book.draw();
  entry.count = 1;
  entry.begin = book.begin();
  book.enter(entry, 5);
  EXPECT_EQ(book.errors(), 1u);
  EXPECT_EQ(book.entered(), 1u);
  EXPECT_FALSE(book.exhausted());
  book.close();
  EXPECT_EQ(shelf.blocks.at(0).entries.at(0).result, 5u);
}

}  // namespace
}  // namespace snapbed::agent
