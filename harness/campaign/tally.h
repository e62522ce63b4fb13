// SPDX-License-Identifier: GPL-2.0-or-later
// A night as values: what ran, how each run counted, which findings were the same. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "campaign/signature.h"

namespace snapbed::campaign {

struct Ran {
  std::string scenario;
  std::string variant;
  std::uint64_t seed = 0;
  Count count = Count::broken;
  Signature signature;      // of fail and broken
  std::string explanation;  // of what did not pass
  std::string repeat;       // the line that runs it again
  std::string folder;       // where its record is kept
  double seconds = 0;
  std::uint64_t snapshots = 0;
  std::uint64_t sectors_judged = 0;
};

struct Counts {
  std::uint64_t passed = 0;
  std::uint64_t failed = 0;
  std::uint64_t broken = 0;
  std::uint64_t not_exercised = 0;
  void add(Count count);
  // Those that say something about the module.
  std::uint64_t judged() const { return passed + failed; }
  std::uint64_t all() const { return passed + failed + broken + not_exercised; }
};

// Findings that are the same, with the first run that showed it.
struct Group {
  Signature signature;
  Count kind = Count::fail;  // or broken
  std::uint64_t count = 0;
  Ran first;
  // "fails again in `again` of `tried`", once the first run was repeated.
  std::uint64_t again = 0;
  std::uint64_t tried = 0;
};

// The mutant that must fail.
struct Canary {
  std::string mutant;
  bool caught = false;
  std::string by;  // the check that caught it
  std::uint32_t seeds = 0;
  double seconds = 0;
  std::string trouble;  // why it was not caught
};

struct Night {
  std::string begun;  // "2026-11-24 02:00"
  double hours_wanted = 0;
  double seconds = 0;
  std::uint64_t seed = 0;
  std::uint32_t host_cpus = 0;
  bool interrupted = false;
  std::string folder;
  Canary canary;
  Counts counts;
  std::map<std::pair<std::string, std::string>, Counts> by_scenario;  // (scenario, variant)
  std::vector<Group> groups;  // in the order in which they came up
  std::uint64_t snapshots = 0;
  std::uint64_t sectors_judged = 0;
  std::uint64_t stripped = 0;  // records that lost their journals to the budget

  // True when the run is the first of its signature.
  bool add(const Ran& ran);
};

// 1 when a run failed; 3 when something was broken, nothing counted or the canary lived; 130 when
// interrupted; else 0.
int exit_status(const Night& night);

}  // namespace snapbed::campaign
