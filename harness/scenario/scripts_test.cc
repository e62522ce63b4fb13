// SPDX-License-Identifier: GPL-2.0-or-later
// The scripts are those that are promised, and the scenario made of them is one.
#include "scenario/scripts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <numeric>
#include <set>

#include "scenario/scenario.h"

namespace snapbed::scenario {
namespace {

using ::testing::UnorderedElementsAre;

TEST(Scripts, AreAllOfThemOnce) {
  std::set<std::string> texts;
  std::size_t single = 0;
  std::size_t pairs = 0;
  for (const Script& script : all_scripts()) {
    texts.insert(to_string(script));
    (script.actors.size() == 1 ? single : pairs) += 1;
  }
  EXPECT_EQ(texts.size(), all_scripts().size());
  // Sequences with a take: 12^n - 11^n. Pairs: 144 * 145 / 2, without those of the 121 without one.
  EXPECT_EQ(single, (12U + 144 + 1728) + (1U + 23 + 397));
  EXPECT_EQ(pairs, 10440U + (10440 - 121 * 122 / 2));
}

TEST(Scripts, ResultsAreThoseOfSomeInterleaving) {
  const auto alone = possible_results(Start::held, {{{"destroy", "s"}, {"copy_image", "s"}}});
  EXPECT_EQ(alone[0][0], std::vector<int>{0});
  EXPECT_EQ(alone[0][1], std::vector<int>{ENOENT});
  const auto both = possible_results(
      Start::held, {{{"destroy", "s"}}, {{"write_image", "s"}, {"append", "s"}, {"take", "s"}}});
  EXPECT_EQ(both[0][0], std::vector<int>{0});
  EXPECT_THAT(both[1][0], UnorderedElementsAre(0, ENOENT, EIO));
  EXPECT_THAT(both[1][1], UnorderedElementsAre(0, ESRCH));
  EXPECT_THAT(both[1][2], UnorderedElementsAre(EALREADY, ESRCH));
  const auto takes = possible_results(Start::tracked, {{{"take", "s"}}, {{"take", "s"}}});
  EXPECT_THAT(takes[0][0], UnorderedElementsAre(0, EALREADY));
}

// A part of them with every act, at both geometries.
TEST(Scripts, MakeScenarios) {
  for (const Geometry& geometry : geometries()) {
    for (std::size_t first = 0; first + 320 < all_scripts().size(); first += 1511) {
      std::vector<std::size_t> batch(320);
      std::iota(batch.begin(), batch.end(), first);
      const Scenario scenario = parse(scripts_toml(geometry, batch), "made.toml", "/nonexistent");
      EXPECT_EQ(scenario.cycles, 20U);
      EXPECT_EQ(scenario.cycle.size(), 20U);
      EXPECT_EQ(scenario.disks.size(), kScriptsPerCycle + 1);
    }
  }
}

TEST(Scripts, TwoActorsAreMadeToOverlap) {
  const auto& scripts = all_scripts();
  const auto found = std::find_if(scripts.begin(), scripts.end(), [](const Script& script) {
    return to_string(script) == "held | write-inside flush | take discard";
  });
  ASSERT_NE(found, scripts.end());
  const std::size_t index = static_cast<std::size_t>(found - scripts.begin());
  const Scenario scenario =
      parse(scripts_toml(geometries().front(), std::vector<std::size_t>{index}), "made.toml", "/");
  ASSERT_EQ(scenario.rules.size(), 2U);
  EXPECT_TRUE(scenario.rules[0].optional);
  EXPECT_EQ(scenario.rules[0].config["after"]["op"], "write") << "a take makes no request to hold";
  EXPECT_EQ(scenario.rules[0].config["release"]["mark"]["op"], "take");
  EXPECT_EQ(scenario.rules[0].config["release"]["mark"]["label"], "d0b1");
}

}  // namespace
}  // namespace snapbed::scenario
