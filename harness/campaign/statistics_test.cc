// SPDX-License-Identifier: GPL-2.0-or-later
#include "campaign/statistics.h"

#include <gtest/gtest.h>

namespace snapbed::campaign {
namespace {

// Values of the textbook, and of any table of the beta distribution.
TEST(FailureRateBound, WithoutAFailureIsTheRuleOfThree) {
  EXPECT_NEAR(failure_rate_bound(0, 1), 0.95, 1e-12);
  EXPECT_NEAR(failure_rate_bound(0, 10), 0.2588656, 1e-6);
  EXPECT_NEAR(failure_rate_bound(0, 100), 0.0295130, 1e-6);
  EXPECT_NEAR(failure_rate_bound(0, 3000), 3.0 / 3000, 5e-6);
}

TEST(FailureRateBound, WithFailuresIsClopperAndPearsons) {
  EXPECT_NEAR(failure_rate_bound(1, 10), 0.3941633, 1e-6);
  EXPECT_NEAR(failure_rate_bound(5, 10), 0.7775589, 1e-6);
  EXPECT_NEAR(failure_rate_bound(2, 100), 0.0616192, 1e-6);
}

TEST(FailureRateBound, SaysNothingWithoutRunsAndNeverLessThanWasSeen) {
  EXPECT_EQ(failure_rate_bound(0, 0), 1);
  EXPECT_EQ(failure_rate_bound(7, 7), 1);
  for (std::uint64_t runs = 1; runs < 2000; runs += 97) {
    for (std::uint64_t failures = 0; failures <= runs; failures += 1 + runs / 5) {
      const double bound = failure_rate_bound(failures, runs);
      EXPECT_GE(bound, static_cast<double>(failures) / static_cast<double>(runs));
      EXPECT_LE(bound, 1);
    }
  }
}

TEST(Percent, KeepsTwoDigits) {
  EXPECT_EQ(percent(0.295130), "30 %");
  EXPECT_EQ(percent(0.0295130), "3.0 %");
  EXPECT_EQ(percent(0.00295130), "0.30 %");
  EXPECT_EQ(percent(0.000295130), "0.030 %");
}

}  // namespace
}  // namespace snapbed::campaign
