// SPDX-License-Identifier: GPL-2.0-or-later
#include "campaign/deck.h"

#include <algorithm>

namespace snapbed::campaign {

namespace {

constexpr std::uint64_t kSeeds = 1000000000;  // nine digits are still readable on a repeat line
constexpr std::uint32_t kMostVcpus = 4;
constexpr std::uint64_t kMostGrowth = 1024;  // sectors: reaches every place within a large chunk

// Half of the runs have the scenario's CPUs: that is where its minima were measured.
std::uint32_t draw_vcpus(base::Random& random, const scenario::Scenario& scenario) {
  if (random.chance(0.5)) return scenario.vcpus;
  return static_cast<std::uint32_t>(random.between(1, kMostVcpus));
}

// Half of the runs have the scenario's sizes, the others end in the middle of some unit.
std::uint64_t draw_growth(base::Random& random, const scenario::Scenario& scenario) {
  if (random.chance(0.5)) return 0;
  const std::uint64_t sectors = random.between(1, kMostGrowth);
  std::uint64_t block = 1;
  for (const scenario::Disk& disk : scenario.disks)
    block = std::max<std::uint64_t>(block, disk.logical_block / journal::kSectorBytes);
  return (sectors + block - 1) / block * block;
}

}  // namespace

Deck::Deck(const std::vector<scenario::Scenario>& scenarios, std::size_t variants,
           std::uint64_t seed)
    : scenarios_(scenarios), variants_(variants), random_(seed) {
}

Choice Deck::next() {
  if (cards_.empty()) {
    for (std::size_t scenario = 0; scenario < scenarios_.size(); ++scenario)
      for (std::size_t variant = 0; variant < variants_; ++variant)
        cards_.push_back({scenario, variant, 0, 0, 0, 0});
    random_.shuffle(cards_);
  }
  Choice choice = cards_.back();
  cards_.pop_back();
  const scenario::Scenario& scenario = scenarios_[choice.scenario];
  choice.seed = random_.below(kSeeds);
  choice.vcpus = draw_vcpus(random_, scenario);
  choice.grow_sectors = draw_growth(random_, scenario);
  choice.memory_mib =
      static_cast<std::uint32_t>(scenario.memory_bytes >> 20U) + kMachineOverheadMib;
  return choice;
}

bool admits(const Load& load, const Choice& choice, std::uint32_t host_cpus,
            std::uint64_t host_mib) {
  if (load.machines == 0) return true;
  return load.vcpus + choice.vcpus <= host_cpus && load.memory_mib + choice.memory_mib <= host_mib;
}

}  // namespace snapbed::campaign
