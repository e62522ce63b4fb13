// SPDX-License-Identifier: GPL-2.0-or-later
// What a module may lack without being failed for it.
#include "runner/module_needs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace snapbed::runner {
namespace {

using ::testing::HasSubstr;

class ModuleNeeds : public ::testing::Test {
 protected:
  ModuleNeeds() {
    scenario_.module_parameters = {{"size", "1"}};
    scenario_.needs = {"kvm", "debugfs"};
    plan::Step step;
    step.op = "amplify_code";
    step.args = {{"functions", "run,stop+0x1f"}};
    plan_.steps = {plan::Step{}, step};
    facts_.parameters = {"size"};
    facts_.views = "snapshots";
    facts_.functions = {"run", "stop"};
  }

  std::string said() const { return lacking(scenario_, plan_, facts_, "x.ko"); }

  scenario::Scenario scenario_;
  plan::Plan plan_;
  ModuleFacts facts_;
};

TEST_F(ModuleNeeds, NothingIsLackingWhenAllIsThere) {
  EXPECT_EQ(said(), "");
}

TEST_F(ModuleNeeds, AParameterThatItDoesNotHave) {
  facts_.parameters = {"other"};
  EXPECT_THAT(said(), HasSubstr("parameter size, which x.ko"));
}

TEST_F(ModuleNeeds, AnInsideThatItDoesNotShow) {
  facts_.views = "";
  EXPECT_THAT(said(), HasSubstr("debugfs"));
}

TEST_F(ModuleNeeds, AFunctionThatItDoesNotHave) {
  facts_.functions = {"run", "stop.isra.0"};
  EXPECT_THAT(said(), HasSubstr("function stop, which x.ko"));
}

TEST_F(ModuleNeeds, AModuleThatTellsNoFunctionsIsAskedInTheGuest) {
  facts_.functions.reset();
  EXPECT_EQ(said(), "");
}

TEST_F(ModuleNeeds, WhoRunsWithoutAModuleNeedsNothingOfIt) {
  facts_ = {};
  scenario_.module = false;
  EXPECT_EQ(said(), "");
}

}  // namespace
}  // namespace snapbed::runner
