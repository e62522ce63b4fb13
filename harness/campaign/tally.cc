// SPDX-License-Identifier: GPL-2.0-or-later
#include "campaign/tally.h"

#include <algorithm>

namespace snapbed::campaign {

void Counts::add(Count count) {
  passed += count == Count::pass;
  failed += count == Count::fail;
  broken += count == Count::broken;
  not_exercised += count == Count::not_exercised;
}

bool Night::add(const Ran& ran) {
  if (ran.count == Count::interrupted) return false;
  counts.add(ran.count);
  by_scenario[{ran.scenario, ran.variant}].add(ran.count);
  snapshots += ran.snapshots;
  sectors_judged += ran.sectors_judged;
  if (ran.count != Count::fail && ran.count != Count::broken) return false;
  const auto same = std::find_if(groups.begin(), groups.end(), [&](const Group& group) {
    return group.kind == ran.count && group.signature == ran.signature;
  });
  if (same != groups.end()) {
    ++same->count;
    return false;
  }
  groups.push_back({ran.signature, ran.count, 1, ran, 0, 0});
  return true;
}

int exit_status(const Night& night) {
  if (night.counts.failed > 0) return 1;
  if (night.interrupted) return 130;
  const bool proven = night.canary.caught && night.counts.passed > 0;
  return night.counts.broken > 0 || !proven ? 3 : 0;
}

}  // namespace snapbed::campaign
