// SPDX-License-Identifier: GPL-2.0-or-later
#include "campaign/keep.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "base/file.h"

namespace snapbed::campaign {
namespace {

namespace fs = std::filesystem;

Kept kept(const std::string& check, std::uint64_t bytes) {
  return {{check, "data", ""}, "", bytes, false};
}

TEST(ToStrip, NothingWithinTheBudget) {
  EXPECT_TRUE(to_strip({}, 0).empty());
  EXPECT_TRUE(to_strip({kept("cut", 5), kept("map", 5)}, 10).empty());
}

TEST(ToStrip, TheYoungestRepetitionGoesFirst) {
  const std::vector<Kept> all{kept("cut", 4), kept("cut", 4), kept("map", 4), kept("cut", 4)};
  EXPECT_EQ(to_strip(all, 15), (std::vector<std::size_t>{3}));
  EXPECT_EQ(to_strip(all, 8), (std::vector<std::size_t>{3, 1}));
  EXPECT_EQ(to_strip(all, 7), (std::vector<std::size_t>{3, 1, 2}));
  EXPECT_EQ(to_strip(all, 0), (std::vector<std::size_t>{3, 1, 2, 0}));
}

TEST(ToStrip, NothingIsStrippedTwice) {
  std::vector<Kept> all{kept("cut", 4), kept("cut", 1)};
  all[1].stripped = true;
  EXPECT_EQ(to_strip(all, 4), (std::vector<std::size_t>{0}));
}

TEST(Strip, LeavesWhatPeopleRead) {
  char name[] = "/tmp/snapbed-keep-XXXXXX";
  ASSERT_NE(::mkdtemp(name), nullptr);
  const fs::path folder = name;
  fs::create_directories(folder / "storm/7");
  for (const char* file : {"verdict.json", "console.log", "journal-000000.seg", "files.img"})
    base::write_file(folder / "storm/7" / file, std::string(10000, 'x'));
  EXPECT_GE(occupied(folder), 40000U);
  strip(folder);
  EXPECT_TRUE(fs::exists(folder / "storm/7/verdict.json"));
  EXPECT_TRUE(fs::exists(folder / "storm/7/console.log"));
  EXPECT_FALSE(fs::exists(folder / "storm/7/journal-000000.seg"));
  EXPECT_FALSE(fs::exists(folder / "storm/7/files.img"));
  EXPECT_LT(occupied(folder), 40000U);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace snapbed::campaign
