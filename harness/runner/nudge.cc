// SPDX-License-Identifier: GPL-2.0-or-later
#include "runner/nudge.h"

#include <algorithm>
#include <iterator>
#include <set>

namespace snapbed::runner {

std::vector<std::string> nudged_disks(const scenario::Scenario& scenario) {
  std::set<std::string> disks;
  std::set<std::string> barred;
  for (const scenario::Rule& rule : scenario.rules) {
    const auto disk = rule.config.value("disk", std::string());
    const auto action = rule.config.value("action", std::string());
    if (action == "disconnect") barred.insert(disk);
    if (action == "hold" || action == "delay" || action == "reorder") disks.insert(disk);
  }
  std::vector<std::string> nudged;
  std::set_difference(disks.begin(), disks.end(), barred.begin(), barred.end(),
                      std::back_inserter(nudged));
  return nudged;
}

bool Quiet::sample(Moment now, std::uint64_t ended, std::uint64_t held) {
  if (held == 0 || ended != ended_ || since_ == Moment()) {
    since_ = now;
    ended_ = ended;
    told_ = false;
  }
  if (told_ || now - since_ < kQuiet) return false;
  told_ = true;
  return true;
}

}  // namespace snapbed::runner
