// SPDX-License-Identifier: GPL-2.0-or-later
// What the next run of a night is. Scenarios and kernels come like cards from a shuffled deck: all
// of them once before any of them twice, so that a short night has seen everything too. Seeds, CPU
// counts and sizes are drawn for each run. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "scenario/scenario.h"

namespace snapbed::campaign {

struct Choice {
  std::size_t scenario = 0;  // index
  std::size_t variant = 0;   // index
  std::uint64_t seed = 0;
  std::uint32_t vcpus = 0;
  std::uint64_t grow_sectors = 0;  // added to every data disk
  std::uint32_t memory_mib = 0;    // that the machine needs, for admission
};

class Deck {
 public:
  Deck(const std::vector<scenario::Scenario>& scenarios, std::size_t variants, std::uint64_t seed);
  Choice next();

 private:
  const std::vector<scenario::Scenario>& scenarios_;
  std::size_t variants_;
  base::Random random_;
  std::vector<Choice> cards_;  // the last one is drawn next
};

// Whether a machine may start beside those that run: their CPUs must not outnumber the host's, and
// their memory must fit. One machine may always run.
struct Load {
  std::uint32_t machines = 0;
  std::uint32_t vcpus = 0;
  std::uint64_t memory_mib = 0;
};
bool admits(const Load& load, const Choice& choice, std::uint32_t host_cpus,
            std::uint64_t host_mib);

// Beside its memory a machine costs QEMU's own and the recording server's.
inline constexpr std::uint32_t kMachineOverheadMib = 400;

}  // namespace snapbed::campaign
