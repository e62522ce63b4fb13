// SPDX-License-Identifier: GPL-2.0-or-later
// Plans come back as written, wrong ones are refused with the place, and ranges are functions.
#include "plan/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace snapbed::plan {
namespace {

using testing::HasSubstr;

Plan example() {
  Plan plan;
  plan.seed = 0xfedcba9876543210ULL;
  plan.scenario = "smoke/storm";
  plan.devices["data0"] = {"/dev/snapbed/data0", "data0", 0, 524288, 0, {}, {}};
  plan.devices["linear0"] = {"/dev/mapper/linear0", "data0", 2048, 20480, 0, {}, {}};
  plan.devices["mirror"] = {"/dev/md0", "data0", 0, 524288, 0, {}, {"data0", "data1"}};
  plan.devices["crypt"] = {"/dev/mapper/crypt", "", 0, 524288, 0, {}, {"data0"}};
  plan.devices["stripes"] = {"/dev/md1",        "", 0, 1048576, 128, {{"data0", 8}, {"data1", 0}},
                             {"data0", "data1"}};
  plan.module_parameters["chunk_minimum_shift"] = "18";
  plan.steps.push_back({0, 0, "insmod", nlohmann::json::object(), {0}});
  plan.steps.push_back({1, 1, "create", {{"snapshot", "s"}, {"devices", {"data0"}}}, {0, 16}});
  return plan;
}

// The message from_text() gives for the example with one JSON pointer set to `value`.
std::string complaint(const std::string& pointer, const nlohmann::json& value) {
  auto document = nlohmann::json::parse(to_text(example()));
  document[nlohmann::json::json_pointer(pointer)] = value;
  try {
    from_text(document.dump());
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Plan, ComesBackAsWritten) {
  const Plan plan = example();
  const Plan back = from_text(to_text(plan));
  EXPECT_EQ(back.seed, plan.seed);
  EXPECT_EQ(back.scenario, plan.scenario);
  EXPECT_EQ(back.devices.at("linear0").path, "/dev/mapper/linear0");
  EXPECT_EQ(back.devices.at("linear0").first, 2048u);
  EXPECT_EQ(back.devices.at("linear0").sectors, 20480u);
  EXPECT_EQ(back.devices.at("linear0").below, std::vector<std::string>{"data0"});
  EXPECT_EQ(back.devices.at("mirror").below, (std::vector<std::string>{"data0", "data1"}));
  EXPECT_EQ(back.devices.at("stripes").stripe_sectors, 128u);
  ASSERT_EQ(back.devices.at("stripes").stripes.size(), 2u);
  EXPECT_EQ(back.devices.at("stripes").stripes[0].first, 8u);
  EXPECT_EQ(back.devices.at("stripes").stripes[1].disk, "data1");
  EXPECT_EQ(back.module_parameters, plan.module_parameters);
  ASSERT_EQ(back.steps.size(), 2u);
  EXPECT_EQ(back.steps[1].op, "create");
  EXPECT_EQ(back.steps[1].args, plan.steps[1].args);
  EXPECT_EQ(back.steps[1].expect, plan.steps[1].expect);
  EXPECT_EQ(to_text(back), to_text(plan));
}

TEST(Plan, WhatIsWrongIsNamedWithItsPlace) {
  EXPECT_THAT(complaint("/version", 2), HasSubstr("version"));
  EXPECT_THAT(complaint("/sceanrio", "x"), HasSubstr("sceanrio"));
  EXPECT_THAT(complaint("/seed", -1), HasSubstr("seed"));
  EXPECT_THAT(complaint("/devices/data0/sectors", "many"), HasSubstr("devices.data0.sectors"));
  EXPECT_THAT(complaint("/devices/data0/colour", 1), HasSubstr("colour"));
  EXPECT_THAT(complaint("/module_parameters/chunk_minimum_shift", 18),
              HasSubstr("module_parameters.chunk_minimum_shift"));
  EXPECT_THAT(complaint("/steps/1/id", 5), HasSubstr("steps[1]"));
  EXPECT_THAT(complaint("/steps/1/op", "creat"), HasSubstr("creat"));
  EXPECT_THAT(complaint("/steps/1/args", 3), HasSubstr("steps[1].args"));
  EXPECT_THAT(complaint("/steps/1/expect", nlohmann::json::array()), HasSubstr("steps[1].expect"));
  EXPECT_THAT(complaint("/steps/1/expect", {0, -16}), HasSubstr("steps[1].expect"));
  EXPECT_THAT(complaint("/devices/stripes/stripes/sectors", 0), HasSubstr("devices.stripes"));
  EXPECT_THAT(complaint("/devices/stripes/disk", "data0"), HasSubstr("devices.stripes"));
  EXPECT_THAT(complaint("/devices/crypt/below", 1), HasSubstr("devices.crypt.below"));
  EXPECT_THAT(complaint("/scenario", "another"), testing::StrEq("accepted"));
}

TEST(Plan, MissingKeysAndBrokenTextAreRefused) {
  auto document = nlohmann::json::parse(to_text(example()));
  document.erase("devices");
  EXPECT_THROW(from_text(document.dump()), std::runtime_error);
  EXPECT_THROW(from_text(to_text(example()).substr(0, 100)), std::runtime_error);
  EXPECT_THROW(from_text(""), std::runtime_error);
}

TEST(PlanDisk, HoldsTheTextInWholeSectors) {
  for (const std::size_t length : {0u, 1u, 511u, 512u, 513u, 4096u}) {
    const std::string source(length, 'j');
    const auto disk = to_disk(source);
    EXPECT_EQ(disk.size() % 512, 0u);
    EXPECT_EQ(disk.size(), 512 + (length + 511) / 512 * 512);
    EXPECT_EQ(disk_text_length(std::span(disk).first(512)), length);
    EXPECT_EQ(from_disk(disk), source);
  }
}

TEST(PlanDisk, DamageIsNoticed) {
  const auto good = to_disk(to_text(example()));
  EXPECT_NO_THROW(from_disk(good));
  for (const std::size_t at : {0u, 8u, 16u, 24u, 600u}) {
    auto bad = good;
    bad[at] ^= 1;
    EXPECT_THROW(from_disk(bad), std::runtime_error) << "byte " << at;
  }
  EXPECT_THROW(from_disk(std::span(good).first(good.size() - 512)), std::runtime_error);
  EXPECT_THROW(from_disk(std::span(good).first(100)), std::runtime_error);
  auto huge = good;
  huge[21] = 1;
  EXPECT_THROW(disk_text_length(huge), std::runtime_error);
}

TEST(ScatteredRanges, LieInsideAndAreAFunctionOfTheirArguments) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const auto ranges = scattered_ranges(seed, 4, 1000, 50, 64);
    ASSERT_EQ(ranges.size(), 50u);
    for (const Range& range : ranges) {
      EXPECT_GE(range.count, 1u);
      EXPECT_LE(range.count, 64u);
      EXPECT_LE(range.first + range.count, 1000u);
    }
    const auto again = scattered_ranges(seed, 4, 1000, 50, 64);
    EXPECT_TRUE(std::equal(ranges.begin(), ranges.end(), again.begin(), [](auto& a, auto& b) {
      return a.first == b.first && a.count == b.count;
    }));
  }
}

TEST(ScatteredRanges, ReachBothEndsAndDifferBetweenStepsAndSeeds) {
  bool first = false;
  bool last = false;
  for (const Range& range : scattered_ranges(1, 1, 64, 4000, 8)) {
    first = first || range.first == 0;
    last = last || range.first + range.count == 64;
  }
  EXPECT_TRUE(first);
  EXPECT_TRUE(last);
  const auto base = scattered_ranges(1, 1, 1 << 20, 4, 8);
  EXPECT_NE(base[0].first, scattered_ranges(1, 2, 1 << 20, 4, 8)[0].first);
  EXPECT_NE(base[0].first, scattered_ranges(2, 1, 1 << 20, 4, 8)[0].first);
}

TEST(ScatteredRanges, ADiskSmallerThanTheLongestRangeIsNotOverrun) {
  for (const Range& range : scattered_ranges(9, 9, 3, 100, 1000)) {
    EXPECT_LE(range.first + range.count, 3u);
  }
  EXPECT_THROW(scattered_ranges(1, 1, 0, 1, 1), std::runtime_error);
  EXPECT_THROW(scattered_ranges(1, 1, 1, 1, 0), std::runtime_error);
}

TEST(WrittenRanges, StayInTheirWindowAndUnit) {
  const Step step{
      3,
      1,
      "write",
      {{"writes", 400}, {"max_sectors", 64}, {"first", 800}, {"count", 96}, {"unit", 8}},
      {0}};
  bool last = false;
  for (const Range& range : written_ranges(1, step, 1000)) {
    EXPECT_EQ(range.first % 8 + range.count % 8, 0u);
    EXPECT_GE(range.first, 800u);
    EXPECT_LE(range.first + range.count, 896u);
    last = last || range.first + range.count == 896;
  }
  EXPECT_TRUE(last);
  for (const Range& range : written_ranges(1, step, 850))
    EXPECT_LE(range.first + range.count, 848u);
  EXPECT_THROW(written_ranges(1, step, 807), std::runtime_error);
  const Step whole{3, 1, "write", {{"writes", 4}, {"max_sectors", 64}}, {0}};
  EXPECT_EQ(written_ranges(1, whole, 1000)[2].first, scattered_ranges(1, 3, 1000, 4, 64)[2].first);
}

TEST(Ops, OnlyListedNamesAreSteps) {
  EXPECT_TRUE(is_op("copy_image"));
  EXPECT_TRUE(is_op("cycle_end"));
  EXPECT_FALSE(is_op(""));
  EXPECT_FALSE(is_op("copy"));
}

}  // namespace
}  // namespace snapbed::plan
