// SPDX-License-Identifier: GPL-2.0-or-later
#include "campaign/deck.h"

#include <gtest/gtest.h>

#include <set>

namespace snapbed::campaign {
namespace {

std::vector<scenario::Scenario> three() {
  std::vector<scenario::Scenario> scenarios(3);
  scenarios[1].disks.resize(1);
  scenarios[1].disks[0].logical_block = 4096;
  return scenarios;
}

TEST(Deck, DealsEverythingOnceBeforeAnythingTwice) {
  const auto scenarios = three();
  Deck deck(scenarios, 2, 7);
  for (int round = 0; round < 5; ++round) {
    std::set<std::pair<std::size_t, std::size_t>> seen;
    for (int i = 0; i < 6; ++i) {
      const Choice choice = deck.next();
      EXPECT_TRUE(seen.insert({choice.scenario, choice.variant}).second);
    }
    EXPECT_EQ(seen.size(), 6U);
  }
}

TEST(Deck, SeedsAreFreshAndSizesFitTheirBlocks) {
  const auto scenarios = three();
  Deck deck(scenarios, 1, 7);
  std::set<std::uint64_t> seeds;
  std::set<std::uint32_t> vcpus;
  std::set<std::uint64_t> growths;
  for (int i = 0; i < 300; ++i) {
    const Choice choice = deck.next();
    seeds.insert(choice.seed);
    vcpus.insert(choice.vcpus);
    growths.insert(choice.grow_sectors);
    if (choice.scenario == 1) {
      EXPECT_EQ(choice.grow_sectors % 8, 0U);
    }
  }
  EXPECT_EQ(seeds.size(), 300U);
  EXPECT_EQ(vcpus, (std::set<std::uint32_t>{1, 2, 3, 4}));
  EXPECT_GT(growths.size(), 50U);
  EXPECT_TRUE(growths.contains(0));
}

TEST(Deck, ASeedRepeatsTheNight) {
  const auto scenarios = three();
  Deck one(scenarios, 2, 3);
  Deck other(scenarios, 2, 3);
  for (int i = 0; i < 20; ++i) {
    const Choice a = one.next();
    const Choice b = other.next();
    EXPECT_EQ(a.seed, b.seed);
    EXPECT_EQ(a.scenario, b.scenario);
    EXPECT_EQ(a.vcpus, b.vcpus);
  }
}

TEST(Admits, OneMachineAlwaysAndMoreAsTheyFit) {
  Choice choice;
  choice.vcpus = 4;
  choice.memory_mib = 1000;
  EXPECT_TRUE(admits({0, 0, 0}, choice, 2, 10));
  choice.vcpus = 1;
  EXPECT_TRUE(admits({1, 1, 500}, choice, 2, 1500));
  EXPECT_FALSE(admits({1, 2, 500}, choice, 2, 1500));
  EXPECT_FALSE(admits({1, 1, 500}, choice, 2, 1499));
}

}  // namespace
}  // namespace snapbed::campaign
