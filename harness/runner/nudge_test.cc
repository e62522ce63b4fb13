// SPDX-License-Identifier: GPL-2.0-or-later
#include "runner/nudge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace snapbed::runner {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

scenario::Scenario with_rules(std::initializer_list<nlohmann::json> rules) {
  scenario::Scenario out;
  for (const nlohmann::json& config : rules) {
    scenario::Rule rule;
    rule.config = config;
    out.rules.push_back(rule);
  }
  return out;
}

TEST(Nudge, DisksOfWhichRequestsAreKeptBack) {
  EXPECT_THAT(nudged_disks(with_rules({{{"action", "hold"}, {"disk", "data0"}, {"op", "read"}},
                                       {{"action", "delay"}, {"disk", "store0"}, {"op", "write"}},
                                       {{"action", "fail"}, {"disk", "data1"}, {"op", "read"}}})),
              ElementsAre("data0", "store0"));
  EXPECT_THAT(nudged_disks(with_rules({})), IsEmpty());
}

TEST(Nudge, NoneWhoseConnectionARuleTakes) {
  EXPECT_THAT(
      nudged_disks(with_rules({{{"action", "hold"}, {"disk", "data0"}, {"op", "read"}},
                               {{"action", "disconnect"}, {"disk", "data0"}, {"op", "write"}}})),
      IsEmpty());
}

TEST(Nudge, IsDueOnceWhenSomethingIsHeldAndNothingEnds) {
  const Moment start = Moment() + std::chrono::hours(1);
  Quiet quiet;
  EXPECT_FALSE(quiet.sample(start, 10, 1));
  EXPECT_FALSE(quiet.sample(start + milliseconds(300), 10, 1));
  EXPECT_TRUE(quiet.sample(start + milliseconds(500), 10, 1));
  EXPECT_FALSE(quiet.sample(start + milliseconds(5000), 10, 1));
  EXPECT_FALSE(quiet.sample(start + milliseconds(6000), 11, 1));
  EXPECT_TRUE(quiet.sample(start + milliseconds(6500), 11, 1));
  EXPECT_FALSE(quiet.sample(start + milliseconds(6600), 12, 0));
  EXPECT_FALSE(quiet.sample(start + milliseconds(9200), 12, 0));
}

}  // namespace
}  // namespace snapbed::runner
