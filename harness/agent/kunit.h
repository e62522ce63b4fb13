// SPDX-License-Identifier: GPL-2.0-or-later
// What the kernel's KUnit says of a suite, in /sys/kernel/debug/kunit/SUITE/results.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace snapbed::agent {

struct KunitSuite {
  std::uint64_t cases = 0;          // that have a result
  std::vector<std::string> failed;  // "suite.case", or "suite" when the text is no whole report
};

// Reads one suite's KTAP report. A case that failed, was skipped or is missing from what the report
// announces, and a report without the suite's own good result, are failures. Pure.
KunitSuite parse_kunit(const std::string& suite, const std::string& text);

}  // namespace snapbed::agent
