// SPDX-License-Identifier: GPL-2.0-or-later
#include "campaign/mutant.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace snapbed::campaign {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kGood =
    "Class: C01, released on submit.\n"
    "Scenario: storm\n"
    "Checks: order cut\n"
    "Cycles: 3\n"
    "\n"
    "--- right/a.c\n"
    "+++ wrong/a.c\n"
    "Class: T99, of the patch itself\n";

TEST(Mutant, TellsItsBugAndWhoCatchesIt) {
  const Mutant mutant = parse_mutant(kGood, "mutants/C01-release.patch");
  EXPECT_EQ(mutant.name, "C01-release");
  EXPECT_EQ(mutant.bug_class, "C01");
  EXPECT_EQ(mutant.bug, "released on submit.");
  EXPECT_EQ(mutant.scenario, "storm");
  EXPECT_THAT(mutant.checks, ElementsAre("order", "cut"));
  EXPECT_EQ(mutant.cycles, 3U);
}

std::string trouble(const std::string& text) {
  try {
    parse_mutant(text, "x.patch");
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

TEST(Mutant, WithoutAHeadIsAnErrorThatNamesTheFile) {
  EXPECT_THAT(trouble("--- a\n+++ b\n"), HasSubstr("x.patch: there is no line Class:"));
  EXPECT_THAT(trouble("Class: C01\nScenario: s\nChecks: c\n"), HasSubstr("no bug"));
  EXPECT_THAT(trouble("Class: C01, b\nChecks: c\n"), HasSubstr("no line Scenario:"));
  EXPECT_THAT(trouble("Class: C01, b\nScenario: s\nChecks: c\nCycles: -1\n"), HasSubstr("Cycles"));
}

}  // namespace
}  // namespace snapbed::campaign
