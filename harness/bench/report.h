// SPDX-License-Identifier: GPL-2.0-or-later
// The results as people and as programs read them. Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/goals.h"
#include "bench/summary.h"

namespace snapbed::bench {

// Lines of the terminal.
std::string table(const std::vector<Line>& lines);
std::string memory_table(const std::vector<Memory>& memory);
std::string goal_table(const std::vector<Goal>& goals);

// {"rows": [{name, ratio_to_bare, iops or bytes_per_s, p50_us, p99_us, instructions_per_io,
// bytes_moved_per_byte, ...}], "memory": [...], "goals": [...]}. What was not measured is null.
nlohmann::json to_json(const std::vector<Line>& lines, const std::vector<Memory>& memory,
                       const std::vector<Goal>& goals);

}  // namespace snapbed::bench
