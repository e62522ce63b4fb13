// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/summary.h"

#include <gtest/gtest.h>

namespace snapbed::bench {
namespace {

Sample sample(System system, std::uint32_t round, std::uint64_t ns, std::uint64_t instructions) {
  Sample one;
  one.row = "mixed";
  one.system = system;
  one.round = round;
  one.operations = 1000;
  one.bytes = 4096000;
  one.ns = ns;
  one.settled_ns = ns * 2;
  one.p50_ns = 2000;
  one.p99_ns = 9000;
  one.moved_bytes = 4096000 * 3;
  one.copied_bytes = 2048000;
  one.requests = 3500;
  one.instructions = instructions;
  return one;
}

TEST(Spread, IsTheMiddleAndTheEnds) {
  const Spread odd = spread({5, 1, 3});
  EXPECT_EQ(odd.median, 3);
  EXPECT_EQ(odd.least, 1);
  EXPECT_EQ(odd.most, 5);
  EXPECT_EQ(spread({4, 1, 2, 9}).median, 3);
  EXPECT_EQ(spread({7}).median, 7);
}

TEST(Summary, RatiosArePairedWithinARound) {
  // The host is twice as slow in round 1: the medians' quotient would be 0.5 or 1, no pair's is.
  const std::vector<Sample> wall = {
      sample(System::bare, 0, 1'000'000, 0),    sample(System::bare, 1, 2'000'000, 0),
      sample(System::bare, 2, 1'000'000, 0),    sample(System::blksnap, 0, 1'250'000, 0),
      sample(System::blksnap, 1, 2'500'000, 0), sample(System::blksnap, 2, 2'000'000, 0)};
  const auto lines = summarize(wall, {});
  const Line* line = find(lines, "mixed", System::blksnap);
  ASSERT_NE(line, nullptr);
  ASSERT_TRUE(line->ratio.has_value());
  EXPECT_DOUBLE_EQ(line->ratio->median, 0.8);
  EXPECT_DOUBLE_EQ(line->ratio->least, 0.5);
  EXPECT_DOUBLE_EQ(line->ratio->most, 0.8);
  EXPECT_EQ(line->rounds, 3u);
  EXPECT_DOUBLE_EQ(line->operations_per_s.median, 500'000);
  EXPECT_DOUBLE_EQ(line->moved_per_byte, 3);
  EXPECT_DOUBLE_EQ(line->requests_per_operation, 3.5);
  EXPECT_DOUBLE_EQ(line->copies_per_operation, 0.5);
  EXPECT_DOUBLE_EQ(line->p50_us, 2);
  EXPECT_FALSE(line->instructions_ratio.has_value());
}

TEST(Summary, InstructionsAreOfTheOtherMachine) {
  const std::vector<Sample> counted = {sample(System::bare, 0, 1, 10'000'000),
                                       sample(System::tracked, 0, 1, 10'100'000),
                                       sample(System::blksnap, 0, 1, 20'000'000)};
  const auto lines = summarize({}, counted);
  const Line* line = find(lines, "mixed", System::blksnap);
  ASSERT_NE(line, nullptr);
  EXPECT_EQ(line->rounds, 0u);
  EXPECT_DOUBLE_EQ(line->instructions, 20'000);
  ASSERT_TRUE(line->instructions_ratio.has_value());
  EXPECT_DOUBLE_EQ(line->instructions_ratio->median, 2);
  EXPECT_FALSE(line->ratio.has_value());
}

TEST(Summary, ARoundWithoutTheBareDeviceGivesNoRatio) {
  const auto lines =
      summarize({sample(System::bare, 0, 1'000, 0), sample(System::dm4, 1, 1'000, 0)}, {});
  const Line* line = find(lines, "mixed", System::dm4);
  ASSERT_NE(line, nullptr);
  EXPECT_FALSE(line->ratio.has_value());
}

}  // namespace
}  // namespace snapbed::bench
