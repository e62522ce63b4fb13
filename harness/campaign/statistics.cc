// SPDX-License-Identifier: GPL-2.0-or-later
#include "campaign/statistics.h"

#include <fmt/format.h>

#include <cmath>

namespace snapbed::campaign {

namespace {

// The chance of at most `failures` in `runs` when each fails with `rate`, 0 < rate < 1. By
// logarithms: the terms of a long night underflow one by one.
double chance_of_at_most(std::uint64_t failures, std::uint64_t runs, double rate) {
  const double n = static_cast<double>(runs);
  double sum = 0;
  double log_ways = 0;  // of choosing k of n
  for (std::uint64_t k = 0; k <= failures; ++k) {
    const double kk = static_cast<double>(k);
    if (k > 0) log_ways += std::log(n - kk + 1) - std::log(kk);
    sum += std::exp(log_ways + kk * std::log(rate) + (n - kk) * std::log1p(-rate));
  }
  return sum;
}

}  // namespace

double failure_rate_bound(std::uint64_t failures, std::uint64_t runs, double confidence) {
  if (failures >= runs) return 1;
  const double wanted = 1 - confidence;
  if (failures == 0) return -std::expm1(std::log(wanted) / static_cast<double>(runs));
  double low = static_cast<double>(failures) / static_cast<double>(runs);
  double high = 1;
  constexpr int kHalvings = 60;  // more than a double can tell apart
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = (low + high) / 2;
    (chance_of_at_most(failures, runs, middle) > wanted ? low : high) = middle;
  }
  return high;
}

std::string percent(double rate) {
  const double value = rate * 100;
  const int digits = value >= 10 ? 0 : value >= 1 ? 1 : value >= 0.1 ? 2 : 3;
  return fmt::format("{:.{}f} %", value, digits);
}

}  // namespace snapbed::campaign
