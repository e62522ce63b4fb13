// SPDX-License-Identifier: GPL-2.0-or-later
#include "scenario/log_licence.h"

#include <algorithm>
#include <map>
#include <set>

namespace snapbed::scenario {
namespace {

// The server's operations and what the block layer calls them.
const std::map<std::string, std::string> kLogNames = {{"read", "READ"},
                                                      {"write", "WRITE"},
                                                      {"trim", "DISCARD"},
                                                      {"zero", "WRITE_ZEROES"},
                                                      {"flush", "FLUSH"}};

std::set<std::string> all_operations() {
  std::set<std::string> all;
  for (const auto& [operation, name] : kLogNames) all.insert(operation);
  return all;
}

// The operations of which the host gives some an error.
std::set<std::string> failing(const Scenario& scenario) {
  if (uses(scenario, "unplug")) return all_operations();
  std::set<std::string> operations;
  for (const Rule& rule : scenario.rules) {
    const std::string action = rule.config.at("action");
    if (action == "disconnect") return all_operations();  // from one request on all others too
    if (action != "fail" && action != "tear") continue;
    const nlohmann::json& op = rule.config.at("op");
    for (const nlohmann::json& one : op.is_array() ? op : nlohmann::json::array({op})) {
      if (one == "any") return all_operations();
      operations.insert(one.get<std::string>());
    }
  }
  return operations;
}

// Whether a step gives a device fewer sectors than it had.
bool shrinks(const Scenario& scenario) {
  std::map<std::string, std::uint64_t> largest;
  for (const Step* step : steps_of(scenario)) {
    if (step->op != "dm_reload") continue;
    const std::string name = step->args.at("name");
    const std::uint64_t sectors = step->args.at("size");
    const auto known = std::find_if(scenario.devices.begin(), scenario.devices.end(),
                                    [&](const Device& device) { return device.name == name; });
    std::uint64_t& most = largest[name];
    if (known != scenario.devices.end()) most = std::max(most, known->where.sectors);
    if (sectors < most) return true;
    most = std::max(most, sectors);
  }
  return false;
}

// Whether a command opens an image by itself and the snapshot is destroyed: it may still be
// reading.
bool outlives_an_image(const Scenario& scenario) {
  const auto steps = steps_of(scenario);
  return uses(scenario, "destroy") && std::any_of(steps.begin(), steps.end(), [](const Step* step) {
           return step->op == "run" && step->args.at("command").get<std::string>().find(
                                           "/dev/blksnap-image") != std::string::npos;
         });
}

}  // namespace

std::vector<std::string> licensed_log(const Scenario& scenario) {
  // Whether an image takes requests, which the block layer tells of, or bios, which it does not, is
  // the module's choice; what it may refuse, the judge knows.
  std::vector<std::string> licences = {"^I/O error: [A-Z_]+ on blksnap-image[0-9]+$"};
  const std::set<std::string> operations = failing(scenario);
  for (const std::string& operation : operations)
    licences.push_back("^I/O error: " + kLogNames.at(operation) + " on vd[a-z]+$");
  // The page cache tells it once more, of whatever stands on the disk; not of an image.
  const std::string cached = "^Buffer I/O error on (?!blksnap)[^,]+, ";
  if (operations.contains("read")) licences.push_back(cached + "async page read$");
  if (operations.contains("write")) licences.push_back(cached + "lost a?sync page write$");
  // Who reads is told. A write to a mounted image is not: that needs allow_log.
  if (outlives_an_image(scenario))
    licences.emplace_back("^Buffer I/O error on blksnap-image[0-9]+, async page read$");
  if (uses(scenario, "unplug"))
    licences.emplace_back("^access beyond end of device vd[a-z]+, which is gone$");
  if (shrinks(scenario)) licences.emplace_back("^access beyond end of device dm-[0-9]+$");
  return licences;
}

}  // namespace snapbed::scenario
