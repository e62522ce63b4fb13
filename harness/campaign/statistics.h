// SPDX-License-Identifier: GPL-2.0-or-later
// What a number of failures in a number of runs says about the rate of failing. Pure.
#pragma once

#include <cstdint>
#include <string>

namespace snapbed::campaign {

inline constexpr double kConfidence = 0.95;

// The largest rate of failing that `failures` of `runs` independent runs leave possible: above it
// so few would have been seen with a chance of less than 1 - confidence (Clopper and Pearson's
// one-sided bound; without a failure about 3 / runs). In (0, 1]; 1 without a run. failures <= runs.
double failure_rate_bound(std::uint64_t failures, std::uint64_t runs,
                          double confidence = kConfidence);

// "0.24 %", with two digits that mean something.
std::string percent(double rate);

}  // namespace snapbed::campaign
