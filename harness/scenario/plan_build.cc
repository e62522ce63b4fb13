// SPDX-License-Identifier: GPL-2.0-or-later
// Unrolls cycles into numbered steps.
#include "scenario/plan_build.h"

#include <algorithm>

#include "journal/pattern.h"
#include "scenario/steps.h"

namespace snapbed::scenario {
namespace {

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

class Builder {
 public:
  Builder(const Scenario& scenario, std::uint64_t seed) : scenario_(scenario) {
    built_.plan.seed = seed;
    built_.plan.scenario = scenario.name;
    built_.plan.module_parameters = scenario.module_parameters;
    for (const std::string& name : device_names(scenario))
      built_.plan.devices[name] = device_where(scenario, name);
  }

  void add(const Step& step, std::uint32_t cycle) {
    plan::Step out;
    out.id = static_cast<std::uint32_t>(built_.plan.steps.size());
    out.cycle = cycle;
    out.op = step.op;
    out.args = step.args;
    out.expect = step.expect;
    complete(out);
    built_.plan.steps.push_back(std::move(out));
  }

  void add_all(const std::vector<Step>& steps, std::uint32_t cycle) {
    for (const Step& step : steps) {
      add(step, cycle);
      if (step.op == "power_cut" && scenario_.module) add_bare("insmod", cycle);
    }
  }

  void add_bare(const std::string& op, std::uint32_t cycle,
                nlohmann::json args = nlohmann::json::object()) {
    add(Step{0, op, std::move(args), {0}}, cycle);
  }

  Built finish() {
    add_disks();
    return std::move(built_);
  }

 private:
  // What depends on the step's place in the plan.
  void complete(plan::Step& step) {
    if (step.op == "fio_start") step.args["job"] = fio_text(step);
    if (step.op == "dm_create" || step.op == "md_create" || step.op == "md_stop") add_making(step);
    if (step.op == "partition") gather_parts(step);
    if (step.op == "dm_reload") reload(step);
    if (step.op == "create") gather_low(step);
    if (step.op == "power_cut") draw_writes(step);
    if (step.op == "copy_image" || step.op == "copy_origin") {
      rename(step, "block", "block_bytes");
      step.args["base"] = built_.evidence_sectors;
      const std::uint64_t room = step.args.contains("count")
                                     ? step.args["count"].get<std::uint64_t>()
                                     : most_sectors(step.args["device"]);
      if (!step.args.contains("count")) step.args["room"] = room;
      built_.evidence_sectors += room;
    }
    if (step.op == "read_map") rename(step, "window", "window_bytes");
    if (step.op == "ledger_start") rename(step, "max", "max_sectors");
    if (step.op == "write" || step.op == "write_image") {
      rename(step, "max", "max_sectors");
      const std::uint64_t unit = logical_sectors(scenario_, step.args["device"]);
      if (unit > 1) step.args["unit"] = unit;
    }
  }

  // The cut comes at one of the first so many writes; the seed says which.
  void draw_writes(plan::Step& step) const {
    if (!step.args.contains("writes")) return;
    const auto most = step.args["writes"].get<std::uint64_t>();
    step.args["writes"] = 1 + journal::step_key(built_.plan.seed, step.id) % most;
  }

  static void rename(plan::Step& step, const char* from, const char* to) {
    if (!step.args.contains(from)) return;
    step.args[to] = step.args[from];
    step.args.erase(from);
  }

  std::string fio_text(const plan::Step& step) const {
    const std::string name = step.args["name"];
    const auto fio = std::find_if(scenario_.fios.begin(), scenario_.fios.end(),
                                  [&](const Fio& other) { return other.name == name; });
    // fio takes seeds of 31 bits everywhere.
    const std::uint64_t number = journal::step_key(built_.plan.seed, step.id) & 0x7fffffffU;
    std::string text = replaced(fio->text, "%seed%", std::to_string(number));
    for (const auto& [device, where] : built_.plan.devices)
      text = replaced(text, "%" + device + "%", where.path);
    return text;
  }

  void add_making(plan::Step& step) const {
    for (const Device& device : scenario_.devices)
      if (device.name == step.args["name"]) step.args.update(device.make);
  }

  void gather_parts(plan::Step& step) const {
    step.args["parts"] = nlohmann::json::array();
    for (const Device& device : scenario_.devices) {
      if (device.kind != Kind::partition || device.where.disk != step.args["device"]) continue;
      step.args["parts"].push_back({{"name", device.name},
                                    {"number", device.make["number"]},
                                    {"first", device.where.first},
                                    {"count", device.where.sectors}});
    }
  }

  void reload(plan::Step& step) {
    rename(step, "size", "sectors");
    const plan::Device& device = built_.plan.devices.at(step.args["name"]);
    step.args["table"] = "0 " + std::to_string(step.args["sectors"].get<std::uint64_t>()) +
                         " linear %" + device.disk + "% " + std::to_string(device.first);
    std::uint64_t& most = grown_[step.args["name"]];
    most = std::max(most, step.args["sectors"].get<std::uint64_t>());
  }

  // The largest size that the device has had so far.
  std::uint64_t most_sectors(const std::string& device) const {
    const auto grown = grown_.find(device);
    return std::max(device_sectors(scenario_, device), grown == grown_.end() ? 0 : grown->second);
  }

  void gather_low(plan::Step& step) const {
    nlohmann::json low;
    if (step.args.contains("low")) {
      const std::string device = step.args["low"];
      low = {{"device", device},
             {"first", step.args["low_first"]},
             {"piece", step.args["low_piece"]},
             {"pieces", step.args["low_pieces"]},
             {"limit", step.args.contains("low_limit")
                           ? step.args["low_limit"]
                           : nlohmann::json(device_sectors(scenario_, device))}};
    }
    for (const char* key : {"low", "low_first", "low_piece", "low_pieces", "low_limit"})
      step.args.erase(key);
    if (!low.is_null()) step.args["low"] = low;
  }

  void add_disk(const std::string& name, journal::Role role, journal::Initial initial,
                std::uint64_t sectors) {
    built_.disks.push_back(
        {static_cast<std::uint16_t>(built_.disks.size()), name, role, initial, sectors});
  }

  void add_disks() {
    using journal::Initial;
    using journal::Role;
    const std::uint64_t plan_sectors =
        plan::to_disk(plan::to_text(built_.plan)).size() / journal::kSectorBytes;
    add_disk("plan", Role::plan, Initial::zero, plan_sectors);
    add_disk("marks", Role::marks, Initial::zero, kMarksSectors);
    add_disk("evidence", Role::evidence, Initial::zero,
             std::max<std::uint64_t>(built_.evidence_sectors, 2048));
    add_disk("files", Role::files, Initial::zero, kFilesSectors);
    for (const Disk& disk : scenario_.disks)
      add_disk(disk.name, disk.role, disk.initial, disk.sectors);
  }

  const Scenario& scenario_;
  Built built_;
  std::map<std::string, std::uint64_t> grown_;  // linear device -> its largest reload, sectors
};

}  // namespace

Built build_plan(const Scenario& scenario, std::uint64_t seed, std::uint32_t cycles) {
  Builder builder(scenario, seed);
  const auto data = std::find_if(scenario.disks.begin(), scenario.disks.end(), takes_selftest);
  builder.add_bare("selftest", 0, {{"device", data->name}});
  if (scenario.module) builder.add_bare("insmod", 0);
  builder.add_all(scenario.setup, 0);
  for (std::uint32_t cycle = 1; cycle <= cycles; ++cycle) {
    builder.add_all(scenario.cycle[(cycle - 1) % scenario.cycle.size()], cycle);
    builder.add_bare("cycle_end", cycle);
  }
  builder.add_all(scenario.teardown, cycles);
  if (scenario.module) builder.add_bare("rmmod", cycles);
  return builder.finish();
}

std::map<std::string, bool> plugged_disks(const plan::Plan& plan) {
  std::map<std::string, bool> disks;
  for (const plan::Step& step : plan.steps)
    if (step.op == "plug" || step.op == "unplug")
      disks.emplace(step.args.at("device").get<std::string>(), step.op == "unplug");
  return disks;
}

std::map<std::string, std::uint64_t> scaled_minimum(const Scenario& scenario,
                                                    std::uint32_t cycles) {
  std::map<std::string, std::uint64_t> scaled;
  for (const auto& [name, value] : scenario.minimum) {
    const double share = std::min(1.0, static_cast<double>(cycles) / scenario.cycles);
    scaled[name] =
        std::max<std::uint64_t>(1, static_cast<std::uint64_t>(static_cast<double>(value) * share));
  }
  return scaled;
}

}  // namespace snapbed::scenario
