// SPDX-License-Identifier: GPL-2.0-or-later
// From a scenario, a seed and a number of cycles to the plan the guest obeys. A pure function:
// the same arguments give the same plan, byte for byte.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "plan/plan.h"
#include "scenario/scenario.h"

namespace snapbed::scenario {

struct Built {
  plan::Plan plan;
  std::vector<journal::Disk> disks;    // ours first (plan, marks, evidence, files), ids in order
  std::uint64_t evidence_sectors = 0;  // what all image copies of the plan need together
};

// The steps are: selftest, insmod (unless the scenario forgoes the module), setup, then every
// cycle's steps and cycle_end, then teardown and rmmod. Each copy_image gets a place of its own
// on the evidence disk. Behind a power_cut stands insmod again. In fio texts %NAME% becomes the
// device's path and %seed% a number of (seed, step id). `cycles` is at least 1.
Built build_plan(const Scenario& scenario, std::uint64_t seed, std::uint32_t cycles);

// The disks that steps plug in or pull, and whether each is there at boot: unless its first such
// step is `plug`.
std::map<std::string, bool> plugged_disks(const plan::Plan& plan);

// The scenario's [minimum] for another number of cycles: scaled down in proportion, at least 1.
std::map<std::string, std::uint64_t> scaled_minimum(const Scenario& scenario, std::uint32_t cycles);

inline constexpr std::uint64_t kMarksSectors = 1ULL << 16U;  // 32 MiB: marks wrap after 65536
inline constexpr std::uint64_t kFilesSectors = 1ULL << 23U;  // 4 GiB, sparse: maps and fio results

}  // namespace snapbed::scenario
