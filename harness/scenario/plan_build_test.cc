// SPDX-License-Identifier: GPL-2.0-or-later
// The plan of a small scenario, word for word, and its dependence on seed and cycles.
#include "scenario/plan_build.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <set>

namespace snapbed::scenario {
namespace {

Scenario sample() {
  // CTest runs the cases as processes side by side.
  const std::string folder = ::testing::TempDir() + "snapbed-plan-" + std::to_string(::getpid());
  std::filesystem::create_directories(folder);
  const std::shared_ptr<void> removal(nullptr,
                                      [&folder](void*) { std::filesystem::remove_all(folder); });
  std::ofstream(folder + "/storm.fio") << "[a]\nfilename=%lin%\nrandseed=%seed%\nrate=50%\n";
  return parse(R"(promise = "p"
cycles = 10
setup = ["dm_create name=lin"]
cycle = [
  "fio_start name=storm",
  "create devices=lin low=store low_first=1M low_piece=2M low_pieces=3",
  "copy_image device=data,lin",
  "read_map device=lin window=1s",
  "write device=data max=4K",
]
[[disk]]
name = "data"
size = "4M"
[[disk]]
name = "store"
size = "8M"
role = "storage"
[[linear]]
name = "lin"
disk = "data"
first = "1M"
size = "2M"
[[fio]]
name = "storm"
file = "storm.fio"
[minimum]
"cut.versions" = 100
"map.maps" = 5
)",
               folder + "/small.toml", folder);
}

std::string listing(const plan::Plan& plan) {
  std::string out;
  for (const plan::Step& step : plan.steps)
    out += std::to_string(step.id) + " c" + std::to_string(step.cycle) + " " + step.op + " " +
           step.args.dump() + "\n";
  return out;
}

TEST(PlanBuild, Golden) {
  const Built built = build_plan(sample(), 7, 1);
  const std::string job = built.plan.steps[3].args["job"];
  EXPECT_EQ(job.substr(0, job.find("randseed")), "[a]\nfilename=/dev/mapper/lin\n");
  EXPECT_NE(job.find("\nrate=50%\n"), std::string::npos);
  plan::Plan plan = built.plan;
  plan.steps[3].args.erase("job");
  EXPECT_EQ(listing(plan), R"(0 c0 selftest {"device":"data"}
1 c0 insmod {}
2 c0 dm_create {"name":"lin","table":"0 4096 linear %data% 2048"}
3 c1 fio_start {"name":"storm"}
4 c1 create {"devices":["lin"],"low":{"device":"store","first":2048,"limit":16384,"piece":4096,"pieces":3},"snapshot":"snap"}
5 c1 copy_image {"base":0,"block_bytes":1048576,"device":"data","mode":"sequential","room":8192,"snapshot":"snap","threads":1}
6 c1 copy_image {"base":8192,"block_bytes":1048576,"device":"lin","mode":"sequential","room":4096,"snapshot":"snap","threads":1}
7 c1 read_map {"device":"lin","snapshot":"snap","window_bytes":512}
8 c1 write {"device":"data","max_sectors":8,"writes":64}
9 c1 cycle_end {}
10 c1 rmmod {}
)");
  EXPECT_EQ(plan.devices.at("lin").first, 2048U);
  EXPECT_EQ(built.evidence_sectors, 8192U + 4096U);
  ASSERT_EQ(built.disks.size(), 6U);
  EXPECT_EQ(built.disks[2].sectors, built.evidence_sectors);
  EXPECT_EQ(built.disks[5].name, "store");
}

TEST(PlanBuild, TheSelftestTakesADiskThatTakesDiscards) {
  Scenario scenario = sample();
  scenario.disks.insert(scenario.disks.begin(), scenario.disks.front());
  scenario.disks.front().name = "first";
  scenario.disks.front().discard = false;
  EXPECT_EQ(build_plan(scenario, 1, 1).plan.steps.front().args["device"], "data");
}

TEST(PlanBuild, AReloadedDeviceHasRoomForItsLargestImage) {
  Scenario scenario = sample();
  scenario.cycle[0].insert(scenario.cycle[0].begin(),
                           {0, "dm_reload", {{"name", "lin"}, {"size", 6144}}, {0}});
  const Built built = build_plan(scenario, 1, 1);
  EXPECT_EQ(built.plan.steps[3].args["table"], "0 6144 linear %data% 2048");
  EXPECT_EQ(built.plan.steps[3].args["sectors"], 6144);
  EXPECT_EQ(built.evidence_sectors, 8192U + 6144U);
}

TEST(PlanBuild, BehindAPowerCutTheModuleIsInsertedAgain) {
  Scenario scenario = sample();
  scenario.setup.push_back({0, "power_cut", {{"writes", 5}}, {0}});
  scenario.setup.push_back({0, "copy_origin", {{"device", "data"}}, {0}});
  std::set<std::uint64_t> drawn;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    const Built built = build_plan(scenario, seed, 1);
    EXPECT_EQ(built.plan.steps[3].op, "power_cut");
    EXPECT_EQ(built.plan.steps[4].op, "insmod");
    EXPECT_EQ(built.plan.steps[5].args["base"], 0);
    drawn.insert(built.plan.steps[3].args["writes"].get<std::uint64_t>());
  }
  EXPECT_EQ(drawn, (std::set<std::uint64_t>{1, 2, 3, 4, 5}));
}

TEST(PlanBuild, IsAFunctionOfSeedAndCycles) {
  const Scenario scenario = sample();
  const auto text = [&](std::uint64_t seed, std::uint32_t cycles) {
    return plan::to_text(build_plan(scenario, seed, cycles).plan);
  };
  EXPECT_EQ(text(1, 4), text(1, 4));
  EXPECT_NE(text(1, 4), text(2, 4));
  EXPECT_EQ(build_plan(scenario, 1, 4).plan.steps.size(), 3U + 4U * 7U + 1U);
  EXPECT_EQ(build_plan(scenario, 1, 4).evidence_sectors, 4U * 12288U);
}

TEST(PlanBuild, MinimaScaleWithFewerCyclesOnly) {
  const Scenario scenario = sample();
  EXPECT_EQ(scaled_minimum(scenario, 1).at("cut.versions"), 10U);
  EXPECT_EQ(scaled_minimum(scenario, 1).at("map.maps"), 1U);
  EXPECT_EQ(scaled_minimum(scenario, 20).at("cut.versions"), 100U);
}

}  // namespace
}  // namespace snapbed::scenario
