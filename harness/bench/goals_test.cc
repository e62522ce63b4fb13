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
  for (const Goal& one : goals({}, {})) {
    EXPECT_FALSE(one.value.has_value()) << one.what;
    EXPECT_FALSE(one.met()) << one.what;
  }
}

TEST(Goals, AreComparedWithTheBetterOfTheOthers) {
  const std::vector<Line> lines = {
      line("first-touch", System::blksnap, 0.66), line("first-touch", System::dm4, 0.4),
      line("first-touch", System::dm64, 0.55), line("read-random", System::blksnap, 0.2),
      line("read-random", System::dm4, 0.05)};
  const auto all = goals(lines, {});
  EXPECT_TRUE(goal(all, "first touch, speed").met());
  const Goal better = goal(all, "first touch, speed, to the better dm-snapshot");
  ASSERT_TRUE(better.value.has_value());
  EXPECT_NEAR(*better.value, 1.2, 1e-9);
  EXPECT_FALSE(better.met());
  EXPECT_TRUE(goal(all, "image read after random writes, speed, to dm-snapshot 4 KiB").met());
  EXPECT_NEAR(goal(all, "bytes moved by a first touch, to the least possible").value.value_or(0),
              1.1, 1e-9);
}

TEST(Goals, MemoryIsJudgedByTheBlock) {
  const auto all =
      goals({}, {{kStateDense, 1610, 10}, {kStateSparse, 1600, 10}, {kTakeHuge, 1, 1}});
  EXPECT_FALSE(goal(all, "bytes of state of a saved 4 KiB, one in 256 KiB").met());
  EXPECT_TRUE(goal(all, "bytes of state of a saved 4 KiB, one in 16 MiB").met());
  EXPECT_TRUE(goal(all, "MiB at take of 16 TiB, beside map and bitmap").met());
}

}  // namespace
}  // namespace snapbed::bench
