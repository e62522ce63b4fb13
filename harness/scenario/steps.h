// SPDX-License-Identifier: GPL-2.0-or-later
// What the steps of a scenario may refer to, and the reading of one step. Internal to scenario/.
#pragma once

#include <string>
#include <vector>

#include "scenario/scenario.h"
#include "scenario/table.h"

namespace snapbed::scenario {

// Reads the step list `key` ("setup", "cycle", "teardown"); disks, linears and fios of `scenario`
// are complete. A step is a string "op key=value key='a b'" or a table {op = "...", key = ...}.
std::vector<Step> parse_steps(const Table& root, const std::string& key, const Scenario& scenario);

// The rules in the form of the recording server's configuration.
nlohmann::json parse_rules(const Table& root, const Scenario& scenario);

std::vector<std::string> disk_names(const Scenario& scenario);
std::vector<std::string> device_names(const Scenario& scenario);  // disks and linears
// Sectors of a disk or linear device that exists.
std::uint64_t device_sectors(const Scenario& scenario, const std::string& name);

}  // namespace snapbed::scenario
