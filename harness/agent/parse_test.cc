// SPDX-License-Identifier: GPL-2.0-or-later
// What the agent reads from the kernel, from fio and from its disks, and what it says of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "agent/amplifiers.h"
#include "agent/boot_time.h"
#include "agent/disk_statistics.h"
#include "agent/fio.h"
#include "agent/marks.h"
#include "agent/module_disk.h"
#include "agent/snapshots.h"

namespace snapbed::agent {
namespace {

TEST(DiskStatistics, AreTheKernelsColumns) {
  const DiskStatistics statistics = parse_disk_statistics(
      "     101        2      303        4      505        6      707        8        9       10 "
      "      11       12       13     1400       15       16       17\n");
  EXPECT_EQ(statistics.reads, 101u);
  EXPECT_EQ(statistics.writes, 505u);
  EXPECT_EQ(statistics.write_sectors, 707u);
  EXPECT_EQ(statistics.in_flight, 9u);
  EXPECT_EQ(statistics.discard_sectors, 1400u);
  EXPECT_EQ(statistics.changed_sectors(), 2107u);
  EXPECT_EQ(statistics.requests(), 615u);
}

TEST(DiskStatistics, TooFewColumnsAreRefused) {
  EXPECT_THROW(parse_disk_statistics("1 2 3 4 5 6 7 8 9 10 11"), std::runtime_error);
  EXPECT_THROW(parse_disk_statistics(""), std::runtime_error);
}

TEST(FioSummary, AddsUpTheJobs) {
  const auto summary = summarize_fio(
      "fio: terminating on signal "
      "2\n{\"jobs\":[{\"error\":0,\"total_err\":0,\"write\":{\"total_ios\":"
      "3,\"io_bytes\":4096}},{\"error\":5,\"total_err\":2,\"write\":{\"total_ios\":4,\"io_bytes\":"
      "512}}]}");
  EXPECT_EQ(summary["writes"], 7);
  EXPECT_EQ(summary["bytes_written"], 4608);
  EXPECT_EQ(summary["errors"], 3);
}

TEST(FioSummary, OutputWithoutResultsIsRefused) {
  EXPECT_ANY_THROW(summarize_fio("fio: file not found"));
  EXPECT_ANY_THROW(summarize_fio("{\"jobs\":[{}]}"));
  EXPECT_ANY_THROW(summarize_fio("{\"jobs\":[{\"error\":0"));
}

TEST(ModuleDisk, AnnouncesTheFilesLength) {
  std::vector<std::uint8_t> sector(512, 0);
  EXPECT_THROW(module_bytes(sector, 10000), std::runtime_error);
  const std::string magic("SNAPKO\0\0", 8);
  std::copy(magic.begin(), magic.end(), sector.begin());
  EXPECT_THROW(module_bytes(sector, 10000), std::runtime_error);
  sector[8] = 0x10;
  sector[9] = 0x27;
  EXPECT_EQ(module_bytes(sector, 10000), 10000u);
  EXPECT_THROW(module_bytes(sector, 9999), std::runtime_error);
  EXPECT_THROW(module_bytes(std::span(sector).first(100), 10000), std::runtime_error);
}

TEST(ModuleParameters, AreWhatInsmodTakes) {
  EXPECT_EQ(parameter_text({}), "");
  EXPECT_EQ(parameter_text({{"a", "1"}, {"b", "x"}}), "a=1 b=x");
}

TEST(BootPhases, AddUpToTheTimeSincePowerOn) {
  // The counter runs at 2 per nanosecond and started 400 ms before the kernel's clock.
  const ClockReading init{1'000'000'000, 2'800'000'000};
  const ClockReading agent{1'050'000'000, 2'900'000'000};
  const ClockReading now{1'080'000'000, 2'960'000'000};
  const auto phases = boot_phases(init, agent, now);
  EXPECT_NEAR(phases.at("firmware"), 400, 0.2);
  EXPECT_NEAR(phases.at("kernel"), 1000, 0.2);
  EXPECT_NEAR(phases.at("init"), 50, 0.2);
  EXPECT_NEAR(phases.at("agent"), 30, 0.2);
}

TEST(BootPhases, AStandingCounterGivesNoFirmwareTime) {
  EXPECT_EQ(boot_phases({5, 7}, {6, 7}, {7, 7}).at("firmware"), 0);
}

TEST(ClockReading, ComesBackFromItsText) {
  const ClockReading reading = from_text(to_text({12, 34}));
  EXPECT_EQ(reading.boot_ns, 12u);
  EXPECT_EQ(reading.counter, 34u);
  EXPECT_EQ(from_text("").counter, 0u);
}

TEST(MarkText, FitsHoweverLongTheValueIs) {
  EXPECT_EQ(mark_text({{"result", 0}}), R"({"result":0})");
  const auto cut = nlohmann::json::parse(mark_text({{"what", std::string(1000, 'x')}}));
  EXPECT_EQ(cut["what"].get<std::string>(), std::string(120, 'x'));
  nlohmann::json list = nlohmann::json::array();
  for (int i = 0; i < 200; ++i) list.push_back("device" + std::to_string(i));
  const auto least = nlohmann::json::parse(mark_text({{"result", 7}, {"trackers", list}}));
  EXPECT_EQ(least["result"], 7);
  EXPECT_EQ(least["truncated"], true);
  EXPECT_LE(mark_text({{"what", "\xff\xfe" + std::string(500, '\x01')}}).size(),
            plan::kMarkTextLimit);
}

TEST(LowAnswer, IsAllocatedUpwardsAndStopsAtTheLimit) {
  LowAnswer answer;
  answer.first = 100;
  answer.piece = 10;
  answer.pieces = 2;
  answer.limit = 135;
  const auto first = next_answer(answer);
  ASSERT_EQ(first.size(), 2u);
  EXPECT_EQ(first[0].first, 100u);
  EXPECT_EQ(first[1].first, 110u);
  EXPECT_EQ(first[1].count, 10u);
  const auto second = next_answer(answer);
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(second[0].first, 120u);
  EXPECT_TRUE(next_answer(answer).empty());
}

TEST(Kallsyms, FunctionsOfTheModuleReachToTheNextSymbol) {
  const auto functions = module_functions(
      "ffffffff81000000 T _text\n"
      "ffffffffa0000060 t second\t[blksnap]\n"
      "ffffffffa0000000 t first\t[blksnap]\n"
      "ffffffffa0000040 d data\t[blksnap]\n"
      "ffffffffa0000070 T init_module\t[blksnap]\n"
      "ffffffffa0000090 T last\t[blksnap]\n"
      "ffffffffa0100000 t other\t[virtio]\n",
      "blksnap");
  ASSERT_EQ(functions.size(), 2U) << "no data, no start code, and the last has no known end";
  EXPECT_EQ(functions[0].name, "first");
  EXPECT_EQ(functions[0].bytes, 0x60U);
  EXPECT_EQ(functions[1].name, "second");
  EXPECT_EQ(functions[1].bytes, 0x10U);
}

}  // namespace
}  // namespace snapbed::agent
