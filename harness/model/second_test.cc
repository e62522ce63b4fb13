// SPDX-License-Identifier: GPL-2.0-or-later
// The check `second` against runs made by hand, in which QEMU was asked right before each take.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/judge.h"
#include "model/test_story.h"

namespace snapbed::model::test {
namespace {

using testing::HasSubstr;

TEST(Second, AnHonestImageAgrees) {
  Story story;
  Witnesses witnesses(story);
  const Report report = story.run(witnesses.expectations());
  EXPECT_EQ(all(report), "");
  const CheckResult& second = report.checks.at("second");
  EXPECT_EQ(second.outcome, Outcome::pass) << second.reason;
  EXPECT_EQ(second.exercised.at("images"), 2U);
  EXPECT_EQ(second.exercised.at("sectors_compared"), 2 * kSectors);
}

TEST(Second, AnImageThatLiesIsFound) {
  Story story;
  Witnesses witnesses(story);
  story.copy_2_lies_at = 9;
  const Report report = story.run(witnesses.expectations());
  EXPECT_EQ(report.broken, "");
  EXPECT_THAT(report.checks.at("second").findings.at(0).text,
              HasSubstr("has 1 sectors otherwise than the image"));
}

TEST(Second, AMapThatLosesAChangeIsFound) {
  for (const bool loses : {false, true}) {
    Story story;
    Witnesses witnesses(story);
    story.start();
    story.hold(1);
    story.number = 2;
    story.map = {static_cast<std::uint8_t>(loses ? 1 : 2), 0, 0, 0};
    story.hold(2);
    story.stop();
    const Report report = story.b.judge(witnesses.expectations());
    EXPECT_EQ(report.broken, "");
    const CheckResult& second = report.checks.at("second");
    EXPECT_EQ(second.outcome, loses ? Outcome::fail : Outcome::pass) << all(report);
    EXPECT_EQ(second.exercised.at("maps"), 1U);
    EXPECT_EQ(second.exercised.at("blocks_changed"), 1U);
    if (loses) {
      EXPECT_THAT(second.findings.at(0).text, HasSubstr("calls block 0 of data0 changed"));
    }
  }
}

TEST(Second, AQemuThatContradictsTheJournalMakesItBroken) {
  Story story;
  Witnesses witnesses(story);
  witnesses.lies_at = 100;
  EXPECT_THAT(story.run(witnesses.expectations()).broken, HasSubstr("disagree on sector 100"));
}

TEST(Second, WithoutQuietItDidNotRun) {
  Story story;
  Witnesses witnesses(story);
  story.in_take = [&] {
    story.write(300, 1, 0x77);
    story.image = story.content;
  };
  const Report report = story.run(witnesses.expectations());
  EXPECT_EQ(report.checks.at("second").outcome, Outcome::not_run);
  EXPECT_THAT(report.checks.at("second").reason, HasSubstr("not quiet"));
}

TEST(Second, DoesNotRunWhereNobodyIsAsked) {
  Story story;
  EXPECT_FALSE(story.run().checks.contains("second"));
}

}  // namespace
}  // namespace snapbed::model::test
