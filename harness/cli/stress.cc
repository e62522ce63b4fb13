// SPDX-License-Identifier: GPL-2.0-or-later
// stress: a night of random runs.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ctime>

#include "base/units.h"
#include "campaign/night.h"
#include "campaign/summary.h"
#include "cli/commands.h"
#include "runner/interrupt.h"

namespace snapbed::cli {
namespace {

namespace fs = std::filesystem;

bool has_tag(const scenario::Scenario& scenario, const char* tag) {
  return std::find(scenario.tags.begin(), scenario.tags.end(), tag) != scenario.tags.end();
}

// What must fail by design has no place among runs that must pass.
std::vector<scenario::Scenario> scenarios_of(const CommonOptions& options) {
  std::vector<scenario::Scenario> out;
  if (!options.names.empty()) {
    for (const fs::path& file : find_scenarios(options.scenarios, options.names))
      out.push_back(scenario::load(file));
  } else {
    for (const fs::path& file : all_scenarios(options.scenarios)) {
      scenario::Scenario scenario = scenario::load(file);
      // Another module than the one under test (a suite of its parts) gains nothing from seeds.
      const bool under_test = scenario.module_file == scenario::Scenario{}.module_file;
      if (!has_tag(scenario, "meta") && !scenario.expect && under_test)
        out.push_back(std::move(scenario));
    }
  }
  if (out.empty())
    throw scenario::BadScenario("no scenario under " + options.scenarios.string() +
                                " can be stressed; expected one without the tag meta");
  return out;
}

campaign::Variant parse_variant(const std::string& text) {
  const std::size_t equals = text.find('=');
  const std::size_t colon = text.rfind(':');
  if (equals == std::string::npos || colon == std::string::npos || colon < equals)
    throw scenario::BadScenario("--variant " + text + "; expected NAME=KERNEL:MODULE");
  campaign::Variant out{text.substr(0, equals),
                        fs::absolute(text.substr(equals + 1, colon - equals - 1)),
                        fs::absolute(text.substr(colon + 1))};
  for (const fs::path& file : {out.kernel, out.module})
    if (!fs::exists(file))
      throw scenario::BadScenario("--variant " + text + ": there is no " + file.string() +
                                  "; expected two files");
  return out;
}

std::uint64_t seed_of_now() {
  return static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch() /
                                    std::chrono::milliseconds(1));
}

}  // namespace

int stress(const CommonOptions& options) {
  campaign::NightOptions night;
  night.program = options.program;
  night.scenarios = scenarios_of(options);
  for (const std::string& variant : options.variants)
    night.variants.push_back(parse_variant(variant));
  if (night.variants.empty())
    night.variants.push_back({"given", options.parts.kernel, options.parts.module});
  night.hours = options.hours;
  night.seed = options.seed.value_or(seed_of_now());
  night.machines = options.machines;
  const auto budget = base::parse_bytes(options.budget);
  if (!budget)
    throw scenario::BadScenario("--budget " + options.budget + "; expected a size such as 8G");
  night.budget_bytes = *budget;
  const fs::path out = options.out == "out" ? fs::path("out/stress") : options.out;
  night.out =
      fs::absolute(out) / fmt::format("{:%Y-%m-%d-%H%M%S}", fmt::localtime(std::time(nullptr)));
  CommonOptions passed_on = options;
  passed_on.parts.kernel.clear();
  passed_on.parts.module.clear();
  night.extra = common_words(passed_on);
  night.canary = campaign::read_mutant(options.canary);
  night.canary_parts = {"canary", options.canary_kernel, options.canary_module};
  night.canary_scenario =
      scenario::load(find_scenarios(options.scenarios, {night.canary.scenario}).front());
  runner::require_programs();
  runner::catch_interrupts();
  const campaign::Night spent = campaign::spend(night);
  fmt::print("{}\n  all of it: {}\n", campaign::text_summary(spent), night.out.string());
  return campaign::exit_status(spent);
}

}  // namespace snapbed::cli
