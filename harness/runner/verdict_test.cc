// SPDX-License-Identifier: GPL-2.0-or-later
// Which of several troubles becomes the verdict, and that nothing passes on nothing.
#include "runner/verdict.h"

#include <gtest/gtest.h>

#include <sstream>

#include "runner/archive.h"

namespace snapbed::runner {
namespace {

using model::CheckResult;
using model::Outcome;
using model::Report;

CheckResult check(Outcome outcome, const std::string& text = "") {
  CheckResult result;
  result.outcome = outcome;
  result.exercised["things"] = 5;
  if (outcome == Outcome::fail) {
    result.findings.push_back({model::Kind::cut_younger, "data0", 3, text, {}});
    result.found = 1;
  }
  if (outcome == Outcome::not_run) result.reason = text;
  return result;
}

Report good() {
  Report report;
  report.checks["cut"] = check(Outcome::pass);
  report.checks["log"] = check(Outcome::pass);
  report.checks["watchdog"] = check(Outcome::pass);
  return report;
}

Run done() {
  Run run;
  run.booted = true;
  return run;
}

Run ended(Ending ending) {
  auto run = done();
  run.ending = ending;
  run.what = "what happened";
  return run;
}

void expect(const Decision& decision, Status status, Reason reason) {
  EXPECT_EQ(to_string(decision.status), to_string(status)) << decision.explanation;
  EXPECT_EQ(to_string(decision.reason), to_string(reason)) << decision.explanation;
}

TEST(Verdict, AModuleThatLacksWhatTheInterfaceDoesNotPromiseIsSkippedAndNeverGreen) {
  const Decision decision = decide(ended(Ending::module_lacks), {});
  EXPECT_EQ(decision.status, Status::skip);
  EXPECT_EQ(to_string(decision.reason), "module-cannot");
}

TEST(Verdict, AHostThatLacksSomethingIsSkippedAndNeverGreen) {
  const Decision decision = decide(ended(Ending::host_lacks), {});
  EXPECT_EQ(decision.status, Status::skip);
  EXPECT_EQ(decision.reason, Reason::host_cannot);
  EXPECT_EQ(decision.explanation, "what happened");
  EXPECT_EQ(static_cast<int>(decision.status), 4);
}

TEST(Decide, PassesOnlyWhenSomethingWasJudged) {
  expect(decide(done(), good()), Status::pass, Reason::all_checks_passed);
  expect(decide(done(), Report{}), Status::broken, Reason::not_exercised);
}

TEST(Decide, AFindingIsAFailureAndNamesItsCheck) {
  Report report = good();
  report.checks["cut"] = check(Outcome::fail, "sector 8 is older than the take");
  report.checks["log"] = check(Outcome::fail, "WARNING");
  const Decision decision = decide(ended(Ending::finding), report);
  expect(decision, Status::fail, Reason::check_failed);
  EXPECT_EQ(decision.explanation, "check cut of data0, cycle 3: sector 8 is older than the take");
}

TEST(Decide, ARunStoppedForAFindingNeverPassesWithoutIt) {
  expect(decide(ended(Ending::finding), good()), Status::broken, Reason::record_unsound);
}

TEST(Decide, ChecksNotRunAreBroken) {
  Report report = good();
  report.checks["twice"] = check(Outcome::not_run, "sectors_overwritten was 5, at least 1000");
  expect(decide(done(), report), Status::broken, Reason::not_exercised);
}

TEST(Decide, AnUnsoundRecordProvesNothing) {
  Report report = good();
  report.broken = "mark 7 is missing";
  expect(decide(done(), report), Status::broken, Reason::record_unsound);
  report.checks["cut"] = check(Outcome::fail, "x");
  expect(decide(done(), report), Status::broken, Reason::record_unsound);
  expect(decide(ended(Ending::finding), report), Status::broken, Reason::record_unsound);
}

// As the run itself has it: what was found before the record ended stands.
TEST(Verify, ARecordCutShortIsBrokenOnlyWhereTheRunCameToItsEnd) {
  for (const Ending ending : {Ending::done, Ending::finding}) {
    Archived archived;
    archived.journal.complete = false;
    archived.journal.trouble = "no end";
    archived.run = ended(ending);
    Report report = good();
    report.checks["cut"] = check(Outcome::fail, "x");
    add_runner_checks(archived, report);
    const bool found = ending == Ending::finding;
    expect(decide(archived.run, report), found ? Status::fail : Status::broken,
           found ? Reason::check_failed : Reason::record_unsound);
  }
}

TEST(Decide, ARuleThatNeverFiredIsBroken) {
  auto run = done();
  run.rules = {{"hold read of data0 first", false, 0, {}}};
  const Decision decision = decide(run, good());
  expect(decision, Status::broken, Reason::rule_never_fired);
  EXPECT_EQ(
      decision.explanation,
      "the rule \"hold read of data0 first\" of the scenario never acted (it met no request)");
}

TEST(Decide, BeforeTheFirstMarkNothingIsTheModulesFault) {
  Report report = good();
  report.checks["log"] = check(Outcome::fail, "panic");
  auto run = ended(Ending::no_boot);
  run.booted = false;
  expect(decide(run, report), Status::broken, Reason::no_boot);
}

TEST(Decide, AfterItPanicDeathAndHangAreFailures) {
  Report report = good();
  report.checks["log"] = check(Outcome::fail, "panic");
  expect(decide(ended(Ending::guest_died), report), Status::fail, Reason::kernel_log);
  expect(decide(ended(Ending::guest_died), good()), Status::fail, Reason::guest_died);
  expect(decide(ended(Ending::guest_hung), good()), Status::fail, Reason::guest_hung);
  expect(decide(ended(Ending::module_broke_interface), good()), Status::fail,
         Reason::module_broke_interface);
}

TEST(Decide, HostTroubleIsBrokenWhateverElseWasFound) {
  Report report = good();
  report.checks["cut"] = check(Outcome::fail, "x");
  expect(decide(ended(Ending::server_stuck), report), Status::broken, Reason::server_stuck);
  expect(decide(ended(Ending::host_disk_full), report), Status::broken, Reason::host_disk_full);
  expect(decide(ended(Ending::interrupted), report), Status::broken, Reason::interrupted);
  expect(decide(ended(Ending::host_error), report), Status::broken, Reason::host_error);
  expect(decide(ended(Ending::part_missing), Report{}), Status::broken, Reason::part_missing);
}

TEST(VerdictJson, TellsAnEndingThatCanBeReadAgain) {
  for (int i = 0; i <= static_cast<int>(Ending::interrupted); ++i) {
    Setting setting;
    setting.run = ended(static_cast<Ending>(i));
    const auto json = to_json(setting, decide(setting.run, good()), good());
    EXPECT_EQ(parse_ending(json["ending"]["how"]), setting.run.ending) << i;
    EXPECT_EQ(json["ending"]["what"], "what happened");
  }
  EXPECT_EQ(parse_ending("?"), std::nullopt);
}

TEST(VerdictJson, HoldsWhatReadersAreTold) {
  Report report = good();
  report.checks["twice"] = check(Outcome::not_run, "nothing");
  Setting setting;
  setting.scenario = "storm";
  setting.seed = 7;
  const auto json = to_json(setting, decide(done(), report), report);
  for (const char* key : {"scenario", "seed", "verdict", "reason", "repeat", "cycles", "snapshots",
                          "writes", "bytes_written", "sectors_judged", "checks", "exercised",
                          "wall_s", "accel", "kernel", "module", "findings"})
    EXPECT_TRUE(json.contains(key)) << key;
  EXPECT_EQ(json["checks"]["twice"], "not run");
  EXPECT_EQ(json["exercised"]["cut"]["things"], 5);
  EXPECT_EQ(json["verdict"], "broken");
}

Run starved(Ending ending) {
  auto run = ended(ending);
  run.starved = "for 10 s the host gave QEMU 7 % of the processor time it asked for";
  return run;
}

CheckResult late(const std::string& text) {
  CheckResult result = check(Outcome::fail, text);
  result.findings.front().rests_on_time = true;
  return result;
}

TEST(Verdict, ALimitOfTimeSaysNothingOnAHostThatStarvedTheGuest) {
  for (const auto& [ending, name] : {std::pair{Ending::guest_hung, "watchdog"},
                                     {Ending::module_broke_interface, "watchdog"},
                                     {Ending::guest_died, "log"},
                                     {Ending::finding, "order"}}) {
    Report report = good();
    report.checks[name] = late("no mark and no request for 60 s");
    EXPECT_EQ(decide(ended(ending), report).status, Status::fail) << name;
    const Decision decision = decide(starved(ending), report);
    expect(decision, Status::broken, Reason::host_starved);
    EXPECT_NE(decision.explanation.find("7 %"), std::string::npos) << decision.explanation;
    EXPECT_NE(decision.explanation.find("no mark"), std::string::npos) << decision.explanation;
  }
}

TEST(Verdict, WhatRestsOnMoreThanTimeStandsOnAStarvedHostToo) {
  Report report = good();
  report.checks["watchdog"] = late("no mark and no request for 60 s");
  report.checks["cut"] = check(Outcome::fail, "two sectors");
  expect(decide(starved(Ending::guest_hung), report), Status::fail, Reason::check_failed);

  report.checks["cut"] = check(Outcome::pass);
  report.checks["log"] = late("hung task");
  report.checks["log"].findings.push_back({model::Kind::log_kernel, "", 0, "KASAN"});
  report.checks["log"].found = 2;
  expect(decide(starved(Ending::guest_hung), report), Status::fail, Reason::kernel_log);

  // Which of the many were not kept is not known.
  report.checks["log"] = late("hung task");
  report.checks["log"].found = 2;
  expect(decide(starved(Ending::guest_hung), report), Status::fail, Reason::kernel_log);

  report = good();
  expect(decide(starved(Ending::done), report), Status::pass, Reason::all_checks_passed);
  expect(decide(starved(Ending::guest_died), report), Status::fail, Reason::guest_died);
}

TEST(CheckTable, StaysReadable) {
  Report report = good();
  auto& exercised = report.checks["cut"].exercised;
  for (char letter = 'a'; letter < 'm'; ++letter) exercised[std::string(12, letter)] = 1000000;
  const std::string table = check_table(report);
  std::istringstream lines(table);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100U) << line;
  EXPECT_NE(table.find("\n                   "), std::string::npos);
  EXPECT_NE(table.find("log       pass     things 5\n"), std::string::npos) << table;
}

TEST(Promise, IsKeptOnlyExactly) {
  Report report = good();
  report.checks["log"] = check(Outcome::fail, "panic");
  const Decision decision = decide(done(), report);
  EXPECT_EQ(difference({"fail", "kernel-log", "log"}, decision, report), "");
  EXPECT_EQ(difference({"fail", std::nullopt, std::nullopt}, decision, report), "");
  EXPECT_NE(difference({"broken", std::nullopt, std::nullopt}, decision, report), "");
  EXPECT_NE(difference({"fail", "guest-died", std::nullopt}, decision, report), "");
  EXPECT_NE(difference({"fail", std::nullopt, "cut"}, decision, report), "");
}

}  // namespace
}  // namespace snapbed::runner
