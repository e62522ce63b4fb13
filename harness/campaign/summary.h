// SPDX-License-Identifier: GPL-2.0-or-later
// A night told three ways: for people, for CI servers (JUnit XML), for programs (JSON). Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "campaign/tally.h"

namespace snapbed::campaign {

std::string text_summary(const Night& night);
std::string junit_summary(const Night& night);
nlohmann::json json_summary(const Night& night);

// "0:12:33 of 8:00:00  41 runs: 40 passed, 1 failed (1 kind), 0 broken  now: storm"
std::string live_text(const Night& night, double elapsed_s, const std::string& now);
// "8:00:00"
std::string clock_text(double seconds);

}  // namespace snapbed::campaign
