// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace snapbed::bench {
namespace {

std::vector<Line> lines() {
  Line write{.row = "mixed", .system = System::blksnap};
  write.rounds = 5;
  write.block_bytes = 4096;
  write.operations_per_s = {5000, 4900, 5100};
  write.ratio = Spread{0.7, 0.6, 0.8};
  write.p50_us = 12;
  Line read{.row = "read-clean", .system = System::bare};
  read.rounds = 5;
  read.block_bytes = 256 << 10;
  read.operations_per_s = {8, 7, 9};
  return {write, read};
}

TEST(Report, EveryRowHasItsKeys) {
  const auto json = to_json(lines(), {{"state", 30, 2}}, goals({}, {}, false));
  ASSERT_EQ(json["rows"].size(), 2u);
  for (const char* key : {"name", "ratio_to_bare", "p50_us", "p99_us", "instructions_per_io",
                          "bytes_moved_per_byte", "requests_per_io"})
    for (const auto& row : json["rows"]) EXPECT_TRUE(row.contains(key)) << key;
  EXPECT_EQ(json["rows"][0]["name"], "mixed/blksnap");
  EXPECT_EQ(json["rows"][0]["iops"], 5000);
  EXPECT_EQ(json["rows"][0]["ratio_to_bare"], 0.7);
  EXPECT_TRUE(json["rows"][0]["instructions_per_io"].is_null());
  EXPECT_EQ(json["rows"][1]["bytes_per_s"], 8.0 * (256 << 10));
  EXPECT_TRUE(json["rows"][1]["ratio_to_bare"].is_null());
  EXPECT_EQ(json["memory"][0]["bytes"], 30);
  EXPECT_EQ(json["goals"][0]["judgement"], "-");
}

TEST(Report, TablesSayWhatWasMeasuredAndWhatNot) {
  EXPECT_THAT(table(lines()), testing::HasSubstr("0.70 (0.60-0.80)"));
  EXPECT_THAT(table(lines()), testing::HasSubstr("2 MiB/s"));
  EXPECT_THAT(memory_table({{"state", 30, 2}}), testing::HasSubstr("15.0 bytes each of 2"));
  EXPECT_THAT(goal_table({{"fast", 2, true, Spread{1.5, 1.5, 1.5}}}), testing::HasSubstr("MISSED"));
  EXPECT_THAT(goal_table({{"fast", 2, true, Spread{2, 2, 3}}}), testing::HasSubstr("met"));
  EXPECT_THAT(goal_table({{"fast", 2, true, std::nullopt}}), testing::StartsWith("- "));
}

}  // namespace
}  // namespace snapbed::bench
