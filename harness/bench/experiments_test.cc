// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/experiments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <stdexcept>

namespace snapbed::bench {
namespace {

const Phase& phase(const std::string& row) {
  for (const Experiment& experiment : experiments())
    for (const Phase& one : experiment.phases)
      if (one.row == row) return one;
  throw std::runtime_error(row);
}

TEST(Experiments, FirstTouchesHitEveryLargestChunkOnce) {
  const auto dealt = offsets(phase("first-touch"), kWideBytes, 3, false, 1);
  ASSERT_EQ(dealt.size(), 1u);
  std::set<std::uint64_t> units;
  for (const std::uint64_t offset : dealt[0]) {
    EXPECT_EQ(offset % kUnitBytes, 0u);
    units.insert(offset / kUnitBytes);
  }
  EXPECT_EQ(units.size(), dealt[0].size());
  EXPECT_EQ(units.size(), kWideBytes / kUnitBytes);
  EXPECT_FALSE(std::is_sorted(dealt[0].begin(), dealt[0].end()));
}

TEST(Experiments, ARewriteTouchesWhatWasTouched) {
  EXPECT_EQ(offsets(phase("mixed"), kOriginBytes, 2, false, 1),
            offsets(phase("rewrite"), kOriginBytes, 2, false, 1));
  EXPECT_NE(offsets(phase("mixed"), kOriginBytes, 2, false, 1),
            offsets(phase("mixed"), kOriginBytes, 3, false, 1));
}

TEST(Experiments, BlocksAreDealtOutAmongTheWriters) {
  const auto dealt = offsets(phase("write-2x32"), kOriginBytes, 0, false, 4);
  ASSERT_EQ(dealt.size(), 2u);
  EXPECT_EQ(dealt[0].size(), 2000u);
  EXPECT_EQ(dealt[1].size(), 2000u);
}

TEST(Experiments, AnImageIsReadFromItsBeginningToItsEnd) {
  const auto dealt = offsets(phase("read-clean"), kOriginBytes, 0, false, 1);
  ASSERT_EQ(dealt[0].size(), kOriginBytes / (256 << 10));
  EXPECT_EQ(dealt[0].front(), 0u);
  EXPECT_EQ(dealt[0].back(), kOriginBytes - (256 << 10));
  EXPECT_EQ(offsets(phase("read-clean"), kOriginBytes, 0, true, 1)[0].size(), 512u);
  EXPECT_EQ(offsets(phase("read-clean"), kOriginBytes, 0, false, 8)[0].size(), 256u);
}

TEST(Experiments, AWrongNameIsToldAmongTheRightOnes) {
  EXPECT_EQ(wrong_names("write"), "");
  EXPECT_EQ(wrong_names("memory,first-touch,read-half"), "");
  EXPECT_THAT(wrong_names("write,reed-half"),
              testing::AllOf(testing::HasSubstr("'reed-half'"), testing::HasSubstr("read-half")));
  EXPECT_NE(wrong_names(""), "");
  EXPECT_NE(wrong_names("write,"), "");
}

TEST(Experiments, NobodyIsAlwaysFirst) {
  using enum System;
  EXPECT_THAT(rotated({bare, dm4, dm64}, 0), testing::ElementsAre(bare, dm4, dm64));
  EXPECT_THAT(rotated({bare, dm4, dm64}, 4), testing::ElementsAre(dm4, dm64, bare));
}

TEST(Experiments, SystemsComeBackFromTheirNames) {
  using enum System;
  for (const System system : {bare, tracked, blksnap, dm4, dm64, dm4_kept})
    EXPECT_EQ(system_from(to_string(system)), system);
  EXPECT_THROW(system_from("zfs"), std::runtime_error);
}

}  // namespace
}  // namespace snapbed::bench
