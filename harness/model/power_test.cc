// SPDX-License-Identifier: GPL-2.0-or-later
// Check `power` on journals made by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/test_ledger.h"
#include "model/test_power.h"

namespace snapbed::model::test {
namespace {

using testing::HasSubstr;

const std::uint64_t kZero = journal::sector_hash(journal::SectorBytes{});

std::string text_of(const Report& report) {
  std::string text = report.broken;
  for (const auto& [name, check] : report.checks) {
    for (const Finding& finding : check.findings) text += name + ": " + finding.text + "\n";
  }
  return text;
}

void expect_found(const Report& report, Kind kind) {
  EXPECT_EQ(report.broken, "");
  const CheckResult& power = report.checks.at("power");
  EXPECT_EQ(power.outcome, Outcome::fail);
  ASSERT_EQ(power.findings.size(), 1U) << text_of(report);
  EXPECT_EQ(power.findings[0].kind, kind) << text_of(report);
}

// The server takes back what is not promised: its own write, on record.
void take_back(CutStory& story, std::uint64_t first, std::uint64_t count, std::uint64_t hash) {
  story.b.write(story.data, first, std::vector<std::uint64_t>(count, hash));
  story.show(first, count, hash);
}

TEST(Power, WhatWasNotPromisedMayBeLost) {
  CutStory story;
  story.lose = [&] { take_back(story, 8, 4, kZero); };
  story.run();
  const Report report = story.b.judge();
  EXPECT_EQ(text_of(report), "");
  const CheckResult& power = report.checks.at("power");
  EXPECT_EQ(power.outcome, Outcome::pass);
  EXPECT_EQ(power.exercised.at("cuts"), 1U);
  EXPECT_EQ(power.exercised.at("promises"), 1U);
  EXPECT_EQ(power.exercised.at("sectors_judged"), 512U);
  EXPECT_EQ(power.exercised.at("promised_sectors"), 8U + 8 + 64 + 64);
  EXPECT_EQ(power.exercised.at("lost_sectors"), 4U);
  EXPECT_EQ(power.exercised.at("kept_sectors"), 4U);
  EXPECT_EQ(power.exercised.at("looks"), 1U);
  EXPECT_EQ(power.exercised.at("stale_calls"), 1U);
  EXPECT_EQ(power.exercised.at("generations"), 1U);
}

TEST(Power, AYoungerVersionThanThePromisedOneMayShow) {
  CutStory story;
  story.before_copy = [] {};
  story.lose = [&] { take_back(story, 8, 1, 0x22); };
  story.start();
  story.write(0, 8, 0x11);
  story.flush();
  story.write(0, 8, 0x12);
  story.write(0, 8, 0x13);
  story.lose = [&] {
    take_back(story, 0, 4, 0x12);
    take_back(story, 4, 2, 0x11);
  };
  story.cut();
  story.copy();
  const Report report = story.b.judge();
  EXPECT_EQ(text_of(report), "");
  EXPECT_EQ(report.checks.at("power").exercised.at("lost_sectors"), 6U);
}

// The module ends the flush itself: the disk, which was never asked, loses what the guest had been
// promised.
TEST(Power, AFlushThatWasSwallowedIsFound) {
  CutStory story;
  story.passes_down = false;
  story.lose = [&] { take_back(story, 2, 3, kZero); };
  story.run();
  const Report report = story.b.judge();
  expect_found(report, Kind::power_lost_promise);
  EXPECT_THAT(text_of(report), HasSubstr("3 sectors of data0"));
}

// As a bio that overtakes the write it stands behind.
TEST(Power, AFlushThatCameTooEarlyIsFound) {
  CutStory story;
  story.passes_down = false;
  story.before_flush = [&] {
    story.b.other(story.data, Op::flush, 0, 0);
    story.write(4, 2, 0x14);
  };
  story.lose = [&] { take_back(story, 4, 2, 0x11); };
  story.run();
  expect_found(story.b.judge(), Kind::power_lost_promise);
}

// Not the module's fault: the flush had come, and the disk forgot.
TEST(Power, ADiskThatDropsWhatItPromisedBreaksTheRecord) {
  CutStory story;
  story.lose = [&] { take_back(story, 2, 3, kZero); };
  story.run();
  EXPECT_THAT(story.b.judge().broken, HasSubstr("disk data0 lost sector 2"));
}

TEST(Power, AFlushThatFailedPromisesNothing) {
  CutStory story;
  story.passes_down = false;
  story.flush_result = 5;
  story.lose = [&] { take_back(story, 0, 8, kZero); };
  story.run();
  const Report report = story.b.judge();
  EXPECT_EQ(text_of(report), "");
  EXPECT_EQ(report.checks.at("power").exercised.at("promises"), 0U);
}

TEST(Power, WhatWasInFlightAtTheFlushIsNotPromised) {
  CutStory story;
  std::size_t request = 0;
  story.before_flush = [&] {
    request = story.b.begin(story.data, Op::write, 100, 1);
    story.b.move(request, {0x77});
  };
  story.until_copy();
  story.b.end(request);
  story.b.journal.requests[request].end = story.b.journal.requests[request].moved + 6;
  story.copy();
  EXPECT_EQ(story.b.judge().checks.at("power").outcome, Outcome::pass);
}

TEST(Power, ContentsThatNobodyWroteAreFound) {
  CutStory story;
  story.before_copy = [&] { story.show(300, 2, 0xbad); };
  story.run();
  expect_found(story.b.judge(), Kind::power_foreign);
}

// At all, or at the first time.
TEST(Power, AnOriginThatDoesNotReadIsFound) {
  for (const bool again : {false, true}) {
    CutStory story;
    story.unread = again ? 0 : 8;
    story.in_copy = [&](std::uint32_t copy) {
      Json text = {{"device", "data0"}, {"first", 504}, {"count", 8}, {"error", 5}};
      if (again) text["again"] = true;
      story.b.mark(plan::MarkKind::read_error, copy, text);
    };
    story.run();
    expect_found(story.b.judge(), Kind::power_read_error);
  }
}

TEST(Power, ATrackerOfBeforeIsFound) {
  CutStory story;
  story.knowledge["trackers"] = {"data0"};
  story.run();
  expect_found(story.b.judge(), Kind::power_stale);
}

TEST(Power, ASnapshotOfBeforeThatCanBeTakenIsFound) {
  CutStory story;
  story.old_take_result = 0;
  story.run();
  expect_found(story.b.judge(), Kind::power_stale);
}

TEST(Power, AGenerationOfBeforeIsFound) {
  CutStory story;
  story.until_copy();
  story.copy();
  story.hold("aa");
  expect_found(story.b.judge(), Kind::power_stale);
}

TEST(Power, WithoutACopyItHasNotRun) {
  CutStory story;
  story.until_copy();
  story.finish();
  const CheckResult power = story.b.judge().checks.at("power");
  EXPECT_EQ(power.outcome, Outcome::not_run);
  EXPECT_EQ(power.reason, "no device was copied after a cut");
}

// What a flush of the second machine promises says nothing of what the first one lost.
TEST(Power, PromisesAreOfTheirOwnMachine) {
  CutStory story;
  story.lose = [&] { take_back(story, 8, 8, kZero); };
  story.until_copy();
  story.flush();
  story.lose = nullptr;
  story.cut();
  story.copy();
  const Report report = story.b.judge();
  EXPECT_EQ(text_of(report), "");
  EXPECT_EQ(report.checks.at("power").exercised.at("cuts"), 2U);
}

// A ledger that the cut ends: what was shipped by then counts.
Report run_ledger_cut(Book& book) {
  plan::LedgerBlock block{book.key, 0, book.issued + 1, book.entries};
  const auto bytes = plan::encode_ledger_block(block);
  book.b.files.assign(bytes.begin(), bytes.end());
  book.b.call("power_cut");
  const journal::Stamp cut = ++book.b.stamp;
  book.b.write(book.disks[0], 40, std::vector<std::uint64_t>(4, kZero));
  book.b.journal.power.push_back({cut, ++book.b.stamp});
  book.b.mark(plan::MarkKind::boot, 0);
  const std::uint16_t evidence = book.b.disk("evidence", Role::evidence, 1 << 16);
  const std::uint32_t copy = book.b.call("copy_origin", {{"device", "data0"}, {"base", 0}});
  std::vector<std::uint64_t> shown(512, kZero);
  for (std::uint64_t s = 64; s < 72; ++s) shown[s] = book.b.pattern(0, s);
  book.b.write(evidence, 0, shown);
  book.b.done(copy);
  return book.b.judge();
}

TEST(Power, ALedgersFlushPromises) {
  Book book;
  book.whole(40, 4);
  book.told(book.submit(0, LedgerOp::flush, 0, 0));
  expect_found(run_ledger_cut(book), Kind::power_lost_promise);
}

TEST(Power, ADurableWritePromisesItself) {
  Book book;
  book.whole(44, 1);
  const LedgerEntry durable = book.submit(0, LedgerOp::durable, 40, 4);
  book.arrive(durable);
  book.told(durable);
  const Report report = run_ledger_cut(book);
  expect_found(report, Kind::power_lost_promise);
  EXPECT_EQ(report.checks.at("power").exercised.at("durable_writes"), 1U);
}

TEST(Power, AWriteBehindALedgersFlushIsNotPromised) {
  Book book;
  const LedgerEntry flush = book.submit(0, LedgerOp::flush, 0, 0);
  book.whole(40, 4);
  book.told(flush);
  const Report report = run_ledger_cut(book);
  EXPECT_EQ(text_of(report), "");
  EXPECT_EQ(report.checks.at("power").exercised.at("promises"), 1U);
  EXPECT_EQ(report.checks.at("power").exercised.at("lost_sectors"), 4U);
}

}  // namespace
}  // namespace snapbed::model::test
