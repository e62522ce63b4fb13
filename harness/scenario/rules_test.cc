// SPDX-License-Identifier: GPL-2.0-or-later
// The short form of a rule: what it becomes, and every way to get it wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scenario/scenario.h"

namespace snapbed::scenario {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// The rule stands in line 4.
Scenario scenario_of(const std::string& rule) {
  const std::string text = "promise = \"p\"\ncycle = [\"flush device=data0\"]\nrules = [\n  \"" +
                           rule +
                           "\",\n]\n[[disk]]\nname = \"data0\"\nsize = \"2M\"\n[[disk]]\n"
                           "name = \"store0\"\nrole = \"storage\"\nsize = \"1M\"\n";
  return parse(text, "rules.toml", "/nonexistent");
}

json config_of(const std::string& rule) {
  return scenario_of(rule).rules.at(0).config;
}

TEST(RuleWords, TheExampleOfTheDocuments) {
  const Scenario scenario = scenario_of(
      "hold read of data0 chunk=5*256K after=take first until=write-same-chunk within=200ms");
  const json expected = {
      {"action", "hold"},
      {"what", "data"},
      {"op", {"read"}},
      {"disk", "data0"},
      {"first", 2560},
      {"count", 512},
      {"occurrence", 1},
      {"after", {{"kind", "step_end"}, {"op", "take"}}},
      {"release",
       {{"match",
         {{"disk", "data0"}, {"op", "write"}, {"at", "begin"}, {"same_chunk_bytes", 262144}}},
        {"time_ms", 200}}}};
  EXPECT_EQ(scenario.rules.at(0).config, expected);
  EXPECT_EQ(scenario.rules.at(0).line, 4U);
  EXPECT_FALSE(scenario.rules.at(0).optional);
}

TEST(RuleWords, EveryWordMeansSomething) {
  EXPECT_EQ(config_of("hold-reply write of data0")["what"], "reply");
  EXPECT_EQ(config_of("hold write of data0")["release"]["time_ms"], 2000) << "always bounded";
  EXPECT_EQ(config_of("delay read,trim of data0 for=3s")["delay_ms"], 3000);
  EXPECT_EQ(config_of("delay read,trim of data0 for=3s")["op"], json({"read", "trim"}));
  EXPECT_EQ(config_of("reorder write of data0 window=4")["window"], 4);
  EXPECT_EQ(config_of("tear write of data0 sectors=3 nth=2")["sectors"], 3);
  EXPECT_EQ(config_of("tear write of data0 sectors=3 nth=2")["occurrence"], 2);
  EXPECT_EQ(config_of("fail any of data0 share=0.25")["probability"], 0.25);
  EXPECT_EQ(config_of("fail any of data0 range=1M+8s")["count"], 8);
  const json gone = config_of("disconnect any of store0 fate=torn until=destroy-begins,9-requests");
  EXPECT_EQ(gone["fate"], "torn");
  EXPECT_EQ(gone["release"]["mark"], json({{"kind", "step_begin"}, {"op", "destroy"}}));
  EXPECT_EQ(gone["release"]["count"], 9);
  EXPECT_FALSE(gone["release"].contains("time_ms")) << "for as long as nothing brings it back";
  const json during = config_of("fail any of data0 while=take@2");
  EXPECT_EQ(during["after"], json({{"kind", "step_begin"}, {"op", "take"}, {"cycle", 2}}));
  EXPECT_EQ(during["until"], json({{"kind", "step_end"}, {"op", "take"}, {"cycle", 2}}));
  EXPECT_EQ(config_of("fail any of data0 from=take before=destroy")["until"]["kind"], "step_begin");
  const json match = config_of("hold read of data0 until=write-of-store0-done")["release"]["match"];
  EXPECT_EQ(match, json({{"disk", "store0"}, {"op", "write"}, {"at", "end"}}));
  EXPECT_TRUE(scenario_of("fail any of data0 optional").rules.at(0).optional);
}

TEST(RuleWords, ALastChunkEndsWithTheDisk) {
  EXPECT_EQ(config_of("fail any of data0 chunk=2*768K")["count"], 1024);
}

struct Wrong {
  const char* rule;
  const char* says;
};
class WrongRule : public ::testing::TestWithParam<Wrong> {};

TEST_P(WrongRule, IsRefusedInOneLineThatNamesIt) {
  try {
    scenario_of(GetParam().rule);
    FAIL() << "accepted: " << GetParam().rule;
  } catch (const BadScenario& error) {
    EXPECT_THAT(error.what(), StartsWith("rules.toml:4: "));
    EXPECT_THAT(error.what(), HasSubstr(GetParam().says));
    EXPECT_THAT(error.what(), HasSubstr("expected"));
    EXPECT_THAT(error.what(), ::testing::Not(HasSubstr("\n")));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Each, WrongRule,
    ::testing::Values(Wrong{"", "does not begin"}, Wrong{"hold read data0", "does not begin"},
                      Wrong{"hodl read of data0", "(nearest: hold)"},
                      Wrong{"hold raed of data0", "(nearest: read)"},
                      Wrong{"hold read of dta0", "(nearest: data0)"},
                      Wrong{"hold read of data0 frist", "(nearest: first)"},
                      Wrong{"hold read of data0 first first", "twice"},
                      Wrong{"hold read of data0 nth=0", "a number 1.."},
                      Wrong{"hold read of data0 nth=x", "a number 1.."},
                      Wrong{"hold read of data0 share=1.5", "(0, 1]"},
                      Wrong{"hold read of data0 share=", "(0, 1]"},
                      Wrong{"hold read of data0 chunk=8*256K", "of a disk of 4096"},
                      Wrong{"hold read of data0 chunk=1*2*3K", "NUMBER*SIZE"},
                      Wrong{"hold read of data0 chunk=5*256", "whole sectors"},
                      Wrong{"hold read of data0 chunk=0", "chunks of 0 bytes"},
                      Wrong{"hold read of data0 range=4K", "FIRST+COUNT"},
                      Wrong{"hold read of data0 range=0+0", "a range inside it"},
                      Wrong{"hold read of data0 range=2M+4K", "a range inside it"},
                      Wrong{"hold read of data0 chunk=1*4K range=0+4K", "one of them"},
                      Wrong{"hold read of data0 after=tkae", "(nearest: take)"},
                      Wrong{"hold read of data0 after=take@x", "a number 1.."},
                      Wrong{"hold read of data0 after=take@1@2", "STEP@CYCLE"},
                      Wrong{"hold read of data0 after=take from=take", "says twice when"},
                      Wrong{"hold read of data0 within=200", "a time of"},
                      Wrong{"hold read of data0 within=61s", "a time of"},
                      Wrong{"hold read of data0 until=wriet", "(nearest: write)"},
                      Wrong{"hold read of data0 until=write-same-chunk", "without \"chunk=\""},
                      Wrong{"hold read of data0 until=write-of-store1", "(nearest: store0)"},
                      Wrong{"hold read of data0 until=x-requests", "a number 1.."},
                      Wrong{"hold read of data0 until=tkae-ends", "(nearest: take)"},
                      Wrong{"hold read of data0 for=50ms", "is no delay"},
                      Wrong{"delay read of data0", "does not say \"delay_ms\""},
                      Wrong{"delay read of data0 for=50ms within=1s", "releases nothing"},
                      Wrong{"reorder read of data0", "does not say \"window\""},
                      Wrong{"reorder read of data0 window=13", "a number 2..12"},
                      Wrong{"tear read of data0", "tears what is no write"},
                      Wrong{"tear write of data0 sectors=4096", "more sectors than the disk"},
                      Wrong{"fail read of data0 until=write", "releases nothing"},
                      Wrong{"disconnect any of data0 fate=gone", "has the fate"},
                      Wrong{"fail any of data0 fate=torn", "is no disconnect"}));

}  // namespace
}  // namespace snapbed::scenario
