// SPDX-License-Identifier: GPL-2.0-or-later
// Every check on journals made by hand: a sound run passes, and each thing that may go wrong in it
// is found by the check it belongs to, or makes the record broken.
#include "model/judge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/test_story.h"
#include "model/versions.h"

namespace snapbed::model::test {
namespace {

using journal::Op;
using journal::Role;
using testing::HasSubstr;

void expect_only(const Report& report, const std::string& check, const std::string& words) {
  ASSERT_EQ(report.broken, "");
  for (const auto& [name, result] : report.checks) {
    EXPECT_EQ(result.outcome == Outcome::fail, name == check) << name << all(report);
  }
  ASSERT_FALSE(report.checks.at(check).findings.empty());
  EXPECT_THAT(report.checks.at(check).findings[0].text, HasSubstr(words));
}

TEST(Judge, ASoundRunPasses) {
  Story story;
  const Report report = story.run();
  EXPECT_EQ(report.broken, "");
  for (const auto& [name, result] : report.checks) {
    EXPECT_EQ(result.outcome, name == "chain" ? Outcome::not_run : Outcome::pass)
        << name << all(report) << result.reason;
  }
  EXPECT_EQ(report.sectors_judged, 2 * kSectors);
  EXPECT_EQ(report.cycles.back().sectors_overwritten, 8U);
  EXPECT_EQ(report.checks.at("order").exercised.at("reads_proven"), 1U);
}

TEST(Cut, ContentOfNoVersionIsCorruption) {
  Story story;
  story.image_lies_at = story.copy_2_lies_at = 9;
  expect_only(story.run(), "cut", "no version of the sector ever was");
}

TEST(Cut, ATakeWithoutQuietInstantDidNotDrain) {
  Story story;
  std::size_t request = 0;
  story.before_take = [&] { request = story.b.begin(story.data, Op::write, 300, 1); };
  story.after_take = [&] {
    story.b.move(request, {0x77});
    story.b.end(request);
  };
  const Report report = story.run();
  EXPECT_THAT(all(report), HasSubstr("TAKE did not drain"));
}

TEST(Cut, TwoSectorsWithoutACommonInstantAreNamed) {
  Story story;
  story.in_take = [&] {
    story.write(100, 1, 0x41);
    story.write(200, 1, 0x42);
    story.image[200] = 0x42;  // the later write is in, the earlier one is out
  };
  const Report report = story.run();
  EXPECT_THAT(report.checks.at("cut").findings[0].text, HasSubstr("no common instant"));
}

TEST(Cut, AReadErrorThatNothingExplainsIsFound) {
  Story story;
  story.before_destroy = [&] { story.short_copy(); };
  expect_only(story.run(), "cut", "neither a CORRUPTED event nor a failed read near it");
}

// What the check cut says of eight sectors from 1536 on that give errors when a request has failed;
// with `again` they came at a second try.
std::string of_errors_after(Op op, std::uint64_t first, bool again = false,
                            const std::string& chunk_shift = "18",
                            const std::function<void(JournalBuilder&)>& before_copy = {}) {
  constexpr std::uint64_t kBad = 1536;
  JournalBuilder b;
  b.plan.module_parameters["chunk_minimum_shift"] = chunk_shift;
  const std::uint16_t data = b.disk("data0", Role::data, 2048);
  const std::uint16_t evidence = b.disk("evidence", Role::evidence, 2048);
  b.selftest("scratch", b.disk("scratch", Role::scratch, 512));
  b.done(b.call("create", {{"snapshot", "s"}, {"devices", {"data0"}}}));
  b.done(b.call("take", {{"snapshot", "s"}}));
  b.fail(data, op, first, 8);
  if (before_copy) before_copy(b);
  const std::uint32_t id =
      b.call("copy_image", {{"snapshot", "s"}, {"device", "data0"}, {"base", 0}});
  const std::uint64_t zero = journal::sector_hash(journal::SectorBytes{});
  b.write(evidence, 0, std::vector<std::uint64_t>(kBad, zero));
  Json text = {{"device", "data0"}, {"first", kBad}, {"count", 8}, {"error", 5}};
  if (again) {
    text["again"] = true;
    b.write(evidence, kBad, std::vector<std::uint64_t>(8, zero));
  }
  b.mark(plan::MarkKind::read_error, id, text);
  b.write(evidence, kBad + 8, std::vector<std::uint64_t>(2048 - kBad - 8, zero));
  b.done(id);
  b.done(b.call("destroy", {{"snapshot", "s"}}));
  b.mark(plan::MarkKind::done, 0);
  const Report report = b.judge();
  std::string said = report.broken;
  for (const Finding& finding : report.checks.at("cut").findings) said += finding.text;
  return said;
}

TEST(Cut, AReadErrorIsExplainedByAFailedReadOfItsChunk) {
  EXPECT_EQ(of_errors_after(Op::read, 1536), "");
  EXPECT_EQ(of_errors_after(Op::read, 1544), "");
  EXPECT_THAT(of_errors_after(Op::read, 512), HasSubstr("nor a failed read near it"));
  EXPECT_THAT(of_errors_after(Op::read, 512, false, "12"), HasSubstr("nor a failed read near it"));
  EXPECT_EQ(of_errors_after(Op::read, 512, false, "20"), "");
  EXPECT_THAT(of_errors_after(Op::read, 1536, false, "x"), HasSubstr("is no number"));
  EXPECT_THAT(of_errors_after(Op::write, 1536), HasSubstr("nor a failed read near it"));
}

// An error that was there before the image was written there explains no error after that.
TEST(Cut, WhatTheImageTookIsNotLostByWhatHadFailedBefore) {
  enum class Failure : std::uint8_t { before, after };
  const auto said = [](int result, Failure failure) {
    return of_errors_after(Op::read, 1536, false, "18", [&](JournalBuilder& b) {
      const std::uint32_t id = b.call("write_image",
                                      {{"snapshot", "s"},
                                       {"device", "data0"},
                                       {"first", 1536},
                                       {"count", 8},
                                       {"writes", 100},
                                       {"max_sectors", 8}},
                                      {0, EIO});
      b.done(id, {{"result", result}});
      if (failure == Failure::after) b.fail(0, Op::read, 1600, 8);
    });
  };
  EXPECT_THAT(said(0, Failure::before), HasSubstr("had written them through the image"));
  EXPECT_EQ(said(EIO, Failure::before), "");
  EXPECT_EQ(said(0, Failure::after), "");
}

TEST(Cut, AReadThatIsRightTheSecondTimeIsNoReadThatWasRight) {
  EXPECT_EQ(of_errors_after(Op::read, 1536, true), "");
  EXPECT_THAT(of_errors_after(Op::read, 512, true),
              HasSubstr("well when they were asked for again"));
  EXPECT_THAT(of_errors_after(Op::write, 1536, true), HasSubstr("what is not lost has to be read"));
}

TEST(Cut, AnErrorOfAnotherCopyExplainsNothing) {
  Story story;
  story.before_destroy = [&] { story.short_copy(0); };
  EXPECT_THAT(all(story.run()), HasSubstr("never came"));
}

TEST(Twice, AnImageThatMovesIsFound) {
  Story story;
  story.before_copy_2 = [&] { story.image[8] = story.content[8]; };
  story.stored = 0x23;
  const Report report = story.run();
  EXPECT_THAT(report.checks.at("twice").findings.at(0).text, HasSubstr("moved"));
}

TEST(Map, ALostChangeIsFound) {
  Story story;
  story.start();
  story.hold(1);
  story.number = 2;
  story.map = {1, 0, 0, 0};  // block 0 was written after take 1
  story.hold(2);
  story.stop();
  const Report report = story.b.judge();
  EXPECT_THAT(report.checks.at("map").findings.at(0).text, HasSubstr("lost change"));
  EXPECT_THAT(report.checks.at("chain").findings.at(0).text, HasSubstr("loses a change"));
}

TEST(Map, AWriteThatFailedHalfWayIsAChange) {
  Story story;
  story.start();
  story.hold(1);
  story.b.end(story.b.write(story.data, 8, std::vector<std::uint64_t>(8, 0x77)), 5);
  for (std::uint64_t s = 8; s < 16; ++s) story.content[s] = 0x77;
  story.number = 2;
  story.map = {1, 0, 0, 0};
  story.reads_first = false;
  story.overwritten = 256;
  story.hold(2);
  story.stop();
  const Report report = story.b.judge();
  EXPECT_THAT(report.checks.at("map").findings.at(0).text, HasSubstr("lost change"));
}

TEST(Map, AnIncrementThatTellsItsChangesPasses) {
  Story story;
  story.start();
  story.hold(1);
  story.number = 2;
  story.map = {2, 0, 0, 0};
  story.hold(2);
  story.stop();
  const Report report = story.b.judge();
  EXPECT_EQ(all(report), "");
  EXPECT_EQ(report.checks.at("chain").exercised.at("increments"), 1U);
  EXPECT_EQ(report.checks.at("map").exercised.at("blocks_must"), 1U);
}

TEST(Map, ABlockThatNobodyWroteIsFound) {
  Story story;
  story.map = {1, 0, 1, 0};
  expect_only(story.run(), "map", "at most 0 is right");
}

TEST(Map, NumbersByFormula) {
  Story story;
  story.map_answer = {{"snap_number", 2}};
  expect_only(story.run(), "map", "snap_number is 2");
  Story other;
  other.map_answer = {{"capacity", 1}};
  expect_only(other.run(), "map", "device_capacity is 1");
}

// A disk that was pulled comes back under its old number and must not inherit the old map.
TEST(Map, ADiskThatWasPulledBeginsAnew) {
  for (const bool anew : {true, false}) {
    Story story;
    story.start();
    story.hold(1);
    story.b.done(story.b.call("unplug", {{"device", "data0"}}));
    story.b.done(story.b.call("plug", {{"device", "data0"}}));
    if (anew) {
      story.map_answer = {{"generation", "bb"}};
    } else {
      story.number = 2;
      story.map = {2, 0, 0, 0};
    }
    story.hold(2);
    story.stop();
    const Report report = story.b.judge();
    EXPECT_EQ(report.checks.at("map").outcome, anew ? Outcome::pass : Outcome::fail) << all(report);
  }
}

TEST(Map, AMapThatChangesDuringTheHoldIsFound) {
  Story story;
  story.before_destroy = [&] {
    story.map = {0, 0, 0, 0};
    story.read_map();
  };
  expect_only(story.run(), "map", "changed during the hold");
}

TEST(Order, AWriteBeforeItsReadIsFound) {
  Story story;
  story.stored = journal::sector_hash(journal::SectorBytes{});
  story.reads_first = false;
  expect_only(story.run(), "order", "overtook its copy");
}

TEST(Order, AReadStillRunningIsNoCover) {
  Story story;
  story.reads_first = false;
  std::size_t read = 0;
  story.before_write = [&] {
    read = story.b.begin(story.data, Op::read, 8, 8);
    story.b.move(read);
  };
  story.before_copy_2 = [&] { story.b.end(read); };
  expect_only(story.run(), "order", "overtook its copy");
}

TEST(Order, AFlushThatNobodyAskedForIsFound) {
  for (const bool direct : {true, false}) {
    Story story;
    if (direct) story.job += "direct=1\n";
    story.before_copy_2 = [&] { story.b.other(story.store, Op::flush, 0, 0); };
    const Report report = story.run();
    EXPECT_EQ(report.checks.at("order").outcome, direct ? Outcome::fail : Outcome::pass)
        << "through a page cache fio may flush";
    EXPECT_EQ(all(report).find("nobody asked for") != std::string::npos, direct);
  }
}

TEST(Order, AHoldThatMustBeMetAndIsNotIsFound) {
  for (const std::string how : {"count", "match", "time", "mark", "full", "cut", "disconnect"}) {
    Story story;
    story.before_write = [&] {
      story.b.journal.rule_actions.push_back({1, story.data, story.b.stamp, story.b.stamp, how});
    };
    Expectations expectations;
    expectations.met = {1};
    const Report report = story.run(expectations);
    if (how == "time" || how == "mark") {
      expect_only(report, "order", "that must not");
      continue;
    }
    EXPECT_EQ(all(report), "");
    const bool met = how == "count" || how == "match";
    EXPECT_EQ(report.checks.at("order").exercised.at("holds_met"), met ? 1U : 0U);
  }
}

TEST(Store, OutsideEveryRangeIsFound) {
  Story story;
  story.stored_at = 2000;
  expect_only(story.run(), "store", "no range appended");
}

TEST(Store, NewDataIsFound) {
  Story story;
  story.stored = 0x34;  // what the write of the hold brought
  expect_only(story.run(), "store", "no captured sector held at P");
}

TEST(Store, TwoWritesInFlightOnOneSectorAreFound) {
  Story story;
  story.before_copy_2 = [&] {
    const std::size_t one = story.b.begin(story.store, Op::write, 100, 1);
    const std::size_t two = story.b.begin(story.store, Op::write, 100, 1);
    for (const std::size_t request : {one, two}) {
      story.b.move(request, {story.image[8]});
      story.b.end(request);
    }
  };
  expect_only(story.run(), "store", "in flight together");
}

TEST(Store, AWriteAfterDestroyIsFound) {
  Story story;
  story.after_destroy = [&] { story.b.write(story.store, 40, {story.image[8]}); };
  expect_only(story.run(), "store", "after DESTROY");
}

TEST(Store, MoreUnsavedThanTheBudgetIsFound) {
  Story story;
  Expectations expectations;
  expectations.budget_bytes = 8 * 512 - 1;
  expect_only(story.run(expectations), "store", "its budget is 4095 bytes");
  Story frugal;
  expectations.budget_bytes = 8 * 512;
  EXPECT_EQ(all(frugal.run(expectations)), "");
}

TEST(Origin, AnAcknowledgedStepThatNeverArrivedIsFound) {
  Story story;
  story.before_destroy = [&] {
    story.b.done(story.b.call("write", {{"device", "data0"}, {"writes", 2}, {"max_sectors", 4}}));
  };
  expect_only(story.run(), "origin", "never got its data");
}

TEST(Origin, MoreBytesToldThanArrivedAreFound) {
  Story story;
  story.start();
  story.hold(1);
  story.stop(1 << 20);
  expect_only(story.b.judge(), "origin", "was told that 1048576 bytes");
}

TEST(Origin, AWriteOfNobodyIsFound) {
  Story story;
  story.start();
  story.hold(1);
  story.stop();
  story.write(0, 1, 5);
  expect_only(story.b.judge(), "origin", "no step of the plan writes");
}

TEST(Origin, ACommandMayWriteAnywhereUnlessItSaysThatItDoesNot) {
  for (const char* writes : {"yes", "no"}) {
    Story story;
    story.start();
    story.b.done(story.b.call("run", {{"command", "true"}, {"writes", writes}}));
    story.hold(1);
    story.stop();
    story.write(0, 1, 5);
    if (*writes == 'n') {
      expect_only(story.b.judge(), "origin", "no step of the plan writes");
    } else {
      EXPECT_EQ(story.b.judge().checks.at("origin").outcome, Outcome::pass);
    }
  }
}

TEST(Events, AMissingLowIsFound) {
  Story story;
  story.low = false;
  expect_only(story.run(), "events", "no LOW_FREE_SPACE ever came");
}

TEST(Events, NobodyMissesALowWhereNobodyListens) {
  Story story;
  story.low = false;
  story.unheard = true;
  EXPECT_NE(story.run().checks.at("events").outcome, Outcome::fail);
}

TEST(Events, ALowWithAnotherSizeIsFound) {
  Story story;
  story.low_sectors = 5;
  expect_only(story.run(), "events", "asks for 5 sectors");
}

TEST(Events, ACorruptedThatNobodyExpectsIsFound) {
  Story story;
  story.before_destroy = [&] {
    story.b.mark(plan::MarkKind::event, 0,
                 {{"snapshot", "s"}, {"code", "corrupted"}, {"device", "data0"}, {"error", 5}});
  };
  expect_only(story.run(), "events", "no step waits for it");
}

// A failed request of something else corrupts no snapshot, and a read of old data that failed does
// so with its own error only: space that has run out beside it is another matter.
TEST(Events, ACorruptedIsExpectedWhenItsStorageOrAReadOfOldDataFailed) {
  const auto verdict = [](std::uint16_t Story::*disk, Op op, std::uint64_t first, int error = 5,
                          bool held = true) {
    Story story;
    (held ? story.before_destroy : story.before_take) = [&] {
      story.b.fail(story.*disk, op, first, 8);
    };
    story.before_destroy = [&, fail = story.before_destroy] {
      story.call(fail);
      story.b.mark(
          plan::MarkKind::event, 0,
          {{"snapshot", "s"}, {"code", "corrupted"}, {"device", "data0"}, {"error", error}});
    };
    return all(story.run());
  };
  EXPECT_EQ(verdict(&Story::store, Op::write, 16), "");
  EXPECT_THAT(verdict(&Story::store, Op::write, 2048), HasSubstr("no step waits for it"));
  EXPECT_THAT(verdict(&Story::store, Op::read, 16), HasSubstr("no step waits for it"));
  EXPECT_EQ(verdict(&Story::data, Op::read, 8), "");
  EXPECT_THAT(verdict(&Story::data, Op::write, 8), HasSubstr("no step waits for it"));
  EXPECT_THAT(verdict(&Story::scratch, Op::read, 8), HasSubstr("no step waits for it"));
  EXPECT_THAT(verdict(&Story::data, Op::read, 8, 28), HasSubstr("no step waits for it"));
  EXPECT_THAT(verdict(&Story::data, Op::read, 8, 5, false), HasSubstr("no step waits for it"));
}

TEST(Errno, AnUnexpectedResultIsFound) {
  Story story;
  story.before_destroy = [&] {
    story.b.done(story.b.call("take", {{"snapshot", "s"}}, {114}), {{"result", 0}});
  };
  expect_only(story.run(), "errno", "gave 0, expected 114");
}

TEST(Errno, AListOfTrackersIsWhatTheStepSays) {
  const auto verdict = [](const std::vector<std::string>& seen, std::uint64_t foreign) {
    Story story;
    story.before_destroy = [&] {
      story.b.done(story.b.call("collect_trackers", {{"shows", {"data1", "data0"}}}),
                   {{"result", 0}, {"trackers", seen}, {"foreign", foreign}, {"snapshots", 1}});
    };
    return all(story.run());
  };
  EXPECT_EQ(verdict({"data0", "data1"}, 0), "");
  EXPECT_THAT(verdict({"data0"}, 0), HasSubstr("shows data0, expected data0, data1"));
  EXPECT_THAT(verdict({"data0", "data1"}, 2), HasSubstr("shows data0, data1 and 2 others"));
  EXPECT_THAT(verdict({"data0", "data1", "data0"}, 0), HasSubstr("shows data0, data0, data1"));
}

TEST(Errno, AnAnswerToLowIsTaken) {
  const auto verdict = [](int result, bool late) {
    Story story;
    const auto answer = [&] {
      story.b.mark(plan::MarkKind::append_begin, 0,
                   {{"snapshot", "s"}, {"device", "store0"}, {"ranges", {{1024, 1024}}}});
      story.b.mark(plan::MarkKind::append_end, 0, {{"snapshot", "s"}, {"result", result}});
    };
    (late ? story.after_destroy : story.before_write) = answer;
    return all(story.run());
  };
  EXPECT_EQ(verdict(0, false), "");
  EXPECT_EQ(verdict(3, true), "");
  EXPECT_THAT(verdict(3, false), HasSubstr("that answers LOW gave 3, expected 0"));
  EXPECT_THAT(verdict(22, true), HasSubstr("that answers LOW gave 22, expected 0"));
}

TEST(Minima, BelowThemACheckDidNotRun) {
  Story story;
  Expectations expectations;
  expectations.minimum["twice.sectors_overwritten"] = 9;
  const Report report = story.run(expectations);
  EXPECT_EQ(report.checks.at("twice").outcome, Outcome::not_run);
  EXPECT_THAT(report.checks.at("twice").reason, HasSubstr("was 8, at least 9"));
  Story other;
  expectations.minimum = {{"cycle.sectors_overwritten", 9}};
  EXPECT_EQ(other.run(expectations).checks.at("twice").outcome, Outcome::not_run);
}

TEST(Minima, AJudgedCheckWithoutWorkDidNotRun) {
  Story story;
  Expectations expectations;
  expectations.judged = {"chain"};
  const Report report = story.run(expectations);
  EXPECT_EQ(report.checks.at("chain").outcome, Outcome::not_run);
  EXPECT_NE(report.checks.at("chain").reason, "");
}

// Twice compares what two copies of one image show; two halves of it have nothing in common.
TEST(Minima, CopiesOfDifferentSectorsAskForNoComparison) {
  const auto run = [](std::uint64_t second_first) {
    Story story;
    story.start();
    story.b.cycle = 1;
    story.b.done(story.b.call("create", {{"snapshot", "s"}, {"devices", {"data0"}}}));
    story.b.done(story.b.call("take", {{"snapshot", "s"}}));
    for (const std::uint64_t first : {std::uint64_t{0}, second_first}) {
      const std::uint32_t id = story.b.call("copy_image", {{"snapshot", "s"},
                                                           {"device", "data0"},
                                                           {"first", first},
                                                           {"count", kSectors / 2},
                                                           {"base", story.evidence_base}});
      const auto begin = story.content.begin() + static_cast<std::ptrdiff_t>(first);
      story.b.write(story.evidence, story.evidence_base,
                    {begin, begin + static_cast<std::ptrdiff_t>(kSectors / 2)});
      story.evidence_base += kSectors / 2;
      story.b.done(id);
    }
    story.b.done(story.b.call("destroy", {{"snapshot", "s"}}));
    story.b.mark(plan::MarkKind::cycle_end, 0);
    story.stop();
    return story.b.judge({});
  };
  EXPECT_FALSE(run(kSectors / 2).checks.contains("twice"));
  EXPECT_TRUE(run(kSectors / 2 - 1).checks.contains("twice"));
}

TEST(Record, AGapInTheMarksIsBroken) {
  Story story;
  story.start();
  story.hold(1);
  story.b.journal.marks.erase(story.b.journal.marks.begin() + 5);
  EXPECT_THAT(story.b.judge().broken, HasSubstr("gap"));
}

TEST(Record, AMarkThatCannotBeReadIsBroken) {
  Story story;
  story.start();
  story.b.journal.marks[2].bytes[20] ^= 1;
  EXPECT_THAT(story.b.judge().broken, HasSubstr("cannot be decoded"));
}

TEST(Record, WithoutSelftestItIsBroken) {
  Story story;
  story.self = false;
  EXPECT_THAT(story.run().broken, HasSubstr("no selftest"));
}

TEST(Record, ASwallowedDiscardIsBroken) {
  Story story;
  story.start();
  std::erase_if(story.b.journal.requests,
                [](const journal::Request& request) { return request.op == Op::trim; });
  EXPECT_THAT(story.b.judge().broken, HasSubstr("where discard [128, +64) was due"));
}

TEST(Record, AnImageSectorThatNeverCameIsBroken) {
  Story story;
  story.before_destroy = [&] {
    const std::uint32_t id = story.b.call(
        "copy_image", {{"snapshot", "s"}, {"device", "data0"}, {"base", story.evidence_base}});
    story.b.write(story.evidence, story.evidence_base, {1, 2, 3});
    story.b.done(id);
  };
  EXPECT_THAT(story.run().broken, HasSubstr("never came"));
}

TEST(Record, AnImageSectorThatCameTwiceIsBroken) {
  Story story;
  story.before_copy_2 = [&] {
    const std::uint32_t id = story.b.call(
        "copy_image", {{"snapshot", "s"}, {"device", "data0"}, {"base", story.evidence_base}});
    story.b.write(story.evidence, story.evidence_base, story.image);
    story.b.write(story.evidence, story.evidence_base + 4, {7});
    story.b.done(id);
  };
  EXPECT_THAT(story.run().broken, HasSubstr("came twice"));
}

TEST(Record, AJournalCutShortIsBrokenAtTheEnd) {
  Story story;
  story.run();
  story.b.journal.complete = false;
  story.b.journal.trouble = "segment 3 ends in the middle of a block";
  const Report report = judge(story.b.journal, {}, story.b.reader());
  EXPECT_THAT(report.broken, HasSubstr("segment 3"));
}

TEST(Record, AStepThatNeverEndedIsJudgedAsFarAsItGoes) {
  Story story;
  story.start();
  story.hold(1);
  story.b.call("create", {{"snapshot", "s"}, {"devices", {"data0"}}});
  const Report report = story.b.judge();
  EXPECT_EQ(all(report), "");
}

// A snapshot whose storage ran out: lost sectors give EIO, writes go on without a copy.
TEST(Corrupted, LostSectorsMayGiveErrorsButNoOtherData) {
  for (const bool lies : {false, true}) {
    Story story;
    story.reads_first = false;
    story.stored = journal::sector_hash(journal::SectorBytes{});
    story.before_destroy = [&] {
      story.b.mark(plan::MarkKind::event, 0,
                   {{"snapshot", "s"}, {"code", "corrupted"}, {"device", "data0"}, {"error", 5}});
      story.b.done(story.b.call("wait_event", {{"snapshot", "s"}, {"code", "corrupted"}}));
      const std::uint32_t id = story.b.call(
          "copy_image", {{"snapshot", "s"}, {"device", "data0"}, {"base", story.evidence_base}});
      std::vector<std::uint64_t> shown(story.image.begin() + 16, story.image.end());
      if (lies) shown[0] = 0xbad;
      story.b.write(story.evidence, story.evidence_base,
                    std::vector<std::uint64_t>(story.image.begin(), story.image.begin() + 8));
      story.b.write(story.evidence, story.evidence_base + 16, shown);
      story.b.mark(plan::MarkKind::read_error, id,
                   {{"device", "data0"}, {"first", 8}, {"count", 8}, {"error", 5}});
      story.b.done(id);
      story.evidence_base += kSectors;
    };
    const Report report = story.run();
    EXPECT_EQ(report.broken, "");
    EXPECT_EQ(report.checks.at("cut").outcome, lies ? Outcome::fail : Outcome::pass) << all(report);
    EXPECT_EQ(report.checks.at("order").outcome, Outcome::pass) << all(report);
    EXPECT_EQ(report.checks.at("events").outcome, Outcome::pass) << all(report);
    EXPECT_EQ(report.checks.at("order").exercised.at("withdrawn"), 1U);
  }
}

// What is lost stays lost, whenever CORRUPTED comes: a copy that was refused what a later one shows
// was refused it for another reason.
TEST(Corrupted, WhatALaterCopyShowsWasNotLost) {
  for (const bool written : {false, true}) {
    Story story;
    story.map = {1, 1, 1, 1};
    story.before_write = [&] { story.short_copy(); };
    story.before_copy_2 = [&] {
      story.evidence_base += kSectors;
      if (!written) return;
      const std::uint32_t step = story.b.call(
          "write_image",
          {{"snapshot", "s"}, {"device", "data0"}, {"writes", 4000}, {"max_sectors", 8}});
      story.b.done(step);
      for (const plan::Range& range : plan::scattered_ranges(1, step, kSectors, 4000, 8))
        for (std::uint64_t s = range.first; s < range.first + range.count; ++s)
          story.image[s] = story.b.pattern(step, s);
    };
    story.before_destroy = [&] {
      story.b.mark(plan::MarkKind::event, 0,
                   {{"snapshot", "s"}, {"code", "corrupted"}, {"device", "data0"}, {"error", 28}});
      story.b.done(story.b.call("wait_event", {{"snapshot", "s"}, {"code", "corrupted"}}));
    };
    const auto findings = story.run().checks.at("cut").findings;
    ASSERT_EQ(findings.size(), written ? 0U : 1U);
    if (!written) {
      EXPECT_THAT(findings[0].text, HasSubstr("what is lost stays lost"));
    }
  }
}

// The interface lets a module fail every read of a corrupted snapshot: there is nothing to compare
// then, and nothing left undone. What a scenario counts on beyond that, it says in its minima.
TEST(Corrupted, AnImageThatIsRefusedWholeWasLookedAt) {
  const auto refused = [](bool told, std::uint64_t second_at, const Expectations& demanded = {}) {
    Story story;
    story.start();
    story.hold_begun();
    if (told) {
      story.b.mark(plan::MarkKind::event, 0,
                   {{"snapshot", "s"}, {"code", "corrupted"}, {"device", "data0"}, {"error", 28}});
      story.b.done(story.b.call("wait_event", {{"snapshot", "s"}, {"code", "corrupted"}}));
    }
    story.refused_copy(0, 256);
    story.refused_copy(second_at, 256);
    story.b.done(story.b.call("destroy", {{"snapshot", "s"}}));
    story.stop();
    return story.b.judge(demanded);
  };
  const Report whole = refused(true, 128);
  EXPECT_EQ(all(whole), "");
  EXPECT_EQ(whole.broken, "");
  EXPECT_EQ(whole.checks.at("cut").outcome, Outcome::pass);
  EXPECT_EQ(whole.checks.at("cut").exercised.at("sectors_judged"), 0U);
  EXPECT_EQ(whole.checks.at("cut").exercised.at("bad_sectors"), 512U);
  EXPECT_EQ(whole.checks.at("twice").outcome, Outcome::pass);

  EXPECT_FALSE(refused(true, 256).checks.contains("twice"));
  EXPECT_EQ(refused(false, 128).checks.at("cut").outcome, Outcome::fail);
  EXPECT_EQ(refused(false, 128).checks.at("twice").outcome, Outcome::not_run);
  Expectations demanded;
  demanded.minimum = {{"cut.sectors_judged", 1}, {"twice.sectors_compared", 1}};
  EXPECT_EQ(refused(true, 128, demanded).checks.at("cut").outcome, Outcome::not_run);
  EXPECT_EQ(refused(true, 128, demanded).checks.at("twice").outcome, Outcome::not_run);
}

TEST(Corrupted, AFullStorageWasNotFullBeforeMoreWasStored) {
  const auto found = [](std::uint64_t stored, int error) {
    Story story;
    story.start();
    story.hold_begun();
    story.refused_copy(0, 256);
    story.b.write(story.store, 16, std::vector<std::uint64_t>(stored, story.image[8]));
    story.b.mark(plan::MarkKind::event, 0,
                 {{"snapshot", "s"}, {"code", "corrupted"}, {"device", "data0"}, {"error", error}});
    story.b.done(story.b.call("wait_event", {{"snapshot", "s"}, {"code", "corrupted"}}));
    story.refused_copy(0, 256);
    story.b.done(story.b.call("destroy", {{"snapshot", "s"}}));
    story.stop();
    Expectations budget;
    budget.budget_bytes = 8 * 512;
    return story.b.judge(budget).checks.at("cut").findings.size();
  };
  EXPECT_EQ(found(8, 28), 0U);
  EXPECT_EQ(found(9, 28), 1U);
  EXPECT_EQ(found(9, 5), 0U);
}

TEST(Corrupted, AStoreAfterItsDeliveryIsFound) {
  Story story;
  story.before_destroy = [&] {
    story.b.mark(plan::MarkKind::event, 0,
                 {{"snapshot", "s"}, {"code", "corrupted"}, {"device", "data0"}, {"error", 5}});
    story.b.done(story.b.call("wait_event", {{"snapshot", "s"}, {"code", "corrupted"}}));
    story.b.write(story.store, 40, {story.image[8]});
  };
  expect_only(story.run(), "store", "ends after CORRUPTED");
}

// Storage on the captured device reads as zeroes, though the disk never held them.
TEST(StorageOnTheCapturedDevice, ReadsAsZeroes) {
  for (const std::uint64_t lies_at : {kSectors, std::uint64_t{500}, std::uint64_t{300}}) {
    Story story;
    story.in_take = [&] { std::fill(story.image.begin() + 480, story.image.end(), zero_hash()); };
    story.before_take = [&] {
      story.b.done(story.b.call("append",
                                {{"snapshot", "s"}, {"device", "data0"}, {"ranges", {{480, 32}}}}));
    };
    story.before_write = [&] { story.write(496, 8, 0x99); };
    story.image_lies_at = story.copy_2_lies_at = lies_at;
    const Report report = story.run();
    EXPECT_EQ(report.checks.at("cut").outcome, lies_at == kSectors ? Outcome::pass : Outcome::fail);
    EXPECT_EQ(report.checks.at("order").outcome, Outcome::pass) << all(report);
    EXPECT_EQ(report.checks.at("map").outcome, Outcome::pass) << all(report);
  }
}

// What the plan writes through an image is no contradiction, is stored by right and is marked.
TEST(ImageWrites, AreTakenOutOfTheCutAndDemandedOfTheMap) {
  Story story;
  std::uint32_t step = 0;
  story.before_copy_2 = [&] {
    step = story.b.call(
        "write_image", {{"snapshot", "s"}, {"device", "data0"}, {"writes", 1}, {"max_sectors", 1}});
    const auto range = plan::scattered_ranges(1, step, kSectors, 1, 1).front();
    story.image[range.first] = story.b.pattern(step, range.first);
    story.b.write(story.store, 64, {story.b.pattern(step, range.first)});
    story.map = {1, 0, 0, 0};
    story.map[range.first / 128] = 1;
    story.b.done(step);
  };
  EXPECT_EQ(all(story.run()), "");
  Story silent;
  silent.before_copy_2 = [&] {
    silent.b.done(silent.b.call(
        "write_image",
        {{"snapshot", "s"}, {"device", "data0"}, {"writes", 200}, {"max_sectors", 8}}));
  };
  const Report report = silent.run();
  EXPECT_THAT(report.checks.at("map").findings.at(0).text, HasSubstr("image write or mark_dirty"));
  EXPECT_THAT(report.checks.at("cut").findings.at(0).text, HasSubstr("does not show it"));
}

// Of two that ran side by side nobody knows which was last.
TEST(ImageWrites, OfTwoAtATimeEitherMayShow) {
  for (const bool later_ends_last : {false, true}) {
    Story story;
    story.map = {1, 1, 1, 1};
    story.before_copy_2 = [&] {
      const Json args = {
          {"snapshot", "s"}, {"device", "data0"}, {"writes", 200}, {"max_sectors", 8}};
      const std::uint32_t one = story.b.call("write_image", args);
      const std::uint32_t other = story.b.call("write_image", args);
      story.b.done(later_ends_last ? one : other);
      story.b.done(later_ends_last ? other : one);
      for (const std::uint32_t step : {other, one}) {
        for (const plan::Range& range : plan::scattered_ranges(1, step, kSectors, 200, 8))
          for (std::uint64_t s = range.first; s < range.first + range.count; ++s)
            story.image[s] = story.b.pattern(step, s);
      }
    };
    EXPECT_EQ(all(story.run()), "");
  }
}

// A copy of a part of an image is complete when it has that part.
TEST(Copies, APartOfAnImageIsJudgedAsFarAsItGoes) {
  for (const std::uint64_t asked : {std::uint64_t{64}, std::uint64_t{65}}) {
    Story story;
    story.before_destroy = [&] {
      const std::uint32_t id = story.b.call("copy_image", {{"snapshot", "s"},
                                                           {"device", "data0"},
                                                           {"base", story.evidence_base},
                                                           {"first", 100},
                                                           {"count", asked}});
      story.b.write(
          story.evidence, story.evidence_base,
          std::vector<std::uint64_t>(story.image.begin() + 100, story.image.begin() + 164));
      story.b.done(id);
    };
    const Report report = story.run();
    if (asked == 64) {
      EXPECT_EQ(report.broken, "");
      EXPECT_EQ(report.sectors_judged, 2 * kSectors + 64);
      EXPECT_EQ(all(report), "");
    } else {
      EXPECT_THAT(report.broken, HasSubstr("never came"));
    }
  }
}

// What nobody read of is no exercise.
TEST(Minima, ATakeWithoutACopyAndALinkWithoutASectorCountForNothing) {
  for (const bool copied : {true, false}) {
    Story story;
    story.start();
    story.hold(1);
    story.b.cycle = 2;
    story.b.done(story.b.call("create", {{"snapshot", "s"}, {"devices", {"data0", "scratch"}}}));
    const std::uint32_t take = story.b.call("take", {{"snapshot", "s"}});
    story.write(0, 8, 0x22);
    story.image = story.content;
    story.b.done(take);
    if (copied) story.copy(kSectors);
    story.b.done(story.b.call("destroy", {{"snapshot", "s"}}));
    story.b.mark(plan::MarkKind::cycle_end, 0);
    story.stop();
    const Report report = story.b.judge();
    ASSERT_EQ(report.broken, "");
    const auto& counts = report.checks.at("cut").exercised;
    EXPECT_EQ(counts.at("devices"), copied ? 2U : 1U);
    EXPECT_EQ(counts.at("writes_across_take"), copied ? 1U : 0U);
    EXPECT_EQ(counts.at("quiet_instants"), copied ? 3U : 1U);
    EXPECT_EQ(report.cycles.back().writes_across_take, copied ? 1U : 0U);
  }
  Story story;
  story.start();
  story.hold(1);
  story.number = 2;
  story.map = {2, 2, 2, 2};  // everything has changed
  story.reads_first = false;
  story.before_take = [&] {
    for (std::uint64_t s = 16; s < kSectors; s += 8) story.write(s, 8, 0x44);
  };
  story.overwritten = 8;
  story.hold(2);
  story.stop();
  Expectations expectations;
  expectations.judged = {"chain"};
  const Report report = story.b.judge(expectations);
  ASSERT_EQ(report.broken, "");
  EXPECT_EQ(report.checks.at("chain").exercised.at("sectors_compared"), 0U);
  EXPECT_EQ(report.checks.at("chain").exercised.at("increments"), 0U);
  EXPECT_EQ(report.checks.at("chain").outcome, Outcome::not_run);
}

TEST(Minima, AnUnknownCounterIsBroken) {
  Story story;
  Expectations expectations;
  expectations.minimum["twice.sectors_overwriten"] = 1;
  EXPECT_THAT(story.run(expectations).broken, HasSubstr("not counted"));
}

TEST(Scope, OnlyTheCyclesAskedForAreReported) {
  Story story;
  story.image_lies_at = story.copy_2_lies_at = 9;
  story.start();
  story.hold(1);
  story.image_lies_at = story.copy_2_lies_at = kSectors;
  story.number = 2;
  story.map = {2, 0, 0, 0};
  story.hold(2);
  story.stop();
  const Report second = story.b.judge({}, Scope{2, kAllCycles});
  EXPECT_EQ(second.checks.at("cut").outcome, Outcome::pass) << all(second);
  const Report first = story.b.judge({}, Scope{0, 1});
  EXPECT_EQ(first.checks.at("cut").outcome, Outcome::fail);
  EXPECT_EQ(first.snapshots, 1U);
}

}  // namespace
}  // namespace snapbed::model::test
