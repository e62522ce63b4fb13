// SPDX-License-Identifier: GPL-2.0-or-later
#include "campaign/classes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace snapbed::campaign {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kList =
    "# Classes\n"
    "| class | the bug | provoked by | seen by |\n"
    "|---|---|---|---|\n"
    "| C01 | goes on early | a hold | order cut |\n"
    "| T02 | a mark is lost | two CPUs | map |\n"
    "| L03 | too late | a hold | log |\n"
    "## Open\n"
    "Classes that nobody provokes.\n"
    "T02\n";

scenario::Scenario scenario_of(const std::string& name, const std::vector<std::string>& classes) {
  scenario::Scenario out;
  out.name = name;
  out.classes = classes;
  return out;
}

Mutant mutant_of(const std::string& bug_class, const std::string& scenario,
                 const std::string& check = "order") {
  return {bug_class + "-early", bug_class, "goes on early.", scenario, {check}, {}};
}

TEST(ClassList, HasRowsAndAnOpenList) {
  const ClassList list = parse_class_list(kList);
  ASSERT_EQ(list.classes.size(), 3U);
  EXPECT_EQ(list.classes[0].id, "C01");
  EXPECT_EQ(list.classes[0].seen_by, "order cut");
  EXPECT_THAT(list.open, ElementsAre("T02"));
  EXPECT_THROW(parse_class_list("nothing"), std::runtime_error);
  EXPECT_THROW(parse_class_list(std::string(kList) + "| C01 | x | x | x |\n"), std::runtime_error);
}

TEST(ClassMap, IsMadeOfScenariosAndMutants) {
  const ClassMap map =
      map_classes(parse_class_list(kList), {scenario_of("storm", {}), scenario_of("late", {"L03"})},
                  {mutant_of("C01", "storm")});
  EXPECT_THAT(map.problems, IsEmpty());
  EXPECT_EQ(map.provoked, 2U);
  EXPECT_THAT(map.missing, ElementsAre("T02"));
  EXPECT_THAT(map.class_table, HasSubstr("| C01 | storm | order cut | C01-early |\n"));
  EXPECT_THAT(map.class_table, HasSubstr("| L03 | late | log |  |\n"));
  EXPECT_THAT(map.class_table, HasSubstr("| T02 | *none yet* | map |  |\n"));
  EXPECT_THAT(map.mutant_table, HasSubstr("| C01-early | goes on early | storm | order |\n"));
}

std::string problems(const std::vector<scenario::Scenario>& scenarios,
                     const std::vector<Mutant>& mutants) {
  std::string text;
  for (const std::string& problem :
       map_classes(parse_class_list(kList), scenarios, mutants).problems)
    text += problem + "\n";
  return text;
}

TEST(ClassMap, AClassWithoutAScenarioIsAProblemUnlessItIsOpen) {
  const std::string text = problems({scenario_of("late", {"L03"})}, {});
  EXPECT_THAT(text, HasSubstr("class C01 (goes on early) has no scenario"));
  EXPECT_THAT(text, testing::Not(HasSubstr("T02")));
}

TEST(ClassMap, TheOpenListMustShrink) {
  EXPECT_THAT(problems({scenario_of("all", {"C01", "T02", "L03"})}, {}),
              HasSubstr("class T02 is provoked by all: take it off the open list"));
}

TEST(ClassMap, NamesThatLeadNowhereAreProblems) {
  const std::vector<scenario::Scenario> all{scenario_of("all", {"C01", "L03", "S09"})};
  EXPECT_THAT(problems(all, {}), HasSubstr("scenario all names class S09"));
  EXPECT_THAT(problems(all, {mutant_of("C01", "nowhere")}), HasSubstr("no such scenario"));
  EXPECT_THAT(problems(all, {mutant_of("C77", "all")}), HasSubstr("is of class C77"));
  EXPECT_THAT(problems(all, {mutant_of("C01", "all", "ordr")}),
              HasSubstr("\"ordr\", which is no check"));
}

TEST(WithSection, ReplacesWhatLiesBetweenTheMarks) {
  const std::string document = "a\n<!-- x: begin, made -->\nold\n<!-- x: end -->\nb\n";
  EXPECT_EQ(with_section(document, "x", "new\n"),
            "a\n<!-- x: begin, made -->\nnew\n<!-- x: end -->\nb\n");
  EXPECT_THROW(with_section(document, "y", ""), std::runtime_error);
}

}  // namespace
}  // namespace snapbed::campaign
