// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/host_load.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace snapbed::bench {
namespace {

TEST(HostTicks, AreThoseOfAllProcessors) {
  // user nice system idle iowait irq softirq steal guest guest_nice
  const HostTicks ticks = parse_host_ticks(
      "cpu  100 20 30 4000 500 6 7 8 90 9\n"
      "cpu0 1 1 1 1 1 1 1 1 1 1\n");
  EXPECT_EQ(ticks.busy, 171u);
  EXPECT_EQ(ticks.all, 4671u);
  EXPECT_THROW(parse_host_ticks("cpu0 1 2 3 4 5 6 7 8\n"), std::runtime_error);
  EXPECT_THROW(parse_host_ticks("cpu  1 2 3\n4 5 6 7 8"), std::runtime_error);
  EXPECT_THROW(parse_host_ticks(""), std::runtime_error);
}

TEST(ProcessTicks, AreFoundBehindAnyName) {
  EXPECT_EQ(parse_process_ticks("7 (a ) b (c) S 1 7 7 0 -1 4194560 11 22 33 44 500 60 1 2 20\n"),
            560u);
  EXPECT_THROW(parse_process_ticks("7 (a) S 1 7"), std::runtime_error);
  EXPECT_THROW(parse_process_ticks(""), std::runtime_error);
}

TEST(HostLoad, IsWhatOthersUsed) {
  EXPECT_DOUBLE_EQ(used_by_others({100, 1000}, {180, 1100}, 50), 0.3);
  EXPECT_DOUBLE_EQ(used_by_others({100, 1000}, {180, 1100}, 80), 0);
  // The two clocks do not tick together.
  EXPECT_DOUBLE_EQ(used_by_others({100, 1000}, {180, 1100}, 90), 0);
  EXPECT_DOUBLE_EQ(used_by_others({100, 1000}, {100, 1000}, 0), 0);
}

}  // namespace
}  // namespace snapbed::bench
