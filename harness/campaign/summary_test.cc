// SPDX-License-Identifier: GPL-2.0-or-later
#include "campaign/summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>

namespace snapbed::campaign {
namespace {

using testing::HasSubstr;
using testing::Not;

Ran ran(const std::string& scenario, Count count, const std::string& check = "") {
  Ran out;
  out.scenario = scenario;
  out.variant = "plain";
  out.seed = 7;
  out.count = count;
  out.signature.check = check;
  out.signature.role = check.empty() ? "" : "data";
  out.explanation = check.empty() ? "" : "check " + check + " <of> data0 & more";
  out.repeat = "snapbed run " + scenario + " --seed 7";
  out.folder = "out/stress/x/runs/00001/" + scenario + "/7";
  out.snapshots = 2;
  out.sectors_judged = 100;
  return out;
}

Night night(int passed) {
  Night out;
  out.begun = "2026-11-24 02:00";
  out.hours_wanted = 0.1;
  out.seconds = 360;
  out.seed = 3;
  out.host_cpus = 2;
  out.canary = {"C01-release-on-submit", true, "order", 1, 9, ""};
  for (int i = 0; i < passed; ++i) out.add(ran("storm", Count::pass));
  return out;
}

TEST(Night, GroupsFindingsBySignature) {
  Night some = night(3);
  EXPECT_TRUE(some.add(ran("storm", Count::fail, "cut")));
  EXPECT_FALSE(some.add(ran("ext4-storm", Count::fail, "cut")));
  EXPECT_TRUE(some.add(ran("storm", Count::fail, "map")));
  EXPECT_TRUE(some.add(ran("storm", Count::broken, "cut")));
  EXPECT_FALSE(some.add(ran("storm", Count::interrupted)));
  EXPECT_FALSE(some.add(ran("storm", Count::not_exercised)));
  ASSERT_EQ(some.groups.size(), 3U);
  EXPECT_EQ(some.groups[0].count, 2U);
  EXPECT_EQ(some.groups[0].first.scenario, "storm");
  EXPECT_EQ(some.counts.all(), 8U);
  EXPECT_EQ(some.counts.judged(), 6U);
  EXPECT_EQ(some.snapshots, 2U * 8);
}

TEST(ExitStatus, IsThatOfARun) {
  EXPECT_EQ(exit_status(night(1)), 0);
  EXPECT_EQ(exit_status(night(0)), 3);
  Night blind = night(5);
  blind.canary.caught = false;
  EXPECT_EQ(exit_status(blind), 3);
  Night broken = night(5);
  broken.add(ran("storm", Count::broken, "no-boot"));
  EXPECT_EQ(exit_status(broken), 3);
  Night interrupted = night(5);
  interrupted.interrupted = true;
  EXPECT_EQ(exit_status(interrupted), 130);
  interrupted.add(ran("storm", Count::fail, "cut"));
  EXPECT_EQ(exit_status(interrupted), 1);
}

TEST(TextSummary, OfAGreenNightSaysWhatItMeans) {
  // As a reader sees it, wherever the lines are broken.
  const std::string text = std::regex_replace(text_summary(night(299)), std::regex("\n +"), " ");
  EXPECT_THAT(text, HasSubstr("this night could see a failure"));
  EXPECT_THAT(text, HasSubstr("GREEN: none of 299 judged runs failed"));
  EXPECT_THAT(text, HasSubstr("one run in 100 fails (1.00 %)"));
  EXPECT_THAT(text, Not(HasSubstr("repeat:")));
}

TEST(TextSummary, OfARedNightNamesCountAndRepeatLine) {
  Night red = night(9);
  red.add(ran("storm", Count::fail, "cut"));
  red.groups[0].again = 4;
  red.groups[0].tried = 5;
  const std::string text = text_summary(red);
  EXPECT_THAT(text, HasSubstr("1 x  cut of a data disk"));
  EXPECT_THAT(text, HasSubstr("repeat:  snapbed run storm --seed 7"));
  EXPECT_THAT(text, HasSubstr("fails in 4 of 5 re-runs"));
  EXPECT_THAT(text, HasSubstr("RED: 1 of 10 judged runs failed"));
}

TEST(TextSummary, NeverCallsAnythingElseGreen) {
  Night blind = night(5);
  blind.canary = {"C01", false, "", 5, 60, "storm ended as pass."};
  EXPECT_THAT(text_summary(blind), HasSubstr("This night proves nothing"));
  EXPECT_THAT(text_summary(blind), Not(HasSubstr("GREEN")));
  EXPECT_THAT(text_summary(night(0)), HasSubstr("NOTHING was judged"));
  Night cut_short = night(5);
  cut_short.interrupted = true;
  EXPECT_THAT(text_summary(cut_short), HasSubstr("CUT SHORT"));
}

TEST(JunitSummary, EscapesAndCounts) {
  Night red = night(2);
  red.add(ran("storm", Count::fail, "cut"));
  red.add(ran("ext4-storm", Count::fail, "cut"));
  red.add(ran("xfs-storm", Count::not_exercised));
  red.add(ran("dm", Count::broken, "no-boot"));
  const std::string xml = junit_summary(red);
  EXPECT_THAT(xml, HasSubstr("tests=\"5\" failures=\"2\" errors=\"1\""));
  EXPECT_THAT(xml, HasSubstr("check cut &lt;of&gt; data0 &amp; more"));
  EXPECT_THAT(xml, HasSubstr("<skipped message=\"not exercised\"/>"));
  EXPECT_THAT(xml, HasSubstr("another scenario showed first"));
  EXPECT_THAT(xml, Not(HasSubstr("<of>")));
}

TEST(JsonSummary, HoldsTheNumbers) {
  Night red = night(2);
  red.add(ran("storm", Count::fail, "cut"));
  const auto json = json_summary(red);
  EXPECT_EQ(json["exit_status"], 1);
  EXPECT_EQ(json["runs"]["passed"], 2);
  EXPECT_EQ(json["findings"][0]["check"], "cut");
  EXPECT_EQ(json["findings"][0]["repeat"], "snapbed run storm --seed 7");
  EXPECT_TRUE(json["canary"]["caught"]);
  EXPECT_NEAR(json["failure_rate_bound_95"].get<double>(), 0.8646, 1e-3);
}

TEST(LiveText, FitsALine) {
  const std::string text = live_text(night(41), 753, "storm");
  EXPECT_EQ(text, "0:12:33 of 0:06:00  41 runs: 41 passed, 0 failed, 0 broken  now: storm");
}

}  // namespace
}  // namespace snapbed::campaign
