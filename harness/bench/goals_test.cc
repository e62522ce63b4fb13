// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/goals.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace snapbed::bench {
namespace {

Goal goal(const std::vector<Goal>& all, const std::string& what) {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Goal& one) { return one.what == what; });
  return found == all.end() ? Goal{} : *found;
}

Line line(const std::string& row, System system, double ratio) {
  Line one{.row = row, .system = system};
  one.rounds = 5;
  one.ratio = Spread{ratio, ratio, ratio};
  one.instructions_ratio = Spread{1 / ratio, 1 / ratio, 1 / ratio};
  one.moved_per_byte = 3.3;
  return one;
}

TEST(Goals, WhatWasNotMeasuredIsNotMet) {
  for (const bool loaded : {false, true})
    for (const Goal& one : goals({}, {}, loaded))
      EXPECT_EQ(one.judgement(), Judgement::not_measured) << one.what;
}

TEST(Goals, RoundsThatDisagreeLeaveAGoalOpen) {
  const Goal most{.what = "", .bound = 2, .at_least = false, .value = Spread{1.5, 1, 2}};
  EXPECT_EQ(most.judgement(), Judgement::met);
  const Goal least{.what = "", .bound = 2, .at_least = true, .value = Spread{1.5, 1, 2}};
  EXPECT_EQ(least.judgement(), Judgement::open);
  const Goal far{.what = "", .bound = 3, .at_least = true, .value = Spread{1.5, 1, 2}};
  EXPECT_EQ(far.judgement(), Judgement::missed);
}

TEST(Goals, ASpeedOnALoadedHostProvesNothing) {
  const std::vector<Line> lines = {line("first-touch", System::blksnap, 0.3),
                                   line("write-1x1", System::tracked, 0.5)};
  EXPECT_EQ(goal(goals(lines, {}, false), "first touch, speed").judgement(), Judgement::missed);
  const auto loaded = goals(lines, {}, true);
  EXPECT_EQ(goal(loaded, "first touch, speed").judgement(), Judgement::open);
  EXPECT_EQ(goal(loaded, "tracked only, instructions, depth 1").judgement(), Judgement::missed);
  EXPECT_EQ(goal(loaded, "bytes moved by a first touch, to the least possible").judgement(),
            Judgement::met);
}

TEST(Goals, AreComparedWithTheBetterOfTheOthers) {
  const std::vector<Line> lines = {
      line("first-touch", System::blksnap, 0.66), line("first-touch", System::dm4, 0.4),
      line("first-touch", System::dm64, 0.55), line("read-random", System::blksnap, 0.2),
      line("read-random", System::dm4, 0.05)};
  const auto all = goals(lines, {}, false);
  EXPECT_EQ(goal(all, "first touch, speed").judgement(), Judgement::met);
  const Goal better = goal(all, "first touch, speed, to the better dm-snapshot");
  ASSERT_TRUE(better.value.has_value());
  EXPECT_NEAR(better.value->median, 1.2, 1e-9);
  EXPECT_EQ(better.judgement(), Judgement::missed);
  EXPECT_EQ(goal(all, "image read after random writes, speed, to dm-snapshot 4 KiB").judgement(),
            Judgement::met);
  const Goal moved = goal(all, "bytes moved by a first touch, to the least possible");
  ASSERT_TRUE(moved.value.has_value());
  EXPECT_NEAR(moved.value->median, 1.1, 1e-9);
}

TEST(Goals, MemoryIsJudgedByTheBlock) {
  const auto all =
      goals({}, {{kStateDense, 1610, 10}, {kStateSparse, 1600, 10}, {kTakeHuge, 1, 1}}, true);
  EXPECT_EQ(goal(all, "bytes of state of a saved 4 KiB, one in 256 KiB").judgement(),
            Judgement::missed);
  EXPECT_EQ(goal(all, "bytes of state of a saved 4 KiB, one in 16 MiB").judgement(),
            Judgement::met);
  EXPECT_EQ(goal(all, "MiB at take of 16 TiB, beside map and bitmap").judgement(), Judgement::met);
}

}  // namespace
}  // namespace snapbed::bench
