// SPDX-License-Identifier: GPL-2.0-or-later
#include <gtest/gtest.h>

#include <numeric>
#include <stdexcept>

#include "agent/bench_gauges.h"
#include "agent/bench_load.h"

namespace snapbed::agent {
namespace {

TEST(Percentile, IsTheNearestRank) {
  std::vector<std::uint64_t> values(100);
  std::iota(values.rbegin(), values.rend(), 1);
  EXPECT_EQ(percentile(values, 50), 50u);
  EXPECT_EQ(percentile(values, 99), 99u);
  EXPECT_EQ(percentile(values, 100), 100u);
  std::vector<std::uint64_t> one = {7};
  EXPECT_EQ(percentile(one, 1), 7u);
  EXPECT_EQ(percentile(one, 99), 7u);
}

TEST(IdleTime, IsReadFromTheTimerList) {
  EXPECT_EQ(
      parse_idle_ns("cpu: 0\n  .idle_waketime : 3 nsecs\n  .idle_sleeptime : 1234567 nsecs\n"),
      1234567u);
  EXPECT_THROW(parse_idle_ns("cpu: 0\n"), std::runtime_error);
}

TEST(UsedMemory, IsWhatDoesNotGiveWay) {
  EXPECT_EQ(parse_used_bytes("MemTotal:  1000 kB\nMemFree: 300 kB\nMemAvailable: 500 kB\n"
                             "Buffers: 10 kB\nCached: 20 kB\nSwapCached: 1 kB\n"
                             "SReclaimable: 30 kB\nSUnreclaim: 40 kB\n"),
            640 * 1024);
  EXPECT_THROW(parse_used_bytes("MemFree: 300 kB\n"), std::runtime_error);
}

}  // namespace
}  // namespace snapbed::agent
