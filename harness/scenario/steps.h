// SPDX-License-Identifier: GPL-2.0-or-later
// What the steps of a scenario may refer to, and the reading of one step. Internal to scenario/.
#pragma once

#include <string>
#include <vector>

#include "scenario/scenario.h"
#include "scenario/table.h"

namespace snapbed::scenario {

// Reads the step list `key` ("setup", "teardown"); disks, devices and fios of `scenario` are
// complete. A step is a string "op key=value key='a b'" or a table {op = "...", key = ...}; a table
// {repeat = N, steps = [...]} is a list of them.
std::vector<Step> parse_steps(const Table& root, const std::string& key, const Scenario& scenario);

// The value of `key`: a list of steps, or a list of such lists. Empty when there is none.
std::vector<std::vector<Step>> parse_turns(const Table& root, const std::string& key,
                                           const Scenario& scenario);

// The rules of `rules` and [[rule]].
std::vector<Rule> parse_rules(const Table& root, const Scenario& scenario);

std::vector<std::string> disk_names(const Scenario& scenario);
std::vector<std::string> device_names(const Scenario& scenario);  // disks and what is made of them
// Of a disk or device that exists: where its sectors lie, how many there are, and its logical block
// in sectors.
plan::Device device_where(const Scenario& scenario, const std::string& name);
std::uint64_t device_sectors(const Scenario& scenario, const std::string& name);
std::uint64_t logical_sectors(const Scenario& scenario, const std::string& name);

// Reads what the guest makes of the disks, which are complete, into scenario.devices.
void read_devices(const Table& root, Scenario& scenario);

inline constexpr std::uint32_t kSector = journal::kSectorBytes;
// Refuses a name that is not usable or taken, and a size that is no multiple of `unit` or too much.
void check_name(const Table& table, std::string_view key, const std::string& name,
                const std::vector<std::string>& taken);
std::uint64_t whole_sectors(const Table& table, std::string_view key, std::uint64_t bytes,
                            std::uint64_t unit);

}  // namespace snapbed::scenario
