// SPDX-License-Identifier: GPL-2.0-or-later
// Storage on the captured device: journals made by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/journal_builder.h"

namespace snapbed::model::test {
namespace {

using journal::Role;
using ::testing::HasSubstr;

constexpr std::uint64_t kSectors = 64;

std::uint64_t zero() {
  return journal::sector_hash(journal::SectorBytes{});
}

// A disk of 64 sectors is written, captured, and keeps old data in two places of its own: [16, +8)
// appended before TAKE, [32, +8) after it. Old data go to the first two sectors of each.
struct Story {
  Story() {
    data = b.disk("data0", Role::data, kSectors);
    evidence = b.disk("evidence", Role::evidence, 256);
    const std::uint16_t scratch = b.disk("scratch", Role::scratch, 512);
    b.plan.module_parameters["diff_storage_minimum"] = "1";
    b.selftest("scratch", scratch);
    const std::uint32_t id = b.call("write", {{"device", "data0"}, {"ranges", {{0, kSectors}}}});
    for (std::uint64_t s = 0; s < kSectors; ++s) image.push_back(b.pattern(id, s));
    b.write(data, 0, image);
    b.done(id);
    b.done(b.call("create", {{"snapshot", "s"}, {"devices", {"data0"}}}));
    append(16, 0);
    b.done(b.call("take", {{"snapshot", "s"}}));
    append(32, 0);
    b.write(data, 16, {image[0], image[1]});
    b.write(data, 32, {image[2], image[3]});
    for (std::uint64_t s = 16; s < 24; ++s) image[s] = zero();
  }

  void append(std::uint64_t first, int result) {
    const Json ranges = {{first, 8}};
    b.done(b.call("append", {{"snapshot", "s"}, {"device", "data0"}, {"ranges", ranges}}, {result}),
           {{"result", result}});
  }

  Report judge() {
    const std::uint32_t id =
        b.call("copy_image", {{"snapshot", "s"}, {"device", "data0"}, {"base", 0}});
    if (bad) {
      b.write(evidence, 0, {image.begin(), image.begin() + static_cast<std::ptrdiff_t>(*bad)});
      b.write(evidence, *bad + 8,
              {image.begin() + static_cast<std::ptrdiff_t>(*bad) + 8, image.end()});
      b.mark(plan::MarkKind::read_error, id,
             {{"device", "data0"}, {"first", *bad}, {"count", 8}, {"error", 5}});
    } else {
      b.write(evidence, 0, image);
    }
    b.done(id);
    b.done(b.call("destroy", {{"snapshot", "s"}}));
    b.mark(plan::MarkKind::done, 0);
    return b.judge();
  }

  JournalBuilder b;
  std::uint16_t data = 0, evidence = 0;
  std::vector<std::uint64_t> image;
  std::optional<std::uint64_t> bad;  // eight sectors from here on cannot be read
};

std::string all(const Report& report) {
  std::string text = report.broken;
  for (const Finding& finding : report.checks.at("cut").findings) text += finding.text + "\n";
  return text;
}

TEST(Hidden, ZeroesAndWhatTheSectorsHeldAtTakeAreRight) {
  Story story;
  const Report report = story.judge();
  EXPECT_EQ(report.checks.at("cut").outcome, Outcome::pass) << all(report);
  EXPECT_EQ(report.checks.at("cut").exercised.at("hidden_sectors"), 16U);
}

TEST(Hidden, OnlyStorageOfAfterTheTakeMayReadAsAnError) {
  for (const std::uint64_t first : {std::uint64_t{16}, std::uint64_t{32}}) {
    Story story;
    story.bad = first;
    const auto found = story.judge().checks.at("cut").findings;
    ASSERT_EQ(found.size(), first == 16 ? 1U : 0U);
    if (first == 16) {
      EXPECT_THAT(found[0].text, HasSubstr("Image sectors [16, +8) of data0 read with error 5"));
    }
  }
}

TEST(Hidden, OldDataInStorageOfBeforeTheTakeAreFound) {
  Story story;
  story.image[17] = story.image[1];
  EXPECT_THAT(all(story.judge()), HasSubstr("Sector 17 of the image of data0 is storage"));
}

TEST(Hidden, WhatStorageOfBeforeTheTakeHeldThenIsFound) {
  Story story;
  story.image[20] = story.b.pattern(1, 20);
  EXPECT_THAT(all(story.judge()), HasSubstr("has to read as zeroes"));
}

TEST(Hidden, OldDataInStorageOfAfterTheTakeAreFound) {
  Story story;
  story.image[33] = story.image[3];
  EXPECT_THAT(all(story.judge()), HasSubstr("has to show what it held then, or fail"));
}

TEST(Hidden, AnAppendThatFailedHidesNothing) {
  Story story;
  story.append(48, 22);
  story.image[50] = zero();
  const Report report = story.judge();
  EXPECT_EQ(report.checks.at("cut").outcome, Outcome::fail) << all(report);
  EXPECT_EQ(report.checks.at("cut").exercised.at("hidden_sectors"), 16U);
}

}  // namespace
}  // namespace snapbed::model::test
