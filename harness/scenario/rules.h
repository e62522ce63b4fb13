// SPDX-License-Identifier: GPL-2.0-or-later
// What both forms of a rule, [[rule]] and the sentences of `rules`, have in common. Internal to
// scenario/.
#pragma once

#include <string>
#include <vector>

#include "scenario/scenario.h"

namespace snapbed::scenario {

inline constexpr std::uint64_t kRuleTimeLimit_ms = 60000;  // more is the watchdog's business
inline constexpr std::uint64_t kRuleCountLimit = 1U << 20U;
inline constexpr std::uint64_t kRuleWindowLimit = 12;  // of 16 requests that QEMU keeps in flight
inline constexpr std::uint64_t kRuleHold_ms = 2000;    // a hold that does not say how long

// read, write, trim, zero, flush, any.
const std::vector<std::string>& rule_operations();

// Refuses what no single key shows: keys that belong to another action, keys an action needs,
// ranges outside the disk.
void check_rule(const Rule& rule, const Scenario& scenario);

// The short form of a rule that was written as a table: what verdict.json calls it.
std::string rule_text(const nlohmann::json& config);

// Throws BadScenario.
Rule read_sentence(const std::string& text, std::uint32_t line, const Scenario& scenario);

}  // namespace snapbed::scenario
