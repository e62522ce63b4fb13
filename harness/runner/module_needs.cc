// SPDX-License-Identifier: GPL-2.0-or-later
#include "runner/module_needs.h"

#include <fmt/format.h>

#include <sstream>

namespace snapbed::runner {
namespace {

// The functions that a step names, without offsets.
std::vector<std::string> functions_of(const plan::Step& step) {
  std::vector<std::string> names;
  if (step.op != "amplify_code") return names;
  std::istringstream words(step.args.value("functions", ""));
  for (std::string word; std::getline(words, word, ',');) {
    names.push_back(word.substr(0, word.find('+')));
  }
  return names;
}

}  // namespace

std::string lacking(const scenario::Scenario& scenario, const plan::Plan& plan,
                    const ModuleFacts& facts, const std::string& module) {
  if (!scenario.module) return "";
  for (const auto& [name, value] : scenario.module_parameters)
    if (!facts.parameters.contains(name))
      return fmt::format("the scenario sets the parameter {}, which {} does not have", name,
                         module);
  if (scenario::needs(scenario, "debugfs") && facts.views.empty())
    return fmt::format(
        "the scenario looks into the module through debugfs, and {} does not say "
        "that it can (its modinfo has no \"debugfs\")",
        module);
  if (!facts.functions) return "";
  for (const plan::Step& step : plan.steps)
    for (const std::string& name : functions_of(step))
      if (!facts.functions->contains(name))
        return fmt::format("the scenario puts pauses into the function {}, which {} does not have",
                           name, module);
  return "";
}

}  // namespace snapbed::runner
