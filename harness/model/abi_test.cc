// SPDX-License-Identifier: GPL-2.0-or-later
// Checks `abi` and `leak`, which judge what the guest reports by marks of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/journal_builder.h"

namespace snapbed::model::test {
namespace {

using testing::HasSubstr;

// A run that tries cases, each with what came, and unloads.
class Calls {
 public:
  Calls() {
    b.selftest("scratch", b.disk("scratch", journal::Role::scratch, 512));
    b.done(b.call("insmod"));
  }

  void abi(const std::vector<std::string>& got, std::uint64_t told) {
    const std::uint32_t id = b.call("abi", {{"devices", {"scratch"}}, {"storage", "scratch"}});
    for (const std::string& one : got) {
      b.mark(plan::MarkKind::abi_case, id,
             {{"call", "TAKE"}, {"with", "no id"}, {"expected", {"ESRCH", "0"}}, {"got", one}});
    }
    b.done(id, {{"cases", told}});
  }
  void rmmod(Json answer, const std::vector<std::string>& left = {}) {
    const std::uint32_t id = b.call("rmmod");
    for (const std::string& what : left) b.mark(plan::MarkKind::leak, id, {{"what", what}});
    b.done(id, std::move(answer));
    b.mark(plan::MarkKind::done, 0);
  }

  JournalBuilder b;
};

TEST(Abi, AnyOfTheRightResultsPasses) {
  Calls run;
  run.abi({"ESRCH", "0"}, 2);
  run.rmmod({{"looked", 9}, {"left", 0}});
  const Report report = run.b.judge();
  EXPECT_EQ(report.broken, "");
  EXPECT_EQ(report.checks.at("abi").outcome, Outcome::pass);
  EXPECT_EQ(report.checks.at("abi").exercised.at("cases"), 2U);
  EXPECT_EQ(report.checks.at("leak").outcome, Outcome::pass);
  EXPECT_EQ(report.checks.at("leak").exercised.at("looked"), 9U);
}

TEST(Abi, AWrongResultIsNamedWithItsCall) {
  Calls run;
  run.abi({"0", "EIO"}, 2);
  run.rmmod({{"looked", 9}, {"left", 0}});
  const Report report = run.b.judge();
  const CheckResult& check = report.checks.at("abi");
  EXPECT_EQ(check.outcome, Outcome::fail);
  ASSERT_EQ(check.findings.size(), 1U);
  EXPECT_THAT(check.findings[0].text, HasSubstr("TAKE, no id: got EIO, expected ESRCH or 0"));
}

TEST(Abi, SaysWhichResultsALimitOfTimeGave) {
  Calls run;
  run.abi({"EIO", "ETIMEDOUT", "waited on"}, 3);
  const Report report = run.b.judge();
  const CheckResult& check = report.checks.at("abi");
  EXPECT_EQ(check.outcome, Outcome::fail);
  ASSERT_EQ(check.findings.size(), 3U);
  EXPECT_FALSE(check.findings[0].rests_on_time);
  EXPECT_TRUE(check.findings[1].rests_on_time);
  EXPECT_TRUE(check.findings[2].rests_on_time);
}

TEST(Abi, ACaseThatWasNotReportedBreaksTheRecord) {
  Calls run;
  run.abi({"0"}, 2);
  EXPECT_THAT(run.b.judge().broken, HasSubstr("tried 2 cases, 1 were reported"));
}

TEST(Abi, WithoutACaseItHasNotRun) {
  Calls run;
  run.b.step("abi", {{"devices", {"scratch"}}, {"storage", "scratch"}});
  EXPECT_EQ(run.b.judge().checks.at("abi").outcome, Outcome::not_run);
}

TEST(Leak, WhatIsLeftIsAFinding) {
  Calls run;
  run.rmmod({{"looked", 9}, {"left", 1}}, {"the cache blksnap_run"});
  const CheckResult check = run.b.judge().checks.at("leak");
  EXPECT_EQ(check.outcome, Outcome::fail);
  EXPECT_THAT(check.findings[0].text, HasSubstr("the cache blksnap_run"));
}

TEST(Leak, AnUnloadThatWasNotLookedAtBreaksTheRecord) {
  Calls run;
  run.rmmod({});
  EXPECT_THAT(run.b.judge().broken, HasSubstr("does not say what it looked at"));
}

TEST(Leak, AThingThatWasCountedAndNotReportedBreaksTheRecord) {
  Calls run;
  run.rmmod({{"looked", 9}, {"left", 1}});
  EXPECT_THAT(run.b.judge().broken, HasSubstr("found 1 things left, 0 were reported"));
}

}  // namespace
}  // namespace snapbed::model::test
