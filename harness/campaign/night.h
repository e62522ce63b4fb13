// SPDX-License-Identifier: GPL-2.0-or-later
// A night of random runs: machines side by side, each in a `snapbed run` of its own, until the time
// is up or a signal comes. A run dies with us, and its own guardian clears up after it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "campaign/mutant.h"
#include "campaign/tally.h"
#include "scenario/scenario.h"

namespace snapbed::campaign {

struct Variant {
  std::string name;
  std::filesystem::path kernel;  // empty: what `make` left
  std::filesystem::path module;
};

struct NightOptions {
  std::filesystem::path program;  // snapbed itself
  std::vector<scenario::Scenario> scenarios;
  std::vector<Variant> variants;  // not empty
  double hours = 1;
  std::uint64_t seed = 0;
  std::uint32_t machines = 0;  // at most so many side by side; 0: as CPUs and memory allow
  std::uint64_t budget_bytes = 0;
  std::filesystem::path out;       // the night's folder, made by it
  std::vector<std::string> extra;  // passed on to every run
  Mutant canary;
  scenario::Scenario canary_scenario;
  Variant canary_parts;
};

// Runs it and writes summary.txt, summary.json and junit.xml into `out`. Prints the live line, new
// findings and the summary. Throws std::runtime_error for a folder that cannot be written.
Night spend(const NightOptions& options);

}  // namespace snapbed::campaign
