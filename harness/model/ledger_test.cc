// SPDX-License-Identifier: GPL-2.0-or-later
// Check `origin` on journals made by hand with a ledger: a sound one passes, and each way in which
// a disk, or a module above it, may lie to a writer is found and explained.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/test_ledger.h"

namespace snapbed::model::test {
namespace {

using testing::HasSubstr;

std::string origin_text(const Report& report) {
  std::string text = report.broken;
  for (const Finding& finding : report.checks.at("origin").findings) text += finding.text + "\n";
  return text;
}

void expect_found(const Report& report, const std::string& words) {
  EXPECT_EQ(report.broken, "");
  EXPECT_EQ(report.checks.at("origin").outcome, Outcome::fail);
  EXPECT_EQ(report.checks.at("origin").found, 1U) << origin_text(report);
  EXPECT_THAT(origin_text(report), HasSubstr(words));
}

TEST(Ledger, ASoundOnePassesAndIsCounted) {
  Book book;
  const LedgerEntry one = book.write(0, 8);
  const LedgerEntry two = book.write(4, 8);  // over the first, both in flight
  book.arrive(two);
  book.told(two);
  book.arrive(one);
  book.told(one);
  const LedgerEntry flush = book.submit(0, LedgerOp::flush, 0, 0);
  book.b.other(book.disks[0], Op::flush, 0, 0);
  book.told(flush);
  const LedgerEntry zero = book.submit(1, LedgerOp::zero, 64, 64);
  book.b.other(book.disks[1], Op::zero, 64, 32);
  book.b.other(book.disks[1], Op::zero, 96, 32);
  book.told(zero);
  const LedgerEntry failed = book.write(16, 2);
  const std::size_t request = book.b.begin(book.disks[0], Op::write, 16, 2);
  book.b.end(request, 5);
  book.told(failed, 5);
  const Report report = book.run();
  EXPECT_EQ(origin_text(report), "");
  const auto& counts = report.checks.at("origin").exercised;
  EXPECT_EQ(counts.at("ledgers"), 1U);
  EXPECT_EQ(counts.at("ledger_writes"), 2U);
  EXPECT_EQ(counts.at("ledger_sectors"), 16U);
  EXPECT_EQ(counts.at("ledger_overlaps"), 1U);
  EXPECT_EQ(counts.at("ledger_flushes"), 1U);
  EXPECT_EQ(counts.at("ledger_emptied"), 1U);
  EXPECT_EQ(counts.at("ledger_errors"), 1U);
}

TEST(Ledger, AWriteThatNeverArrivedIsFound) {
  Book book;
  book.told(book.write(8, 4));
  expect_found(book.run(), "4 of its sectors never reached disk data0");
}

TEST(Ledger, APartThatNeverArrivedIsFound) {
  Book book;
  const LedgerEntry entry = book.write(8, 4);
  auto hashes = book.contents(entry);
  hashes.pop_back();
  book.b.write(book.disks[0], 8, hashes);
  book.told(entry);
  expect_found(book.run(), "1 of its sectors never reached disk data0");
}

TEST(Ledger, ASwallowedErrorIsFound) {
  Book book;
  const LedgerEntry entry = book.write(8, 4);
  book.b.end(book.b.begin(book.disks[0], Op::write, 8, 4), 5);
  book.told(entry);
  expect_found(book.run(), "its error was swallowed, write [8, +4)");
}

TEST(Ledger, AnErrorThatNobodyMadeIsFound) {
  Book book;
  book.b.end(book.b.begin(book.disks[0], Op::write, 100, 4), 5);  // of another range
  const LedgerEntry entry = book.write(8, 4);
  book.arrive(entry);
  book.told(entry, 5);
  expect_found(book.run(), "was told to have failed, but no request of its range");
}

TEST(Ledger, AnErrorOfADiskThatWasPulledIsNone) {
  Book book;
  book.b.done(book.b.call("unplug", {{"device", "data0"}}),
              {{"guest", {book.draw(), book.draw()}}});
  book.told(book.write(8, 4), 5);
  EXPECT_EQ(origin_text(book.run()), "");
  Book back;
  back.b.done(back.b.call("unplug", {{"device", "data0"}}),
              {{"guest", {back.draw(), back.draw()}}});
  back.b.done(back.b.call("plug", {{"device", "data0"}}), {{"guest", {back.draw(), back.draw()}}});
  back.b.done(back.b.call("flush", {{"device", "data0"}}), {{"guest", {back.draw(), back.draw()}}});
  back.told(back.write(8, 4), 5);
  expect_found(back.run(), "was told to have failed");
}

TEST(Ledger, AWriteThatIsToldBeforeItIsDoneIsFound) {
  Book book;
  book.tell_early();
  expect_found(book.run(),
               "write 1 of ledger \"l\" ([8, +4) of data0, guest counters 3 to 4) was told "
               "to be done too early");
}

TEST(Ledger, AWriteOnTheWrongSectorIsFound) {
  Book book;
  const LedgerEntry entry = book.write(8, 4);
  book.b.write(book.disks[0], 9, book.contents(entry));
  book.told(entry);
  const Report report = book.run();
  EXPECT_THAT(origin_text(report), HasSubstr("never reached"));
  EXPECT_THAT(origin_text(report), HasSubstr("Sector 8 of write 1"));
  EXPECT_THAT(origin_text(report), HasSubstr("came to sector 9 of disk data0"));
}

TEST(Ledger, AWriteOnTheWrongDiskIsFound) {
  Book book;
  const LedgerEntry entry = book.write(8, 1);
  book.arrive(entry);
  book.b.write(book.disks[1], 8, book.contents(entry));
  book.told(entry);
  expect_found(book.run(), "came to sector 8 of disk data1");
}

// Old data that a snapshot stores on a data disk is in the place that was appended for it.
TEST(Ledger, ItsSectorsInStorageOnADataDiskAreNoStrays) {
  const auto verdict = [](std::uint64_t stored_at, bool held, std::int32_t result) {
    Book book;
    const LedgerEntry entry = book.write(8, 4);
    book.arrive(entry);
    book.told(entry);
    book.b.done(book.b.call("create", {{"snapshot", "s"}, {"devices", {"data0"}}}));
    book.b.done(
        book.b.call("append", {{"snapshot", "s"}, {"device", "data1"}, {"ranges", {{64, 64}}}},
                    {result}),
        {{"result", result}});
    book.b.done(book.b.call("take", {{"snapshot", "s"}}));
    if (!held) book.b.done(book.b.call("destroy", {{"snapshot", "s"}}));
    book.b.write(book.disks[1], stored_at, book.contents(entry));
    if (held) book.b.done(book.b.call("destroy", {{"snapshot", "s"}}));
    return origin_text(book.run());
  };
  EXPECT_EQ(verdict(64, true, 0), "");
  EXPECT_EQ(verdict(124, true, 0), "");
  EXPECT_THAT(verdict(126, true, 0), HasSubstr("came to sector 128 of disk data1"));
  EXPECT_THAT(verdict(64, false, 0), HasSubstr("came to sector 64 of disk data1"));
  EXPECT_THAT(verdict(64, true, 22), HasSubstr("came to sector 64 of disk data1"));
}

TEST(Ledger, AWriteDoneTwiceIsFound) {
  Book book;
  const LedgerEntry entry = book.write(8, 1);
  book.arrive(entry);
  book.told(entry);
  book.whole(8, 1);
  book.arrive(entry);  // the old one once more, over the new one
  expect_found(book.run(), "came a second time");
}

TEST(Ledger, BytesOfNobodyAreFound) {
  Book book;
  const LedgerEntry entry = book.write(8, 2);
  auto hashes = book.contents(entry);
  book.b.write(book.disks[0], 8, hashes);
  book.told(entry);
  book.b.write(book.disks[0], 40, {0xbad});
  expect_found(book.run(), "bytes that no writer of the plan has written");
}

TEST(Ledger, APromisedFlushThatNeverCameIsFound) {
  Book book;
  const LedgerEntry before = book.write(8, 1);
  book.arrive(before);
  book.b.other(book.disks[0], Op::flush, 0, 0);  // before the promise
  book.told(before);
  book.whole(10, 1);  // from here on the flush above is known to be over
  book.whole(10, 1);  // from here on the flush above is known to be over
  const LedgerEntry flush = book.submit(0, LedgerOp::flush, 0, 0);
  book.b.other(book.disks[1], Op::flush, 0, 0);  // of another disk
  book.told(flush);
  book.whole(9, 1);
  book.b.other(book.disks[0], Op::flush, 0, 0);  // too late
  expect_found(book.run(), "no flush reached disk data0");
}

TEST(Ledger, ADiscardThatNeverCameIsFound) {
  Book book;
  const LedgerEntry discard = book.submit(0, LedgerOp::discard, 64, 64);
  book.b.other(book.disks[0], Op::trim, 64, 32);
  book.told(discard);
  expect_found(book.run(), "32 of its sectors never reached disk data0");
}

TEST(Ledger, ADamagedOneIsBroken) {
  Book book;
  book.whole(8, 1);
  book.damaged = 100;
  EXPECT_THAT(book.run().broken, HasSubstr("block 0 of 1 of ledger \"l\""));
}

TEST(Ledger, OneThatLacksAnOperationIsBroken) {
  Book book;
  book.whole(8, 1);
  book.write(16, 1);  // issued, and no word of how it ended
  EXPECT_THAT(book.run().broken, HasSubstr("holds 1 of the 2 operations"));
}

TEST(Ledger, OneThatIsStillOpenIsNotJudged) {
  Book book;
  book.told(book.write(8, 4));
  book.closes = false;
  const Report report = book.run();
  EXPECT_EQ(origin_text(report), "");
  EXPECT_EQ(report.checks.at("origin").exercised.at("ledgers"), 0U);
}

TEST(Ledger, ItsWritersAreKnown) {
  Book book;
  book.whole(8, 1);
  book.b.done(book.b.call("insmod"));
  EXPECT_EQ(origin_text(book.run()), "");
  Book other;
  other.run();
  other.b.write(other.disks[0], 8, {0x77});
  EXPECT_THAT(origin_text(other.b.judge()), HasSubstr("no step of the plan writes"));
}

}  // namespace
}  // namespace snapbed::model::test
