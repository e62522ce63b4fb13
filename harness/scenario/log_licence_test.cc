// SPDX-License-Identifier: GPL-2.0-or-later
// Which titles of the kernel log a scenario's own faults explain, and which no scenario does.
#include "scenario/log_licence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>

namespace snapbed::scenario {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const std::vector<std::string> kTitles = {
    "I/O error: READ on vdf",
    "I/O error: WRITE on vdf",
    "I/O error: FLUSH on vdg",
    "I/O error: DISCARD on vdg",
    "I/O error: WRITE on loop0",
    "Buffer I/O error on vdf, async page read",
    "Buffer I/O error on dm-0, lost async page write",
    "Buffer I/O error on blksnap-image0, async page read",
    "access beyond end of device vdf",
    "access beyond end of device vdf, which is gone",
    "access beyond end of device dm-0",
    "Write-error on swap-device",
    "EXT4-fs error in ext4_lookup on vdf",
    "XFS (vdf): log I/O error -5",
};

// Those of `titles` that a scenario with these lines more is licensed to cause.
std::vector<std::string> licensed(const std::string& rules, const std::string& step = "take",
                                  const std::vector<std::string>& titles = kTitles) {
  const Scenario scenario = parse("promise = \"p\"\ncycle = [\"dm_create name=lin\", \"" + step +
                                      "\"]\nrules = [" + rules + R"(]
[[disk]]
name = "data0"
size = "64M"
[[linear]]
name = "lin"
disk = "data0"
size = "32M"
)",
                                  "licences.toml", "/nonexistent");
  std::vector<std::string> found;
  for (const std::string& title : titles) {
    for (const std::string& licence : licensed_log(scenario)) {
      if (!std::regex_search(title, std::regex(licence))) continue;
      found.push_back(title);
      break;
    }
  }
  return found;
}

TEST(LogLicence, WithoutFaultsThereIsNone) {
  EXPECT_THAT(licensed(""), IsEmpty());
  EXPECT_THAT(licensed("\"hold read of data0 first within=200ms\", \"delay any of data0 for=5ms\""),
              IsEmpty());
}

// A module whose images take requests has the block layer say what the reader is told.
TEST(LogLicence, IsForWhatAnImageRefuses) {
  EXPECT_THAT(
      licensed("", "take",
               {"I/O error: READ on blksnap-image0", "I/O error: WRITE on blksnap-image12",
                "I/O error: READ on blksnap-image0p1"}),
      ElementsAre("I/O error: READ on blksnap-image0", "I/O error: WRITE on blksnap-image12"));
}

TEST(LogLicence, IsForTheOperationsThatFail) {
  EXPECT_THAT(licensed("\"fail read of data0 nth=3\""),
              ElementsAre("I/O error: READ on vdf", "Buffer I/O error on vdf, async page read"));
  EXPECT_THAT(
      licensed("\"tear write of data0 nth=3\""),
      ElementsAre("I/O error: WRITE on vdf", "Buffer I/O error on dm-0, lost async page write"));
  EXPECT_THAT(licensed("\"fail trim,flush of data0 nth=3\""),
              ElementsAre("I/O error: FLUSH on vdg", "I/O error: DISCARD on vdg"));
}

TEST(LogLicence, IsForAllWhereADiskIsGone) {
  const auto all =
      ElementsAre("I/O error: READ on vdf", "I/O error: WRITE on vdf", "I/O error: FLUSH on vdg",
                  "I/O error: DISCARD on vdg", "Buffer I/O error on vdf, async page read",
                  "Buffer I/O error on dm-0, lost async page write");
  EXPECT_THAT(licensed("\"disconnect write of data0 nth=3\""), all);
  EXPECT_THAT(licensed("\"fail any of data0 nth=3\""), all);
  const std::vector<std::string> here = licensed("", "unplug device=data0");
  EXPECT_THAT(here, Contains("access beyond end of device vdf, which is gone"));
  EXPECT_THAT(std::vector<std::string>(here.begin(), here.end() - 1), all);
}

TEST(LogLicence, IsForTheEndOfADeviceThatShrinks) {
  EXPECT_THAT(licensed("", "dm_reload name=lin size=16M"),
              ElementsAre("access beyond end of device dm-0"));
  EXPECT_THAT(licensed("", "dm_reload name=lin size=48M"), IsEmpty());
  EXPECT_THAT(licensed("", "dm_reload name=lin size=48M\", \"dm_reload name=lin size=32M"),
              ElementsAre("access beyond end of device dm-0"));
}

TEST(LogLicence, IsForACommandThatReadsAnImageOverItsEnd) {
  EXPECT_THAT(licensed("", "run command=/dev/blksnap-image0"), IsEmpty());
  EXPECT_THAT(licensed("", "run command=/dev/blksnap-image0\", \"destroy"),
              ElementsAre("Buffer I/O error on blksnap-image0, async page read"));
}

}  // namespace
}  // namespace snapbed::scenario
