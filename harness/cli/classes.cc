// SPDX-License-Identifier: GPL-2.0-or-later
// classes: the map from classes of bugs to scenarios and mutants, printed, written, checked.
#include <fmt/format.h>

#include "base/file.h"
#include "campaign/classes.h"
#include "cli/commands.h"

namespace snapbed::cli {
namespace {

constexpr const char* kList = "docs/failure-classes.md";
constexpr const char* kDocument = "docs/testing.md";
constexpr const char* kMutants = "mutants";

// Takes off the open list what a scenario provokes by now.
void shrink_open_list(const campaign::ClassList& list,
                      const std::vector<scenario::Scenario>& scenarios, campaign::ClassMap& map) {
  std::string open;
  for (const std::string& id : map.missing) {
    if (!list.open.contains(id)) continue;
    open += id + "\n";
  }
  const std::string before = base::read_file(kList);
  const std::string after = campaign::with_section(before, "open", open);
  if (after == before) return;
  base::write_file(kList, after);
  map = campaign::map_classes(campaign::parse_class_list(after), scenarios,
                              campaign::read_mutants(kMutants));
}

}  // namespace

int classes(const CommonOptions& options) {
  std::vector<scenario::Scenario> scenarios;
  for (const auto& file : all_scenarios(options.scenarios))
    scenarios.push_back(scenario::load(file));
  const campaign::ClassList list = campaign::parse_class_list(base::read_file(kList));
  campaign::ClassMap map = campaign::map_classes(list, scenarios, campaign::read_mutants(kMutants));
  const std::string before = base::read_file(kDocument);
  const std::string after = campaign::with_section(
      campaign::with_section(before, "classes", map.class_table), "mutants", map.mutant_table);
  if (options.write) {
    if (after != before) base::write_file(kDocument, after);
    shrink_open_list(list, scenarios, map);
  }
  if (options.check && after != before)
    map.problems.push_back(std::string(kDocument) +
                           " is not what the files say: run `snapbed classes --write`");
  if (!options.check && !options.write) fmt::print("{}\n", map.class_table);
  for (const std::string& problem : map.problems) fmt::print("{}\n", problem);
  fmt::print(
      "{} of {} classes have a scenario; without: {}\n", map.provoked, list.classes.size(),
      map.missing.empty() ? std::string("none") : fmt::format("{}", fmt::join(map.missing, " ")));
  return map.problems.empty() ? 0 : 1;
}

}  // namespace snapbed::cli
